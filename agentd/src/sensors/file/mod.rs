//! Follows text files line by line.
//!
//! A file is known by device and inode, and by hashes of its first bytes and of the bytes right before the offset
//! ([`identity`]). Renaming changes neither, so a rotated file is read to its end while its successor starts at 0.
//! Truncation changes them, so reading starts over, and a copy that was made before the truncation is found by the same
//! hashes. What is one record, when it is not a line, [`shape`] tells. One thread follows all files: [`watch`] wakes it, [`discover`] finds files, [`tail`] reads one of them, and
//! [`follow`] decides.

mod discover;
mod follow;
mod generations;
pub(super) mod identity;
mod shape;
mod tail;
mod watch;

use std::path::PathBuf;
use std::time::Duration;

pub use follow::Follower;

/// Where to start in files that exist when their pattern is first seen. Files that appear later are read from their
/// beginning.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Start {
    /// Only what is written from then on.
    #[default]
    End,
    /// Everything.
    Beginning,
}

/// A group of files that are treated alike.
#[derive(Clone, Debug)]
pub struct Group {
    /// Glob patterns.
    pub patterns: Vec<glob::Pattern>,
    /// Paths that are left out.
    pub exclude: Vec<glob::Pattern>,
    /// Parser the operator named; empty to detect it.
    pub log_type: String,
    /// See [`Start`].
    pub start: Start,
    /// Lines are cut behind this many bytes.
    pub max_line_bytes: usize,
    /// Whether each line is a record: no array is taken apart, no audit records are joined.
    pub each_line: bool,
}

/// Limits of the sensor.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Most files that are open at once; further ones are closed while nothing is written to them.
    pub max_open_files: usize,
    /// How long a renamed or removed file is still followed after it last grew.
    pub rotated_grace: Duration,
    /// How often files are looked at when nothing woke the sensor.
    pub poll: Duration,
    /// How often patterns are evaluated.
    pub rescan: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_open_files: 512,
            rotated_grace: Duration::from_secs(30),
            poll: Duration::from_millis(250),
            rescan: Duration::from_secs(1),
        }
    }
}

/// Most files that are followed at all.
const MAX_FILES: usize = 16_384;

/// One file on the status page.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct FileStatus {
    /// Where it is.
    pub path: PathBuf,
    /// Everything before it is in the spool or on its way there.
    pub offset: u64,
    /// As last seen.
    pub size: u64,
    /// `size - offset`.
    pub lag_bytes: u64,
    /// Renamed or removed: read to its end, then forgotten.
    #[serde(default)]
    pub rotated: bool,
    /// Why it is not being read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}
