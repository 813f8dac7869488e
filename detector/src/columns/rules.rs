//! Rules over a block's columns: only those are decoded that rules read.

use block::{ByColumn, DecodeError};
use model::{Timestamp, Value};
use sigma::{Columns, RuleSet, Scratch};

/// Most matches kept for one block; a block with more is evaluated event by event.
const MAX_MATCHES: usize = 4_000_000;

/// Which rules match which events of a block.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// How many events were looked at.
    pub events: u64,
    /// Rows of the events that rules match, in ascending order.
    pub rows: Vec<usize>,
    /// Where the matches of each of these events end.
    ends: Vec<usize>,
    matches: Vec<u32>,
}

impl Found {
    /// For each of the rows the positions of the rules that match, in ascending order.
    pub fn matches(&self) -> impl Iterator<Item = &[u32]> {
        (0..self.rows.len()).map(|position| self.at(position))
    }

    /// The same for the row at a position in [`Self::rows`].
    fn at(&self, position: usize) -> &[u32] {
        let start = position.checked_sub(1).and_then(|before| self.ends.get(before));
        let end = self.ends.get(position).copied().unwrap_or_default();
        self.matches
            .get(start.copied().unwrap_or_default()..end)
            .unwrap_or_default()
    }

    /// The positions of the rules that match the event at `row`, in ascending order.
    pub(crate) fn of_row(&self, row: usize) -> &[u32] {
        self.rows.binary_search(&row).map_or(&[], |position| self.at(position))
    }
}

/// Finds the events of a block at times that `holds` takes that rules match. `None` when there are too many matches,
/// and the block has to be evaluated event by event.
///
/// # Errors
/// When a column that is needed cannot be decoded.
pub fn find(
    set: &RuleSet,
    columns: &ByColumn<'_, '_>,
    holds: impl Fn(Timestamp) -> bool,
    scratch: &mut Scratch,
) -> Result<Option<Found>, DecodeError> {
    let mut found = Found {
        events: (0..columns.rows()).filter(|row| holds(columns.time(*row))).count() as u64,
        ..Found::default()
    };
    if found.events == 0 {
        return Ok(Some(found));
    }
    let mut is_full = false;
    set.evaluate_columns(&Stored(columns), scratch, |row, hits| {
        is_full |= found.matches.len() + hits.len() > MAX_MATCHES;
        if !is_full && holds(columns.time(row)) {
            found.rows.push(row);
            found
                .matches
                .extend(hits.iter().filter_map(|hit| u32::try_from(*hit).ok()));
            found.ends.push(found.matches.len());
        }
    });
    columns.check()?;
    Ok((!is_full).then_some(found))
}

struct Stored<'s, 'b, 'a>(&'s ByColumn<'b, 'a>);

impl Columns for Stored<'_, '_, '_> {
    fn rows(&self) -> usize {
        self.0.rows()
    }

    fn time(&self, row: usize) -> Timestamp {
        self.0.time(row)
    }

    fn shape(&self, row: usize) -> usize {
        let shape = self.0.shape_of_rows().get(row);
        shape.map_or(usize::MAX, |shape| *shape as usize)
    }

    fn shapes(&self) -> usize {
        self.0.shapes()
    }

    fn fields(&self, shape: usize) -> &[u32] {
        self.0.fields(shape)
    }

    fn columns(&self) -> usize {
        self.0.columns()
    }

    fn name(&self, column: usize) -> &str {
        self.0.name(column)
    }

    fn values(&self, column: usize) -> &[Value] {
        self.0.values(column)
    }

    fn indexes(&self, column: usize) -> Option<&[u32]> {
        self.0.indexes(column)
    }
}
