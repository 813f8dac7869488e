//! Reading a query's text character by character.

use crate::ast::{Pattern, Piece};
use crate::error::QueryError;

/// A place in a text.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reader<'a> {
    source: &'a str,
    at: usize,
}

/// A run of characters without quotes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Word<'a> {
    pub(crate) raw: &'a str,
    pub(crate) pattern: Pattern,
    /// Whether a backslash took a character's meaning away.
    pub(crate) has_escapes: bool,
}

/// What a backslash takes the meaning from. Before anything else it is itself, so that paths need no doubling.
pub(crate) const ESCAPED: &[char] = &[
    '\\', '*', '?', '"', '(', ')', '[', ']', '{', '}', ':', '/', '=', '<', '>', '!', '&', '|', ' ',
];

impl<'a> Reader<'a> {
    pub(crate) fn new(source: &'a str) -> Self {
        Self { source, at: 0 }
    }

    pub(crate) fn at(&self) -> usize {
        self.at
    }

    pub(crate) fn source(&self) -> &'a str {
        self.source
    }

    pub(crate) fn rest(&self) -> &'a str {
        self.source.get(self.at..).unwrap_or_default()
    }

    pub(crate) fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    pub(crate) fn skip(&mut self, bytes: usize) {
        self.at = self.source.len().min(self.at + bytes);
    }

    pub(crate) fn skip_space(&mut self) {
        self.at = self.source.len() - self.rest().trim_start().len();
    }

    /// Takes `text` when it is next.
    pub(crate) fn eat(&mut self, text: &str) -> bool {
        let is_next = self.rest().starts_with(text);
        if is_next {
            self.skip(text.len());
        }
        is_next
    }

    /// Takes the keyword when it is next and ends there.
    pub(crate) fn eat_keyword(&mut self, keyword: &str) -> bool {
        let Some(rest) = self.rest().strip_prefix(keyword) else {
            return false;
        };
        let ends = rest.chars().next().is_none_or(ends_word);
        if ends {
            self.skip(keyword.len());
        }
        ends
    }

    /// The error of what is here.
    pub(crate) fn expected(&self, expected: impl Into<String>) -> QueryError {
        QueryError::new(self.source, self.at, expected)
    }

    pub(crate) fn expected_at(&self, at: usize, expected: impl Into<String>) -> QueryError {
        QueryError::new(self.source, at, expected)
    }

    /// Characters up to one that `ends`, with wildcards and escapes.
    pub(crate) fn word(&mut self, ends: impl Fn(char) -> bool) -> Word<'a> {
        let start = self.at;
        let mut pieces = Vec::new();
        let mut text = String::new();
        let mut has_escapes = false;
        let mut chars = self.rest().chars().peekable();
        let mut length = 0;
        while let Some(char) = chars.next_if(|char| !ends(*char)) {
            length += char.len_utf8();
            match char {
                '\\' => {
                    let escaped = chars.next_if(|next| ESCAPED.contains(next));
                    length += escaped.map_or(0, char::len_utf8);
                    has_escapes |= escaped.is_some();
                    text.push(escaped.unwrap_or('\\'));
                }
                '*' | '?' => {
                    if !text.is_empty() {
                        pieces.push(Piece::Text(std::mem::take(&mut text)));
                    }
                    if char == '?' {
                        pieces.push(Piece::One);
                    } else if pieces.last() != Some(&Piece::Any) {
                        pieces.push(Piece::Any);
                    }
                }
                other => text.push(other),
            }
        }
        if !text.is_empty() {
            pieces.push(Piece::Text(text));
        }
        self.skip(length);
        Word {
            raw: self.source.get(start..self.at).unwrap_or_default(),
            pattern: Pattern(pieces),
            has_escapes,
        }
    }

    /// Text in quotes, of which the first is next.
    pub(crate) fn quoted(&mut self) -> Result<String, QueryError> {
        let mut text = String::new();
        let mut chars = self.rest().char_indices().skip(1).peekable();
        while let Some((at, char)) = chars.next() {
            match char {
                '"' => {
                    self.skip(at + 1);
                    return Ok(text);
                }
                '\\' => {
                    let escaped = chars.next_if(|(_, next)| matches!(next, '"' | '\\'));
                    text.push(escaped.map_or('\\', |(_, char)| char));
                }
                other => text.push(other),
            }
        }
        Err(QueryError::with_got(
            self.source,
            self.at,
            "a closing quote for this one",
            "none",
        ))
    }

    /// The text between slashes and whether an `i` follows; `None` when it is none, but a word such as a path.
    pub(crate) fn regex(&mut self) -> Option<(&'a str, usize, bool)> {
        let body = self.rest().strip_prefix('/')?;
        let start = self.at + 1;
        let mut escaped = false;
        let end = body.char_indices().find_map(|(at, char)| {
            let ends = char == '/' && !escaped;
            escaped = char == '\\' && !escaped;
            ends.then_some(at)
        })?;
        let (pattern, after) = (body.get(..end)?, body.get(end + 1..)?);
        let (any_case, after) = match after.strip_prefix('i') {
            Some(rest) => (true, rest),
            None => (false, after),
        };
        if pattern.is_empty() || !after.chars().next().is_none_or(ends_word) {
            return None;
        }
        self.at = self.source.len() - after.len();
        Some((pattern, start, any_case))
    }
}

/// What a word without quotes ends at.
pub(crate) fn ends_word(char: char) -> bool {
    char.is_whitespace() || matches!(char, '(' | ')' | '"')
}
