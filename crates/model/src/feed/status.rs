//! How a feed goes.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::time::Timestamp;

/// Reasons of refusals that are kept.
pub const MAX_REASONS: usize = 20;

/// How the last run ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FeedState {
    /// There was none.
    #[default]
    New,
    /// One is under way.
    Running,
    /// It took everything over.
    Ok,
    /// The publisher said that nothing changed.
    Unchanged,
    /// It failed; it is tried again.
    Failed,
}

impl FeedState {
    /// Lower-case name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Running => "running",
            Self::Ok => "ok",
            Self::Unchanged => "unchanged",
            Self::Failed => "failed",
        }
    }
}

/// What a run found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct FeedCounts {
    /// Entries of the feed that were taken over, or were there already.
    pub seen: u64,
    /// Indicators that were not there before.
    pub new: u64,
    /// Indicators that the feed took back, or that are not in it any more.
    pub removed: u64,
    /// What is rightly in the feed and is no indicator, or is out of date.
    pub skipped: u64,
    /// What could not be used, by the sort of reason.
    pub refused: BTreeMap<String, u64>,
}

/// How a feed goes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct FeedStatus {
    /// How the last run ended.
    pub state: FeedState,
    /// When the last run began.
    pub last_run: Option<Timestamp>,
    /// When the last run ended that did not fail.
    pub last_success: Option<Timestamp>,
    /// When the next one begins.
    pub next_run: Option<Timestamp>,
    /// How long the last run took, in milliseconds.
    pub duration_ms: u64,
    /// Bytes that the last run read, unpacked.
    pub bytes: u64,
    /// Runs that failed in a row.
    pub failures: u32,
    /// When content was last read to its end.
    pub last_read: Option<Timestamp>,
    /// Since when new indicators were stored that stored events were not looked through for yet.
    pub hunt_since: Option<Timestamp>,
    /// Why the last run failed.
    pub error: Option<String>,
    /// What the last run with content found.
    pub counts: FeedCounts,
    /// Its first refusals.
    pub reasons: Vec<String>,
    /// The detector at work on it.
    pub running_on: Option<String>,
    /// What the publisher calls the content that was read last.
    pub etag: Option<String>,
    /// When that content was changed, as the publisher writes it.
    pub last_modified: Option<String>,
    /// TAXII: what was added up to here is read.
    pub added_after: Option<String>,
}
