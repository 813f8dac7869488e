//! Enrolled endpoints and what is known of them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::id::{AgentId, Tenant};
use crate::time::Timestamp;

/// What an endpoint says about itself; taken at enrolment and on every connection, never used as identity.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostInfo {
    /// As the host calls itself.
    pub hostname: String,
    /// ECS `host.os.type`: `linux`, `macos`, `windows`.
    pub os_type: String,
    /// Name and version of the system, for people.
    pub os_name: String,
    /// Version of the agent.
    pub agent_version: String,
}

/// An enrolled endpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Agent {
    /// Carried in its certificate.
    pub id: AgentId,
    /// Whose it is.
    pub tenant: Tenant,
    /// The group of the token it enrolled with.
    pub group: String,
    /// As last reported.
    pub host: HostInfo,
    /// When it enrolled.
    pub enrolled_at: Timestamp,
    /// When a collector last heard from it.
    pub last_seen_at: Option<Timestamp>,
    /// When somebody revoked it: from then on it is refused.
    pub revoked_at: Option<Timestamp>,
    /// When two streams were last open at once under its identity, which a cloned disk would cause.
    pub duplicate_seen_at: Option<Timestamp>,
    /// Events it had to give up since it enrolled, by reason, such as `spool_full`. Empty when it lost none.
    #[serde(default)]
    pub dropped: BTreeMap<String, u64>,
    /// What waits on it, as it last said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backlog: Option<Backlog>,
}

/// What waits on an endpoint.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Backlog {
    /// When it said so.
    pub at: Timestamp,
    /// Events that are not acknowledged.
    pub events: u64,
    /// Bytes its spool takes on disk.
    pub spool_bytes: u64,
    /// Most bytes it may take; beyond it the oldest events are given up.
    pub spool_limit_bytes: u64,
    /// When the oldest of the events was closed into a batch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oldest_at: Option<Timestamp>,
    /// Until when a collector asked it to wait; in the past when it need not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wait_until: Option<Timestamp>,
}
