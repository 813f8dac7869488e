//! A MongoDB for those who bring none: finds or provisions a `mongod` binary and runs it as a single-node replica set
//! on loopback, for `picket up`, tests and benchmarks alike.
//!
//! - [`provision()`] looks for a binary on `PATH`, then for one it provisioned before, then downloads one and checks it
//!   against a pinned SHA-256.
//! - [`Mongod`] is a running server: a replica set of one (transactions and change streams need that), with its own
//!   data directory, continued where it was left. It dies with this process, however this process dies.
//! - [`child`] is what makes that last promise, for any child process.

pub mod child;
mod error;
mod memory;
mod provision;
mod replica;
mod server;
mod wheel;

pub use error::{CheckError, ProvisionError, StartError};
pub use provision::{Binary, Origin, Progress, manual_path, provision};
pub use replica::check;
pub use server::{Mongod, Options};
