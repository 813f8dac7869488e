//! Conditions.

use super::{Findings, codes};
use crate::detection::{Condition, Detection, Tree};
use crate::logic::tokenize;

const FIELD: &str = "detection.condition";

pub(super) fn check(detection: &Detection, found: &mut Findings<'_>) {
    let mut used = vec![false; detection.searches.len()];
    for condition in &detection.conditions {
        condition.tree.searches(&mut |position| {
            if let Some(used) = used.get_mut(position) {
                *used = true;
            }
        });
        of_one(condition, detection, found);
        if let Some(negated) = negated(&condition.tree) {
            let (code, message) = match negated {
                Negated::Only => (&codes::ONLY_NEGATED, "the condition only says what must not be there"),
                Negated::Or => (
                    &codes::NEGATED_SEARCH_OR,
                    "an alternative only says what must not be there",
                ),
            };
            found.found(code, condition.line, condition.column, FIELD, message);
        }
    }
    for (search, used) in detection.searches.iter().zip(used) {
        if !used {
            let field = format!("detection.{}", search.name);
            let message = format!("no condition uses `{}`", search.name);
            found.found(&codes::UNUSED_SEARCH, search.line, search.column, field, message);
        }
    }
}

/// `1 of x*` where only one search has such a name.
fn of_one(condition: &Condition, detection: &Detection, found: &mut Findings<'_>) {
    let tokens = tokenize(&condition.text);
    for window in tokens.windows(3) {
        let [quantifier, of, pattern] = window else { continue };
        if !of.eq_ignore_ascii_case("of") {
            continue;
        }
        let names = detection.searches.iter().map(|search| search.name.as_str());
        let count = names.filter(|name| crate::condition::chooses(pattern, name)).count();
        if count == 1 {
            let message = format!("`{quantifier} of {pattern}` chooses one search only");
            found.found(&codes::OF_ONE, condition.line, condition.column, FIELD, message);
        }
    }
}

enum Negated {
    Only,
    Or,
}

/// Whether a condition, or an alternative in it, holds for events that have nothing it names.
fn negated(tree: &Tree) -> Option<Negated> {
    match tree {
        Tree::Not(inner) => match inner.as_ref() {
            // Not everything of several: some of it may still be there.
            Tree::All(_) | Tree::Search(_) | Tree::Any(_) | Tree::AtLeast(..) => Some(Negated::Only),
            Tree::Not(_) => None,
        },
        Tree::All(terms) => terms
            .iter()
            .all(|term| matches!(negated(term), Some(Negated::Only)))
            .then_some(Negated::Only),
        Tree::Any(terms) => {
            let only = terms.iter().filter(|term| negated(term).is_some()).count();
            match only {
                0 => None,
                _ if only == terms.len() => Some(Negated::Only),
                _ => Some(Negated::Or),
            }
        }
        Tree::Search(_) | Tree::AtLeast(..) => None,
    }
}
