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
}
