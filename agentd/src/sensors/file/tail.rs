//! Reads one file.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use bytes::Bytes;
use model::Timestamp;

use super::identity::{self, Prints, key_of};
use super::{FileStatus, Group};
use crate::sensors::{Body, CHUNK_BYTES, CHUNK_RECORDS, Chunk, Origin, Position, Raw};
use crate::spool::FileMark;
use crate::spool::checkpoint::FileKey;

/// A file that is followed. It may be closed while nothing happens to it.
#[derive(Debug)]
pub(super) struct Tail {
    pub(super) key: FileKey,
    /// Where it is.
    pub(super) path: PathBuf,
    /// Where it was when it was found; that is the name its lines carry.
    pub(super) first_path: PathBuf,
    pub(super) file: Option<File>,
    /// What is known from the last run, until the file is open.
    pub(super) restored: Option<FileMark>,
    pub(super) offset: u64,
    pub(super) size: u64,
    /// Bytes behind `offset` at the look before the last one: what is gone when the last one finds another content.
    pub(super) unread: u64,
    /// Set when its path is another file's or nobody's: when that was, or when it last grew since.
    pub(super) rotated: Option<Instant>,
    pub(super) grown_at: Instant,
    /// When the file had last been written to, at the last look that found nothing new.
    modified: Option<SystemTime>,
    pub(super) error: Option<String>,
    /// No line ends between `offset` and here.
    scanned: u64,
    prints: Prints,
    origin: Arc<Origin>,
    max_line_bytes: usize,
}

/// What a look at a file brought.
#[derive(Debug)]
pub(super) enum Step {
    /// There is nothing behind what is known.
    Idle,
    /// No whole line yet, but there may be more to look through.
    Partial,
    /// Whole lines. Without records when all of them were empty.
    Lines(Chunk),
    /// Its content is not what was read before.
    Replaced,
}

impl Tail {
    pub(super) fn new(key: FileKey, path: &Path, offset: u64, group: &Group, now: Instant) -> Self {
        Self {
            key,
            path: path.to_path_buf(),
            first_path: path.to_path_buf(),
            file: None,
            restored: None,
            offset,
            size: offset,
            unread: 0,
            rotated: None,
            grown_at: now,
            modified: None,
            error: None,
            scanned: offset,
            prints: Prints::default(),
            origin: Arc::new(Origin {
                kind: "file",
                name: path.to_string_lossy().into_owned(),
                log_type: group.log_type.clone(),
            }),
            max_line_bytes: group.max_line_bytes,
        }
    }

    /// Goes on where a mark ends, in the file now at `path`.
    pub(super) fn from_mark(mark: &FileMark, first_path: &Path, path: &Path, group: &Group, now: Instant) -> Self {
        let mut tail = Self::new(mark.key(), first_path, mark.offset, group, now);
        tail.path = path.to_path_buf();
        tail.restored = Some(mark.clone());
        tail
    }

    /// The same file's content under another inode, read up to the same place.
    pub(super) fn copy(&self, key: FileKey, path: &Path, now: Instant) -> Self {
        let mut mark = self.mark();
        (mark.device, mark.inode) = key;
        Self {
            key,
            path: path.to_path_buf(),
            first_path: self.first_path.clone(),
            file: None,
            restored: Some(mark),
            offset: self.offset,
            size: self.offset,
            unread: 0,
            rotated: Some(now),
            grown_at: now,
            modified: None,
            error: None,
            scanned: self.offset,
            prints: Prints::default(),
            origin: Arc::clone(&self.origin),
            max_line_bytes: self.max_line_bytes,
        }
    }

    /// Opens the file. False when it is not what was read before.
    ///
    /// # Errors
    /// When it cannot be opened or is another file.
    pub(super) fn open(&mut self) -> io::Result<bool> {
        let (file, metadata) = identity::open(&self.path)?;
        if key_of(&metadata) != self.key {
            return Err(io::Error::new(io::ErrorKind::NotFound, "another file is at its path"));
        }
        self.unread = self.size.max(self.scanned).saturating_sub(self.offset);
        self.size = metadata.len();
        let known = match &self.restored {
            Some(mark) => identity::matches(&file, self.size, mark)?,
            None => self.size >= self.offset && self.prints.hold(&file, self.offset)?,
        };
        if known {
            self.prints = Prints::load(&file, self.offset)?;
            self.restored = None;
        }
        self.file = Some(file);
        Ok(known)
    }

    pub(super) fn mark(&self) -> FileMark {
        match &self.restored {
            Some(mark) => mark.clone(),
            None => self.prints.mark(self.key, &self.first_path, self.offset),
        }
    }

    /// Reads from the beginning.
    pub(super) fn start_over(&mut self) {
        self.offset = 0;
        self.scanned = 0;
        self.restored = None;
        self.prints = Prints::default();
    }

    /// Looks once, reading at most [`CHUNK_BYTES`] or one line. The file must be open.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(super) fn step(&mut self, buffer: &mut [u8], now: Instant) -> io::Result<Step> {
        let Some(file) = &self.file else {
            return Ok(Step::Idle);
        };
        let metadata = file.metadata()?;
        self.unread = self.size.max(self.scanned).saturating_sub(self.offset);
        self.size = metadata.len();
        if self.size < self.scanned {
            return Ok(Step::Replaced);
        }
        if self.size == self.scanned {
            // A file that was truncated and has grown to the very same size gives itself away by its time.
            let modified = metadata.modified().ok();
            if modified != self.modified && !self.prints.hold(file, self.offset)? {
                return Ok(Step::Replaced);
            }
            self.modified = modified;
            return Ok(Step::Idle);
        }
        self.grown_at = now;
        let buffer = buffer.get_mut(..CHUNK_BYTES).unwrap_or_default();
        let length = match file.read_at(buffer, self.scanned) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(Step::Partial),
            length => length?,
        };
        let text = buffer.get(..length).unwrap_or_default();
        if text.is_empty() {
            return Ok(Step::Idle);
        }
        let lines = if self.scanned > self.offset {
            self.long_line(file, text)?
        } else {
            self.short_lines(text)
        };
        let Some(lines) = lines else {
            self.scanned += length as u64;
            return Ok(Step::Partial);
        };
        // Checked after reading: what is read between a truncation and this line is not taken.
        if !self.prints.hold(file, self.offset)? {
            return Ok(Step::Replaced);
        }
        match lines.text {
            Some(text) => self.prints.extend(self.offset, text),
            None => self.prints = Prints::load(file, lines.end)?,
        }
        self.offset = lines.end;
        self.scanned = lines.end;
        Ok(Step::Lines(self.chunk(lines.records)))
    }

    /// What follows the last line end of a file that nobody writes to any more.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(super) fn last_line(&mut self) -> io::Result<Option<Chunk>> {
        let Some(file) = &self.file else { return Ok(None) };
        let length = file.metadata()?.len().saturating_sub(self.offset);
        if length == 0 {
            return Ok(None);
        }
        let end = self.offset + length;
        let record = self.cut(file, length, end)?;
        self.prints = Prints::load(file, end)?;
        self.offset = end;
        self.scanned = end;
        Ok(Some(self.chunk(record.into_iter().collect())))
    }

    pub(super) fn status(&self) -> FileStatus {
        FileStatus {
            path: self.path.clone(),
            offset: self.offset,
            size: self.size,
            lag_bytes: self.size.saturating_sub(self.offset),
            rotated: self.rotated.is_some(),
            error: self.error.clone(),
        }
    }

    fn chunk(&self, records: Vec<Raw>) -> Chunk {
        Chunk {
            origin: Arc::clone(&self.origin),
            observed_at_micros: Timestamp::now().0,
            records,
            mark: Some(self.mark()),
        }
    }

    /// The whole lines in `text`, which lies at the offset.
    fn short_lines<'a>(&self, text: &'a [u8]) -> Option<Lines<'a>> {
        let mut ends = text
            .iter()
            .enumerate()
            .filter(|(_, byte)| **byte == b'\n')
            .map(|(at, _)| at);
        let mut records = Vec::new();
        let mut from = 0;
        let shared = Bytes::copy_from_slice(text.get(..=ends.clone().next_back()?)?);
        while records.len() < CHUNK_RECORDS
            && let Some(at) = ends.next()
        {
            let line = shared.slice(from..at);
            from = at + 1;
            let line = match line.strip_suffix(b"\r") {
                Some(stripped) => line.slice_ref(stripped),
                None => line,
            };
            if line.is_empty() {
                continue;
            }
            let kept = line.len().min(self.max_line_bytes);
            records.push(Raw {
                truncated_bytes: (line.len() - kept) as u64,
                body: Body::Line(line.slice(..kept)),
                after: Position::Offset(self.offset + from as u64),
            });
        }
        Some(Lines {
            records,
            end: self.offset + from as u64,
            text: text.get(..from),
        })
    }

    /// The one line that began before what is in `text`.
    fn long_line<'a>(&self, file: &File, text: &'a [u8]) -> io::Result<Option<Lines<'a>>> {
        let Some(at) = text.iter().position(|byte| *byte == b'\n') else {
            return Ok(None);
        };
        let line_end = self.scanned + at as u64;
        let record = self.cut(file, line_end - self.offset, line_end + 1)?;
        Ok(Some(Lines {
            records: record.into_iter().collect(),
            end: line_end + 1,
            text: None,
        }))
    }

    /// Reads the line of `length` bytes at the offset, as far as it may go.
    fn cut(&self, file: &File, length: u64, after: u64) -> io::Result<Option<Raw>> {
        let kept = usize::try_from(length).unwrap_or(usize::MAX).min(self.max_line_bytes);
        let mut line = vec![0; kept];
        file.read_exact_at(&mut line, self.offset)?;
        let truncated_bytes = length - kept as u64;
        if truncated_bytes == 0 && line.last() == Some(&b'\r') {
            line.pop();
        }
        Ok((!line.is_empty()).then(|| Raw {
            body: Body::Line(Bytes::from(line)),
            truncated_bytes,
            after: Position::Offset(after),
        }))
    }
}

struct Lines<'a> {
    records: Vec<Raw>,
    end: u64,
    /// Everything up to `end`, when it is at hand.
    text: Option<&'a [u8]>,
}
