//! From a line to its members.

use model::event::{MAX_FIELDS, MAX_NAME};

use super::marks::Marks;

/// Deepest nesting of objects that is walked here; the slow path takes more.
const MAX_DEPTH: usize = 8;
/// Digits of a whole number that cannot exceed 64 bits.
const MAX_DIGITS: usize = 18;

/// A member's value as it is written.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Raw<'a> {
    /// The inside of a string.
    Text {
        /// As written, escapes included.
        raw: &'a str,
        /// Whether there are any.
        has_escapes: bool,
    },
    /// A whole number of at most 64 bits: its digits, which are also its text.
    Int(&'a str),
    /// Any other number.
    Float(f64),
    /// True or false.
    Bool(bool),
    /// Nothing.
    Null,
}

/// How a scan ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Every member was visited.
    Done,
    /// The line is not for this scanner, and what was visited so far does not count.
    Unusual,
}

/// Reads lines. Keeps its memory from line to line.
#[derive(Debug, Default)]
pub(crate) struct Scanner {
    marks: Marks,
    /// The name of the object being walked.
    path: String,
}

impl Scanner {
    /// Calls `visit` with the flat name and the value of each member, in the order of the line. Elements of an array come
    /// one after the other under one name. `visit` says whether to go on; when it does not, the line is unusual.
    pub(crate) fn scan<'a>(&mut self, line: &'a [u8], mut visit: impl FnMut(&str, Raw<'a>) -> bool) -> Outcome {
        let Some(text) = self.marks.read(line) else {
            return Outcome::Unusual;
        };
        self.path.clear();
        let mut walk = Walk {
            text,
            marks: &self.marks,
            path: &mut self.path,
            position: 0,
            quote: 0,
            fields: 0,
            visit: &mut visit,
        };
        let is_done = walk.skip(b'{').is_some() && walk.object(1).is_some() && walk.peek().is_none();
        if is_done { Outcome::Done } else { Outcome::Unusual }
    }
}

/// A walk over one line. None anywhere means that the line is unusual.
struct Walk<'a, 'w, V> {
    text: &'a str,
    marks: &'w Marks,
    path: &'w mut String,
    position: usize,
    /// Number of the next quote.
    quote: usize,
    fields: usize,
    visit: &'w mut V,
}

impl<'a, V: FnMut(&str, Raw<'a>) -> bool> Walk<'a, '_, V> {
    /// The next byte that is not a space. (Other white space was refused with the control characters.)
    #[inline]
    fn peek(&mut self) -> Option<u8> {
        loop {
            match self.text.as_bytes().get(self.position) {
                Some(b' ') => self.position += 1,
                other => return other.copied(),
            }
        }
    }

    /// Takes this byte off.
    #[inline]
    fn skip(&mut self, byte: u8) -> Option<()> {
        (self.peek()? == byte).then(|| self.position += 1)
    }

    /// Takes a string off, which starts here.
    #[inline]
    fn string(&mut self) -> Option<(&'a str, bool)> {
        let (open, close) = (self.marks.quote(self.quote)?, self.marks.quote(self.quote + 1)?);
        if open != self.position {
            return None;
        }
        self.quote += 2;
        self.position = close + 1;
        let has_escapes = self.marks.has_backslash(open + 1, close);
        Some((self.text.get(open + 1..close)?, has_escapes))
    }

    /// The members behind an opening brace, and the closing one.
    fn object(&mut self, depth: usize) -> Option<()> {
        if depth > MAX_DEPTH {
            return None;
        }
        if self.peek()? == b'}' {
            self.position += 1;
            return Some(());
        }
        loop {
            self.member(depth)?;
            match self.peek()? {
                b',' => self.position += 1,
                b'}' => {
                    self.position += 1;
                    return Some(());
                }
                _ => return None,
            }
        }
    }

    fn member(&mut self, depth: usize) -> Option<()> {
        if self.peek()? != b'"' {
            return None;
        }
        let (name, has_escapes) = self.string()?;
        if has_escapes || self.path.len() + name.len() + 1 >= MAX_NAME {
            return None;
        }
        self.skip(b':')?;
        let first = self.peek()?;
        if first == b'{' {
            self.position += 1;
            let before = self.path.len();
            push_name(self.path, name);
            self.object(depth + 1)?;
            self.path.truncate(before);
            return Some(());
        }
        self.fields += 1;
        if self.fields > MAX_FIELDS {
            return None;
        }
        if self.path.is_empty() {
            return self.value_or_array(name, first);
        }
        let before = self.path.len();
        push_name(self.path, name);
        let path = std::mem::take(self.path);
        let result = self.value_or_array(&path, first);
        *self.path = path;
        self.path.truncate(before);
        result
    }

    fn value_or_array(&mut self, name: &str, first: u8) -> Option<()> {
        if first != b'[' {
            let value = self.scalar(first)?;
            return (self.visit)(name, value).then_some(());
        }
        self.position += 1;
        loop {
            let first = self.peek()?;
            let value = self.scalar(first)?;
            // A null among values is a question of its own; the slow path answers it.
            if value == Raw::Null || !(self.visit)(name, value) {
                return None;
            }
            match self.peek()? {
                b',' => self.position += 1,
                b']' => {
                    self.position += 1;
                    return Some(());
                }
                _ => return None,
            }
        }
    }

    #[inline]
    fn scalar(&mut self, first: u8) -> Option<Raw<'a>> {
        match first {
            b'"' => {
                let (raw, has_escapes) = self.string()?;
                Some(Raw::Text { raw, has_escapes })
            }
            b't' => self.word("true", Raw::Bool(true)),
            b'f' => self.word("false", Raw::Bool(false)),
            b'n' => self.word("null", Raw::Null),
            b'-' | b'0'..=b'9' => self.number(),
            _ => None,
        }
    }

    fn word(&mut self, word: &str, value: Raw<'a>) -> Option<Raw<'a>> {
        let rest = self.text.get(self.position..)?;
        rest.starts_with(word).then(|| self.position += word.len())?;
        Some(value)
    }

    fn number(&mut self) -> Option<Raw<'a>> {
        let rest = self.text.as_bytes().get(self.position..)?;
        let is_part = |byte: &u8| matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E');
        let length = rest.iter().position(|byte| !is_part(byte))?;
        let text = self.text.get(self.position..self.position + length)?;
        self.position += length;
        let digits = text.strip_prefix('-').unwrap_or(text);
        let is_whole = digits.len() <= MAX_DIGITS
            && digits.bytes().all(|byte| byte.is_ascii_digit())
            && (!digits.starts_with('0') || text == "0");
        if is_whole && !digits.is_empty() {
            return Some(Raw::Int(text));
        }
        // Whole numbers beyond 64 bits are texts elsewhere.
        let has_fraction = text.bytes().any(|byte| matches!(byte, b'.' | b'e' | b'E'));
        let float: f64 = serde_json::from_str(text).ok()?;
        (has_fraction && float.is_finite()).then_some(Raw::Float(float))
    }
}

fn push_name(path: &mut String, name: &str) {
    if !path.is_empty() {
        path.push('.');
    }
    path.push_str(name);
}

#[cfg(test)]
mod tests {
    use model::{Fields, Value};
    use proptest::prelude::*;
    use serde_json::{Map, Value as Json};

    use super::*;
    use crate::json::unescape_into;

    /// What the scanner makes of a line; none when it is unusual. Later members replace earlier ones of the same name,
    /// which only holds for members that are no arrays.
    fn scanned(line: &str) -> Option<Vec<(String, Vec<Value>)>> {
        let mut fields: Vec<(String, Vec<Value>)> = Vec::new();
        let outcome = Scanner::default().scan(line.as_bytes(), |name, raw| {
            let value = match raw {
                Raw::Text { raw, has_escapes } => {
                    let mut text = String::new();
                    if !unescape_into(raw, &mut text) {
                        return false;
                    }
                    assert_eq!(has_escapes, raw.contains('\\'));
                    Value::Str(text)
                }
                Raw::Int(text) => Value::Int(text.parse().unwrap()),
                Raw::Float(number) => Value::Float(number),
                Raw::Bool(value) => Value::Bool(value),
                Raw::Null => Value::Null,
            };
            match fields.last_mut() {
                Some((last, values)) if *last == name => values.push(value),
                _ => fields.push((name.to_owned(), vec![value])),
            }
            true
        });
        (outcome == Outcome::Done).then_some(fields)
    }

    fn by_serde(line: &str) -> Option<Vec<(String, Vec<Value>)>> {
        let object: Map<String, Json> = serde_json::from_str(line).ok()?;
        let mut fields = Fields::new();
        assert_eq!(fields.insert_json("", &object), 0);
        let values = |value: &Value| match value {
            Value::List(values) => values.clone(),
            Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Str(_) => vec![value.clone()],
        };
        Some(
            fields
                .iter()
                .map(|(name, value)| (name.to_owned(), values(value)))
                .collect(),
        )
    }

    #[test]
    fn ordinary_lines_are_not_unusual() {
        for line in [
            "{}",
            r#"{"a":1}"#,
            r#" { "a" : "x\\y\"z" , "b" : [ 1 , "two" , true ] , "c" : { "d" : null , "e" : -1.5e3 } } "#,
            r#"{"Image":"C:\\Windows\\cmd.exe","EventID":1,"ä":"Ä","empty":"","o":{}}"#,
        ] {
            assert_eq!(scanned(line), by_serde(line), "{line}");
            assert!(scanned(line).is_some(), "{line}");
        }
    }

    #[test]
    fn what_is_rare_or_wrong_is_left_to_the_slow_path() {
        for line in [
            "",
            "[]",
            "{",
            "}",
            r#"{"a"}"#,
            r#"{"a":}"#,
            r#"{"a":1,}"#,
            r#"{"a":1}}"#,
            r#"{"a":1} x"#,
            r#"{"a":01}"#,
            r#"{"a":1.}"#,
            r#"{"a":-}"#,
            r#"{"a":"x}"#,
            r#"{"a":[]}"#,
            r#"{"a":[null]}"#,
            r#"{"a":[[1]]}"#,
            r#"{"a":[{"b":1}]}"#,
            r#"{"a\n":1}"#,
            r#"{"a":99999999999999999999}"#,
            r#"{"a":"b" "c":1}"#,
            r#"{"a":1"b":2}"#,
            r#"{"a":tru}"#,
            r#"{"a" "b"}"#,
            "{\"a\":\"\t\"}",
            r#"{"a":-0}"#,
            r#"{"a":1e999}"#,
            r#"{a:1}"#,
            r#"{"a":nullx}"#,
        ] {
            assert_eq!(scanned(line), None, "{line}");
        }
        assert_eq!(
            Scanner::default().scan(b"{\"a\":\"\xff\"}", |_, _| true),
            Outcome::Unusual
        );
        let deep = format!("{}1{}", r#"{"a":"#.repeat(100_000), "}".repeat(100_000));
        assert_eq!(scanned(&deep), None);
    }

    fn json() -> impl Strategy<Value = Json> {
        let scalar = prop_oneof![
            Just(Json::Null),
            any::<bool>().prop_map(Json::from),
            any::<i64>().prop_map(Json::from),
            any::<f64>().prop_map(Json::from),
            r#"[a-zA-Z0-9 ä😀"\\/\n]{0,80}"#.prop_map(Json::from),
        ];
        scalar.prop_recursive(4, 40, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Json::from),
                prop::collection::hash_map("[a-z.ä]{0,3}", inner, 0..6).prop_map(|map| map.into_iter().collect()),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_read_is_what_serde_json_reads(members in prop::collection::hash_map("[A-Za-z. ]{0,6}", json(), 0..8)) {
            let object: Map<String, Json> = members.into_iter().collect();
            let line = serde_json::to_string(&object).unwrap();
            if let Some(fields) = scanned(&line) {
                let names: std::collections::HashSet<&String> = fields.iter().map(|(name, _)| name).collect();
                // A name that occurs twice is the caller's to notice.
                if names.len() == fields.len() {
                    prop_assert_eq!(Some(fields), by_serde(&line));
                }
            }
        }

        #[test]
        fn nothing_malformed_is_read(line in r#"[{}\[\]":,\\ a1etrufalsn.-]{0,30}"#) {
            if let Some(fields) = scanned(&line) {
                prop_assert!(by_serde(&line).is_some(), "{:?}", fields);
            }
        }

        #[test]
        fn a_cut_line_is_never_read(members in prop::collection::hash_map("[a-z]{1,6}", json(), 1..8), keep in 0.0..1.0_f64) {
            let line = serde_json::to_string(&members).unwrap();
            let mut cut = (line.len() as f64 * keep) as usize;
            while !line.is_char_boundary(cut) {
                cut -= 1;
            }
            prop_assert_eq!(scanned(&line[..cut]), None);
        }
    }
}
