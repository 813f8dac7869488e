//! `/events/histogram` and `/events/top`.

use axum::Json;
use axum::extract::State;
use axum::http::Uri;
use model::Timestamp;
use query::parse_interval;
use serde::Serialize;
use utoipa::ToSchema;

use super::{FilterParams, Params, QueryParam, filter, known};
use crate::app::events::{Bucket, Counted, MAX_TOP, Partial, check_limit};
use crate::auth::Caller;
use crate::problem::{Problem, invalid, quote};
use crate::state::App;

/// Values listed when nobody says how many.
const DEFAULT_TOP: usize = 10;

/// How many events there were when.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::rest) struct HistogramAnswer {
    /// Length of an interval in seconds.
    #[schema(example = 60)]
    interval_secs: i64,
    /// Oldest first, also those without events.
    buckets: Vec<Bucket>,
    /// How many events in all.
    total: u64,
    /// Set when not all was read; counts up to `unread_until` are too low then.
    #[serde(skip_serializing_if = "Option::is_none")]
    partial: Option<Partial>,
}

/// The most frequent values of a field.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::rest) struct TopAnswer {
    #[schema(example = "source.ip")]
    field: String,
    /// Most frequent first.
    values: Vec<Counted>,
    /// Events that match.
    total: u64,
    /// Those of them without the field.
    missing: u64,
    /// Distinct values.
    distinct: u64,
    /// Whether there were so many distinct values that rare ones are not counted exactly.
    approximate: bool,
    /// Set when not all was read; counts are too low then.
    #[serde(skip_serializing_if = "Option::is_none")]
    partial: Option<Partial>,
}

/// How many events there were when.
#[utoipa::path(
    get,
    path = "/events/histogram",
    tag = "events",
    params(
        FilterParams,
        QueryParam,
        ("interval" = Option<String>, Query, description = "Length of an interval: `30s`, `1m`, `6h`, `1d`; chosen by the \
            span when absent. There may be 10,000 of them", example = "1m"),
    ),
    responses((status = 200, description = "Counts by time, of the last 24 hours when `from` is absent", body = HistogramAnswer))
)]
pub(in crate::rest) async fn histogram(
    State(app): State<App>,
    caller: Caller,
    uri: Uri,
) -> Result<Json<HistogramAnswer>, Problem> {
    let mut params = Params::parse(&uri, &known(&["interval"]))?;
    let interval = match params.text("interval") {
        None => None,
        Some(text) => Some(parse_interval(&text).ok_or_else(|| {
            let got = quote(&text);
            invalid(format!(
                "interval: expected a whole number with s, m, h, d or w, such as 1m, got {got}"
            ))
        })?),
    };
    let filter = filter(&mut params, caller.tenant)?.bounded(Timestamp::now());
    let made = app.events.histogram(&filter, interval).await?;
    Ok(Json(HistogramAnswer {
        interval_secs: made.micros / 1_000_000,
        buckets: made.buckets,
        total: made.total,
        partial: made.partial,
    }))
}

/// The most frequent values of a field.
#[utoipa::path(
    get,
    path = "/events/top",
    tag = "events",
    params(
        FilterParams,
        QueryParam,
        ("field" = String, Query, description = "Name of the field", example = "source.ip"),
        ("limit" = Option<u64>, Query, description = "Values listed, 1 to 1000; 10 by default", minimum = 1, maximum = 1000),
    ),
    responses((status = 200, description = "Values and counts, of the last 24 hours when `from` is absent", body = TopAnswer))
)]
pub(in crate::rest) async fn top(State(app): State<App>, caller: Caller, uri: Uri) -> Result<Json<TopAnswer>, Problem> {
    let mut params = Params::parse(&uri, &known(&["field", "limit"]))?;
    let Some(field) = params.text("field") else {
        return Err(invalid("field: expected the name of a field, such as source.ip").into());
    };
    let limit = params.take::<u64>("limit", &format!("a number from 1 to {MAX_TOP}"))?;
    let limit = check_limit(limit, DEFAULT_TOP, MAX_TOP)?;
    let filter = filter(&mut params, caller.tenant)?.bounded(Timestamp::now());
    let made = app.events.top(&filter, &field, limit).await?;
    Ok(Json(TopAnswer {
        field,
        values: made.values,
        total: made.total,
        missing: made.missing,
        distinct: made.distinct,
        approximate: made.is_approximate,
        partial: made.partial,
    }))
}
