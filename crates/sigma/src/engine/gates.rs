//! Which rules can see an event: the gates of all rules, decided by the values of the few fields they ask for.
//!
//! Of each such field only matters which of the gates' questions its value answers with yes: its class. The classes of
//! all these fields together are an event's key, and events of the same key see the same rules. Questions whose answers
//! would make too many classes (a text anywhere in a message, say) are left open: where a gate depends on them, its
//! rules are let in and asked again when everything else about them holds.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use crate::ast::{Expr, Op, Subject, Test};
use crate::engine::arena::{Arena, Span};
use crate::engine::slots::{Bindings, Names, Slot, Slots};
use crate::engine::source::{Item, Source};
use crate::pattern::{Pattern, Shape};

/// Most fields whose values make up a key.
const MAX_SLOTS: usize = 96;

/// Whether rules behind a gate see an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Verdict {
    No,
    Yes,
    /// It has to be asked of each event.
    Open,
}

#[derive(Debug)]
enum Node {
    /// A question by slot and number.
    Known(Slot, u16),
    Open,
    And(Vec<Node>),
    Or(Vec<Node>),
    Not(Box<Node>),
    AtLeast(usize, Vec<Node>),
}

/// The questions to one field.
#[derive(Debug, Default)]
struct Questions {
    count: u16,
    null: Option<u16>,
    exists: Option<u16>,
    whole: FxHashMap<Box<[u8]>, u16>,
    others: Vec<(u16, Pattern)>,
}

/// All gates of a rule set.
#[derive(Debug, Default)]
pub(crate) struct Gates {
    nodes: Vec<Node>,
    /// By slot; that of keywords has none.
    questions: Vec<Questions>,
    pub(crate) bindings: Bindings,
}

impl Gates {
    pub(crate) fn build(gates: &[Arc<Expr>], names: &Names) -> Self {
        let mut builder = Builder {
            names,
            slots: Slots::default(),
            questions: vec![Questions::default()],
        };
        let nodes = gates.iter().map(|gate| builder.node(gate)).collect();
        Self {
            nodes,
            bindings: builder.slots.bindings(),
            questions: builder.questions,
        }
    }

    /// How many slots there are.
    pub(crate) fn slots(&self) -> usize {
        self.questions.len()
    }

    /// The questions to a slot that are answered with yes, in ascending order, by a field or its absence.
    pub(crate) fn answers(&self, slot: Slot, field: Option<(&impl Source, Item)>) -> Box<[u16]> {
        let Some(questions) = self.questions.get(slot as usize) else {
            return Box::default();
        };
        let Some((source, item)) = field else {
            return questions.null.into_iter().collect();
        };
        let mut yes = Vec::new();
        if source.is_null(item) {
            yes.extend(questions.null);
        }
        if source.exists(item) {
            yes.extend(questions.exists);
        }
        let (mut arena, mut spans) = (Arena::default(), Vec::<Span>::new());
        source.fold(item, &mut arena, &mut spans);
        for span in spans {
            let text = arena.text(span);
            yes.extend(questions.whole.get(text).copied());
            for (number, pattern) in &questions.others {
                if std::str::from_utf8(text).is_ok_and(|text| pattern.fits(text)) {
                    yes.push(*number);
                }
            }
        }
        yes.sort_unstable();
        yes.dedup();
        yes.into_boxed_slice()
    }

    /// The verdicts of all gates, given which questions to each slot are answered with yes.
    pub(crate) fn verdicts(&self, yes: &[Arc<[u16]>]) -> Box<[Verdict]> {
        let of = |node| match decide(node, yes) {
            None => Verdict::Open,
            Some(true) => Verdict::Yes,
            Some(false) => Verdict::No,
        };
        self.nodes.iter().map(of).collect()
    }

    /// As if nothing were known of the event.
    pub(crate) fn all_open(&self) -> Box<[Verdict]> {
        vec![Verdict::Open; self.nodes.len()].into_boxed_slice()
    }
}

/// Most kinds of events that are expected for one gate.
const MAX_EXPECTED: usize = 24;

/// Questions answered with yes, by slot.
type Answers = Vec<(Slot, u16)>;

impl Gates {
    /// The verdicts on the events that gates are about, as far as gates say what these look like; each once.
    pub(crate) fn expected(&self) -> Vec<Box<[Verdict]>> {
        let mut found = vec![self.verdicts(&self.answered(&Vec::new()))];
        for node in &self.nodes {
            for answers in ways(node) {
                found.push(self.verdicts(&self.answered(&answers)));
            }
        }
        found.sort();
        found.dedup();
        found
    }

    /// Answers by slot, with what follows from them: a field that has a value exists, one that has none is null.
    fn answered(&self, answers: &Answers) -> Vec<Arc<[u16]>> {
        let of_slot = |(slot, questions): (Slot, &Questions)| {
            let mut yes: Vec<u16> = answers
                .iter()
                .filter(|(of, _)| *of == slot)
                .map(|(_, yes)| *yes)
                .collect();
            let is_null = yes.iter().all(|number| Some(*number) == questions.null);
            yes.extend(if is_null { questions.null } else { questions.exists });
            yes.sort_unstable();
            yes.dedup();
            yes.into()
        };
        (0..).zip(&self.questions).map(of_slot).collect()
    }
}

/// Answers that let an event through, each with as few as possible.
fn ways(node: &Node) -> Vec<Answers> {
    match node {
        Node::Known(slot, number) => vec![vec![(*slot, *number)]],
        Node::Open | Node::Not(_) => vec![Vec::new()],
        Node::Or(terms) | Node::AtLeast(_, terms) => terms.iter().flat_map(ways).take(MAX_EXPECTED).collect(),
        Node::And(terms) => {
            let mut all: Vec<Answers> = vec![Vec::new()];
            for term in terms {
                let ways = ways(term);
                let mut next = Vec::new();
                for (before, way) in all.iter().flat_map(|before| ways.iter().map(move |way| (before, way))) {
                    // A field has one value.
                    let is_possible = before
                        .iter()
                        .all(|(slot, number)| way.iter().all(|(other, answer)| other != slot || answer == number));
                    if is_possible && next.len() < MAX_EXPECTED {
                        next.push([before.as_slice(), way].concat());
                    }
                }
                all = next;
            }
            all
        }
    }
}

fn decide(node: &Node, yes: &[Arc<[u16]>]) -> Option<bool> {
    match node {
        Node::Known(slot, number) => {
            let answers = yes.get(*slot as usize)?;
            Some(answers.binary_search(number).is_ok())
        }
        Node::Open => None,
        Node::Not(inner) => decide(inner, yes).map(|value| !value),
        Node::And(terms) => {
            let mut all = Some(true);
            for term in terms {
                match decide(term, yes) {
                    Some(true) => {}
                    Some(false) => return Some(false),
                    None => all = None,
                }
            }
            all
        }
        Node::Or(terms) => {
            let mut any = Some(false);
            for term in terms {
                match decide(term, yes) {
                    Some(false) => {}
                    Some(true) => return Some(true),
                    None => any = None,
                }
            }
            any
        }
        Node::AtLeast(count, terms) => {
            let answers = || terms.iter().map(|term| decide(term, yes));
            let sure = answers().filter(|answer| *answer == Some(true)).count();
            let open = answers().filter(Option::is_none).count();
            if sure >= *count {
                Some(true)
            } else if sure + open < *count {
                Some(false)
            } else {
                None
            }
        }
    }
}

struct Builder<'a> {
    names: &'a Names,
    slots: Slots,
    questions: Vec<Questions>,
}

impl Builder<'_> {
    fn node(&mut self, expr: &Expr) -> Node {
        match expr {
            Expr::And(terms) => Node::And(terms.iter().map(|term| self.node(term)).collect()),
            Expr::Or(terms) => Node::Or(terms.iter().map(|term| self.node(term)).collect()),
            Expr::AtLeast(count, terms) => Node::AtLeast(*count, terms.iter().map(|term| self.node(term)).collect()),
            Expr::Not(inner) => Node::Not(Box::new(self.node(inner))),
            Expr::Test(test) => self.question(test).unwrap_or(Node::Open),
        }
    }

    fn question(&mut self, test: &Test) -> Option<Node> {
        let Subject::Field(field) = &test.subject else {
            return None;
        };
        let makes_few_classes = match &test.op {
            Op::Null | Op::Exists => true,
            Op::Text(pattern) => {
                !pattern.cased && matches!(pattern.shape, Shape::Exact(_) | Shape::Prefix(_) | Shape::Anything)
            }
            Op::Regex(_) | Op::Cidr(_) | Op::FieldRef(_) | Op::Compare(..) | Op::Time(..) => false,
        };
        if !makes_few_classes || (self.slots.len() >= MAX_SLOTS && !self.slots.has(field)) {
            return None;
        }
        let slot = self.slots.intern(field, self.names);
        self.questions.resize_with(self.slots.len(), Questions::default);
        let questions = self.questions.get_mut(slot as usize)?;
        let next = questions.count;
        let number = match &test.op {
            Op::Null => *questions.null.get_or_insert(next),
            Op::Exists => *questions.exists.get_or_insert(next),
            Op::Text(pattern) => match &pattern.shape {
                Shape::Exact(text) => *questions.whole.entry(text.as_bytes().into()).or_insert(next),
                Shape::Anything | Shape::Prefix(_) | Shape::Suffix(_) | Shape::Contains(_) | Shape::Glob(_) => {
                    match questions.others.iter().find(|(_, other)| other == pattern) {
                        Some((number, _)) => *number,
                        None => {
                            questions.others.push((next, pattern.clone()));
                            next
                        }
                    }
                }
            },
            Op::Regex(_) | Op::Cidr(_) | Op::FieldRef(_) | Op::Compare(..) | Op::Time(..) => return None,
        };
        if number == next {
            // The last number is never given, so that the count does not overflow; what is beyond stays open.
            questions.count = next.checked_add(1)?;
        }
        Some(Node::Known(slot, number))
    }
}
