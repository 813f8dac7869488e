//! Alerts: one detection each, readable on their own.

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use crate::id::{AlertId, EventId, Tenant};
use crate::indicator::Tlp;
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
    /// Sigma `id`, or `ti_` and the type of an indicator.
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
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AlertIndicator {
    /// Its type, such as `ip` or `domain`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Canonical value of the indicator.
    pub value: String,
    /// Who says so.
    pub source: String,
    /// The event's field it was found in.
    pub field: String,
    /// The feed it came with; empty when a person or a program added it.
    #[serde(default)]
    pub feed: String,
    /// How sure the source is, 0 to 100; absent on alerts from before sources said it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confidence: Option<u8>,
    /// The source's tags.
    #[serde(default)]
    pub tags: Vec<String>,
    /// How far it may be passed on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tlp: Option<Tlp>,
    /// Where the source tells more.
    #[serde(default)]
    pub reference: String,
    /// Other feeds and sources that name the same value.
    #[serde(default)]
    pub others: Vec<String>,
}

/// What a correlation found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AlertCorrelation {
    /// Sigma's name of the kind of correlation, such as `event_count`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Ids of the rules it looks at.
    pub rules: Vec<String>,
    /// What the events have in common: field names, as the correlation says them, to values.
    pub group: std::collections::BTreeMap<String, Json>,
    /// Start of the time span that was looked at.
    pub window_start: Timestamp,
    /// Its end.
    pub window_end: Timestamp,
    /// How many events (or alerts of other correlations) are known in it; see `at_least`.
    pub count: u64,
    /// There are more than `count`: not all were kept, as they make no difference.
    #[serde(default)]
    pub at_least: bool,
    /// The number that met the condition: of events, of different values or rules, or the field's sum, mean, ...
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<f64>,
    /// Some of the different values that were counted.
    #[serde(default)]
    pub values: Vec<String>,
    /// Ids of some events (or other correlations' alerts) that contribute: the first and the last ones.
    pub event_ids: Vec<String>,
    /// Time of the earliest that contributes.
    pub first_event: Timestamp,
    /// Time of the latest.
    pub last_event: Timestamp,
    /// Host names seen, at most 100.
    #[serde(default)]
    pub hosts: Vec<String>,
    /// Ids of agents seen, at most 100.
    #[serde(default)]
    pub agents: Vec<String>,
    /// A limit was reached, so that numbers may be too low.
    #[serde(default)]
    pub overflowed: bool,
    /// Events that came in later showed that the condition does not hold.
    #[serde(default)]
    pub retracted: bool,
}

/// Alerts that one alert stands for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AlertSuppression {
    /// What they have in common: field names to values.
    pub fields: std::collections::BTreeMap<String, Json>,
    /// Start of the time span.
    pub from: Timestamp,
    /// Its end.
    pub to: Timestamp,
    /// How many alerts are not there besides this one.
    pub suppressed_count: u64,
    /// There may be more than `suppressed_count`: the limit of what is told apart was reached.
    #[serde(default)]
    pub at_least: bool,
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
    /// Present on alerts of correlations; `event` is then the one that completed the finding.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub correlation: Option<AlertCorrelation>,
    /// Present where a suppression folds alerts into this one; `event` is then the earliest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suppression: Option<AlertSuppression>,
    /// The event had been stored before anybody looked for this: a hunt found it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub retroactive: bool,
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
