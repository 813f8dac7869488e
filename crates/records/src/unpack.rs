//! A stream of bytes as records.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::array::{self, Found, Scanner, Start};
use crate::audit::{Joiner, Piece};
use crate::header::Tracker;

/// One record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// A line without its end, an element of an array, or several lines of the audit daemon.
    pub body: Bytes,
    /// How many bytes were cut off its end.
    pub cut_bytes: u64,
    /// The header that governs it, where the file has one.
    pub header: Option<Arc<str>>,
}

/// Takes bytes and gives records. The records depend on nothing but the bytes: not on how they are cut into pieces, and
/// not on time.
#[derive(Debug)]
pub struct Unpacker {
    max_record: usize,
    /// Whether every line is a record.
    lines_only: bool,
    mode: Mode,
    /// What came of the record that is not whole yet.
    open: Vec<u8>,
    cut: u64,
    joiner: Joiner,
    /// Number of the next line.
    line: u64,
    header: Tracker,
}

#[derive(Debug)]
enum Mode {
    /// At the beginning of a line whose first bytes are not known.
    Undecided,
    Line,
    Inside(Scanner),
    /// Behind an array.
    Rest,
}

impl Unpacker {
    /// Records are cut behind `max_record` bytes. With `lines_only` each line is a record whatever it holds.
    #[must_use]
    pub fn new(max_record: usize, lines_only: bool) -> Self {
        Self {
            max_record,
            lines_only,
            mode: if lines_only { Mode::Line } else { Mode::Undecided },
            open: Vec::new(),
            cut: 0,
            joiner: Joiner::new(max_record),
            line: 0,
            header: Tracker::default(),
        }
    }

    /// Takes the next bytes. Empty lines are no records.
    pub fn feed(&mut self, mut bytes: &[u8], into: &mut Vec<Record>) {
        while !bytes.is_empty() {
            let taken = self.step(bytes, into);
            bytes = bytes.get(taken..).unwrap_or_default();
        }
    }

    /// The end: what is not whole is taken as it is.
    pub fn finish(&mut self, into: &mut Vec<Record>) {
        if matches!(self.mode, Mode::Inside(_)) {
            self.drop_separators();
        }
        self.close_lines(into);
        let mut joined = Vec::new();
        self.joiner.flush(self.line, &mut joined);
        into.extend(joined.into_iter().map(|event| Record {
            body: event.body,
            cut_bytes: event.cut_bytes,
            header: None,
        }));
    }

    /// Takes some of the bytes; how many. None only when that changed what the next are taken for.
    fn step(&mut self, bytes: &[u8], into: &mut Vec<Record>) -> usize {
        match &mut self.mode {
            Mode::Undecided => {
                let newline = bytes.iter().position(|byte| *byte == b'\n');
                let end = newline.map_or(bytes.len(), |at| at + 1);
                let before = self.open.len();
                self.keep(bytes.get(..newline.unwrap_or(end)).unwrap_or_default());
                match array::start(&self.open) {
                    Start::Undecided if newline.is_some() => self.keep(b"\n"),
                    Start::Undecided => {}
                    Start::Line if newline.is_some() => self.close_lines(into),
                    Start::Line => self.mode = Mode::Line,
                    Start::Inside(at) => {
                        // Of earlier pieces no more than white space and a brace can be behind the head.
                        self.cut = 0;
                        self.open.truncate(before);
                        self.open.drain(..at.min(before));
                        let mut scanner = Scanner::default();
                        scanner.scan(&self.open);
                        self.mode = Mode::Inside(scanner);
                        return at.saturating_sub(before);
                    }
                }
                end
            }
            Mode::Line => {
                let newline = bytes.iter().position(|byte| *byte == b'\n');
                let end = newline.map_or(bytes.len(), |at| at + 1);
                self.keep(bytes.get(..newline.unwrap_or(end)).unwrap_or_default());
                if newline.is_some() {
                    self.close_lines(into);
                }
                end
            }
            Mode::Inside(scanner) => match scanner.scan(bytes) {
                Found::Nothing => {
                    self.keep(bytes);
                    bytes.len()
                }
                Found::Element(end) => {
                    self.keep(bytes.get(..end).unwrap_or_default());
                    let open = std::mem::take(&mut self.open);
                    into.push(Record {
                        body: Bytes::copy_from_slice(array::trimmed(&open)),
                        cut_bytes: std::mem::take(&mut self.cut),
                        header: None,
                    });
                    self.open = open;
                    self.open.clear();
                    end
                }
                Found::End(end) => {
                    self.open.clear();
                    self.cut = 0;
                    self.mode = Mode::Rest;
                    end
                }
                Found::Broken(at) => {
                    self.keep(bytes.get(..at).unwrap_or_default());
                    self.drop_separators();
                    self.mode = Mode::Line;
                    at
                }
            },
            Mode::Rest => {
                let (end, over) = array::rest(bytes);
                if over {
                    let ended = bytes.get(..end).is_some_and(|rest| rest.ends_with(b"\n"));
                    self.mode = if ended { Mode::Undecided } else { Mode::Line };
                }
                end
            }
        }
    }

    /// What separates an element from the one before is part of neither.
    fn drop_separators(&mut self) {
        let between = self.open.len() - array::trimmed(&self.open).len();
        self.open.drain(..between);
    }

    fn keep(&mut self, bytes: &[u8]) {
        let room = self.max_record.saturating_sub(self.open.len());
        let kept = bytes.len().min(room);
        self.open.extend_from_slice(bytes.get(..kept).unwrap_or_default());
        self.cut += (bytes.len() - kept) as u64;
    }

    /// What is open is a line, or several.
    fn close_lines(&mut self, into: &mut Vec<Record>) {
        let open = std::mem::take(&mut self.open);
        let cut = std::mem::take(&mut self.cut);
        let mut lines = open.split(|byte| *byte == b'\n').peekable();
        while let Some(line) = lines.next() {
            let cut = if lines.peek().is_none() { cut } else { 0 };
            self.take_line(line, cut, into);
        }
        self.open = open;
        self.open.clear();
        self.mode = if self.lines_only { Mode::Line } else { Mode::Undecided };
    }

    fn take_line(&mut self, mut line: &[u8], cut_bytes: u64, into: &mut Vec<Record>) {
        if cut_bytes == 0 {
            while let Some(stripped) = line.strip_suffix(b"\r") {
                line = stripped;
            }
        }
        if line.is_empty() {
            return;
        }
        let body = Bytes::copy_from_slice(line);
        let is_header = self.header.take(line);
        if self.lines_only {
            let header = self.header.header().filter(|_| !is_header).cloned();
            into.push(Record {
                body,
                cut_bytes,
                header,
            });
            return;
        }
        let piece = Piece {
            line: body,
            cut_bytes,
            start: self.line,
            end: self.line + 1,
        };
        self.line += 1;
        let mut joined = Vec::new();
        self.joiner.push(piece, Duration::ZERO, &mut joined);
        // Lines that wait for others have no header.
        let header = self.header.header().filter(|_| !is_header);
        into.extend(joined.into_iter().map(|event| Record {
            body: event.body,
            cut_bytes: event.cut_bytes,
            header: header.cloned(),
        }));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn unpack(text: &[u8], pieces: usize, max: usize) -> Vec<String> {
        let mut unpacker = Unpacker::new(max, false);
        let mut records = Vec::new();
        for piece in text.chunks(pieces.max(1)) {
            unpacker.feed(piece, &mut records);
        }
        unpacker.finish(&mut records);
        records
            .iter()
            .map(|record| {
                let mut text = String::from_utf8_lossy(&record.body).into_owned();
                if record.cut_bytes > 0 {
                    text.push_str(&format!(" -{}", record.cut_bytes));
                }
                text
            })
            .collect()
    }

    fn check(text: &str, expected: &[&str]) {
        for pieces in [1, 2, 3, 7, 4096] {
            assert_eq!(unpack(text.as_bytes(), pieces, 1000), expected, "{text} by {pieces}");
        }
    }

    #[test]
    fn one_line_with_many_records_is_many() {
        check(r#"{"Records":[{"a":1},{"b":"x}"}]}"#, &[r#"{"a":1}"#, r#"{"b":"x}"}"#]);
        check(
            "{\"records\": [ {\"a\":1} , {\"a\":2} ] }\r\nplain\n[{\"c\":3}]\n",
            &[r#"{"a":1}"#, r#"{"a":2}"#, "plain", r#"{"c":3}"#],
        );
        check("[\n  {\n    \"a\": 1\n  },\n  {}\n]\n", &["{\n    \"a\": 1\n  }", "{}"]);
    }

    #[test]
    fn what_only_looks_like_many_stays_lines() {
        check(
            "[2026-11-21] one\r\n\n{\"a\":1}\ntwo",
            &["[2026-11-21] one", "{\"a\":1}", "two"],
        );
        check("[\n{ text\n", &["[", "{ text"]);
        check("[{\"a\":1},{\"b\nNext\n", &["{\"a\":1}", "{\"b", "Next"]);
        check("{\"Records\":[{\"a\":1}],\"more\":2}\n", &["{\"a\":1}", ",\"more\":2}"]);
        check("[{\"a\":1},{\"b\":2", &["{\"a\":1}", "{\"b\":2"]);
    }

    #[test]
    fn long_records_are_cut_and_the_next_is_whole() {
        let text = format!("[{{\"a\":\"{}\"}},{{\"b\":1}}]", "x".repeat(2000));
        for pieces in [1, 100, 4096] {
            let records = unpack(text.as_bytes(), pieces, 1000);
            assert_eq!(records.len(), 2, "{pieces}");
            assert!(records[0].ends_with(" -1008"), "{}", &records[0][990..]);
            assert_eq!(records[1], "{\"b\":1}");
        }
        let text = format!("{}\r\nnext", "y".repeat(1003));
        assert_eq!(unpack(text.as_bytes(), 10, 1000)[1], "next");
    }

    #[test]
    fn lines_stay_lines_when_asked_for() {
        let mut unpacker = Unpacker::new(1000, true);
        let mut records = Vec::new();
        unpacker.feed(
            b"[{\"a\":1},{\"b\":2}]\ntype=CWD msg=audit(1.000:1): cwd=\"/\"\n",
            &mut records,
        );
        unpacker.finish(&mut records);
        assert_eq!(records.len(), 2);
    }

    proptest! {
        #[test]
        fn pieces_make_no_difference_and_nothing_is_lost(
            parts in proptest::collection::vec(prop::sample::select(vec![
                "[", "{", "}", "]", ",", "\"", "\\", "\n", "\r\n", "{\"Records\":[", "{\"a\":1}", "text ", " ", "1", "[{\"a\":2},",
                "type=CWD msg=audit(5.000:1): cwd=\"/\"\n", "type=EOE msg=audit(5.000:1): \n",
            ]), 0..40),
            pieces in 1_usize..9,
        ) {
            let text = parts.concat();
            let whole = unpack(text.as_bytes(), usize::MAX, 1000);
            prop_assert_eq!(&whole, &unpack(text.as_bytes(), pieces, 1000));
            // Letters and digits outside of heads come out as often as they went in.
            let count = |text: &str, of: &str| text.matches(of).count();
            let out = whole.concat();
            prop_assert_eq!(count(&out, "text"), count(&text, "text"));
            prop_assert_eq!(count(&out, "cwd="), count(&text, "cwd="));
            prop_assert_eq!(count(&out, "\"a\":"), count(&text, "\"a\":"));
        }
    }
}
