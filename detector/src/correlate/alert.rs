//! What alerts of correlations say.

use std::collections::BTreeMap;

use model::alert::{Alert, AlertCorrelation};
use model::{Event, EventId, SourceId, Tenant, Timestamp};
use serde_json::{Value as Json, json};
use sigma::correlation::{Compiled, Finding, StateKey};

use super::body::Body;
use crate::pipeline::evaluate::Shared;
use crate::rules::compiled::Heading;

/// Everything an alert is made of.
pub(crate) struct Parts<'a> {
    pub(crate) tenant: &'a Tenant,
    pub(crate) key: &'a StateKey,
    pub(crate) compiled: &'a Compiled,
    pub(crate) heading: &'a Heading,
    pub(crate) body: &'a Body,
    pub(crate) finding: &'a Finding,
    /// The event that completed the finding, where it could be found.
    pub(crate) event: Option<&'a Event>,
    pub(crate) processed_at: Timestamp,
}

/// The alert of a window.
pub(crate) fn build(parts: &Parts<'_>) -> Alert {
    let Parts {
        tenant,
        key,
        compiled,
        heading,
        body,
        finding,
        event,
        processed_at,
    } = parts;
    let id = compiled.alert_id(tenant, &key.group, key.window);
    let shared = event.map(Shared::of);
    let unknown = || EventId {
        source: SourceId::named("correlation", id.as_str()),
        epoch: model::Epoch(0),
        seq: 0,
    };
    Alert {
        tenant: (*tenant).clone(),
        timestamp: finding.trigger,
        rule_id: heading.rule.id.clone(),
        rule: heading.rule.clone(),
        level: heading.level,
        severity: heading.level.severity().number(),
        attack: heading.attack.clone(),
        agent: shared.as_ref().map(|shared| shared.agent.clone()).unwrap_or_default(),
        ips: shared.as_ref().map(|shared| shared.ips.clone()).unwrap_or_default(),
        indicator: None,
        correlation: Some(correlation(compiled, key, body, finding)),
        suppression: None,
        retroactive: false,
        event_id: event
            .map(|event| event.id)
            .or_else(|| body.root())
            .unwrap_or_else(unknown),
        event: shared.map_or_else(|| json!({ "@timestamp": finding.trigger }), |shared| shared.event),
        risk_score: heading.level.risk_score().to_owned(),
        processed_at: *processed_at,
        id,
    }
}

fn correlation(compiled: &Compiled, key: &StateKey, body: &Body, finding: &Finding) -> AlertCorrelation {
    let definition = compiled.definition();
    let names = definition.group_by.iter().cloned();
    let values = body.window.group.iter().map(|value| Json::String(value.clone()));
    let group: BTreeMap<String, Json> = names.zip(values).collect();
    let (window_start, window_end) = match compiled.due(key.window) {
        Some(_) => compiled.bounds_of(key.window),
        None => {
            let start = finding.trigger.0.saturating_sub(definition.timespan.micros());
            (Timestamp(start), finding.trigger)
        }
    };
    let rules = finding
        .rules
        .iter()
        .filter_map(|rule| definition.rules.get(*rule).cloned());
    AlertCorrelation {
        kind: definition.kind.as_str().to_owned(),
        rules: rules.collect(),
        group,
        window_start,
        window_end,
        count: finding.count,
        at_least: finding.at_least,
        value: Some(finding.value),
        values: finding.values.clone(),
        event_ids: finding.sample.iter().map(ToString::to_string).collect(),
        first_event: finding.first,
        last_event: finding.trigger,
        hosts: body.hosts.clone(),
        agents: body.agents.clone(),
        overflowed: finding.overflowed,
        retracted: false,
    }
}
