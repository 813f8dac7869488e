//! The gateway over real sockets, with a real database and stand-ins for collector and detector.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests fail by panicking"
)]

mod access;
mod accounts;
mod alerts;
mod events;
mod feeds;
mod frozen;
mod grpc;
mod http;
mod ingest;
mod keeping;
mod peers;
mod rules;
mod support;
