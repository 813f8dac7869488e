//! Detectors as a whole, over a real MongoDB and real sockets.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests fail by panicking"
)]

mod alerts;
mod content;
mod correlation;
mod feeds;
mod hunting;
mod imports;
mod sandbox;
mod sharing;
