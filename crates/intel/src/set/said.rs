//! What is said about a value.

use std::sync::Arc;

use model::Timestamp;
use model::indicator::{Indicator, Tlp};
use rustc_hash::FxHashSet;

/// Longest note kept in memory, in characters. Alerts show no more; MongoDB has it all.
pub(super) const MAX_NOTE: usize = 500;

/// What many indicators have in common. Kept once for all of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Common {
    pub(super) source: Box<str>,
    pub(super) feed: Box<str>,
    pub(super) tags: Box<[Box<str>]>,
    pub(super) tlp: Option<Tlp>,
    pub(super) note: Box<str>,
}

impl Common {
    pub(super) fn of(indicator: &Indicator) -> Self {
        Self {
            source: indicator.source.as_str().into(),
            feed: indicator.feed.as_str().into(),
            tags: indicator.tags.iter().map(|tag| tag.as_str().into()).collect(),
            tlp: indicator.tlp,
            note: indicator.note.chars().take(MAX_NOTE).collect::<String>().into(),
        }
    }
}

/// Gives equal [`Common`]s one place in memory.
#[derive(Clone, Debug, Default)]
pub(super) struct Interned {
    known: FxHashSet<Arc<Common>>,
    /// At which size unused ones are looked for.
    sweep_at: usize,
}

/// Below this nobody needs to look for unused ones.
const FIRST_SWEEP: usize = 1024;

impl Interned {
    pub(super) fn get(&mut self, common: Common) -> Arc<Common> {
        if let Some(known) = self.known.get(&common) {
            return Arc::clone(known);
        }
        if self.known.len() >= self.sweep_at.max(FIRST_SWEEP) {
            self.known.retain(|common| Arc::strong_count(common) > 1);
            self.sweep_at = self.known.len() * 2;
        }
        let common = Arc::new(common);
        self.known.insert(Arc::clone(&common));
        common
    }
}

/// One source's word about a value.
#[derive(Clone, Debug)]
pub(super) struct Said {
    pub(super) common: Arc<Common>,
    pub(super) from: i64,
    pub(super) until: i64,
    /// Where the reference is among the texts.
    pub(super) reference: u32,
    pub(super) reference_len: u16,
    pub(super) confidence: u8,
    /// The next word about the same value, plus one; 0 for the last. In an unused place, the next unused one.
    pub(super) next: u32,
}

impl Said {
    pub(super) fn of(indicator: &Indicator, common: Arc<Common>, reference: u32, reference_len: u16) -> Self {
        Self {
            common,
            from: indicator.valid_from.map_or(i64::MIN, |time| time.0),
            until: indicator.valid_until.map_or(i64::MAX, |time| time.0),
            reference,
            reference_len,
            confidence: indicator.confidence,
            next: 0,
        }
    }

    pub(super) fn is_valid_at(&self, at: Timestamp) -> bool {
        self.from <= at.0 && at.0 <= self.until
    }

    /// Whether it is the word of the same feed and source.
    pub(super) fn is_by(&self, indicator: &Indicator) -> bool {
        *self.common.feed == *indicator.feed && *self.common.source == *indicator.source
    }

    /// Whether it says the same as `indicator`, apart from the reference.
    pub(super) fn is_same(&self, indicator: &Indicator) -> bool {
        self.is_by(indicator)
            && self.from == indicator.valid_from.map_or(i64::MIN, |time| time.0)
            && self.until == indicator.valid_until.map_or(i64::MAX, |time| time.0)
            && self.confidence == indicator.confidence
            && *self.common == Common::of(indicator)
    }
}
