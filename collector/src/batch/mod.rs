//! One batch: is it what its sender says it is, and which records are in it. Pure; nothing here trusts its input.

mod records;
mod verify;

pub(crate) use records::{Origin, Record, Records};
pub(crate) use verify::{MAX_PAYLOAD, MAX_RECORDS, MAX_UNCOMPRESSED, Refusal, verify};
