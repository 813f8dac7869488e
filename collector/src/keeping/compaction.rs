//! One pass over all days: small blocks of hours that are over become large ones.

use std::collections::HashSet;
use std::time::Duration;

use model::Timestamp;
use storage::blocks::{self, BlockId, Cell, Day, Small};
use storage::duties::Held;
use storage::keeping::{self, Merged};

use super::Keeper;

/// Blocks of fewer events are small.
const SMALL: u32 = 2000;
/// How long the originals of a merged block stay for those who read it before, in microseconds.
const ORIGINALS_STAY: i64 = 86_400_000_000;
/// Blocks that could not be merged and are not tried again until this process ends.
const MAX_LEFT_ALONE: usize = 10_000;

/// What is known from earlier passes.
#[derive(Debug, Default)]
pub(super) struct Memory {
    /// Days that are over, with nothing left to merge.
    finished: HashSet<Day>,
    /// Blocks that could not be read, or are too heavy to be merged.
    left_alone: HashSet<BlockId>,
}

/// Merges what can be merged. Ends early when another node took the duty over.
pub(super) async fn pass(keeper: &Keeper, duty: &mut Held, memory: &mut Memory) -> Result<(), storage::Error> {
    let store = &keeper.store;
    let now = store.now().await?;
    let mut sum = Merged::default();
    for day in blocks::list_days(store).await? {
        if memory.finished.contains(&day) {
            continue;
        }
        let done = of_day(keeper, duty, memory, now, day).await?;
        let Some(done) = done else { break };
        if done.blocks_after > 0 {
            tracing::info!(
                %day,
                blocks_before = done.blocks_before,
                blocks_after = done.blocks_after,
                events = done.events,
                bytes_before = done.bytes_before,
                bytes_after = done.bytes_after,
                "small blocks were merged"
            );
        }
        sum = sum.plus(done);
    }
    if sum == Merged::default() {
        return Ok(());
    }
    keeping::note_compaction(store, keeper.node.as_str(), sum).await
}

/// `None` when it is time to stop.
async fn of_day(
    keeper: &Keeper,
    duty: &mut Held,
    memory: &mut Memory,
    now: Timestamp,
    day: Day,
) -> Result<Option<Merged>, storage::Error> {
    let store = &keeper.store;
    blocks::prepare(store, day).await?;
    let forgotten = blocks::forget_merged(store, day, Timestamp(now.0.saturating_sub(ORIGINALS_STAY))).await?;
    metrics::counter!("picket_collector_compaction_originals_removed_total").increment(forgotten);
    let settled = Timestamp(now.0.saturating_sub(keeper.settle_micros));
    let mut sum = Merged::default();
    for cell in blocks::cells(store, day, SMALL, settled).await? {
        let mut small = blocks::small(store, &cell, SMALL, settled).await?;
        small.retain(|block| !memory.left_alone.contains(&block.id));
        for group in blocks::plan(&small) {
            if keeper.shutdown.is_cancelled() || !duty.keep().await? {
                return Ok(None);
            }
            let done = merge(keeper, memory, &cell, &group).await?;
            sum = sum.plus(done);
            if !keeper.pause(pace(done.events, keeper.events_per_second)).await {
                return Ok(None);
            }
        }
    }
    // Two days later nothing of this day comes in any more but what was held up for long; the next process looks again.
    let over = day != Day::MISDATED && day.number() + 2 < now.day();
    if over && forgotten == 0 && sum == Merged::default() && !blocks::has_originals(store, day).await? {
        memory.finished.insert(day);
    }
    Ok(Some(sum))
}

impl Memory {
    fn leave_alone(&mut self, blocks: impl IntoIterator<Item = BlockId>) {
        if self.left_alone.len() < MAX_LEFT_ALONE {
            self.left_alone.extend(blocks);
        }
    }
}

async fn merge(keeper: &Keeper, memory: &mut Memory, cell: &Cell, group: &[Small]) -> Result<Merged, storage::Error> {
    let done = blocks::merge(&keeper.writer, cell, group).await;
    if let Ok(merge) = &done {
        memory.leave_alone(merge.too_heavy.iter().copied());
    }
    match done {
        Ok(merge) if merge.originals == 0 => Ok(Merged::default()),
        Ok(merge) => {
            metrics::counter!("picket_collector_compaction_blocks_merged_total").increment(merge.originals);
            metrics::counter!("picket_collector_compaction_blocks_made_total").increment(1);
            metrics::counter!("picket_collector_compaction_bytes_saved_total")
                .increment(merge.bytes_before.saturating_sub(merge.bytes_after));
            Ok(Merged {
                blocks_after: 1,
                blocks_before: merge.originals,
                events: merge.events,
                bytes_after: merge.bytes_after,
                bytes_before: merge.bytes_before,
                blocks_unreadable: 0,
            })
        }
        Err(error @ storage::Error::Invalid { .. }) => {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(day = %cell.day, blocks = group.len(), error, "block not readable, it and those beside it are not merged");
            memory.leave_alone(group.iter().map(|block| block.id));
            Ok(Merged {
                blocks_unreadable: 1,
                ..Merged::default()
            })
        }
        Err(error) => Err(error),
    }
}

/// How long to rest after so many events.
fn pace(events: u64, events_per_second: u32) -> Duration {
    Duration::from_secs_f64(events as f64 / f64::from(events_per_second.max(1)))
}

#[cfg(test)]
mod tests {
    use super::pace;

    #[test]
    fn the_rate_is_kept_by_resting() {
        assert_eq!(pace(4000, 20_000).as_millis(), 200);
        assert!(pace(0, 20_000).is_zero());
    }
}
