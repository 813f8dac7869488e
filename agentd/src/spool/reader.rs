//! Streams batches from disk, in order, one at a time.

use std::fs::File;
use std::io;
use std::sync::Arc;

use proto::ingest::v1::Batch;

use super::frame::{self, Found};
use super::{Segment, Spool, segment_path};

/// A place in the spool. It never sees what is not synced, and survives the removal of the segment it is in.
#[derive(Debug)]
pub struct Reader {
    spool: Arc<Spool>,
    open: Option<Open>,
    /// Number of the next event wanted.
    next_seq: u64,
}

#[derive(Debug)]
struct Open {
    index: u64,
    file: File,
    offset: u64,
}

/// What the writer has made readable, as of one moment.
struct View {
    segment: Segment,
    following: Option<Segment>,
    durable_next: u64,
}

impl Reader {
    /// Starts at the batch that holds `seq`, or at the oldest one there is.
    #[must_use]
    pub fn new(spool: Arc<Spool>, seq: u64) -> Self {
        Self {
            spool,
            open: None,
            next_seq: seq,
        }
    }

    /// The next batch; `None` when everything synced has been read. Events that cannot be read back are counted as
    /// dropped.
    ///
    /// # Errors
    /// When a segment cannot be opened or read.
    pub fn next_batch(&mut self) -> io::Result<Option<Batch>> {
        loop {
            let Some((view, mut open)) = self.locate()? else {
                return Ok(None);
            };
            let Some(mut open) = open.take() else {
                // Removed by hand, or to make room since the look at the list; the latter is counted already.
                let Some(following) = view.following else {
                    return Ok(None);
                };
                self.skip_to(following.first_seq);
                continue;
            };
            match frame::read(&open.file, open.offset, view.segment.bytes)? {
                Found::Frame(found, bytes) => {
                    open.offset += bytes;
                    self.open = Some(open);
                    if let Some(batch) = found.batch
                        && let Some(batch) = self.accept(batch)
                    {
                        return Ok(Some(batch));
                    }
                }
                Found::Damaged => {
                    let next = frame::search(&open.file, open.offset + 1, view.segment.bytes)?;
                    open.offset = next.unwrap_or(view.segment.bytes);
                    self.open = Some(open);
                }
                Found::End => {
                    let end = view.following.map_or(view.durable_next, |segment| segment.first_seq);
                    self.skip_to(end);
                    let Some(following) = view.following else {
                        self.open = Some(open);
                        return Ok(None);
                    };
                    self.open = self.open_segment(following.index)?;
                }
            }
        }
    }

    /// The open segment, or the one that holds the next number when none is open or it has been removed.
    fn locate(&mut self) -> io::Result<Option<(View, Option<Open>)>> {
        let state = self.spool.state();
        let open = self.open.take();
        let position = open
            .as_ref()
            .and_then(|open| state.segments.iter().position(|segment| segment.index == open.index));
        let (position, open) = match (position, open) {
            (Some(position), Some(open)) => (position, Some(open)),
            (None, _) | (_, None) => {
                let after = state
                    .segments
                    .partition_point(|segment| segment.first_seq <= self.next_seq);
                (after.saturating_sub(1), None)
            }
        };
        let Some(segment) = state.segments.get(position).copied() else {
            return Ok(None);
        };
        let view = View {
            segment,
            following: state.segments.get(position + 1).copied(),
            durable_next: state.durable_next,
        };
        drop(state);
        // Numbers before the oldest segment were counted when it became the oldest.
        self.next_seq = self.next_seq.max(view.segment.first_seq);
        let open = match open {
            Some(open) => Some(open),
            None => self.open_segment(segment.index)?,
        };
        Ok(Some((view, open)))
    }

    fn open_segment(&self, index: u64) -> io::Result<Option<Open>> {
        match File::open(segment_path(&self.spool.dir, index)) {
            Ok(file) => Ok(Some(Open { index, file, offset: 0 })),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn accept(&mut self, batch: Batch) -> Option<Batch> {
        let end = batch.first_seq.saturating_add(u64::from(batch.count));
        if batch.epoch != self.spool.epoch || end <= self.next_seq {
            return None;
        }
        self.skip_to(batch.first_seq);
        self.next_seq = end;
        Some(batch)
    }

    fn skip_to(&mut self, seq: u64) {
        if seq > self.next_seq {
            self.spool.damaged(self.next_seq, seq);
            self.next_seq = seq;
        }
    }
}
