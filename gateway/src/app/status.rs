//! How the cluster is doing: nodes, backlog, rates, sums.

use model::agent::Agent;
use model::node::{Load, Node};
use model::{NodeId, Tenant, Timestamp};
use proto::ServiceError;
use storage::alerts::{self, AlertFilter};
use storage::blocks::{self, CountQuery, PendingStats};
use storage::stats::AlertStats;
use storage::{Store, agents, nodes, stats};

use crate::problem::from_storage;

/// Longest span of [`stats()`], in hours: 90 days.
pub const MAX_STATS_HOURS: u64 = 24 * 90;

/// A registered node and whether it lives.
#[derive(Clone, Debug)]
pub struct NodeStatus {
    /// As it registered itself.
    pub node: Node,
    /// It was heard from within [`Node::DEAD_AFTER_SECS`].
    pub alive: bool,
}

/// The cluster at a glance.
#[derive(Clone, Debug)]
pub struct Status {
    /// Every registered node.
    pub nodes: Vec<NodeStatus>,
    /// Enrolled endpoints that are not revoked.
    pub agents: u64,
    /// Blocks no detector is done with.
    pub pending: PendingStats,
    /// Milliseconds since the oldest of them was stored; 0 when there is none.
    pub oldest_pending_millis: u64,
    /// Over the last minute.
    pub events_per_second: f64,
    /// Events stored.
    pub events_total: u64,
    /// Alerts made.
    pub alerts_total: u64,
    /// What collectors hold.
    pub loads: Vec<(NodeId, Load)>,
    /// Endpoints with the largest backlogs.
    pub backlogs: Vec<Agent>,
    /// The database's clock.
    pub now: Timestamp,
}

/// Most endpoints listed with their backlog.
const MAX_BACKLOGS: u32 = 20;

/// What a time span adds up to.
#[derive(Clone, Debug)]
pub struct Stats {
    /// Beginning of the span.
    pub from: Timestamp,
    /// Events of the span, by their own time.
    pub events: u64,
    /// Alerts made in the span.
    pub alerts: AlertStats,
    /// Endpoints that are not revoked.
    pub agents: u64,
    /// Over the last minute.
    pub events_per_second: f64,
    /// Blocks no detector is done with.
    pub pending_blocks: u64,
}

/// Every registered node.
///
/// # Errors
/// When the database is away.
pub async fn list_nodes(store: &Store) -> Result<Vec<NodeStatus>, ServiceError> {
    let now = store.now().await.map_err(from_storage)?;
    let registered = nodes::all(store).await.map_err(from_storage)?;
    Ok(registered
        .into_iter()
        .map(|node| {
            let silent_micros = now.0.saturating_sub(node.heartbeat_at.0);
            let alive = silent_micros < Node::DEAD_AFTER_SECS * 1_000_000;
            NodeStatus { node, alive }
        })
        .collect())
}

/// The cluster at a glance.
///
/// # Errors
/// When the database is away.
pub async fn status(store: &Store, tenant: &Tenant) -> Result<Status, ServiceError> {
    let nodes = list_nodes(store).await?;
    let now = store.now().await.map_err(from_storage)?;
    let pending = blocks::pending_stats(store).await.map_err(from_storage)?;
    let filter = AlertFilter {
        tenant: tenant.clone(),
        ..AlertFilter::default()
    };
    Ok(Status {
        nodes,
        agents: agents::count(store, tenant).await.map_err(from_storage)?,
        oldest_pending_millis: pending.oldest.map_or(0, |oldest| {
            u64::try_from(now.as_millis().saturating_sub(oldest.as_millis())).unwrap_or(0)
        }),
        pending,
        events_per_second: blocks::events_per_second(store, tenant).await.map_err(from_storage)?,
        events_total: blocks::events_total(store, tenant).await.map_err(from_storage)?,
        alerts_total: alerts::count(store, &filter).await.map_err(from_storage)?,
        loads: nodes::loads(store).await.map_err(from_storage)?,
        backlogs: agents::backlogs(store, tenant, MAX_BACKLOGS)
            .await
            .map_err(from_storage)?,
        now,
    })
}

/// Sums over the last `hours`.
///
/// # Errors
/// When the database is away.
pub async fn stats(store: &Store, tenant: &Tenant, hours: u64) -> Result<Stats, ServiceError> {
    let span_micros = i64::try_from(hours).unwrap_or(0).saturating_mul(3_600_000_000);
    let now = store.now().await.map_err(from_storage)?;
    let from = Timestamp(now.0.saturating_sub(span_micros));
    let query = CountQuery {
        tenant: tenant.clone(),
        from: Some(from),
        to: None,
        source: None,
    };
    Ok(Stats {
        from,
        events: blocks::count_events(store, &query).await.map_err(from_storage)?,
        alerts: stats::alerts(store, tenant, from).await.map_err(from_storage)?,
        agents: agents::count(store, tenant).await.map_err(from_storage)?,
        events_per_second: blocks::events_per_second(store, tenant).await.map_err(from_storage)?,
        pending_blocks: blocks::pending_stats(store).await.map_err(from_storage)?.count,
    })
}
