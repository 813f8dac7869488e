//! A block that is being filled.

use std::collections::HashMap;
use std::sync::Arc;

use model::chain::Link;
use model::{BatchKey, Event};
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use crate::part::{MAX_EVENTS, Outcome, Part, Pending};

/// Sum of the events' weights at which a block is full. What is stored is several times smaller.
const MAX_WEIGHT: usize = 12 << 20;

/// A part's place in a block: its events are the next `count`.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) key: BatchKey,
    pub(super) hash: [u8; 32],
    pub(super) link: Option<Link>,
    pub(super) count: usize,
    waiting: Vec<oneshot::Sender<Outcome>>,
    _memory: Arc<OwnedSemaphorePermit>,
}

impl Entry {
    pub(super) fn settle(self, outcome: Outcome) {
        for waiting in self.waiting {
            // A stream that was closed meanwhile does not care any more.
            let _ = waiting.send(outcome);
        }
    }
}

/// Parts with their events one after the other.
#[derive(Debug, Default)]
pub(super) struct OpenBlock {
    pub(super) entries: Vec<Entry>,
    pub(super) events: Vec<Event>,
    index: HashMap<BatchKey, usize>,
    weight: usize,
}

impl OpenBlock {
    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(super) fn is_full(&self) -> bool {
        self.events.len() >= MAX_EVENTS || self.weight >= MAX_WEIGHT
    }

    /// An empty block fits every part.
    pub(super) fn fits(&self, part: &Part) -> bool {
        self.is_empty()
            || (self.events.len() + part.events.len() <= MAX_EVENTS && self.weight + part.weight <= MAX_WEIGHT)
            || self.index.contains_key(&part.key)
    }

    /// Adds a part. One that is in the block already is not added again: the database's unique index looks across
    /// documents, not within one.
    pub(super) fn add(&mut self, pending: Pending) {
        let known = self
            .index
            .get(&pending.part.key)
            .and_then(|index| self.entries.get_mut(*index));
        if let Some(entry) = known {
            if entry.hash == pending.part.hash {
                entry.waiting.extend(pending.waiting);
            } else {
                pending.settle(Outcome::Conflict);
            }
            return;
        }
        let Pending { part, waiting, _memory } = pending;
        self.index.insert(part.key.clone(), self.entries.len());
        self.weight += part.weight;
        self.entries.push(Entry {
            key: part.key,
            hash: part.hash,
            link: part.link,
            count: part.events.len(),
            waiting,
            _memory,
        });
        self.events.extend(part.events);
    }

    /// Takes out, with their events, the parts for which `outcome` has one, and tells who waits for them.
    pub(super) fn settle_some(&mut self, outcome: impl Fn(&Entry) -> Option<Outcome>) {
        let entries = std::mem::take(&mut self.entries);
        let mut events = std::mem::take(&mut self.events).into_iter();
        for entry in entries {
            let own = events.by_ref().take(entry.count);
            match outcome(&entry) {
                Some(outcome) => {
                    own.for_each(drop);
                    entry.settle(outcome);
                }
                None => {
                    self.events.extend(own);
                    self.entries.push(entry);
                }
            }
        }
    }

    /// Cuts the block into two of about equally many parts; `None` when it has only one.
    pub(super) fn split(mut self) -> Result<(Self, Self), Self> {
        if self.entries.len() < 2 {
            return Err(self);
        }
        let entries = self.entries.split_off(self.entries.len() / 2);
        let first: usize = self.entries.iter().map(|entry| entry.count).sum();
        let events = self.events.split_off(first);
        let second = Self {
            entries,
            events,
            ..Self::default()
        };
        Ok((self, second))
    }
}

#[cfg(test)]
mod tests {
    use model::{Epoch, EventId, Fields, SourceId, Tenant, Timestamp};
    use tokio::sync::Semaphore;

    use super::*;

    fn part(first_seq: u64, count: u64, hash: u8) -> (Pending, oneshot::Receiver<Outcome>) {
        let source = SourceId::named("test", "a");
        let epoch = Epoch(1);
        let events = (first_seq..first_seq + count).map(|seq| Event {
            id: EventId { source, epoch, seq },
            timestamp: Timestamp(0),
            fields: Fields::new(),
        });
        let part = Part {
            key: BatchKey {
                tenant: Tenant::default(),
                source,
                epoch,
                first_seq,
            },
            hash: [hash; 32],
            link: None,
            created_at: Timestamp(0),
            events: events.collect(),
            weight: 100,
        };
        let memory = Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap();
        let (sender, receiver) = oneshot::channel();
        let pending = Pending {
            part,
            waiting: vec![sender],
            _memory: Arc::new(memory),
        };
        (pending, receiver)
    }

    fn numbers(block: &OpenBlock) -> Vec<u64> {
        block.events.iter().map(|event| event.id.seq).collect()
    }

    #[test]
    fn the_same_part_twice_is_stored_once_and_told_to_both() {
        let mut block = OpenBlock::default();
        let (first, mut first_answer) = part(0, 3, 1);
        let (again, mut again_answer) = part(0, 3, 1);
        let (other, mut other_answer) = part(0, 3, 2);
        for part in [first, again, other] {
            block.add(part);
        }
        assert_eq!(numbers(&block), [0, 1, 2]);
        assert_eq!(other_answer.try_recv(), Ok(Outcome::Conflict));
        block.settle_some(|_| Some(Outcome::Stored));
        assert_eq!(first_answer.try_recv(), Ok(Outcome::Stored));
        assert_eq!(again_answer.try_recv(), Ok(Outcome::Stored));
        assert!(block.is_empty() && block.events.is_empty());
    }

    #[test]
    fn known_parts_are_cut_out_with_their_events() {
        let mut block = OpenBlock::default();
        let mut answers = Vec::new();
        for first in [0, 10, 20] {
            let (part, answer) = part(first, 2, 1);
            block.add(part);
            answers.push(answer);
        }
        block.settle_some(|entry| (entry.key.first_seq == 10).then_some(Outcome::Duplicate));
        assert_eq!(numbers(&block), [0, 1, 20, 21]);
        assert_eq!(answers[1].try_recv(), Ok(Outcome::Duplicate));
        assert!(answers[0].try_recv().is_err());
        let (left, right) = block.split().unwrap();
        assert_eq!((numbers(&left), numbers(&right)), (vec![0, 1], vec![20, 21]));
        assert!(left.split().is_err());
    }

    #[test]
    fn a_block_takes_whole_parts_up_to_its_limit() {
        let mut block = OpenBlock::default();
        let (large, _answer) = part(0, 3999, 1);
        assert!(block.fits(&large.part));
        block.add(large);
        assert!(!block.is_full());
        assert!(block.fits(&part(3999, 1, 1).0.part));
        assert!(!block.fits(&part(3999, 2, 1).0.part));
    }
}
