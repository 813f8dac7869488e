//! From the texts of one field to the patterns in them.

mod anchored;
mod cluster;
mod grams;
mod raw;
mod sieve;
mod texts;

pub(crate) use anchored::{Anchor, Anchored};
pub(crate) use grams::gram;
pub(crate) use raw::{RawFilter, longest_plain};
pub(crate) use sieve::{MOST as MOST_IN_SIEVE, Sieve};
use texts::Texts;

use crate::engine::arena::Span;
use crate::engine::statistics::Statistics;

/// Number of a text that is looked for, in a bucket.
pub(crate) type PatternId = u32;

/// Texts looked for anywhere in the values of a field.
#[derive(Debug, Default)]
pub(crate) struct Literals {
    plain: Texts,
    /// Texts that are not all ASCII are in no value that is.
    wide: Option<Texts>,
}

impl Literals {
    /// All texts must be folded and not empty.
    pub(crate) fn build(patterns: &[(PatternId, &str)], statistics: &Statistics) -> Self {
        let (plain, wide): (Vec<_>, Vec<_>) = patterns.iter().partition(|(_, text)| text.is_ascii());
        Self {
            plain: Texts::build(&plain, false, statistics),
            wide: (!wide.is_empty()).then(|| Texts::build(&wide, false, statistics)),
        }
    }

    /// Calls `found` with each text in the value; with some more than once.
    #[inline]
    pub(crate) fn probe(&self, text: &[u8], span: Span, mut found: impl FnMut(PatternId)) {
        let wide = self.wide.as_ref().filter(|_| !span.ascii);
        for texts in std::iter::once(&self.plain).chain(wide) {
            texts.probe(text, &mut |pattern, _| {
                found(pattern);
                true
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn every_text_in_a_value_is_found_and_no_other(
            texts in proptest::collection::hash_set("[abéß\u{1f600}]{1,12}", 1..40), value in "[abéß\u{1f600}]{0,80}",
        ) {
            let texts: Vec<String> = texts.into_iter().collect();
            let patterns: Vec<(PatternId, &str)> = (0..).zip(texts.iter().map(String::as_str)).collect();
            let index = Literals::build(&patterns, &Statistics::default());
            let span = Span { ascii: value.is_ascii(), ..Span::default() };
            let mut found = Vec::new();
            index.probe(value.as_bytes(), span, |pattern| found.push(pattern));
            found.sort_unstable();
            found.dedup();
            let expected: Vec<PatternId> =
                patterns.iter().filter(|(_, text)| value.contains(*text)).map(|(number, _)| *number).collect();
            prop_assert_eq!(found, expected);
        }
    }
}
