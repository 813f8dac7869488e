//! Reads archived files of the Windows Event Log (`.evtx`), each once from its beginning to its end.
//!
//! Such files have no lines, and Windows writes into the one it uses at places of its choice, so they are not followed: a
//! file is read once nothing was written to it for a while. It is known by device and inode, and by what its header and
//! that of its first chunk say. Where reading goes on after a restart is the number of records that are in the spool.

use std::collections::{BTreeMap, HashSet};
use std::fs::{self, File, Metadata};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use model::Timestamp;
use records::event_log::{Damage, MAGIC, Reader};
use tokio_util::sync::CancellationToken;

use super::file::identity;
use super::gap::Lost;
use super::{Body, Chunk, Closed, Input, Origin, Position, Raw, Sink};
use crate::spool::checkpoint::{FileKey, PRINT_BYTES, print_of};
use crate::spool::{Change, Checkpoints, FileMark};

/// What `within` of a mark says of a file whose records are in the spool in part.
pub(super) const PARTLY: u32 = 3;
/// And of one that was read to its end.
const WHOLE: u32 = 4;
/// Where the first chunk begins in every such file.
const FIRST_CHUNK: u64 = 4096;
/// Longest record, in bytes of JSON.
const MAX_RECORD: usize = 256 << 10;
/// Most files that are known at once.
const MAX_FILES: usize = 16_384;
/// Most damage of one file that is told.
const MAX_DAMAGE: usize = 20;

/// What to read.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Glob patterns.
    pub patterns: Vec<glob::Pattern>,
    /// For how long nothing must have been written to a file.
    pub settle: Duration,
    /// How often patterns are evaluated.
    pub poll: Duration,
}

/// The sensor.
pub struct EventLogs {
    settings: Settings,
    sink: Sink,
    known: BTreeMap<FileKey, FileMark>,
    /// Files that cannot be read; said once each.
    said: HashSet<PathBuf>,
}

/// Why a file was left.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("{0}")]
    File(#[from] io::Error),
    #[error(transparent)]
    Log(#[from] records::event_log::Error),
    #[error(transparent)]
    Closed(#[from] Closed),
}

impl EventLogs {
    /// Goes on from `checkpoints`.
    #[must_use]
    pub fn new(settings: Settings, checkpoints: &Checkpoints, sink: Sink) -> Self {
        let ours = |mark: &&FileMark| matches!(mark.within, PARTLY | WHOLE);
        let known = checkpoints.files.values().filter(ours);
        Self {
            settings,
            sink,
            known: known.map(|mark| (mark.key(), mark.clone())).collect(),
            said: HashSet::new(),
        }
    }

    /// Reads until told to stop, on the calling thread.
    pub fn run(mut self, stop: &CancellationToken) {
        while !stop.is_cancelled() {
            if let Err(Closed) = self.look(stop) {
                return;
            }
            let until = Instant::now() + self.settings.poll;
            while !stop.is_cancelled() && Instant::now() < until {
                std::thread::park_timeout(Duration::from_millis(100).min(self.settings.poll));
            }
        }
    }

    fn look(&mut self, stop: &CancellationToken) -> Result<(), Closed> {
        let patterns: Vec<String> = self.settings.patterns.iter().map(ToString::to_string).collect();
        for path in patterns
            .iter()
            .flat_map(|pattern| glob::glob(pattern).into_iter().flatten().flatten())
        {
            if stop.is_cancelled() {
                return Ok(());
            }
            match self.file(&path, stop) {
                Ok(()) => {
                    self.said.remove(&path);
                }
                Err(Error::Closed(closed)) => return Err(closed),
                Err(error) => {
                    if self.said.len() < MAX_FILES && self.said.insert(path.clone()) {
                        tracing::warn!(path = %path.display(), %error, "event log cannot be read, it is tried again");
                    }
                }
            }
        }
        self.forget()
    }

    /// Forgets files that were removed; not those whose directory is away.
    fn forget(&mut self) -> Result<(), Closed> {
        let is_gone = |mark: &FileMark| {
            let path = path_of(mark);
            let elsewhere = fs::metadata(&path).is_ok_and(|metadata| identity::key_of(&metadata) == mark.key());
            !elsewhere && path.parent().is_some_and(Path::is_dir)
        };
        let gone: Vec<FileKey> = self
            .known
            .values()
            .filter(|mark| is_gone(mark))
            .map(FileMark::key)
            .collect();
        let mut steps = Vec::new();
        for key in gone {
            // A file that was renamed is found under its new name, and known, before.
            if let Some(mark) = self.known.remove(&key) {
                steps.push(Change::Forget(mark).into());
            }
        }
        if steps.is_empty() {
            return Ok(());
        }
        self.sink.send(Input::Note(steps))
    }

    fn file(&mut self, path: &Path, stop: &CancellationToken) -> Result<(), Error> {
        let metadata = fs::metadata(path)?;
        if !metadata.is_file() || !is_settled(&metadata, self.settings.settle) {
            return Ok(());
        }
        let key = identity::key_of(&metadata);
        if let Some(mark) = self.known.get(&key)
            && mark.within == WHOLE
            && mark.path == path.as_os_str().as_bytes()
            && mark.head_bytes > 0
            && mark.size() == metadata.len()
        {
            let (file, _) = identity::open(path)?;
            if mark.is_of(&file)? {
                return Ok(());
            }
        }
        let (file, metadata) = identity::open(path)?;
        if metadata.len() == 0 {
            return Ok(());
        }
        let mut mark = fresh(path, &file, &metadata)?;
        if let Some(before) = self.known.get(&key)
            && (before.head_hash, before.tail_hash) == (mark.head_hash, mark.tail_hash)
        {
            mark.offset = before.offset;
            mark.within = before.within;
        }
        if mark.within == WHOLE {
            // Renamed since.
            self.settle(mark)?;
            return Ok(());
        }
        if self.known.len() >= MAX_FILES && !self.known.contains_key(&key) {
            return Err(io::Error::other(format!("more than {MAX_FILES} event logs")).into());
        }
        self.read(path, file, mark, stop)
    }

    fn read(&mut self, path: &Path, file: File, mut mark: FileMark, stop: &CancellationToken) -> Result<(), Error> {
        let mut reader = Reader::open(file, MAX_RECORD)?;
        let origin = Arc::new(Origin {
            kind: "file",
            name: path.to_string_lossy().into_owned(),
            log_type: "windows".to_owned(),
            header: None,
        });
        let (mut skip, mut told) = (mark.offset, 0);
        let mut sent = 0_u64;
        while let Some(chunk) = reader.next_chunk() {
            if stop.is_cancelled() {
                return Ok(());
            }
            let count = chunk.records.len() as u64;
            let known = skip.min(count);
            skip -= known;
            // Told before the records of its chunk, so that what is known in part was told.
            if known == 0 || count == 0 && skip == 0 {
                for damage in chunk.damage.iter().take(MAX_DAMAGE.saturating_sub(told)) {
                    self.tell(&origin, damage, &mark)?;
                    told += 1;
                }
            }
            let mut records = Vec::new();
            for record in chunk
                .records
                .into_iter()
                .skip(usize::try_from(known).unwrap_or(usize::MAX))
            {
                mark.offset += 1;
                records.push(Raw {
                    body: Body::Line(record.body),
                    truncated_bytes: record.cut_bytes,
                    after: Position::Mark(Arc::new(mark.clone())),
                });
            }
            if records.is_empty() {
                continue;
            }
            sent += records.len() as u64;
            self.known.insert(mark.key(), mark.clone());
            self.sink.send(Input::Chunk(Chunk {
                origin: Arc::clone(&origin),
                observed_at_micros: Timestamp::now().0,
                records,
                mark: Some(mark.clone()),
            }))?;
        }
        tracing::info!(path = %path.display(), records = sent, "event log is read to its end");
        mark.within = WHOLE;
        self.settle(mark)?;
        Ok(())
    }

    fn tell(&self, origin: &Origin, damage: &Damage, mark: &FileMark) -> Result<(), Closed> {
        tracing::warn!(
            path = origin.name,
            chunk = damage.chunk,
            reason = damage.reason,
            "event log is damaged"
        );
        let lost = Lost {
            reason: "event_log_damaged",
            name: origin.name.clone(),
            events: damage.records,
            bytes: None,
        };
        self.sink.send(Input::Chunk(lost.chunk(Some(mark.clone()), None)))
    }

    fn settle(&mut self, mark: FileMark) -> Result<(), Closed> {
        self.known.insert(mark.key(), mark.clone());
        self.sink.send(Input::Note(vec![Change::File(mark).into()]))
    }
}

impl FileMark {
    /// Whether the file's two headers are those the mark remembers.
    fn is_of(&self, file: &File) -> io::Result<bool> {
        Ok((self.head_hash, self.tail_hash) == prints(file, self.size())?)
    }

    /// Size of an event log that was read, in bytes.
    fn size(&self) -> u64 {
        self.done.first().map_or(0, |done| done.end)
    }
}

fn path_of(mark: &FileMark) -> PathBuf {
    PathBuf::from(std::ffi::OsStr::from_bytes(&mark.path))
}

fn is_settled(metadata: &Metadata, settle: Duration) -> bool {
    let quiet = metadata
        .modified()
        .ok()
        .and_then(|modified| SystemTime::now().duration_since(modified).ok());
    // A time ahead of the clock says nothing.
    quiet.is_none_or(|quiet| quiet >= settle)
}

fn fresh(path: &Path, file: &File, metadata: &Metadata) -> Result<FileMark, Error> {
    if !identity::begins_with(file, MAGIC)? {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "expected a Windows Event Log (.evtx) file").into());
    }
    let (device, inode) = identity::key_of(metadata);
    let (head_hash, tail_hash) = prints(file, metadata.len())?;
    let print_bytes = u32::try_from(PRINT_BYTES).unwrap_or(0);
    Ok(FileMark {
        device,
        inode,
        path: path.as_os_str().as_bytes().to_vec(),
        within: PARTLY,
        head_bytes: print_bytes,
        head_hash,
        tail_bytes: print_bytes,
        tail_hash,
        done: vec![crate::spool::checkpoint::DoneMark {
            key: Vec::new(),
            end: metadata.len(),
        }],
        ..FileMark::default()
    })
}

/// Hashes of the file's header with its size, and of its first chunk's header.
fn prints(file: &File, size: u64) -> io::Result<(u64, u64)> {
    let mut head = identity::read_at_most(file, 0, PRINT_BYTES as u64)?;
    head.extend_from_slice(&size.to_le_bytes());
    let chunk = identity::read_at_most(file, FIRST_CHUNK, PRINT_BYTES as u64)?;
    Ok((print_of(&head), print_of(&chunk)))
}
