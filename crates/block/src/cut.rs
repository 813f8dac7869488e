//! Cutting columns of much text by rows, so that who wants one event fetches and unpacks only the part that has it.

use model::ecs;
use rustc_hash::{FxHashMap, FxHashSet};

use crate::layout::{MAX_COLUMNS, MAX_PARTS};
use crate::table::{OVERFLOW, RawColumn, Table};

/// Least rows of a part: few texts compress worse by themselves.
const MIN_ROWS: usize = 500;
/// From about so many bytes of text that do not repeat, a column is cut.
const HEAVY: usize = 64 * 1024;
/// How many of a column's texts are looked at for how often they repeat.
const SAMPLE: usize = 128;

/// Cuts what is heavy. Each event's shape names the part that has its value, so a part is a column like any other.
pub(crate) fn cut(table: &mut Table<'_>) {
    let rows = table.shape_of.len();
    let parts = (rows / MIN_ROWS).min(MAX_PARTS);
    if parts < 2 {
        return;
    }
    let mut heavy: Vec<bool> = table.columns.iter().map(is_heavy).collect();
    let number_of = |name: &str| table.columns.iter().position(|column| column.name == name);
    // Lines are kept as what their messages lack, so both are cut in the same places.
    if let (Some(message), Some(original)) = (number_of(ecs::MESSAGE), number_of(ecs::EVENT_ORIGINAL))
        && heavy.get(message) == Some(&true)
        && let Some(original) = heavy.get_mut(original)
    {
        *original = true;
    }
    let heavy_ones = heavy.iter().filter(|heavy| **heavy).count();
    if heavy_ones == 0 || table.columns.len() + heavy_ones * (parts - 1) > MAX_COLUMNS {
        return;
    }
    let rows_of_part = rows.div_ceil(parts);
    let part_of = |row: u32| row as usize / rows_of_part;

    let mut columns = Vec::with_capacity(table.columns.len() + heavy_ones * (parts - 1));
    // For each old column and part, the number of the new one.
    let mut numbers = vec![OVERFLOW; table.columns.len() * parts];
    for (old, column) in table.columns.drain(..).enumerate() {
        let of_part = numbers.get_mut(old * parts..(old + 1) * parts).unwrap_or_default();
        if heavy.get(old) == Some(&true) {
            for (part, number) in of_part.iter_mut().enumerate() {
                let from = column.rows.partition_point(|row| part_of(*row) < part);
                let to = column.rows.partition_point(|row| part_of(*row) <= part);
                if from < to {
                    *number = columns.len() as u32;
                    columns.push(column.some(from..to, part));
                }
            }
        } else {
            of_part.fill(columns.len() as u32);
            columns.push(column);
        }
    }
    table.columns = columns;

    let old_shapes = std::mem::take(&mut table.shapes);
    let mut new_shapes = FxHashMap::<(u32, usize), u32>::default();
    for (row, shape) in table.shape_of.iter_mut().enumerate() {
        let Some(old) = old_shapes.get(*shape as usize) else {
            continue;
        };
        let is_cut = old.iter().any(|number| heavy.get(*number as usize) == Some(&true));
        let part = if is_cut { part_of(row as u32) } else { 0 };
        *shape = *new_shapes.entry((*shape, part)).or_insert_with(|| {
            let number_of = |old: &u32| numbers.get(*old as usize * parts + part).copied();
            let new = old.iter().map(|old| number_of(old).unwrap_or(OVERFLOW));
            table.shapes.push(new.collect());
            table.shapes.len() as u32 - 1
        });
    }
}

fn is_heavy(column: &RawColumn<'_>) -> bool {
    let texts = || column.values.iter().filter_map(|value| value.as_str());
    let bytes: usize = texts().map(str::len).sum();
    if bytes < HEAVY {
        return false;
    }
    let step = column.values.len().div_ceil(SAMPLE).max(1);
    let (mut sampled, mut distinct) = (0, FxHashSet::default());
    for text in texts().step_by(step) {
        sampled += 1;
        distinct.insert(text);
    }
    bytes / sampled.max(1) * distinct.len() >= HEAVY
}
