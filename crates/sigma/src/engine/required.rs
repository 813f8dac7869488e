//! Texts that must be in a value for a test to hold, so that the test itself is only made where one of them is.

use regex_syntax::hir::{Class, Hir, HirKind};

use crate::ast::Op;
use crate::pattern::{fold, fold_char};

/// Most alternatives that are worth looking for.
const MAX_LITERALS: usize = 64;
/// Most characters of a class that are looked for one by one; each may be written in several cases.
const MAX_CLASS: usize = 24;
/// Most texts that a run of characters and small classes stands for.
const MAX_VARIANTS: usize = 16;
/// Length from which on a run is not made longer if that makes it more than one text.
const LONG_ENOUGH: usize = 4;
/// Shortest text that is worth looking for in a regular expression.
const MIN_LENGTH: usize = 1;

/// What a text must have to pass a test.
#[derive(Debug, Default)]
pub(crate) struct Required {
    /// Folded texts of which at least one is in its folded form; `None` when there are none.
    pub(crate) literals: Option<Vec<String>>,
    /// Its length, in bytes.
    pub(crate) shortest: usize,
}

/// What a text must have for the test to pass. `share` estimates how common a folded text is.
pub(crate) fn required(op: &Op, share: impl Fn(&str) -> f64) -> Required {
    match op {
        Op::Text(pattern) => {
            let rarest = pattern.rarest_literal(share).filter(|text| !text.is_empty());
            Required {
                literals: rarest.map(|text| vec![fold(text)]),
                shortest: 0,
            }
        }
        Op::Regex(regex) => {
            let Ok(hir) = regex_syntax::ParserBuilder::new().build().parse(regex.source()) else {
                return Required::default();
            };
            let literals = of_hir(&hir);
            Required {
                literals: literals.filter(|texts| texts.iter().all(|text| text.len() >= MIN_LENGTH)),
                shortest: hir.properties().minimum_len().unwrap_or(0),
            }
        }
        Op::Null | Op::Exists | Op::Cidr(_) | Op::FieldRef(_) | Op::Compare(..) | Op::Time(..) => Required::default(),
    }
}

fn of_hir(hir: &Hir) -> Option<Vec<String>> {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => None,
        HirKind::Literal(_) | HirKind::Class(_) => variants(hir),
        HirKind::Capture(capture) => of_hir(&capture.sub),
        HirKind::Repetition(repetition) if repetition.min > 0 => of_hir(&repetition.sub),
        HirKind::Repetition(_) => None,
        HirKind::Concat(parts) => {
            let mut best: Option<Vec<String>> = None;
            let mut run = vec![String::new()];
            for part in parts {
                // What matches nothing does not separate what is before it from what is behind it.
                if matches!(part.kind(), HirKind::Look(_) | HirKind::Empty) {
                    continue;
                }
                let next = variants(part);
                match &next {
                    Some(next) if is_worth(&run, next) => run = joined(&run, next),
                    Some(next) => best = better(best, Some(std::mem::replace(&mut run, next.clone()))),
                    None => {
                        best = better(best, Some(std::mem::replace(&mut run, vec![String::new()])));
                        best = better(best, of_hir(part));
                    }
                }
            }
            better(best, Some(run))
        }
        HirKind::Alternation(branches) => {
            let mut all = Vec::new();
            for branch in branches {
                all.extend(of_hir(branch)?);
                if all.len() > MAX_LITERALS {
                    return None;
                }
            }
            all.sort();
            all.dedup();
            Some(all)
        }
    }
}

/// The folded texts that match, when these are few and all there is.
fn variants(hir: &Hir) -> Option<Vec<String>> {
    match hir.kind() {
        HirKind::Literal(literal) => std::str::from_utf8(&literal.0).ok().map(|text| vec![fold(text)]),
        HirKind::Class(Class::Unicode(class)) => {
            let ranges = class.ranges();
            let count: usize = ranges.iter().map(regex_syntax::hir::ClassUnicodeRange::len).sum();
            if count > MAX_CLASS {
                return None;
            }
            let mut all: Vec<String> = ranges
                .iter()
                .flat_map(|range| range.start()..=range.end())
                .map(|c| fold_char(c).to_string())
                .collect();
            all.sort();
            all.dedup();
            (!all.is_empty() && all.len() <= MAX_VARIANTS).then_some(all)
        }
        HirKind::Capture(capture) => variants(&capture.sub),
        HirKind::Empty
        | HirKind::Class(Class::Bytes(_))
        | HirKind::Look(_)
        | HirKind::Repetition(_)
        | HirKind::Concat(_)
        | HirKind::Alternation(_) => None,
    }
}

/// Whether a run is better with what follows: it gets longer, but there are more of it.
fn is_worth(run: &[String], next: &[String]) -> bool {
    let is_short = run.iter().any(|text| text.len() < LONG_ENOUGH);
    next.len() == 1 || is_short && next.len() * run.len() <= MAX_VARIANTS
}

fn joined(left: &[String], right: &[String]) -> Vec<String> {
    left.iter()
        .flat_map(|left| right.iter().map(move |right| format!("{left}{right}")))
        .collect()
}

fn better(left: Option<Vec<String>>, right: Option<Vec<String>>) -> Option<Vec<String>> {
    let worth = |texts: &Option<Vec<String>>| {
        texts
            .as_ref()
            .and_then(|texts| texts.iter().map(String::len).min())
            .unwrap_or(0)
    };
    // Longer texts are rarer; beyond some length it no longer matters, and fewer are cheaper.
    let rank = |texts: &Option<Vec<String>>| {
        let count = texts.as_ref().map_or(usize::MAX, Vec::len);
        (worth(texts).min(8), usize::MAX - count)
    };
    if rank(&right) > rank(&left) && worth(&right) > 0 {
        right
    } else {
        left
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_every_match_has_in_it() {
        for (source, expected) in [
            ("abc", Some(vec!["abc"])),
            ("ABC", Some(vec!["abc"])),
            ("(?i)aBk", Some(vec!["abk"])),
            (r"^\s*foobar\d+$", Some(vec!["foobar"])),
            ("(foo|barbaz)x?", Some(vec!["barbaz", "foo"])),
            ("(?:foo|b)", Some(vec!["b", "foo"])),
            ("a*b?", None),
            ("(abcd){2,}", Some(vec!["abcd"])),
            ("(abcd){0,2}", None),
            (r"\bword\b", Some(vec!["word"])),
            ("[a-z]{4}`", Some(vec!["`"])),
            ("[a-z]+longer[0-9]short", Some(vec!["longer"])),
            (".", None),
            (r#"[a-z]+\.[ "']{1}x*"#, Some(vec![". ", ".\"", ".'"])),
            ("[ab][cd]", Some(vec!["ac", "ad", "bc", "bd"])),
            (
                "[abcde]longer[fghij]",
                Some(vec!["alonger", "blonger", "clonger", "dlonger", "elonger"]),
            ),
            ("(?i)[ks]é", Some(vec!["ké", "sé"])),
        ] {
            let hir = regex_syntax::ParserBuilder::new().build().parse(source).unwrap();
            let found = of_hir(&hir).filter(|texts| texts.iter().all(|text| text.len() >= MIN_LENGTH));
            let expected = expected.map(|texts| texts.into_iter().map(str::to_owned).collect());
            assert_eq!(found, expected, "{source}");
        }
    }
}
