//! Many writes in one command, each of them told apart in the answer.

#![allow(
    clippy::wildcard_enum_match_arm,
    reason = "what is not a list of documents in an answer is nothing"
)]

use bson::{Bson, Document, doc};

use crate::error::{is_duplicate_code, is_retryable_code};
use crate::{Error, Store};

/// Most updates in one command.
const MAX_UPDATES: usize = 1000;
/// Most bytes in one command, roughly. The server takes 48 MB.
const MAX_BYTES: usize = 12 << 20;

/// One update; `update` is a document of operators or a pipeline.
pub(crate) struct Update {
    pub(crate) filter: Document,
    pub(crate) update: Bson,
    pub(crate) upsert: bool,
}

/// What became of an update.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Updated {
    /// There was nothing, and it was made.
    Inserted,
    /// It was carried out: on what the filter found, if it found anything.
    Done,
    /// There is such a document, but not one the filter finds; only with `upsert`.
    Duplicate,
}

/// Carries out updates in any order, each atomic by itself. When it fails, some may have been carried out.
///
/// # Errors
/// When the database is away or refuses an update for another reason than a duplicate.
pub(crate) async fn update(store: &Store, collection: &str, updates: Vec<Update>) -> Result<Vec<Updated>, Error> {
    let mut outcomes = Vec::with_capacity(updates.len());
    let mut chunk: Vec<Document> = Vec::new();
    let mut bytes = 0;
    for update in updates {
        let statement = doc! { "q": update.filter, "u": update.update, "upsert": update.upsert, "multi": false };
        let size = statement.to_vec().map(|bytes| bytes.len()).unwrap_or_default();
        if chunk.len() >= MAX_UPDATES || (!chunk.is_empty() && bytes + size > MAX_BYTES) {
            outcomes.extend(send(store, collection, std::mem::take(&mut chunk)).await?);
            bytes = 0;
        }
        bytes += size;
        chunk.push(statement);
    }
    if !chunk.is_empty() {
        outcomes.extend(send(store, collection, chunk).await?);
    }
    Ok(outcomes)
}

/// Inserts documents in any order and says of each whether it was: not if there is one with its key. When it fails,
/// some may have been inserted.
///
/// # Errors
/// When the database is away or refuses a document for another reason than a duplicate.
pub(crate) async fn insert(store: &Store, collection: &str, documents: Vec<Document>) -> Result<Vec<bool>, Error> {
    let mut is_inserted = Vec::with_capacity(documents.len());
    let (mut chunk, mut bytes) = (Vec::new(), 0);
    for document in documents {
        let size = document.to_vec().map(|bytes| bytes.len()).unwrap_or_default();
        if chunk.len() >= MAX_UPDATES || (!chunk.is_empty() && bytes + size > MAX_BYTES) {
            is_inserted.extend(send_inserts(store, collection, std::mem::take(&mut chunk)).await?);
            bytes = 0;
        }
        bytes += size;
        chunk.push(document);
    }
    if !chunk.is_empty() {
        is_inserted.extend(send_inserts(store, collection, chunk).await?);
    }
    Ok(is_inserted)
}

async fn send_inserts(store: &Store, collection: &str, documents: Vec<Document>) -> Result<Vec<bool>, Error> {
    let count = documents.len();
    let command = doc! { "insert": collection, "documents": documents };
    let outcomes = send_command(store, command, count).await?;
    Ok(outcomes
        .into_iter()
        .map(|outcome| outcome != Updated::Duplicate)
        .collect())
}

async fn send(store: &Store, collection: &str, updates: Vec<Document>) -> Result<Vec<Updated>, Error> {
    let count = updates.len();
    send_command(store, doc! { "update": collection, "updates": updates }, count).await
}

async fn send_command(store: &Store, mut command: Document, count: usize) -> Result<Vec<Updated>, Error> {
    let mut outcomes = vec![Updated::Done; count];
    command.insert("ordered", false);
    command.insert("writeConcern", doc! { "w": "majority", "j": true });
    let answer = store.database().run_command(command).await?;
    if let Ok(error) = answer.get_document("writeConcernError") {
        return Err(refused(error));
    }
    let mut set = |item: &Document, outcome: Updated| {
        let index = item.get_i32("index").ok().and_then(|index| usize::try_from(index).ok());
        if let Some(slot) = index.and_then(|index| outcomes.get_mut(index)) {
            *slot = outcome;
        }
    };
    for item in documents(&answer, "upserted") {
        set(item, Updated::Inserted);
    }
    for item in documents(&answer, "writeErrors") {
        let code = item.get_i32("code").unwrap_or_default();
        if !is_duplicate_code(code) {
            return Err(refused(item));
        }
        set(item, Updated::Duplicate);
    }
    Ok(outcomes)
}

fn documents<'a>(answer: &'a Document, field: &str) -> impl Iterator<Item = &'a Document> {
    answer
        .get_array(field)
        .into_iter()
        .flatten()
        .filter_map(Bson::as_document)
}

fn refused(error: &Document) -> Error {
    let code = error.get_i32("code").unwrap_or_default();
    let text = error.get_str("errmsg").unwrap_or("no reason given");
    let cause = mongodb::error::Error::custom(format!("{text} (code {code})"));
    if is_retryable_code(code) {
        Error::Unavailable(cause)
    } else {
        Error::Other(cause)
    }
}
