//! Texts looked for in all fields at once, before anything is unescaped or folded.
//!
//! Of each text a part is looked for that is written the same in a JSON string as anywhere else. Finding it means that
//! the field it is in has to be looked at; not finding it means that the text is nowhere. That is so as long as nothing
//! is written as `\u` and a number, and no character outside ASCII folds to one inside: then this filter is not used.

use super::PatternId;
use super::texts::Texts;
use crate::engine::statistics::Statistics;

/// A filter over what an event is written as.
#[derive(Debug)]
pub(crate) struct RawFilter {
    texts: Texts,
    /// Whether numbers and truth values could have one of the texts in them.
    pub(crate) reads_numbers: bool,
    /// Whether there are texts it does not find, all of them not ASCII.
    lacks_wide: bool,
}

impl RawFilter {
    /// `None` when there is a text in ASCII of which no part will do.
    pub(crate) fn build(patterns: &[(PatternId, &str)], statistics: &Statistics) -> Option<Self> {
        let mut parts: Vec<(PatternId, &str)> = Vec::with_capacity(patterns.len());
        let mut lacks_wide = false;
        for (pattern, text) in patterns {
            match longest_plain(text) {
                Some(part) => parts.push((*pattern, part)),
                None if text.is_ascii() => return None,
                None => lacks_wide = true,
            }
        }
        Some(Self {
            texts: Texts::build(&parts, true, statistics),
            lacks_wide,
            reads_numbers: parts.iter().any(|(_, part)| may_be_in_number(part)),
        })
    }

    /// Whether it finds all there is in the bytes, provided that nothing is written as its number.
    #[inline]
    pub(crate) fn is_for(&self, bytes: &[u8]) -> bool {
        bytes.is_ascii() || !self.lacks_wide && !folds_to_ascii(bytes)
    }

    /// Calls `found` with each text whose part is in the bytes, and where the part is: at least once, and again at most
    /// until it says true.
    #[inline]
    pub(crate) fn probe(&self, bytes: &[u8], mut found: impl FnMut(PatternId, usize) -> bool) {
        self.texts.probe(bytes, &mut found);
    }
}

/// The longest part that is plain ASCII and never escaped.
pub(crate) fn longest_plain(text: &str) -> Option<&str> {
    text.split(|c: char| !c.is_ascii() || c.is_ascii_control() || matches!(c, '"' | '\\' | '/'))
        .filter(|part| part.len() >= 2)
        .max_by_key(|part| part.len())
}

fn may_be_in_number(part: &str) -> bool {
    let in_number = |byte: u8| byte.is_ascii_digit() || matches!(byte, b'-' | b'+' | b'.' | b'e');
    part.bytes().all(in_number) || "true".contains(part) || "false".contains(part)
}

/// Whether text that is not ASCII has characters that fold to ASCII: the long s and the Kelvin sign.
fn folds_to_ascii(text: &[u8]) -> bool {
    let has = |character: &str| memchr::memmem::find(text, character.as_bytes()).is_some();
    has("\u{17f}") || has("\u{212a}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pattern::fold_char;

    #[test]
    fn no_other_characters_fold_to_ascii() {
        let all = ('\u{80}'..=char::MAX).filter(|c| fold_char(*c).is_ascii());
        assert_eq!(all.collect::<Vec<_>>(), ['\u{17f}', '\u{212a}']);
    }

    #[test]
    fn the_part_looked_for_is_never_escaped() {
        for (text, part) in [
            ("sekurlsa::", Some("sekurlsa::")),
            (r"\temp\x", Some("temp")),
            ("a/bc\"defg", Some("defg")),
            ("é-ab", Some("-ab")),
            ("\\", None),
            ("x\ny", None),
        ] {
            assert_eq!(longest_plain(text), part, "{text}");
        }
    }
}
