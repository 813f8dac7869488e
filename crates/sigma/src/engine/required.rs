//! Texts that must be in a value for a test to hold, so that the test itself is only made where one of them is.

use regex_syntax::hir::{Class, Hir, HirKind};

use crate::ast::Op;
use crate::pattern::{fold, fold_char};

/// Most alternatives that are worth looking for.
const MAX_LITERALS: usize = 64;
/// Shortest text that is worth looking for in a regular expression.
const MIN_LENGTH: usize = 1;

/// Folded texts of which at least one is in the folded form of every text that passes; `None` when there are none.
pub(crate) fn required_literals(op: &Op) -> Option<Vec<String>> {
    match op {
        Op::Text(pattern) => {
            let longest = pattern.longest_literal().filter(|text| !text.is_empty())?;
            Some(vec![fold(longest)])
        }
        Op::Regex(regex) => {
            let hir = regex_syntax::ParserBuilder::new().build().parse(regex.source()).ok()?;
            let literals = of_hir(&hir)?;
            (literals.iter().all(|text| text.len() >= MIN_LENGTH)).then_some(literals)
        }
        Op::Null | Op::Exists | Op::Cidr(_) | Op::FieldRef(_) | Op::Compare(..) | Op::Time(..) => None,
    }
}

fn of_hir(hir: &Hir) -> Option<Vec<String>> {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => None,
        HirKind::Literal(_) | HirKind::Class(_) => exact(hir).map(|text| vec![text]),
        HirKind::Capture(capture) => of_hir(&capture.sub),
        HirKind::Repetition(repetition) if repetition.min > 0 => of_hir(&repetition.sub),
        HirKind::Repetition(_) => None,
        HirKind::Concat(parts) => {
            let mut best: Option<Vec<String>> = None;
            let mut run = String::new();
            for part in parts {
                if let Some(text) = exact(part) {
                    run.push_str(&text);
                    continue;
                }
                // What matches nothing does not separate what is before it from what is behind it.
                if matches!(part.kind(), HirKind::Look(_) | HirKind::Empty) {
                    continue;
                }
                best = better(best, Some(vec![std::mem::take(&mut run)]));
                best = better(best, of_hir(part));
            }
            better(best, Some(vec![run]))
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

/// The folded text when all that matches folds to the same.
fn exact(hir: &Hir) -> Option<String> {
    match hir.kind() {
        HirKind::Literal(literal) => std::str::from_utf8(&literal.0).ok().map(fold),
        HirKind::Class(Class::Unicode(class)) => {
            let mut chars = class
                .ranges()
                .iter()
                .map(|range| (range.end() as u32).saturating_sub(range.start() as u32))
                .all(|extra| extra < 4)
                .then(|| {
                    class
                        .ranges()
                        .iter()
                        .take(8)
                        .flat_map(|range| range.start()..=range.end())
                })?
                .map(fold_char);
            let first = chars.next()?;
            (class.ranges().len() <= 8 && chars.all(|c| c == first)).then(|| first.to_string())
        }
        HirKind::Capture(capture) => exact(&capture.sub),
        HirKind::Empty
        | HirKind::Class(Class::Bytes(_))
        | HirKind::Look(_)
        | HirKind::Repetition(_)
        | HirKind::Concat(_)
        | HirKind::Alternation(_) => None,
    }
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
        ] {
            let hir = regex_syntax::ParserBuilder::new().build().parse(source).unwrap();
            let found = of_hir(&hir).filter(|texts| texts.iter().all(|text| text.len() >= MIN_LENGTH));
            let expected = expected.map(|texts| texts.into_iter().map(str::to_owned).collect());
            assert_eq!(found, expected, "{source}");
        }
    }
}
