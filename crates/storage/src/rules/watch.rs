//! Being woken when detection content changes.

use std::time::Duration;

use bson::doc;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::{Error, Store, exceptions, suppressions};

/// Pause between two tries to watch.
const RETRY: Duration = Duration::from_secs(1);
/// Longest time the server holds a request open when there is nothing new.
const IDLE_WAIT: Duration = Duration::from_secs(1);

/// Calls `changed` soon after any change to rules, exceptions or suppressions, until `shutdown`. Changes may be missed
/// while the database is away, so whoever needs them all looks by a timer as well.
pub async fn wake_on_change(store: Store, changed: &Notify, shutdown: CancellationToken) {
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            // Why it ended does not matter: the timer sees whatever this misses.
            _ = watch(&store, changed) => {}
        }
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep(RETRY) => {}
        }
    }
}

async fn watch(store: &Store, changed: &Notify) -> Result<(), Error> {
    let collections = [super::COLLECTION, exceptions::COLLECTION, suppressions::COLLECTION];
    // Notes on errors (`set_problems`) are no change of the content.
    let pipeline = [
        doc! { "$match": {
            "ns.coll": { "$in": collections.to_vec() },
            "$or": [
                { "operationType": { "$ne": "update" } },
                { "updateDescription.updatedFields.updated_at": { "$exists": true } },
            ],
        } },
        doc! { "$project": { "_id": 1, "operationType": 1, "ns": 1 } },
    ];
    let mut changes = store
        .database()
        .watch()
        .pipeline(pipeline)
        .max_await_time(IDLE_WAIT)
        .await?;
    changed.notify_one();
    while changes.is_alive() {
        if changes.next_if_any().await?.is_some() {
            changed.notify_one();
        }
    }
    Ok(())
}
