//! Picket's domain: ids, events, alerts, indicators, rules, agents and nodes, in the field's words (ECS, Sigma, STIX).
//!
//! Everything here is plain data and pure functions. This crate does no I/O, knows no MongoDB and no gRPC; every
//! other crate speaks in its types.

pub mod access;
pub mod agent;
pub mod alert;
pub mod chain;
pub mod ecs;
pub mod event;
pub mod exception;
pub mod feed;
mod flatten;
pub mod id;
pub mod indicator;
pub mod level;
mod list;
pub mod node;
pub mod partition;
pub mod retention;
pub mod rule;
mod text;
pub mod time;

pub use access::AccessRole;
pub use event::{Event, Fields, Value};
pub use id::{AgentId, AlertId, BatchKey, Epoch, EventId, NodeId, SourceId, Tenant};
pub use level::{Level, Severity};
pub use list::List;
pub use partition::{PARTITIONS, Partition};
pub use text::{FieldName, Text};
pub use time::Timestamp;
