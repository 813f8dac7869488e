//! Reads one file.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use model::Timestamp;

use records::array::{self, Scanner, Start};
use records::audit::Joiner;
use records::header::{self, Tracker};

use super::identity::{self, Prints, key_of};
use super::shape::{self, Shape};
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
    each_line: bool,
    shape: Shape,
    joiner: Joiner,
    /// When following began: the joiner's clock.
    since: Instant,
    header: Tracker,
    /// The file's size when what is behind the offset could be a line or an array.
    undecided_at: Option<u64>,
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
                header: None,
            }),
            max_line_bytes: group.max_line_bytes,
            each_line: group.each_line,
            shape: Shape::Lines,
            joiner: Joiner::new(group.max_line_bytes),
            since: now,
            header: Tracker::default(),
            undecided_at: None,
        }
    }

    /// Goes on where a mark ends, in the file now at `path`.
    pub(super) fn from_mark(mark: &FileMark, first_path: &Path, path: &Path, group: &Group, now: Instant) -> Self {
        let mut tail = Self::new(mark.key(), first_path, mark.offset, group, now);
        tail.path = path.to_path_buf();
        tail.restored = Some(mark.clone());
        tail.shape = Shape::of(mark);
        tail.joiner = shape::joiner(mark, group.max_line_bytes);
        tail.govern(Tracker::resume(&mark.header));
        tail
    }

    /// What its lines are governed by until it has a header of its own: that of the file whose name it took over.
    pub(super) fn inherit(&mut self, from: &Self) {
        self.govern(from.header.clone());
    }

    /// The header that governs the next line.
    pub(super) fn has_header(&self) -> bool {
        self.header.header().is_some()
    }

    fn govern(&mut self, header: Tracker) {
        if self.origin.header.as_ref() != header.header() {
            self.origin = Arc::new(Origin {
                header: header.header().cloned(),
                ..Origin::clone(&self.origin)
            });
        }
        self.header = header;
    }

    /// Finds the header at the file's beginning, for a file that is read from a place further on.
    fn find_header(&mut self, file: &File) -> io::Result<()> {
        let length = self.offset.min(header::MAX_HEADER as u64);
        if length == 0 || self.has_header() {
            return Ok(());
        }
        let mut text = vec![0; usize::try_from(length).unwrap_or_default()];
        file.read_exact_at(&mut text, 0)?;
        let mut tracker = Tracker::default();
        let end = text.iter().rposition(|byte| *byte == b'\n').unwrap_or(0);
        for line in text.get(..end).unwrap_or_default().split(|byte| *byte == b'\n') {
            tracker.take(line.strip_suffix(b"\r").unwrap_or(line));
        }
        self.govern(tracker);
        Ok(())
    }

    /// The same file's content under another inode, read up to the same place.
    pub(super) fn copy(&self, key: FileKey, path: &Path, now: Instant) -> Self {
        let mut mark = self.mark();
        (mark.device, mark.inode) = key;
        let offset = mark.offset;
        Self {
            shape: Shape::of(&mark),
            joiner: shape::joiner(&mark, self.max_line_bytes),
            key,
            path: path.to_path_buf(),
            first_path: self.first_path.clone(),
            file: None,
            restored: Some(mark),
            offset,
            size: offset,
            unread: 0,
            rotated: Some(now),
            grown_at: now,
            modified: None,
            error: None,
            scanned: offset,
            prints: Prints::default(),
            origin: Arc::clone(&self.origin),
            max_line_bytes: self.max_line_bytes,
            each_line: self.each_line,
            since: now,
            header: self.header.clone(),
            undecided_at: None,
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
        if self.offset == 0 && identity::begins_with(&file, records::event_log::MAGIC)? {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "a Windows Event Log has no lines; [event_logs] and picket send read it",
            ));
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
            self.find_header(&file)?;
        }
        self.file = Some(file);
        Ok(known)
    }

    pub(super) fn mark(&self) -> FileMark {
        match &self.restored {
            Some(mark) => mark.clone(),
            None => self.mark_here(),
        }
    }

    /// Where to go on: at the offset, or at the oldest line of an event that is not whole.
    fn mark_here(&self) -> FileMark {
        let place = self.joiner.place(self.offset);
        let older = (place.at < self.offset).then_some(self.file.as_ref()).flatten();
        let prints = older.and_then(|file| Prints::load(file, place.at).ok());
        let mut mark = match prints {
            Some(prints) => prints.mark(self.key, &self.first_path, place.at),
            None => self.prints.mark(self.key, &self.first_path, self.offset),
        };
        if mark.offset != place.at {
            (mark.offset, mark.tail_bytes, mark.tail_hash) = (place.at, 0, 0);
        }
        mark.within = self.shape.within();
        mark.done = shape::done(place.done);
        self.with_header(mark)
    }

    fn with_header(&self, mut mark: FileMark) -> FileMark {
        if let Some(header) = self.header.header() {
            mark.header.push_str(header);
        }
        mark
    }

    /// Whether lines of the audit daemon wait for others.
    pub(super) fn is_waiting(&self) -> bool {
        !self.joiner.is_empty()
    }

    /// Gives what waits for more lines as it is: none will come.
    pub(super) fn flush(&mut self) -> Vec<Raw> {
        let mut joined = Vec::new();
        self.joiner.flush(self.offset, &mut joined);
        shape::raws(joined, &self.mark_here())
    }

    /// Reads from the beginning.
    pub(super) fn start_over(&mut self) {
        self.offset = 0;
        self.scanned = 0;
        self.restored = None;
        self.prints = Prints::default();
        self.shape = Shape::Lines;
        self.joiner = Joiner::new(self.max_line_bytes);
        self.undecided_at = None;
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
        if self.size == self.scanned || self.undecided_at == Some(self.size) {
            // A file that was truncated and has grown to the very same size gives itself away by its time.
            let modified = metadata.modified().ok();
            if modified != self.modified && !self.prints.hold(file, self.offset)? {
                return Ok(Step::Replaced);
            }
            self.modified = modified;
            return Ok(self.settle(now));
        }
        self.grown_at = now;
        self.undecided_at = None;
        let buffer = buffer.get_mut(..CHUNK_BYTES).unwrap_or_default();
        let length = match file.read_at(buffer, self.scanned) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(Step::Partial),
            length => length?,
        };
        let text = buffer.get(..length).unwrap_or_default();
        if text.is_empty() {
            return Ok(Step::Idle);
        }
        let found = match &self.shape {
            Shape::Inside(scanner) => self.elements(file, text, scanner.clone())?,
            Shape::Rest => {
                let (end, over) = array::rest(text);
                (
                    Some(Lines::none(self.offset, text, end)),
                    if over { Shape::Lines } else { Shape::Rest },
                )
            }
            Shape::Lines if self.scanned > self.offset => (self.long_line(file, text)?, Shape::Lines),
            Shape::Lines => match self.start(text) {
                Start::Inside(_) if self.is_waiting() => {
                    // Elements have no events that wait before them.
                    let records = self.flush();
                    return Ok(Step::Lines(self.chunk(records)));
                }
                Start::Inside(at) => (
                    Some(Lines::none(self.offset, text, at)),
                    Shape::Inside(Scanner::default()),
                ),
                Start::Undecided if !text.contains(&b'\n') => {
                    self.undecided_at = Some(self.size);
                    return Ok(Step::Idle);
                }
                Start::Undecided | Start::Line => (self.short_lines(text), Shape::Lines),
            },
        };
        let (lines, shape) = found;
        let Some(lines) = lines else {
            self.shape = shape;
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
        let from = self.offset;
        let joins = !self.each_line && matches!((&self.shape, &shape), (Shape::Lines, Shape::Lines));
        self.shape = shape;
        self.offset = lines.end;
        self.scanned = lines.end;
        let next = lines.header;
        let records = if joins {
            let mark = self.with_header(self.prints.mark(self.key, &self.first_path, self.offset));
            let now = now.saturating_duration_since(self.since);
            shape::join(&mut self.joiner, lines.records, from, now, &mark)
        } else {
            lines.records
        };
        if let Some(header) = next {
            self.govern(header);
        }
        Ok(Step::Lines(self.chunk(records)))
    }

    /// There is nothing to read at present: what is whole, or waited long enough, goes.
    fn settle(&mut self, now: Instant) -> Step {
        if !self.is_waiting() {
            return Step::Idle;
        }
        let mut joined = Vec::new();
        let clock = now.saturating_duration_since(self.since);
        self.joiner.settle(clock, true, self.offset, &mut joined);
        if joined.is_empty() {
            return Step::Idle;
        }
        let records = shape::raws(joined, &self.mark_here());
        Step::Lines(self.chunk(records))
    }

    fn start(&self, text: &[u8]) -> Start {
        if self.each_line {
            Start::Line
        } else {
            array::start(text)
        }
    }

    /// What follows the last line end of a file that nobody writes to any more.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(super) fn last_line(&mut self) -> io::Result<Option<Chunk>> {
        let Some(file) = &self.file else { return Ok(None) };
        let length = file.metadata()?.len().saturating_sub(self.offset);
        let end = self.offset + length;
        let record = if length > 0 {
            self.cut(file, self.offset, length, Position::Offset(end))?
        } else {
            None
        };
        if length > 0 {
            self.prints = Prints::load(file, end)?;
        }
        let from = std::mem::replace(&mut self.offset, end);
        self.scanned = end;
        let mut lines: Vec<Raw> = record.into_iter().collect();
        if !matches!(std::mem::replace(&mut self.shape, Shape::Lines), Shape::Lines) {
            let closes = |line: &[u8]| matches!(array::rest(line), (at, _) if at == line.len());
            lines.retain(|raw| !matches!(&raw.body, Body::Line(line) if closes(line)));
        } else if !self.each_line {
            let mark = self.mark_here();
            lines = shape::join(&mut self.joiner, lines, from, Duration::ZERO, &mark);
            lines.extend(self.flush());
        }
        Ok(Some(self.chunk(lines)))
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

    pub(super) fn chunk(&self, records: Vec<Raw>) -> Chunk {
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
        let mut header = self.header.clone();
        let mut has_lines = false;
        let shared = Bytes::copy_from_slice(text.get(..=ends.clone().next_back()?)?);
        while records.len() < CHUNK_RECORDS
            && let Some(at) = ends.next()
        {
            if from > 0 && matches!(self.start(text.get(from..).unwrap_or_default()), Start::Inside(_)) {
                break;
            }
            let begin = from;
            let line = shared.slice(from..at);
            from = at + 1;
            let line = match line.strip_suffix(b"\r") {
                Some(stripped) => line.slice_ref(stripped),
                None => line,
            };
            if line.is_empty() {
                continue;
            }
            if header::is_part(&line) {
                // One chunk has one header: what came before keeps the one it has.
                if has_lines {
                    from = begin;
                    break;
                }
                header.take(&line);
            } else {
                has_lines = true;
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
            header: Some(header),
        })
    }

    /// The one line that began before what is in `text`.
    fn long_line<'a>(&self, file: &File, text: &'a [u8]) -> io::Result<Option<Lines<'a>>> {
        let Some(at) = text.iter().position(|byte| *byte == b'\n') else {
            return Ok(None);
        };
        let line_end = self.scanned + at as u64;
        let record = self.cut(
            file,
            self.offset,
            line_end - self.offset,
            Position::Offset(line_end + 1),
        )?;
        Ok(Some(Lines {
            records: record.into_iter().collect(),
            end: line_end + 1,
            text: None,
            header: None,
        }))
    }

    /// The whole elements in `text`, which lies where the scanner stands, and what comes behind them.
    fn elements<'a>(
        &self,
        file: &File,
        text: &'a [u8],
        mut scanner: Scanner,
    ) -> io::Result<(Option<Lines<'a>>, Shape)> {
        let found = shape::elements(&mut scanner, text, CHUNK_RECORDS);
        let mut records = Vec::with_capacity(found.ends.len());
        let mut from = self.offset;
        for end in found.ends {
            let end = self.scanned + end as u64;
            records.extend(self.element(file, from, end)?);
            from = end;
        }
        let shape = match found.end {
            Some(end) => {
                from = self.scanned + end as u64;
                Shape::Rest
            }
            None if found.broken => {
                from += self.separators(file, from)?;
                Shape::Lines
            }
            None if from == self.offset => return Ok((None, Shape::Inside(scanner))),
            None => Shape::Inside(Scanner::default()),
        };
        let at_hand = usize::try_from(from.saturating_sub(self.scanned))
            .ok()
            .filter(|_| self.scanned == self.offset);
        let lines = Lines {
            records,
            end: from,
            text: at_hand.and_then(|end| text.get(..end)),
            header: None,
        };
        Ok((Some(lines), shape))
    }

    /// The element between two offsets, as far as it may go.
    fn element(&self, file: &File, from: u64, end: u64) -> io::Result<Option<Raw>> {
        let from = from + self.separators(file, from)?;
        self.cut(file, from, end.saturating_sub(from), Position::Element(end))
    }

    /// How many bytes at an offset only separate elements; 4 KiB at most.
    fn separators(&self, file: &File, at: u64) -> io::Result<u64> {
        let mut head = [0; 4096];
        let mut short = [0; 16];
        let length = file.read_at(&mut short, at)?;
        let few = short.get(..length).unwrap_or_default();
        let count = few.len() - array::trimmed(few).len();
        if count < few.len() {
            return Ok(count as u64);
        }
        let length = file.read_at(&mut head, at)?;
        let many = head.get(..length).unwrap_or_default();
        Ok((many.len() - array::trimmed(many).len()) as u64)
    }

    /// Reads the line or element of `length` bytes at `at`, as far as it may go.
    fn cut(&self, file: &File, at: u64, length: u64, after: Position) -> io::Result<Option<Raw>> {
        let kept = usize::try_from(length).unwrap_or(usize::MAX).min(self.max_line_bytes);
        let mut line = vec![0; kept];
        file.read_exact_at(&mut line, at)?;
        let truncated_bytes = length - kept as u64;
        if truncated_bytes == 0 && line.last() == Some(&b'\r') {
            line.pop();
        }
        Ok((!line.is_empty()).then(|| Raw {
            body: Body::Line(Bytes::from(line)),
            truncated_bytes,
            after,
        }))
    }
}

struct Lines<'a> {
    records: Vec<Raw>,
    end: u64,
    /// Everything up to `end`, when it is at hand.
    text: Option<&'a [u8]>,
    /// The header that governs them and what follows; `None` where it stays as it was.
    header: Option<Tracker>,
}

impl<'a> Lines<'a> {
    /// No records, but a step of `length` bytes of the text at `offset`.
    fn none(offset: u64, text: &'a [u8], length: usize) -> Self {
        Self {
            records: Vec::new(),
            end: offset + length as u64,
            text: text.get(..length),
            header: None,
        }
    }
}
