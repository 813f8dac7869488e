//! The columns that rules ask for, and the row that is looked at.

use std::borrow::Cow;
use std::ops::Range;

use model::{Timestamp, Value};
use rustc_hash::FxHashMap;

use super::Columns;
use crate::engine::event::Values;
use crate::engine::scratch::ItemInfo;
use crate::engine::slots::{Name, Names, UNKNOWN, is_searched_by_keywords};
use crate::engine::source::Item;

/// A number of a value that no value has.
pub(crate) const ABSENT: u32 = u32::MAX;

/// A column that rules ask for.
#[derive(Debug)]
pub(crate) struct Asked<'c> {
    pub(crate) info: ItemInfo,
    pub(crate) values: &'c [Value],
    /// By event that has the field, in order: the number of its value, which is a position in `values`. `None` when values
    /// do not repeat: each event has the next.
    numbers: Option<Cow<'c, [u32]>>,
    /// How many events before the current one have the field.
    next: usize,
}

impl Asked<'_> {
    /// Whether different events have the same value.
    pub(crate) fn repeats(&self) -> bool {
        self.numbers.is_some()
    }
}

/// What events of one shape have in common.
#[derive(Debug, Default)]
pub(crate) struct Shape {
    /// The columns of its items, by position among those that are asked for.
    pub(crate) columns: Box<[u32]>,
    /// What is known of its items: the fields that are asked for, and behind them the event's time.
    pub(crate) items: Box<[ItemInfo]>,
}

/// The columns, and one row after the other.
pub(crate) struct Table<'c, C> {
    source: &'c C,
    pub(crate) columns: Vec<Asked<'c>>,
    pub(crate) shapes: Vec<Shape>,
    /// The shape of the current row.
    pub(crate) shape: usize,
    /// The numbers of the values of all items of all rows, one row after the other.
    numbers: Vec<u32>,
    /// Where those of each row start.
    starts: Vec<usize>,
    /// Those of the current row.
    range: Range<usize>,
    pub(crate) time: Timestamp,
}

impl<'c, C: Columns> Table<'c, C> {
    /// `all` takes fields that are only asked for by keywords. `time` is the name of the event's time.
    pub(crate) fn new(source: &'c C, names: &Names, all: bool, time: Name) -> Self {
        let mut columns = Vec::new();
        let places: Vec<Option<u32>> = (0..source.columns())
            .map(|column| {
                let name = source.name(column);
                let info = ItemInfo {
                    name: names.get(name),
                    searched: is_searched_by_keywords(name),
                };
                if info.name == UNKNOWN && !(all && info.searched) {
                    return None;
                }
                let values = source.values(column);
                let given = source.indexes(column).map(Cow::Borrowed);
                columns.push(Asked {
                    info,
                    values,
                    numbers: given.or_else(|| repeating_integers(values).map(Cow::Owned)),
                    next: 0,
                });
                u32::try_from(columns.len() - 1).ok()
            })
            .collect();
        let shapes = (0..source.shapes())
            .map(|shape| {
                let fields = source.fields(shape).iter();
                let of_shape: Box<[u32]> = fields
                    .filter_map(|column| places.get(*column as usize).copied().flatten())
                    .collect();
                let infos = of_shape.iter().filter_map(|column| columns.get(*column as usize));
                let time = (time != UNKNOWN).then_some(ItemInfo {
                    name: time,
                    searched: false,
                });
                Shape {
                    items: infos.map(|column| column.info).chain(time).collect(),
                    columns: of_shape,
                }
            })
            .collect();
        Self {
            source,
            columns,
            shapes,
            shape: 0,
            numbers: Vec::new(),
            starts: Vec::with_capacity(source.rows()),
            range: 0..0,
            time: Timestamp(0),
        }
    }

    /// Goes to the row behind those that were read.
    pub(crate) fn read(&mut self, row: usize) {
        let start = self.numbers.len();
        self.starts.push(start);
        self.shape = self.source.shape(row);
        self.time = self.source.time(row);
        let Some(shape) = self.shapes.get(self.shape) else {
            return;
        };
        for column in &shape.columns {
            let Some(column) = self.columns.get_mut(*column as usize) else {
                continue;
            };
            let position = column.next;
            column.next += 1;
            self.numbers.push(match &column.numbers {
                Some(numbers) => numbers.get(position).copied().unwrap_or(ABSENT),
                None => u32::try_from(position).unwrap_or(ABSENT),
            });
        }
        self.range = start..self.numbers.len();
    }

    /// Goes to a row that was read.
    pub(crate) fn go_to(&mut self, row: usize) {
        let start = |row: usize| self.starts.get(row).copied().unwrap_or(self.numbers.len());
        self.range = start(row)..start(row + 1);
        self.shape = self.source.shape(row);
        self.time = self.source.time(row);
    }

    /// The numbers of the values of the current row's items.
    #[inline]
    pub(crate) fn numbers(&self) -> &[u32] {
        self.numbers.get(self.range.clone()).unwrap_or_default()
    }

    pub(crate) fn current(&self) -> Row<'_> {
        let shape = self.shapes.get(self.shape);
        Row {
            columns: &self.columns,
            of_items: shape.map(|shape| shape.columns.as_ref()).unwrap_or_default(),
            numbers: self.numbers(),
            time: self.time,
        }
    }
}

/// An event.
pub(crate) struct Row<'t> {
    columns: &'t [Asked<'t>],
    of_items: &'t [u32],
    numbers: &'t [u32],
    time: Timestamp,
}

impl Values for Row<'_> {
    #[inline]
    fn value(&self, item: Item) -> Option<&Value> {
        let column = self.columns.get(*self.of_items.get(item as usize)? as usize)?;
        column.values.get(*self.numbers.get(item as usize)? as usize)
    }

    fn time(&self) -> Timestamp {
        self.time
    }
}

/// For each of the values the position of the first that is the same. `None` when they are not all integers or seldom
/// repeat: blocks store integers one by one.
fn repeating_integers(values: &[Value]) -> Option<Vec<u32>> {
    let mut first = FxHashMap::default();
    let mut numbers = Vec::with_capacity(values.len());
    let mut previous = None;
    for (value, position) in values.iter().zip(0_u32..) {
        let Value::Int(value) = value else { return None };
        let number = match previous {
            Some((same, number)) if same == value => number,
            _ => *first.entry(*value).or_insert(position),
        };
        previous = Some((value, number));
        numbers.push(number);
        if first.len() > 32 + numbers.len() / 4 {
            return None;
        }
    }
    Some(numbers)
}
