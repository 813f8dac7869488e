//! A block as columns of which only those are decoded that somebody asks for.

use std::cell::{OnceCell, RefCell};

use model::{Timestamp, Value};

use crate::budget::Budget;
use crate::column::Column;
use crate::decode::Block;
use crate::error::DecodeError;

/// The fields that have a column, by number. A column that cannot be decoded has no values, so [`Self::finish`] has to be
/// asked before anything is made of what was read.
#[derive(Debug)]
pub struct ByColumn<'b, 'a> {
    block: &'b Block<'a>,
    times: Vec<Timestamp>,
    columns: Vec<OnceCell<Option<Column>>>,
    /// For all columns together.
    budget: RefCell<Budget>,
    error: RefCell<Option<DecodeError>>,
}

impl<'b, 'a> ByColumn<'b, 'a> {
    pub(crate) fn new(block: &'b Block<'a>, columns: usize, times: Vec<Timestamp>, budget: Budget) -> Self {
        Self {
            block,
            times,
            columns: vec![OnceCell::new(); columns],
            budget: RefCell::new(budget),
            error: RefCell::new(None),
        }
    }

    /// How many events.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.times.len()
    }

    /// The time of the event at `row`; the epoch for a row that is not there.
    #[must_use]
    pub fn time(&self, row: usize) -> Timestamp {
        self.times.get(row).copied().unwrap_or(Timestamp(0))
    }

    /// How many columns.
    #[must_use]
    pub fn columns(&self) -> usize {
        self.columns.len()
    }

    /// The name of a column; empty for one that is not there.
    #[must_use]
    pub fn name(&self, column: usize) -> &str {
        self.block.name_of(column).unwrap_or_default()
    }

    /// The value of a column at `row`; `None` when the event lacks the field.
    #[must_use]
    pub fn value(&self, column: usize, row: usize) -> Option<&Value> {
        let known = self.columns.get(column)?.get_or_init(|| self.read(column));
        known.as_ref()?.get(row)
    }

    /// How many columns were decoded so far.
    #[must_use]
    pub fn decoded(&self) -> usize {
        self.columns.iter().filter(|column| column.get().is_some()).count()
    }

    /// Whether all that was asked for could be decoded.
    ///
    /// # Errors
    /// When a column is malformed, its layout is not known, or all would take too much memory.
    pub fn finish(self) -> Result<(), DecodeError> {
        self.error.into_inner().map_or(Ok(()), Err)
    }

    #[cold]
    fn read(&self, column: usize) -> Option<Column> {
        match self.block.whole_column(column, &mut self.budget.borrow_mut()) {
            Ok(column) => Some(column),
            Err(error) => {
                self.error.borrow_mut().get_or_insert(error);
                None
            }
        }
    }
}
