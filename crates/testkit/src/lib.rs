//! What tests of several crates share: a throw-away MongoDB with a database per test, certificates of a test authority,
//! waiting with a deadline, a web server that answers as told, a TAXII server. A dev-dependency only.
//!
//! Everything here panics when it fails: a test without its ground under it has failed.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "used by tests only, which fail by panicking"
)]

mod authority;
mod database;
mod medallion;
mod poll;
mod publisher;

pub use authority::Authority;
pub use database::{TestDatabase, mongo, mongod_binary, private_mongo};
pub use medallion::Medallion;
pub use poll::poll_until;
pub use publisher::{Publisher, Reply, Seen};
