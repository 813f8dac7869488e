//! Bytes to lines, of any length of input and bounded length of line.

/// Longest line in bytes. Longer ones are told and left out.
pub const MAX_LINE_BYTES: usize = 64 * 1024;

/// A line, or that it was too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Line<'a> {
    /// Without its end.
    Text(&'a [u8]),
    /// Longer than [`MAX_LINE_BYTES`].
    TooLong,
}

/// Cuts what is pushed into lines.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    partial: Vec<u8>,
    is_too_long: bool,
    number: u64,
}

impl Lines {
    /// Calls `each` with the number, from 1, and the content of every line that `bytes` completes.
    pub(crate) fn push(&mut self, mut bytes: &[u8], each: &mut impl FnMut(u64, Line<'_>)) {
        while let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
            let (line, rest) = bytes.split_at(end);
            bytes = rest.get(1..).unwrap_or_default();
            self.extend(line);
            self.emit(each);
        }
        self.extend(bytes);
    }

    /// The last line, when it has no end.
    pub(crate) fn finish(&mut self, each: &mut impl FnMut(u64, Line<'_>)) {
        if !self.partial.is_empty() || self.is_too_long {
            self.emit(each);
        }
    }

    fn extend(&mut self, bytes: &[u8]) {
        if self.partial.len() + bytes.len() > MAX_LINE_BYTES {
            self.is_too_long = true;
            self.partial.clear();
        }
        if !self.is_too_long {
            self.partial.extend_from_slice(bytes);
        }
    }

    fn emit(&mut self, each: &mut impl FnMut(u64, Line<'_>)) {
        self.number += 1;
        if self.is_too_long {
            each(self.number, Line::TooLong);
        } else {
            let mut line = self.partial.as_slice();
            if self.number == 1 {
                line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line);
            }
            each(self.number, Line::Text(line.strip_suffix(b"\r").unwrap_or(line)));
        }
        self.partial.clear();
        self.is_too_long = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(pieces: &[&[u8]]) -> Vec<String> {
        let mut lines = Lines::default();
        let mut found = Vec::new();
        let mut each = |number: u64, line: Line<'_>| {
            found.push(match line {
                Line::Text(text) => format!("{number} {}", String::from_utf8_lossy(text)),
                Line::TooLong => format!("{number} too long"),
            });
        };
        for piece in pieces {
            lines.push(piece, &mut each);
        }
        lines.finish(&mut each);
        found
    }

    #[test]
    fn lines_do_not_depend_on_how_the_bytes_arrive() {
        let whole = lines(&[b"\xef\xbb\xbfa\r\n\nbc\nd"]);
        assert_eq!(whole, ["1 a", "2 ", "3 bc", "4 d"]);
        let bytes = b"\xef\xbb\xbfa\r\n\nbc\nd";
        let single: Vec<&[u8]> = bytes.chunks(1).collect();
        assert_eq!(lines(&single), whole);
    }

    #[test]
    fn an_endless_line_costs_only_itself() {
        let long = vec![b'x'; MAX_LINE_BYTES];
        assert_eq!(lines(&[&long, &long, b"\nnext\n"]), ["1 too long", "2 next"]);
        assert_eq!(lines(&[&long, b"x"]), ["1 too long"]);
    }
}
