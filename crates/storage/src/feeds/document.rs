//! A feed as BSON and back.

use bson::{Bson, DateTime, Document};
use model::Timestamp;
use model::feed::{FeedSpec, FeedState, FeedStatus};

use super::Feed;
use crate::Error;

/// Fields of a status that are dates.
const DATES: [&str; 4] = ["last_run", "last_success", "last_read", "hunt_since"];

pub(super) fn date(time: Timestamp) -> DateTime {
    DateTime::from_millis(time.as_millis())
}

pub(super) fn spec(spec: &FeedSpec) -> Result<Document, Error> {
    Ok(bson::serialize_to_document(spec)?)
}

/// Without `next_run` and `running_on`, which the lease and the schedule tell.
pub(super) fn status(status: &FeedStatus) -> Result<Document, Error> {
    let mut document = bson::serialize_to_document(status)?;
    for field in ["next_run", "running_on"] {
        document.remove(field);
    }
    let times = [
        status.last_run,
        status.last_success,
        status.last_read,
        status.hunt_since,
    ];
    for (field, time) in DATES.into_iter().zip(times) {
        document.insert(field, time.map(date));
    }
    Ok(document)
}

pub(super) fn read(document: &Document) -> Result<Feed, Error> {
    let wrong = |field: &str, expected: &str| Error::invalid(format!("feeds.{field}"), expected);
    let time = |document: &Document, field: &str| {
        let at = document.get_datetime(field).ok()?;
        Some(Timestamp::from_millis(at.timestamp_millis()))
    };
    let spec = document
        .get_document("spec")
        .map_err(|_| wrong("spec", "a document"))?
        .clone();
    let mut plain = document.get_document("status").cloned().unwrap_or_default();
    let dates = DATES.map(|field| {
        let date = time(&plain, field);
        plain.insert(field, Bson::Null);
        date
    });
    let mut status: FeedStatus = bson::deserialize_from_document(plain)?;
    [
        status.last_run,
        status.last_success,
        status.last_read,
        status.hunt_since,
    ] = dates;
    status.next_run = time(document, "next_run").filter(|at| at.0 > 0);
    let lease = document.get_document("lease").ok();
    let owner = lease
        .and_then(|lease| lease.get_str("owner").ok())
        .filter(|owner| !owner.is_empty());
    status.running_on = owner.map(str::to_owned);
    if owner.is_some() {
        status.state = FeedState::Running;
    }
    Ok(Feed {
        tenant: document
            .get_str("tenant")
            .map_err(|_| wrong("tenant", "text"))?
            .parse()
            .map_err(|error| wrong("tenant", &format!("{error}")))?,
        spec: bson::deserialize_from_document(spec)?,
        status,
        created_at: time(document, "created_at").ok_or_else(|| wrong("created_at", "a date"))?,
        updated_at: time(document, "updated_at").ok_or_else(|| wrong("updated_at", "a date"))?,
        updated_by: document.get_str("updated_by").unwrap_or_default().to_owned(),
    })
}
