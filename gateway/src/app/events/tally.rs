//! Counting a field's values over whole blocks: only its column is fetched, and events are not told apart.

use std::cmp::Reverse;
use std::sync::Arc;

use block::{DecodeError, View};
use futures_util::{StreamExt as _, TryStreamExt as _};
use model::Timestamp;
use proto::ServiceError;
use query::ValueCounts;
use storage::blocks::{self, Body, ColumnOfBlock, Columns, OneColumn};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

use super::filter::Prepared;
use super::pass::{Partial, report};
use super::sums::count_values;
use super::{Events, Turn};
use crate::problem::{from_storage, internal};

/// Columns that are counted in one go.
const AT_ONCE: usize = 128;

/// What one go comes to.
struct Counted {
    values: ValueCounts,
    /// Blocks that have to be read for it.
    left: Vec<ColumnOfBlock>,
}

/// What all come to, while blocks that were left are added.
struct Whole {
    values: ValueCounts,
    /// Blocks that cannot be read.
    unreadable: u64,
    /// Fetched so far.
    bytes: u64,
    /// The latest event of the block that is being read, or later.
    unread: Option<Timestamp>,
}

impl Events {
    /// The field's values in all events of the span.
    pub(super) async fn tally(
        &self,
        turn: &Turn,
        prepared: &Arc<Prepared>,
        field: &str,
    ) -> Result<(ValueCounts, Option<Partial>), ServiceError> {
        let deadline = Instant::now() + self.limits.time;
        let span = prepared.plan.span;
        let found = blocks::columns_of(&self.store, &prepared.tenant, span, field);
        let found = found.await.map_err(from_storage)?.try_ready_chunks(AT_ONCE);
        let mut found = std::pin::pin!(found);
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let mut idle: Vec<ValueCounts> = (0..threads).map(|_| ValueCounts::one_of(threads)).collect();
        let mut running: JoinSet<Counted> = JoinSet::new();
        let mut left = Vec::new();
        let mut partial = None;
        let mut bytes = 0_u64;
        let mut unread = None;
        let mut take = |counted: Counted, idle: &mut Vec<ValueCounts>| {
            idle.push(counted.values);
            left.extend(counted.left);
        };
        loop {
            let next = timeout_at(deadline, found.next()).await;
            let reason = match next {
                Ok(None) => break,
                Ok(Some(Err(error))) => return Err(from_storage(error.1)),
                Ok(Some(Ok(columns))) => {
                    bytes += columns.iter().map(size).sum::<u64>();
                    unread = columns.last().map(|column| column.max);
                    let values = match idle.pop() {
                        Some(values) => values,
                        None => {
                            let counted = joined(running.join_next().await)?;
                            take(counted, &mut idle);
                            idle.pop().unwrap_or_else(|| ValueCounts::one_of(threads))
                        }
                    };
                    let turn = turn.clone();
                    let field = field.to_owned();
                    running.spawn_blocking(move || {
                        let counted = count(values, columns, &field);
                        drop(turn);
                        counted
                    });
                    if bytes < self.limits.bytes {
                        continue;
                    }
                    "bytes"
                }
                Err(_) => "time",
            };
            // Days follow each other only roughly in time.
            partial = Some(cut(reason, span.to.or(unread)));
            break;
        }
        while let Some(counted) = running.join_next().await {
            take(joined(Some(counted))?, &mut idle);
        }
        let mut whole = Whole {
            values: ValueCounts::one_of(1),
            unreadable: 0,
            bytes,
            unread: None,
        };
        idle.into_iter().for_each(|values| whole.values.merge(values));
        // Blocks that the span cuts, or that have the field elsewhere.
        left.sort_unstable_by_key(|column| Reverse(column.max));
        let read = self.read_left(turn, prepared, field, left, &mut whole);
        let reason = match timeout_at(deadline, read).await {
            Ok(read) => read?,
            Err(_) => Some("time"),
        };
        if let Some(reason) = reason {
            let until = partial.and_then(|partial| partial.unread_until).max(whole.unread);
            partial = Some(cut(reason, until));
        }
        if whole.unreadable > 0 {
            partial.get_or_insert(Partial::unreadable()).unreadable_blocks += whole.unreadable;
        }
        Ok((whole.values, partial))
    }

    /// Answers with why not all of them were read.
    async fn read_left(
        &self,
        turn: &Turn,
        prepared: &Arc<Prepared>,
        field: &str,
        left: Vec<ColumnOfBlock>,
        whole: &mut Whole,
    ) -> Result<Option<&'static str>, ServiceError> {
        let parts = Columns::of_fields([field.to_owned()]);
        for ColumnOfBlock { day, id, max, .. } in left {
            whole.unread = Some(max);
            if whole.bytes >= self.limits.bytes {
                return Ok(Some("bytes"));
            }
            for columns in [&parts, &Columns::All] {
                let found = blocks::find(&self.store, day, id, columns)
                    .await
                    .map_err(from_storage)?;
                // Retention may have removed it meanwhile.
                let Some(found) = found else { break };
                whole.bytes += found.body.size() as u64;
                let (prepared, field, turn) = (prepared.clone(), field.to_owned(), turn.clone());
                let task = tokio::task::spawn_blocking(move || {
                    let _turn = turn;
                    let made = found
                        .body
                        .open()
                        .and_then(|block| count_values(&prepared, &block, &field));
                    match made {
                        Ok(values) => Some(Ok(values)),
                        Err(DecodeError::NotAtHand) => None,
                        Err(error) => {
                            report(&found, &error);
                            Some(Err(error))
                        }
                    }
                });
                match task.await.map_err(|error| internal("block reader", &error))? {
                    Some(Ok(values)) => whole.values.merge(values),
                    Some(Err(_)) => whole.unreadable += 1,
                    None => continue,
                }
                break;
            }
        }
        whole.unread = None;
        Ok(None)
    }
}

fn joined<T>(task: Option<Result<T, tokio::task::JoinError>>) -> Result<T, ServiceError> {
    match task {
        Some(joined) => joined.map_err(|error| internal("column reader", &error)),
        None => Err(ServiceError::new(proto::ErrorCode::Internal, "no column is being read")),
    }
}

fn cut(reason: &'static str, unread_until: Option<Timestamp>) -> Partial {
    metrics::counter!("picket_gateway_searches_cut_total", "reason" => reason).increment(1);
    Partial {
        reason,
        unread_until,
        unreadable_blocks: 0,
    }
}

fn size(column: &ColumnOfBlock) -> u64 {
    match &column.column {
        OneColumn::Here(columns) => columns.iter().map(|bytes| bytes.len() as u64).sum(),
        OneColumn::Completed(body) => body.size() as u64,
        OneColumn::Absent | OneColumn::Elsewhere => 0,
    }
}

fn count(mut values: ValueCounts, columns: Vec<ColumnOfBlock>, field: &str) -> Counted {
    let mut left = Vec::new();
    for column in columns {
        match &column.column {
            OneColumn::Absent => {
                values.total += u64::from(column.events);
                values.missing += u64::from(column.events);
            }
            OneColumn::Here(columns) => {
                let views: Result<Vec<View>, DecodeError> =
                    columns.iter().map(|bytes| block::values_of(bytes)).collect();
                match views {
                    Ok(views) => values.add_columns(&views, u64::from(column.events)),
                    // What is wrong with it, reading the block tells.
                    Err(_) => left.push(column),
                }
            }
            OneColumn::Completed(body) => {
                if count_completed(&mut values, body, field).is_err() {
                    left.push(column);
                }
            }
            OneColumn::Elsewhere => left.push(column),
        }
    }
    Counted { values, left }
}

fn count_completed(values: &mut ValueCounts, body: &Body, field: &str) -> Result<(), DecodeError> {
    let block = body.open()?;
    let views = block.views();
    let columns = views.columns_of(field).map(|column| views.get(column));
    let columns: Vec<&View> = columns.collect::<Result<_, _>>()?;
    values.add_columns(columns, block.len() as u64);
    Ok(())
}
