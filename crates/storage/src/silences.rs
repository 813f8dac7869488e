//! `silences`: who has stopped sending, and has not been heard since. Written by detectors, as the alerts are.

use bson::{DateTime, Document, doc};
use futures_util::TryStreamExt as _;
use model::{AgentId, AlertId, Tenant, Timestamp};

use crate::heard::Origin;
use crate::{Error, Store};

const COLLECTION: &str = "silences";

/// A silence that lasts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Silence {
    /// The alert that tells of it.
    pub alert: AlertId,
    /// Whose.
    pub tenant: Tenant,
    /// Which endpoint.
    pub agent: AgentId,
    /// Which of its sources; `None` for the endpoint itself.
    pub origin: Option<Origin>,
    /// When it was heard last.
    pub since: Timestamp,
}

/// Notes a silence. Noting it again changes nothing.
///
/// # Errors
/// When the database is away.
pub async fn begin(store: &Store, silence: &Silence) -> Result<(), Error> {
    let mut fields = doc! {
        "tenant": silence.tenant.as_str(),
        "agent": silence.agent.to_string(),
        "since": DateTime::from_millis(silence.since.as_millis()),
    };
    if let Some(origin) = &silence.origin {
        fields.insert("origin", doc! { "kind": &origin.kind, "name": &origin.name });
    }
    store
        .collection::<Document>(COLLECTION)
        .update_one(doc! { "_id": silence.alert.as_str() }, doc! { "$setOnInsert": fields })
        .upsert(true)
        .await?;
    Ok(())
}

/// Forgets a silence that is over.
///
/// # Errors
/// When the database is away.
pub async fn end(store: &Store, alert: &AlertId) -> Result<(), Error> {
    store
        .collection::<Document>(COLLECTION)
        .delete_one(doc! { "_id": alert.as_str() })
        .await?;
    Ok(())
}

/// All that last, of all tenants, the newest first; at most `limit`.
///
/// # Errors
/// When the database is away or a record is not readable.
pub async fn list(store: &Store, limit: u32) -> Result<Vec<Silence>, Error> {
    let documents: Vec<Document> = store
        .collection::<Document>(COLLECTION)
        .find(doc! {})
        .sort(doc! { "_id": 1 })
        .limit(i64::from(limit))
        .await?
        .try_collect()
        .await?;
    documents.iter().map(from_document).collect()
}

fn from_document(document: &Document) -> Result<Silence, Error> {
    let wrong = |field: &str| Error::invalid(format!("silences.{field}"), "what a detector writes there");
    let text = |field: &str| document.get_str(field).map_err(|_| wrong(field));
    let since = document.get_datetime("since").map_err(|_| wrong("since"))?;
    let origin = document.get_document("origin").ok();
    Ok(Silence {
        alert: text("_id")?.parse().map_err(|_| wrong("_id"))?,
        tenant: text("tenant")?.parse().map_err(|_| wrong("tenant"))?,
        agent: text("agent")?.parse().map_err(|_| wrong("agent"))?,
        origin: origin
            .map(|origin| {
                let text = |field: &str| origin.get_str(field).map(str::to_owned).map_err(|_| wrong("origin"));
                Ok::<_, Error>(Origin {
                    kind: text("kind")?,
                    name: text("name")?,
                })
            })
            .transpose()?,
        since: Timestamp::from_millis(since.timestamp_millis()),
    })
}
