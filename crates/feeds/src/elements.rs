//! The elements of a JSON document's list, one at a time, without holding the document.
//!
//! STIX bundles and TAXII answers are an object with one long list, `objects`. [`Elements`] finds that list while bytes
//! arrive and gives each element's own bytes. It checks no more of the JSON than it needs to find the ends of elements;
//! whoever reads an element finds the rest.

/// Longest element in bytes.
pub(crate) const MAX_ELEMENT_BYTES: usize = 4 * 1024 * 1024;
/// Deepest nesting of an element.
const MAX_DEPTH: usize = 100;
/// Longest sum of everything beside the list.
const MAX_REST_BYTES: usize = 64 * 1024;

/// What was found.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Element<'a> {
    /// An element's bytes.
    Whole(&'a [u8]),
    /// Longer than [`MAX_ELEMENT_BYTES`] or deeper than 100.
    TooLarge,
}

/// Finds the elements of the list under `key` in the outermost object.
#[derive(Debug)]
pub(crate) struct Elements {
    key: &'static str,
    place: Place,
    depth: usize,
    in_string: bool,
    is_escaped: bool,
    element: Vec<u8>,
    is_too_large: bool,
    /// The outermost object without the list's elements.
    rest: Vec<u8>,
    rest_is_too_large: bool,
    /// Start of the last string in `rest`, and its end.
    word: (usize, usize),
    has_ended: bool,
    found_list: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// In the outermost object, or before it.
    Outside,
    /// In the list.
    Inside,
}

impl Elements {
    pub(crate) fn new(key: &'static str) -> Self {
        Self {
            key,
            place: Place::Outside,
            depth: 0,
            in_string: false,
            is_escaped: false,
            element: Vec::new(),
            is_too_large: false,
            rest: Vec::new(),
            rest_is_too_large: false,
            word: (0, 0),
            has_ended: false,
            found_list: false,
        }
    }

    /// Calls `each` with every element that `bytes` completes.
    pub(crate) fn push(&mut self, bytes: &[u8], each: &mut impl FnMut(Element<'_>)) {
        for byte in bytes {
            match self.place {
                Place::Outside => self.outside(*byte),
                Place::Inside => self.inside(*byte, each),
            }
        }
    }

    /// Whether the document came to its end, with nothing but one object in it.
    pub(crate) fn is_complete(&self) -> bool {
        self.has_ended && self.depth == 0 && !self.in_string
    }

    /// Whether the list was there.
    pub(crate) fn found_list(&self) -> bool {
        self.found_list
    }

    /// The outermost object with the list empty; nothing when that is too large.
    pub(crate) fn rest(&self) -> Option<&[u8]> {
        (!self.rest_is_too_large).then_some(self.rest.as_slice())
    }

    fn keep_rest(&mut self, byte: u8) {
        if self.rest.len() >= MAX_REST_BYTES {
            self.rest_is_too_large = true;
            self.rest.clear();
            self.word = (0, 0);
        }
        self.rest.push(byte);
    }

    fn outside(&mut self, byte: u8) {
        self.keep_rest(byte);
        if self.in_string {
            self.step_string(byte);
            if !self.in_string {
                self.word.1 = self.rest.len().saturating_sub(1);
            }
            return;
        }
        match byte {
            b'"' => {
                self.in_string = true;
                self.word = (self.rest.len(), self.rest.len());
            }
            b'[' if self.depth == 1 && self.is_key() => {
                self.place = Place::Inside;
                self.found_list = true;
                self.depth = 0;
            }
            b'{' | b'[' => self.depth += 1,
            b'}' | b']' => {
                self.depth = self.depth.saturating_sub(1);
                self.has_ended = self.depth == 0;
            }
            _ => {}
        }
    }

    /// Whether the last string is the key and only a colon has come since.
    fn is_key(&self) -> bool {
        let word = self.rest.get(self.word.0..self.word.1);
        let since = self.rest.get(self.word.1..).unwrap_or_default();
        word == Some(self.key.as_bytes()) && since.iter().filter(|byte| !byte.is_ascii_whitespace()).eq(b"\":[")
    }

    fn inside(&mut self, byte: u8, each: &mut impl FnMut(Element<'_>)) {
        if self.in_string {
            self.keep_element(byte);
            self.step_string(byte);
            return;
        }
        if self.depth == 0 {
            match byte {
                b',' | b']' => {
                    self.emit(each);
                    if byte == b']' {
                        self.place = Place::Outside;
                        self.depth = 1;
                        self.keep_rest(b']');
                    }
                    return;
                }
                b' ' | b'\t' | b'\r' | b'\n' => return,
                _ => {}
            }
        }
        self.keep_element(byte);
        match byte {
            b'"' => self.in_string = true,
            b'{' | b'[' => {
                self.depth += 1;
                if self.depth > MAX_DEPTH {
                    self.is_too_large = true;
                    self.element.clear();
                }
            }
            b'}' | b']' => self.depth = self.depth.saturating_sub(1),
            _ => {}
        }
    }

    fn step_string(&mut self, byte: u8) {
        if self.is_escaped {
            self.is_escaped = false;
        } else if byte == b'\\' {
            self.is_escaped = true;
        } else if byte == b'"' {
            self.in_string = false;
        }
    }

    fn keep_element(&mut self, byte: u8) {
        if self.is_too_large {
            return;
        }
        if self.element.len() >= MAX_ELEMENT_BYTES {
            self.is_too_large = true;
            self.element = Vec::new();
            return;
        }
        self.element.push(byte);
    }

    fn emit(&mut self, each: &mut impl FnMut(Element<'_>)) {
        if self.is_too_large {
            each(Element::TooLarge);
        } else if !self.element.is_empty() {
            each(Element::Whole(&self.element));
        }
        self.element.clear();
        self.is_too_large = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(document: &str, piece: usize) -> (Vec<String>, bool, String) {
        let mut elements = Elements::new("objects");
        let mut found = Vec::new();
        for bytes in document.as_bytes().chunks(piece) {
            elements.push(bytes, &mut |element| {
                found.push(match element {
                    Element::Whole(bytes) => String::from_utf8_lossy(bytes).into_owned(),
                    Element::TooLarge => "too large".to_owned(),
                });
            });
        }
        let rest = String::from_utf8_lossy(elements.rest().unwrap()).into_owned();
        (found, elements.is_complete(), rest)
    }

    #[test]
    fn elements_come_out_whole_whatever_the_pieces() {
        let document =
            r#"{"id": "objects", "x": {"objects": [9]}, "objects" : [ {"a": "}],[\""}, 2 ,[{}] ], "more": true}"#;
        for piece in [1, 3, 1000] {
            let (found, complete, rest) = read(document, piece);
            assert_eq!(found, [r#"{"a": "}],[\""}"#, "2", "[{}]"]);
            assert!(complete);
            assert_eq!(
                rest,
                r#"{"id": "objects", "x": {"objects": [9]}, "objects" : [], "more": true}"#
            );
        }
        assert_eq!(read(r#"{"objects":[]}"#, 5).0, Vec::<String>::new());
    }

    #[test]
    fn a_document_that_is_cut_off_is_not_complete() {
        for document in [
            "",
            "{",
            r#"{"objects":[{"a":1},"#,
            r#"{"objects":[{"a":1}]"#,
            r#"{"x":"}"#,
        ] {
            assert!(!read(document, 100).1, "{document}");
        }
        assert!(read("{}", 100).1);
    }

    #[test]
    fn what_nests_without_end_costs_only_itself() {
        let deep = format!("{}{}", "[".repeat(5000), "]".repeat(5000));
        let (found, complete, _) = read(&format!(r#"{{"objects":[1,{deep},2]}}"#), 64);
        assert_eq!(found, ["1", "too large", "2"]);
        assert!(complete);
    }
}
