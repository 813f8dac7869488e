//! What detectors store, against a real MongoDB: nodes, leases, rules, indicators, alerts.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests fail by panicking"
)]

mod alerts;
mod content;
mod indicators;
mod ownership;
mod windows;
