//! Rules over a stored block as columns: only those are decoded that rules read.

use block::{Block, ByColumn, DecodeError};
use model::{Timestamp, Value};
use sigma::{Columns, RuleSet, Scratch};

/// Most matches kept for one block; a block with more is evaluated event by event.
const MAX_MATCHES: usize = 4_000_000;

/// Which rules match which events of a block.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// How many events were looked at.
    pub events: u64,
    /// Rows of the events that a rule matches, in ascending order.
    pub rows: Vec<usize>,
    /// Where the matches of each of these events end.
    ends: Vec<usize>,
    matches: Vec<u32>,
}

impl Found {
    /// For each of the rows the positions of the rules that match, in ascending order.
    pub fn matches(&self) -> impl Iterator<Item = &[u32]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        let ranges = starts.zip(&self.ends);
        ranges.map(|(start, end)| self.matches.get(start..*end).unwrap_or_default())
    }
}

/// Finds the events of a block at times that `holds` takes that rules match. `None` when the block has to be evaluated
/// event by event: it has fields without a column, its events tell fields apart by spaces, which rules do not, or there
/// are too many matches.
///
/// # Errors
/// When a column that is needed cannot be decoded.
pub fn find(
    set: &RuleSet,
    block: &Block<'_>,
    holds: impl Fn(Timestamp) -> bool,
    scratch: &mut Scratch,
) -> Result<Option<Found>, DecodeError> {
    if !block.has_all_columns() || has_ambiguous_names(block) {
        return Ok(None);
    }
    let stored = Stored(block.by_column()?);
    let mut found = Found {
        events: (0..stored.rows()).filter(|row| holds(stored.time(*row))).count() as u64,
        ..Found::default()
    };
    if found.events == 0 || set.is_empty() {
        return Ok(Some(found));
    }
    let mut is_full = false;
    set.evaluate_columns(&stored, scratch, |row, hits| {
        is_full |= found.matches.len() + hits.len() > MAX_MATCHES;
        if !is_full && holds(stored.time(row)) {
            found.rows.push(row);
            found
                .matches
                .extend(hits.iter().filter_map(|hit| u32::try_from(*hit).ok()));
            found.ends.push(found.matches.len());
        }
    });
    stored.0.finish()?;
    Ok((!is_full).then_some(found))
}

/// Which of two names that differ only in spaces counts depends on their order in the event, which columns do not tell.
fn has_ambiguous_names(block: &Block<'_>) -> bool {
    let names: Vec<&str> = block.field_names().collect();
    let is_same = |name: &str, other: &str| name != other && name.replace(' ', "") == other.replace(' ', "");
    names
        .iter()
        .filter(|name| name.contains(' '))
        .any(|name| names.iter().any(|other| is_same(name, other)))
}

pub(super) struct Stored<'b, 'a>(pub(super) ByColumn<'b, 'a>);

impl Columns for Stored<'_, '_> {
    fn rows(&self) -> usize {
        self.0.rows()
    }

    fn time(&self, row: usize) -> Timestamp {
        self.0.time(row)
    }

    fn columns(&self) -> usize {
        self.0.columns()
    }

    fn name(&self, column: usize) -> &str {
        self.0.name(column)
    }

    #[inline]
    fn value(&self, column: usize, row: usize) -> Option<&Value> {
        self.0.value(column, row)
    }
}
