//! Questions to one field, shared by all rules of a bucket that ask them.

use std::sync::OnceLock;

use aho_corasick::{AhoCorasick, AhoCorasickKind};
use memchr::memmem::Finder;

use crate::ast::Op;
use crate::engine::index::{MOST_IN_SIEVE, PatternId, Sieve};
use crate::engine::slots::{ANY, Slot};
use crate::pattern::Pattern;

/// Number of texts from which on an automaton finds them faster than one search after the other.
const MANY: usize = 6;
/// Number of sieves from which on an automaton is faster.
const MANY_SIEVES: usize = 5;

/// One question, asked at most once per event.
#[derive(Debug)]
pub(crate) struct Predicate {
    pub(crate) slot: Slot,
    pub(crate) kind: Kind,
    /// Every text that makes it true is in the index: it is false unless the index said otherwise.
    pub(crate) indexed: bool,
}

impl Predicate {
    /// Where the answer comes from.
    pub(crate) fn by(&self) -> By {
        match &self.kind {
            Kind::Anchored(_) => By::Ends(self.slot),
            Kind::Contains(_) | Kind::Globs { .. } | Kind::Op { .. } if self.indexed => By::Index,
            Kind::Contains(_) | Kind::Globs { .. } | Kind::Op { .. } => By::Value,
        }
    }

    /// Whether the answer is the same wherever the field in its slot has the same value.
    pub(crate) fn depends_on_one_field(&self) -> bool {
        let compares_fields = matches!(
            &self.kind,
            Kind::Op {
                op: Op::FieldRef(_),
                ..
            }
        );
        self.slot != ANY && !compares_fields
    }
}

/// Where the answer to a question comes from. Most questions of a chain are answered without looking at the question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum By {
    /// The anchored texts found in the field of a slot: no, when there are none.
    Ends(Slot),
    /// What the index found.
    Index,
    /// The value, or a count of other answers.
    Value,
}

/// What is asked.
#[derive(Debug)]
pub(crate) enum Kind {
    /// A value is, starts with or ends with one of these texts. Sorted.
    Anchored(Box<[PatternId]>),
    /// A value has one of these texts in it.
    Contains(Search),
    /// A value fits one of these patterns, none of which is `cased`.
    Globs {
        patterns: Box<[Pattern]>,
        /// One of these is in every text for which the answer is yes.
        needs: Search,
    },
    /// Anything else.
    Op {
        op: Op,
        /// The slot of the other field of a [`Op::FieldRef`].
        other: Slot,
        /// One of these is in the folded form of every text for which the answer is yes.
        needs: Option<Search>,
        /// Length of the shortest text for which the answer is yes, in bytes.
        shortest: usize,
    },
}

/// A search for any of some folded texts. It is made when it is first needed: most never are.
#[derive(Debug)]
pub(crate) struct Search {
    texts: Box<[Box<str>]>,
    made: OnceLock<Made>,
}

#[derive(Debug)]
enum Made {
    Finders(Box<[Finder<'static>]>),
    Sieves(Box<[Sieve]>),
    Automaton(AhoCorasick),
}

impl Search {
    pub(crate) fn new<'a>(texts: impl Iterator<Item = &'a str>) -> Self {
        Self {
            texts: texts.map(Box::from).collect(),
            made: OnceLock::new(),
        }
    }

    /// Whether one of the texts is in this one.
    pub(crate) fn is_in(&self, text: &[u8]) -> bool {
        match self.made.get_or_init(|| self.make()) {
            Made::Finders(finders) => finders.iter().any(|finder| finder.find(text).is_some()),
            Made::Sieves(sieves) => sieves.iter().any(|sieve| sieve.has_any(text)),
            Made::Automaton(automaton) => automaton.is_match(text),
        }
    }

    fn make(&self) -> Made {
        let finders = || {
            let texts = self.texts.iter().map(AsRef::as_ref);
            Made::Finders(
                texts
                    .map(|text: &str| Finder::new(text.as_bytes()).into_owned())
                    .collect(),
            )
        };
        if self.texts.len() < 2 || self.texts.iter().any(|text| text.is_empty()) {
            return finders();
        }
        if self.texts.len() < MOST_IN_SIEVE * MANY_SIEVES
            && let Some(sieves) = self.sieves()
        {
            return Made::Sieves(sieves);
        }
        if self.texts.len() < MANY {
            return finders();
        }
        let bytes: usize = self.texts.iter().map(|text| text.len()).sum();
        let automaton = AhoCorasick::builder()
            .kind((bytes > 4096).then_some(AhoCorasickKind::ContiguousNFA))
            .build(self.texts.iter().map(|text| text.as_bytes()));
        automaton.map_or_else(|_| finders(), Made::Automaton)
    }

    fn sieves(&self) -> Option<Box<[Sieve]>> {
        let mut patterns: Vec<(PatternId, &str)> = (0..).zip(self.texts.iter().map(AsRef::as_ref)).collect();
        // What looks alike goes into the same.
        patterns.sort_unstable_by_key(|(_, text)| *text);
        patterns
            .chunks(MOST_IN_SIEVE)
            .map(|chunk| Sieve::build(chunk, false, common_bytes))
            .collect()
    }
}

/// How often a byte occurs in a folded text, by and large.
fn common_bytes(byte: u8) -> f32 {
    match byte {
        b'a'..=b'z' => 0.025,
        b'0'..=b'9' | b' ' | b'\\' | b'/' | b'.' | b'-' => 0.015,
        0..0x80 => 0.003,
        0x80.. => 0.001,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_search_finds_its_texts_however_many_they_are() {
        for count in [1, 2, 5, 6, 64, 65, 300, 400] {
            let texts: Vec<String> = (0..count).map(|number| format!("{number:03}x")).collect();
            let search = Search::new(texts.iter().map(String::as_str));
            for text in &texts {
                assert!(
                    search.is_in(format!("before {text} after").as_bytes()),
                    "{text} of {count}"
                );
                assert!(search.is_in(text.as_bytes()));
            }
            assert!(!search.is_in(b"0x 00x x 000y"));
            assert!(!search.is_in(b""));
        }
    }
}
