//! The only crate that knows MongoDB: one module per collection, its indexes beside its queries.
//!
//! Who writes which collection is decided in `ARCHITECTURE.md`; anyone may read. Every record carries a tenant and
//! every query is scoped by it. Writes wait for a majority of the replica set; dates are BSON dates (milliseconds).

pub mod agents;
pub mod alerts;
pub mod api_keys;
pub mod audit;
pub mod blocks;
mod bulk;
pub mod certificates;
pub mod deliveries;
pub mod duties;
pub mod enrolment_tokens;
mod error;
pub mod exceptions;
pub mod feeds;
mod fenced;
pub mod heard;
pub mod holds;
pub mod hunts;
pub mod idempotency;
pub mod indicators;
pub mod keeping;
pub mod leases;
pub mod nodes;
pub mod parsers;
pub mod rule_stats;
pub mod rule_versions;
pub mod rules;
pub mod signers;
pub mod silences;
pub mod stats;
mod store;
pub mod suppressed;
pub mod suppressions;
mod tuning;
pub mod users;
pub mod windows;

pub use error::Error;
pub use store::Store;
