//! Threat intelligence without I/O: what a text mentions, which of it is known to be bad, and what must never be taken
//! for bad.
//!
//! [`observables`] finds addresses, names, URLs, hashes and mail addresses in text. The index terms of blocks and the
//! detector use the same code, so what a detector would find in a block is what the block says it holds.
//! [`IndicatorSet`] holds millions of indicators in little memory and answers exactly. [`Guard`] refuses indicators that
//! would match what is not malicious. Everything is a pure function of its input: no clock, no network, no database.

mod candidates;
mod guard;
pub mod observables;
mod set;

pub use candidates::candidates;
pub use guard::{Guard, GuardFileError, Refusal};
pub use set::{Find, Found, Hit, Hits, IndicatorSet, MAX_HITS, TenantSet};
