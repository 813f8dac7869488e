//! JSON arrays of objects: the files in which clouds deliver their logs are one line that holds many records.
//!
//! Three beginnings are known: an array whose first element is an object (`[{"`), an object whose first member is such
//! an array under the name `Records` (CloudTrail, S3, SNS) or `records` (Azure), and a list of Kubernetes
//! (`{"kind":"EventList",…,"items":[{`). Everything else stays a line. Elements
//! are found without building anything, so a file of any size needs no memory; one that turns out not to be JSON is a
//! line again from where it stopped being JSON.

/// Most bytes before the first element; more of them are no container.
const MAX_HEAD: usize = 4096;
/// Names under which an object holds records.
const NAMES: [&[u8]; 2] = [b"\"Records\"", b"\"records\""];

/// How a text begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// A line.
    Line,
    /// More bytes are needed to tell.
    Undecided,
    /// An array; its first element, or white space before it, is at this offset.
    Inside(usize),
}

/// Tells how a text begins.
#[must_use]
pub fn start(text: &[u8]) -> Start {
    let mut head = Head {
        rest: without_mark(text),
        is_short: false,
    };
    match after_head(text.len(), &mut head) {
        Some(at) if at <= MAX_HEAD => Start::Inside(at),
        None if text.len() <= MAX_HEAD && head.is_short => Start::Undecided,
        Some(_) | None => Start::Line,
    }
}

/// Takes expected bytes from the front, white space before them included.
struct Head<'a> {
    rest: &'a [u8],
    /// More bytes could be what was expected.
    is_short: bool,
}

impl<'a> Head<'a> {
    /// `None`: another byte is there, or none any more.
    fn expect(&mut self, wanted: &[u8]) -> Option<()> {
        let rest = self.rest.trim_ascii_start();
        self.is_short |= wanted.starts_with(rest);
        self.rest = rest.strip_prefix(wanted)?;
        Some(())
    }

    /// Takes `name`, its value and the comma behind: a text without escapes, or an object with nothing but texts.
    fn member(&mut self, name: &[u8]) -> Option<&'a [u8]> {
        self.expect(name)?;
        self.expect(b":")?;
        let end = if self.expect(b"\"").is_some() {
            b'"'
        } else {
            self.expect(b"{")?;
            b'}'
        };
        let Some(at) = self
            .rest
            .iter()
            .position(|byte| matches!(byte, b'\\' | b'{' | b'[') || *byte == end)
        else {
            self.is_short = true;
            return None;
        };
        let (value, rest) = self.rest.split_at(at);
        self.rest = rest.strip_prefix(&[end])?;
        self.expect(b",")?;
        Some(value)
    }
}

fn after_head(length: usize, head: &mut Head<'_>) -> Option<usize> {
    if head.expect(b"[").is_none() {
        head.expect(b"{")?;
        if NAMES.iter().find_map(|name| head.expect(name)).is_none() {
            let kind = head.member(b"\"kind\"")?;
            if !kind.ends_with(b"List") {
                head.is_short = false;
                return None;
            }
            while head
                .member(b"\"apiVersion\"")
                .or_else(|| head.member(b"\"metadata\""))
                .is_some()
            {}
            head.expect(b"\"items\"")?;
        }
        head.expect(b":")?;
        head.expect(b"[")?;
    }
    let at = length - head.rest.len();
    head.expect(b"{")?;
    head.expect(b"\"").or_else(|| head.expect(b"}"))?;
    Some(at)
}

/// Without a byte order mark in front.
fn without_mark(text: &[u8]) -> &[u8] {
    text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text)
}

/// What a look at a piece of an array's inside found, with the offset behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// The piece is looked through; go on with the next.
    Nothing,
    /// An element ends here. Between it and the one before are a comma and white space.
    Element(usize),
    /// The array ends here.
    End(usize),
    /// From here on it is not JSON.
    Broken(usize),
}

/// Finds the ends of elements, piece by piece.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scanner {
    depth: u32,
    in_string: bool,
    escaped: bool,
}

impl Scanner {
    /// Looks through `piece`, up to the first thing found; what is behind that is to be given again.
    pub fn scan(&mut self, piece: &[u8]) -> Found {
        for (at, byte) in piece.iter().enumerate() {
            if self.in_string {
                match byte {
                    _ if self.escaped => self.escaped = false,
                    b'\\' => self.escaped = true,
                    b'"' => self.in_string = false,
                    // No line end may stand in a string, so what is broken is noticed before the next line is taken for
                    // a part of it.
                    b'\n' | b'\r' | 0 => return Found::Broken(at),
                    _ => {}
                }
                continue;
            }
            match (byte, self.depth) {
                (b' ' | b'\t' | b'\n' | b'\r' | b',', _) => {}
                (b']', 0) => return Found::End(at + 1),
                (b'{', depth) => self.depth = depth.saturating_add(1),
                (_, 0) => return Found::Broken(at),
                (b'[', depth) => self.depth = depth.saturating_add(1),
                (b'}' | b']', depth) => {
                    self.depth = depth - 1;
                    if depth == 1 {
                        return Found::Element(at + 1);
                    }
                }
                (b'"', _) => self.in_string = true,
                (b':' | b'+' | b'-' | b'.' | b'0'..=b'9' | b'a'..=b'z' | b'E', _) => {}
                _ => return Found::Broken(at),
            }
        }
        Found::Nothing
    }
}

/// An element without what separates it from the one before.
#[must_use]
pub fn trimmed(element: &[u8]) -> &[u8] {
    let is_between = |byte: &u8| byte.is_ascii_whitespace() || *byte == b',';
    let from = element
        .iter()
        .position(|byte| !is_between(byte))
        .unwrap_or(element.len());
    element.get(from..).unwrap_or_default()
}

/// How much of the text behind an array belongs to what it stood in: closing braces and white space up to the line's
/// end. True when the line's end or something else was reached.
#[must_use]
pub fn rest(text: &[u8]) -> (usize, bool) {
    for (at, byte) in text.iter().enumerate() {
        match byte {
            b'\n' => return (at + 1, true),
            b'}' => {}
            byte if byte.is_ascii_whitespace() => {}
            _ => return (at, true),
        }
    }
    (text.len(), false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_arrays_of_objects_are_taken_apart() {
        let inside = |text: &str| match start(text.as_bytes()) {
            Start::Inside(at) => text[at..].to_owned(),
            other @ (Start::Line | Start::Undecided) => panic!("{text}: {other:?}"),
        };
        assert_eq!(inside(r#"{"Records":[{"a":1}]}"#), r#"{"a":1}]}"#);
        assert_eq!(inside("\u{feff}{ \"records\" : [\n {\"a\":1}]}"), "\n {\"a\":1}]}");
        assert_eq!(
            inside(r#"{"kind":"EventList","apiVersion":"audit.k8s.io/v1","metadata":{},"items":[{"level":"x"}]}"#),
            r#"{"level":"x"}]}"#
        );
        assert_eq!(
            inside("{\"kind\": \"EventList\",\n \"items\": [{\"a\":1}]}"),
            "{\"a\":1}]}"
        );
        assert_eq!(inside("[ {} ]"), " {} ]");
        assert_eq!(inside("[\n  {\n    \"a\": 1\n  }\n]"), "\n  {\n    \"a\": 1\n  }\n]");
        for line in [
            "[2026-11-21 10:00:00] text",
            "[{a}] text",
            "[[1]]",
            "[1,2]",
            "[\"a\"]",
            r#"{"Records":[]}"#,
            r#"{"Records":{"a":1}}"#,
            r#"{"Records":["a"]}"#,
            r#"{"eventVersion":"1.08","Records":[{"a":1}]}"#,
            r#"{"level":"info"}"#,
            r#"{"kind":"Event","apiVersion":"audit.k8s.io/v1","items":[{"a":1}]}"#,
            r#"{"kind":"EventList","level":"x","items":[{"a":1}]}"#,
            r#"{"kind":"x\"List","items":[{"a":1}]}"#,
            r#"{"kind":"EventList","items":["a"]}"#,
            "plain",
        ] {
            assert_eq!(start(line.as_bytes()), Start::Line, "{line}");
        }
        for unfinished in [
            "",
            "[",
            "[ ",
            "[\n",
            "{",
            "{\"Rec",
            "{\"records\": [",
            "{\"Records\":[ {",
            "{\"kind\":\"Event",
            "{\"kind\":\"EventList\",\"meta",
            "{\"kind\":\"EventList\",\"metadata\":{",
            "{\"kind\":\"EventList\",\"items\":[",
        ] {
            assert_eq!(start(unfinished.as_bytes()), Start::Undecided, "{unfinished}");
        }
        assert_eq!(start(&[b' '; MAX_HEAD + 1]), Start::Line);
    }

    fn ends(text: &str) -> Vec<Found> {
        let (mut scanner, mut at, mut found) = (Scanner::default(), 0, Vec::new());
        loop {
            let next = scanner.scan(&text.as_bytes()[at..]);
            let shifted = match next {
                Found::Nothing => Found::Nothing,
                Found::Element(end) => Found::Element(at + end),
                Found::End(end) => Found::End(at + end),
                Found::Broken(end) => Found::Broken(at + end),
            };
            found.push(shifted);
            match shifted {
                Found::Element(end) => at = end,
                Found::Nothing | Found::End(_) | Found::Broken(_) => return found,
            }
        }
    }

    #[test]
    fn elements_end_where_their_braces_do() {
        assert_eq!(
            ends(r#"{"a":"}]\"{","b":[{"c":1}]}, {"d":null}]}"#),
            [Found::Element(27), Found::Element(39), Found::End(40)]
        );
        assert_eq!(ends(r#"{"a":1},{"b"#), [Found::Element(7), Found::Nothing]);
        assert_eq!(
            ends("{\"a\":1},{\"b\nNext line"),
            [Found::Element(7), Found::Broken(11)]
        );
        assert_eq!(
            ends("{\"a\":1},{\"b\":\nNext line"),
            [Found::Element(7), Found::Broken(14)]
        );
        assert_eq!(ends("1]"), [Found::Broken(0)]);
    }

    #[test]
    fn what_closes_the_object_around_an_array_is_no_record() {
        assert_eq!(rest(b"}\nnext"), (2, true));
        assert_eq!(rest(b" }\r"), (3, false));
        assert_eq!(rest(b",\"token\":1}"), (0, true));
    }
}
