//! What a block is made of but for its values: read once from its head, and enough to read any of its columns.

use model::Timestamp;
use model::event::FieldName;

use crate::budget::Budget;
use crate::error::DecodeError;
use crate::frame;
use crate::head::{Head, Listed};
use crate::layout::{MAX_EVENTS, section};
use crate::shapes::Shapes;
use crate::wire::{Reader, unzigzag};

pub(crate) const WRONG_COUNT: DecodeError = DecodeError::Malformed("a column's number of values is wrong");

/// Which columns a block has and which events have values in them. For whoever reads further columns of a block later: see
/// [`crate::Block::of_outline`].
#[derive(Clone, Debug)]
pub struct Outline {
    pub(crate) count: usize,
    pub(crate) min_time: Timestamp,
    pub(crate) max_time: Timestamp,
    pub(crate) columns: Vec<Outlined>,
    /// How many values have no column, and how long their names and they themselves are.
    pub(crate) overflow: Option<(usize, [usize; 2])>,
    pub(crate) shapes: Shapes,
    /// What reading it has left.
    pub(crate) budget: Budget,
}

/// A column that a block has.
#[derive(Clone, Debug)]
pub(crate) struct Outlined {
    pub(crate) name: FieldName,
    /// Which of the field's columns it is. They stand side by side.
    pub(crate) part: usize,
    /// Bytes of it in the block.
    pub(crate) len: usize,
    /// How many values.
    pub(crate) count: usize,
}

impl Outline {
    pub(crate) fn get(head: &Head<'_>) -> Result<Self, DecodeError> {
        let mut budget = Budget::new();
        let directory = head.directory(&mut budget)?;
        let mut header = Reader::new(head.section(section::HEADER)?, "header");
        let count = header.len()?;
        if !(1..=MAX_EVENTS).contains(&count) {
            return Err(DecodeError::Malformed("the number of events is out of range"));
        }
        let min_time = Timestamp(unzigzag(header.varint()?));
        let max_time = Timestamp(unzigzag(header.varint()?));
        let shapes = frame::get(head.section(section::SHAPES)?, &mut budget)?;
        let listed = directory.columns;
        let firsts: Vec<usize> = listed.iter().zip(0..).map(|(listed, at)| at - listed.part).collect();
        let shapes = Shapes::get(&mut Reader::new(&shapes, "shapes"), count, &firsts, &mut budget)?;
        let (counts, overflow_count) = shapes.counts(listed.len());
        if directory.overflow.map_or(0, |(count, _)| count) != overflow_count {
            return Err(WRONG_COUNT);
        }
        budget.take_items::<Outlined>(listed.len())?;
        let columns = listed.into_iter().zip(counts);
        let columns = columns.map(|(Listed { name, part, len }, count)| Outlined { name, part, len, count });
        Ok(Self {
            count,
            min_time,
            max_time,
            columns: columns.collect(),
            overflow: directory.overflow,
            shapes,
            budget,
        })
    }

    /// About how much memory it takes, in bytes.
    #[must_use]
    pub fn weight(&self) -> usize {
        self.columns.len() * size_of::<Outlined>() + self.shapes.weight()
    }
}
