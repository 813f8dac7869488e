//! Events that are rows of columns, as blocks store them.

use model::{Timestamp, Value};

use crate::engine::event::Values;
use crate::engine::scratch::ItemInfo;
use crate::engine::source::Item;

/// Events by column: for each field, its distinct values and which of them each event has.
pub trait Columns {
    /// How many events.
    fn rows(&self) -> usize;

    /// When the event at `row` happened.
    fn time(&self, row: usize) -> Timestamp;

    /// How many fields.
    fn columns(&self) -> usize;

    /// The name of a field.
    fn name(&self, column: usize) -> &str;

    /// The value of a field in the event at `row`; `None` when it lacks the field.
    fn value(&self, column: usize, row: usize) -> Option<&Value>;
}

/// The event at a row.
pub(crate) struct Row<'a, C> {
    pub(crate) columns: &'a C,
    pub(crate) row: usize,
    /// The columns of its fields.
    pub(crate) present: &'a [u32],
}

impl<C: Columns> Values for Row<'_, C> {
    #[inline]
    fn value(&self, item: Item) -> Option<&Value> {
        let column = self.present.get(item as usize)?;
        self.columns.value(*column as usize, self.row)
    }

    fn time(&self) -> Timestamp {
        self.columns.time(self.row)
    }
}

/// Columns worth looking at, and what is known of them by name.
pub(crate) type Known = Vec<(u32, ItemInfo)>;
