//! Indicators in a block's columns: each text is looked at once, in however many events it is.

use std::ops::Range;

use block::{ByColumn, DecodeError};
use intel::{Find, Found, TenantSet};
use rustc_hash::FxHashMap;

/// Where in a block values of a set of indicators are.
#[derive(Debug, Default)]
pub(crate) struct Traces {
    found: Vec<Found>,
    /// By column: for positions in its dictionary, the values found there.
    columns: FxHashMap<u32, FxHashMap<usize, Range<usize>>>,
    /// Rows of the events with any, in ascending order.
    pub(crate) rows: Vec<usize>,
}

impl Traces {
    /// Looks into every text of the block.
    ///
    /// # Errors
    /// When a column with texts cannot be decoded.
    pub(crate) fn find(set: &TenantSet, columns: &ByColumn<'_, '_>, find: &mut Find) -> Result<Self, DecodeError> {
        let mut traces = Self::default();
        let mut has_any = vec![false; columns.rows()];
        for (number, key) in (0..columns.columns()).zip(0..) {
            if !columns.may_have_texts(number) {
                continue;
            }
            let Some(column) = columns.column(number) else { continue };
            let mut by_value = FxHashMap::default();
            for (index, value) in column.dictionary().iter().enumerate() {
                let start = traces.found.len();
                find.in_value(set, value, &mut |found| traces.found.push(found));
                if traces.found.len() > start {
                    by_value.insert(index, start..traces.found.len());
                }
            }
            if by_value.is_empty() {
                continue;
            }
            for (row, has_any) in has_any.iter_mut().enumerate() {
                *has_any = *has_any || column.index(row).is_some_and(|index| by_value.contains_key(&index));
            }
            traces.columns.insert(key, by_value);
        }
        columns.check()?;
        let rows = has_any.iter().enumerate();
        traces.rows = rows.filter_map(|(row, has_any)| has_any.then_some(row)).collect();
        Ok(traces)
    }

    /// The values found in the event at `row`, in the order of its fields.
    pub(crate) fn of_row<'c>(&self, columns: &'c ByColumn<'_, '_>, row: usize) -> Vec<(&'c str, Found)> {
        let mut all = Vec::new();
        for number in columns.fields(row) {
            let Some(by_value) = self.columns.get(number) else {
                continue;
            };
            let column = *number as usize;
            let index = columns.column(column).and_then(|column| column.index(row));
            let range = index.and_then(|index| by_value.get(&index)).cloned();
            let found = range.and_then(|range| self.found.get(range)).unwrap_or_default();
            all.extend(found.iter().map(|found| (columns.name(column), *found)));
        }
        all
    }
}
