//! `/events`, `/events/export` and `/search`: stored events.

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::http::{HeaderValue, Uri};
use axum::response::{IntoResponse, Response};
use futures_util::TryStreamExt as _;
use model::Tenant;
use proto::ServiceError;
use serde::{Deserialize, Serialize};
use serde_json::Value as JsonValue;
use utoipa::{IntoParams, ToSchema};

use super::params::Params;
use crate::app::events::{Cursor, DEFAULT_PAGE, MAX_PAGE, check_limit};
use crate::app::search::{EventFilter, parse_query};
use crate::auth::Caller;
use crate::problem::{Problem, invalid, quote};
use crate::state::App;

const FILTERS: [&str; 6] = ["agent_id", "ip", "os_type", "from", "to", "q"];

/// Which events.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(
    dead_code,
    reason = "read through Params, which names the parameter in its errors; this documents them"
)]
pub(super) struct FilterParams {
    /// Id or name of the agent.
    agent_id: Option<String>,
    /// An IPv4 or IPv6 address anywhere in the event.
    #[param(example = "10.0.0.5")]
    ip: Option<String>,
    /// System of the host, in any case: `linux`, `windows`, `macos`.
    #[param(example = "linux")]
    os_type: Option<String>,
    /// Events at this RFC 3339 time or later.
    #[param(format = DateTime)]
    from: Option<String>,
    /// Events before this RFC 3339 time.
    #[param(format = DateTime)]
    to: Option<String>,
}

/// Which words.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(
    dead_code,
    reason = "read through Params, which names the parameter in its errors; this documents them"
)]
pub(super) struct QueryParam {
    /// Words and `field:value` terms that must all be found: `failed user.name:root "invalid user"`.
    q: Option<String>,
}

/// Which page.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(
    dead_code,
    reason = "read through Params, which names the parameter in its errors; this documents them"
)]
pub(super) struct PageParams {
    /// Events on the page, 1 to 1000.
    #[param(minimum = 1, maximum = 1000, default = 50)]
    limit: Option<u64>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// `exact` adds `total`: how many events match in all. It reads everything that may match.
    #[param(example = "exact", pattern = "^exact$")]
    count: Option<String>,
}

/// A page of events.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct EventPage {
    /// Newest first, each as nested ECS.
    #[schema(value_type = Vec<Object>)]
    items: Vec<JsonValue>,
    /// Give it as `cursor` for the next page; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
    /// With `count=exact`: how many events match.
    #[serde(skip_serializing_if = "Option::is_none")]
    total: Option<u64>,
}

fn filter(params: &mut Params, tenant: Tenant) -> Result<EventFilter, ServiceError> {
    let (from, to) = params.span()?;
    let ip = params.take::<std::net::IpAddr>("ip", "an IPv4 or IPv6 address")?;
    Ok(EventFilter {
        tenant,
        agent_id: params.text("agent_id"),
        ip: ip.map(|ip| ip.to_canonical()),
        os_type: params.text("os_type"),
        from,
        to,
        terms: params
            .text("q")
            .map(|q| parse_query(&q))
            .transpose()?
            .unwrap_or_default(),
    })
}

async fn page(app: &App, caller: Caller, uri: &Uri, needs_query: bool) -> Result<Json<EventPage>, Problem> {
    let mut known = FILTERS.to_vec();
    known.extend(["limit", "cursor", "count"]);
    let mut params = Params::parse(uri, &known)?;
    let filter = filter(&mut params, caller.tenant)?;
    if needs_query && filter.terms.is_empty() {
        return Err(invalid("q: expected at least one word or field:value").into());
    }
    let limit = params.take::<u64>("limit", &format!("a number from 1 to {MAX_PAGE}"))?;
    let limit = check_limit(limit, DEFAULT_PAGE, MAX_PAGE)?;
    let cursor = params.text("cursor").map(|text| Cursor::parse(&text)).transpose()?;
    let exact = match params.text("count").as_deref() {
        None => false,
        Some("exact") => true,
        Some(other) => return Err(invalid(format!("count: expected exact, got {}", quote(other))).into()),
    };
    let total = if exact {
        Some(app.events.count(filter.clone()).await?)
    } else {
        None
    };
    let page = app.events.page(filter, cursor, limit).await?;
    Ok(Json(EventPage {
        items: page.events.iter().map(model::Event::to_json).collect(),
        next_cursor: page.next.map(|cursor| cursor.to_text()),
        total,
    }))
}

/// Stored events, newest first.
#[utoipa::path(
    get,
    path = "/events",
    tag = "events",
    params(FilterParams, QueryParam, PageParams),
    responses((status = 200, description = "A page of events", body = EventPage))
)]
pub(super) async fn list(State(app): State<App>, caller: Caller, uri: Uri) -> Result<Json<EventPage>, Problem> {
    page(&app, caller, &uri, false).await
}

/// Stored events with certain words, newest first. As `GET /events`, with `q` required.
#[utoipa::path(
    get,
    path = "/search",
    tag = "events",
    params(
        FilterParams,
        PageParams,
        ("q" = String, Query, description = "Words and `field:value` terms that must all be found",
            example = "failed source.ip:10.0.0.5"),
    ),
    responses((status = 200, description = "A page of events", body = EventPage))
)]
pub(super) async fn search(State(app): State<App>, caller: Caller, uri: Uri) -> Result<Json<EventPage>, Problem> {
    page(&app, caller, &uri, true).await
}

/// All matching events as lines of JSON, as a stream: latest stored blocks first.
///
/// A connection that ends without its last chunk means that the export is not complete.
#[utoipa::path(
    get,
    path = "/events/export",
    tag = "events",
    params(
        FilterParams,
        QueryParam,
        ("format" = Option<String>, Query, description = "`jsonl`, which is the only one", pattern = "^jsonl$"),
    ),
    responses((status = 200, description = "One event a line", body = String, content_type = "application/x-ndjson"))
)]
pub(super) async fn export(State(app): State<App>, caller: Caller, uri: Uri) -> Result<Response, Problem> {
    let mut known = FILTERS.to_vec();
    known.push("format");
    let mut params = Params::parse(&uri, &known)?;
    if let Some(other) = params.text("format").filter(|format| format != "jsonl") {
        return Err(invalid(format!("format: expected jsonl, got {}", quote(&other))).into());
    }
    let filter = filter(&mut params, caller.tenant)?;
    let lines = app.events.export(filter).await?;
    let lines = lines.inspect_err(|error| tracing::warn!(%error, "export broke off"));
    let mut response = Body::from_stream(lines).into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson"));
    headers.insert(
        CONTENT_DISPOSITION,
        HeaderValue::from_static("attachment; filename=\"events.jsonl\""),
    );
    Ok(response)
}
