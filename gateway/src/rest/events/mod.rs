//! `/events`, `/search`, and what is made of events: stored events.

mod export;
mod sums;

use axum::Json;
use axum::extract::State;
use axum::http::Uri;
use model::Tenant;
use query::Query;
use serde::{Deserialize, Serialize};
use serde_json::Value as JsonValue;
use utoipa::{IntoParams, ToSchema};

use super::params::Params;
use crate::app::events::{Cursor, DEFAULT_PAGE, EventFilter, MAX_PAGE, Partial, check_limit};
use crate::auth::Caller;
use crate::problem::{Problem, invalid, quote};
use crate::state::App;

// The macro that makes routes of handlers finds more beside them than their names.
pub(super) use export::*;
pub(super) use sums::*;

const FILTERS: [&str; 6] = ["agent_id", "ip", "os_type", "from", "to", "q"];

/// Which events.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(
    dead_code,
    reason = "read through Params, which names the parameter in its errors; this documents them"
)]
struct FilterParams {
    /// Id or name of the agent.
    agent_id: Option<String>,
    /// An IPv4 or IPv6 address anywhere in the event.
    #[param(example = "10.0.0.5")]
    ip: Option<String>,
    /// System of the host, in any case: `linux`, `windows`, `macos`.
    #[param(example = "linux")]
    os_type: Option<String>,
    /// Events at this time or later: RFC 3339, a day, or before now as in `now-1h` or `24h`.
    #[param(example = "now-24h")]
    from: Option<String>,
    /// Events before this time, in the same forms.
    to: Option<String>,
}

/// What else has to hold.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(
    dead_code,
    reason = "read through Params, which names the parameter in its errors; this documents them"
)]
struct QueryParam {
    /// A query: `failed source.ip:10.0.0.0/8 NOT user.name:(backup OR adm*)`. A mistake in it is a problem whose
    /// `position` is the character.
    #[param(example = "failed source.ip:10.0.0.5")]
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
    /// Set when not all was read that had to be. What is on the page is all there is after `unread_until`; the next
    /// page goes on there.
    #[serde(skip_serializing_if = "Option::is_none")]
    partial: Option<Partial>,
}

fn filter(params: &mut Params, tenant: Tenant) -> Result<EventFilter, Problem> {
    let (from, to) = params.span()?;
    let ip = params.take::<std::net::IpAddr>("ip", "an IPv4 or IPv6 address")?;
    let query = params.text("q").map(|q| Query::parse(&q)).transpose()?;
    Ok(EventFilter {
        tenant,
        agent_id: params.text("agent_id"),
        ip,
        os_type: params.text("os_type"),
        from,
        to,
        query: query.unwrap_or_else(Query::everything),
    })
}

fn known(more: &[&'static str]) -> Vec<&'static str> {
    FILTERS.iter().chain(more).copied().collect()
}

async fn page(app: &App, caller: Caller, uri: &Uri, needs_query: bool) -> Result<Json<EventPage>, Problem> {
    let mut params = Params::parse(uri, &known(&["limit", "cursor", "count"]))?;
    if needs_query && !params.has("q") {
        return Err(invalid("q: expected a query, such as a word or field:value").into());
    }
    let filter = filter(&mut params, caller.tenant)?;
    let limit = params.take::<u64>("limit", &format!("a number from 1 to {MAX_PAGE}"))?;
    let limit = check_limit(limit, DEFAULT_PAGE, MAX_PAGE)?;
    let cursor = params.text("cursor").map(|text| Cursor::parse(&text)).transpose()?;
    let exact = match params.text("count").as_deref() {
        None => false,
        Some("exact") => true,
        Some(other) => return Err(invalid(format!("count: expected exact, got {}", quote(other))).into()),
    };
    let count = if exact {
        Some(app.events.count(&filter).await?)
    } else {
        None
    };
    let page = app.events.page(filter, cursor, limit).await?;
    Ok(Json(EventPage {
        items: page.events.iter().map(model::Event::to_json).collect(),
        next_cursor: page.next.map(|cursor| cursor.to_text()),
        total: count.as_ref().map(|count| count.total),
        partial: page.partial.or_else(|| count.and_then(|count| count.partial)),
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

/// Stored events that a query means, newest first. As `GET /events`, with `q` required.
#[utoipa::path(
    get,
    path = "/search",
    tag = "events",
    params(
        FilterParams,
        PageParams,
        ("q" = String, Query, description = "A query", example = "failed source.ip:10.0.0.5"),
    ),
    responses((status = 200, description = "A page of events", body = EventPage))
)]
pub(super) async fn search(State(app): State<App>, caller: Caller, uri: Uri) -> Result<Json<EventPage>, Problem> {
    page(&app, caller, &uri, true).await
}
