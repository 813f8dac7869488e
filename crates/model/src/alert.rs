//! Alerts: one detection each, readable on their own.

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use crate::id::{AlertId, EventId, Tenant};
use crate::level::Level;
use crate::time::Timestamp;

/// ATT&CK tactics and techniques, taken from a rule's `attack.*` tags.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attack {
    /// Tactic names with dashes, such as `credential-access`.
    pub tactics: Vec<String>,
    /// Technique ids, such as `T1110.001`.
    pub techniques: Vec<String>,
}

impl Attack {
    /// Reads Sigma tags: `attack.t1110.001` is a technique, `attack.credential-access` (or with underscores) a
    /// tactic; groups, software and other namespaces are left out.
    #[must_use]
    pub fn from_tags<S: AsRef<str>>(tags: &[S]) -> Self {
        let mut attack = Self::default();
        for tag in tags {
            let tag = tag.as_ref().to_ascii_lowercase();
            let Some(name) = tag.strip_prefix("attack.") else {
                continue;
            };
            let numbered = |prefix: char| {
                name.strip_prefix(prefix)
                    .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
            };
            if numbered('t') {
                attack.techniques.push(name.to_ascii_uppercase());
            } else if !numbered('g') && !numbered('s') && !name.is_empty() {
                attack.tactics.push(name.replace('_', "-"));
            }
        }
        attack
    }
}

/// The rule behind an alert.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AlertRule {
    /// Sigma `id`, or `ti_ip`, `ti_domain`, `ti_sha256`.
    pub id: String,
    /// Title.
    pub title: String,
    /// Description; may be empty.
    #[serde(default)]
    pub description: String,
    /// Hash of the rule's text; empty for indicators.
    #[serde(default)]
    pub revision: String,
    /// Sigma tags as they are.
    #[serde(default)]
    pub tags: Vec<String>,
}

/// The endpoint an alert is about; empty strings when the event came from no agent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AlertAgent {
    /// Agent id.
    pub id: String,
    /// Host name.
    pub name: String,
}

/// The indicator behind a threat-intelligence alert.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AlertIndicator {
    /// `ip`, `domain` or `sha256`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Canonical value of the indicator.
    pub value: String,
    /// Who says so.
    pub source: String,
    /// The event's field it was found in.
    pub field: String,
}

/// One detection, with the event in full.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Alert {
    /// Derived from rule and event.
    pub id: AlertId,
    /// Whose it is.
    pub tenant: Tenant,
    /// When the event happened.
    #[serde(rename = "@timestamp")]
    pub timestamp: Timestamp,
    /// Copy of `rule.id`, where programs look for it.
    pub rule_id: String,
    /// Why.
    pub rule: AlertRule,
    /// How bad.
    pub level: Level,
    /// `level` as 1-5.
    pub severity: u8,
    /// ATT&CK.
    pub attack: Attack,
    /// Where.
    pub agent: AlertAgent,
    /// Addresses in the event, for `?ip=`.
    #[serde(default)]
    pub ips: Vec<String>,
    /// Present on threat-intelligence alerts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub indicator: Option<AlertIndicator>,
    /// Which event.
    pub event_id: EventId,
    /// The event as nested ECS.
    pub event: Json,
    /// `low`, `medium`, `high` or `critical`.
    #[serde(rename = "_risk_score")]
    pub risk_score: String,
    /// When the detector made it.
    #[serde(rename = "_processed_at")]
    pub processed_at: Timestamp,
}

#[cfg(test)]
mod tests {
    use super::Attack;

    #[test]
    fn tags_become_tactics_and_techniques() {
        let attack = Attack::from_tags(&[
            "attack.credential_access",
            "attack.T1110.001",
            "attack.g0049",
            "cve.2021-1",
        ]);
        assert_eq!(attack.tactics, ["credential-access"]);
        assert_eq!(attack.techniques, ["T1110.001"]);
    }
}
