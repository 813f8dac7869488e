//! Identifiers, each its own type. Every id is derived from what it names or made once by its owner.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The text does not have the form of the id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected {expected}, got {got:?}")]
pub struct ParseIdError {
    /// The form that was expected.
    pub expected: &'static str,
    /// What was given.
    pub got: String,
}

fn parse_error(expected: &'static str, got: &str) -> ParseIdError {
    ParseIdError {
        expected,
        got: got.chars().take(80).collect(),
    }
}

/// Whose data it is. Every persisted record carries one and every query is scoped by it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Tenant(String);

impl Tenant {
    /// The text form.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for Tenant {
    /// The tenant of a single-tenant install.
    fn default() -> Self {
        Self("default".to_owned())
    }
}

impl FromStr for Tenant {
    type Err = ParseIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if is_name(text) {
            Ok(Self(text.to_owned()))
        } else {
            Err(parse_error("a tenant of 1-63 characters a-z, 0-9, '-' or '_'", text))
        }
    }
}

impl TryFrom<String> for Tenant {
    type Error = ParseIdError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Tenant> for String {
    fn from(tenant: Tenant) -> Self {
        tenant.0
    }
}

impl fmt::Display for Tenant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A cluster node's name, unique among its role's nodes, such as `collector-1`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct NodeId(String);

impl NodeId {
    /// The text form.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl AsRef<str> for NodeId {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl FromStr for NodeId {
    type Err = ParseIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if is_name(text) {
            Ok(Self(text.to_owned()))
        } else {
            Err(parse_error("a node name of 1-63 characters a-z, 0-9, '-' or '_'", text))
        }
    }
}

impl TryFrom<String> for NodeId {
    type Error = ParseIdError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<NodeId> for String {
    fn from(id: NodeId) -> Self {
        id.0
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn is_name(text: &str) -> bool {
    (1..=63).contains(&text.len())
        && text
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_')
}

/// An enrolled endpoint. Made at enrolment, carried in its certificate, never derived from its name or address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AgentId(pub Uuid);

impl fmt::Display for AgentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.hyphenated().fmt(f)
    }
}

impl FromStr for AgentId {
    type Err = ParseIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Uuid::try_parse(text)
            .map(Self)
            .map_err(|_| parse_error("an agent id (a UUID)", text))
    }
}

/// Where numbered events come from: an agent, or a source that is no agent (syslog sender, REST client, file import).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SourceId(Uuid);

impl SourceId {
    /// Namespace of the ids of sources that are no agents.
    const NAMESPACE: Uuid = Uuid::from_u128(0x6f0c_3d52_8a0b_4c6f_9a51_7069_636b_6574);

    /// The source with the same id as the agent.
    #[must_use]
    pub fn agent(id: AgentId) -> Self {
        Self(id.0)
    }

    /// A source that is no agent, known by its kind (`syslog`, `rest`) and a name within it. Stable across restarts.
    #[must_use]
    pub fn named(kind: &str, name: &str) -> Self {
        Self(Uuid::new_v5(&Self::NAMESPACE, format!("{kind}\0{name}").as_bytes()))
    }

    /// From its stored form.
    #[must_use]
    pub fn from_uuid(uuid: Uuid) -> Self {
        Self(uuid)
    }

    /// Its stored form.
    #[must_use]
    pub fn as_uuid(&self) -> &Uuid {
        &self.0
    }
}

impl fmt::Display for SourceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.hyphenated().fmt(f)
    }
}

impl FromStr for SourceId {
    type Err = ParseIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Uuid::try_parse(text)
            .map(Self)
            .map_err(|_| parse_error("a source id (a UUID)", text))
    }
}

/// One life of a source's numbering: random, new for every fresh spool. Sequence numbers start at 0 in each epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Epoch(pub u64);

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl FromStr for Epoch {
    type Err = ParseIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        hex_u64(text)
            .map(Self)
            .ok_or_else(|| parse_error("an epoch of 16 hex digits", text))
    }
}

fn hex_u64(text: &str) -> Option<u64> {
    (text.len() == 16 && text.bytes().all(|b| b.is_ascii_hexdigit()))
        .then(|| u64::from_str_radix(text, 16).ok())
        .flatten()
}

/// One event of one source, for ever: the same on every retry, replay and re-detection.
///
/// Text form: `<source uuid>-<epoch, 16 hex>-<sequence, 16 hex>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventId {
    /// The source that numbered it.
    pub source: SourceId,
    /// The life of the numbering.
    pub epoch: Epoch,
    /// Position in the epoch, from 0.
    pub seq: u64,
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}-{:016x}", self.source, self.epoch, self.seq)
    }
}

impl FromStr for EventId {
    type Err = ParseIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const EXPECTED: &str = "an event id <source uuid>-<epoch, 16 hex>-<sequence, 16 hex>";
        let error = || parse_error(EXPECTED, text);
        let mut parts = text.rsplitn(3, '-');
        let seq = parts.next().and_then(hex_u64).ok_or_else(error)?;
        let epoch = parts.next().and_then(hex_u64).map(Epoch).ok_or_else(error)?;
        let source = parts.next().and_then(|uuid| uuid.parse().ok()).ok_or_else(error)?;
        Ok(Self { source, epoch, seq })
    }
}

impl Serialize for EventId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for EventId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// What makes a batch unique: a batch whose key is stored is never stored again.
///
/// Text form: `<tenant>/<source uuid>/<epoch>/<first_seq, 16 hex>`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BatchKey {
    /// Whose it is.
    pub tenant: Tenant,
    /// Who numbered it.
    pub source: SourceId,
    /// In which life.
    pub epoch: Epoch,
    /// Sequence number of its first event.
    pub first_seq: u64,
}

impl fmt::Display for BatchKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}/{}/{}/{:016x}",
            self.tenant, self.source, self.epoch, self.first_seq
        )
    }
}

/// One alert: 32 hex digits, derived from what triggered it, so that repeating the work finds the same alert.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AlertId(String);

impl AlertId {
    /// The alert of one rule on one event. The rule's revision is left out on purpose: an event that is looked at
    /// again after its rule was edited must not alert a second time.
    #[must_use]
    pub fn single(tenant: &Tenant, rule_id: &str, event: &EventId) -> Self {
        Self::derive(&["single", tenant.as_str(), rule_id, &event.to_string()])
    }

    /// The alert of one indicator match on one event: `rule_id` is `ti_ip`, `ti_domain` or `ti_sha256`.
    #[must_use]
    pub fn indicator(tenant: &Tenant, rule_id: &str, indicator: &str, event: &EventId) -> Self {
        Self::derive(&["indicator", tenant.as_str(), rule_id, indicator, &event.to_string()])
    }

    /// The one alert of a correlation for one group of events in one window. `group` is the group's values in a form
    /// that is the same for equal values; `window` is the window's number.
    #[must_use]
    pub fn correlation(tenant: &Tenant, rule_id: &str, revision: &str, group: &str, window: i64) -> Self {
        let parts = [tenant.as_str(), rule_id, revision, group, &window.to_string()];
        Self::derive(&[&["correlation"][..], &parts[..]].concat())
    }

    /// The one alert that stands for all alerts of a rule with the same `values` in one span of a suppression.
    #[must_use]
    pub fn suppressed(tenant: &Tenant, rule_id: &str, values: &str, span: i64) -> Self {
        Self::derive(&["suppressed", tenant.as_str(), rule_id, values, &span.to_string()])
    }

    fn derive(parts: &[&str]) -> Self {
        let mut hasher = blake3::Hasher::new();
        for part in parts {
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part.as_bytes());
        }
        Self(hasher.finalize().to_hex()[..32].to_owned())
    }

    /// The text form.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for AlertId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for AlertId {
    type Err = ParseIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.len() == 32 && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)) {
            Ok(Self(text.to_owned()))
        } else {
            Err(parse_error("an alert id of 32 hex digits", text))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn event_ids_round_trip_through_text() {
        let id = EventId {
            source: SourceId::named("syslog", "10.0.0.1"),
            epoch: Epoch(7),
            seq: u64::MAX,
        };
        assert_eq!(id.to_string().parse(), Ok(id));
        assert!("x-1-2".parse::<EventId>().is_err());
    }

    #[test]
    fn alert_ids_depend_on_every_part() {
        let event = EventId {
            source: SourceId::named("rest", "a"),
            epoch: Epoch(1),
            seq: 1,
        };
        let tenant = Tenant::default();
        let one = AlertId::single(&tenant, "rule", &event);
        assert_eq!(one, AlertId::single(&tenant, "rule", &event));
        assert_ne!(one, AlertId::single(&tenant, "rule2", &event));
        assert_ne!(one, AlertId::single(&tenant, "rule", &EventId { seq: 2, ..event }));
        assert_eq!(one.as_str().parse(), Ok(one));
    }

    #[test]
    fn names_are_bounded() {
        assert!("Default".parse::<Tenant>().is_err());
        assert!("".parse::<NodeId>().is_err());
        assert!("a".repeat(64).parse::<NodeId>().is_err());
        assert!("collector-1".parse::<NodeId>().is_ok());
    }
}
