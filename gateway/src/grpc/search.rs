//! The searches of `picket.query.v1.QueryService`.

use std::pin::Pin;

use futures_util::{Stream, StreamExt as _};
use model::Timestamp;
use proto::ServiceError;
use proto::query::v1::{
    CountedValue, EventBucket, EventFilter as WireFilter, ExportEventsRequest, ExportEventsResponse,
    GetEventHistogramRequest, GetEventHistogramResponse, GetTopValuesRequest, GetTopValuesResponse,
    Partial as WirePartial, SearchEventsRequest, SearchEventsResponse,
};
use query::{Query, QueryError, parse_moment};
use tonic::Status;

use crate::app::events::{Cursor, DEFAULT_PAGE, EventFilter, Format, MAX_PAGE, MAX_TOP, Partial, check_limit};
use crate::auth::Caller;
use crate::problem::{from_query, invalid, quote};
use crate::state::App;

/// Values listed when nobody says how many.
const DEFAULT_TOP: usize = 10;

pub(super) type ExportStream = Pin<Box<dyn Stream<Item = Result<ExportEventsResponse, Status>> + Send>>;

/// The error, and its place where programs find it.
fn misread(error: &QueryError) -> Status {
    let mut status = Status::from(from_query(error));
    status
        .metadata_mut()
        .insert("query-position", (error.position() as u64).into());
    status
}

fn filter(caller: Caller, wire: Option<WireFilter>) -> Result<EventFilter, Status> {
    let WireFilter {
        query,
        agent_id,
        ip,
        os_type,
        from,
        to,
    } = wire.unwrap_or_default();
    let some = |text: String| (!text.is_empty()).then_some(text);
    let now = Timestamp::now();
    let time = |name: &str, text: &str| -> Result<Option<Timestamp>, ServiceError> {
        if text.is_empty() {
            return Ok(None);
        }
        let moment = parse_moment(text).map_err(|error| invalid(format!("filter.{name}: {error}")))?;
        Ok(Some(moment.resolve(now).0))
    };
    let (from, to) = (time("from", &from)?, time("to", &to)?);
    if let (Some(from), Some(to)) = (from, to)
        && from >= to
    {
        return Err(invalid("filter.from: expected a time before `to`").into());
    }
    let ip = match ip.as_str() {
        "" => None,
        text => Some(text.parse().map_err(|_| {
            invalid(format!(
                "filter.ip: expected an IPv4 or IPv6 address, got {}",
                quote(text)
            ))
        })?),
    };
    Ok(EventFilter {
        tenant: caller.tenant,
        agent_id: some(agent_id),
        ip,
        os_type: some(os_type),
        from,
        to,
        query: Query::parse(&query).map_err(|error| misread(&error))?,
    })
}

fn partial(partial: Partial) -> WirePartial {
    WirePartial {
        reason: partial.reason.to_owned(),
        unread_until_micros: partial.unread_until.map(|until| until.0),
        unreadable_blocks: partial.unreadable_blocks,
    }
}

pub(super) async fn page(
    app: &App,
    caller: Caller,
    request: SearchEventsRequest,
) -> Result<SearchEventsResponse, Status> {
    let limit = (request.limit != 0).then(|| u64::from(request.limit));
    let limit = check_limit(limit, DEFAULT_PAGE, MAX_PAGE)?;
    let cursor = match request.cursor.as_str() {
        "" => None,
        text => Some(Cursor::parse(text)?),
    };
    let filter = filter(caller, request.filter)?;
    let count = if request.count {
        Some(app.events.count(&filter).await?)
    } else {
        None
    };
    let page = app.events.page(filter, cursor, limit).await?;
    Ok(SearchEventsResponse {
        events_json: page.events.iter().map(|event| event.to_json().to_string()).collect(),
        next_cursor: page.next.map(|next| next.to_text()).unwrap_or_default(),
        total: count.as_ref().map(|count| count.total),
        partial: page
            .partial
            .or_else(|| count.and_then(|count| count.partial))
            .map(partial),
    })
}

pub(super) async fn export(app: &App, caller: Caller, request: ExportEventsRequest) -> Result<ExportStream, Status> {
    let fields = (!request.fields.is_empty()).then(|| request.fields.join(","));
    let format = (!request.format.is_empty()).then_some(request.format.as_str());
    let format = Format::parse(format, fields.as_deref())?;
    let limit = (request.limit != 0).then_some(request.limit);
    let filter = filter(caller, request.filter)?;
    let pieces = app.events.export(&filter, format, limit).await?;
    Ok(Box::pin(pieces.map(|piece| match piece {
        Ok(piece) => Ok(ExportEventsResponse { piece: piece.into() }),
        Err(error) => Err(error.into()),
    })))
}

pub(super) async fn histogram(
    app: &App,
    caller: Caller,
    request: GetEventHistogramRequest,
) -> Result<GetEventHistogramResponse, Status> {
    let interval = match request.interval_secs {
        0 => None,
        seconds => Some(
            i64::try_from(seconds)
                .ok()
                .and_then(|seconds| seconds.checked_mul(1_000_000))
                .ok_or_else(|| invalid(format!("interval_secs: expected a shorter interval, got {seconds}")))?,
        ),
    };
    let filter = filter(caller, request.filter)?.bounded(Timestamp::now());
    let made = app.events.histogram(&filter, interval).await?;
    Ok(GetEventHistogramResponse {
        interval_secs: u64::try_from(made.micros / 1_000_000).unwrap_or_default(),
        buckets: made
            .buckets
            .into_iter()
            .map(|bucket| EventBucket {
                time_micros: bucket.time.0,
                count: bucket.count,
            })
            .collect(),
        total: made.total,
        partial: made.partial.map(partial),
    })
}

pub(super) async fn top(
    app: &App,
    caller: Caller,
    request: GetTopValuesRequest,
) -> Result<GetTopValuesResponse, Status> {
    if request.field.is_empty() {
        return Err(invalid("field: expected the name of a field, such as source.ip").into());
    }
    let limit = (request.limit != 0).then(|| u64::from(request.limit));
    let limit = check_limit(limit, DEFAULT_TOP, MAX_TOP)?;
    let filter = filter(caller, request.filter)?.bounded(Timestamp::now());
    let made = app.events.top(&filter, &request.field, limit).await?;
    Ok(GetTopValuesResponse {
        values: made
            .values
            .into_iter()
            .map(|counted| CountedValue {
                value: counted.value,
                count: counted.count,
            })
            .collect(),
        total: made.total,
        missing: made.missing,
        distinct: made.distinct,
        approximate: made.is_approximate,
        partial: made.partial.map(partial),
    })
}
