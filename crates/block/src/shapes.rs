//! Which fields each event has, in which order.

use crate::budget::Budget;
use crate::error::DecodeError;
use crate::table::{OVERFLOW, Table};
use crate::wire::{Reader, put_len, put_planes, put_varint, width_of};

/// Appends the shapes and each event's. In the bytes, 0 is a field without a column and `n + 1` is column `n`.
pub(crate) fn put(out: &mut Vec<u8>, table: &Table<'_>) {
    put_len(out, table.shapes.len());
    for shape in &table.shapes {
        put_len(out, shape.len());
        for number in shape {
            put_varint(out, u64::from(number.wrapping_add(1)));
        }
    }
    let width = width_of(table.shapes.len().saturating_sub(1) as u64);
    put_planes(out, width, table.shape_of.iter().map(|shape| u64::from(*shape)));
}

/// What was read.
#[derive(Clone, Debug)]
pub(crate) struct Shapes {
    /// All shapes' column numbers, one shape after the other.
    numbers: Vec<u32>,
    /// Where each shape begins in `numbers`, and where the last one ends.
    starts: Vec<u32>,
    of_row: Vec<u32>,
}

impl Shapes {
    /// `firsts` has for each column the first one of its field.
    pub(crate) fn get(
        reader: &mut Reader<'_>,
        rows: usize,
        firsts: &[usize],
        budget: &mut Budget,
    ) -> Result<Self, DecodeError> {
        let count = reader.count()?;
        budget.take_items::<u32>(count + 1)?;
        let mut starts = Vec::with_capacity(count + 1);
        let mut numbers = Vec::new();
        let mut last_seen_in = Vec::new();
        budget.take_items::<usize>(firsts.len())?;
        last_seen_in.resize(firsts.len(), usize::MAX);
        for shape in 0..count {
            starts.push(numbers.len() as u32);
            let len = reader.count()?;
            budget.take_items::<u32>(len)?;
            for _ in 0..len {
                let number = reader.len()?.wrapping_sub(1);
                if number == usize::MAX {
                    numbers.push(OVERFLOW);
                    continue;
                }
                let first = firsts.get(number);
                let seen = first
                    .and_then(|first| last_seen_in.get_mut(*first))
                    .ok_or(DecodeError::Malformed("a shape names a column that is not there"))?;
                if std::mem::replace(seen, shape) == shape {
                    return Err(DecodeError::Malformed("a shape names a field twice"));
                }
                numbers.push(number as u32);
            }
        }
        starts.push(u32::try_from(numbers.len()).map_err(|_| DecodeError::TooLarge)?);
        let of_row = reader.indexes(count, rows, budget)?;
        Ok(Self {
            numbers,
            starts,
            of_row,
        })
    }

    /// About how much memory they take, in bytes.
    pub(crate) fn weight(&self) -> usize {
        (self.numbers.len() + self.starts.len() + self.of_row.len()) * size_of::<u32>()
    }

    /// The columns of each row in field order; [`OVERFLOW`] for a field without one.
    pub(crate) fn rows(&self) -> impl Iterator<Item = &[u32]> {
        self.of_row.iter().map(|shape| self.shape(*shape as usize))
    }

    /// How many shapes there are.
    pub(crate) fn len(&self) -> usize {
        self.starts.len() - 1
    }

    /// The shape of each row.
    pub(crate) fn of_row(&self) -> &[u32] {
        &self.of_row
    }

    /// The columns of a shape in field order; [`OVERFLOW`] for a field without one.
    pub(crate) fn shape(&self, shape: usize) -> &[u32] {
        let Some([start, end]) = self.starts.get(shape..).and_then(|starts| starts.first_chunk::<2>()) else {
            return &[];
        };
        self.numbers.get(*start as usize..*end as usize).unwrap_or_default()
    }

    /// How many values each column has, and how many fields have none.
    pub(crate) fn counts(&self, columns: usize) -> (Vec<usize>, usize) {
        let mut rows_of = vec![0_usize; self.len()];
        self.of_row.iter().for_each(|shape| rows_of[*shape as usize] += 1);
        let mut counts = vec![0; columns];
        let mut overflow = 0;
        for (shape, rows) in rows_of.into_iter().enumerate() {
            for number in self.shape(shape) {
                match counts.get_mut(*number as usize) {
                    Some(count) => *count += rows,
                    None => overflow += rows,
                }
            }
        }
        (counts, overflow)
    }

    /// For each row that has one column, which of the other's values it has; `None` when it lacks that.
    pub(crate) fn beside(&self, column: u32, other: u32) -> impl Iterator<Item = Option<u32>> {
        let has = |shape: usize| {
            let columns = self.shape(shape);
            (columns.contains(&column), columns.contains(&other))
        };
        let has: Vec<(bool, bool)> = (0..self.len()).map(has).collect();
        let mut next = 0;
        self.of_row.iter().filter_map(move |shape| {
            let (has_column, has_other) = has[*shape as usize];
            let position = has_other.then_some(next);
            next += u32::from(has_other);
            has_column.then_some(position)
        })
    }

    /// For each row, whether it has the column.
    pub(crate) fn presence(&self, column: u32) -> impl Iterator<Item = bool> {
        let has: Vec<bool> = (0..self.len())
            .map(|shape| self.shape(shape).contains(&column))
            .collect();
        self.of_row.iter().map(move |shape| has[*shape as usize])
    }
}
