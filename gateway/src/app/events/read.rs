//! Reading the events of a page: those that are certain to be on it while others are still looked for.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

use block::DecodeError;
use model::Event;
use proto::ServiceError;
use storage::Store;
use storage::blocks::{self, BlockId, Columns, FoundBlock};
use tokio::sync::Semaphore;
use tokio::task::{JoinError, JoinSet};

use super::Turn;
use super::filter::Place;
use super::group::{Group, Groups, Wanted};
use super::pass::report;
use crate::problem::{from_storage, internal};

/// Groups of blocks read at once.
const AT_ONCE: usize = 4;

/// Groups being read at which small ones need not be read at once: they may grow.
const BUSY: usize = 1;

/// Events and what is missing among them.
#[derive(Debug, Default)]
pub(super) struct Read {
    /// Newest first.
    pub(super) events: Vec<Event>,
    /// Blocks that could not be read.
    pub(super) unreadable: u64,
    /// Whether a block was not there any more.
    pub(super) is_gone: bool,
}

/// Reads events at places that become known one after the other. What was begun ends with it.
pub(super) struct Reading {
    store: Store,
    turn: Turn,
    read: Read,
    running: JoinSet<Result<Read, ServiceError>>,
    slots: Arc<Semaphore>,
    /// Places that are being read, were, or wait to be.
    taken: usize,
    waiting: Groups,
}

impl Reading {
    pub(super) fn new(store: &Store, turn: &Turn) -> Self {
        Self {
            store: store.clone(),
            turn: turn.clone(),
            read: Read::default(),
            running: JoinSet::new(),
            slots: Arc::new(Semaphore::new(AT_ONCE)),
            taken: 0,
            waiting: Groups::default(),
        }
    }

    /// Begins to read what is worth the way, and something rather than nothing. The places are those of the call before
    /// and more behind them.
    pub(super) fn begin(&mut self, places: &[Place]) -> Result<(), ServiceError> {
        self.take(places);
        let worth_it = self.waiting.worth_it();
        worth_it.into_iter().for_each(|group| self.begin_group(group));
        while let Some(read) = self.running.try_join_next() {
            self.add(read)?;
        }
        if self.running.len() < BUSY
            && let Some(group) = self.waiting.largest()
        {
            self.begin_group(group);
        }
        Ok(())
    }

    /// Reads what was not begun yet of the places, and waits for all.
    pub(super) async fn finish(mut self, places: &[Place]) -> Result<Read, ServiceError> {
        self.take(places);
        let rest = self.waiting.rest();
        rest.into_iter().for_each(|group| self.begin_group(group));
        while let Some(read) = self.running.join_next().await {
            self.add(read)?;
        }
        let mut all = self.read;
        all.events
            .sort_unstable_by_key(|event| Reverse((event.timestamp, event.id)));
        Ok(all)
    }

    fn add(&mut self, read: Result<Result<Read, ServiceError>, JoinError>) -> Result<(), ServiceError> {
        self.read
            .add(read.map_err(|error| internal("reader of events", &error))??);
        Ok(())
    }

    fn take(&mut self, places: &[Place]) {
        let more = places.get(self.taken..).unwrap_or_default();
        more.iter().for_each(|place| self.waiting.add(place));
        self.taken = places.len();
    }

    fn begin_group(&mut self, group: Group) {
        let (store, turn, slots) = (self.store.clone(), self.turn.clone(), self.slots.clone());
        self.running.spawn(async move {
            let slot = slots.acquire_owned().await;
            let _slot = slot.map_err(|error| internal("reader of events", &error))?;
            of_group(&store, &turn, group).await
        });
    }
}

async fn of_group(store: &Store, turn: &Turn, group: Group) -> Result<Read, ServiceError> {
    let Group {
        day, columns, blocks, ..
    } = group;
    let ids: Vec<BlockId> = blocks.keys().copied().collect();
    let found = blocks::find_some(store, day, &ids, &columns)
        .await
        .map_err(from_storage)?;
    let mut read = Read {
        is_gone: found.len() < ids.len(),
        ..Read::default()
    };
    let (turn_of_task, is_whole) = (turn.clone(), columns == Columns::All);
    let task = tokio::task::spawn_blocking(move || {
        let _turn = turn_of_task;
        let mut left = BTreeMap::new();
        for (id, mut wanted) in blocks {
            let Some(block) = found.iter().find(|block| block.id == id) else {
                continue;
            };
            wanted.rows.sort_unstable_by_key(|(row, _)| *row);
            match at(block, &wanted) {
                Ok(mut events) => read.events.append(&mut events),
                // A text may be completed by a column that the event itself does not have.
                Err(DecodeError::NotAtHand) if !is_whole => {
                    left.insert(id, wanted);
                }
                Err(error) => {
                    report(block, &error);
                    read.unreadable += 1;
                }
            }
        }
        (read, left)
    });
    let (mut read, left) = task.await.map_err(|error| internal("block reader", &error))?;
    if !left.is_empty() {
        let whole = Group::new(day, Columns::All, left);
        read.add(Box::pin(of_group(store, turn, whole)).await?);
    }
    Ok(read)
}

impl Read {
    fn add(&mut self, mut other: Self) {
        self.events.append(&mut other.events);
        self.unreadable += other.unreadable;
        self.is_gone |= other.is_gone;
    }
}

fn at(found: &FoundBlock, wanted: &Wanted) -> Result<Vec<Event>, DecodeError> {
    let block = match &wanted.outline {
        Some(outline) => found.body.open_with(outline),
        None => found.body.open(),
    };
    let places: Vec<usize> = wanted.rows.iter().map(|(row, _)| *row).collect();
    let events = wanted.rows.iter().zip(block?.fields_of(&places)?);
    Ok(events
        .map(|((_, (timestamp, id)), fields)| Event {
            id: *id,
            timestamp: *timestamp,
            fields,
        })
        .collect())
}
