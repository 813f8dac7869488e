//! The records of what is sent.

use std::collections::VecDeque;

use anyhow::Context as _;
use records::{Record, Unpacker};
use tokio::io::{AsyncRead, AsyncReadExt as _};

/// Bytes read at once.
const READ_BYTES: usize = 256 * 1024;

/// Gives records one by one, holding no more of them than one read brings.
pub(super) struct Source {
    reader: Box<dyn AsyncRead + Unpin + Send>,
    buffer: Vec<u8>,
    unpacker: Unpacker,
    waiting: VecDeque<Record>,
    ended: bool,
    /// Bytes read so far.
    pub(super) read: u64,
}

impl Source {
    /// Records are cut behind `max_record` bytes; with `lines_only` each line is one.
    pub(super) fn new(reader: Box<dyn AsyncRead + Unpin + Send>, max_record: usize, lines_only: bool) -> Self {
        Self {
            reader,
            buffer: vec![0; READ_BYTES],
            unpacker: Unpacker::new(max_record, lines_only),
            waiting: VecDeque::new(),
            ended: false,
            read: 0,
        }
    }

    /// The next record; `None` at the end.
    pub(super) async fn next(&mut self) -> anyhow::Result<Option<Record>> {
        let mut found = Vec::new();
        while self.waiting.is_empty() && !self.ended {
            let count = self.reader.read(&mut self.buffer).await.context("read the file")?;
            self.read += count as u64;
            if count == 0 {
                self.ended = true;
                self.unpacker.finish(&mut found);
            } else {
                self.unpacker
                    .feed(self.buffer.get(..count).unwrap_or_default(), &mut found);
            }
            self.waiting.extend(found.drain(..));
        }
        Ok(self.waiting.pop_front())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
