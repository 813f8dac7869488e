//! Feeds of threat intelligence: fetched on schedule, taken over into `indicators`.
//!
//! - [`scheduler`] claims feeds that are due; a lease sees to it that one detector runs a feed at a time.
//! - [`run`] is one run: it reads a feed under its lease and notes how it went.
//! - [`read`] drives the pure parsers of the crate `feeds` over what [`fetch`] brings: one body, MISP's many files, or the
//!   pages of a TAXII collection.
//! - [`store`] takes the entries over: guard, defaults, batches, what is new and what is gone.
//! - [`service`] is how gateways set feeds up.
//! - [`preview`] reads a feed without storing anything, for the command line.
//!
//! A run may die at any moment. Entries are stored under what identifies them, so reading them again changes nothing;
//! how far a TAXII collection and a MISP feed were read is noted only after that much is stored; and what is missing is
//! only removed after everything was read.

mod error;
mod fetch;
mod preview;
mod read;
mod run;
mod scheduler;
mod secret;
pub(crate) mod service;
mod sink;
mod store;

pub use preview::{Preview, preview};
pub(crate) use scheduler::Scheduler;
