//! Which of a block's events match, by its columns: only those a query names are decoded, and of a column every
//! distinct value is looked at once. Where an address stands, the block's head says.

use std::cell::OnceCell;

use block::{Block, DecodeError, View, Views};
use model::Timestamp;

use crate::check::Check;
use crate::compile::{Compiled, Node, Target, Test};
use crate::edges::Needle;
use crate::plan::Span;
use crate::rows::Rows;

/// What a block's scan found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scan {
    /// The rows that match, in order.
    pub rows: Vec<usize>,
    /// Their times.
    pub times: Vec<Timestamp>,
}

/// The events of a block that match and are of the span.
///
/// # Errors
/// When the block, or a column that had to be looked at, is not readable.
pub fn scan(query: &Compiled, span: Span, block: &Block<'_>) -> Result<Scan, DecodeError> {
    let times = Times {
        block,
        all: OnceCell::new(),
    };
    let within = if span.contains(block.min_time()) && span.contains(block.max_time()) {
        Rows::all(block.len())
    } else {
        let mut within = Rows::none(block.len());
        let rows = times.all()?.iter().enumerate();
        for (row, _) in rows.filter(|(_, time)| span.contains(**time)) {
            within.insert(row);
        }
        within
    };
    let found = if within.is_empty() || matches!(query.root, Node::Everything) {
        within
    } else if block.has_all_columns() {
        let scanner = Scanner {
            views: block.views(),
            block,
            times: &times,
        };
        scanner.node(&query.root, &within)?
    } else {
        // Too many different fields for columns: rare, and then looked at one by one.
        let mut found = Rows::none(block.len());
        for (row, event) in block.each_event()?.enumerate() {
            if query.matches_within(span, &event?) {
                found.insert(row);
            }
        }
        found
    };
    let rows: Vec<usize> = found.iter().collect();
    let times = times.at(&rows)?;
    Ok(Scan { rows, times })
}

/// A block's times, which are not needed of rows that do not match.
struct Times<'b, 'a> {
    block: &'b Block<'a>,
    all: OnceCell<Vec<Timestamp>>,
}

impl Times<'_, '_> {
    fn all(&self) -> Result<&[Timestamp], DecodeError> {
        if let Some(all) = self.all.get() {
            return Ok(all);
        }
        let all = self.block.timestamps()?;
        Ok(self.all.get_or_init(|| all))
    }

    fn at(&self, rows: &[usize]) -> Result<Vec<Timestamp>, DecodeError> {
        match self.all.get() {
            Some(all) => Ok(rows.iter().filter_map(|row| all.get(*row).copied()).collect()),
            None => self.block.timestamps_at(rows),
        }
    }
}

struct Scanner<'s, 'b, 'a> {
    views: Views<'b, 'a>,
    block: &'b Block<'a>,
    times: &'s Times<'b, 'a>,
}

impl Scanner<'_, '_, '_> {
    /// The rows within `within` for which the node holds.
    fn node(&self, node: &Node, within: &Rows) -> Result<Rows, DecodeError> {
        match node {
            Node::Everything => Ok(within.clone()),
            Node::And(parts) => {
                let mut rows = within.clone();
                for part in parts {
                    if rows.is_empty() {
                        break;
                    }
                    rows = self.node(part, &rows)?;
                }
                Ok(rows)
            }
            Node::Or(parts) => {
                let mut found = Rows::none(within.len());
                let mut rest = within.clone();
                for part in parts {
                    if rest.is_empty() {
                        break;
                    }
                    let rows = self.node(part, &rest)?;
                    rest.remove(&rows);
                    found.add(&rows);
                }
                Ok(found)
            }
            Node::Not(inner) => {
                let mut rows = within.clone();
                rows.remove(&self.node(inner, within)?);
                Ok(rows)
            }
            Node::Test(test) => self.test(test, within),
        }
    }

    fn test(&self, test: &Test, within: &Rows) -> Result<Rows, DecodeError> {
        if test.check.is_of_addresses()
            && let Some(rows) = self.block.rows_with_address(|ip| test.check.address(ip))?
        {
            let mut possible = Rows::none(within.len());
            let rows = rows.into_iter().map(|row| row as usize);
            rows.filter(|row| within.has(*row)).for_each(|row| possible.insert(row));
            if matches!(test.target, Target::Anywhere) || possible.is_empty() {
                return Ok(possible);
            }
            return self.columns(test, &possible);
        }
        self.columns(test, within)
    }

    fn columns(&self, test: &Test, within: &Rows) -> Result<Rows, DecodeError> {
        let mut found = Rows::none(within.len());
        let by_name = |found: &mut Rows, wanted: &dyn Fn(&str) -> bool| {
            let mut rest = within.clone();
            for number in 0..self.views.columns() {
                if rest.is_empty() {
                    break;
                }
                if wanted(self.views.name(number)) {
                    let rows = column(self.views.get(number)?, &test.check, &rest);
                    rest.remove(&rows);
                    found.add(&rows);
                }
            }
            Ok(())
        };
        match &test.target {
            Target::Anywhere => by_name(&mut found, &|_| true)?,
            Target::Field(name) => by_name(&mut found, &|column| column == name)?,
            Target::Fields(names) => by_name(&mut found, &|column| names.is_match(column))?,
            Target::Time => {
                let times = self.times.all()?;
                for row in within.iter() {
                    if times.get(row).is_some_and(|time| test.time(*time)) {
                        found.insert(row);
                    }
                }
            }
            Target::Id => {
                let ids = self.block.ids()?;
                for row in within.iter() {
                    if ids.get(row).is_some_and(|id| test.check.text(&id.to_string())) {
                        found.insert(row);
                    }
                }
            }
        }
        Ok(found)
    }
}

/// The rows of `within` whose value in a column meets the check.
fn column(view: &View, check: &Check, within: &Rows) -> Rows {
    let mut found = Rows::none(within.len());
    let hits = hits(view, check, within);
    if hits.iter().any(|hit| *hit) {
        for row in within.iter() {
            if view
                .index(row)
                .and_then(|index| hits.get(index))
                .copied()
                .unwrap_or_default()
            {
                found.insert(row);
            }
        }
    }
    found
}

/// Which of the column's values meet the check. Where few rows are left, the others' values are not looked at.
fn hits(view: &View, check: &Check, within: &Rows) -> Vec<bool> {
    let mut hits = vec![false; view.values()];
    // Only numbers are compared to numbers.
    let check = match (check, view) {
        (Check::Number(_, written), View::Texts { .. }) => written,
        (check, _) => check,
    };
    if let (Check::Has(needle), Some(texts)) = (check, view.texts())
        && within.count() * 4 > hits.len()
        && texts.all().is_ascii()
    {
        needle_hits(needle, texts, &mut hits);
        return hits;
    }
    let mut looked_at = vec![false; hits.len()];
    for row in within.iter() {
        let Some(index) = view.index(row) else { continue };
        let (Some(seen), Some(hit)) = (looked_at.get_mut(index), hits.get_mut(index)) else {
            continue;
        };
        if !std::mem::replace(seen, true) {
            *hit = match view {
                View::Texts { texts, .. } => check.text(texts.get(index)),
                View::Integers { numbers, .. } => numbers.get(index).is_some_and(|number| check.integer(*number)),
                View::Values { values, .. } => values.get(index).is_some_and(|value| check.value(value)),
            };
        }
    }
    hits
}

/// Looks through all texts of a column at once.
fn needle_hits(needle: &Needle, texts: &block::Texts, hits: &mut [bool]) {
    let lower = texts.all().to_ascii_lowercase();
    let mut from = 0;
    while let Some(at) = needle.find_from(lower.as_bytes(), from) {
        let index = texts.index_at(at);
        let (start, end) = texts.place(index);
        let text = lower.get(start..end).unwrap_or_default();
        // What reaches into the next text, and all behind it, is in neither.
        if at + needle.text().len() <= end
            && let Some(hit) = hits.get_mut(index)
        {
            *hit = needle.is_in_from(text, at - start);
        }
        from = end.max(at + 1);
    }
}
