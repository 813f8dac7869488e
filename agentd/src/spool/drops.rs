//! What had to be given up, by reason, until the collector knows.

use proto::ingest::v1::{Drop, DropReason};

use super::frame::DropState;

/// Most gaps that are reported one by one; the totals are exact beyond that.
const MAX_PENDING: usize = 64;

/// Numbers that were given up.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct Gap {
    /// `DropReason`.
    #[prost(enumeration = "DropReason", tag = "1")]
    pub reason: i32,
    /// First number that is missing; where no numbers had been given, the next number at that time.
    #[prost(uint64, tag = "2")]
    pub first_seq: u64,
    /// How many; 0 where no numbers had been given.
    #[prost(uint64, tag = "3")]
    pub count: u64,
}

/// Totals of this epoch, and the gaps that no receipt covers yet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Drops {
    /// Events removed because the spool was full.
    pub spool_full: u64,
    /// Events a sensor lost before they reached the spool.
    pub sensor_overflow: u64,
    /// Events that could not be read back.
    pub spool_corrupt: u64,
    pub(super) pending: Vec<Gap>,
}

impl Drops {
    pub(super) fn total(&self, reason: DropReason) -> u64 {
        match reason {
            DropReason::SpoolFull => self.spool_full,
            DropReason::SensorOverflow => self.sensor_overflow,
            DropReason::SpoolCorrupt => self.spool_corrupt,
            DropReason::Unspecified => 0,
        }
    }

    fn total_mut(&mut self, reason: DropReason) -> &mut u64 {
        match reason {
            DropReason::SpoolFull => &mut self.spool_full,
            DropReason::SensorOverflow | DropReason::Unspecified => &mut self.sensor_overflow,
            DropReason::SpoolCorrupt => &mut self.spool_corrupt,
        }
    }

    /// Counts `[first_seq, first_seq + count)` as given up. Numbers that are in a pending gap already are not counted
    /// twice. Returns how many were new.
    pub(super) fn numbered(&mut self, reason: DropReason, first_seq: u64, count: u64) -> u64 {
        let end = first_seq.saturating_add(count);
        let mut first = first_seq;
        let mut added = 0;
        let mut known: Vec<(u64, u64)> = self
            .pending
            .iter()
            .filter(|gap| gap.count > 0)
            .map(|gap| (gap.first_seq, gap.first_seq + gap.count))
            .collect();
        known.sort_unstable();
        for (from, to) in known.into_iter().chain([(end, end)]) {
            let stop = from.clamp(first, end);
            if stop > first {
                added += stop - first;
                self.push(reason, first, stop - first);
            }
            first = first.max(to.min(end));
        }
        *self.total_mut(reason) += added;
        added
    }

    /// Counts events that had no numbers yet.
    pub(super) fn unnumbered(&mut self, reason: DropReason, next_seq: u64, count: u64) {
        *self.total_mut(reason) += count;
        let known = |gap: &Gap| gap.reason() == reason && gap.count == 0;
        match self.pending.iter_mut().find(|gap| known(gap)) {
            Some(gap) => gap.first_seq = next_seq,
            None => self.push(reason, next_seq, 0),
        }
    }

    fn push(&mut self, reason: DropReason, first_seq: u64, count: u64) {
        let joins = |gap: &&mut Gap| count > 0 && gap.reason() == reason && gap.first_seq + gap.count == first_seq;
        if let Some(gap) = self.pending.iter_mut().filter(|gap| gap.count > 0).find(joins) {
            gap.count += count;
        } else if self.pending.len() < MAX_PENDING {
            self.pending.push(Gap {
                reason: reason.into(),
                first_seq,
                count,
            });
        }
    }

    /// Forgets the gaps below `next_seq`: the collector has counted them.
    pub(super) fn covered(&mut self, next_seq: u64) -> bool {
        let before = self.pending.len();
        self.pending.retain(|gap| gap.first_seq + gap.count.max(1) > next_seq);
        before != self.pending.len()
    }

    /// Whether a full spool gave up everything before `next_seq`, and no receipt covers that yet.
    pub(super) fn gave_up(&self, next_seq: u64) -> bool {
        let full = |gap: &&Gap| gap.count > 0 && gap.reason() == DropReason::SpoolFull;
        self.pending
            .iter()
            .filter(full)
            .any(|gap| gap.first_seq + gap.count >= next_seq)
    }

    /// What to tell the collector.
    #[must_use]
    pub fn report(&self, epoch: u64) -> Vec<Drop> {
        self.pending
            .iter()
            .map(|gap| Drop {
                reason: gap.reason,
                epoch,
                first_seq: if gap.count == 0 { 0 } else { gap.first_seq },
                count: gap.count,
                total: self.total(gap.reason()),
            })
            .collect()
    }

    pub(super) fn to_state(&self) -> DropState {
        DropState {
            spool_full: self.spool_full,
            sensor_overflow: self.sensor_overflow,
            spool_corrupt: self.spool_corrupt,
            pending: self.pending.clone(),
        }
    }

    pub(super) fn from_state(state: &DropState) -> Self {
        Self {
            spool_full: state.spool_full,
            sensor_overflow: state.sensor_overflow,
            spool_corrupt: state.spool_corrupt,
            pending: state.pending.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_counted_once_and_neighbours_join() {
        let mut drops = Drops::default();
        assert_eq!(drops.numbered(DropReason::SpoolFull, 10, 10), 10);
        assert_eq!(drops.numbered(DropReason::SpoolFull, 15, 10), 5);
        assert_eq!(drops.numbered(DropReason::SpoolCorrupt, 0, 40), 25);
        assert_eq!((drops.spool_full, drops.spool_corrupt), (15, 25));
        assert_eq!(drops.report(1).len(), 3);
        assert!(drops.covered(25));
        assert_eq!(drops.report(1).len(), 1);
        assert!(drops.covered(40));
        assert_eq!(drops.report(1), []);
    }

    #[test]
    fn events_without_numbers_are_reported_by_their_total() {
        let mut drops = Drops::default();
        drops.unnumbered(DropReason::SensorOverflow, 7, 2);
        drops.unnumbered(DropReason::SensorOverflow, 9, 1);
        let report = drops.report(1);
        assert_eq!((report.len(), report[0].count, report[0].total), (1, 0, 3));
        assert!(!drops.covered(9));
        assert!(drops.covered(10));
    }
}
