//! `/alerts`: what detection made of the events.

use axum::Json;
use axum::extract::State;
use axum::http::Uri;
use model::Level;
use model::alert::Alert;
use serde::{Deserialize, Serialize};
use serde_json::Value as JsonValue;
use storage::alerts::AlertFilter;
use utoipa::{IntoParams, ToSchema};

use super::params::Params;
use super::path::PathText;
use crate::app::events::{DEFAULT_PAGE, MAX_PAGE, check_limit};
use crate::app::{alerts, rules};
use crate::auth::Caller;
use crate::problem::{Problem, internal, invalid};
use crate::state::App;

const KNOWN: [&str; 10] = [
    "ip",
    "agent_id",
    "rule_id",
    "level",
    "min_level",
    "from",
    "to",
    "limit",
    "cursor",
    "count",
];

/// Which alerts.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(
    dead_code,
    reason = "read through Params, which names the parameter in its errors; this documents them"
)]
pub(super) struct AlertParams {
    /// An address in the event.
    #[param(example = "10.0.0.5")]
    ip: Option<String>,
    /// Id or name of the agent.
    agent_id: Option<String>,
    /// Id of the rule; `ti_ip`, `ti_domain` and `ti_sha256` for indicators.
    rule_id: Option<String>,
    /// Lowest level: `informational`, `low`, `medium`, `high` or `critical`.
    #[param(example = "high", pattern = "^(informational|low|medium|high|critical)$")]
    min_level: Option<String>,
    /// Another name for `min_level`; only one of them may be given.
    #[param(pattern = "^(informational|low|medium|high|critical)$")]
    level: Option<String>,
    /// Alerts made at this RFC 3339 time or later.
    #[param(format = DateTime)]
    from: Option<String>,
    /// Alerts made before this RFC 3339 time.
    #[param(format = DateTime)]
    to: Option<String>,
    /// Alerts on the page, 1 to 1000.
    #[param(minimum = 1, maximum = 1000, default = 50)]
    limit: Option<u64>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// `exact` adds `total`: how many alerts match in all.
    #[param(pattern = "^exact$")]
    count: Option<String>,
}

/// A page of alerts.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct AlertPage {
    /// Those made last first. Each has `id`, `@timestamp`, `rule_id`, `rule`, `level`, `severity`, `attack`, `agent`,
    /// `ips`, `event_id`, `event` (nested ECS), `_risk_score` and `_processed_at`.
    #[schema(value_type = Vec<Object>)]
    items: Vec<JsonValue>,
    /// Give it as `cursor` for the next page; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
    /// With `count=exact`: how many alerts match.
    #[serde(skip_serializing_if = "Option::is_none")]
    total: Option<u64>,
}

fn to_json(alert: &Alert) -> Result<JsonValue, Problem> {
    serde_json::to_value(alert).map_err(|error| internal("alert", &error).into())
}

/// Alerts, those made last first.
#[utoipa::path(
    get,
    path = "/alerts",
    tag = "alerts",
    params(AlertParams),
    responses((status = 200, description = "A page of alerts", body = AlertPage))
)]
pub(super) async fn list(State(app): State<App>, caller: Caller, uri: Uri) -> Result<Json<AlertPage>, Problem> {
    let mut params = Params::parse(&uri, &KNOWN)?;
    let (from, to) = params.span()?;
    let ip = params.take::<std::net::IpAddr>("ip", "an IPv4 or IPv6 address")?;
    let min_level = params.take_named::<Level>("min_level")?;
    let level = params.take_named::<Level>("level")?;
    if min_level.is_some() && level.is_some() {
        return Err(invalid("level: expected either `level` or `min_level`, they mean the same").into());
    }
    let limit = params.take::<u64>("limit", &format!("a number from 1 to {MAX_PAGE}"))?;
    let limit = check_limit(limit, DEFAULT_PAGE, MAX_PAGE)?;
    let cursor = params.text("cursor");
    let exact = params.text("count");
    if let Some(other) = exact.as_deref().filter(|count| *count != "exact") {
        return Err(invalid(format!("count: expected exact, got {other:?}")).into());
    }
    let mut filter = AlertFilter {
        tenant: caller.tenant,
        agent_id: params.text("agent_id"),
        ip: ip.map(alerts::ip_text),
        rule_id: params.text("rule_id"),
        min_level: min_level.or(level),
        from,
        to,
        ..AlertFilter::default()
    };
    let total = match exact {
        Some(_) => Some(alerts::count(&app.store, &filter).await?),
        None => None,
    };
    filter.before = cursor.map(|text| alerts::parse_cursor(&text)).transpose()?;
    let page = alerts::page(&app.store, filter, limit).await?;
    Ok(Json(AlertPage {
        items: page.alerts.iter().map(to_json).collect::<Result<_, _>>()?,
        next_cursor: page.next,
        total,
    }))
}

/// One alert with its event.
#[utoipa::path(
    get,
    path = "/alerts/{id}",
    tag = "alerts",
    params(("id" = String, Path, description = "32 hex digits", pattern = "^[0-9a-f]{32}$")),
    responses((status = 200, description = "The alert", body = Object))
)]
pub(super) async fn get(
    State(app): State<App>,
    caller: Caller,
    PathText(id): PathText,
) -> Result<Json<JsonValue>, Problem> {
    let alert = alerts::get(&app.store, &caller.tenant, &id).await?;
    Ok(Json(to_json(&alert)?))
}

/// How an alert came to be. Of a correlation: `correlation` as in the alert (group, window, count, limits), its
/// `condition` and `threshold`, and its `events` with the `rules` each matched. Of a rule: what the rule makes of its event.
#[utoipa::path(
    get,
    path = "/alerts/{id}/explain",
    tag = "alerts",
    params(("id" = String, Path, description = "32 hex digits", pattern = "^[0-9a-f]{32}$")),
    responses((status = 200, description = "The explanation", body = Object))
)]
pub(super) async fn explain(
    State(app): State<App>,
    caller: Caller,
    PathText(id): PathText,
) -> Result<Json<JsonValue>, Problem> {
    let explanation = rules::explain_alert(&app.peers, &caller, id).await?;
    let value = serde_json::from_str(&explanation).map_err(|error| internal("explanation", &error))?;
    Ok(Json(value))
}
