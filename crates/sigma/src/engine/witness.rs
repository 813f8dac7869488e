//! Witnesses: for a rule, a set of predicates of which at least one holds whenever the rule matches, and which an index
//! finds to hold without evaluating anything. Only rules with a witness in the event are evaluated.

use rustc_hash::{FxHashMap, FxHashSet};

use crate::ast::Op;
use crate::engine::index::longest_plain;
use crate::engine::predicate::Kind;
use crate::engine::program::{Interner, Node, estimate};
use crate::engine::slots::{ANY, Slot};

/// Share of events that have a field, for want of anything better.
pub(crate) const PRESENT: f64 = 0.9;
/// Time it takes to begin with a candidate, in nanoseconds, roughly.
const CANDIDATE: f64 = 30.0;

/// How fast texts of a length are looked for in a field: all as fast as the shortest of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Level {
    /// At every position.
    Short,
    /// At every second position.
    Middle,
    /// At every fourth position.
    Long,
}

impl Level {
    fn of(length: usize) -> Self {
        match length {
            0..5 => Self::Short,
            5..7 => Self::Middle,
            _ => Self::Long,
        }
    }

    /// Time it takes to look for such texts in a field, beyond what longer ones take, in nanoseconds, roughly.
    fn cost(self) -> f64 {
        match self {
            Self::Short => 120.0,
            Self::Middle => 40.0,
            Self::Long => 40.0,
        }
    }
}

type Resource = (Slot, Level);

/// How a rule is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Witness {
    pub(crate) predicate: u32,
    /// By its field being there, whatever is in it; otherwise by what the predicate looks for.
    pub(crate) by_presence: bool,
}

/// For each tree, witnesses of which one must hold when it does, chosen to be rare and cheap to find. `None` when there is
/// no such set.
pub(crate) fn witnesses(nodes: &[&Node], interner: &Interner<'_>) -> Vec<Option<Vec<Witness>>> {
    let mut search = Search {
        interner,
        folded: FxHashSet::default(),
        closed: FxHashSet::default(),
    };
    let costs: Vec<f64> = nodes.iter().map(|node| estimate(node, &interner.estimates).0).collect();
    let mut chosen: Vec<Option<Set>> = nodes.iter().map(|node| search.of(node)).collect();
    for set in chosen.iter().flatten() {
        for witness in &set.witnesses {
            if let Some(predicate) = interner.predicates.get(witness.predicate as usize)
                && matches!(predicate.kind, Kind::Anchored(_))
            {
                search.folded.insert(predicate.slot);
            }
        }
    }
    // Texts are only looked for where that pays: where the rules found by them have no other witness that is nearly as
    // good.
    for level in [Level::Short, Level::Middle, Level::Long] {
        let mut users: FxHashMap<Resource, Vec<usize>> = FxHashMap::default();
        for (rule, set) in chosen.iter().enumerate() {
            for resource in set.iter().flat_map(|set| search.resources(set)) {
                if resource.1 == level {
                    users.entry(resource).or_default().push(rule);
                }
            }
        }
        let mut users: Vec<(Resource, Vec<usize>)> = users.into_iter().collect();
        users.sort();
        for (resource, rules) in users {
            search.closed.insert(resource);
            let others: Vec<Option<Set>> = rules
                .iter()
                .map(|rule| nodes.get(*rule).and_then(|node| search.of(node)))
                .collect();
            let loss: f64 = rules
                .iter()
                .zip(&others)
                .map(|(rule, other)| {
                    let own = chosen
                        .get(*rule)
                        .and_then(|set| set.as_ref())
                        .map_or(0.0, |set| set.share);
                    let other = other.as_ref().map_or(2.0, |set| set.share);
                    let cost = costs.get(*rule).copied().unwrap_or_default();
                    (other - own) * (CANDIDATE + cost)
                })
                .sum();
            if loss > level.cost() {
                search.closed.remove(&resource);
                continue;
            }
            for (rule, other) in rules.into_iter().zip(others) {
                if let Some(set) = chosen.get_mut(rule) {
                    *set = other;
                }
            }
        }
    }
    chosen
        .into_iter()
        .map(|set| {
            let mut witnesses = set?.witnesses;
            witnesses.sort_unstable();
            witnesses.dedup();
            Some(witnesses)
        })
        .collect()
}

struct Set {
    witnesses: Vec<Witness>,
    /// Estimated share of events in which one of them holds.
    share: f64,
}

struct Search<'a, 'i> {
    interner: &'a Interner<'i>,
    /// Slots whose texts are folded in any case.
    folded: FxHashSet<Slot>,
    /// What does not pay.
    closed: FxHashSet<Resource>,
}

impl Search<'_, '_> {
    /// What has to be looked for to find one of the set.
    fn resources(&self, set: &Set) -> FxHashSet<Resource> {
        let by_text = set.witnesses.iter().filter(|witness| !witness.by_presence);
        by_text
            .flat_map(|witness| self.resources_of(witness.predicate))
            .collect()
    }

    fn resources_of(&self, number: u32) -> impl Iterator<Item = Resource> {
        let estimate = self.interner.estimates.get(number as usize);
        let literals = estimate.and_then(|estimate| estimate.literals.as_deref());
        literals.unwrap_or_default().iter().filter_map(|pattern| {
            let pattern = self.interner.patterns.get(*pattern as usize)?;
            if !pattern.text.is_ascii() {
                return None;
            }
            let length = if self.folded.contains(&pattern.slot) {
                pattern.text.len()
            } else {
                longest_plain(&pattern.text).map_or(0, str::len)
            };
            Some((pattern.slot, Level::of(length)))
        })
    }

    fn of(&self, node: &Node) -> Option<Set> {
        match node {
            Node::Predicate(number) => self.of_predicate(*number),
            Node::Constant(false) => Some(Set {
                witnesses: Vec::new(),
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
        let predicate = self.interner.predicates.get(number as usize)?;
        let estimate = self.interner.estimates.get(number as usize)?;
        let is_found = estimate.literals.is_some()
            // For one of many texts the estimate is their sum, which is too much.
            && (estimate.share < PRESENT || matches!(predicate.kind, Kind::Contains(_)))
            && (self.closed.is_empty()
                || !self
                    .resources_of(number)
                    .any(|resource| self.closed.contains(&resource)));
        let (share, by_presence) = match &predicate.kind {
            Kind::Anchored(_) => (estimate.share, false),
            Kind::Contains(_) | Kind::Globs { .. } | Kind::Op { .. } if is_found => (estimate.share, false),
            Kind::Op { op: Op::Null, .. } => return None,
            Kind::Contains(_) | Kind::Globs { .. } | Kind::Op { .. } if predicate.slot == ANY => return None,
            Kind::Contains(_) | Kind::Globs { .. } | Kind::Op { .. } => (PRESENT, true),
        };
        let witness = Witness {
            predicate: number,
            by_presence,
        };
        Some(Set {
            witnesses: vec![witness],
            share,
        })
    }
}

fn share(set: Option<&Set>) -> f64 {
    set.map_or(f64::INFINITY, |set| set.share)
}

fn union(sets: impl Iterator<Item = Option<Set>>) -> Option<Set> {
    let mut all = Set {
        witnesses: Vec::new(),
        share: 0.0,
    };
    for set in sets {
        let set = set?;
        all.witnesses.extend(set.witnesses);
        all.share += set.share;
    }
    Some(all)
}
