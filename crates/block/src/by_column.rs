//! A block as columns of which only those are decoded that somebody asks for.

use std::cell::{OnceCell, RefCell};

use model::{Event, Timestamp, Value};

use crate::budget::Budget;
use crate::column::Column;
use crate::decode::Block;
use crate::error::DecodeError;

/// The fields that have a column, by number. A column that cannot be decoded has no values, so [`Self::check`] has to be
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

    /// Whether the column may have texts, be it in lists. Tells without decoding it.
    #[must_use]
    pub fn may_have_texts(&self, column: usize) -> bool {
        self.block.may_have_texts(column)
    }

    /// A column; `None` for one that is not there or cannot be decoded.
    #[must_use]
    #[inline]
    pub fn column(&self, column: usize) -> Option<&Column> {
        self.columns.get(column)?.get_or_init(|| self.read(column)).as_ref()
    }

    /// The value of a column at `row`; `None` when the event lacks the field.
    #[must_use]
    #[inline]
    pub fn value(&self, column: usize, row: usize) -> Option<&Value> {
        self.column(column)?.get(row)
    }

    /// The columns of the event at `row` in the order of its fields; none for a row that is not there. Numbers from
    /// [`Self::columns`] on are fields without a column.
    #[must_use]
    #[inline]
    pub fn fields(&self, row: usize) -> &[u32] {
        self.block.shapes().of_row(row)
    }

    /// The events at some rows, in order of rows, from what is decoded already and the rest of the block. Rows that are
    /// not there are left out.
    ///
    /// # Errors
    /// As of [`Block::events`].
    pub fn events_at(&self, rows: &[usize]) -> Result<Vec<Event>, DecodeError> {
        self.check()?;
        let known: Vec<Option<&Column>> = self.columns.iter().map(|column| column.get()?.as_ref()).collect();
        self.block.events_beside(rows, &known, self.budget.borrow().clone())
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
    pub fn check(&self) -> Result<(), DecodeError> {
        self.error.borrow().clone().map_or(Ok(()), Err)
    }

    #[cold]
    fn read(&self, column: usize) -> Option<Column> {
        match self.try_read(column) {
            Ok(column) => Some(column),
            Err(error) => {
                self.error.borrow_mut().get_or_insert(error);
                None
            }
        }
    }

    fn try_read(&self, column: usize) -> Result<Column, DecodeError> {
        let opened = self.block.open_column(column, &mut self.budget.borrow_mut())?;
        // That column is never completed by another, so this does not come back here.
        let base = opened.base.and_then(|base| self.column(base));
        self.block
            .finish_column(column, &opened, base, &mut self.budget.borrow_mut())
    }
}
