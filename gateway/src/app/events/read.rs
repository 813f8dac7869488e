//! Reading the events of a page, once it is known which they are.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use block::DecodeError;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use model::Event;
use proto::ServiceError;
use storage::Store;
use storage::blocks::{self, BlockId, Columns, Day, FoundBlock};

use super::filter::Place;
use super::pass::report;
use crate::problem::{from_storage, internal};

/// Blocks read at once.
const AT_ONCE: usize = 4;

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

enum Of {
    Gone,
    Unreadable,
    Events(Vec<Event>),
}

/// Reads the events at these places.
pub(super) async fn events(store: &Store, places: Vec<Place>) -> Result<Read, ServiceError> {
    let mut rows: BTreeMap<(Day, BlockId), Vec<usize>> = BTreeMap::new();
    for place in &places {
        rows.entry(place.block).or_default().push(place.row);
    }
    let read = stream::iter(rows).map(|((day, id), rows)| of_block(store, day, id, rows));
    let read: Vec<Of> = read.buffer_unordered(AT_ONCE).try_collect().await?;
    let mut all = Read::default();
    for of in read {
        match of {
            Of::Gone => all.is_gone = true,
            Of::Unreadable => all.unreadable += 1,
            Of::Events(mut events) => all.events.append(&mut events),
        }
    }
    all.events
        .sort_unstable_by_key(|event| Reverse((event.timestamp, event.id)));
    Ok(all)
}

async fn of_block(store: &Store, day: Day, id: BlockId, rows: Vec<usize>) -> Result<Of, ServiceError> {
    let found = blocks::find(store, day, id, &Columns::All)
        .await
        .map_err(from_storage)?;
    let Some(found) = found else { return Ok(Of::Gone) };
    let task = tokio::task::spawn_blocking(move || at(&found, &rows).map_err(|error| report(&found, &error)));
    let events = task.await.map_err(|error| internal("block reader", &error))?;
    Ok(events.map_or(Of::Unreadable, Of::Events))
}

fn at(found: &FoundBlock, rows: &[usize]) -> Result<Vec<Event>, DecodeError> {
    found.body.open()?.events_at(rows)
}
