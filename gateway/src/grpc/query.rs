//! `picket.query.v1.QueryService`.

use std::net::IpAddr;

use model::agent::Agent;
use model::node::Load;
use model::rule::StoredRule;
use model::{Level, NodeId, Timestamp};
use proto::query::v1::query_service_server::QueryService;
use proto::query::v1::{
    AgentBacklog, Alert, CollectorLoad, ExportEventsRequest, GetAgentDeliveryRequest, GetAgentDeliveryResponse,
    GetEventHistogramRequest, GetEventHistogramResponse, GetRuleCostRequest, GetRuleCostResponse,
    GetRuleCoverageRequest, GetRuleCoverageResponse, GetRuleRequest, GetRuleResponse, GetStatusRequest,
    GetStatusResponse, GetTopValuesRequest, GetTopValuesResponse, ListAlertsRequest, ListAlertsResponse,
    ListRulesRequest, ListRulesResponse, NodeStatus, Rule, SearchEventsRequest, SearchEventsResponse,
    WatchAlertsRequest,
};
use proto::{ErrorCode, ServiceError};
use storage::alerts::AlertFilter;
use storage::rules::RuleFilter;
use tonic::{Request, Response, Status};

use super::search::{self, ExportStream};
use super::watch::{self, AlertStream};
use crate::app::{agents, alerts, events, rule_use, rules, status};
use crate::auth::Caller;
use crate::problem::{internal, invalid, quote};
use crate::state::App;

/// Answers queries.
#[derive(Clone, Debug)]
pub(super) struct Query {
    app: App,
}

impl Query {
    pub(super) fn new(app: App) -> Self {
        Self { app }
    }
}

/// The caller that passed the guard.
pub(super) fn caller<T>(request: &Request<T>) -> Result<Caller, Status> {
    let caller = request.extensions().get::<Caller>().cloned();
    caller.ok_or_else(|| Status::unauthenticated("expected credentials"))
}

/// A level; `None` when empty.
pub(super) fn level(field: &str, text: &str) -> Result<Option<Level>, ServiceError> {
    if text.is_empty() {
        return Ok(None);
    }
    text.parse()
        .map(Some)
        .map_err(|error| invalid(format!("{field}: {error}")))
}

fn some(text: String) -> Option<String> {
    (!text.is_empty()).then_some(text)
}

/// An alert on the wire.
pub(super) fn wire(alert: &model::alert::Alert) -> Result<Alert, ServiceError> {
    Ok(Alert {
        id: alert.id.to_string(),
        timestamp_micros: alert.timestamp.0,
        rule_id: alert.rule_id.clone(),
        title: alert.rule.title.clone(),
        level: alert.level.to_string(),
        severity: u32::from(alert.severity),
        tactics: alert.attack.tactics.clone(),
        techniques: alert.attack.techniques.clone(),
        agent_id: alert.agent.id.clone(),
        agent_name: alert.agent.name.clone(),
        event_id: alert.event_id.to_string(),
        processed_at_micros: alert.processed_at.0,
        json: serde_json::to_string(alert).map_err(|error| internal("alert", &error))?,
    })
}

/// A rule on the wire.
fn rule(rule: StoredRule, with_text: bool) -> Rule {
    Rule {
        id: rule.id,
        kind: rule.kind.to_string(),
        title: rule.title,
        level: rule.level.map(|level| level.to_string()).unwrap_or_default(),
        logsource: rule.logsource,
        tags: rule.tags,
        enabled: rule.enabled,
        note: rule.note,
        error: rule
            .error
            .filter(|_| rule.enabled)
            .map(|error| error.to_string())
            .unwrap_or_default(),
        origin: rule.origin.to_string(),
        path: rule.path,
        revision: rule.revision,
        updated_at_micros: rule.updated_at.0,
        updated_by: rule.updated_by,
        yaml: if with_text { rule.yaml } else { String::new() },
    }
}

fn collector_load(name: &NodeId, load: &Load) -> CollectorLoad {
    CollectorLoad {
        name: name.to_string(),
        streams: load.streams,
        batches_in_flight: load.batches_in_flight,
        window: load.window,
        memory_bytes: load.memory_bytes,
        memory_limit_bytes: load.memory_limit_bytes,
        blocks_waiting: load.blocks_waiting,
        blocks_writing: load.blocks_writing,
        write_millis: load.write_millis,
        slowest_write_millis: load.slowest_write_millis,
        waits: load.waits,
    }
}

fn backlog(agent: &Agent, now: Timestamp) -> Option<AgentBacklog> {
    let backlog = agent.backlog.as_ref()?;
    let oldest_millis = backlog
        .oldest_at
        .map_or(0, |at| now.as_millis().saturating_sub(at.as_millis()));
    Some(AgentBacklog {
        agent_id: agent.id.to_string(),
        name: agent.host.hostname.clone(),
        at_micros: backlog.at.0,
        events: backlog.events,
        spool_bytes: backlog.spool_bytes,
        spool_limit_bytes: backlog.spool_limit_bytes,
        oldest_millis: u64::try_from(oldest_millis).unwrap_or(0),
        wait_until_micros: backlog
            .wait_until
            .filter(|until| *until > now)
            .map_or(0, |until| until.0),
    })
}

#[tonic::async_trait]
impl QueryService for Query {
    type WatchAlertsStream = AlertStream;
    type ExportEventsStream = ExportStream;

    async fn search_events(
        &self,
        request: Request<SearchEventsRequest>,
    ) -> Result<Response<SearchEventsResponse>, Status> {
        let caller = caller(&request)?;
        search::page(&self.app, caller, request.into_inner())
            .await
            .map(Response::new)
    }

    async fn export_events(
        &self,
        request: Request<ExportEventsRequest>,
    ) -> Result<Response<Self::ExportEventsStream>, Status> {
        let caller = caller(&request)?;
        search::export(&self.app, caller, request.into_inner())
            .await
            .map(Response::new)
    }

    async fn get_event_histogram(
        &self,
        request: Request<GetEventHistogramRequest>,
    ) -> Result<Response<GetEventHistogramResponse>, Status> {
        let caller = caller(&request)?;
        search::histogram(&self.app, caller, request.into_inner())
            .await
            .map(Response::new)
    }

    async fn get_top_values(
        &self,
        request: Request<GetTopValuesRequest>,
    ) -> Result<Response<GetTopValuesResponse>, Status> {
        let caller = caller(&request)?;
        search::top(&self.app, caller, request.into_inner())
            .await
            .map(Response::new)
    }

    async fn watch_alerts(
        &self,
        request: Request<WatchAlertsRequest>,
    ) -> Result<Response<Self::WatchAlertsStream>, Status> {
        let caller = caller(&request)?;
        let stream = watch::open(&self.app, &caller, request.into_inner()).await?;
        Ok(Response::new(stream))
    }

    async fn list_alerts(&self, request: Request<ListAlertsRequest>) -> Result<Response<ListAlertsResponse>, Status> {
        let caller = caller(&request)?;
        let request = request.into_inner();
        let limit = (request.limit != 0).then(|| u64::from(request.limit));
        let limit = events::check_limit(limit, events::DEFAULT_PAGE, events::MAX_PAGE)?;
        let ip = match request.ip.as_str() {
            "" => None,
            text => Some(text.parse::<IpAddr>().map(alerts::ip_text).map_err(|_| {
                ServiceError::new(
                    ErrorCode::InvalidArgument,
                    format!("ip: expected an IPv4 or IPv6 address, got {}", quote(text)),
                )
            })?),
        };
        let filter = AlertFilter {
            tenant: caller.tenant,
            agent_id: some(request.agent_id),
            ip,
            rule_id: some(request.rule_id),
            min_level: level("min_level", &request.min_level)?,
            ..AlertFilter::default()
        };
        let page = alerts::page(&self.app.store, filter, limit).await?;
        let alerts = page.alerts.iter().map(wire).collect::<Result<_, _>>()?;
        Ok(Response::new(ListAlertsResponse { alerts }))
    }

    async fn get_status(&self, request: Request<GetStatusRequest>) -> Result<Response<GetStatusResponse>, Status> {
        let caller = caller(&request)?;
        let status = status::status(&self.app.store, &caller.tenant).await?;
        let micros = |time: Timestamp| time.0;
        let collectors = status
            .loads
            .iter()
            .map(|(name, load)| collector_load(name, load))
            .collect();
        let backlogs = status
            .backlogs
            .iter()
            .filter_map(|agent| backlog(agent, status.now))
            .collect();
        Ok(Response::new(GetStatusResponse {
            nodes: status
                .nodes
                .into_iter()
                .map(|status| NodeStatus {
                    name: status.node.id.as_str().to_owned(),
                    role: status.node.role.as_str().to_owned(),
                    addr: status.node.addr,
                    version: status.node.version,
                    started_at_micros: micros(status.node.started_at),
                    heartbeat_at_micros: micros(status.node.heartbeat_at),
                    alive: status.alive,
                })
                .collect(),
            agents: status.agents,
            pending_blocks: status.pending.count,
            oldest_pending_millis: status.oldest_pending_millis,
            events_per_second: status.events_per_second,
            events_total: status.events_total,
            alerts_total: status.alerts_total,
            collectors,
            backlogs,
        }))
    }

    async fn get_agent_delivery(
        &self,
        request: Request<GetAgentDeliveryRequest>,
    ) -> Result<Response<GetAgentDeliveryResponse>, Status> {
        let caller = caller(&request)?;
        let report = agents::delivery(&self.app, &caller, &request.into_inner().agent_id).await?;
        Ok(Response::new(GetAgentDeliveryResponse {
            delivery_json: serde_json::to_string(&report).map_err(|error| internal("delivery", &error))?,
        }))
    }

    async fn list_rules(&self, request: Request<ListRulesRequest>) -> Result<Response<ListRulesResponse>, Status> {
        let caller = caller(&request)?;
        let request = request.into_inner();
        let limit = (request.limit != 0).then(|| u64::from(request.limit));
        let limit = events::check_limit(limit, rules::DEFAULT_PAGE, rules::MAX_PAGE)?;
        let kind = some(request.kind)
            .map(|kind| kind.parse())
            .transpose()
            .map_err(|error| invalid(format!("kind: {error}")))?;
        let filter = RuleFilter {
            tenant: caller.tenant,
            enabled: request.enabled,
            kind,
            min_level: level("min_level", &request.min_level)?,
            tag: some(request.tag),
            logsource: some(request.logsource),
            text: some(request.text),
            has_error: request.has_error,
            after: some(request.cursor)
                .map(|text| rules::parse_cursor(&text))
                .transpose()?,
            ..RuleFilter::default()
        };
        let page = rules::page(&self.app.store, filter, limit).await?;
        Ok(Response::new(ListRulesResponse {
            rules: page.rules.into_iter().map(|found| rule(found, false)).collect(),
            next_cursor: page.next.unwrap_or_default(),
        }))
    }

    async fn get_rule(&self, request: Request<GetRuleRequest>) -> Result<Response<GetRuleResponse>, Status> {
        let caller = caller(&request)?;
        let found = rules::get(&self.app.store, &caller, &request.into_inner().id).await?;
        Ok(Response::new(GetRuleResponse {
            rule: Some(rule(found, true)),
        }))
    }

    async fn get_rule_cost(
        &self,
        request: Request<GetRuleCostRequest>,
    ) -> Result<Response<GetRuleCostResponse>, Status> {
        let caller = caller(&request)?;
        let GetRuleCostRequest { days, limit } = request.into_inner();
        let days = rule_use::check_days((days != 0).then_some(days))?;
        let limit = (limit != 0).then(|| u64::from(limit));
        let limit = events::check_limit(limit, rules::DEFAULT_PAGE, rules::MAX_PAGE)?;
        let cost = rule_use::cost(&self.app.store, &caller, days, limit).await?;
        Ok(Response::new(GetRuleCostResponse {
            cost_json: serde_json::to_string(&cost).map_err(|error| internal("cost", &error))?,
        }))
    }

    async fn get_rule_coverage(
        &self,
        request: Request<GetRuleCoverageRequest>,
    ) -> Result<Response<GetRuleCoverageResponse>, Status> {
        let caller = caller(&request)?;
        let days = request.into_inner().days;
        let days = rule_use::check_days((days != 0).then_some(days))?;
        let coverage = rule_use::coverage(&self.app.store, &self.app.peers, &caller, days).await?;
        Ok(Response::new(GetRuleCoverageResponse {
            coverage_json: serde_json::to_string(&coverage).map_err(|error| internal("coverage", &error))?,
        }))
    }
}
