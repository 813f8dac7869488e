//! Putting events together from the values of their columns.

use std::iter::{Enumerate, Peekable, Zip};
use std::{slice, vec};

use model::{Event, EventId, FieldName, Fields, Timestamp, Value};

use crate::budget::Budget;
use crate::column_decoding::{Data, SHORT};
use crate::error::DecodeError;
use crate::layout::{FIELD_BYTES, heap_bytes};
use crate::shapes::Shapes;
use crate::table::OVERFLOW;

/// Gives the values of a column, those that are wanted, in order.
pub(crate) enum Feed<'c> {
    /// Each value on its own.
    Plain(vec::IntoIter<Value>),
    /// Copies, which own nothing, of values by position.
    Dictionary(Vec<Value>, vec::IntoIter<u32>),
    /// Copies of all values of a column that somebody else has.
    Known(&'c Data, usize),
    /// Copies of such values by position.
    KnownAt(&'c Data, vec::IntoIter<u32>),
}

impl<'c> Feed<'c> {
    pub(crate) fn read(data: Data) -> Self {
        match data {
            Data::Plain(values) => Self::Plain(values.into_iter()),
            Data::Dictionary(values, indexes) => Self::Dictionary(values, indexes.into_iter()),
        }
    }

    /// `positions` are those that are wanted, if not all are.
    pub(crate) fn known(data: &'c Data, positions: Option<Vec<u32>>) -> Self {
        match positions {
            Some(positions) => Self::KnownAt(data, positions.into_iter()),
            None => Self::Known(data, 0),
        }
    }

    #[inline]
    fn next(&mut self, budget: &mut Budget) -> Result<Value, DecodeError> {
        let value = match self {
            Self::Plain(values) => return values.next().ok_or(SHORT),
            Self::Dictionary(values, indexes) => {
                let value = indexes.next().and_then(|index| values.get(index as usize));
                return value.cloned().ok_or(SHORT);
            }
            Self::Known(data, next) => {
                let position = *next;
                *next += 1;
                data.at(position)
            }
            Self::KnownAt(data, positions) => positions.next().and_then(|position| data.at(position as usize)),
        };
        let value = value.ok_or(SHORT)?;
        budget.take(heap_bytes(value))?;
        Ok(value.clone())
    }
}

type Rows<'b> = Enumerate<Zip<Zip<vec::IntoIter<EventId>, vec::IntoIter<Timestamp>>, slice::Iter<'b, u32>>>;

/// The events of a block, or those at some rows, in order.
pub(crate) struct Events<'b> {
    /// Of all events: the id, the time and the shape.
    pub(crate) rows: Rows<'b>,
    /// The rows that are left, if not all are wanted.
    pub(crate) wanted: Option<Peekable<slice::Iter<'b, usize>>>,
    pub(crate) shapes: &'b Shapes,
    /// Of each column, its name and its values.
    pub(crate) feeds: Vec<(FieldName, Feed<'b>)>,
    /// The fields without a column that are left, of all events.
    pub(crate) overflow: vec::IntoIter<(FieldName, Value)>,
    pub(crate) budget: Budget,
}

impl Events<'_> {
    /// All that are left, which are `count`.
    pub(crate) fn all(mut self, count: usize) -> Result<Vec<Event>, DecodeError> {
        self.budget.take_items::<Event>(count)?;
        let mut events = Vec::with_capacity(count);
        for event in self {
            events.push(event?);
        }
        Ok(events)
    }

    /// The fields of the events at these rows, which are those that are wanted.
    pub(crate) fn fields_at(mut self, rows: &[usize]) -> Result<Vec<Fields>, DecodeError> {
        self.budget.take_items::<Fields>(rows.len())?;
        let shapes = self.shapes;
        let shape_of = |row: usize| {
            shapes
                .of_row()
                .get(row)
                .map_or(&[][..], |shape| shapes.shape(*shape as usize))
        };
        let mut all = Vec::with_capacity(rows.len());
        let mut next = 0;
        for row in rows {
            if !self.overflow.as_slice().is_empty() {
                for row in next..*row {
                    Self::skip(&mut self, shape_of(row));
                }
            }
            next = row.saturating_add(1);
            all.push(self.fields(shape_of(*row))?);
        }
        Ok(all)
    }

    #[inline]
    fn fields(&mut self, shape: &[u32]) -> Result<Fields, DecodeError> {
        self.budget.take(shape.len() * FIELD_BYTES)?;
        let mut fields = Fields::with_capacity(shape.len());
        for number in shape {
            if let Some((name, feed)) = self.feeds.get_mut(*number as usize) {
                let value = feed.next(&mut self.budget)?;
                fields.push_unchecked(name.clone(), value);
            } else {
                let (name, value) = self.overflow.next().ok_or(DecodeError::Truncated("overflow"))?;
                fields.push_unchecked(name, value);
            }
        }
        Ok(fields)
    }

    /// Passes over an event's fields that have no column. Of the others there are only those that are wanted.
    fn skip(&mut self, shape: &[u32]) {
        let without_column = shape.iter().filter(|number| **number == OVERFLOW).count();
        self.overflow.by_ref().take(without_column).for_each(drop);
    }
}

impl Iterator for Events<'_> {
    type Item = Result<Event, DecodeError>;

    fn next(&mut self) -> Option<Self::Item> {
        let shapes = self.shapes;
        loop {
            let (row, ((id, timestamp), shape)) = self.rows.next()?;
            let shape = shapes.shape(*shape as usize);
            if let Some(wanted) = &mut self.wanted {
                wanted.peek()?;
                if wanted.next_if(|wanted| **wanted == row).is_none() {
                    self.skip(shape);
                    continue;
                }
            }
            let fields = self.fields(shape);
            if fields.is_err() {
                self.rows = Vec::new().into_iter().zip(Vec::new()).zip([].iter()).enumerate();
            }
            return Some(fields.map(|fields| Event { id, timestamp, fields }));
        }
    }
}
