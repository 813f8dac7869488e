//! From the texts of an event to the rules that could match it.

use aho_corasick::{AhoCorasick, AhoCorasickKind, BuildError, MatchKind};
use rustc_hash::FxHashMap;

use crate::engine::slots::{ANY, Slot, Slots};
use crate::engine::witness::{Fact, Witness};

/// Total length of texts up to which their automaton has a full transition table. At 256 bytes of table for each byte
/// of text it is about twice as fast, as long as it fits the processor's caches.
const DFA_MAX_BYTES: usize = 32 << 10;

/// What is looked for in one field.
#[derive(Debug, Default)]
pub(crate) struct FieldIndex {
    exact: FxHashMap<String, Vec<u32>>,
    literals: Option<AhoCorasick>,
    by_literal: Vec<Vec<u32>>,
    /// Rules that are candidates as soon as the field is there.
    pub(crate) present: Vec<u32>,
}

impl FieldIndex {
    /// Whether texts have to be looked at.
    pub(crate) fn reads_texts(&self) -> bool {
        self.literals.is_some() || !self.exact.is_empty()
    }

    /// Calls `mark` with every rule that has a witness in a folded text; with some more than once.
    pub(crate) fn probe(&self, text: &str, mut mark: impl FnMut(u32)) {
        if let Some(rules) = self.exact.get(text) {
            rules.iter().copied().for_each(&mut mark);
        }
        if let Some(literals) = &self.literals {
            for found in literals.find_overlapping_iter(text) {
                let rules = self.by_literal.get(found.pattern().as_usize());
                rules.into_iter().flatten().copied().for_each(&mut mark);
            }
        }
    }
}

/// The witnesses of all rules.
#[derive(Debug, Default)]
pub(crate) struct Index {
    by_slot: Vec<Option<Box<FieldIndex>>>,
    /// Rules without a witness: candidates for every event.
    pub(crate) always: Vec<u32>,
}

impl Index {
    /// Builds the index of rules 0, 1, ... from their witnesses.
    pub(crate) fn build(
        rules: impl Iterator<Item = Option<Vec<Witness>>>,
        slots: &mut Slots,
    ) -> Result<Self, BuildError> {
        let mut index = Self::default();
        let mut literals: FxHashMap<Slot, FxHashMap<String, Vec<u32>>> = FxHashMap::default();
        for (rule, witnesses) in (0..).zip(rules) {
            let Some(witnesses) = witnesses else {
                index.always.push(rule);
                continue;
            };
            for (field, fact) in witnesses {
                let slot = field.map_or(ANY, |field| slots.intern(&field));
                match fact {
                    Fact::Is(text) => index.field(slot).exact.entry(text).or_default().push(rule),
                    Fact::Has(text) => literals.entry(slot).or_default().entry(text).or_default().push(rule),
                    Fact::Present => index.field(slot).present.push(rule),
                }
            }
        }
        for (slot, by_literal) in literals {
            let mut sorted: Vec<(String, Vec<u32>)> = by_literal.into_iter().collect();
            sorted.sort();
            let bytes: usize = sorted.iter().map(|(text, _)| text.len()).sum();
            let automaton = AhoCorasick::builder()
                .match_kind(MatchKind::Standard)
                .kind((bytes <= DFA_MAX_BYTES).then_some(AhoCorasickKind::DFA))
                .build(sorted.iter().map(|(text, _)| text))?;
            let field = index.field(slot);
            field.literals = Some(automaton);
            field.by_literal = sorted.into_iter().map(|(_, rules)| rules).collect();
        }
        Ok(index)
    }

    /// What is looked for in a field, if anything.
    pub(crate) fn get(&self, slot: Slot) -> Option<&FieldIndex> {
        self.by_slot.get(slot as usize)?.as_deref()
    }

    fn field(&mut self, slot: Slot) -> &mut FieldIndex {
        let at = slot as usize;
        if self.by_slot.len() <= at {
            self.by_slot.resize_with(at + 1, || None);
        }
        self.by_slot[at].get_or_insert_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ast::Field;

    #[test]
    fn a_text_marks_the_rules_of_every_fact_in_it_and_no_others() {
        let on = |fact| Some(vec![(Some(Field::named("f")), fact)]);
        let rules = [
            on(Fact::Is("abc".to_owned())),
            on(Fact::Has("bc".to_owned())),
            on(Fact::Has("abc".to_owned())),
            on(Fact::Has("cd".to_owned())),
            on(Fact::Is("ab".to_owned())),
            on(Fact::Present),
            None,
            Some(Vec::new()),
        ];
        let mut slots = Slots::new();
        let index = Index::build(rules.into_iter(), &mut slots).unwrap();
        let field = index.get(slots.intern(&Field::named("f"))).unwrap();
        let mut marked = Vec::new();
        field.probe("abc", |rule| marked.push(rule));
        marked.sort_unstable();
        assert_eq!(marked, [0, 1, 2]);
        assert_eq!(
            (field.present.as_slice(), index.always.as_slice()),
            ([5].as_slice(), [6].as_slice())
        );
        assert!(field.reads_texts() && index.get(ANY).is_none());
    }
}
