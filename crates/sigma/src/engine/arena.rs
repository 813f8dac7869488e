//! Folded texts of one event, one behind the other.

use crate::engine::wide;
use crate::pattern::fold_char;

/// Bytes beyond which the memory is given back after an event.
const KEEP: usize = 1 << 20;
/// Room behind the last text, so that short runs are copied in blocks of a fixed length.
const SLACK: usize = 64;
/// Length of these blocks.
const RUN: usize = 16;

/// A text in an [`Arena`].
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Span {
    pub(crate) start: u32,
    pub(crate) end: u32,
    /// Whether all of it is ASCII.
    pub(crate) ascii: bool,
}

/// Folded texts.
#[derive(Debug, Default)]
pub(crate) struct Arena {
    bytes: Vec<u8>,
    used: usize,
}

impl Arena {
    pub(crate) fn clear(&mut self) {
        self.used = 0;
        if self.bytes.len() > KEEP {
            self.bytes = Vec::new();
        }
    }

    /// A text put there before.
    #[inline]
    pub(crate) fn text(&self, span: Span) -> &[u8] {
        self.bytes
            .get(span.start as usize..span.end as usize)
            .unwrap_or_default()
    }

    /// Adds a text, folded. It is UTF-8; where it is not, it stays as it is.
    #[inline]
    pub(crate) fn push(&mut self, text: &[u8]) -> Span {
        if let Some(span) = self.push_escaped(text, |_| 0) {
            return span;
        }
        let start = self.used;
        self.reserve(text.len());
        self.copy(text);
        self.finish(start)
    }

    /// The same for a text written with escapes, as [`wide::fold`] reads it. `None`, and nothing added, where it cannot.
    #[inline]
    pub(crate) fn push_escaped(&mut self, text: &[u8], escapes: impl Fn(usize) -> u64) -> Option<Span> {
        let start = self.used;
        self.reserve(text.len());
        let folded = wide::fold(text, escapes, self.bytes.get_mut(start..)?)?;
        self.used = start + folded.length;
        if !folded.ascii {
            self.fold_unicode(start);
        }
        Some(self.span(start, folded.ascii))
    }

    /// Makes room for `more` bytes and what [`Self::copy`] writes beyond them.
    #[inline]
    pub(crate) fn reserve(&mut self, more: usize) {
        let needed = self.used + more + SLACK;
        if self.bytes.len() < needed {
            self.bytes.resize(needed.next_power_of_two(), 0);
        }
    }

    /// Adds bytes as they are. Room must have been made.
    #[inline]
    pub(crate) fn copy(&mut self, bytes: &[u8]) {
        let Some(target) = self.bytes.get_mut(self.used..self.used + bytes.len()) else {
            return;
        };
        target.copy_from_slice(bytes);
        self.used += bytes.len();
    }

    /// Adds `length` bytes of `source` from `at`. Room must have been made.
    #[inline]
    pub(crate) fn copy_run(&mut self, source: &[u8], at: usize, length: usize) {
        if length <= RUN
            && let Some(block) = source.get(at..at + RUN)
            && let Some(target) = self.bytes.get_mut(self.used..self.used + RUN)
        {
            target.copy_from_slice(block);
            self.used += length;
            return;
        }
        self.copy(source.get(at..at + length).unwrap_or_default());
    }

    /// Adds one byte. Room must have been made.
    #[inline]
    pub(crate) fn put(&mut self, byte: u8) {
        if let Some(target) = self.bytes.get_mut(self.used) {
            *target = byte;
            self.used += 1;
        }
    }

    /// How many bytes are used.
    #[inline]
    pub(crate) fn used(&self) -> usize {
        self.used
    }

    /// Folds what was added since `start` and makes it a text.
    #[inline]
    pub(crate) fn finish(&mut self, start: usize) -> Span {
        let text = self.bytes.get_mut(start..self.used).unwrap_or_default();
        let ascii = text.is_ascii();
        if ascii {
            text.make_ascii_lowercase();
        } else {
            self.fold_unicode(start);
        }
        self.span(start, ascii)
    }

    #[inline]
    fn span(&self, start: usize, ascii: bool) -> Span {
        Span {
            // Events are far shorter than 4 GiB: every way in has a limit.
            start: u32::try_from(start).unwrap_or(u32::MAX),
            end: u32::try_from(self.used).unwrap_or(u32::MAX),
            ascii,
        }
    }

    #[cold]
    fn fold_unicode(&mut self, start: usize) {
        let Some(Ok(text)) = self.bytes.get(start..self.used).map(std::str::from_utf8) else {
            return;
        };
        let folded: String = text.chars().map(fold_char).collect();
        self.used = start;
        self.reserve(folded.len());
        self.copy(folded.as_bytes());
    }
}

impl std::fmt::Write for Arena {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        self.reserve(text.len());
        self.copy(text.as_bytes());
        Ok(())
    }
}
