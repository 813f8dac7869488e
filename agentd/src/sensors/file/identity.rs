//! Whether a file is still the one that was read before.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{FileExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;

use crate::spool::FileMark;
use crate::spool::checkpoint::{FileKey, PRINT_BYTES, print_of};

/// Bytes before the offset that must be the same before a file with another inode counts as the same content.
const COPY_TAIL_BYTES: u32 = 32;
/// Most directory entries that are looked through for a renamed or copied file.
const MAX_ENTRIES: usize = 16_384;

/// Device and inode.
pub(in crate::sensors) fn key_of(metadata: &Metadata) -> FileKey {
    (metadata.dev(), metadata.ino())
}

/// Opens for reading without ever waiting for a writer of a pipe or a terminal.
///
/// # Errors
/// Also when it is not a regular file.
pub(in crate::sensors) fn open(path: &Path) -> io::Result<(File, Metadata)> {
    let flags = OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
    let file = OpenOptions::new().read(true).custom_flags(flags.bits()).open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
    }
    Ok((file, metadata))
}

/// The first bytes of a file and the bytes before the offset, as read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Prints {
    pub(super) head: Vec<u8>,
    pub(super) tail: Vec<u8>,
}

impl Prints {
    /// Reads both for `offset`.
    pub(super) fn load(file: &File, offset: u64) -> io::Result<Self> {
        let length = offset.min(PRINT_BYTES as u64);
        Ok(Self {
            head: read_at_most(file, 0, length)?,
            tail: read_at_most(file, offset - length, length)?,
        })
    }

    /// Adds bytes that were read at `offset`.
    pub(super) fn extend(&mut self, offset: u64, bytes: &[u8]) {
        if self.head.len() as u64 == offset && self.head.len() < PRINT_BYTES {
            let missing = PRINT_BYTES - self.head.len();
            self.head.extend_from_slice(bytes.get(..missing).unwrap_or(bytes));
        }
        if let Some(last) = bytes.len().checked_sub(PRINT_BYTES).and_then(|from| bytes.get(from..)) {
            self.tail.clear();
            self.tail.extend_from_slice(last);
        } else {
            self.tail.extend_from_slice(bytes);
            let surplus = self.tail.len().saturating_sub(PRINT_BYTES);
            self.tail.drain(..surplus);
        }
    }

    /// Whether the file still holds them.
    pub(super) fn hold(&self, file: &File, offset: u64) -> io::Result<bool> {
        let tail_at = offset.saturating_sub(self.tail.len() as u64);
        Ok(same(file, 0, &self.head)? && same(file, tail_at, &self.tail)?)
    }

    pub(super) fn mark(&self, key: FileKey, path: &Path, offset: u64) -> FileMark {
        FileMark {
            device: key.0,
            inode: key.1,
            path: path.as_os_str().as_bytes().to_vec(),
            offset,
            head_bytes: u32::try_from(self.head.len()).unwrap_or(0),
            head_hash: print_of(&self.head),
            tail_bytes: u32::try_from(self.tail.len()).unwrap_or(0),
            tail_hash: print_of(&self.tail),
            ..FileMark::default()
        }
    }
}

/// Whether the file's content up to the mark's offset is what the mark remembers, whatever its inode.
pub(super) fn matches(file: &File, size: u64, mark: &FileMark) -> io::Result<bool> {
    let tail_at = mark.offset.saturating_sub(u64::from(mark.tail_bytes));
    Ok(size >= mark.offset
        && print_at(file, 0, mark.head_bytes)? == mark.head_hash_or_empty()
        && print_at(file, tail_at, mark.tail_bytes)? == mark.tail_hash_or_empty())
}

impl FileMark {
    fn head_hash_or_empty(&self) -> Option<u64> {
        (self.head_bytes > 0).then_some(self.head_hash)
    }

    fn tail_hash_or_empty(&self) -> Option<u64> {
        (self.tail_bytes > 0).then_some(self.tail_hash)
    }
}

fn print_at(file: &File, at: u64, length: u32) -> io::Result<Option<u64>> {
    let bytes = read_at_most(file, at, u64::from(length).min(PRINT_BYTES as u64))?;
    Ok((!bytes.is_empty()).then(|| print_of(&bytes)))
}

/// The file in `dir` with this device and inode, under whatever name.
pub(super) fn find_inode(dir: &Path, key: FileKey) -> Option<PathBuf> {
    entries(dir).find(|path| fs::metadata(path).is_ok_and(|metadata| key_of(&metadata) == key && metadata.is_file()))
}

/// A file beside `original` whose name starts with the original's, and which starts with everything that the mark
/// remembers: what `copytruncate` leaves. `taken` are the files that are followed already.
pub(super) fn find_copy(
    original: &Path,
    mark: &FileMark,
    taken: impl Fn(FileKey) -> bool,
) -> Option<(PathBuf, FileKey)> {
    let name = original.file_name()?.as_bytes().to_vec();
    let dir = original.parent()?;
    entries(dir)
        .filter(|path| {
            path != original
                && path
                    .file_name()
                    .is_some_and(|other| other.as_bytes().starts_with(&name))
        })
        .find_map(|path| {
            let (file, metadata) = open(&path).ok()?;
            let key = key_of(&metadata);
            let copy = !taken(key) && is_copy(&file, metadata.len(), mark);
            copy.then_some((path, key))
        })
}

/// Whether a file with another inode starts with everything the mark remembers.
pub(super) fn is_copy(file: &File, size: u64, mark: &FileMark) -> bool {
    mark.tail_bytes >= COPY_TAIL_BYTES && matches(file, size, mark).unwrap_or(false)
}

pub(super) fn entries(dir: &Path) -> impl Iterator<Item = PathBuf> {
    fs::read_dir(dir)
        .into_iter()
        .flatten()
        .take(MAX_ENTRIES)
        .filter_map(|entry| Some(entry.ok()?.path()))
}

/// Whether a file begins with these bytes.
pub(in crate::sensors) fn begins_with(file: &File, wanted: &[u8]) -> io::Result<bool> {
    same(file, 0, wanted)
}

fn same(file: &File, at: u64, wanted: &[u8]) -> io::Result<bool> {
    Ok(read_at_most(file, at, wanted.len() as u64)? == wanted)
}

/// The bytes at a place, fewer at the end of the file.
pub(in crate::sensors) fn read_at_most(file: &File, at: u64, length: u64) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; usize::try_from(length).unwrap_or(PRINT_BYTES)];
    let mut filled = 0;
    while let Some(rest) = bytes.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match file.read_at(rest, at + filled as u64) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    bytes.truncate(filled);
    Ok(bytes)
}
