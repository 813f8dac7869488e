//! The rules that see the same events, compiled together.

use std::sync::Arc;

use memchr::memmem::Finder;
use rustc_hash::{FxHashMap, FxHashSet};

use crate::ast::Expr;
use crate::engine::index::{Anchored, Literals, PatternId, RawFilter};
use crate::engine::predicate::{Kind, Predicate};
use crate::engine::program::{Code, Interner, Node};
use crate::engine::slots::{Bindings, Names, Slot};
use crate::engine::statistics::Statistics;
use crate::engine::witness::{Witness, witnesses};

/// A rule on its way into a bucket.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Source<'a> {
    /// Its number in the rule set.
    pub(crate) rule: u32,
    pub(crate) detection: &'a Expr,
    /// What is still to be asked about the event's origin.
    pub(crate) gate: Option<&'a Expr>,
}

/// What is looked for in one field.
#[derive(Debug, Default)]
pub(crate) struct FieldIndex {
    /// Rules that are candidates as soon as the field is there.
    pub(crate) present: Box<[u32]>,
    pub(crate) anchored: Option<Anchored>,
    /// Whether rules are found by anchored texts; otherwise these are looked for when a rule asks.
    pub(crate) finds_by_ends: bool,
    pub(crate) literals: Option<Literals>,
    /// For what is not folded yet.
    pub(crate) raw: Option<RawFilter>,
}

/// What follows from a text being in a field.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Posting {
    /// The rule is a candidate.
    Rule(u32),
    /// The predicate is true.
    Holds(u32),
}

/// Rules compiled together. Rules, predicates and slots have numbers of the bucket's own.
#[derive(Debug, Default)]
pub(crate) struct Bucket {
    /// Number of each rule in the rule set, and where its chain starts.
    pub(crate) rules: Box<[(u32, u32)]>,
    pub(crate) code: Code,
    pub(crate) predicates: Box<[Predicate]>,
    pub(crate) bindings: Bindings,
    /// By slot.
    pub(crate) fields: Box<[FieldIndex]>,
    /// Names of the fields in the slots, from the first behind that of keywords.
    pub(crate) slot_names: Box<[Arc<str>]>,
    posting_starts: Box<[u32]>,
    postings: Box<[Posting]>,
    /// Searches for the texts that raw filters look for.
    literals: FxHashMap<PatternId, Finder<'static>>,
    /// Rules without a witness: candidates for every event.
    pub(crate) always: Box<[u32]>,
}

impl Bucket {
    pub(crate) fn build(sources: &[Source<'_>], names: &Names, statistics: &Statistics) -> Self {
        let mut interner = Interner::new(names, statistics);
        let nodes: Vec<(Node, Node)> = sources
            .iter()
            .map(|source| {
                let gate = source.gate.map_or(Node::Constant(true), |gate| interner.lower(gate));
                (interner.lower(source.detection), gate)
            })
            .collect();
        let mut layout = Layout::new(&interner);
        let detections: Vec<&Node> = nodes.iter().map(|(detection, _)| detection).collect();
        for (rule, found) in (0..).zip(witnesses(&detections, &interner)) {
            match found {
                Some(found) => found.iter().for_each(|witness| layout.add(rule, *witness, &interner)),
                None => layout.always.push(rule),
            }
        }
        for number in &layout.indexed {
            if let Some(predicate) = interner.predicates.get_mut(*number as usize) {
                predicate.indexed = true;
            }
            if let Some(estimate) = interner.estimates.get_mut(*number as usize) {
                estimate.cost = 1.0;
            }
        }
        let mut code = Code::default();
        let rules = sources
            .iter()
            .zip(&nodes)
            .map(|(source, (detection, gate))| (source.rule, code.add(detection, gate, &interner.estimates)))
            .collect();
        code.settle(&interner.predicates);
        layout.finish(interner, rules, code)
    }

    /// What follows from the text being in the field.
    #[inline]
    pub(crate) fn postings(&self, pattern: PatternId) -> &[Posting] {
        let starts = self.posting_starts.get(pattern as usize..);
        let Some([start, end]) = starts.and_then(|starts| starts.first_chunk::<2>()) else {
            return &[];
        };
        self.postings.get(*start as usize..*end as usize).unwrap_or_default()
    }

    /// How many texts are looked for.
    pub(crate) fn patterns(&self) -> usize {
        self.posting_starts.len().saturating_sub(1)
    }

    /// Whether a text that the raw filter found a part of is in a folded text.
    pub(crate) fn has_literal(&self, pattern: PatternId, text: &[u8]) -> bool {
        self.literals
            .get(&pattern)
            .is_some_and(|finder| finder.find(text).is_some())
    }

    #[inline]
    pub(crate) fn field(&self, slot: Slot) -> Option<&FieldIndex> {
        self.fields.get(slot as usize)
    }
}

struct Layout {
    always: Vec<u32>,
    /// By slot.
    present: Vec<Vec<u32>>,
    finds_by_ends: Vec<bool>,
    /// By pattern.
    postings: Vec<Vec<Posting>>,
    /// Predicates that the index answers.
    indexed: FxHashSet<u32>,
}

impl Layout {
    fn new(interner: &Interner<'_>) -> Self {
        Self {
            always: Vec::new(),
            present: vec![Vec::new(); interner.slots.len()],
            finds_by_ends: vec![false; interner.slots.len()],
            postings: vec![Vec::new(); interner.patterns.len()],
            indexed: FxHashSet::default(),
        }
    }

    /// Makes the rule a candidate whenever the witness holds.
    fn add(&mut self, rule: u32, witness: Witness, interner: &Interner<'_>) {
        let number = witness.predicate;
        let (Some(predicate), Some(estimate)) = (
            interner.predicates.get(number as usize),
            interner.estimates.get(number as usize),
        ) else {
            return;
        };
        let slot = predicate.slot as usize;
        if witness.by_presence {
            if let Some(present) = self.present.get_mut(slot) {
                present.push(rule);
            }
        } else if let Kind::Anchored(patterns) = &predicate.kind {
            for pattern in patterns {
                self.post(*pattern, Posting::Rule(rule));
            }
            if let Some(finds) = self.finds_by_ends.get_mut(slot) {
                *finds = true;
            }
        } else if let Some(literals) = &estimate.literals {
            let is_new = matches!(predicate.kind, Kind::Contains(_)) && self.indexed.insert(number);
            for pattern in literals {
                self.post(*pattern, Posting::Rule(rule));
                if is_new {
                    self.post(*pattern, Posting::Holds(number));
                }
            }
        }
    }

    fn post(&mut self, pattern: PatternId, posting: Posting) {
        if let Some(postings) = self.postings.get_mut(pattern as usize) {
            postings.push(posting);
        }
    }

    fn finish(self, interner: Interner<'_>, rules: Box<[(u32, u32)]>, code: Code) -> Bucket {
        let mut anchored = vec![Vec::new(); interner.slots.len()];
        let mut literals = vec![Vec::new(); interner.slots.len()];
        for ((number, pattern), postings) in (0..).zip(&interner.patterns).zip(&self.postings) {
            let slot = pattern.slot as usize;
            match pattern.anchor {
                Some(anchor) => {
                    if let Some(patterns) = anchored.get_mut(slot) {
                        patterns.push((number, anchor, pattern.text.as_ref()));
                    }
                }
                None if postings.is_empty() => {}
                None => {
                    if let Some(patterns) = literals.get_mut(slot) {
                        patterns.push((number, pattern.text.as_ref()));
                    }
                }
            }
        }
        let mut finders = FxHashMap::default();
        let fields = anchored
            .iter()
            .zip(&literals)
            .zip(self.present)
            .zip(self.finds_by_ends)
            .map(|(((anchored, literals), present), finds_by_ends)| {
                // Where texts are folded in any case, they are looked for in the folded ones.
                let raw = (!finds_by_ends && !literals.is_empty())
                    .then(|| RawFilter::build(literals, interner.statistics))
                    .flatten();
                if raw.is_some() {
                    let finder = |text: &str| Finder::new(text.as_bytes()).into_owned();
                    finders.extend(literals.iter().map(|(pattern, text)| (*pattern, finder(text))));
                }
                FieldIndex {
                    present: present.into_boxed_slice(),
                    anchored: (!anchored.is_empty()).then(|| Anchored::build(anchored)),
                    finds_by_ends,
                    literals: (!literals.is_empty()).then(|| Literals::build(literals, interner.statistics)),
                    raw,
                }
            })
            .collect();
        let mut postings = Vec::new();
        let mut posting_starts = vec![0];
        for of_pattern in self.postings {
            postings.extend(of_pattern);
            posting_starts.push(u32::try_from(postings.len()).unwrap_or(u32::MAX));
        }
        Bucket {
            rules,
            code,
            bindings: interner.slots.bindings(),
            predicates: interner.predicates.into_boxed_slice(),
            slot_names: interner.slots.names().into(),
            fields,
            literals: finders,
            posting_starts: posting_starts.into_boxed_slice(),
            postings: postings.into_boxed_slice(),
            always: self.always.into_boxed_slice(),
        }
    }
}
