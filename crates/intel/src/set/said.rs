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

/// A time in milliseconds, as MongoDB keeps it, in six bytes: 4,459 years around 1970; what lies beyond is for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Millis([u8; 6]);

impl Millis {
    const MIN: Self = Self([0, 0, 0, 0, 0, 0x80]);
    const MAX: Self = Self([0xff, 0xff, 0xff, 0xff, 0xff, 0x7f]);

    fn of(time: Timestamp) -> Self {
        let millis = time.as_millis().clamp(Self::MIN.get(), Self::MAX.get());
        let [a, b, c, d, e, f, ..] = millis.to_le_bytes();
        Self([a, b, c, d, e, f])
    }

    const fn get(self) -> i64 {
        let [a, b, c, d, e, f] = self.0;
        // Shifting back and forth repeats the sign.
        i64::from_le_bytes([0, 0, a, b, c, d, e, f]) >> 16
    }
}

/// One source's word about a value.
#[derive(Clone, Debug)]
pub(super) struct Said {
    pub(super) common: Arc<Common>,
    pub(super) from: Millis,
    pub(super) until: Millis,
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
            from: indicator.valid_from.map_or(Millis::MIN, Millis::of),
            until: indicator.valid_until.map_or(Millis::MAX, Millis::of),
            reference,
            reference_len,
            confidence: indicator.confidence,
            next: 0,
        }
    }

    pub(super) fn is_valid_at(&self, at: Timestamp) -> bool {
        let at = at.as_millis();
        self.from.get() <= at && at <= self.until.get()
    }

    /// Whether it is the word of the same feed and source.
    pub(super) fn is_by(&self, indicator: &Indicator) -> bool {
        *self.common.feed == *indicator.feed && *self.common.source == *indicator.source
    }

    /// Whether it says the same as `indicator`, apart from the reference.
    pub(super) fn is_same(&self, indicator: &Indicator) -> bool {
        self.is_by(indicator)
            && self.from == indicator.valid_from.map_or(Millis::MIN, Millis::of)
            && self.until == indicator.valid_until.map_or(Millis::MAX, Millis::of)
            && self.confidence == indicator.confidence
            && *self.common == Common::of(indicator)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_keep_their_milliseconds_and_their_order() {
        for millis in [0, 1, -1, 1_767_225_600_123, -62_135_596_800_000, 140_000_000_000_000] {
            assert_eq!(Millis::of(Timestamp::from_millis(millis)).get(), millis);
        }
        assert_eq!(Millis::of(Timestamp(i64::MAX)), Millis::MAX);
        assert_eq!(Millis::of(Timestamp(i64::MIN)), Millis::MIN);
        assert!(size_of::<Said>() <= 32);
    }
}
