//! Columns as a search looks at them: texts side by side instead of a value each.

use std::cell::{OnceCell, RefCell};

use model::Value;

use crate::budget::Budget;
use crate::decode::Block;
use crate::error::DecodeError;

/// In place of a position for a row that lacks the field.
const ABSENT: u32 = u32::MAX;

/// One field over a whole block: its values, and which of them each row has. Values of fields that rarely repeat are not
/// made distinct, and some may be of no row.
#[derive(Clone, Debug, PartialEq)]
pub enum View {
    /// All are texts.
    Texts {
        /// The values.
        texts: Texts,
        /// For each row.
        of_row: OfRow,
    },
    /// All are whole numbers.
    Integers {
        /// The values.
        numbers: Vec<i64>,
        /// For each row.
        of_row: OfRow,
    },
    /// Of any kind.
    Values {
        /// The values.
        values: Vec<Value>,
        /// For each row.
        of_row: OfRow,
    },
}

/// Which value each row has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OfRow(Vec<u32>);

impl OfRow {
    /// For rows that have the field or not, of whose values the `n`-th is at `indexes[n]`, or at `n` without indexes.
    pub(crate) fn of_present(present: impl Iterator<Item = bool>, indexes: Option<&[u32]>) -> Self {
        let mut position = 0_usize;
        Self(
            present
                .map(|present| {
                    if !present {
                        return ABSENT;
                    }
                    let here = position;
                    position += 1;
                    match indexes {
                        Some(indexes) => indexes.get(here).copied().unwrap_or(ABSENT),
                        None => u32::try_from(here).unwrap_or(ABSENT),
                    }
                })
                .collect(),
        )
    }

    /// Forgets the values of rows that are not `present`.
    pub(crate) fn keep(&mut self, present: impl Iterator<Item = bool>) {
        for (position, present) in self.0.iter_mut().zip(present) {
            if !present {
                *position = ABSENT;
            }
        }
    }
}

/// Texts, one after the other in one text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Texts {
    all: String,
    /// Where each ends.
    ends: Vec<u32>,
}

impl Texts {
    pub(crate) fn new(all: String, ends: Vec<u32>) -> Self {
        Self { all, ends }
    }

    pub(crate) fn with_capacity(texts: usize, bytes: usize) -> Self {
        Self {
            all: String::with_capacity(bytes),
            ends: Vec::with_capacity(texts),
        }
    }

    /// Appends a text made of two parts.
    pub(crate) fn push(&mut self, head: &str, tail: &str) -> Result<(), DecodeError> {
        self.all.push_str(head);
        self.all.push_str(tail);
        self.ends
            .push(u32::try_from(self.all.len()).map_err(|_| DecodeError::TooLarge)?);
        Ok(())
    }

    /// How many.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// All texts without anything between them.
    #[must_use]
    pub fn all(&self) -> &str {
        &self.all
    }

    /// One of them; empty when it is not there.
    #[must_use]
    pub fn get(&self, index: usize) -> &str {
        let (start, end) = self.place(index);
        self.all.get(start..end).unwrap_or_default()
    }

    /// Where it begins and ends in [`Self::all`].
    #[must_use]
    pub fn place(&self, index: usize) -> (usize, usize) {
        let end = |index: usize| self.ends.get(index).map_or(self.all.len(), |end| *end as usize);
        let start = index.checked_sub(1).map_or(0, end);
        (start, end(index).max(start))
    }

    /// Which text the byte at a place of [`Self::all`] belongs to.
    #[must_use]
    pub fn index_at(&self, place: usize) -> usize {
        self.ends.partition_point(|end| *end as usize <= place)
    }
}

impl View {
    fn of_row(&self) -> &OfRow {
        match self {
            Self::Texts { of_row, .. } | Self::Integers { of_row, .. } | Self::Values { of_row, .. } => of_row,
        }
    }

    /// Position of the row's value; `None` when it lacks the field.
    #[must_use]
    pub fn index(&self, row: usize) -> Option<usize> {
        let position = self.of_row().0.get(row)?;
        (*position != ABSENT).then_some(*position as usize)
    }

    /// The row's value, when it is text.
    #[must_use]
    pub fn text(&self, row: usize) -> Option<&str> {
        let index = self.index(row)?;
        match self {
            Self::Texts { texts, .. } => Some(texts.get(index)),
            Self::Values { values, .. } => values.get(index)?.as_str(),
            Self::Integers { .. } => None,
        }
    }

    /// How many rows there are, with the field or without.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.of_row().0.len()
    }

    /// How many values there are.
    #[must_use]
    pub fn values(&self) -> usize {
        match self {
            Self::Texts { texts, .. } => texts.len(),
            Self::Integers { numbers, .. } => numbers.len(),
            Self::Values { values, .. } => values.len(),
        }
    }

    /// The texts, when all values are.
    #[must_use]
    pub fn texts(&self) -> Option<&Texts> {
        match self {
            Self::Texts { texts, .. } => Some(texts),
            Self::Integers { .. } | Self::Values { .. } => None,
        }
    }
}

/// All columns of a block, each decoded when it is asked for first.
#[derive(Debug)]
pub struct Views<'b, 'a> {
    block: &'b Block<'a>,
    views: Vec<OnceCell<View>>,
    /// For all columns together.
    budget: RefCell<Budget>,
}

impl<'b, 'a> Views<'b, 'a> {
    pub(crate) fn new(block: &'b Block<'a>, columns: usize, budget: Budget) -> Self {
        Self {
            block,
            views: vec![OnceCell::new(); columns],
            budget: RefCell::new(budget),
        }
    }

    /// How many columns.
    #[must_use]
    pub fn columns(&self) -> usize {
        self.views.len()
    }

    /// The name of a column; empty for one that is not there.
    #[must_use]
    pub fn name(&self, column: usize) -> &str {
        self.block.name_of(column).unwrap_or_default()
    }

    /// The columns of a field: none, or one for all rows, or several for some each.
    #[must_use]
    pub fn columns_of(&self, field: &str) -> std::ops::Range<usize> {
        self.block.numbers_of(field)
    }

    /// A column.
    ///
    /// # Errors
    /// When it is not there, malformed, its layout is not known, or all asked for so far would take too much memory.
    pub fn get(&self, column: usize) -> Result<&View, DecodeError> {
        const NO_COLUMN: DecodeError = DecodeError::Malformed("there is no such column");
        let cell = self.views.get(column).ok_or(NO_COLUMN)?;
        if let Some(view) = cell.get() {
            return Ok(view);
        }
        let view = self.block.read_view(column, &mut self.budget.borrow_mut())?;
        Ok(cell.get_or_init(|| view))
    }
}
