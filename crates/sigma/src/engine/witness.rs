//! Witnesses: for a rule, a set of cheap facts of which at least one holds whenever the rule matches. Only rules with
//! a witness in the event are evaluated.

use std::collections::HashSet;

use crate::ast::{Expr, Field, Op, Subject, Test};
use crate::pattern::{Shape, fold};

/// A fact about an event that is found without evaluating a rule. Texts are folded.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Fact {
    /// A value of the subject is exactly this text.
    Is(String),
    /// A value of the subject has this text in it.
    Has(String),
    /// The field is there.
    Present,
}

/// A fact and where it is looked for; no field stands for all.
pub(crate) type Witness = (Option<Field>, Fact);

/// Facts of which one must hold when `expr` does, chosen to be rare. `None` when there is no such set.
pub(crate) fn witnesses(expr: &Expr) -> Option<Vec<Witness>> {
    let mut found = search(expr)?.facts;
    let mut seen = HashSet::new();
    found.retain(|witness| seen.insert(witness.clone()));
    Some(found)
}

struct Set {
    facts: Vec<Witness>,
    /// Estimated share of events in which one of them holds.
    share: f64,
}

fn search(expr: &Expr) -> Option<Set> {
    match expr {
        Expr::Test(test) => of_test(test),
        Expr::Not(_) => None,
        Expr::And(terms) => terms
            .iter()
            .filter_map(search)
            .min_by(|left, right| left.share.total_cmp(&right.share)),
        Expr::Or(terms) => union(terms.iter().map(search)),
        Expr::AtLeast(count, terms) => {
            // Of any so many terms, at least one is among all but the last `count - 1`.
            let mut sets: Vec<Option<Set>> = terms.iter().map(search).collect();
            sets.sort_by(|left, right| share(left.as_ref()).total_cmp(&share(right.as_ref())));
            let keep = (sets.len() + 1).saturating_sub((*count).max(1));
            union(sets.into_iter().take(keep))
        }
    }
}

fn share(set: Option<&Set>) -> f64 {
    set.map_or(f64::INFINITY, |set| set.share)
}

fn union(sets: impl Iterator<Item = Option<Set>>) -> Option<Set> {
    let mut all = Set {
        facts: Vec::new(),
        share: 0.0,
    };
    for set in sets {
        let set = set?;
        all.facts.extend(set.facts);
        all.share += set.share;
    }
    Some(all)
}

fn of_test(test: &Test) -> Option<Set> {
    let field = match &test.subject {
        Subject::Field(name) => Some(name.clone()),
        Subject::Any => None,
    };
    let (fact, share) = match &test.op {
        Op::Null => return None,
        Op::Text(pattern) => match (&pattern.shape, pattern.longest_literal()) {
            (Shape::Exact(text), _) => (Fact::Is(fold(text)), 0.3 * rarity(text).max(0.02)),
            (_, Some(literal)) if !literal.is_empty() => (Fact::Has(fold(literal)), rarity(literal)),
            _ => (Fact::Present, 0.9),
        },
        Op::Exists | Op::Regex(_) | Op::Cidr(_) | Op::FieldRef(_) | Op::Compare(..) | Op::Time(..) => {
            (Fact::Present, 0.9)
        }
    };
    if fact == Fact::Present && field.is_none() {
        return None;
    }
    Some(Set {
        facts: vec![(field, fact)],
        share,
    })
}

/// Estimated share of values with this text in them: the longer, the fewer.
fn rarity(literal: &str) -> f64 {
    let length = i32::try_from(literal.len()).unwrap_or(i32::MAX).min(40);
    0.8 * 0.75_f64.powi(length)
}
