//! Sums over events: how many when, and which values are most frequent.

use std::sync::Arc;

use block::{Block, DecodeError};
use model::{Timestamp, Value};
use proto::ServiceError;
use query::{Span, ValueCounts};
use serde::Serialize;
use storage::blocks::{self, Columns};
use utoipa::ToSchema;

use super::filter::{EventFilter, Prepared};
use super::pass::{Partial, Pass};
use super::{Events, Turn};
use crate::problem::{from_storage, invalid};

/// Most intervals of a histogram.
pub const MAX_BUCKETS: i64 = 10_000;
/// Most values that are listed.
pub const MAX_TOP: usize = 1000;
/// Intervals when nobody says how long they are.
const FEW_BUCKETS: i64 = 120;
/// Lengths to choose from then, in seconds.
const LENGTHS: [i64; 14] = [
    1, 5, 15, 60, 300, 900, 1800, 3600, 10_800, 21_600, 43_200, 86_400, 604_800, 2_592_000,
];
/// An interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Bucket {
    /// Where it begins.
    #[schema(value_type = String)]
    pub time: Timestamp,
    /// How many events it has.
    pub count: u64,
}

/// How many events there were when.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Histogram {
    /// Length of an interval in microseconds.
    pub micros: i64,
    /// All intervals of the span, oldest first, also those without events.
    pub buckets: Vec<Bucket>,
    /// How many events in all.
    pub total: u64,
    /// Set when not all was read.
    pub partial: Option<Partial>,
}

/// A value and how many events have it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Counted {
    /// As text.
    pub value: String,
    /// How many.
    pub count: u64,
}

/// The most frequent values of a field.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Top {
    /// Most frequent first.
    pub values: Vec<Counted>,
    /// Events that match.
    pub total: u64,
    /// Those of them without the field.
    pub missing: u64,
    /// Distinct values.
    pub distinct: u64,
    /// Whether there were so many distinct values that rare ones are not counted exactly.
    pub is_approximate: bool,
    /// Set when not all was read.
    pub partial: Option<Partial>,
}

impl Events {
    /// Counts events in intervals of `micros`, or of a length that gives about a hundred; at most [`MAX_BUCKETS`].
    ///
    /// # Errors
    /// When there would be too many intervals, or the database is away.
    pub async fn histogram(&self, filter: &EventFilter, micros: Option<i64>) -> Result<Histogram, ServiceError> {
        let turn = self.turn().await?;
        let prepared = Arc::new(filter.prepare(Timestamp::now()));
        let span = prepared.plan.span;
        let micros = interval(span, micros)?;
        let (counts, partial) = if prepared.is_time_only() {
            let counts = blocks::histogram(&self.store, &prepared.tenant, span, micros).await;
            (counts.map_err(from_storage)?, None)
        } else {
            let of_block = prepared.clone();
            let columns = prepared.columns();
            let limits = Some(self.limits);
            let mut pass = Pass::new(&self.store, &turn, &prepared, columns, limits, move |_, block| {
                let mut counts = blocks::Histogram::new();
                for time in of_block.rows(block)?.times {
                    *counts.entry(begin(time, micros)).or_default() += 1;
                }
                Ok(counts)
            });
            let mut counts = blocks::Histogram::new();
            while let Some(more) = pass.next().await? {
                for (start, count) in more {
                    *counts.entry(start).or_default() += count;
                }
            }
            (counts, pass.partial())
        };
        let total = counts.values().sum();
        Ok(Histogram {
            micros,
            buckets: filled(&counts, span, micros)?,
            total,
            partial,
        })
    }

    /// The `limit` most frequent values of a field. Each element of a list counts.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn top(&self, filter: &EventFilter, field: &str, limit: usize) -> Result<Top, ServiceError> {
        let turn = self.turn().await?;
        let prepared = Arc::new(filter.prepare(Timestamp::now()));
        let (all, partial) = if prepared.is_time_only() {
            self.tally(&turn, &prepared, field).await?
        } else {
            self.count_matching(&turn, &prepared, field).await?
        };
        Ok(Top {
            total: all.total,
            missing: all.missing,
            distinct: all.distinct(),
            is_approximate: all.is_approximate(),
            values: all
                .most_frequent(limit)
                .into_iter()
                .map(|(value, count)| Counted { value, count })
                .collect(),
            partial,
        })
    }

    async fn count_matching(
        &self,
        turn: &Turn,
        prepared: &Arc<Prepared>,
        field: &str,
    ) -> Result<(ValueCounts, Option<Partial>), ServiceError> {
        let mut columns = prepared.columns();
        columns.add(&Columns::of_fields([field.to_owned()]));
        let (of_block, field) = (prepared.clone(), field.to_owned());
        let limits = Some(self.limits);
        let mut pass = Pass::new(&self.store, turn, prepared, columns, limits, move |_, block| {
            count_values(&of_block, block, &field)
        });
        let mut all = ValueCounts::one_of(1);
        while let Some(some) = pass.next().await? {
            all.merge(some);
        }
        Ok((all, pass.partial()))
    }
}

fn begin(time: Timestamp, micros: i64) -> Timestamp {
    Timestamp(time.0.div_euclid(micros).saturating_mul(micros))
}

fn interval(span: Span, micros: Option<i64>) -> Result<i64, ServiceError> {
    let length = span
        .from
        .zip(span.to)
        .map(|(from, to)| to.0.saturating_sub(from.0).max(1));
    if let Some(micros) = micros {
        return match length {
            Some(length) if length / micros.max(1) >= MAX_BUCKETS => Err(too_many()),
            _ => Ok(micros.max(1)),
        };
    }
    let seconds = LENGTHS
        .into_iter()
        .find(|seconds| length.is_none_or(|length| length / (seconds * 1_000_000) < FEW_BUCKETS));
    Ok(seconds.unwrap_or(2_592_000) * 1_000_000)
}

fn too_many() -> ServiceError {
    invalid(format!(
        "interval: expected at most {MAX_BUCKETS} intervals between from and to; make it longer"
    ))
}

/// All intervals from the beginning of the span, or the first event, to its end, or the last event.
fn filled(counts: &blocks::Histogram, span: Span, micros: i64) -> Result<Vec<Bucket>, ServiceError> {
    let first = span
        .from
        .map(|from| begin(from, micros))
        .or(counts.keys().next().copied());
    let last = span
        .to
        .map(|to| begin(Timestamp(to.0.saturating_sub(1)), micros))
        .or(counts.keys().next_back().copied());
    let (Some(first), Some(last)) = (first, last) else {
        return Ok(Vec::new());
    };
    let steps = last.0.saturating_sub(first.0) / micros;
    if steps > MAX_BUCKETS {
        return Err(too_many());
    }
    Ok((0..=steps)
        .map(|step| {
            let time = Timestamp(first.0.saturating_add(step.saturating_mul(micros)));
            Bucket {
                time,
                count: counts.get(&time).copied().unwrap_or_default(),
            }
        })
        .collect())
}

pub(super) fn count_values(prepared: &Prepared, block: &Block<'_>, field: &str) -> Result<ValueCounts, DecodeError> {
    let found = prepared.rows(block)?;
    let mut values = ValueCounts::one_of(1);
    values.total = found.rows.len() as u64;
    if found.rows.is_empty() {
        return Ok(values);
    }
    let views = block.views();
    let columns = views.columns_of(field);
    if !columns.is_empty() {
        let mut without = found.rows;
        for column in columns {
            without = values.add_rows(views.get(column)?, without);
        }
        values.missing += without.len() as u64;
        return Ok(values);
    }
    match block.column(field)? {
        None => values.missing = values.total,
        // A field without a column of its own.
        Some(column) => {
            for row in &found.rows {
                values.add_value(column.get(*row).unwrap_or(&Value::Null), 1);
            }
        }
    }
    Ok(values)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_fit_the_span() {
        let hour = Span {
            from: Some(Timestamp(0)),
            to: Some(Timestamp(3_600_000_000)),
        };
        assert_eq!(interval(hour, None).unwrap(), 60_000_000);
        assert_eq!(interval(hour, Some(1_000_000)).unwrap(), 1_000_000);
        assert!(interval(hour, Some(1000)).unwrap_err().detail.starts_with("interval: "));
        let counts = blocks::Histogram::from([(Timestamp(60_000_000), 2)]);
        let all = filled(&counts, hour, 60_000_000).unwrap();
        assert_eq!((all.len(), all[1].count, all[0].count), (60, 2, 0));
        let open = filled(&counts, Span::default(), 60_000_000).unwrap();
        assert_eq!(open.len(), 1);
    }
}
