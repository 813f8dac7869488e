//! Rules compiled together.

use std::collections::HashSet;
use std::sync::Arc;

use model::Event;
use rustc_hash::FxHashMap;

use crate::ast::Expr;
use crate::engine::evaluate::Evaluation;
use crate::engine::index::Index;
use crate::engine::program::{Interner, Node, Predicate};
use crate::engine::scratch::Scratch;
use crate::engine::slots::{ANY, Binding, Slots, TIMESTAMP, is_searched_by_keywords};
use crate::engine::witness::witnesses;
use crate::error::RuleError;
use crate::logsource::{Catalog, Resolved};
use crate::rule::Rule;

/// Rules compiled together: what they share is looked for once per event. Immutable, so it can be swapped as a whole
/// and used by any number of threads, each with its own [`Scratch`].
#[derive(Debug, Default)]
pub struct RuleSet {
    rules: Vec<Rule>,
    compiled: Vec<Compiled>,
    gates: Vec<Node>,
    predicates: Vec<Predicate>,
    slots: Slots,
    index: Index,
    time: Vec<Binding>,
}

#[derive(Debug)]
struct Compiled {
    gate: u32,
    detection: Node,
}

impl RuleSet {
    /// Compiles rules. A rule that cannot be part of the set is left out and said why; the others are not affected.
    /// Of two rules with one id, the first is taken.
    #[must_use]
    pub fn compile(rules: Vec<Rule>) -> (Self, Vec<RuleError>) {
        let mut errors = Vec::new();
        let mut ids = HashSet::new();
        let mut kept = Vec::with_capacity(rules.len());
        let mut resolved = Vec::with_capacity(rules.len());
        for rule in rules {
            if !ids.insert(rule.id.clone()) {
                let reason = format!("expected an id of its own, got {} again", rule.id);
                errors.push(refusal(&rule, "id", reason));
                continue;
            }
            match Catalog::builtin().resolve(&rule) {
                Ok(parts) => {
                    resolved.push(parts);
                    kept.push(rule);
                }
                Err(error) => errors.push(error),
            }
        }
        match Self::build(kept, &resolved) {
            Ok(set) => (set, errors),
            Err((rules, reason)) => {
                errors.extend(rules.iter().map(|rule| refusal(rule, "detection", reason.clone())));
                (Self::default(), errors)
            }
        }
    }

    #[allow(
        clippy::mutable_key_type,
        reason = "a regular expression is compared by its source, not by its cache"
    )]
    fn build(rules: Vec<Rule>, resolved: &[Resolved]) -> Result<Self, (Vec<Rule>, String)> {
        let mut slots = Slots::new();
        let mut interner = Interner::default();
        let mut gates = Vec::new();
        let mut gate_numbers: FxHashMap<Arc<Expr>, u32> = FxHashMap::default();
        let mut compiled = Vec::with_capacity(rules.len());
        for parts in resolved {
            let gate = *gate_numbers.entry(parts.gate.clone()).or_insert_with(|| {
                gates.push(interner.lower(&parts.gate, &mut slots));
                u32::try_from(gates.len() - 1).unwrap_or(u32::MAX)
            });
            compiled.push(Compiled {
                gate,
                detection: interner.lower(&parts.detection, &mut slots),
            });
        }
        let index = match Index::build(resolved.iter().map(|parts| witnesses(&parts.detection)), &mut slots) {
            Ok(index) => index,
            Err(error) => return Err((rules, format!("expected fewer texts in one rule set: {error}"))),
        };
        let time = slots.bindings(TIMESTAMP).to_vec();
        Ok(Self {
            rules,
            compiled,
            gates,
            predicates: interner.predicates,
            slots,
            index,
            time,
        })
    }

    /// How many rules.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rules.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// The rules; [`Self::evaluate`] answers with positions in this slice.
    #[must_use]
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// Appends the positions of all rules that match the event to `hits`, in ascending order. `hits` is not cleared.
    pub fn evaluate(&self, event: &Event, scratch: &mut Scratch, hits: &mut Vec<usize>) {
        scratch.begin(
            event,
            self.slots.len(),
            self.predicates.len(),
            self.gates.len(),
            self.rules.len(),
        );
        self.bind_fields(event, scratch);
        self.find_candidates(event, scratch);
        let mut candidates = std::mem::take(&mut scratch.candidates);
        candidates.sort_unstable();
        let mut evaluation = Evaluation {
            event,
            predicates: &self.predicates,
            scratch,
        };
        for rule in &candidates {
            let Some(compiled) = self.compiled.get(*rule as usize) else {
                continue;
            };
            if self.passes_gate(compiled.gate, &mut evaluation) && evaluation.holds(&compiled.detection) {
                hits.push(*rule as usize);
            }
        }
        scratch.candidates = candidates;
    }

    fn passes_gate(&self, gate: u32, evaluation: &mut Evaluation<'_>) -> bool {
        if let Some(known) = evaluation.scratch.gate(gate) {
            return known;
        }
        let passes = self.gates.get(gate as usize).is_some_and(|node| evaluation.holds(node));
        evaluation.scratch.remember_gate(gate, passes);
        passes
    }

    fn bind_fields(&self, event: &Event, scratch: &mut Scratch) {
        for (position, (name, _)) in event.fields.iter().enumerate() {
            for binding in self.slots.bindings(name) {
                scratch.bind(*binding, position);
            }
        }
        for binding in &self.time {
            scratch.bind(*binding, event.fields.len());
        }
    }

    fn find_candidates(&self, event: &Event, scratch: &mut Scratch) {
        for rule in &self.index.always {
            scratch.mark(*rule);
        }
        let keywords = self.index.get(ANY);
        if let Some(index) = keywords {
            for (position, (name, _)) in event.fields.iter().enumerate() {
                if is_searched_by_keywords(name) {
                    let texts = scratch.fold(event, position);
                    scratch.probe(index, texts);
                }
            }
        }
        let mut position = 0;
        while let Some(slot) = scratch.bound_slot(position) {
            position += 1;
            let (Some(index), Some(field)) = (self.index.get(slot), scratch.field_in(slot)) else {
                continue;
            };
            for rule in &index.present {
                scratch.mark(*rule);
            }
            if index.reads_texts() {
                let texts = scratch.fold(event, field);
                scratch.probe(index, texts);
            }
        }
    }
}

fn refusal(rule: &Rule, field: &str, reason: String) -> RuleError {
    RuleError {
        path: rule.path.clone(),
        line: None,
        column: None,
        field: field.to_owned(),
        reason,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_can_share_a_rule_set() {
        fn shared<T: Send + Sync + 'static>() {}
        shared::<RuleSet>();
        shared::<Scratch>();
    }
}
