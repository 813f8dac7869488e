//! What tunes rules: exceptions, which keep them from alerting, and suppressions, which fold their alerts into one.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};

use crate::id::Tenant;
use crate::time::Timestamp;

/// The `rule_id` of an exception for every rule.
pub const EVERY_RULE: &str = "*";

/// Events a rule does not alert on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Exception {
    /// Made when it is put first.
    pub id: String,
    /// Whose it is.
    pub tenant: Tenant,
    /// Id of a rule, or [`EVERY_RULE`].
    pub rule_id: String,
    /// A Sigma selection: field names, with modifiers, to values. All must match. Empty when there is a query instead.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub selection: Map<String, Json>,
    /// The events in the search language, without times relative to now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub query: Option<String>,
    /// Why this is no finding.
    pub reason: String,
    /// Who put it, as the audit log names them.
    pub author: String,
    /// When it was put.
    pub created_at: Timestamp,
    /// It does not hold for events at this time or later; `None`: it holds for ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
}

/// Alerts of a rule that are alike in some fields are folded into one for a time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Suppression {
    /// Whose it is.
    pub tenant: Tenant,
    /// Id of the rule.
    pub rule_id: String,
    /// Fields whose values make alerts alike; with none, all of the rule's are.
    pub fields: Vec<String>,
    /// For how long, in seconds of event time; 1 s to 30 days. Spans are aligned to the epoch, so that which alerts fall
    /// together does not depend on the order in which events come in.
    pub seconds: u32,
    /// Why.
    pub reason: String,
    /// Who put it, as the audit log names them.
    pub author: String,
    /// When it was put.
    pub created_at: Timestamp,
}

impl Suppression {
    /// Longest time in seconds: 30 days.
    pub const MAX_SECONDS: u32 = 30 * 86_400;
    /// Most fields.
    pub const MAX_FIELDS: usize = 16;

    /// For how long.
    #[must_use]
    pub fn duration(&self) -> Duration {
        Duration::from_secs(u64::from(self.seconds))
    }

    /// Number of the span an event at `time` falls into.
    #[must_use]
    pub fn span(&self, time: Timestamp) -> i64 {
        time.0.div_euclid(i64::from(self.seconds.max(1)) * 1_000_000)
    }
}
