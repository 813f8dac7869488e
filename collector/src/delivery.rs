//! What may be acknowledged on one stream: everything below the oldest batch that is still on its way. Pure.

use std::collections::BTreeMap;

use model::Epoch;

/// Epochs followed at once. A sender has one, and for a moment the one before it.
const MAX_EPOCHS: usize = 4;

/// Which batches of a stream are on their way, by epoch.
#[derive(Debug, Default)]
pub(crate) struct Delivery {
    epochs: Vec<Numbering>,
}

#[derive(Debug)]
struct Numbering {
    epoch: Epoch,
    /// End of each batch that is on its way, and how often it was sent, by its first number.
    open: BTreeMap<u64, (u64, usize)>,
    /// One past the highest number that is settled.
    settled: u64,
    /// What the last receipt said.
    acknowledged: u64,
}

impl Delivery {
    /// Notes where a sender stands: it has acknowledged receipts up to `first_unacknowledged`.
    pub(crate) fn resume(&mut self, epoch: Epoch, first_unacknowledged: u64) {
        if let Some(numbering) = self.numbering(epoch) {
            numbering.settled = numbering.settled.max(first_unacknowledged);
            numbering.acknowledged = numbering.acknowledged.max(first_unacknowledged);
        }
    }

    /// Notes that a batch is on its way. False when the sender uses more epochs at once than are followed.
    pub(crate) fn begin(&mut self, epoch: Epoch, first_seq: u64, count: u32) -> bool {
        let Some(numbering) = self.numbering(epoch) else {
            return false;
        };
        let end = first_seq.saturating_add(u64::from(count));
        let open = numbering.open.entry(first_seq).or_insert((end, 0));
        open.0 = open.0.max(end);
        open.1 += 1;
        true
    }

    /// Notes that a batch is durable, or will never be. The answer is the number up to which everything is settled, to be
    /// acknowledged; `None` while an earlier batch is on its way and nothing new can be said.
    pub(crate) fn settle(&mut self, epoch: Epoch, first_seq: u64) -> Option<u64> {
        let numbering = self.epochs.iter_mut().find(|numbering| numbering.epoch == epoch)?;
        let (end, times) = numbering.open.get_mut(&first_seq)?;
        numbering.settled = numbering.settled.max(*end);
        *times -= 1;
        if *times == 0 {
            numbering.open.remove(&first_seq);
        }
        let next = match numbering.open.first_key_value() {
            Some((first, _)) => numbering.settled.min(*first),
            None => numbering.settled,
        };
        // A batch that was acknowledged before is acknowledged again: its sender did not see the first receipt.
        let repeated = next == numbering.acknowledged && first_seq < next;
        if next > numbering.acknowledged || repeated {
            numbering.acknowledged = next;
            return Some(next);
        }
        None
    }

    fn numbering(&mut self, epoch: Epoch) -> Option<&mut Numbering> {
        let index = match self.epochs.iter().position(|numbering| numbering.epoch == epoch) {
            Some(index) => index,
            None => {
                if self.epochs.len() >= MAX_EPOCHS {
                    let idle = self.epochs.iter().position(|numbering| numbering.open.is_empty())?;
                    self.epochs.remove(idle);
                }
                self.epochs.push(Numbering {
                    epoch,
                    open: BTreeMap::new(),
                    settled: 0,
                    acknowledged: 0,
                });
                self.epochs.len() - 1
            }
        };
        self.epochs.get_mut(index)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const EPOCH: Epoch = Epoch(1);

    #[test]
    fn receipts_never_pass_a_batch_that_is_on_its_way() {
        let mut delivery = Delivery::default();
        delivery.resume(EPOCH, 100);
        for first in [100, 110, 120] {
            assert!(delivery.begin(EPOCH, first, 10));
        }
        assert_eq!(delivery.settle(EPOCH, 120), None);
        assert_eq!(delivery.settle(EPOCH, 100), Some(110));
        assert_eq!(delivery.settle(EPOCH, 110), Some(130));
    }

    #[test]
    fn numbers_the_sender_gave_up_leave_a_gap_that_does_not_matter() {
        let mut delivery = Delivery::default();
        delivery.resume(EPOCH, 0);
        delivery.begin(EPOCH, 0, 10);
        delivery.begin(EPOCH, 500, 10);
        assert_eq!(delivery.settle(EPOCH, 500), None);
        assert_eq!(delivery.settle(EPOCH, 0), Some(510));
    }

    #[test]
    fn a_batch_sent_again_is_acknowledged_again() {
        let mut delivery = Delivery::default();
        delivery.begin(EPOCH, 0, 10);
        delivery.begin(EPOCH, 10, 10);
        assert_eq!(delivery.settle(EPOCH, 0), Some(10));
        assert_eq!(delivery.settle(EPOCH, 10), Some(20));
        delivery.begin(EPOCH, 0, 10);
        assert_eq!(delivery.settle(EPOCH, 0), Some(20));
    }

    #[test]
    fn the_same_batch_twice_on_its_way_waits_for_both() {
        let mut delivery = Delivery::default();
        delivery.begin(EPOCH, 0, 10);
        delivery.begin(EPOCH, 0, 10);
        assert_eq!(delivery.settle(EPOCH, 0), None);
        assert_eq!(delivery.settle(EPOCH, 0), Some(10));
        assert_eq!(delivery.settle(EPOCH, 0), None, "not on its way");
    }

    #[test]
    fn epochs_are_kept_apart_and_bounded() {
        let mut delivery = Delivery::default();
        for epoch in 0..4 {
            assert!(delivery.begin(Epoch(epoch), 0, 5));
        }
        assert!(!delivery.begin(Epoch(9), 0, 5));
        assert_eq!(delivery.settle(Epoch(2), 0), Some(5));
        assert!(delivery.begin(Epoch(9), 0, 5));
        assert_eq!(delivery.settle(Epoch(9), 0), Some(5));
    }

    proptest! {
        #[test]
        fn in_any_order_everything_is_acknowledged_in_the_end_and_nothing_early(
            counts in proptest::collection::vec(1_u32..20, 1..12), order in any::<u64>(),
        ) {
            let mut delivery = Delivery::default();
            let mut open = Vec::new();
            let mut next = 0_u64;
            for count in counts {
                delivery.begin(EPOCH, next, count);
                open.push(next);
                next += u64::from(count);
            }
            let mut acknowledged = 0;
            let mut random = order;
            while !open.is_empty() {
                random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                let first = open.remove(usize::try_from(random >> 33).unwrap() % open.len());
                if let Some(receipt) = delivery.settle(EPOCH, first) {
                    prop_assert!(receipt > acknowledged);
                    acknowledged = receipt;
                    prop_assert!(open.iter().all(|first| *first >= receipt));
                }
            }
            prop_assert_eq!(acknowledged, next);
        }
    }
}
