//! The records of what is sent: lines, what stands in lines for several records, also compressed, or a file of the Windows
//! Event Log.

use std::collections::VecDeque;
use std::io::Read;
use std::path::Path;

use anyhow::{Context as _, bail};
use records::event_log::{self, Damage, Reader};
use records::{Record, Unpacker};
use tokio::io::{AsyncRead, AsyncReadExt as _};

use crate::packed::Packing;

/// Bytes read at once.
const READ_BYTES: usize = 256 * 1024;

/// Gives records one by one, holding no more of them than one read brings.
pub(super) struct Source {
    kind: Kind,
    waiting: VecDeque<Record>,
    ended: bool,
    /// Bytes read so far.
    pub(super) read: u64,
    /// What could not be read, at most [`MAX_DAMAGE`].
    pub(super) damage: Vec<Damage>,
    /// Records that are missing because of it, as far as that is known.
    pub(super) missing: u64,
}

/// Most damage that is told.
const MAX_DAMAGE: usize = 20;

enum Kind {
    Text(Text),
    /// Text that is unpacked on another thread.
    Packed(Option<Packed>),
    /// Taken out while a chunk is read on another thread.
    EventLog(Option<Box<Reader>>),
}

struct Text {
    reader: Box<dyn AsyncRead + Unpin + Send>,
    buffer: Vec<u8>,
    unpacker: Unpacker,
}

struct Packed {
    reader: Box<dyn Read + Send>,
    buffer: Vec<u8>,
    unpacker: Unpacker,
}

impl Source {
    /// Records are cut behind `max_record` bytes; with `lines_only` each line is one.
    pub(super) fn new(reader: Box<dyn AsyncRead + Unpin + Send>, max_record: usize, lines_only: bool) -> Self {
        Self::of(Kind::Text(Text {
            reader,
            buffer: vec![0; READ_BYTES],
            unpacker: Unpacker::new(max_record, lines_only),
        }))
    }

    /// A file, by its beginning; and how many bytes will be read of it, where that is known.
    ///
    /// # Errors
    /// When it cannot be opened, or begins like an Event Log and is none.
    pub(super) async fn open(path: &Path, max_record: usize, lines_only: bool) -> anyhow::Result<(Self, Option<u64>)> {
        let open = || format!("open {}", path.display());
        let mut file = tokio::fs::File::open(path).await.with_context(open)?;
        let length = file.metadata().await.with_context(open)?.len();
        let mut start = [0; event_log::MAGIC.len()];
        let is_log = file.read_exact(&mut start).await.is_ok() && start == event_log::MAGIC;
        tokio::io::AsyncSeekExt::rewind(&mut file).await.with_context(open)?;
        if let Some(packing) = Packing::of(&start) {
            let reader = packing.unpack(file.into_std().await).with_context(open)?;
            let packed = Packed {
                reader,
                buffer: vec![0; READ_BYTES],
                unpacker: Unpacker::new(max_record, lines_only),
            };
            return Ok((Self::of(Kind::Packed(Some(packed))), None));
        }
        if !is_log {
            return Ok((Self::new(Box::new(file), max_record, lines_only), Some(length)));
        }
        let file = file.into_std().await;
        let reader = tokio::task::spawn_blocking(move || Reader::open(file, max_record)).await?;
        let reader = reader.with_context(open)?;
        Ok((Self::of(Kind::EventLog(Some(Box::new(reader)))), Some(length)))
    }

    fn of(kind: Kind) -> Self {
        Self {
            kind,
            waiting: VecDeque::new(),
            ended: false,
            read: 0,
            damage: Vec::new(),
            missing: 0,
        }
    }

    /// The next record; `None` at the end.
    pub(super) async fn next(&mut self) -> anyhow::Result<Option<Record>> {
        while self.waiting.is_empty() && !self.ended {
            match &mut self.kind {
                Kind::Text(text) => {
                    let mut found = Vec::new();
                    let count = text.read(&mut found).await?;
                    if count > 0 && self.read == 0 && text.buffer.starts_with(event_log::MAGIC) {
                        bail!("an Event Log is read from a file, not from standard input");
                    }
                    if count > 0 && self.read == 0 && Packing::of(&text.buffer).is_some() {
                        bail!("standard input is compressed: unpack it first, or name the file");
                    }
                    self.read += count as u64;
                    self.ended = count == 0;
                    self.waiting.extend(found);
                }
                Kind::Packed(packed) => {
                    let Some(mut taken) = packed.take() else {
                        bail!("the file was left while it was unpacked");
                    };
                    let (taken, found) = tokio::task::spawn_blocking(move || {
                        let mut found = Vec::new();
                        let count = taken.read(&mut found).map(|count| (count, found));
                        (taken, count)
                    })
                    .await?;
                    *packed = Some(taken);
                    let (count, found) = found.context("unpack the file")?;
                    let is_log = found
                        .first()
                        .is_some_and(|first| first.body.starts_with(event_log::MAGIC));
                    if self.read == 0 && is_log {
                        bail!("an Event Log is read from a file that is not compressed");
                    }
                    self.read += count as u64;
                    self.ended = count == 0;
                    self.waiting.extend(found);
                }
                Kind::EventLog(reader) => {
                    let Some(mut taken) = reader.take() else {
                        bail!("the Event Log was left while it was read");
                    };
                    let (taken, chunk) = tokio::task::spawn_blocking(move || {
                        let chunk = taken.next_chunk();
                        (taken, chunk)
                    })
                    .await?;
                    *reader = Some(taken);
                    let Some(chunk) = chunk else {
                        self.ended = true;
                        continue;
                    };
                    self.read += event_log::CHUNK_BYTES;
                    self.missing += chunk.damage.iter().filter_map(|damage| damage.records).sum::<u64>();
                    let room = MAX_DAMAGE.saturating_sub(self.damage.len());
                    self.damage.extend(chunk.damage.into_iter().take(room));
                    self.waiting.extend(chunk.records);
                }
            }
        }
        Ok(self.waiting.pop_front())
    }
}

impl Text {
    /// Reads once; how many bytes, 0 at the end.
    async fn read(&mut self, found: &mut Vec<Record>) -> anyhow::Result<usize> {
        let count = self.reader.read(&mut self.buffer).await.context("read the file")?;
        match self.buffer.get(..count) {
            Some([]) | None => self.unpacker.finish(found),
            Some(bytes) => self.unpacker.feed(bytes, found),
        }
        Ok(count)
    }
}

impl Packed {
    /// The same, of what comes out of the packing.
    fn read(&mut self, found: &mut Vec<Record>) -> std::io::Result<usize> {
        let count = self.reader.read(&mut self.buffer)?;
        match self.buffer.get(..count) {
            Some([]) | None => self.unpacker.finish(found),
            Some(bytes) => self.unpacker.feed(bytes, found),
        }
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[tokio::test]
    async fn a_compressed_file_gives_the_records_that_are_in_it() {
        let dir = tempfile::tempdir().unwrap();
        let text = "#Fields: date time c-ip\n".to_owned() + &"2026-11-21 10:00:00 203.0.113.9\n".repeat(20_000);
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(text.as_bytes()).unwrap();
        let zstd = zstd::encode_all(text.as_bytes(), 1).unwrap();
        for (name, packed) in [("a.log.gz", gzip.finish().unwrap()), ("a.log.zst", zstd)] {
            let path = dir.path().join(name);
            std::fs::write(&path, &packed).unwrap();
            let (mut source, length) = Source::open(&path, 1000, false).await.unwrap();
            assert_eq!(length, None);
            let mut count = 0;
            while let Some(record) = source.next().await.unwrap() {
                count += 1;
                assert_eq!(record.header.is_some(), count > 1);
            }
            assert_eq!((count, source.read), (20_001, text.len() as u64));
            // One that was cut off says so, and does not end like a whole one.
            std::fs::write(&path, &packed[..packed.len() / 2]).unwrap();
            let (mut source, _) = Source::open(&path, 1000, false).await.unwrap();
            let ended = loop {
                match source.next().await {
                    Ok(Some(_)) => {}
                    other => break other,
                }
            };
            assert!(ended.is_err(), "{name}");
        }
    }

    #[tokio::test]
    async fn long_lines_are_cut_at_the_limit_and_the_next_line_is_whole() {
        let mut text = vec![b'a'; READ_BYTES * 2 + 10];
        text.extend(b"\r\nnext\r\n\nlast");
        let length = text.len() as u64;
        let mut source = Source::new(Box::new(std::io::Cursor::new(text)), 1000, false);
        let mut records = Vec::new();
        while let Some(record) = source.next().await.unwrap() {
            records.push(record);
        }
        assert_eq!(records.len(), 3);
        assert_eq!((records[0].body.len(), records[0].cut_bytes > 0), (1000, true));
        assert_eq!(
            (&records[1].body[..], &records[2].body[..]),
            (&b"next"[..], &b"last"[..])
        );
        assert_eq!(source.read, length);
    }
}
