//! Alerts as they are made, and taken back: a change stream that survives restarts of the database.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bson::{Bson, Document, doc};
use futures_util::Stream;
use model::Tenant;
use model::alert::Alert;
use mongodb::change_stream::ChangeStream;
use mongodb::change_stream::event::ResumeToken;
use mongodb::error::ErrorKind;
use mongodb::options::FullDocumentType;
use tokio::sync::mpsc;

use super::versioned::WAS_RETRACTED;
use super::{COLLECTION, document};
use crate::{Error, Store};

/// Alerts read ahead of a slow watcher.
const READ_AHEAD: usize = 64;
/// Longest time the server holds a request open when there is nothing new.
const IDLE_WAIT: Duration = Duration::from_secs(1);
/// Pause between two tries while the database is away: from the first to the last of these.
const RETRY: [Duration; 2] = [Duration::from_millis(50), Duration::from_secs(2)];
/// Longest cursor accepted, in characters. MongoDB's tokens for inserts have about 200.
const MAX_CURSOR: usize = 4096;

/// Server codes that mean the history before the cursor is gone: `ChangeStreamHistoryLost`, `ChangeStreamFatalError`.
const LOST: [i32; 2] = [286, 280];
/// Why watching ended.
#[derive(Debug, thiserror::Error)]
pub enum WatchError {
    /// What happened since the cursor is no longer known; list the alerts and watch from now.
    #[error("the cursor is too old to resume from; list the alerts and start a new watch")]
    Expired,
    /// The text is not a cursor.
    #[error("cursor: expected one that an earlier watch returned")]
    InvalidCursor,
    /// Anything else.
    #[error(transparent)]
    Storage(#[from] Error),
}

/// What happened to an alert.
#[derive(Clone, Debug, PartialEq)]
pub struct Watched {
    /// The alert as it is by now.
    pub alert: Alert,
    /// It was there before: it was taken back, or stands again. May come more than once.
    pub is_update: bool,
    /// Where to resume right after it.
    pub cursor: String,
}

/// Alerts as they are made, and again when they are taken back, in the order in which the database committed them.
/// Dropping it ends the watch.
#[derive(Debug)]
pub struct Watch {
    items: mpsc::Receiver<Result<Item, WatchError>>,
    cursor: String,
    task: tokio::task::JoinHandle<()>,
}

#[derive(Debug)]
struct Item {
    alert: Option<Box<Alert>>,
    is_update: bool,
    cursor: String,
}

impl Watch {
    /// Where the watch stands: resuming from here repeats nothing and misses nothing that [`next`](Self::next) has
    /// returned or skipped. It moves on while nothing happens, so a quiet watcher keeps a fresh one by calling `next`.
    #[must_use]
    pub fn cursor(&self) -> &str {
        &self.cursor
    }

    /// The next alert. Losing the answer (in a `select!`, say) loses no alert.
    ///
    /// # Errors
    /// When watching cannot go on; the watch is then over. While the database is merely away this waits.
    pub async fn next(&mut self) -> Option<Result<Watched, WatchError>> {
        std::future::poll_fn(|cx| self.poll(cx)).await
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Watched, WatchError>>> {
        loop {
            return match self.items.poll_recv(cx) {
                Poll::Ready(Some(Ok(item))) => {
                    self.cursor = item.cursor;
                    match item.alert {
                        Some(alert) => Poll::Ready(Some(Ok(Watched {
                            alert: *alert,
                            is_update: item.is_update,
                            cursor: self.cursor.clone(),
                        }))),
                        None => continue,
                    }
                }
                Poll::Ready(Some(Err(error))) => Poll::Ready(Some(Err(error))),
                Poll::Ready(None) => Poll::Ready(None),
                Poll::Pending => Poll::Pending,
            };
        }
    }
}

impl Stream for Watch {
    type Item = Result<Watched, WatchError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll(cx)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Watches a tenant's alerts from a cursor on, or from now. When it returns, every alert stored from then on will be
/// seen.
///
/// # Errors
/// When the cursor is none or too old, or the database is away.
pub async fn watch(store: &Store, tenant: &Tenant, cursor: Option<&str>) -> Result<Watch, WatchError> {
    let token = cursor.map(parse).transpose()?;
    let opened = open(store, tenant, token.clone()).await.map_err(|error| {
        // The server has a dozen codes for tokens that decode to nonsense, and no other reason to refuse.
        let is_refused = matches!(error, WatchError::Storage(Error::Other(_)));
        if is_refused && cursor.is_some() {
            WatchError::InvalidCursor
        } else {
            error
        }
    })?;
    let cursor = match (opened.resume_token().as_ref().and_then(text), cursor) {
        (Some(fresh), _) => fresh,
        (None, given) => given.unwrap_or_default().to_owned(),
    };
    let (sender, items) = mpsc::channel(READ_AHEAD);
    let reader = Reader {
        store: store.clone(),
        tenant: tenant.clone(),
        token: opened.resume_token().or(token),
        sender,
    };
    Ok(Watch {
        items,
        cursor,
        task: tokio::spawn(reader.run(opened)),
    })
}

struct Reader {
    store: Store,
    tenant: Tenant,
    token: Option<ResumeToken>,
    sender: mpsc::Sender<Result<Item, WatchError>>,
}

impl Reader {
    async fn run(mut self, mut changes: ChangeStream<Document>) {
        loop {
            let read = self.read(&mut changes).await;
            let Err(error) = read else { return };
            if !is_retryable(&error) {
                let _ = self.sender.send(Err(error)).await;
                return;
            }
            match self.reopen().await {
                Ok(again) => changes = again,
                Err(error) => {
                    let _ = self.sender.send(Err(error)).await;
                    return;
                }
            }
        }
    }

    /// Reads until the watcher is gone (`Ok`) or something fails.
    async fn read(&mut self, changes: &mut ChangeStream<Document>) -> Result<(), WatchError> {
        while changes.is_alive() {
            let change = changes.next_if_any().await.map_err(classify)?;
            let token = changes.resume_token();
            let moved = token != self.token;
            self.token = token;
            let is_update = change
                .as_ref()
                .is_some_and(|change| change.get_str("operationType").is_ok_and(|kind| kind == "update"));
            let alert = match change {
                Some(mut change) => match change.remove("fullDocument") {
                    Some(Bson::Document(found)) => readable(found),
                    _ => None,
                },
                None => None,
            };
            if alert.is_none() && !moved {
                continue;
            }
            let Some(cursor) = self.token.as_ref().and_then(text) else {
                continue;
            };
            if self
                .sender
                .send(Ok(Item {
                    alert,
                    is_update,
                    cursor,
                }))
                .await
                .is_err()
            {
                return Ok(());
            }
        }
        // The collection was dropped or renamed: what comes after is another history.
        Err(WatchError::Expired)
    }

    async fn reopen(&self) -> Result<ChangeStream<Document>, WatchError> {
        let mut pause = RETRY[0];
        loop {
            match open(&self.store, &self.tenant, self.token.clone()).await {
                Err(error) if is_retryable(&error) && !self.sender.is_closed() => {}
                done => return done,
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(RETRY[1]);
        }
    }
}

/// A document somebody else put into the collection must not end the watch.
fn readable(found: Document) -> Option<Box<Alert>> {
    let id = found.get("_id").map(ToString::to_string).unwrap_or_default();
    match document::decode(found) {
        Ok(alert) => Some(Box::new(alert)),
        Err(error) => {
            tracing::warn!(alert.id = id, %error, "stored alert is not readable, watchers do not see it");
            None
        }
    }
}

async fn open(
    store: &Store,
    tenant: &Tenant,
    token: Option<ResumeToken>,
) -> Result<ChangeStream<Document>, WatchError> {
    // Two steps, so that the database looks up the documents of few updates only.
    let retracted = format!("updateDescription.updatedFields.{WAS_RETRACTED}");
    let changes = doc! { "$match": { "$or": [
        { "operationType": "insert" },
        { "operationType": "update", retracted: { "$exists": true } },
        { "operationType": "update", "updateDescription.updatedFields.correlation": { "$exists": true } },
    ] } };
    let wanted = doc! { "$match": {
        "fullDocument.tenant": tenant.as_str(),
        "$or": [{ "operationType": "insert" }, { format!("fullDocument.{WAS_RETRACTED}"): { "$exists": true } }],
    } };
    let collection = store.collection::<Document>(COLLECTION);
    let watch = collection
        .watch()
        .pipeline([changes, wanted])
        .full_document(FullDocumentType::UpdateLookup)
        .max_await_time(IDLE_WAIT);
    let watch = match token {
        Some(token) => watch.resume_after(token),
        None => watch,
    };
    Ok(watch.await.map_err(classify)?.with_type())
}

fn is_retryable(error: &WatchError) -> bool {
    matches!(error, WatchError::Storage(error) if error.is_retryable())
}

fn classify(error: mongodb::error::Error) -> WatchError {
    if let ErrorKind::Command(command) = error.kind.as_ref()
        && LOST.contains(&command.code)
    {
        return WatchError::Expired;
    }
    if error.contains_label("ResumableChangeStreamError") {
        return WatchError::Storage(Error::Unavailable(error));
    }
    WatchError::Storage(error.into())
}

/// MongoDB's token is a document with one field of hex digits; they are the cursor.
fn text(token: &ResumeToken) -> Option<String> {
    let document = bson::serialize_to_document(token).ok()?;
    document.get_str("_data").ok().map(str::to_owned)
}

fn parse(cursor: &str) -> Result<ResumeToken, WatchError> {
    let is_hex = cursor.bytes().all(|b| b.is_ascii_hexdigit());
    if cursor.is_empty() || cursor.len() > MAX_CURSOR || !cursor.len().is_multiple_of(2) || !is_hex {
        return Err(WatchError::InvalidCursor);
    }
    bson::deserialize_from_document(doc! { "_data": cursor }).map_err(|_| WatchError::InvalidCursor)
}

#[cfg(test)]
mod tests {
    use super::{parse, text};

    #[test]
    fn cursors_are_hex_digits_and_nothing_else() {
        let token = parse("8263AB").unwrap();
        assert_eq!(text(&token).unwrap(), "8263AB");
        for bad in ["", "8", "zz", "{\"_data\":1}", &"ab".repeat(5000)] {
            assert!(parse(bad).is_err(), "{bad:?}");
        }
    }
}
