//! From the texts of one field to the patterns in them.

mod anchored;
mod grams;
mod raw;

pub(crate) use anchored::{Anchor, Anchored};
pub(crate) use grams::gram;
use grams::{Grams, Short};
pub(crate) use raw::{RawFilter, longest_plain};

use crate::engine::arena::Span;
use crate::engine::statistics::Statistics;

/// Number of a text that is looked for, in a bucket.
pub(crate) type PatternId = u32;

/// Texts looked for anywhere in the values of a field.
#[derive(Debug, Default)]
pub(crate) struct Literals {
    plain: Option<Grams>,
    short: Option<Short>,
    /// Texts that are not all ASCII are in no value that is.
    wide: Option<Grams>,
    wide_short: Option<Short>,
}

impl Literals {
    /// All texts must be folded and not empty.
    pub(crate) fn build(patterns: &[(PatternId, &str)], statistics: &Statistics) -> Self {
        let grams = |ascii: bool, stride: usize| {
            let fit: Vec<(PatternId, &str)> = patterns
                .iter()
                .filter(|(_, text)| text.is_ascii() == ascii && text.len() >= Grams::shortest(stride))
                .copied()
                .collect();
            (!fit.is_empty()).then(|| Grams::build(&fit, stride, false, |gram| statistics.of_gram(gram)))
        };
        let short = |ascii: bool, stride: usize| {
            let fit: Vec<(PatternId, &str)> = patterns
                .iter()
                .filter(|(_, text)| text.is_ascii() == ascii && text.len() < Grams::shortest(stride))
                .copied()
                .collect();
            (!fit.is_empty()).then(|| Short::build(&fit, false))
        };
        Self {
            plain: grams(true, 2),
            short: short(true, 2),
            wide: grams(false, 1),
            wide_short: short(false, 1),
        }
    }

    /// Calls `found` with each text in the value; with some more than once.
    #[inline]
    pub(crate) fn probe(&self, text: &[u8], span: Span, mut found: impl FnMut(PatternId)) {
        if let Some(grams) = &self.plain {
            grams.probe(text, |pattern, _| found(pattern));
        }
        if let Some(short) = &self.short {
            short.probe(text, |pattern, _| found(pattern));
        }
        if !span.ascii {
            if let Some(grams) = &self.wide {
                grams.probe(text, |pattern, _| found(pattern));
            }
            if let Some(short) = &self.wide_short {
                short.probe(text, |pattern, _| found(pattern));
            }
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
