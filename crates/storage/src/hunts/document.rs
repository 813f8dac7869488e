//! A hunt as BSON and back. Times are BSON dates, so that people can read them in mongosh and MongoDB can expire them.

use bson::{Bson, DateTime, Document, doc};
use model::Timestamp;

use super::{Hunt, Quarry};
use crate::Error;

pub(super) fn date(time: Timestamp) -> DateTime {
    DateTime::from_millis(time.as_millis())
}

pub(super) fn write(hunt: &Hunt) -> Result<Document, Error> {
    let quarry = match &hunt.quarry {
        Quarry::Indicators(values) => {
            let values: Vec<Document> = values
                .iter()
                .map(|(kind, value)| doc! { "type": kind.as_str(), "value": value })
                .collect();
            doc! { "indicators": values }
        }
        Quarry::Feed { name, added_since } => doc! { "feed": name, "added_since": added_since.map(date) },
    };
    Ok(doc! {
        "_id": &hunt.id,
        "tenant": hunt.tenant.as_str(),
        "quarry": quarry,
        "from": hunt.from.map(date),
        "to": hunt.to.map(date),
        "alert": hunt.alert,
        "requested_by": &hunt.requested_by,
        "state": hunt.state.as_str(),
        "progress": bson::serialize_to_document(&hunt.progress)?,
        "node": &hunt.node,
        "error": &hunt.error,
        "created_at": date(hunt.created_at),
        "finished_at": hunt.finished_at.map(date),
    })
}

pub(super) fn read(document: Document) -> Result<Hunt, Error> {
    let wrong = |field: &str, expected: &str| Error::invalid(format!("hunts.{field}"), expected);
    let text = |field: &str| {
        document
            .get_str(field)
            .map(str::to_owned)
            .map_err(|_| wrong(field, "text"))
    };
    let time = |document: &Document, field: &str| {
        document
            .get_datetime(field)
            .ok()
            .map(|at| Timestamp::from_millis(at.timestamp_millis()))
    };
    let from_bson = |field: &str| document.get(field).cloned().unwrap_or(Bson::Null);
    Ok(Hunt {
        id: text("_id")?,
        tenant: text("tenant")?
            .parse()
            .map_err(|error| Error::invalid("hunts.tenant", format!("{error}")))?,
        quarry: read_quarry(
            document
                .get_document("quarry")
                .map_err(|_| wrong("quarry", "a document"))?,
        )?,
        from: time(&document, "from"),
        to: time(&document, "to"),
        alert: document.get_bool("alert").unwrap_or(false),
        requested_by: text("requested_by")?,
        state: bson::deserialize_from_bson(from_bson("state")).map_err(|_| wrong("state", "a state"))?,
        progress: bson::deserialize_from_bson(from_bson("progress")).map_err(|_| wrong("progress", "numbers"))?,
        node: text("node").ok(),
        error: text("error").ok(),
        created_at: time(&document, "created_at").ok_or_else(|| wrong("created_at", "a date"))?,
        finished_at: time(&document, "finished_at"),
    })
}

fn read_quarry(quarry: &Document) -> Result<Quarry, Error> {
    let wrong = || Error::invalid("hunts.quarry", "indicators or a feed");
    if let Ok(name) = quarry.get_str("feed") {
        let added_since = quarry.get_datetime("added_since").ok();
        return Ok(Quarry::Feed {
            name: name.to_owned(),
            added_since: added_since.map(|at| Timestamp::from_millis(at.timestamp_millis())),
        });
    }
    let list = quarry.get_array("indicators").map_err(|_| wrong())?;
    let mut values = Vec::with_capacity(list.len());
    for value in list {
        let value = value.as_document().ok_or_else(wrong)?;
        let kind = value.get_str("type").ok().and_then(|kind| kind.parse().ok());
        let text = value.get_str("value").ok();
        let (Some(kind), Some(text)) = (kind, text) else {
            return Err(wrong());
        };
        values.push((kind, text.to_owned()));
    }
    Ok(Quarry::Indicators(values))
}
