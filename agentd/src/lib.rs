//! The endpoint agent: follows logs, keeps them in a crash-safe spool, and brings each event to a collector once.
//!
//! ```text
//! sensors (threads) --bounded queue--> pipeline (thread) --fdatasync--> spool (disk) --> uplink (runtime) ==mTLS==> collector
//!    ^ checkpoints travel with the events, in one write ^                    ^------ receipts move the position ------'
//! ```
//!
//! - [`sensors`] read, and wait while the queue is full: back-pressure ends at the files.
//! - [`pipeline`] closes batches. A batch gets its numbers, its hash and its final bytes here and never changes again.
//! - [`spool`] keeps batches until a receipt covers them.
//! - [`uplink`] sends them in order and checks the receipts.
//!
//! Memory is bounded by the queue (16 chunks of at most 64 KiB, or one line each), one batch being filled, one being
//! read back, and at most 8 MiB on the way to the collector; the disk by `spool.max_bytes`.

mod agent;
mod cli;
pub mod config;
pub mod credentials;
mod enrol;
mod host;
pub mod link;
mod lock;
pub mod pipeline;
pub mod sensors;
pub mod spool;
pub mod status;
pub mod uplink;

pub use agent::{Running, start};
pub use cli::main_with;
pub use config::Config;
pub use credentials::Enrolment;
pub use enrol::{Request as EnrolRequest, enrol};
