//! Events that are rows of columns, as blocks store them.
//!
//! What depends on one value alone is found out once for each value that a column has, and not for each row: what the
//! index finds in it, which bucket it leads to, and what it answers to the questions of rules. Values that are looked up in
//! the index are first collected over all rows, so that many are searched together.

mod lookup;
mod memory;
mod plan;
mod run;
mod table;

use model::{Timestamp, Value};

pub(crate) use run::{Run, Working};
pub(crate) use table::Table;

/// Events by column: for each field its values, and for each event which fields it has. Events with the same fields in the
/// same order have the same shape.
pub trait Columns {
    /// How many events.
    fn rows(&self) -> usize;

    /// When the event at `row` happened.
    fn time(&self, row: usize) -> Timestamp;

    /// The shape of the event at `row`.
    fn shape(&self, row: usize) -> usize;

    /// How many shapes.
    fn shapes(&self) -> usize;

    /// The columns of a shape in the order of fields, each once.
    fn fields(&self, shape: usize) -> &[u32];

    /// How many columns.
    fn columns(&self) -> usize;

    /// The name of a column's field. Several columns may have the same, of which each event has one at most.
    fn name(&self, column: usize) -> &str;

    /// The values of a column: those that occur, if [`Self::indexes`] tells which event has which, and else those of the
    /// events that have the field, in order.
    fn values(&self, column: usize) -> &[Value];

    /// Which of the values each event has that has the field, in order. `None` when each has its own.
    fn indexes(&self, column: usize) -> Option<&[u32]>;
}
