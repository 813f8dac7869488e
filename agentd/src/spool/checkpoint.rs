//! How far the sensors are. Changes travel with the events they belong to, see [`super`].

use std::collections::{BTreeMap, BTreeSet};

use super::frame::Snapshot;

/// How many bytes at the beginning of a file, and before the offset, identify its content.
pub const PRINT_BYTES: usize = 256;

/// Device and inode: what stays the same when a file is renamed.
pub type FileKey = (u64, u64);

/// Where reading of one file goes on, and how to tell that it is still the same file.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct FileMark {
    /// Device number.
    #[prost(uint64, tag = "1")]
    pub device: u64,
    /// Inode number.
    #[prost(uint64, tag = "2")]
    pub inode: u64,
    /// Path under which it was found first; raw bytes, as paths need not be UTF-8.
    #[prost(bytes = "vec", tag = "3")]
    pub path: Vec<u8>,
    /// Everything before it is in the spool.
    #[prost(uint64, tag = "4")]
    pub offset: u64,
    /// How many bytes at the beginning `head_hash` covers, 0 to [`PRINT_BYTES`].
    #[prost(uint32, tag = "5")]
    pub head_bytes: u32,
    /// See [`print_of`].
    #[prost(fixed64, tag = "6")]
    pub head_hash: u64,
    /// How many bytes right before `offset` are covered by `tail_hash`; 0 when that is not known.
    #[prost(uint32, tag = "7")]
    pub tail_bytes: u32,
    /// See [`print_of`].
    #[prost(fixed64, tag = "8")]
    pub tail_hash: u64,
    /// What `offset` is in: 0 lines, 1 between two elements of an array, 2 behind one; 3 and 4 an event log that is read in
    /// part or to its end, whose records it counts.
    #[prost(uint32, tag = "9")]
    pub within: u32,
    /// Audit events that are in the spool although some of their lines are behind `offset`.
    #[prost(message, repeated, tag = "10")]
    pub done: Vec<DoneMark>,
    /// The header that governs what is behind `offset`; empty when there is none.
    #[prost(string, tag = "11")]
    pub header: String,
}

/// An audit event that is in the spool.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct DoneMark {
    /// Its node, time and serial number.
    #[prost(bytes = "vec", tag = "1")]
    pub key: Vec<u8>,
    /// All its lines before this offset were in it.
    #[prost(uint64, tag = "2")]
    pub end: u64,
}

impl FileMark {
    /// Device and inode.
    #[must_use]
    pub fn key(&self) -> FileKey {
        (self.device, self.inode)
    }
}

/// Hash of a few bytes of a file.
#[must_use]
pub fn print_of(bytes: &[u8]) -> u64 {
    let mut word = [0; 8];
    word.copy_from_slice(blake3::hash(bytes).as_bytes().get(..8).unwrap_or(&[0; 8]));
    u64::from_le_bytes(word)
}

/// One step of a sensor.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct Delta {
    /// Which kind of step.
    #[prost(oneof = "Change", tags = "1, 2, 3, 4")]
    pub change: Option<Change>,
}

/// Kinds of steps.
#[derive(Clone, PartialEq, Eq, prost::Oneof)]
pub enum Change {
    /// A file was read up to a place.
    #[prost(message, tag = "1")]
    File(FileMark),
    /// A file is gone and was read to its end; only device and inode are set.
    #[prost(message, tag = "2")]
    Forget(FileMark),
    /// The journal was read up to this cursor.
    #[prost(string, tag = "3")]
    Cursor(String),
    /// The files that existed when this pattern came into force have been noted.
    #[prost(string, tag = "4")]
    Pattern(String),
}

impl From<Change> for Delta {
    fn from(change: Change) -> Self {
        Self { change: Some(change) }
    }
}

/// The sum of all steps.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Checkpoints {
    /// Known files.
    pub files: BTreeMap<FileKey, FileMark>,
    /// The journal's last cursor.
    pub cursor: Option<String>,
    /// Patterns whose first files were noted: what matches them later is new and read from its beginning.
    pub patterns: BTreeSet<String>,
}

impl Checkpoints {
    /// Takes one step.
    pub fn apply(&mut self, delta: &Delta) {
        match &delta.change {
            Some(Change::File(mark)) => {
                self.files.insert(mark.key(), mark.clone());
            }
            Some(Change::Forget(mark)) => {
                self.files.remove(&mark.key());
            }
            Some(Change::Cursor(cursor)) => self.cursor = Some(cursor.clone()),
            Some(Change::Pattern(pattern)) => {
                self.patterns.insert(pattern.clone());
            }
            None => {}
        }
    }

    pub(super) fn from_snapshot(snapshot: &Snapshot) -> Self {
        Self {
            files: snapshot.files.iter().map(|mark| (mark.key(), mark.clone())).collect(),
            cursor: snapshot.journal_cursor.clone(),
            patterns: snapshot.patterns.iter().cloned().collect(),
        }
    }
}
