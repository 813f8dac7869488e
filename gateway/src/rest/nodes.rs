//! `/nodes` and `/status`: the cluster.

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use crate::app::status::{self, NodeStatus};
use crate::auth::Caller;
use crate::problem::Problem;
use crate::state::App;

/// A cluster node.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct NodeAnswer {
    #[schema(example = "collector-1")]
    name: String,
    /// `collector`, `detector`, `responder` or `gateway`.
    #[schema(example = "collector")]
    role: &'static str,
    /// Where other nodes reach it.
    #[schema(example = "127.0.0.1:9400")]
    addr: String,
    version: String,
    /// RFC 3339.
    started_at: String,
    /// When it was last heard from, RFC 3339.
    heartbeat_at: String,
    /// It was heard from within four seconds.
    alive: bool,
    /// Of detectors: every change to rules before this RFC 3339 time is in use.
    #[serde(skip_serializing_if = "Option::is_none")]
    rules_at: Option<String>,
}

/// The registered nodes.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct NodeList {
    items: Vec<NodeAnswer>,
}

/// The cluster at a glance.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct StatusAnswer {
    nodes: Vec<NodeAnswer>,
    /// Enrolled endpoints that are not revoked.
    agents: u64,
    /// Blocks of events that detection is not done with.
    pending_blocks: u64,
    /// Milliseconds since the oldest of them was stored; 0 when there is none.
    oldest_pending_millis: u64,
    /// Events stored a second, over the last minute.
    events_per_second: f64,
    /// Events stored.
    events_total: u64,
    /// Alerts made.
    alerts_total: u64,
}

fn node(status: NodeStatus) -> NodeAnswer {
    let NodeStatus { node, alive } = status;
    NodeAnswer {
        name: node.id.as_str().to_owned(),
        role: node.role.as_str(),
        addr: node.addr,
        version: node.version,
        started_at: node.started_at.to_string(),
        heartbeat_at: node.heartbeat_at.to_string(),
        alive,
        rules_at: node.rules_at.map(|at| at.to_string()),
    }
}

/// Nodes that are registered, by role and name.
#[utoipa::path(
    get,
    path = "/nodes",
    tag = "status",
    responses((status = 200, description = "Nodes", body = NodeList))
)]
pub(super) async fn list(State(app): State<App>, _caller: Caller) -> Result<Json<NodeList>, Problem> {
    let nodes = status::list_nodes(&app.store).await?;
    Ok(Json(NodeList {
        items: nodes.into_iter().map(node).collect(),
    }))
}

/// Nodes, backlog and rates.
#[utoipa::path(
    get,
    path = "/status",
    tag = "status",
    responses((status = 200, description = "The cluster at a glance", body = StatusAnswer))
)]
pub(super) async fn status(State(app): State<App>, caller: Caller) -> Result<Json<StatusAnswer>, Problem> {
    let status = status::status(&app.store, &caller.tenant).await?;
    Ok(Json(StatusAnswer {
        nodes: status.nodes.into_iter().map(node).collect(),
        agents: status.agents,
        pending_blocks: status.pending.count,
        oldest_pending_millis: status.oldest_pending_millis,
        events_per_second: status.events_per_second,
        events_total: status.events_total,
        alerts_total: status.alerts_total,
    }))
}
