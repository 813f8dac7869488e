//! Taking a line apart from the left.

use memchr::memchr2;

use crate::bytes;

/// What is left of a text.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scan<'a> {
    pub(crate) rest: &'a str,
}

impl<'a> Scan<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        Self { rest: text }
    }

    /// Takes a word and the spaces around it; `None` at the end.
    pub(crate) fn word(&mut self) -> Option<&'a str> {
        self.spaces();
        let text = self.rest;
        let end = text.bytes().position(is_space).unwrap_or(text.len());
        let (word, rest) = text.split_at_checked(end)?;
        self.rest = rest;
        self.spaces();
        (!word.is_empty()).then_some(word)
    }

    /// Takes `"…"`, in which a backslash makes the next character part of the text, as it stands.
    pub(crate) fn quoted(&mut self) -> Option<&'a str> {
        let text = self.rest.strip_prefix('"')?;
        let bytes = text.as_bytes();
        let mut at = 0;
        loop {
            at += memchr2(b'"', b'\\', bytes.get(at..)?)?;
            if bytes.get(at) == Some(&b'"') {
                break;
            }
            at += 2;
        }
        self.rest = text.get(at + 1..)?;
        text.get(..at)
    }

    /// Takes spaces.
    #[inline]
    pub(crate) fn spaces(&mut self) {
        let spaces = self.rest.bytes().take_while(|byte| is_space(*byte)).count();
        self.rest = self.rest.get(spaces..).unwrap_or_default();
    }

    /// Takes `open…close`.
    pub(crate) fn enclosed(&mut self, open: char, close: char) -> Option<&'a str> {
        let (inner, rest) = self.rest.strip_prefix(open)?.split_once(close)?;
        self.rest = rest;
        Some(inner)
    }
}

#[inline]
fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

/// Looking for marks of several bytes in lines, which are short: what the standard library prepares for a search costs more
/// than the search.
pub(crate) trait Marks {
    /// What stands before and behind the first mark.
    fn cut(&self, mark: &str) -> Option<(&str, &str)>;
    /// What stands before and behind the last mark.
    fn cut_last(&self, mark: &str) -> Option<(&str, &str)>;
    /// Whether the mark is there.
    fn has(&self, mark: &str) -> bool;
    /// What stands before and behind the first of an ASCII character.
    fn cut_at(&self, mark: u8) -> Option<(&str, &str)>;
    /// What stands before and behind the last of an ASCII character.
    fn cut_last_at(&self, mark: u8) -> Option<(&str, &str)>;
    /// Where the first of an ASCII character is.
    fn place_of(&self, mark: u8) -> Option<usize>;
    /// Whether an ASCII character is there.
    fn has_byte(&self, mark: u8) -> bool;
    /// What stands between all of an ASCII character.
    fn parts(&self, mark: u8) -> Parts<'_>;
}

impl Marks for str {
    #[inline]
    fn cut(&self, mark: &str) -> Option<(&str, &str)> {
        let at = first(self.as_bytes(), mark.as_bytes())?;
        Some((self.get(..at)?, self.get(at + mark.len()..)?))
    }

    #[inline]
    fn cut_last(&self, mark: &str) -> Option<(&str, &str)> {
        let at = last(self.as_bytes(), mark.as_bytes())?;
        Some((self.get(..at)?, self.get(at + mark.len()..)?))
    }

    #[inline]
    fn has(&self, mark: &str) -> bool {
        first(self.as_bytes(), mark.as_bytes()).is_some()
    }

    #[inline]
    fn cut_at(&self, mark: u8) -> Option<(&str, &str)> {
        let at = bytes::first(self.as_bytes(), mark)?;
        Some((self.get(..at)?, self.get(at + 1..)?))
    }

    #[inline]
    fn cut_last_at(&self, mark: u8) -> Option<(&str, &str)> {
        let at = bytes::last(self.as_bytes(), mark)?;
        Some((self.get(..at)?, self.get(at + 1..)?))
    }

    #[inline]
    fn place_of(&self, mark: u8) -> Option<usize> {
        bytes::first(self.as_bytes(), mark)
    }

    #[inline]
    fn has_byte(&self, mark: u8) -> bool {
        bytes::first(self.as_bytes(), mark).is_some()
    }

    #[inline]
    fn parts(&self, mark: u8) -> Parts<'_> {
        Parts { rest: Some(self), mark }
    }
}

/// What stands between marks, an empty text where nothing does.
#[derive(Clone, Debug)]
pub(crate) struct Parts<'a> {
    rest: Option<&'a str>,
    mark: u8,
}

impl<'a> Parts<'a> {
    /// The first of them.
    pub(crate) fn up_to(self, most: usize) -> Vec<&'a str> {
        // A list that begins small is moved each time it doubles.
        let mut parts = Vec::with_capacity(most.min(32));
        parts.extend(self.take(most));
        parts
    }
}

impl<'a> Iterator for Parts<'a> {
    type Item = &'a str;

    #[inline]
    fn next(&mut self) -> Option<&'a str> {
        let text = self.rest?;
        match bytes::first(text.as_bytes(), self.mark) {
            Some(at) => {
                self.rest = text.get(at + 1..);
                text.get(..at)
            }
            None => self.rest.take(),
        }
    }
}

impl DoubleEndedIterator for Parts<'_> {
    #[inline]
    fn next_back(&mut self) -> Option<Self::Item> {
        let text = self.rest?;
        match bytes::last(text.as_bytes(), self.mark) {
            Some(at) => {
                self.rest = text.get(..at);
                text.get(at + 1..)
            }
            None => self.rest.take(),
        }
    }
}

/// The byte of a mark that is looked for, and where in it: spaces are everywhere.
#[inline]
fn rare(mark: &[u8]) -> Option<(usize, u8)> {
    match mark {
        [b' ', second, ..] => Some((1, *second)),
        [first, ..] => Some((0, *first)),
        [] => None,
    }
}

#[inline]
fn stands_at(text: &[u8], mark: &[u8], at: usize) -> bool {
    text.get(at..at + mark.len()).is_some_and(|part| part == mark)
}

/// Where the first mark is.
#[inline]
pub(crate) fn first(text: &[u8], mark: &[u8]) -> Option<usize> {
    let Some((offset, byte)) = rare(mark) else {
        return Some(0);
    };
    let mut from = offset;
    loop {
        let found = from + bytes::first(text.get(from..)?, byte)?;
        let at = found - offset;
        if stands_at(text, mark, at) {
            return Some(at);
        }
        from = found + 1;
    }
}

#[inline]
fn last(text: &[u8], mark: &[u8]) -> Option<usize> {
    let Some((offset, byte)) = rare(mark) else {
        return Some(text.len());
    };
    let mut rest = text;
    loop {
        let found = bytes::last(rest, byte)?;
        let at = found.checked_sub(offset)?;
        if stands_at(text, mark, at) {
            return Some(at);
        }
        rest = rest.get(..found)?;
    }
}

/// A text without the escapes of a quoted field: `\"`, `\\`, and `\xHH` as nginx and Apache write them.
pub(crate) fn unescape(text: &str) -> std::borrow::Cow<'_, str> {
    if !text.has_byte(b'\\') {
        return text.into();
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte != b'\\' {
            bytes.push(byte);
            continue;
        }
        match after {
            [b'x' | b'X', high, low, tail @ ..] if hex(*high).is_some() && hex(*low).is_some() => {
                bytes.push(hex(*high).unwrap_or(0) * 16 + hex(*low).unwrap_or(0));
                rest = tail;
            }
            [quoted @ (b'"' | b'\\' | b'\''), tail @ ..] => {
                bytes.push(*quoted);
                rest = tail;
            }
            _ => bytes.push(byte),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned().into()
}

/// The value of a hexadecimal digit.
pub(crate) fn hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

/// Splits a line at a separator that does not count between double quotes; quotes are taken off, `""` within is one.
/// At most `most` columns.
pub(crate) fn columns(text: &str, separator: u8, most: usize) -> Vec<std::borrow::Cow<'_, str>> {
    let bytes = text.as_bytes();
    let mut columns = Vec::new();
    let mut at = 0;
    while columns.len() < most {
        if bytes.get(at) == Some(&b'"') {
            let mut end = at + 1;
            let mut doubled = false;
            loop {
                match bytes.get(end) {
                    None => break,
                    Some(b'"') if bytes.get(end + 1) == Some(&b'"') => {
                        doubled = true;
                        end += 2;
                    }
                    Some(b'"') => break,
                    Some(_) => end += 1,
                }
            }
            let inner = text.get(at + 1..end).unwrap_or("");
            columns.push(if doubled {
                inner.replace("\"\"", "\"").into()
            } else {
                inner.into()
            });
            at = (end + 1).min(bytes.len());
            // What stands between the closing quote and the separator belongs to nothing.
            at += bytes
                .get(at..)
                .and_then(|rest| bytes::first(rest, separator))
                .unwrap_or(bytes.len() - at);
        } else {
            let end = bytes
                .get(at..)
                .and_then(|rest| bytes::first(rest, separator))
                .map_or(bytes.len(), |n| at + n);
            columns.push(text.get(at..end).unwrap_or("").into());
            at = end;
        }
        if at >= bytes.len() {
            break;
        }
        at += 1;
    }
    columns
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn columns_keep_what_quotes_hold() {
        assert_eq!(columns("a,,\"b,\"\"c\"\"\",d", b',', 9), ["a", "", "b,\"c\"", "d"]);
        assert_eq!(columns("a,\"open", b',', 9), ["a", "open"]);
        assert_eq!(columns("a,", b',', 9), ["a", ""]);
        assert_eq!(columns("a,b,c", b',', 2), ["a", "b"]);
        assert_eq!(columns("", b',', 9), [""]);
    }

    #[test]
    fn quoted_fields_end_at_the_first_bare_quote() {
        let mut scan = Scan::new(r#""a \"b\\" c"#);
        assert_eq!(scan.quoted(), Some(r#"a \"b\\"#));
        assert_eq!(scan.rest, " c");
        assert_eq!(unescape(r#"a \"b\\ \x22\x4"#), r#"a "b\ "\x4"#);
        for open in ["\"open", "\"open\\\"", "\"open\\"] {
            assert_eq!(Scan::new(open).quoted(), None);
        }
    }

    proptest! {
        #[test]
        fn marks_are_found_where_the_standard_library_finds_them(text in "[ab :é]{0,24}", mark in "[ab :é]{0,3}") {
            prop_assert_eq!(text.cut(&mark), text.split_once(mark.as_str()));
            prop_assert_eq!(text.cut_last(&mark), text.rsplit_once(mark.as_str()));
            prop_assert_eq!(text.has(&mark), text.contains(mark.as_str()));
            if let [byte] = mark.as_bytes() {
                let mark = char::from(*byte);
                prop_assert_eq!(text.cut_at(*byte), text.split_once(mark));
                prop_assert_eq!(text.cut_last_at(*byte), text.rsplit_once(mark));
                prop_assert_eq!(text.has_byte(*byte), text.contains(mark));
                prop_assert_eq!(text.place_of(*byte), text.find(mark));
                prop_assert!(text.parts(*byte).eq(text.split(mark)));
                prop_assert!(text.parts(*byte).rev().eq(text.rsplit(mark)));
            }
        }
    }
}
