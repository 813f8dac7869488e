//! What detectors store, against a real MongoDB: nodes, leases, rules, indicators, alerts.

mod alerts;
mod content;
mod ownership;
