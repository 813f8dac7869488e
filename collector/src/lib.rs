//! Takes events in: from agents over mutual TLS, from gateways, and as syslog; makes them durable; and only then
//! acknowledges them.
//!
//! The way of a batch: [`stream`] reads it when the sender may send and there is memory for it; [`batch`] checks that it is
//! what it says it is; [`normalize`] turns its records into events, to which [`enrich`] adds what is known of their addresses; [`merge`] puts them into a block with those of others
//! and stores it, exactly once, however long it takes; [`delivery`] says what may be acknowledged, [`ledger`] keeps what
//! blocks do not say; [`forward`] hands the block to the detector that owns its partition. Later, [`keeping`] merges
//! small blocks and removes what is over. `docs/reference/delivery.md` tells it from outside.

mod admin;
mod batch;
mod clock;
mod config;
mod delivery;
mod enrich;
mod enrol;
mod formats;
mod forward;
mod intake;
mod keeping;
mod ledger;
mod limits;
mod load;
mod memory;
mod merge;
mod normalize;
mod part;
mod service;
mod signing;
mod stamp;
mod stream;
mod syslog;
mod tokens;

pub use config::{Compaction, Config, Enrich, Enrolment, Grpc, Ingest, Retention, Syslog};
pub use service::{main, main_with, start};
