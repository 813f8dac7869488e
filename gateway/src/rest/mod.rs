//! The REST face: one file for each resource, and one table ([`ROUTES`]) that says what there is and who may use it.

mod agents;
mod alerts;
mod audit;
mod body;
mod docs;
mod envelope;
mod events;
mod feeds;
mod guard;
mod health;
mod holds;
mod hunts;
mod indicators;
mod ingest;
mod leftover;
mod nodes;
mod openapi;
mod params;
mod parsers;
mod path;
mod retention;
mod routes;
mod rule_changes;
mod rules;
mod security;
mod stats;
mod tuning;

pub(crate) use envelope::envelope;
pub(crate) use guard::{admit, check_role};
pub(crate) use leftover::read_leftover;
pub use openapi::document;
pub(crate) use routes::router;
pub use routes::{Access, ROUTES, Route, Verb};
