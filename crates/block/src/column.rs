//! One field over a whole block.

use model::Value;

/// Distinct values and which of them each event has. A search looks at every distinct value once and then at numbers.
///
/// Values of fields that rarely repeat are not made distinct: the dictionary may hold equal ones.
#[derive(Clone, Debug, PartialEq)]
pub struct Column {
    dictionary: Vec<Value>,
    rows: Vec<u32>,
}

const ABSENT: u32 = u32::MAX;

impl Column {
    pub(crate) fn new(dictionary: Vec<Value>, rows: impl Iterator<Item = Option<u32>>) -> Self {
        Self {
            dictionary,
            rows: rows.map(|row| row.unwrap_or(ABSENT)).collect(),
        }
    }

    /// Adds what the field has in other rows.
    pub(crate) fn add(&mut self, other: Self) {
        let before = self.dictionary.len() as u32;
        self.dictionary.extend(other.dictionary);
        for (row, other) in self.rows.iter_mut().zip(other.rows) {
            if other != ABSENT {
                *row = before.saturating_add(other);
            }
        }
    }

    /// The values that occur.
    #[must_use]
    pub fn dictionary(&self) -> &[Value] {
        &self.dictionary
    }

    /// How many events the block has, with this field or without.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Never: a block has events.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The field's value in the event at `row`; `None` when it lacks the field.
    #[must_use]
    pub fn get(&self, row: usize) -> Option<&Value> {
        self.dictionary.get(self.index(row)?)
    }

    /// Position in the dictionary of the value of the event at `row`; `None` when it lacks the field.
    #[must_use]
    pub fn index(&self, row: usize) -> Option<usize> {
        self.rows
            .get(row)
            .filter(|index| **index != ABSENT)
            .map(|index| *index as usize)
    }

    /// Every event's value in order.
    pub fn iter(&self) -> impl Iterator<Item = Option<&Value>> {
        (0..self.rows.len()).map(|row| self.get(row))
    }
}
