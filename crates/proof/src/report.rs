//! What comes out, as it is shown.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Most problems and gaps that are listed one by one.
pub(crate) const MAX_LISTED: usize = 1000;

/// One endpoint's delivery.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Whose.
    pub agent_id: String,
    /// Whether everything a receipt covers is accounted for, and everything that was checked is as it was signed.
    pub holds: bool,
    /// Whether the blocks themselves were read; otherwise only what is stored beside them.
    pub blocks_read: bool,
    /// Blocks with events of it.
    pub blocks: u64,
    /// Batches that are stored, in whole or in part.
    pub batches: u64,
    /// Events that are stored.
    pub events: u64,
    /// Lives of its spool, the earliest first.
    pub epochs: Vec<EpochReport>,
    /// Events that the endpoint or a collector gave up, by reason, over all epochs.
    pub dropped: BTreeMap<String, u64>,
    /// What does not fit, in the order of the numbers; at most 1,000.
    pub problems: Vec<Problem>,
    /// How many more there are.
    pub problems_left_out: u64,
}

/// A run of numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Span {
    /// The first number.
    pub first_seq: u64,
    /// How many.
    pub count: u64,
}

/// Numbers without a stored event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    /// The first number; of the batch, when the gap is somewhere within one. Where a whole batch was refused for several
    /// reasons these stand one behind the other, as only how many events had each is known.
    pub first_seq: u64,
    /// How many.
    pub count: u64,
    /// Why: a name such as `spool_full` or `batch_hash`; `expired` for what is older than what is kept; `open` for what no
    /// receipt covers yet; `unexplained`.
    pub reason: String,
}

/// One epoch.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EpochReport {
    /// 16 hex digits.
    pub epoch: String,
    /// When it was first heard of, RFC 3339; absent when no collector noted it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_at: Option<String>,
    /// Batches that are stored.
    pub batches: u64,
    /// Events that are stored.
    pub events: u64,
    /// Numbers whose batches are stored, joined; at most 1,000.
    pub stored: Vec<Span>,
    /// Numbers without an event; at most 1,000.
    pub gaps: Vec<Gap>,
    /// The newest receipt on record.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub receipt: Option<ReceiptReport>,
    /// Batches that came again and were not stored again.
    pub repeated_batches: u64,
    /// Their events.
    pub repeated_events: u64,
}

/// A receipt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReceiptReport {
    /// Everything below is stored, or was refused or given up and counted.
    pub next_seq: u64,
    /// When it was signed, RFC 3339.
    pub issued_at: String,
    /// By which collector.
    pub node: String,
    /// With the key of which certificate: its serial number.
    pub signer: String,
    /// Whether the signature is that certificate's over exactly this, and the authority issued the certificate.
    pub valid: bool,
}

/// Something that does not fit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// In which epoch, where known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub epoch: Option<String>,
    /// The first number of the first batch that is concerned, where known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_seq: Option<u64>,
    /// In which block: its day and id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub block: Option<String>,
    /// What it is.
    pub what: String,
}
