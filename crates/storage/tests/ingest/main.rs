//! Collections the collector writes, against a real MongoDB.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests explain themselves and fail by panicking"
)]

mod agents;
mod blocks;
mod certificates;
mod compaction;
mod keeping;
mod samples;
mod tokens;
