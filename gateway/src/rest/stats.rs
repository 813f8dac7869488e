//! `/stats` and `/metrics`: sums for dashboards.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use axum::http::Uri;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::params::Params;
use crate::app::status::{self, MAX_STATS_HOURS};
use crate::auth::Caller;
use crate::problem::{Problem, invalid};
use crate::state::App;

/// Parameters of `GET /stats`.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(
    dead_code,
    reason = "read through Params, which names the parameter in its errors; this documents them"
)]
pub(super) struct StatsParams {
    /// How far back, 1 to 2160.
    #[param(minimum = 1, maximum = 2160, default = 24)]
    hours: Option<u64>,
}

/// Sums over a span that ends now.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct StatsAnswer {
    /// Length of the span.
    #[schema(example = 24)]
    hours: u64,
    /// Beginning of the span, RFC 3339.
    from: String,
    /// Events of the span, by their own time.
    events: u64,
    alerts: AlertSums,
    /// Enrolled endpoints that are not revoked.
    agents: u64,
    /// Events stored a second, over the last minute.
    events_per_second: f64,
    /// Blocks of events that detection is not done with.
    pending_blocks: u64,
}

/// Alerts made in the span.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct AlertSums {
    total: u64,
    /// From `informational` to `critical`.
    #[schema(example = json!({"informational": 0, "low": 1, "medium": 4, "high": 2, "critical": 0}))]
    by_level: BTreeMap<&'static str, u64>,
    /// The ten rules with the most alerts.
    by_rule: Vec<RuleSum>,
    /// The ten addresses that are `source.ip` of the most alerts.
    top_source_ips: Vec<IpSum>,
}

/// Alerts of one rule.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct RuleSum {
    rule_id: String,
    title: String,
    count: u64,
}

/// Alerts about one address.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct IpSum {
    ip: String,
    count: u64,
}

async fn answer(app: &App, caller: &Caller, uri: &Uri) -> Result<Json<StatsAnswer>, Problem> {
    let mut params = Params::parse(uri, &["hours"])?;
    let expected = format!("a number from 1 to {MAX_STATS_HOURS}");
    let hours = params.take::<u64>("hours", &expected)?.unwrap_or(24);
    if !(1..=MAX_STATS_HOURS).contains(&hours) {
        return Err(invalid(format!("hours: expected {expected}, got {hours}")).into());
    }
    let stats = status::stats(&app.store, &caller.tenant, hours).await?;
    let alerts = stats.alerts;
    Ok(Json(StatsAnswer {
        hours,
        from: stats.from.to_string(),
        events: stats.events,
        alerts: AlertSums {
            total: alerts.total,
            by_level: alerts.by_level.iter().map(|(level, n)| (level.as_str(), *n)).collect(),
            by_rule: alerts
                .top_rules
                .into_iter()
                .map(|rule| RuleSum {
                    rule_id: rule.rule_id,
                    title: rule.title,
                    count: rule.count,
                })
                .collect(),
            top_source_ips: alerts
                .top_source_ips
                .into_iter()
                .map(|(ip, count)| IpSum { ip, count })
                .collect(),
        },
        agents: stats.agents,
        events_per_second: stats.events_per_second,
        pending_blocks: stats.pending_blocks,
    }))
}

/// Sums over the last hours.
#[utoipa::path(
    get,
    path = "/stats",
    tag = "status",
    params(StatsParams),
    responses((status = 200, description = "Sums", body = StatsAnswer))
)]
pub(super) async fn stats(State(app): State<App>, caller: Caller, uri: Uri) -> Result<Json<StatsAnswer>, Problem> {
    answer(&app, &caller, &uri).await
}

/// The same as `GET /stats`, under the name dashboards of the Heimdall kind ask for.
#[utoipa::path(
    get,
    path = "/metrics",
    tag = "status",
    params(StatsParams),
    responses((status = 200, description = "Sums", body = StatsAnswer))
)]
pub(super) async fn metrics(State(app): State<App>, caller: Caller, uri: Uri) -> Result<Json<StatsAnswer>, Problem> {
    answer(&app, &caller, &uri).await
}
