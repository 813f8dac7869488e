//! A block as columns of which only those are decoded that somebody asks for.

use std::cell::{OnceCell, RefCell};

use model::{Event, Timestamp, Value};

use crate::budget::Budget;
use crate::column_decoding::Data;
use crate::decode::{Block, MISSING};
use crate::error::DecodeError;

/// The fields that have a column, by number. A column holds values only for the events that have the field, in their
/// order; which these are, the events' shapes say. A column that cannot be decoded has no values, so [`Self::check`] has to
/// be asked before anything is made of what was read.
#[derive(Debug)]
pub struct ByColumn<'b, 'a> {
    block: &'b Block<'a>,
    times: Vec<Timestamp>,
    columns: Vec<OnceCell<Option<Data>>>,
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

    /// How many shapes events have: which fields in which order.
    #[must_use]
    pub fn shapes(&self) -> usize {
        self.block.shapes().len()
    }

    /// The columns of a shape in the order of fields, each once. Numbers from [`Self::columns`] on are fields without a
    /// column. None for a shape that is not there.
    #[must_use]
    pub fn fields(&self, shape: usize) -> &[u32] {
        self.block.shapes().shape(shape)
    }

    /// The shape of each event.
    #[must_use]
    pub fn shape_of_rows(&self) -> &[u32] {
        self.block.shapes().of_row()
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

    /// The values of a column: those that occur, if [`Self::indexes`] tells which event has which, and else those of the
    /// events that have the field, in order. None for a column that is not there or cannot be decoded.
    #[must_use]
    pub fn values(&self, column: usize) -> &[Value] {
        self.data(column).map_or(&[], Data::values)
    }

    /// Which of the values each event has that has the field, in order. `None` when each has its own.
    #[must_use]
    pub fn indexes(&self, column: usize) -> Option<&[u32]> {
        self.data(column).and_then(Data::indexes)
    }

    /// The events at some rows, in order of rows, from what is decoded already and the rest of the block. Rows that are
    /// not there are left out.
    ///
    /// # Errors
    /// As of [`Block::events`].
    pub fn events_at(&self, rows: &[usize]) -> Result<Vec<Event>, DecodeError> {
        self.check()?;
        let known: Vec<Option<&Data>> = self.columns.iter().map(|column| column.get()?.as_ref()).collect();
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

    fn data(&self, column: usize) -> Option<&Data> {
        self.columns.get(column)?.get_or_init(|| self.read(column)).as_ref()
    }

    #[cold]
    fn read(&self, column: usize) -> Option<Data> {
        match self.try_read(column) {
            Ok(data) => Some(data),
            Err(error) => {
                self.error.borrow_mut().get_or_insert(error);
                None
            }
        }
    }

    fn try_read(&self, column: usize) -> Result<Data, DecodeError> {
        let opened = self.block.open_column(column, &mut self.budget.borrow_mut())?;
        // These are never completed by others, so this does not come back here.
        let bases = opened.bases.iter().map(|base| self.data(*base).ok_or(MISSING));
        let bases: Vec<&Data> = bases.collect::<Result<_, _>>()?;
        self.block
            .complete(column, &opened, &bases, &mut self.budget.borrow_mut())
    }
}
