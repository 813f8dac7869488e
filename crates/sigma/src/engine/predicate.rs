//! Questions to one field, shared by all rules of a bucket that ask them.

use std::sync::OnceLock;

use aho_corasick::{AhoCorasick, AhoCorasickKind};
use memchr::memmem::Finder;

use crate::ast::Op;
use crate::engine::index::PatternId;
use crate::engine::slots::Slot;

/// Number of texts from which on an automaton finds them faster than one search after the other.
const MANY: usize = 6;

/// One question, asked at most once per event.
#[derive(Debug)]
pub(crate) struct Predicate {
    pub(crate) slot: Slot,
    pub(crate) kind: Kind,
    /// Every text that makes it true is in the index: it is false unless the index said otherwise.
    pub(crate) indexed: bool,
}

/// What is asked.
#[derive(Debug)]
pub(crate) enum Kind {
    /// A value is, starts with or ends with one of these texts. Sorted.
    Anchored(Box<[PatternId]>),
    /// A value has one of these texts in it.
    Contains(Search),
    /// Anything else.
    Op {
        op: Op,
        /// The slot of the other field of a [`Op::FieldRef`].
        other: Slot,
        /// One of these is in every text for which the answer is yes.
        needs: Option<Search>,
    },
}

/// A search for any of some folded texts.
#[derive(Debug)]
pub(crate) enum Search {
    Few(Box<[Finder<'static>]>),
    /// The automaton is made when it is first needed: most never are.
    Many(Box<[Box<str>]>, OnceLock<Option<AhoCorasick>>),
}

impl Search {
    pub(crate) fn new<'a>(texts: impl ExactSizeIterator<Item = &'a str>) -> Self {
        if texts.len() < MANY {
            Self::Few(texts.map(|text| Finder::new(text.as_bytes()).into_owned()).collect())
        } else {
            Self::Many(texts.map(Box::from).collect(), OnceLock::new())
        }
    }

    /// Whether one of the texts is in this one.
    pub(crate) fn is_in(&self, text: &[u8]) -> bool {
        match self {
            Self::Few(finders) => finders.iter().any(|finder| finder.find(text).is_some()),
            Self::Many(texts, automaton) => {
                let automaton = automaton.get_or_init(|| {
                    let bytes: usize = texts.iter().map(|text| text.len()).sum();
                    AhoCorasick::builder()
                        .kind((bytes > 4096).then_some(AhoCorasickKind::ContiguousNFA))
                        .build(texts.iter().map(|text| text.as_bytes()))
                        .ok()
                });
                match automaton {
                    Some(automaton) => automaton.is_match(text),
                    None => texts
                        .iter()
                        .any(|one| memchr::memmem::find(text, one.as_bytes()).is_some()),
                }
            }
        }
    }
}
