//! Adding and replacing indicators, thousands at a time.

use bson::{Bson, Document, doc};
use model::indicator::Indicator;

use super::document::{content, content_hash, date, identity};
use super::{BATCH, COLLECTION};
use crate::{Error, Store};

const DUPLICATE_KEY: i32 = 11000;
/// Tries of a write that meets another node adding the same indicator.
const TRIES: usize = 3;

/// Adds indicators, or replaces everything but `created_at` of those that are there. What is the same as before counts as
/// no change. Values must be canonical: see [`model::indicator::canonical_value`].
///
/// # Errors
/// When the database is away; some may then be stored, and the same call again completes it.
pub async fn upsert(store: &Store, indicators: &[Indicator]) -> Result<(), Error> {
    upsert_in_run(store, indicators, None).await.map(drop)
}

/// Like [`upsert`], and notes that this run of their feed saw them; what a run did not see can be removed after it with
/// [`super::remove_unseen`]. Answers the positions of those that were not there before.
///
/// # Errors
/// As [`upsert`].
pub async fn upsert_in_run(store: &Store, indicators: &[Indicator], run: Option<&str>) -> Result<Vec<usize>, Error> {
    let mut new = Vec::new();
    for (number, batch) in indicators.chunks(BATCH).enumerate() {
        let mut updates: Vec<Document> = batch
            .iter()
            .map(|indicator| update(indicator, run))
            .collect::<Result<_, _>>()?;
        let mut positions: Vec<usize> = (0..batch.len()).map(|index| number * BATCH + index).collect();
        // Two nodes adding the same value at once: the second write is refused once and then finds the record.
        for _ in 0..TRIES {
            let written = write(store, &updates).await?;
            new.extend(written.added.iter().filter_map(|index| positions.get(*index)));
            if written.duplicates.is_empty() {
                break;
            }
            let again = written.duplicates.iter();
            updates = again.clone().filter_map(|index| updates.get(*index).cloned()).collect();
            positions = again.filter_map(|index| positions.get(*index).copied()).collect();
        }
    }
    Ok(new)
}

/// What a command did, by positions in it.
#[derive(Debug, Default)]
struct Written {
    /// Not there before.
    added: Vec<usize>,
    /// Refused because somebody else added the same at that moment.
    duplicates: Vec<usize>,
}

/// As a pipeline, because only that can compare with what is there: `updated_at` must not move when nothing changed.
fn update(indicator: &Indicator, run: Option<&str>) -> Result<Document, Error> {
    let content = content(indicator);
    let hash = content_hash(&content)?;
    let mut set = Document::new();
    for (field, value) in content {
        set.insert(field, doc! { "$literal": value });
    }
    set.insert("h", hash);
    if let Some(run) = run {
        set.insert("run", doc! { "$literal": run });
    }
    set.insert(
        "created_at",
        doc! { "$ifNull": ["$created_at", date(indicator.created_at)] },
    );
    let is_removed = doc! { "$ne": [{ "$type": "$removed_at" }, "missing"] };
    let changed = doc! { "$or": [{ "$ne": ["$h", hash] }, is_removed] };
    set.insert("updated_at", doc! { "$cond": [changed, "$$NOW", "$updated_at"] });
    set.insert("removed_at", "$$REMOVE");
    Ok(doc! {
        "q": identity(indicator),
        "u": [{ "$set": set }],
        "upsert": true,
    })
}

/// Runs the updates in one command (the driver has bulk writes only for servers newer than we ask for) and says
/// what it did.
async fn write(store: &Store, updates: &[Document]) -> Result<Written, Error> {
    let answer = store
        .database()
        .run_command(doc! {
            "update": COLLECTION,
            "updates": updates,
            "ordered": false,
            "writeConcern": { "w": "majority", "j": true },
        })
        .await?;
    let mut written = Written::default();
    for added in answer.get_array("upserted").into_iter().flatten() {
        let index = added.as_document().and_then(|added| added.get("index"));
        written.added.extend(index.and_then(as_index));
    }
    for error in answer.get_array("writeErrors").into_iter().flatten() {
        let error = error.as_document();
        let code = error.and_then(|error| error.get_i32("code").ok());
        let index = error.and_then(|error| error.get("index").and_then(as_index));
        match (code, index) {
            (Some(DUPLICATE_KEY), Some(index)) => written.duplicates.push(index),
            _ => {
                let message = error
                    .and_then(|error| error.get_str("errmsg").ok())
                    .unwrap_or("no reason");
                return Err(Error::invalid(
                    "indicators",
                    format!("the database to store it ({message})"),
                ));
            }
        }
    }
    if let Ok(error) = answer.get_document("writeConcernError") {
        let message = error.get_str("errmsg").unwrap_or("no reason");
        return Err(Error::invalid(
            "indicators",
            format!("a majority to store it ({message})"),
        ));
    }
    Ok(written)
}

fn as_index(value: &Bson) -> Option<usize> {
    value.as_i32().and_then(|index| usize::try_from(index).ok())
}
