//! Appends batches and checkpoints.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use model::{Epoch, Timestamp, chain};
use proto::ingest::v1::{Batch, DropReason};

use super::checkpoint::{Checkpoints, Delta};
use super::drops::Drops;
use super::frame::{DropState, Frame, Snapshot};
use super::{Segment, Spool, remove, segment_path, sync_dir};

/// A closed batch before it has numbers.
#[derive(Clone, Debug)]
pub struct Sealed {
    /// Events in it, at least 1.
    pub count: u32,
    /// When it was closed, microseconds since 1970.
    pub created_at_micros: i64,
    /// zstd of a `Records` message.
    pub payload: Bytes,
    /// Size of the `Records` message.
    pub uncompressed_bytes: u64,
}

/// The one that appends. Dropping it without [`Writer::sync`] loses at most what was not synced.
#[derive(Debug)]
pub struct Writer {
    pub(super) spool: Arc<Spool>,
    pub(super) file: File,
    pub(super) index: u64,
    pub(super) length: u64,
    pub(super) synced: u64,
    pub(super) next_seq: u64,
    pub(super) chain: [u8; 32],
    pub(super) checkpoints: Checkpoints,
}

impl Writer {
    /// Appends one batch, or none, and the checkpoints that belong to it. It is safe, and visible to readers, after
    /// the next [`Writer::sync`].
    ///
    /// # Errors
    /// When the file system refuses. Nothing has changed then and the same call may be repeated.
    pub fn append(&mut self, sealed: Option<&Sealed>, deltas: &[Delta]) -> io::Result<()> {
        let batch = sealed.map(|sealed| self.number(sealed));
        let chain = batch.as_ref().map(|batch| hash(batch, &self.chain));
        let mut frame = Frame {
            snapshot: None,
            batch: batch.map(|batch| Batch {
                hash: chain.unwrap_or_default().to_vec(),
                ..batch
            }),
            deltas: deltas.to_vec(),
            drops: self.take_changed_drops(),
        };
        let mut bytes = frame.to_bytes();
        if self.length + bytes.len() as u64 > self.spool.options.segment_bytes && self.next_seq > self.segment_start() {
            if frame.drops.take().is_some() {
                self.spool.state().drops_changed = true;
                bytes = frame.to_bytes();
            }
            self.rotate()?;
        }
        if let Err(error) = self.file.write_all_at(&bytes, self.length) {
            self.spool.state().drops_changed |= frame.drops.is_some();
            // What was written in part must not be taken for a frame's beginning.
            self.file.set_len(self.length)?;
            return Err(error);
        }
        self.length += bytes.len() as u64;
        for delta in deltas {
            self.checkpoints.apply(delta);
        }
        if let (Some(sealed), Some(chain)) = (sealed, chain) {
            self.spool
                .state()
                .note_time(self.next_seq, Timestamp(sealed.created_at_micros));
            self.next_seq += u64::from(sealed.count);
            self.chain = chain;
        }
        Ok(())
    }

    /// Makes everything appended so far survive a power cut and shows it to readers.
    ///
    /// # Errors
    /// When the file system refuses. What reached the disk is not known then: the process must end and recover.
    pub fn sync(&mut self) -> io::Result<()> {
        if self.synced == self.length {
            return Ok(());
        }
        self.file.sync_data()?;
        self.synced = self.length;
        let mut state = self.spool.state();
        if let Some(segment) = state.segments.back_mut() {
            segment.bytes = self.length;
        }
        state.durable_next = self.next_seq;
        drop(state);
        self.spool.durable.send_replace(self.next_seq);
        Ok(())
    }

    /// What the sensors had reached in the last appended frame.
    #[must_use]
    pub fn checkpoints(&self) -> &Checkpoints {
        &self.checkpoints
    }

    fn number(&self, sealed: &Sealed) -> Batch {
        Batch {
            epoch: self.spool.epoch,
            first_seq: self.next_seq,
            count: sealed.count,
            created_at_micros: sealed.created_at_micros,
            previous_hash: self.chain.to_vec(),
            hash: Vec::new(),
            payload: sealed.payload.clone(),
            uncompressed_bytes: sealed.uncompressed_bytes,
        }
    }

    fn segment_start(&self) -> u64 {
        self.spool
            .state()
            .segments
            .back()
            .map_or(0, |segment| segment.first_seq)
    }

    fn take_changed_drops(&self) -> Option<DropState> {
        let mut state = self.spool.state();
        std::mem::take(&mut state.drops_changed).then(|| state.drops.to_state())
    }

    /// Closes the segment and starts the next one. Makes room first: the new segment's snapshot already says what is
    /// given up, so that a crash before the removal only repeats the removal.
    pub(super) fn rotate(&mut self) -> io::Result<()> {
        self.sync()?;
        let spool = Arc::clone(&self.spool);
        let mut drops = spool.state().drops.clone();
        let doomed = self.make_room(&mut drops);
        let snapshot = Snapshot {
            drops: Some(drops.to_state()),
            ..snapshot(spool.epoch, self.next_seq, &self.chain, &self.checkpoints)
        };
        let index = self.index + 1;
        let (file, length) = create(&spool.dir, index, snapshot)?;
        let mut state = spool.state();
        // Meanwhile receipts may have removed some of them, and more may have been sent.
        for (segment, end) in doomed {
            if state
                .segments
                .front()
                .is_none_or(|oldest| oldest.index != segment.index)
            {
                continue;
            }
            let first = segment.first_seq.max(state.acked).max(state.sent);
            let count = end.saturating_sub(first);
            let lost = state.drops.numbered(DropReason::SpoolFull, first, count);
            if lost > 0 {
                metrics::counter!("picket_agentd_events_dropped_total", "reason" => "spool_full").increment(lost);
                tracing::warn!(first_seq = first, lost, "spool is full, the oldest events are given up");
            }
            remove(&spool.dir, segment.index)?;
            state.segments.pop_front();
        }
        // A reader may have found more meanwhile.
        state.drops_changed = state.drops != drops;
        state.segments.push_back(Segment {
            index,
            first_seq: self.next_seq,
            bytes: length,
        });
        drop(state);
        self.file = file;
        self.index = index;
        self.length = length;
        self.synced = length;
        Ok(())
    }
}

impl Writer {
    /// The oldest segments that have to go before another one fits, each with the number after its last event.
    fn make_room(&self, drops: &mut Drops) -> Vec<(Segment, u64)> {
        let state = self.spool.state();
        let options = self.spool.options;
        let mut bytes: u64 = state.segments.iter().map(|segment| segment.bytes).sum();
        let mut doomed = Vec::new();
        for (segment, next) in state.segments.iter().zip(state.segments.iter().skip(1)) {
            if bytes + options.segment_bytes <= options.max_bytes {
                break;
            }
            let first = segment.first_seq.max(state.acked).max(state.sent);
            drops.numbered(DropReason::SpoolFull, first, next.first_seq.saturating_sub(first));
            doomed.push((*segment, next.first_seq));
            bytes -= segment.bytes;
        }
        doomed
    }
}

/// The hash chain of `ingest.proto`.
pub(super) fn hash(batch: &Batch, previous: &[u8; 32]) -> [u8; 32] {
    let link = chain::Link {
        epoch: Epoch(batch.epoch),
        first_seq: batch.first_seq,
        count: batch.count,
        created_at: Timestamp(batch.created_at_micros),
        previous_hash: *previous,
        payload_hash: chain::payload_hash(&batch.payload),
    };
    link.hash()
}

pub(super) fn snapshot(epoch: u64, next_seq: u64, chain: &[u8; 32], checkpoints: &Checkpoints) -> Snapshot {
    Snapshot {
        epoch,
        next_seq,
        chain: chain.to_vec(),
        files: checkpoints.files.values().cloned().collect(),
        journal_cursor: checkpoints.cursor.clone(),
        patterns: checkpoints.patterns.iter().cloned().collect(),
        drops: None,
    }
}

/// Makes a segment that holds only its snapshot, safe on disk. Returns it and its size.
pub(super) fn create(dir: &Path, index: u64, snapshot: Snapshot) -> io::Result<(File, u64)> {
    let frame = Frame {
        snapshot: Some(snapshot),
        ..Frame::default()
    };
    let bytes = frame.to_bytes();
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(segment_path(dir, index))?;
    file.write_all_at(&bytes, 0)?;
    file.sync_all()?;
    sync_dir(dir)?;
    Ok((file, bytes.len() as u64))
}
