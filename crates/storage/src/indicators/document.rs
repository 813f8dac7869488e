//! An indicator as BSON and back.

use bson::{Bson, DateTime, Document, RawDocument, doc};
use model::Timestamp;
use model::indicator::{DEFAULT_CONFIDENCE, Indicator};

use crate::Error;

pub(super) fn date(time: Timestamp) -> DateTime {
    DateTime::from_millis(time.as_millis())
}

/// What identifies the record.
pub(super) fn identity(indicator: &Indicator) -> Document {
    doc! {
        "tenant": indicator.tenant.as_str(),
        "type": indicator.kind.as_str(),
        "value": &indicator.value,
        "feed": &indicator.feed,
        "source": &indicator.source,
    }
}

/// What may change about it.
pub(super) fn content(indicator: &Indicator) -> Document {
    let tags: Vec<Bson> = indicator.tags.iter().map(|tag| Bson::from(tag.as_str())).collect();
    doc! {
        "confidence": i32::from(indicator.confidence),
        "tags": tags,
        "tlp": indicator.tlp.map(|tlp| tlp.as_str()),
        "note": &indicator.note,
        "reference": &indicator.reference,
        "valid_from": indicator.valid_from.map(date),
        "valid_until": indicator.valid_until.map(date),
    }
}

/// Tells two contents apart.
pub(super) fn content_hash(content: &Document) -> Result<i64, Error> {
    let hash = blake3::hash(&content.to_vec()?);
    let mut first = [0; 8];
    for (to, from) in first.iter_mut().zip(hash.as_bytes()) {
        *to = *from;
    }
    Ok(i64::from_le_bytes(first))
}

pub(super) fn read(raw: &RawDocument) -> Result<Indicator, Error> {
    let wrong = |field: &str, expected: &str| Error::invalid(format!("indicators.{field}"), expected);
    let text = |field: &'static str| raw.get_str(field).map_err(|_| wrong(field, "text"));
    let some_text = |field: &'static str| raw.get_str(field).unwrap_or_default().to_owned();
    let time = |field: &'static str| {
        raw.get_datetime(field)
            .ok()
            .map(|at| Timestamp::from_millis(at.timestamp_millis()))
    };
    let mut tags = Vec::new();
    if let Ok(list) = raw.get_array("tags") {
        for tag in list {
            let tag = tag.ok().and_then(|tag| tag.as_str().map(str::to_owned));
            tags.push(tag.ok_or_else(|| wrong("tags", "a list of texts"))?);
        }
    }
    let confidence = match raw.get_i32("confidence") {
        Ok(number) => u8::try_from(number)
            .ok()
            .filter(|number| *number <= 100)
            .ok_or_else(|| wrong("confidence", "a number from 0 to 100"))?,
        Err(_) => DEFAULT_CONFIDENCE,
    };
    Ok(Indicator {
        tenant: text("tenant")?
            .parse()
            .map_err(|error| Error::invalid("indicators.tenant", format!("{error}")))?,
        kind: text("type")?
            .parse()
            .map_err(|error| Error::invalid("indicators.type", format!("{error}")))?,
        value: text("value")?.to_owned(),
        source: text("source")?.to_owned(),
        feed: some_text("feed"),
        confidence,
        tags,
        tlp: raw.get_str("tlp").ok().and_then(|tlp| tlp.parse().ok()),
        note: some_text("note"),
        reference: some_text("reference"),
        created_at: time("created_at").ok_or_else(|| wrong("created_at", "a date"))?,
        valid_from: time("valid_from"),
        valid_until: time("valid_until"),
    })
}
