//! The detector: evaluates rules and threat intelligence over stored events and writes alerts.
//!
//! Blocks of events come in two ways. On the fast path a collector sends a block right after it was stored; on the
//! truth path the detector finds in MongoDB what is still pending. Either way a worker evaluates the whole block, stores
//! the alerts with a majority, and only then marks the block done. Alerts have ids derived from what triggered them, so
//! a block may be looked at any number of times, by any number of detectors, with the same result.
//!
//! Which blocks are a detector's is decided by partition: live detectors share the partitions by rendezvous hashing and
//! hold them by leases. Rules are read from a directory into MongoDB and from there, like indicators, into memory; both
//! are swapped as a whole while blocks are being evaluated.

pub mod backtest;
mod columns;
mod config;
mod correlate;
mod feeds;
mod hunt;
mod intel;
mod metrics;
mod partitions;
mod pipeline;
mod rules;
mod service;
mod silence;

pub use config::{Config, CorrelationConfig, FeedsConfig, RulesConfig};
pub use feeds::{Preview, preview};
pub use intel::alerting::IntelConfig;
pub use service::{main, main_with, start};
