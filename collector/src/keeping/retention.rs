//! One pass over all days: what is over goes, unless it is held.

use std::collections::BTreeSet;
use std::sync::Arc;

use model::Timestamp;
use model::retention::{Keep, Policy};
use storage::blocks::{self, BlockId, Day, Group, REPEATS_DAYS};
use storage::duties::Held;
use storage::holds::{self, Hold};
use storage::keeping::{self, Removed};

use super::Keeper;

const DAY_MICROS: i64 = 86_400_000_000;
/// Blocks whose names are fetched at once.
const PAGE: u32 = 500;

/// Why a pass ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// It looked at all days.
    Done,
    /// This process is being stopped.
    Stopped,
    /// Another node took the duty over.
    Lost,
}

/// Removes what is over by now. Ends early, and says so in the log, when another node took the duty over.
pub(super) async fn pass(keeper: &Keeper, duty: &mut Held) -> Result<(), storage::Error> {
    let store = &keeper.store;
    let now = store.now().await?;
    let policy = keeping::in_force(store, &keeper.policy).await?;
    let open_ended = holds::open_ended(store).await?;
    let mut removed = Removed::default();
    let mut held = 0;
    let mut end = End::Done;
    for day in blocks::list_days(store).await?.into_iter().rev() {
        let mut of_day = OfDay {
            keeper,
            policy: &policy,
            duty,
            now,
            day,
            removed: Removed::default(),
        };
        end = of_day.run(&open_ended).await?;
        let done = of_day.removed;
        if !done.is_nothing() {
            note(day, done);
        }
        removed = removed.plus(done);
        if end != End::Done {
            break;
        }
        if done.days_dropped == 0 {
            held += blocks::count_held(store, day).await?;
        }
    }
    let held = match end {
        End::Lost => {
            tracing::info!("another node took retention over before the pass was at its end");
            return Ok(());
        }
        End::Stopped => None,
        End::Done => {
            for hold in open_ended.iter().filter(|hold| !hold.applied) {
                holds::note_applied(store, hold).await?;
            }
            metrics::gauge!("picket_collector_blocks_held").set(held as f64);
            Some(held)
        }
    };
    keeping::note_retention(store, &policy, keeper.node.as_str(), removed, held).await
}

fn note(day: Day, done: Removed) {
    tracing::info!(
        %day,
        dropped = done.days_dropped > 0,
        blocks_removed = done.blocks_removed,
        blocks_trimmed = done.blocks_trimmed,
        events_trimmed = done.events_trimmed,
        "events whose time is over were removed"
    );
    metrics::counter!("picket_collector_retention_days_dropped_total").increment(done.days_dropped);
    metrics::counter!("picket_collector_retention_blocks_removed_total").increment(done.blocks_removed);
    metrics::counter!("picket_collector_retention_blocks_trimmed_total").increment(done.blocks_trimmed);
    metrics::counter!("picket_collector_retention_events_trimmed_total").increment(done.events_trimmed);
}

/// Whether all events of a day that are kept for `days` are over: that many days after the day's end.
fn is_over(day: Day, days: u32, now: Timestamp) -> bool {
    let end = day.start().0.saturating_add(DAY_MICROS);
    end.saturating_add(i64::from(days) * DAY_MICROS) <= now.0
}

/// Whether a batch of the day might still be sent again and be filed under it.
fn may_repeat(day: Day, now: Timestamp) -> bool {
    day == Day::MISDATED || day.number() + REPEATS_DAYS >= now.day()
}

struct OfDay<'a> {
    keeper: &'a Keeper,
    policy: &'a Policy,
    duty: &'a mut Held,
    now: Timestamp,
    day: Day,
    removed: Removed,
}

impl OfDay<'_> {
    fn may_be_over(&self) -> bool {
        self.day == Day::MISDATED || is_over(self.day, self.policy.shortest(), self.now)
    }

    /// Whether to go on. To be asked before each change.
    async fn goes_on(&mut self) -> Result<End, storage::Error> {
        Ok(if self.keeper.shutdown.is_cancelled() {
            End::Stopped
        } else if self.duty.keep().await? {
            End::Done
        } else {
            End::Lost
        })
    }

    async fn run(&mut self, open_ended: &[Hold]) -> Result<End, storage::Error> {
        let end = self.goes_on().await?;
        if end != End::Done || !self.may_be_over() {
            return Ok(end);
        }
        let store = &self.keeper.store;
        blocks::prepare(store, self.day).await?;
        for hold in open_ended {
            holds::apply(store, hold, self.day).await?;
        }
        blocks::end_restored(store, self.day, self.now).await?;
        let groups = blocks::groups(store, self.day).await?;
        if self.day == Day::MISDATED {
            return self.misdated(&groups).await;
        }
        let all_over = groups.iter().all(|group| self.is_over(group));
        if all_over && !may_repeat(self.day, self.now) && blocks::nothing_stays(store, self.day).await? {
            return self.drop_day(&groups).await;
        }
        for group in &groups {
            let end = self.goes_on().await?;
            if end != End::Done {
                return Ok(end);
            }
            if self.is_over(group) {
                let leave = may_repeat(self.day, self.now);
                self.removed.blocks_removed += blocks::remove(store, self.day, group, None, leave).await?;
            } else {
                let end = self.trim(group).await?;
                if end != End::Done {
                    return Ok(end);
                }
            }
        }
        if !may_repeat(self.day, self.now) {
            blocks::forget_batches(store, self.day, self.now).await?;
        }
        Ok(End::Done)
    }

    async fn drop_day(&mut self, groups: &[Group]) -> Result<End, storage::Error> {
        // Holds are placed under the same duty: while it is ours there are no others than those just looked for.
        if !self.duty.renew().await? {
            return Ok(End::Lost);
        }
        blocks::drop_day(&self.keeper.store, self.day).await?;
        self.removed.days_dropped += 1;
        self.removed.blocks_removed += groups.iter().map(|group| group.blocks).sum::<u64>();
        Ok(End::Done)
    }

    fn keep(&self, group: &Group) -> &Keep {
        self.policy.of(&group.tenant)
    }

    fn longest(&self, group: &Group) -> u32 {
        let keep = self.keep(group);
        let longest = group.classes().map(|class| keep.days_of(class)).max();
        longest.unwrap_or_else(|| keep.longest())
    }

    fn is_over(&self, group: &Group) -> bool {
        is_over(self.day, self.longest(group), self.now)
    }

    /// Their date says nothing, so it counts when they were stored. They are removed as a whole.
    async fn misdated(&mut self, groups: &[Group]) -> Result<End, storage::Error> {
        let store = &self.keeper.store;
        let now = self.now;
        let ago = |days: i64| Timestamp(now.0.saturating_sub(days.saturating_mul(DAY_MICROS)));
        for group in groups {
            let end = self.goes_on().await?;
            if end != End::Done {
                return Ok(end);
            }
            let before = ago(i64::from(self.longest(group)));
            self.removed.blocks_removed += blocks::remove(store, self.day, group, Some(before), true).await?;
        }
        blocks::forget_batches(store, self.day, ago(REPEATS_DAYS)).await?;
        Ok(End::Done)
    }

    /// Takes out of the blocks of a group the events of those classes that are over.
    async fn trim(&mut self, group: &Group) -> Result<End, storage::Error> {
        let keep = self.keep(group);
        let over: BTreeSet<String> = group
            .classes()
            .filter(|class| is_over(self.day, keep.days_of(class), self.now))
            .map(str::to_owned)
            .collect();
        if over.is_empty() {
            return Ok(End::Done);
        }
        let over: Arc<dyn Fn(&str) -> bool + Send + Sync> = Arc::new(move |class: &str| over.contains(class));
        let store = self.keeper.store.clone();
        let mut after: Option<BlockId> = None;
        loop {
            let ids = blocks::list(&store, self.day, group, after, PAGE).await?;
            let Some(last) = ids.last() else {
                return Ok(End::Done);
            };
            after = Some(*last);
            for id in ids {
                let end = self.goes_on().await?;
                if end != End::Done {
                    return Ok(end);
                }
                match blocks::trim(&self.keeper.writer, self.day, id, Arc::clone(&over)).await {
                    Ok(0) => {}
                    Ok(events) => {
                        self.removed.blocks_trimmed += 1;
                        self.removed.events_trimmed += events;
                    }
                    Err(error @ storage::Error::Invalid { .. }) => {
                        self.removed.blocks_unreadable += 1;
                        let error = &error as &dyn std::error::Error;
                        tracing::warn!(block.id = %id, day = %self.day, error, "block not readable, it stays until all of its tenant is over");
                    }
                    Err(error) => return Err(error),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_is_over_when_its_last_moment_is() {
        let day = Day::from_number(20_000).unwrap();
        let at = |day: i64| Timestamp(day * DAY_MICROS);
        assert!(!is_over(day, 1, at(20_001)));
        assert!(!is_over(day, 1, Timestamp(at(20_002).0 - 1)));
        assert!(is_over(day, 1, at(20_002)));
        assert!(is_over(day, 90, at(20_091)));
    }

    #[test]
    fn batches_are_remembered_as_long_as_they_can_be_filed_under_their_day() {
        let day = Day::from_number(20_000).unwrap();
        for days in 0..40 {
            let now = Timestamp((20_000 + days) * DAY_MICROS + DAY_MICROS / 2);
            let filed = Day::of_batch(day.start(), now) == day
                || Day::of_batch(Timestamp(day.start().0 + DAY_MICROS - 1), now) == day;
            assert!(!filed || may_repeat(day, now), "{days} days later");
        }
        assert!(may_repeat(Day::MISDATED, Timestamp(20_000 * DAY_MICROS)));
        assert!(!may_repeat(day, Timestamp(20_034 * DAY_MICROS)));
    }
}
