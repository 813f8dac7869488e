//! `indicators`: threat intelligence, one record per `(tenant, type, value)`. Written by detectors only.

use bson::{DateTime, Document, doc};
use futures_util::TryStreamExt as _;
use model::indicator::{Indicator, IndicatorType};
use model::{Tenant, Timestamp};
use mongodb::IndexModel;
use mongodb::options::IndexOptions;

use crate::{Error, Store};

const COLLECTION: &str = "indicators";
/// Writes per command. MongoDB takes more, but a command should not hold others up for long.
const BATCH: usize = 1000;
/// Most indicators one [`list`] answers.
const MAX_LIMIT: u32 = 10_000;
const DUPLICATE_KEY: i32 = 11000;

pub(crate) async fn ensure_indexes(store: &Store) -> Result<(), Error> {
    let unique = IndexOptions::builder().unique(true).build();
    let identity = IndexModel::builder()
        .keys(doc! { "tenant": 1, "type": 1, "value": 1 })
        .options(unique)
        .build();
    let plain = |keys: Document| IndexModel::builder().keys(keys).build();
    store
        .collection::<Document>(COLLECTION)
        .create_indexes([
            identity,
            plain(doc! { "tenant": 1, "created_at": -1 }),
            plain(doc! { "updated_at": 1 }),
        ])
        .await?;
    Ok(())
}

/// Adds indicators or replaces source, note and validity of those that are there. `created_at` is kept from the first
/// time. Values must be canonical: see [`model::indicator::canonical_value`].
///
/// # Errors
/// When the database is away; some may then be stored, and the same call again completes it.
pub async fn upsert(store: &Store, indicators: &[Indicator]) -> Result<(), Error> {
    for batch in indicators.chunks(BATCH) {
        let mut updates: Vec<Document> = batch.iter().map(update).collect();
        // Two nodes adding the same value at once: the second write is refused once and then finds the record.
        for _ in 0..3 {
            let refused = write(store, &updates).await?;
            if refused.is_empty() {
                break;
            }
            updates = refused
                .into_iter()
                .filter_map(|index| updates.get(index).cloned())
                .collect();
        }
    }
    Ok(())
}

fn update(indicator: &Indicator) -> Document {
    let date = |time: Timestamp| DateTime::from_millis(time.as_millis());
    doc! {
        "q": {
            "tenant": indicator.tenant.as_str(),
            "type": indicator.kind.as_str(),
            "value": &indicator.value,
        },
        "u": {
            "$set": {
                "source": &indicator.source,
                "note": &indicator.note,
                "valid_until": indicator.valid_until.map(date),
            },
            "$setOnInsert": { "created_at": date(indicator.created_at) },
            "$currentDate": { "updated_at": true },
        },
        "upsert": true,
    }
}

/// Runs the updates in one command (the driver has bulk writes only for servers newer than we ask for) and returns the
/// positions of those that met a duplicate.
async fn write(store: &Store, updates: &[Document]) -> Result<Vec<usize>, Error> {
    let answer = store
        .database()
        .run_command(doc! {
            "update": COLLECTION,
            "updates": updates,
            "ordered": false,
            "writeConcern": { "w": "majority", "j": true },
        })
        .await?;
    let mut duplicates = Vec::new();
    for error in answer.get_array("writeErrors").into_iter().flatten() {
        let error = error.as_document();
        let code = error.and_then(|error| error.get_i32("code").ok());
        let index = error.and_then(|error| error.get_i32("index").ok());
        match (code, index.and_then(|index| usize::try_from(index).ok())) {
            (Some(DUPLICATE_KEY), Some(index)) => duplicates.push(index),
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
    Ok(duplicates)
}

/// Indicators of a tenant, those added last first; of one type if one is given. `limit` is capped at 10,000.
///
/// # Errors
/// When the database is away or a record is not readable.
pub async fn list(
    store: &Store,
    tenant: &Tenant,
    kind: Option<IndicatorType>,
    limit: u32,
) -> Result<Vec<Indicator>, Error> {
    let mut filter = doc! { "tenant": tenant.as_str() };
    if let Some(kind) = kind {
        filter.insert("type", kind.as_str());
    }
    let mut cursor = store
        .collection::<Document>(COLLECTION)
        .find(filter)
        .sort(doc! { "created_at": -1 })
        .limit(i64::from(limit.clamp(1, MAX_LIMIT)))
        .await?;
    let mut indicators = Vec::new();
    while let Some(document) = cursor.try_next().await? {
        indicators.push(from_document(&document)?);
    }
    Ok(indicators)
}

/// What changed since an earlier look.
#[derive(Clone, Debug, Default)]
pub struct Changes {
    /// Indicators of all tenants that were added or replaced; everything when `since` was `None`.
    pub indicators: Vec<Indicator>,
    /// Give it to the next look. Changes of the last seconds before it are reported once more then.
    pub until: Option<Timestamp>,
    /// How many there are in all. Fewer than are known: some were deleted, look from the start.
    pub count: u64,
}

/// Longest time between a write taking its time from the database's clock and the write being visible.
const OVERLAP_MICROS: i64 = 5_000_000;

/// Reads what changed since `until` of an earlier look, or everything.
///
/// # Errors
/// When the database is away. A record that is not readable is left out and logged.
pub async fn changes(store: &Store, since: Option<Timestamp>) -> Result<Changes, Error> {
    let collection = store.collection::<Document>(COLLECTION);
    let until = store.now().await?;
    let filter = since.map_or_else(
        || doc! {},
        |since| {
            let from = DateTime::from_millis(Timestamp(since.0.saturating_sub(OVERLAP_MICROS)).as_millis());
            doc! { "updated_at": { "$gte": from } }
        },
    );
    let mut cursor = collection.find(filter).batch_size(5000).await?;
    let mut indicators = Vec::new();
    while let Some(document) = cursor.try_next().await? {
        match from_document(&document) {
            Ok(indicator) => indicators.push(indicator),
            Err(error) => tracing::warn!(%error, "stored indicator is not readable, it will not match"),
        }
    }
    Ok(Changes {
        indicators,
        until: Some(until),
        count: collection.estimated_document_count().await?,
    })
}

fn from_document(document: &Document) -> Result<Indicator, Error> {
    let text = |field: &str| {
        document
            .get_str(field)
            .map_err(|_| Error::invalid(format!("indicators.{field}"), "text"))
    };
    let time = |at: &DateTime| Timestamp::from_millis(at.timestamp_millis());
    Ok(Indicator {
        tenant: text("tenant")?
            .parse()
            .map_err(|error| Error::invalid("indicators.tenant", format!("{error}")))?,
        kind: text("type")?
            .parse()
            .map_err(|error| Error::invalid("indicators.type", format!("{error}")))?,
        value: text("value")?.to_owned(),
        source: text("source")?.to_owned(),
        note: text("note")?.to_owned(),
        created_at: document
            .get_datetime("created_at")
            .map(time)
            .map_err(|_| Error::invalid("indicators.created_at", "a date"))?,
        valid_until: document.get_datetime("valid_until").ok().map(time),
    })
}
