//! A collector as its peers see it: real TLS sockets, a real MongoDB.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests explain themselves and fail by panicking"
)]

mod access;
mod client;
mod delivery;
mod enrolment;
mod forwarding;
mod hostile;
mod identity;
mod outage;
mod sandbox;
mod syslog;
