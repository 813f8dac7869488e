//! Rules in the form that is evaluated: trees over numbered predicates, each shared by all rules that ask it.

use memchr::memmem::Finder;
use rustc_hash::FxHashMap;

use crate::ast::{Expr, Op, Subject, Test};
use crate::engine::slots::{ANY, Slot, Slots};
use crate::pattern::{Pattern, Shape};

/// An expression over predicates, cheap branches first.
#[derive(Clone, Debug)]
pub(crate) enum Node {
    Constant(bool),
    Predicate(u32),
    Not(Box<Node>),
    And(Box<[Node]>),
    Or(Box<[Node]>),
    AtLeast(usize, Box<[Node]>),
}

/// One question, asked at most once per event.
#[derive(Debug)]
pub(crate) struct Predicate {
    pub(crate) slot: Slot,
    pub(crate) op: Op,
    /// The slot of the other field of a [`Op::FieldRef`].
    pub(crate) other: Slot,
    /// Prepared search for the text of a [`Shape::Contains`] without case.
    pub(crate) finder: Option<Finder<'static>>,
}

/// Gives equal tests the same number.
#[derive(Debug, Default)]
pub(crate) struct Interner {
    by_test: FxHashMap<Test, u32>,
    pub(crate) predicates: Vec<Predicate>,
}

impl Interner {
    /// The number of a test.
    pub(crate) fn intern(&mut self, test: &Test, slots: &mut Slots) -> u32 {
        if let Some(number) = self.by_test.get(test) {
            return *number;
        }
        let number = u32::try_from(self.predicates.len()).unwrap_or(u32::MAX);
        let other = match &test.op {
            Op::FieldRef(reference) => slots.intern(&reference.field),
            Op::Null | Op::Exists | Op::Text(_) | Op::Regex(_) | Op::Cidr(_) | Op::Compare(..) | Op::Time(..) => ANY,
        };
        self.predicates.push(Predicate {
            slot: slot_of(&test.subject, slots),
            op: test.op.clone(),
            other,
            finder: finder(&test.op),
        });
        self.by_test.insert(test.clone(), number);
        number
    }

    /// The tree of an expression.
    pub(crate) fn lower(&mut self, expr: &Expr, slots: &mut Slots) -> Node {
        self.lower_with_cost(expr, slots).0
    }

    fn lower_with_cost(&mut self, expr: &Expr, slots: &mut Slots) -> (Node, u64) {
        match expr {
            Expr::Test(test) => (Node::Predicate(self.intern(test, slots)), cost(test)),
            Expr::Not(inner) => {
                let (node, cost) = self.lower_with_cost(inner, slots);
                if let Node::Constant(value) = node {
                    (Node::Constant(!value), 0)
                } else {
                    (Node::Not(Box::new(node)), cost)
                }
            }
            Expr::And(terms) => self.lower_list(terms, true, slots),
            Expr::Or(terms) => self.lower_list(terms, false, slots),
            Expr::AtLeast(count, terms) => {
                let (nodes, cost) = self.lower_terms(terms, slots);
                (Node::AtLeast(*count, nodes.into_boxed_slice()), cost)
            }
        }
    }

    fn lower_terms(&mut self, terms: &[Expr], slots: &mut Slots) -> (Vec<Node>, u64) {
        let mut lowered: Vec<(Node, u64)> = terms.iter().map(|term| self.lower_with_cost(term, slots)).collect();
        lowered.sort_by_key(|(_, cost)| *cost);
        let total = lowered.iter().map(|(_, cost)| *cost).fold(0, u64::saturating_add);
        (lowered.into_iter().map(|(node, _)| node).collect(), total)
    }

    fn lower_list(&mut self, terms: &[Expr], all: bool, slots: &mut Slots) -> (Node, u64) {
        let (nodes, cost) = self.lower_terms(terms, slots);
        let mut flat = Vec::with_capacity(nodes.len());
        for node in nodes {
            match node {
                Node::Constant(value) if value == all => {}
                Node::Constant(value) => return (Node::Constant(value), 0),
                Node::And(inner) if all => flat.extend(inner),
                Node::Or(inner) if !all => flat.extend(inner),
                Node::Predicate(_) | Node::Not(_) | Node::And(_) | Node::Or(_) | Node::AtLeast(..) => flat.push(node),
            }
        }
        let node = match (flat.len(), all) {
            (0, _) => Node::Constant(all),
            (1, _) => flat.remove(0),
            (_, true) => Node::And(flat.into_boxed_slice()),
            (_, false) => Node::Or(flat.into_boxed_slice()),
        };
        (node, cost)
    }
}

fn finder(op: &Op) -> Option<Finder<'static>> {
    match op {
        Op::Text(Pattern {
            cased: false,
            shape: Shape::Contains(text),
        }) => Some(Finder::new(text.as_bytes()).into_owned()),
        Op::Text(_)
        | Op::Null
        | Op::Exists
        | Op::Regex(_)
        | Op::Cidr(_)
        | Op::FieldRef(_)
        | Op::Compare(..)
        | Op::Time(..) => None,
    }
}

fn slot_of(subject: &Subject, slots: &mut Slots) -> Slot {
    match subject {
        Subject::Any => ANY,
        Subject::Field(field) => slots.intern(field),
    }
}

/// How much work a test is, roughly, with a comparison of two short texts as the unit.
fn cost(test: &Test) -> u64 {
    let cost = match &test.op {
        Op::Null | Op::Exists => 1,
        Op::Text(pattern) => match &pattern.shape {
            Shape::Anything => 1,
            Shape::Exact(_) | Shape::Prefix(_) | Shape::Suffix(_) => 2,
            Shape::Contains(_) => 6,
            Shape::Glob(tokens) => 8 + tokens.len() as u64,
        },
        Op::Compare(..) => 3,
        Op::Cidr(_) => 5,
        Op::FieldRef(_) => 8,
        Op::Time(..) => 20,
        Op::Regex(_) => 200,
    };
    match test.subject {
        Subject::Any => cost * 30,
        Subject::Field(_) => cost,
    }
}
