//! Reading the events of a page: those that are certain to be on it while others are still looked for.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use block::DecodeError;
use model::Event;
use proto::ServiceError;
use storage::Store;
use storage::blocks::{self, BlockId, Columns, Day, FoundBlock};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::Turn;
use super::filter::{Key, Place};
use super::pass::report;
use crate::problem::{from_storage, internal};

/// Groups of blocks read at once.
const AT_ONCE: usize = 4;
/// Blocks in a group.
const IN_GROUP: usize = 8;

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

/// Blocks of a day of which the same columns are fetched, and which of their rows are wanted.
struct Group {
    day: Day,
    columns: Columns,
    rows: Vec<(BlockId, Rows)>,
}

/// Rows of a block in order, and the times and ids of the events there.
type Rows = Vec<(usize, Key)>;

/// Reads events at places that become known one after the other. What was begun ends with it.
pub(super) struct Reading {
    store: Store,
    turn: Turn,
    running: JoinSet<Result<Read, ServiceError>>,
    slots: Arc<Semaphore>,
    /// Places that are being read or were.
    begun: usize,
}

impl Reading {
    pub(super) fn new(store: &Store, turn: &Turn) -> Self {
        Self {
            store: store.clone(),
            turn: turn.clone(),
            running: JoinSet::new(),
            slots: Arc::new(Semaphore::new(AT_ONCE)),
            begun: 0,
        }
    }

    /// Begins to read once it is worth the way. The places are those of the call before and more behind them.
    pub(super) fn begin(&mut self, places: &[Place]) {
        let fresh = places.get(self.begun..).unwrap_or_default();
        let blocks: BTreeSet<(Day, BlockId)> = fresh.iter().map(|place| place.block).collect();
        // Of a block with many of the events, all are read at once.
        if blocks.len() >= IN_GROUP {
            self.read(fresh);
            self.begun = places.len();
        }
    }

    /// Reads what was not begun yet of the places, and waits for all.
    pub(super) async fn finish(mut self, places: &[Place]) -> Result<Read, ServiceError> {
        self.read(places.get(self.begun..).unwrap_or_default());
        let mut all = Read::default();
        while let Some(read) = self.running.join_next().await {
            all.add(read.map_err(|error| internal("reader of events", &error))??);
        }
        all.events
            .sort_unstable_by_key(|event| Reverse((event.timestamp, event.id)));
        Ok(all)
    }

    fn read(&mut self, places: &[Place]) {
        for group in groups(places) {
            let (store, turn, slots) = (self.store.clone(), self.turn.clone(), self.slots.clone());
            self.running.spawn(async move {
                let slot = slots.acquire_owned().await;
                let _slot = slot.map_err(|error| internal("reader of events", &error))?;
                of_group(&store, &turn, group).await
            });
        }
    }
}

fn groups(places: &[Place]) -> Vec<Group> {
    let mut blocks: BTreeMap<(Day, BlockId), (&Columns, Rows)> = BTreeMap::new();
    for place in places {
        let (_, rows) = blocks
            .entry(place.block)
            .or_insert_with(|| (&place.columns, Rows::new()));
        rows.push((place.row, place.key));
    }
    let mut groups: Vec<Group> = Vec::new();
    for ((day, id), (columns, mut rows)) in blocks {
        rows.sort_unstable_by_key(|(row, _)| *row);
        match groups.last_mut() {
            Some(group) if group.day == day && group.rows.len() < IN_GROUP => {
                group.columns.add(columns);
                group.rows.push((id, rows));
            }
            _ => groups.push(Group {
                day,
                columns: columns.clone(),
                rows: vec![(id, rows)],
            }),
        }
    }
    groups
}

async fn of_group(store: &Store, turn: &Turn, group: Group) -> Result<Read, ServiceError> {
    let Group { day, columns, rows } = group;
    let ids: Vec<BlockId> = rows.iter().map(|(id, _)| *id).collect();
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
        let mut left = Vec::new();
        for (id, rows) in rows {
            let Some(block) = found.iter().find(|block| block.id == id) else {
                continue;
            };
            match at(block, &rows) {
                Ok(mut events) => read.events.append(&mut events),
                // A text may be completed by a column that the event itself does not have.
                Err(DecodeError::NotAtHand) if !is_whole => left.push((id, rows)),
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
        let columns = Columns::All;
        let whole = Group {
            day,
            columns,
            rows: left,
        };
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

fn at(found: &FoundBlock, rows: &Rows) -> Result<Vec<Event>, DecodeError> {
    let places: Vec<usize> = rows.iter().map(|(row, _)| *row).collect();
    let fields = found.body.open()?.fields_of(&places)?;
    let events = rows.iter().zip(fields);
    Ok(events
        .map(|((_, (timestamp, id)), fields)| Event {
            id: *id,
            timestamp: *timestamp,
            fields,
        })
        .collect())
}
