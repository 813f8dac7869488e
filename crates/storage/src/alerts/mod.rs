//! `alerts`: one plain document per detection, readable with mongosh as it is.
//!
//! A document has the fields of [`model::alert::Alert`] under their names there; `_id` is the alert's id, and
//! `@timestamp`, `_processed_at` and `event.@timestamp` are BSON dates. The id is derived from what triggered the
//! alert, so inserting the same alert again changes nothing. Written by detectors only.

mod document;
mod query;
mod versioned;
mod watch;

pub(crate) use query::ensure_indexes;
pub use query::{AlertFilter, count, get, insert, list};
pub use versioned::{Put, SuppressedCount, count_suppressed, put_earliest, put_versioned, retract, versions};
pub use watch::{Watch, WatchError, Watched, watch};

const COLLECTION: &str = "alerts";
