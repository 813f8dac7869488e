//! Decides what is followed from where. The rules, in the order in which they apply to a file that was not followed so
//! far:
//!
//! 1. It is known from the last run, and still has the content that was read: go on at the offset.
//! 2. It is a copy of a followed file (`copytruncate` with a pattern that matches the copies, too): go on behind what
//!    was read of the original.
//! 3. Its pattern is evaluated for the first time: start where the configuration says.
//! 4. It is new: read it from its beginning.

use std::collections::{HashMap, HashSet};
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::time::Instant;

use tokio_util::sync::CancellationToken;

use super::super::gap::Lost;
use super::discover::{self, Found};
use super::generations;
use super::identity::{self, Prints, key_of};
use super::tail::{Step, Tail};
use super::watch::{Changes, Watch};
use super::{FileStatus, Group, Limits, Start};
use crate::sensors::{CHUNK_BYTES, Closed, Input, Sink};
use crate::spool::checkpoint::FileKey;
use crate::spool::{Change, Checkpoints, Delta, FileMark};

/// Steps one file may take before the others have their turn.
const STEPS_PER_TURN: usize = 16;
/// Most files on the status page.
const MAX_STATUS: usize = 1000;

/// The sensor.
pub struct Follower {
    groups: Vec<Group>,
    limits: Limits,
    sink: Sink,
    publish: Box<dyn Fn(Vec<FileStatus>) + Send>,
    watch: Watch,
    tails: HashMap<FileKey, Tail>,
    /// Marks whose directory is missing, which may come back with it.
    waiting: Vec<FileMark>,
    patterns: HashSet<String>,
    /// Said once each.
    warned: HashSet<PathBuf>,
    warned_too_many: bool,
    buffer: Vec<u8>,
}

impl Follower {
    /// Goes on from `checkpoints`. `publish` gets the state of all files about once a second.
    #[must_use]
    pub fn new(
        groups: Vec<Group>,
        limits: Limits,
        checkpoints: &Checkpoints,
        sink: Sink,
        publish: Box<dyn Fn(Vec<FileStatus>) + Send>,
    ) -> Self {
        Self {
            groups,
            limits,
            sink,
            publish,
            watch: Watch::new(),
            tails: HashMap::new(),
            waiting: checkpoints.files.values().cloned().collect(),
            patterns: checkpoints.patterns.iter().cloned().collect(),
            warned: HashSet::new(),
            warned_too_many: false,
            buffer: vec![0; CHUNK_BYTES],
        }
    }

    /// Follows until told to stop, on the calling thread.
    pub fn run(mut self, stop: &CancellationToken) {
        match self.follow(stop) {
            Ok(()) | Err(Closed) => self.publish_status(),
        }
    }

    fn follow(&mut self, stop: &CancellationToken) -> Result<(), Closed> {
        self.restore()?;
        let (mut rescan_at, mut poll_at) = (Instant::now(), Instant::now());
        let mut changes = Changes::default();
        let mut busy = HashSet::new();
        while !stop.is_cancelled() {
            let now = Instant::now();
            if now >= rescan_at || changes.names || changes.everything {
                self.rescan(stop)?;
                // A pattern over a large tree takes long; it must not become all this thread does.
                rescan_at = Instant::now() + self.limits.rescan.max(now.elapsed() * 10);
                changes.everything = true;
                self.publish_status();
            }
            if now >= poll_at || changes.everything {
                busy.extend(self.tails.keys().copied());
                poll_at = now + self.limits.poll;
            } else if !changes.paths.is_empty() {
                let changed = self.tails.values().filter(|tail| changes.paths.contains(&tail.path));
                busy.extend(changed.map(|tail| tail.key));
            }
            busy = self.read(&busy, stop)?;
            let deadline = if busy.is_empty() {
                poll_at.min(rescan_at)
            } else {
                Instant::now()
            };
            changes = self.watch.wait(deadline);
        }
        Ok(())
    }

    /// Gives each file a turn; returns those that have more.
    fn read(&mut self, keys: &HashSet<FileKey>, stop: &CancellationToken) -> Result<HashSet<FileKey>, Closed> {
        let mut more = HashSet::new();
        for key in keys {
            if !stop.is_cancelled() && self.turn(*key)? {
                more.insert(*key);
            }
        }
        Ok(more)
    }

    fn turn(&mut self, key: FileKey) -> Result<bool, Closed> {
        if self.tails.get(&key).is_some_and(|tail| tail.file.is_none()) && !self.open(key)? {
            return Ok(false);
        }
        let now = Instant::now();
        for _ in 0..STEPS_PER_TURN {
            let Some(tail) = self.tails.get_mut(&key) else {
                return Ok(false);
            };
            match tail.step(&mut self.buffer, now) {
                Ok(Step::Idle) => return Ok(false),
                Ok(Step::Partial) => {}
                Ok(Step::Lines(chunk)) if chunk.records.is_empty() => {
                    let mark = Change::File(tail.mark());
                    self.sink.send(Input::Note(vec![mark.into()]))?;
                }
                Ok(Step::Lines(chunk)) => self.sink.send(Input::Chunk(chunk))?,
                Ok(Step::Replaced) => self.replaced(key)?,
                Err(error) => {
                    tail.file = None;
                    self.failed(key, &error);
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    /// Opens a file that is closed, if there is reason and room. False when it stays closed.
    fn open(&mut self, key: FileKey) -> Result<bool, Closed> {
        let Some(tail) = self.tails.get(&key) else {
            return Ok(false);
        };
        if tail.restored.is_none() && tail.error.is_none() {
            let unchanged = fs::metadata(&tail.path).is_ok_and(|now| key_of(&now) == key && now.len() == tail.size);
            if unchanged && tail.offset == tail.size {
                return Ok(false);
            }
        }
        if !self.make_room() {
            return Ok(false);
        }
        let Some(tail) = self.tails.get_mut(&key) else {
            return Ok(false);
        };
        match tail.open() {
            Ok(known) => {
                if tail.error.take().is_some() {
                    self.warned.remove(&tail.path);
                    tracing::info!(path = %tail.path.display(), "file can be read again");
                }
                if !known {
                    self.replaced(key)?;
                }
                Ok(true)
            }
            Err(error) => {
                self.failed(key, &error);
                Ok(false)
            }
        }
    }

    fn failed(&mut self, key: FileKey, error: &io::Error) {
        let Some(tail) = self.tails.get_mut(&key) else { return };
        tail.error = Some(error.to_string());
        // That it is gone is noticed, and handled, by looking at its path.
        let gone = error.kind() == io::ErrorKind::NotFound;
        if !gone && self.warned.len() < super::MAX_FILES && self.warned.insert(tail.path.clone()) {
            tracing::warn!(path = %tail.path.display(), %error, "file cannot be read, it is tried again");
        }
    }

    /// The file holds something else than what was read. What was not read of it may be in a copy beside it.
    fn replaced(&mut self, key: FileKey) -> Result<(), Closed> {
        let now = Instant::now();
        let Some(tail) = self.tails.get(&key) else {
            return Ok(());
        };
        let (path, mark) = (tail.path.clone(), tail.mark());
        let copy = identity::find_copy(&path, &mark, |key| self.tails.contains_key(&key));
        tracing::info!(
            path = %path.display(),
            offset = mark.offset,
            copy = copy.as_ref().map(|(path, _)| path.display().to_string()),
            "file was truncated or replaced, reading it from its beginning"
        );
        let mut deltas: Vec<Delta> = Vec::new();
        // As last seen; what was written since then is not known.
        let mut unread = tail.unread;
        if let Some((copy_path, copy_key)) = copy {
            let copy = tail.copy(copy_key, &copy_path, now);
            deltas.push(Change::File(copy.mark()).into());
            self.tails.insert(copy_key, copy);
            unread = 0;
        }
        let copied = !deltas.is_empty();
        if let Some(tail) = self.tails.get_mut(&key) {
            // With a copy they are read again there.
            let waiting = if copied { Vec::new() } else { tail.flush() };
            tail.start_over();
            if !waiting.is_empty() {
                self.sink.send(Input::Chunk(tail.chunk(waiting)))?;
            }
            if unread > 0 {
                // In one step with the new position, so that it is told once.
                let lost = lost(&path, "file_truncated", unread);
                return self.sink.send(Input::Chunk(lost.chunk(Some(tail.mark()), None)));
            }
            deltas.push(Change::File(tail.mark()).into());
        }
        self.sink.send(Input::Note(deltas))
    }

    /// Closes the file that has been quiet longest when too many are open. False when none can be closed.
    fn make_room(&mut self) -> bool {
        let open = self.tails.values().filter(|tail| tail.file.is_some()).count();
        if open < self.limits.max_open_files {
            return true;
        }
        let quiet = |tail: &&mut Tail| {
            tail.file.is_some() && tail.rotated.is_none() && tail.offset == tail.size && !tail.is_waiting()
        };
        match self.tails.values_mut().filter(quiet).min_by_key(|tail| tail.grown_at) {
            Some(tail) => {
                tail.file = None;
                true
            }
            None => false,
        }
    }

    /// Takes up what the last run knew.
    fn restore(&mut self) -> Result<(), Closed> {
        if self.waiting.is_empty() {
            return Ok(());
        }
        for mark in std::mem::take(&mut self.waiting) {
            self.restore_one(mark)?;
        }
        // After all others, so that none of those is taken for unseen.
        let rotated: Vec<FileKey> = self
            .tails
            .values()
            .filter(|t| t.rotated.is_some())
            .map(|t| t.key)
            .collect();
        rotated.into_iter().try_for_each(|key| self.adopt_successors(key))
    }

    fn restore_one(&mut self, mark: FileMark) -> Result<(), Closed> {
        let path = PathBuf::from(OsStr::from_bytes(&mark.path));
        let is_text = mark.within < super::super::event_log::PARTLY;
        let Some(group) = discover::group_of(&self.groups, &path).filter(|_| is_text).cloned() else {
            // Not configured at present. The mark stays in the spool in case it is again.
            return Ok(());
        };
        let now = Instant::now();
        let dir = path.parent().unwrap_or(Path::new("/"));
        let at_path = fs::metadata(&path).ok().filter(fs::Metadata::is_file);
        if at_path.as_ref().is_some_and(|metadata| key_of(metadata) == mark.key()) {
            self.tails
                .insert(mark.key(), Tail::from_mark(&mark, &path, &path, &group, now));
        } else if let Some(elsewhere) = identity::find_inode(dir, mark.key()) {
            let mut tail = Tail::from_mark(&mark, &path, &elsewhere, &group, now);
            tail.rotated = Some(now);
            self.tails.insert(mark.key(), tail);
        } else if let Some(metadata) = at_path.filter(|metadata| same_content(&path, metadata, &mark)) {
            // The same content under another number: the device was renumbered, or the file was restored.
            let (device, inode) = key_of(&metadata);
            let moved = FileMark {
                device,
                inode,
                ..mark.clone()
            };
            self.tails
                .insert(moved.key(), Tail::from_mark(&moved, &path, &path, &group, now));
            self.sink.send(Input::Note(vec![
                Change::Forget(bare(mark.key())).into(),
                Change::File(moved).into(),
            ]))?;
        } else if dir.is_dir() {
            let copy = identity::find_copy(&path, &mark, |key| self.tails.contains_key(&key));
            let mut deltas = vec![Change::Forget(bare(mark.key())).into()];
            if let Some((copy_path, (device, inode))) = copy {
                let moved = FileMark { device, inode, ..mark };
                let mut tail = Tail::from_mark(&moved, &path, &copy_path, &group, now);
                tail.rotated = Some(now);
                self.tails.insert(moved.key(), tail);
                deltas.push(Change::File(moved).into());
            } else {
                tracing::info!(path = %path.display(), offset = mark.offset, "file is gone since the last run");
            }
            self.sink.send(Input::Note(deltas))?;
        } else {
            self.waiting.push(mark);
        }
        Ok(())
    }

    fn rescan(&mut self, stop: &CancellationToken) -> Result<(), Closed> {
        self.restore()?;
        self.watch.forget_missing();
        for root in discover::roots(&self.groups) {
            self.watch.add(&root);
        }
        let scan = discover::scan(&self.groups);
        if scan.too_many && !std::mem::replace(&mut self.warned_too_many, scan.too_many) {
            tracing::warn!(
                limit = super::MAX_FILES,
                "patterns match too many files, the rest are left out"
            );
        }
        let mut deltas = Vec::new();
        for (key, found) in &scan.files {
            if let Some(tail) = self.tails.get_mut(key) {
                if tail.path != found.path {
                    tail.path.clone_from(&found.path);
                }
                tail.rotated = None;
            } else {
                self.add(*key, found, &mut deltas);
            }
        }
        for pattern in self.groups.iter().flat_map(|group| &group.patterns) {
            if self.patterns.insert(pattern.as_str().to_owned()) {
                deltas.push(Change::Pattern(pattern.as_str().to_owned()).into());
            }
        }
        if !deltas.is_empty() {
            self.sink.send(Input::Note(deltas))?;
        }
        let missing: Vec<FileKey> = self
            .tails
            .keys()
            .filter(|key| !scan.files.contains_key(*key))
            .copied()
            .collect();
        for key in missing {
            if !stop.is_cancelled() {
                self.missing(key)?;
            }
        }
        Ok(())
    }

    fn add(&mut self, key: FileKey, found: &Found, deltas: &mut Vec<Delta>) {
        let Some(group) = self.groups.get(found.group) else {
            return;
        };
        let first_time = !self.patterns.contains(&found.pattern);
        let now = Instant::now();
        let mut tail = Tail::new(key, &found.path, 0, group, now);
        if let Some(original) = self.original_of(&found.path) {
            tail = original.copy(key, &found.path, now);
            tail.rotated = None;
        } else if first_time && group.start == Start::End {
            let mark = end_mark(key, &found.path, found.size);
            tail = Tail::from_mark(&mark, &found.path, &found.path, group, now);
        }
        let mut before = self.tails.values().filter(|before| before.first_path == found.path);
        if let Some(before) = before.find(|before| before.has_header())
            && !tail.has_header()
        {
            tail.inherit(before);
        }
        tracing::info!(path = %found.path.display(), offset = tail.offset, "following file");
        if let Some(dir) = found.path.parent() {
            self.watch.add(dir);
        }
        deltas.push(Change::File(tail.mark()).into());
        self.tails.insert(key, tail);
    }

    /// The followed file whose copy this is.
    fn original_of(&self, path: &Path) -> Option<&Tail> {
        let name = path.file_name()?.as_bytes();
        let (file, metadata) = identity::open(path).ok()?;
        self.tails.values().find(|tail| {
            let beside = tail.path != path && tail.path.parent() == path.parent();
            let named_after = tail
                .path
                .file_name()
                .is_some_and(|first| name.starts_with(first.as_bytes()));
            beside && named_after && identity::is_copy(&file, metadata.len(), &tail.mark())
        })
    }

    /// A followed file that no pattern finds: renamed or removed. It is read for a while longer, since programs keep
    /// writing until they are told to open the new file.
    fn missing(&mut self, key: FileKey) -> Result<(), Closed> {
        let now = Instant::now();
        if self.tails.get(&key).is_some_and(|tail| tail.rotated.is_none()) {
            self.adopt_successors(key)?;
            let moved = self
                .tails
                .get(&key)
                .and_then(|tail| identity::find_inode(tail.path.parent()?, key));
            if let (Some(tail), Some(moved)) = (self.tails.get_mut(&key), moved) {
                tail.path = moved;
            }
        }
        let Some(tail) = self.tails.get_mut(&key) else {
            return Ok(());
        };
        if tail.rotated.is_none() {
            tail.rotated = Some(now);
        }
        if tail.file.is_none() {
            if let Some(path) = tail.path.parent().and_then(|dir| identity::find_inode(dir, key)) {
                tail.path = path;
            } else {
                let unread = tail.size.saturating_sub(tail.offset);
                tracing::info!(path = %tail.path.display(), unread, "file is gone");
                let path = tail.path.clone();
                let waiting = tail.flush();
                if !waiting.is_empty() {
                    self.sink.send(Input::Chunk(tail.chunk(waiting)))?;
                }
                self.tails.remove(&key);
                if unread > 0 {
                    let lost = lost(&path, "file_removed", unread);
                    self.sink.send(Input::Chunk(lost.chunk(None, None)))?;
                }
                return self.sink.send(Input::Note(vec![Change::Forget(bare(key)).into()]));
            }
            if !self.open(key)? {
                return Ok(());
            }
        }
        let Some(tail) = self.tails.get_mut(&key) else {
            return Ok(());
        };
        let quiet_since = tail.rotated.map_or(now, |since| since.max(tail.grown_at));
        if now.duration_since(quiet_since) < self.limits.rotated_grace {
            return Ok(());
        }
        while self.turn(key)? {}
        let Some(mut tail) = self.tails.remove(&key) else {
            return Ok(());
        };
        match tail.last_line() {
            Ok(Some(chunk)) if !chunk.records.is_empty() => self.sink.send(Input::Chunk(chunk))?,
            Ok(_) => {}
            Err(error) => tracing::warn!(path = %tail.path.display(), %error, "last line of a file cannot be read"),
        }
        tracing::info!(path = %tail.path.display(), offset = tail.offset, "rotated file is read to its end");
        self.sink.send(Input::Note(vec![Change::Forget(bare(key)).into()]))
    }

    /// Follows what took a rotated file's name and lost it again before it was seen. The file that has the name is found
    /// by its pattern.
    fn adopt_successors(&mut self, rotated: FileKey) -> Result<(), Closed> {
        let Some(tail) = self.tails.get(&rotated) else {
            return Ok(());
        };
        let metadata = match &tail.file {
            Some(file) => file.metadata(),
            None => fs::metadata(&tail.path),
        };
        let (Ok(metadata), Some(group)) = (metadata, discover::group_of(&self.groups, &tail.first_path)) else {
            return Ok(());
        };
        let (now, name) = (Instant::now(), tail.first_path.clone());
        let found = generations::successors(&name, &metadata, |key| self.tails.contains_key(&key));
        let mut deltas = Vec::new();
        for (path, key) in found {
            tracing::info!(path = %path.display(), original = %name.display(), "following file that was rotated unseen");
            let mut tail = Tail::new(key, &name, 0, group, now);
            if let Some(before) = self.tails.get(&rotated) {
                tail.inherit(before);
            }
            tail.path = path;
            tail.rotated = Some(now);
            deltas.push(Change::File(tail.mark()).into());
            self.tails.insert(key, tail);
        }
        if deltas.is_empty() {
            Ok(())
        } else {
            self.sink.send(Input::Note(deltas))
        }
    }

    fn publish_status(&self) {
        let mut files: Vec<FileStatus> = self.tails.values().map(Tail::status).collect();
        files.sort_by(|a, b| a.path.cmp(&b.path));
        files.truncate(MAX_STATUS);
        (self.publish)(files);
    }
}

/// Takes the path as text; what is no UTF-8 in it is replaced.
fn lost(path: &Path, reason: &'static str, bytes: u64) -> Lost {
    Lost {
        reason,
        name: path.display().to_string(),
        events: None,
        bytes: Some(bytes),
    }
}

fn bare((device, inode): FileKey) -> FileMark {
    FileMark {
        device,
        inode,
        ..FileMark::default()
    }
}

fn same_content(path: &Path, metadata: &fs::Metadata, mark: &FileMark) -> bool {
    let Ok((file, now)) = identity::open(path) else {
        return false;
    };
    let same_inode = metadata.ino() == mark.inode && mark.offset > 0;
    (same_inode && identity::matches(&file, now.len(), mark).unwrap_or(false))
        || identity::is_copy(&file, now.len(), mark)
}

/// The place behind the last whole line. In a file that cannot be read yet, its end.
fn end_mark(key: FileKey, path: &Path, size: u64) -> FileMark {
    let behind_last_line = || -> io::Result<FileMark> {
        let (file, metadata) = identity::open(path)?;
        let size = metadata.len();
        let mut window = vec![0; usize::try_from(size).unwrap_or(CHUNK_BYTES).min(CHUNK_BYTES)];
        let from = size - window.len() as u64;
        file.read_exact_at(&mut window, from)?;
        let line_end = window.iter().rposition(|byte| *byte == b'\n');
        let offset = line_end.map_or(size, |at| from + at as u64 + 1);
        let offset = if line_end.is_none() && from == 0 { 0 } else { offset };
        Ok(Prints::load(&file, offset)?.mark(key, path, offset))
    };
    behind_last_line().unwrap_or_else(|_| Prints::default().mark(key, path, size))
}
