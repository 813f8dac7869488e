//! Cluster nodes as they register themselves.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::id::NodeId;
use crate::time::Timestamp;

/// What a certificate's holder is allowed to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Takes events in.
    Collector,
    /// Turns events into alerts.
    Detector,
    /// Turns alerts into incidents and actions.
    Responder,
    /// Serves people and programs.
    Gateway,
    /// An endpoint.
    Agent,
    /// A person's command line.
    Operator,
}

impl Role {
    /// All roles.
    pub const ALL: [Self; 6] = [
        Self::Collector,
        Self::Detector,
        Self::Responder,
        Self::Gateway,
        Self::Agent,
        Self::Operator,
    ];

    /// Lower-case name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Collector => "collector",
            Self::Detector => "detector",
            Self::Responder => "responder",
            Self::Gateway => "gateway",
            Self::Agent => "agent",
            Self::Operator => "operator",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Role {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|role| role.as_str() == text).ok_or_else(|| {
            format!("expected one of collector, detector, responder, gateway, agent, operator, got {text:?}")
        })
    }
}

/// A live node. A node that has not renewed `heartbeat_at` for [`Node::DEAD_AFTER_SECS`] counts as gone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    /// Unique name.
    pub id: NodeId,
    /// What it does.
    pub role: Role,
    /// `HOST:PORT` where its gRPC service is reached by other nodes.
    pub addr: String,
    /// Program version.
    pub version: String,
    /// When this process started.
    pub started_at: Timestamp,
    /// When it last said it lives, by the database's clock.
    pub heartbeat_at: Timestamp,
    /// Of detectors: every change to detection content before this time, by the database's clock, is in use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rules_at: Option<Timestamp>,
}

impl Node {
    /// Seconds without a heartbeat after which a node's work is given to others.
    pub const DEAD_AFTER_SECS: i64 = 4;
}
/// What a collector holds at a moment, and how fast it gets rid of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Load {
    /// Open streams of endpoints.
    pub streams: u64,
    /// Batches received and not settled, over all streams.
    pub batches_in_flight: u64,
    /// Most of them one stream may have.
    pub window: u64,
    /// Bytes that events on their way are taken to need.
    pub memory_bytes: u64,
    /// Most they may need; beyond it endpoints are asked to wait.
    pub memory_limit_bytes: u64,
    /// Blocks that are being filled or wait to be written.
    pub blocks_waiting: u64,
    /// Blocks being written.
    pub blocks_writing: u64,
    /// Milliseconds the last write took.
    pub write_millis: u64,
    /// Milliseconds the slowest write of the last minute took, or takes so far.
    pub slowest_write_millis: u64,
    /// Times endpoints were asked to wait since the collector started.
    pub waits: u64,
}
