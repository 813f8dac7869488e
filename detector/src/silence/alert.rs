//! What alerts about silence say.

use model::alert::{Alert, AlertAgent, AlertRule, Attack};
use model::{AlertId, Epoch, EventId, Level, SourceId, Timestamp};
use serde_json::json;
use storage::silences::Silence;

/// Stands where a rule's id does.
pub(super) const AGENT: &str = "picket_silence_agent";
pub(super) const SOURCE: &str = "picket_silence_source";

fn rule_id(is_source: bool) -> &'static str {
    if is_source { SOURCE } else { AGENT }
}

/// Names this silence of this endpoint or source, and no other.
fn event_id(silence: &Silence) -> EventId {
    let name = silence
        .origin
        .as_ref()
        .map_or(String::new(), |origin| format!("{}\0{}", origin.kind, origin.name));
    let source = SourceId::named("silence", &format!("{}\0{name}", silence.agent));
    EventId {
        source,
        epoch: Epoch(0),
        seq: u64::try_from(silence.since.as_millis()).unwrap_or(0),
    }
}

/// The id of the alert about a silence.
pub(super) fn id(silence: &Silence) -> AlertId {
    AlertId::single(&silence.tenant, rule_id(silence.origin.is_some()), &event_id(silence))
}

/// The alert, when somebody is silent for longer than `allowed_millis`.
pub(super) fn begun(silence: &Silence, host: &str, allowed_millis: u64, now: Timestamp) -> Alert {
    let what = match &silence.origin {
        None => format!("agent on {host}"),
        Some(origin) if origin.name.is_empty() => format!("{} on {host}", origin.kind),
        Some(origin) => format!("{} {} on {host}", origin.kind, origin.name),
    };
    let action = if silence.origin.is_some() {
        "source-silent"
    } else {
        "agent-silent"
    };
    let mut event = json!({
        "@timestamp": silence.since,
        "event": {
            "kind": "pipeline_error", "category": ["host"], "action": action, "start": silence.since,
            "reason": format!("silent for more than {} s", allowed_millis / 1000),
        },
        "agent": { "id": silence.agent.to_string(), "name": host },
        "host": { "name": host },
        "message": format!("{what} was last heard at {}", silence.since),
    });
    if let Some(origin) = &silence.origin
        && origin.kind == "file"
    {
        event["log"] = json!({ "file": { "path": origin.name } });
    }
    let id = rule_id(silence.origin.is_some());
    let level = Level::Medium;
    Alert {
        id: silence.alert.clone(),
        tenant: silence.tenant.clone(),
        timestamp: silence.since,
        rule_id: id.to_owned(),
        rule: AlertRule {
            id: id.to_owned(),
            title: format!("Silence: {what}"),
            description: "It sent before and has stopped. `event.end` is there when it was heard again".to_owned(),
            revision: String::new(),
            tags: Vec::new(),
        },
        level,
        severity: level.severity().number(),
        attack: Attack::default(),
        agent: AlertAgent {
            id: silence.agent.to_string(),
            name: host.to_owned(),
        },
        ips: Vec::new(),
        indicator: None,
        correlation: None,
        suppression: None,
        retroactive: false,
        event_id: event_id(silence),
        event,
        risk_score: level.risk_score().to_owned(),
        processed_at: now,
    }
}

/// The same alert, when the silence is over; `at` is when it was heard last.
pub(super) fn ended(mut alert: Alert, at: Timestamp) -> Alert {
    alert.event["event"]["end"] = json!(at);
    alert.event["event"]["outcome"] = json!("success");
    alert.rule.title = format!("{} (heard again)", alert.rule.title);
    alert
}
