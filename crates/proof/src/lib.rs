//! What was delivered, and the proof of it.
//!
//! [`delivery`] accounts for every number an endpoint has given: stored, refused with a reason, given up by the endpoint,
//! or missing. It checks the hash chain over the batches, the signatures of receipts and, when it reads the blocks, that
//! each is what a collector signed. The authority's certificate is the only thing taken on trust, and it does not come
//! from the database. [`account`] is the pure part.

mod account;
mod check;
mod read;
mod report;
mod stored;
mod witness;

pub use account::{Expired, Piece, Spans, account};
pub use read::{Depth, delivery};
pub use report::{EpochReport, Gap, Problem, ReceiptReport, Report, Span};
