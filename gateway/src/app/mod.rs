//! What the gateway does, whoever asks: REST and gRPC both call these.

pub mod accounts;
pub mod agents;
pub mod alerts;
pub mod events;
pub mod feeds;
pub mod hunts;
pub mod indicators;
pub mod ingest;
pub mod keeping;
pub mod parsers;
pub mod peers;
pub mod rule_use;
pub mod rules;
pub mod status;
pub mod tuning;
pub mod watchers;
