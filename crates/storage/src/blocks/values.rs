//! One column of every block, for whoever counts values.

use bson::{RawDocumentBuf, doc};
use futures_util::{Stream, StreamExt as _, TryStreamExt as _, stream};
use model::{Tenant, Timestamp};
use query::Span;

use super::scan::filter;
use super::{BlockId, ColumnName, Day, OneColumn, ScanQuery, list_days, ordered, parts};
use crate::{Error, Store};

/// Columns fetched from the database at once.
const FETCH: u32 = 256;

/// A block's column.
#[derive(Clone, Debug)]
pub struct ColumnOfBlock {
    /// The block's day.
    pub day: Day,
    /// Its name within the day.
    pub id: BlockId,
    /// How many events it has.
    pub events: u32,
    /// No event is later.
    pub max: Timestamp,
    /// Whether all its events are of the span. Otherwise `column` is [`OneColumn::Elsewhere`].
    pub is_inside: bool,
    /// The column.
    pub column: OneColumn,
}

/// A field's column of every block that may hold events of the span, with those that complete it, by day, latest blocks
/// first.
///
/// # Errors
/// When the database is away.
pub async fn columns_of(
    store: &Store,
    tenant: &Tenant,
    span: Span,
    field: &str,
) -> Result<impl Stream<Item = Result<ColumnOfBlock, Error>> + Send + use<>, Error> {
    let query = ScanQuery {
        tenant: tenant.clone(),
        from: span.from,
        to: span.to,
        ..ScanQuery::default()
    };
    let days = list_days(store).await?;
    let (store, field) = (store.clone(), field.to_owned());
    let of_days = stream::iter(days).then(move |day| of_day(store.clone(), day, query.clone(), field.clone(), span));
    Ok(of_days.try_flatten())
}

async fn of_day(
    store: Store,
    day: Day,
    query: ScanQuery,
    field: String,
    span: Span,
) -> Result<impl Stream<Item = Result<ColumnOfBlock, Error>> + Send + use<>, Error> {
    let mut fields = doc! { "min": 1, "max": 1, "n": 1, "more": 1, "v": 1 };
    let columns = ColumnName::of(&field);
    if columns.len() > 1 {
        fields.insert("head", 1);
    }
    for path in columns.iter().flat_map(parts::paths) {
        fields.insert(path, 1);
    }
    let cursor = ordered::open(&store, day, &query, &filter(&query), &fields, FETCH).await?;
    Ok(cursor
        .map_err(Error::from)
        .map(move |raw| read(&raw?, day, &field, span)))
}

fn read(raw: &RawDocumentBuf, day: Day, field: &str, span: Span) -> Result<ColumnOfBlock, Error> {
    let time = |field: &str| {
        raw.get_datetime(field)
            .map(|at| Timestamp::from_millis(at.timestamp_millis()))
            .map_err(|_| Error::invalid(format!("blocks.{field}"), "a date"))
    };
    let id = raw
        .get_object_id("_id")
        .map_err(|_| Error::invalid("blocks._id", "an object id"))?;
    // `max` is rounded up, `min` down, so no event is outside of them.
    let is_inside = span.contains(time("min")?) && span.contains(time("max")?);
    Ok(ColumnOfBlock {
        day,
        id: BlockId(id.bytes()),
        events: raw
            .get_i32("n")
            .ok()
            .and_then(|count| u32::try_from(count).ok())
            .ok_or_else(|| Error::invalid("blocks.n", "a count"))?,
        max: time("max")?,
        is_inside,
        column: if is_inside {
            parts::one(raw, field)?
        } else {
            OneColumn::Elsewhere
        },
    })
}
