//! How many events there were when, without reading blocks where that can be told from what is kept beside them.

use std::collections::BTreeMap;

use bson::{RawDocument, RawDocumentBuf, doc};
use futures_util::TryStreamExt as _;
use model::{Tenant, Timestamp};
use mongodb::options::ReadConcern;
use query::Span;

use super::scan::filter;
use super::snapshot::patiently;
use super::{BlockId, Columns, Day, ScanQuery, list_days};
use crate::{Error, Store};

const MINUTE: i64 = 60_000_000;
/// Blocks of which only sums are fetched, at once.
const FETCH_SUMS: u32 = 5_000;

/// Events by time: the beginning of each interval that has any, and how many.
pub type Histogram = BTreeMap<Timestamp, u64>;

/// Counts the events of a tenant and span in intervals of `micros`, which begin at multiples of it since 1970. Exact: blocks
/// that intervals or the ends of the span cut within a minute are read.
///
/// # Errors
/// When the database is away or a block is not readable.
pub async fn histogram(store: &Store, tenant: &Tenant, span: Span, micros: i64) -> Result<Histogram, Error> {
    let micros = micros.max(1);
    let mut counts = Histogram::new();
    for day in list_days(store).await? {
        add_day(store, tenant, span, micros, day, &mut counts).await?;
    }
    Ok(counts)
}

/// What is known of a block without reading it.
struct Sums {
    id: Option<BlockId>,
    min: Timestamp,
    max: Timestamp,
    events: u64,
    minutes: Option<Vec<(Timestamp, u64)>>,
}

async fn add_day(
    store: &Store,
    tenant: &Tenant,
    span: Span,
    micros: i64,
    day: Day,
    counts: &mut Histogram,
) -> Result<(), Error> {
    let query = ScanQuery {
        tenant: tenant.clone(),
        from: span.from,
        to: span.to,
        ..ScanQuery::default()
    };
    // Without the id the index answers alone.
    let fields = doc! { "_id": 0, "part": 1, "max": 1, "min": 1, "n": 1, "minutes": 1 };
    let collection = store.collection::<RawDocumentBuf>(&day.collection());
    let mut cursor = patiently!(
        collection
            .find(filter(&query))
            .projection(fields.clone())
            .batch_size(FETCH_SUMS)
            .read_concern(ReadConcern::snapshot())
    )?;
    let mut unclear = false;
    let mut found = Histogram::new();
    while let Some(raw) = cursor.try_next().await? {
        let sums = read(&raw)?;
        unclear = !add(&sums, span, micros, &mut found);
        if unclear {
            break;
        }
    }
    if unclear {
        found = slowly(store, &query, span, micros, day).await?;
    }
    for (start, count) in found {
        *counts.entry(start).or_default() += count;
    }
    Ok(())
}

/// The same, reading the blocks that have to be read.
async fn slowly(store: &Store, query: &ScanQuery, span: Span, micros: i64, day: Day) -> Result<Histogram, Error> {
    let collection = store.collection::<RawDocumentBuf>(&day.collection());
    let mut cursor = patiently!(
        collection
            .find(filter(query))
            .projection(doc! { "max": 1, "min": 1, "n": 1, "minutes": 1 })
            .batch_size(FETCH_SUMS)
            .read_concern(ReadConcern::snapshot())
    )?;
    let mut counts = Histogram::new();
    while let Some(raw) = cursor.try_next().await? {
        let sums = read(&raw)?;
        if add(&sums, span, micros, &mut counts) {
            continue;
        }
        let Some(id) = sums.id else { continue };
        // Retention may have removed it meanwhile.
        let Some(block) = super::find(store, day, id, &Columns::NONE).await? else {
            continue;
        };
        let times = block
            .body
            .open()
            .and_then(|block| block.timestamps())
            .map_err(|error| Error::invalid(format!("blocks.body of {id}"), format!("a block ({error})")))?;
        for time in times.into_iter().filter(|time| span.contains(*time)) {
            *counts.entry(interval(time, micros)).or_default() += 1;
        }
    }
    Ok(counts)
}

fn interval(time: Timestamp, micros: i64) -> Timestamp {
    Timestamp(time.0.div_euclid(micros).saturating_mul(micros))
}

/// Adds a block's events; false, and nothing added, when what is kept beside it does not tell where they belong.
fn add(sums: &Sums, span: Span, micros: i64, counts: &mut Histogram) -> bool {
    // All of `first..=last` outside of the span, inside, or cut by it.
    let place = |first: Timestamp, last: Timestamp| {
        let is_outside = span.from.is_some_and(|from| last < from) || span.to.is_some_and(|to| first >= to);
        match (is_outside, span.contains(first) && span.contains(last)) {
            (true, _) => Some(false),
            (false, true) => Some(true),
            (false, false) => None,
        }
    };
    // `max` is rounded up, `min` down, so no event is outside of them.
    if interval(sums.min, micros) == interval(sums.max, micros) {
        match place(sums.min, sums.max) {
            Some(true) => *counts.entry(interval(sums.min, micros)).or_default() += sums.events,
            Some(false) => {}
            None => return add_minutes(sums, place, micros, counts),
        }
        return true;
    }
    add_minutes(sums, place, micros, counts)
}

fn add_minutes(
    sums: &Sums,
    place: impl Fn(Timestamp, Timestamp) -> Option<bool>,
    micros: i64,
    counts: &mut Histogram,
) -> bool {
    let Some(minutes) = &sums.minutes else { return false };
    let mut inside = Vec::with_capacity(minutes.len());
    for (start, count) in minutes {
        let last = Timestamp(start.0.saturating_add(MINUTE - 1));
        let (first, last) = ((*start).max(sums.min), last.min(sums.max));
        if interval(first, micros) != interval(last, micros) {
            return false;
        }
        match place(first, last) {
            Some(true) => inside.push((interval(first, micros), *count)),
            Some(false) => {}
            None => return false,
        }
    }
    for (start, count) in inside {
        *counts.entry(start).or_default() += count;
    }
    true
}

fn read(raw: &RawDocument) -> Result<Sums, Error> {
    let time = |field: &str| {
        raw.get_datetime(field)
            .map(|at| Timestamp::from_millis(at.timestamp_millis()))
            .map_err(|_| Error::invalid(format!("blocks.{field}"), "a date"))
    };
    let min = time("min")?;
    let minutes = raw.get_binary("minutes").ok();
    Ok(Sums {
        id: raw.get_object_id("_id").ok().map(|id| BlockId(id.bytes())),
        min,
        max: time("max")?,
        events: raw
            .get_i32("n")
            .ok()
            .and_then(|count| u64::try_from(count).ok())
            .ok_or_else(|| Error::invalid("blocks.n", "a count"))?,
        minutes: minutes
            .map(|minutes| block::minutes(minutes.bytes, min))
            .transpose()
            .map_err(|error| Error::invalid("blocks.minutes", format!("counts of minutes ({error})")))?,
    })
}
