//! Witnesses: for a rule, a set of predicates of which at least one holds whenever the rule matches, and which an index
//! finds to hold without evaluating anything. Only rules with a witness in the event are evaluated.

use crate::ast::Op;
use crate::engine::predicate::{Kind, Predicate};
use crate::engine::program::{Estimate, Node};
use crate::engine::slots::ANY;

/// Share of events that have a field, for want of anything better.
const PRESENT: f64 = 0.9;

/// Predicates of which one must hold when the tree does, chosen to be rare. `None` when there is no such set.
pub(crate) fn witnesses(node: &Node, predicates: &[Predicate], estimates: &[Estimate]) -> Option<Vec<u32>> {
    let search = Search { predicates, estimates };
    let mut found = search.of(node)?.predicates;
    found.sort_unstable();
    found.dedup();
    Some(found)
}

struct Set {
    predicates: Vec<u32>,
    /// Estimated share of events in which one of them holds.
    share: f64,
}

struct Search<'a> {
    predicates: &'a [Predicate],
    estimates: &'a [Estimate],
}

impl Search<'_> {
    fn of(&self, node: &Node) -> Option<Set> {
        match node {
            Node::Predicate(number) => self.of_predicate(*number),
            Node::Constant(false) => Some(Set {
                predicates: Vec::new(),
                share: 0.0,
            }),
            Node::Constant(true) | Node::Not(_) => None,
            Node::And(terms) => terms
                .iter()
                .filter_map(|term| self.of(term))
                .min_by(|left, right| left.share.total_cmp(&right.share)),
            Node::Or(terms) => union(terms.iter().map(|term| self.of(term))),
            Node::AtLeast(count, terms) => {
                // Of any so many terms, at least one is among all but the last `count - 1`.
                let mut sets: Vec<Option<Set>> = terms.iter().map(|term| self.of(term)).collect();
                sets.sort_by(|left, right| share(left.as_ref()).total_cmp(&share(right.as_ref())));
                let keep = (sets.len() + 1).saturating_sub((*count).max(1));
                union(sets.into_iter().take(keep))
            }
        }
    }

    fn of_predicate(&self, number: u32) -> Option<Set> {
        let predicate = self.predicates.get(number as usize)?;
        let estimate = self.estimates.get(number as usize)?;
        let share = match &predicate.kind {
            Kind::Anchored(_) => estimate.share,
            Kind::Contains(_) | Kind::Op { .. } if estimate.literals.is_some() => estimate.share,
            Kind::Op { op: Op::Null, .. } | Kind::Contains(_) => return None,
            Kind::Op { .. } if predicate.slot == ANY => return None,
            Kind::Op { .. } => PRESENT,
        };
        Some(Set {
            predicates: vec![number],
            share,
        })
    }
}

fn share(set: Option<&Set>) -> f64 {
    set.map_or(f64::INFINITY, |set| set.share)
}

fn union(sets: impl Iterator<Item = Option<Set>>) -> Option<Set> {
    let mut all = Set {
        predicates: Vec::new(),
        share: 0.0,
    };
    for set in sets {
        let set = set?;
        all.predicates.extend(set.predicates);
        all.share += set.share;
    }
    Some(all)
}
