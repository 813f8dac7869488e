//! Turning rows into columns: which fields there are, in what order each event has them, and their values.

use model::{Event, Value};
use rustc_hash::FxHashMap;

use crate::error::EncodeError;
use crate::layout::{FIELD_BYTES, MAX_COLUMNS, MAX_WEIGHT, heap_bytes};
use crate::values::{self, MAX_NESTING};

/// One field over all events that have it, in row order.
#[derive(Debug)]
pub(crate) struct RawColumn<'a> {
    pub(crate) name: &'a str,
    pub(crate) rows: Vec<u32>,
    pub(crate) values: Vec<&'a Value>,
    /// Which part of the block's rows these are; `None` of a field that is not cut.
    pub(crate) part: Option<usize>,
    /// The column that came after this one the last time; mostly it does again.
    next: u32,
}

impl<'a> RawColumn<'a> {
    /// For whoever asks for one row after the other.
    pub(crate) fn cursor(&self) -> Cursor<'_, 'a> {
        Cursor { column: self, next: 0 }
    }

    /// A part of it, by positions.
    pub(crate) fn some(&self, positions: std::ops::Range<usize>, part: usize) -> Self {
        Self {
            name: self.name,
            rows: self.rows.get(positions.clone()).unwrap_or_default().to_vec(),
            values: self.values.get(positions).unwrap_or_default().to_vec(),
            part: Some(part),
            next: 0,
        }
    }
}

/// Where one is in a column.
pub(crate) struct Cursor<'c, 'a> {
    column: &'c RawColumn<'a>,
    next: usize,
}

impl<'a> Cursor<'_, 'a> {
    /// The text in a row that is not before those asked for so far; `None` when it has none.
    pub(crate) fn text_at(&mut self, row: u32) -> Option<&'a str> {
        let rest = self.column.rows.get(self.next..)?;
        self.next += rest.iter().take_while(|other| **other < row).count();
        if self.column.rows.get(self.next) != Some(&row) {
            return None;
        }
        self.column.values.get(self.next)?.as_str()
    }
}

/// A block's events, turned.
#[derive(Debug, Default)]
pub(crate) struct Table<'a> {
    pub(crate) columns: Vec<RawColumn<'a>>,
    /// Fields beyond [`MAX_COLUMNS`], event by event. In shapes they are [`OVERFLOW`].
    pub(crate) overflow: Vec<(&'a str, &'a Value)>,
    /// Distinct field orders, as column numbers.
    pub(crate) shapes: Vec<Box<[u32]>>,
    /// The shape of each event.
    pub(crate) shape_of: Vec<u32>,
    by_name: FxHashMap<&'a str, u32>,
    by_shape: FxHashMap<Box<[u32]>, u32>,
}

/// Column number of a field without a column of its own.
pub(crate) const OVERFLOW: u32 = u32::MAX;

impl<'a> Table<'a> {
    pub(crate) fn new(events: &'a [Event]) -> Result<Self, EncodeError> {
        let mut table = Self::default();
        let mut weight = 0_usize;
        let mut shape = Vec::new();
        for (row, event) in events.iter().enumerate() {
            weight = weight.saturating_add(table.add(row, event, &mut shape)?);
            if weight > MAX_WEIGHT {
                return Err(EncodeError::TooHeavy { index: row });
            }
        }
        Ok(table)
    }

    /// Adds one event and returns its weight.
    fn add(&mut self, row: usize, event: &'a Event, shape: &mut Vec<u32>) -> Result<usize, EncodeError> {
        shape.clear();
        let mut weight = size_of::<Event>();
        let mut guess = 0;
        let overflow_start = self.overflow.len();
        for (name, value) in event.fields.iter() {
            weight += FIELD_BYTES + name.len() + heap_bytes(value);
            check_nesting(row, name, value)?;
            let number = self.column_of(name, guess);
            if let Some(previous) = shape.last().and_then(|last| self.columns.get_mut(*last as usize)) {
                previous.next = number;
            }
            shape.push(number);
            let Some(column) = self.columns.get_mut(number as usize) else {
                self.overflow.push((name, value));
                continue;
            };
            if column.rows.last() == Some(&(row as u32)) {
                return Err(duplicate(row, name));
            }
            column.rows.push(row as u32);
            column.values.push(value);
            guess = column.next;
        }
        check_overflow(row, &self.overflow[overflow_start..])?;
        let number = match self.by_shape.get(shape.as_slice()) {
            Some(number) => *number,
            None => {
                let number = self.shapes.len() as u32;
                self.shapes.push(shape.clone().into_boxed_slice());
                self.by_shape.insert(shape.clone().into_boxed_slice(), number);
                number
            }
        };
        self.shape_of.push(number);
        Ok(weight)
    }

    fn column_of(&mut self, name: &'a str, guess: u32) -> u32 {
        // Mostly both are the same text of the program, which need not be compared byte by byte.
        if let Some(column) = self.columns.get(guess as usize)
            && (std::ptr::eq(column.name, name) || column.name == name)
        {
            return guess;
        }
        if let Some(number) = self.by_name.get(name) {
            return *number;
        }
        if self.columns.len() == MAX_COLUMNS {
            return OVERFLOW;
        }
        let number = self.columns.len() as u32;
        self.columns.push(RawColumn {
            name,
            rows: Vec::new(),
            values: Vec::new(),
            part: None,
            next: number + 1,
        });
        self.by_name.insert(name, number);
        number
    }
}

fn duplicate(row: usize, name: &str) -> EncodeError {
    EncodeError::DuplicateField {
        index: row,
        field: name.to_owned(),
    }
}

fn check_nesting(row: usize, name: &str, value: &Value) -> Result<(), EncodeError> {
    if let Value::List(values) = value
        && values.iter().any(|inner| matches!(inner, Value::List(_)))
        && values::nesting(value) > MAX_NESTING
    {
        return Err(EncodeError::TooDeep {
            index: row,
            field: name.to_owned(),
        });
    }
    Ok(())
}

fn check_overflow(row: usize, fields: &[(&str, &Value)]) -> Result<(), EncodeError> {
    if fields.len() < 2 {
        return Ok(());
    }
    let mut names: Vec<&str> = fields.iter().map(|(name, _)| *name).collect();
    names.sort_unstable();
    match names.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => Err(duplicate(row, pair[0])),
        None => Ok(()),
    }
}
