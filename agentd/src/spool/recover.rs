//! Opens a spool: what a crash left half done is finished or undone.

use std::collections::VecDeque;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;
use std::sync::{Arc, Mutex};

use model::Timestamp;
use proto::ingest::v1::DropReason;
use tokio::sync::watch;

use super::checkpoint::Checkpoints;
use super::drops::Drops;
use super::frame::{self, Found, Frame};
use super::writer::{self, Writer, create};
use super::{Options, Reader, Segment, Spool, State, ack, remove, segment_path, sync_dir};

/// Opens the spool in `dir`, or makes a new one with the epoch `fresh_epoch`. A torn frame at the end is cut off. The
/// caller makes sure that nobody else has it open.
///
/// # Errors
/// When the directory or a file in it cannot be read or written. Damaged content is no error: it is counted.
pub fn open(dir: &Path, options: Options, fresh_epoch: u64) -> io::Result<(Arc<Spool>, Writer)> {
    DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    let indexes = list(dir)?;
    let Some(mut found) = replay(dir, &indexes)? else {
        for index in indexes.iter().copied() {
            set_aside(dir, index)?;
        }
        let first = indexes.last().map_or(1, |last| last + 1);
        return fresh(dir, options, fresh_epoch, first, Checkpoints::default());
    };
    let acknowledged = ack::read(dir)
        .filter(|(epoch, _)| *epoch == found.epoch)
        .map(|(_, next)| next);
    if acknowledged.is_some_and(|next| next > found.next_seq) {
        // Numbers that were acknowledged are not in the spool any more. Giving them out again would make the collector
        // take new events for old ones.
        tracing::error!(
            epoch = format!("{:016x}", found.epoch),
            next_seq = found.next_seq,
            acknowledged,
            "spool has lost its newest events, starting a new epoch"
        );
        let opened = fresh(dir, options, fresh_epoch, found.last_index() + 1, found.checkpoints)?;
        for segment in found.segments {
            remove(dir, segment.index)?;
        }
        return Ok(opened);
    }
    while let (Some(oldest), Some(next)) = (found.segments.front(), found.segments.get(1))
        && found.drops.gave_up(next.first_seq)
    {
        // A crash between giving them up and removing them: they are counted already.
        remove(dir, oldest.index)?;
        found.segments.pop_front();
    }
    let oldest = found.segments.front().map_or(0, |segment| segment.first_seq);
    let acked = acknowledged.unwrap_or(oldest);
    let unexplained = found
        .drops
        .numbered(DropReason::SpoolFull, acked, oldest.saturating_sub(acked));
    if unexplained > 0 {
        tracing::warn!(
            first_seq = acked,
            lost = unexplained,
            "spool segments are missing, events are lost"
        );
    }
    let index = found.last_index();
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .open(segment_path(dir, index))?;
    let length = found.segments.back().map_or(0, |segment| segment.bytes);
    if file.metadata()?.len() != length {
        file.set_len(length)?;
        file.sync_all()?;
    }
    let state = State {
        segments: found.segments,
        durable_next: found.next_seq,
        acked,
        acked_on_disk: acknowledged.unwrap_or(u64::MAX),
        drops_changed: true,
        drops: found.drops,
        reported: Vec::new(),
        sent: 0,
        times: VecDeque::new(),
    };
    let spool = share(dir, options, found.epoch, state);
    let mut writer = Writer {
        spool: Arc::clone(&spool),
        file,
        index,
        length,
        synced: length,
        next_seq: found.next_seq,
        chain: found.chain,
        checkpoints: found.checkpoints,
    };
    if !found.whole {
        // The snapshot must not go when the older segments do.
        writer.rotate()?;
    }
    let first = spool.first_unacknowledged();
    if let Some(batch) = Reader::new(Arc::clone(&spool), first).next_batch()? {
        spool.state().note_time(first, Timestamp(batch.created_at_micros));
    }
    Ok((spool, writer))
}

fn fresh(
    dir: &Path,
    options: Options,
    epoch: u64,
    index: u64,
    checkpoints: Checkpoints,
) -> io::Result<(Arc<Spool>, Writer)> {
    let chain = [0; 32];
    // The segment goes first: it alone decides which epoch holds.
    let (file, length) = create(dir, index, writer::snapshot(epoch, 0, &chain, &checkpoints))?;
    ack::write(dir, epoch, 0, true)?;
    let segment = Segment {
        index,
        first_seq: 0,
        bytes: length,
    };
    let state = State {
        segments: VecDeque::from([segment]),
        durable_next: 0,
        acked: 0,
        acked_on_disk: 0,
        drops: Drops::default(),
        drops_changed: false,
        reported: Vec::new(),
        sent: 0,
        times: VecDeque::new(),
    };
    let spool = share(dir, options, epoch, state);
    let writer = Writer {
        spool: Arc::clone(&spool),
        file,
        index,
        length,
        synced: length,
        next_seq: 0,
        chain,
        checkpoints,
    };
    Ok((spool, writer))
}

fn share(dir: &Path, options: Options, epoch: u64, state: State) -> Arc<Spool> {
    Arc::new(Spool {
        dir: dir.to_path_buf(),
        options,
        epoch,
        durable: watch::Sender::new(state.durable_next),
        state: Mutex::new(state),
    })
}

struct Replayed {
    epoch: u64,
    next_seq: u64,
    chain: [u8; 32],
    checkpoints: Checkpoints,
    drops: Drops,
    segments: VecDeque<Segment>,
    /// Whether the newest segment starts with its snapshot.
    whole: bool,
}

impl Replayed {
    fn last_index(&self) -> u64 {
        self.segments.back().map_or(1, |segment| segment.index)
    }

    fn apply(&mut self, frame: &Frame) {
        if let Some(state) = &frame.drops {
            self.drops = Drops::from_state(state);
        }
        if let Some(batch) = &frame.batch
            && batch.epoch == self.epoch
            && batch.first_seq >= self.next_seq
        {
            self.drops
                .numbered(DropReason::SpoolCorrupt, self.next_seq, batch.first_seq - self.next_seq);
            self.next_seq = batch.first_seq + u64::from(batch.count);
            self.chain = batch.hash.as_slice().try_into().unwrap_or(self.chain);
        }
        for delta in &frame.deltas {
            self.checkpoints.apply(delta);
        }
    }
}

/// Goes back to the newest segment whose snapshot can be read, and applies what follows it. `None` when there is none.
fn replay(dir: &Path, indexes: &[u64]) -> io::Result<Option<Replayed>> {
    let mut start = None;
    for (position, index) in indexes.iter().enumerate().rev() {
        let file = File::open(segment_path(dir, *index))?;
        if let Found::Frame(frame, _) = frame::read(&file, 0, file.metadata()?.len())?
            && let Some(snapshot) = frame.snapshot
        {
            start = Some((position, snapshot));
            break;
        }
    }
    let Some((position, snapshot)) = start else {
        return Ok(None);
    };
    let mut found = Replayed {
        epoch: snapshot.epoch,
        next_seq: snapshot.next_seq,
        chain: snapshot.chain.as_slice().try_into().unwrap_or_default(),
        checkpoints: Checkpoints::from_snapshot(&snapshot),
        drops: snapshot.drops.as_ref().map(Drops::from_state).unwrap_or_default(),
        segments: VecDeque::new(),
        whole: true,
    };
    let (before, from) = indexes.split_at(position);
    for (place, index) in from.iter().enumerate() {
        let file = File::open(segment_path(dir, *index))?;
        let first_seq = found.next_seq;
        let bytes = scan(&file, |frame| found.apply(frame))?;
        if bytes == 0 {
            // A crash while the segment was being started.
            remove(dir, *index)?;
        } else {
            found.whole = place == 0;
            found.segments.push_back(Segment {
                index: *index,
                first_seq,
                bytes,
            });
        }
    }
    for index in before.iter().rev() {
        let file = File::open(segment_path(dir, *index))?;
        let bytes = file.metadata()?.len();
        let next = found.segments.front().map_or(0, |segment| segment.first_seq);
        let first_seq = match frame::read(&file, 0, bytes)? {
            Found::Frame(frame, _) => frame.snapshot.as_ref().and_then(|snapshot| {
                (snapshot.epoch == found.epoch && snapshot.next_seq <= next).then_some(snapshot.next_seq)
            }),
            Found::End | Found::Damaged => Some(first_batch(&file, bytes, found.epoch)?.unwrap_or(next)),
        };
        match first_seq {
            Some(first_seq) => found.segments.push_front(Segment {
                index: *index,
                first_seq,
                bytes,
            }),
            // Left over from an earlier epoch, which ended with everything in it acknowledged.
            None => remove(dir, *index)?,
        }
    }
    Ok(Some(found))
}

/// Calls `each` for every whole frame; returns where the last of them ends.
fn scan(file: &File, mut each: impl FnMut(&Frame)) -> io::Result<u64> {
    let limit = file.metadata()?.len();
    let (mut offset, mut end) = (0, 0);
    loop {
        match frame::read(file, offset, limit)? {
            Found::Frame(frame, bytes) => {
                each(&frame);
                offset += bytes;
                end = offset;
            }
            Found::Damaged => match frame::search(file, offset + 1, limit)? {
                Some(next) => offset = next,
                None => return Ok(end),
            },
            Found::End => return Ok(end),
        }
    }
}

fn first_batch(file: &File, limit: u64, epoch: u64) -> io::Result<Option<u64>> {
    let mut offset = 0;
    while let Some(next) = frame::search(file, offset, limit)? {
        let Found::Frame(frame, bytes) = frame::read(file, next, limit)? else {
            break;
        };
        if let Some(batch) = frame.batch.filter(|batch| batch.epoch == epoch) {
            return Ok(Some(batch.first_seq));
        }
        offset = next + bytes;
    }
    Ok(None)
}

/// Ascending.
fn list(dir: &Path) -> io::Result<Vec<u64>> {
    let mut indexes = Vec::new();
    for entry in fs::read_dir(dir)? {
        let name = entry?.file_name();
        let index = name.to_str().and_then(|name| name.strip_suffix(".seg"));
        indexes.extend(index.and_then(|index| u64::from_str_radix(index, 16).ok()));
    }
    indexes.sort_unstable();
    Ok(indexes)
}

/// Keeps a segment of which nothing is understood, for a person to look at.
fn set_aside(dir: &Path, index: u64) -> io::Result<()> {
    let path = segment_path(dir, index);
    tracing::error!(path = %path.display(), "spool segment cannot be read, set aside as .bad");
    fs::rename(&path, path.with_extension("bad"))?;
    sync_dir(dir)
}
