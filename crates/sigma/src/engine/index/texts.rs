//! Texts looked for together, each group in the way that suits it.

use super::PatternId;
use super::grams::{Grams, Short};
use super::sieve::{self, Sieve};
use crate::engine::statistics::Statistics;

/// Number of texts up to which a sieve alone finds them faster than a bitmap does.
const FEW: usize = 32;
/// Most sieves for short texts.
const MOST_SIEVES: usize = 3;
/// Number of texts beyond which looking at every fourth position takes more memory than it saves time.
const VERY_MANY: usize = 512;

/// Texts looked for anywhere in values.
#[derive(Debug, Default)]
pub(super) struct Texts {
    sieves: Box<[Sieve]>,
    long: Option<Grams>,
    middle: Option<Grams>,
    short: Option<Short>,
}

impl Texts {
    /// No text must be empty. With `ignores_case`, values need not be folded, and more is found than is there.
    pub(super) fn build(patterns: &[(PatternId, &str)], ignores_case: bool, statistics: &Statistics) -> Self {
        if Sieve::is_supported() {
            Self::with_sieve(patterns, ignores_case, statistics)
        } else {
            Self::without_sieve(patterns, ignores_case, statistics)
        }
    }

    fn with_sieve(patterns: &[(PatternId, &str)], ignores_case: bool, statistics: &Statistics) -> Self {
        if patterns.len() <= FEW {
            return Self {
                sieves: sieves(patterns, ignores_case, statistics),
                ..Self::default()
            };
        }
        let stride = if patterns.len() > VERY_MANY { 2 } else { 4 };
        let (long, mut rest) = split(patterns, Grams::shortest(stride));
        let mut texts = Self {
            long: grams(&long, stride, ignores_case, statistics),
            ..Self::default()
        };
        if rest.len() > sieve::MOST {
            let (middle, short) = split(&rest, Grams::shortest(2));
            texts.middle = grams(&middle, 2, ignores_case, statistics);
            rest = short;
        }
        if rest.len() > sieve::MOST * MOST_SIEVES {
            texts.short = Some(Short::build(&rest, ignores_case));
        } else {
            texts.sieves = sieves(&rest, ignores_case, statistics);
        }
        texts
    }

    fn without_sieve(patterns: &[(PatternId, &str)], ignores_case: bool, statistics: &Statistics) -> Self {
        // A few short texts must not slow down the search for all others.
        let (long, short) = split(patterns, Grams::shortest(2));
        let stride = Grams::stride(long.iter().map(|(_, text)| *text));
        Self {
            long: stride.and_then(|stride| grams(&long, stride, ignores_case, statistics)),
            short: (!short.is_empty()).then(|| Short::build(&short, ignores_case)),
            ..Self::default()
        }
    }

    /// Calls `found` with texts in the value and where they start: with each at least once, and again at most until it
    /// says true. Whatever `found` is, this is the same code, of which the processor then holds one copy only.
    pub(super) fn probe(&self, value: &[u8], found: &mut dyn FnMut(PatternId, usize) -> bool) {
        for sieve in &self.sieves {
            sieve.probe(value, found);
        }
        for grams in [&self.long, &self.middle].into_iter().flatten() {
            grams.probe(value, |pattern, at| {
                found(pattern, at);
            });
        }
        if let Some(short) = &self.short {
            short.probe(value, |pattern, at| {
                found(pattern, at);
            });
        }
    }
}

type Patterns<'a> = Vec<(PatternId, &'a str)>;

/// Those at least that long, and the others.
fn split<'a>(patterns: &[(PatternId, &'a str)], length: usize) -> (Patterns<'a>, Patterns<'a>) {
    patterns.iter().partition(|(_, text)| text.len() >= length)
}

fn sieves(patterns: &[(PatternId, &str)], ignores_case: bool, statistics: &Statistics) -> Box<[Sieve]> {
    let mut sorted = patterns.to_vec();
    // What looks alike goes into the same.
    sorted.sort_unstable_by_key(|(_, text)| *text);
    sorted
        .chunks(sieve::MOST)
        .filter_map(|chunk| Sieve::build(chunk, ignores_case, |byte| statistics.share_of_byte(byte)))
        .collect()
}

fn grams(patterns: &[(PatternId, &str)], stride: usize, ignores_case: bool, statistics: &Statistics) -> Option<Grams> {
    let frequency = |gram| statistics.of_gram(gram);
    (!patterns.is_empty()).then(|| Grams::build(patterns, stride, ignores_case, frequency))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn every_text_is_found_however_many_there_are(
            texts in proptest::collection::hash_set("[ab:é]{1,9}|[a-d]{2,14}", 1..700),
            value in "[abAB:é]{0,150}|[a-dA-D]{0,100}",
            ignores_case: bool,
        ) {
            let texts: Vec<String> = texts.into_iter().collect();
            let patterns: Vec<(PatternId, &str)> = (0..).zip(texts.iter().map(String::as_str)).collect();
            let folded = if ignores_case { value.to_ascii_lowercase() } else { value.clone() };
            let expected: Vec<PatternId> =
                patterns.iter().filter(|(_, text)| folded.contains(*text)).map(|(number, _)| *number).collect();
            let statistics = Statistics::default();
            let all = [
                Texts::build(&patterns, ignores_case, &statistics),
                Texts::without_sieve(&patterns, ignores_case, &statistics),
            ];
            for index in all {
                let mut found = Vec::new();
                index.probe(value.as_bytes(), &mut |pattern, at| {
                    let text = texts[pattern as usize].as_bytes();
                    assert!(folded.as_bytes()[at..].starts_with(text), "{value}: {pattern} at {at}");
                    found.push(pattern);
                    true
                });
                found.sort_unstable();
                found.dedup();
                prop_assert_eq!(&found, &expected);
            }
        }
    }
}
