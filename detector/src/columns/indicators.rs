//! Indicators in a block's columns: each text is looked at once, in however many events it is.

use std::ops::Range;

use block::{ByColumn, DecodeError};
use intel::{Find, Found, TenantSet};
use rustc_hash::FxHashMap;

/// Where in a block values of a set of indicators are.
#[derive(Debug, Default)]
pub(crate) struct Traces {
    found: Vec<Found>,
    /// Rows of the events with any, in ascending order.
    pub(crate) rows: Vec<usize>,
    /// Where the places of each of these rows end.
    ends: Vec<usize>,
    /// Columns, and what was found in the event's value, in the order of fields.
    places: Vec<(u32, Range<usize>)>,
}

/// A column in which something was found.
struct Hit<'c> {
    indexes: Option<&'c [u32]>,
    /// What, by the number of the value.
    by_value: FxHashMap<usize, Range<usize>>,
    /// How many events before the current one have the field.
    next: usize,
}

impl Traces {
    /// Looks into every text of the block.
    ///
    /// # Errors
    /// When a column with texts cannot be decoded.
    pub(crate) fn find(set: &TenantSet, columns: &ByColumn<'_, '_>, find: &mut Find) -> Result<Self, DecodeError> {
        let mut traces = Self::default();
        let mut hits: Vec<Option<Hit<'_>>> = Vec::with_capacity(columns.columns());
        for column in 0..columns.columns() {
            let mut by_value = FxHashMap::default();
            if columns.may_have_texts(column) {
                for (number, value) in columns.values(column).iter().enumerate() {
                    let start = traces.found.len();
                    find.in_value(set, value, &mut |found| traces.found.push(found));
                    if traces.found.len() > start {
                        by_value.insert(number, start..traces.found.len());
                    }
                }
            }
            hits.push((!by_value.is_empty()).then(|| Hit {
                indexes: columns.indexes(column),
                by_value,
                next: 0,
            }));
        }
        columns.check()?;
        if !traces.found.is_empty() {
            traces.place(columns, &mut hits);
        }
        Ok(traces)
    }

    /// Finds the events that have the values.
    fn place(&mut self, columns: &ByColumn<'_, '_>, hits: &mut [Option<Hit<'_>>]) {
        for (row, shape) in columns.shape_of_rows().iter().enumerate() {
            let before = self.places.len();
            for column in columns.fields(*shape as usize) {
                let Some(Some(hit)) = hits.get_mut(*column as usize) else {
                    continue;
                };
                let number = match hit.indexes {
                    Some(indexes) => indexes.get(hit.next).map(|index| *index as usize),
                    None => Some(hit.next),
                };
                hit.next += 1;
                if let Some(found) = number.and_then(|number| hit.by_value.get(&number)) {
                    self.places.push((*column, found.clone()));
                }
            }
            if self.places.len() > before {
                self.rows.push(row);
                self.ends.push(self.places.len());
            }
        }
    }

    /// The values found in the event at `row`, in the order of its fields.
    pub(crate) fn of_row<'c>(&self, columns: &'c ByColumn<'_, '_>, row: usize) -> Vec<(&'c str, Found)> {
        let Ok(position) = self.rows.binary_search(&row) else {
            return Vec::new();
        };
        let start = position.checked_sub(1).and_then(|before| self.ends.get(before));
        let end = self.ends.get(position).copied().unwrap_or_default();
        let places = self.places.get(start.copied().unwrap_or_default()..end);
        let mut all = Vec::new();
        for (column, range) in places.unwrap_or_default() {
            let found = self.found.get(range.clone()).unwrap_or_default();
            all.extend(found.iter().map(|found| (columns.name(*column as usize), *found)));
        }
        all
    }
}
