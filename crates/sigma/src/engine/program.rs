//! Rules in the form that is evaluated: trees over numbered predicates, and from these, chains of questions.

use rustc_hash::FxHashMap;

use crate::ast::{Expr, Op, Subject, Test};
use crate::engine::index::{Anchor, PatternId};
use crate::engine::predicate::{By, Kind, Predicate, Search};
use crate::engine::required::{Required, required};
use crate::engine::slots::{ANY, Names, Slot, Slots};
use crate::engine::statistics::Statistics;
use crate::engine::witness::PRESENT;
use crate::pattern::{Pattern as Glob, Shape};

/// An expression over predicates.
#[derive(Clone, Debug)]
pub(crate) enum Node {
    Constant(bool),
    Predicate(u32),
    Not(Box<Node>),
    And(Vec<Node>),
    Or(Vec<Node>),
    AtLeast(usize, Vec<Node>),
}

/// A text the predicates of a bucket look for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Pattern {
    pub(crate) slot: Slot,
    /// Anywhere when `None`.
    pub(crate) anchor: Option<Anchor>,
    /// Folded.
    pub(crate) text: Box<str>,
}

/// What is known about a predicate when rules are laid out.
#[derive(Clone, Debug)]
pub(crate) struct Estimate {
    /// Time it takes to answer, in nanoseconds, roughly.
    pub(crate) cost: f64,
    /// Estimated share of events for which it is true.
    pub(crate) share: f64,
    /// Texts (by pattern, none anchored) of which one must be in the field.
    pub(crate) literals: Option<Box<[PatternId]>>,
}

#[derive(Debug, PartialEq, Eq, Hash)]
enum Key {
    Anchored(Slot, Box<[PatternId]>),
    Contains(Slot, Box<[PatternId]>),
    Globs(Slot, Box<[Glob]>),
    Op(Slot, Op),
}

/// Gives equal questions the same number.
#[derive(Debug)]
pub(crate) struct Interner<'a> {
    pub(crate) names: &'a Names,
    pub(crate) statistics: &'a Statistics,
    pub(crate) slots: Slots,
    pub(crate) predicates: Vec<Predicate>,
    pub(crate) estimates: Vec<Estimate>,
    pub(crate) patterns: Vec<Pattern>,
    by_key: FxHashMap<Key, u32>,
    by_pattern: FxHashMap<Pattern, PatternId>,
}

impl<'a> Interner<'a> {
    pub(crate) fn new(names: &'a Names, statistics: &'a Statistics) -> Self {
        Self {
            names,
            statistics,
            slots: Slots::default(),
            predicates: Vec::new(),
            estimates: Vec::new(),
            patterns: Vec::new(),
            by_key: FxHashMap::default(),
            by_pattern: FxHashMap::default(),
        }
    }

    /// The tree of an expression.
    pub(crate) fn lower(&mut self, expr: &Expr) -> Node {
        match expr {
            Expr::Test(test) => self.lower_any(&[test]).pop().unwrap_or(Node::Constant(false)),
            Expr::Not(inner) => match self.lower(inner) {
                Node::Constant(value) => Node::Constant(!value),
                Node::Not(inner) => *inner,
                node @ (Node::Predicate(_) | Node::And(_) | Node::Or(_) | Node::AtLeast(..)) => {
                    Node::Not(Box::new(node))
                }
            },
            Expr::And(terms) => {
                let nodes = terms.iter().map(|term| self.lower(term)).collect();
                flatten(nodes, true)
            }
            Expr::Or(terms) => {
                let (mut tests, mut others) = (Vec::new(), Vec::new());
                split(terms, &mut tests, &mut others);
                let mut nodes = self.lower_any(&tests);
                for other in others {
                    nodes.push(self.lower(other));
                }
                flatten(nodes, false)
            }
            Expr::AtLeast(count, terms) => {
                let nodes: Vec<Node> = terms.iter().map(|term| self.lower(term)).collect();
                match *count {
                    0 => Node::Constant(true),
                    1 => flatten(nodes, false),
                    count if count == nodes.len() => flatten(nodes, true),
                    count if count > nodes.len() => Node::Constant(false),
                    count => Node::AtLeast(count, nodes),
                }
            }
        }
    }

    /// Predicates of which one is true when one of the tests is. Tests for texts of the same field become one.
    fn lower_any(&mut self, tests: &[&Test]) -> Vec<Node> {
        let mut anchored: Vec<(Slot, Vec<PatternId>)> = Vec::new();
        let mut contains: Vec<(Slot, Vec<PatternId>)> = Vec::new();
        let mut globs: Vec<(Slot, Vec<Glob>)> = Vec::new();
        let mut nodes = Vec::new();
        for test in tests {
            let slot = self.slot(&test.subject);
            match simple(&test.op) {
                Some((anchor, text)) => {
                    let pattern = self.pattern(slot, anchor, text);
                    let groups = if anchor.is_some() { &mut anchored } else { &mut contains };
                    match groups.iter_mut().find(|(of, _)| *of == slot) {
                        Some((_, patterns)) => patterns.push(pattern),
                        None => groups.push((slot, vec![pattern])),
                    }
                }
                None => match glob(&test.op) {
                    Some(pattern) => match globs.iter_mut().find(|(of, _)| *of == slot) {
                        Some((_, patterns)) if patterns.contains(pattern) => {}
                        Some((_, patterns)) => patterns.push(pattern.clone()),
                        None => globs.push((slot, vec![pattern.clone()])),
                    },
                    None => nodes.push(Node::Predicate(self.op(slot, test))),
                },
            }
        }
        for (slot, mut patterns) in anchored {
            patterns.sort_unstable();
            patterns.dedup();
            let patterns = patterns.into_boxed_slice();
            nodes.push(Node::Predicate(self.anchored(slot, patterns)));
        }
        for (slot, mut patterns) in contains {
            patterns.sort_unstable();
            patterns.dedup();
            let patterns = patterns.into_boxed_slice();
            nodes.push(Node::Predicate(self.contains(slot, patterns)));
        }
        for (slot, patterns) in globs {
            nodes.push(Node::Predicate(self.globs(slot, patterns.into_boxed_slice())));
        }
        nodes
    }

    fn slot(&mut self, subject: &Subject) -> Slot {
        match subject {
            Subject::Any => ANY,
            Subject::Field(field) => self.slots.intern(field, self.names),
        }
    }

    fn pattern(&mut self, slot: Slot, anchor: Option<Anchor>, text: &str) -> PatternId {
        let pattern = Pattern {
            slot,
            anchor,
            text: text.into(),
        };
        if let Some(number) = self.by_pattern.get(&pattern) {
            return *number;
        }
        let number = PatternId::try_from(self.patterns.len()).unwrap_or(PatternId::MAX);
        self.patterns.push(pattern.clone());
        self.by_pattern.insert(pattern, number);
        number
    }

    fn text(&self, pattern: PatternId) -> &str {
        self.patterns.get(pattern as usize).map_or("", |pattern| &pattern.text)
    }

    fn anchored(&mut self, slot: Slot, patterns: Box<[PatternId]>) -> u32 {
        let key = Key::Anchored(slot, patterns);
        if let Some(number) = self.by_key.get(&key) {
            return *number;
        }
        let Key::Anchored(_, patterns) = &key else { return 0 };
        let field = self.slots.name(slot);
        let share = patterns
            .iter()
            .filter_map(|pattern| self.patterns.get(*pattern as usize))
            .map(|pattern| self.statistics.share_of_value(field, pattern.anchor, &pattern.text))
            .sum();
        let estimate = Estimate {
            cost: 4.0,
            share,
            literals: None,
        };
        let kind = Kind::Anchored(patterns.clone());
        self.add(key, slot, kind, estimate)
    }

    fn contains(&mut self, slot: Slot, patterns: Box<[PatternId]>) -> u32 {
        let key = Key::Contains(slot, patterns);
        if let Some(number) = self.by_key.get(&key) {
            return *number;
        }
        let Key::Contains(_, patterns) = &key else { return 0 };
        let texts: Vec<&str> = patterns.iter().map(|pattern| self.text(*pattern)).collect();
        #[allow(clippy::cast_precision_loss, reason = "an estimate")]
        let estimate = Estimate {
            cost: 20.0 + 12.0 * texts.len().min(6) as f64,
            share: texts.iter().map(|text| self.statistics.share_of_literal(text)).sum(),
            literals: Some(patterns.clone()),
        };
        let kind = Kind::Contains(Search::new(texts.into_iter()));
        self.add(key, slot, kind, estimate)
    }

    fn globs(&mut self, slot: Slot, patterns: Box<[Glob]>) -> u32 {
        let key = Key::Globs(slot, patterns);
        if let Some(number) = self.by_key.get(&key) {
            return *number;
        }
        let Key::Globs(_, patterns) = &key else { return 0 };
        let price = |text: &str| self.statistics.price_of_literal(text);
        let mut texts: Vec<String> = patterns
            .iter()
            .flat_map(|pattern| pattern.rarest_literals(price))
            .collect();
        texts.sort();
        texts.dedup();
        #[allow(clippy::cast_precision_loss, reason = "an estimate")]
        let estimate = Estimate {
            cost: 40.0 + 12.0 * texts.len().min(6) as f64,
            share: self.share_of_any(&texts),
            literals: Some(self.anywhere(slot, &texts)),
        };
        let kind = Kind::Globs {
            patterns: patterns.clone(),
            needs: Search::new(texts.iter().map(String::as_str)),
        };
        self.add(key, slot, kind, estimate)
    }

    /// Estimated share of values that have one of the texts in them and pass further tests.
    fn share_of_any(&self, texts: &[String]) -> f64 {
        let all: f64 = texts.iter().map(|text| self.statistics.share_of_literal(text)).sum();
        all.min(0.95)
    }

    /// The texts as patterns that are looked for anywhere.
    fn anywhere(&mut self, slot: Slot, texts: &[String]) -> Box<[PatternId]> {
        let mut patterns: Vec<PatternId> = texts.iter().map(|text| self.pattern(slot, None, text)).collect();
        patterns.sort_unstable();
        patterns.dedup();
        patterns.into_boxed_slice()
    }

    fn op(&mut self, slot: Slot, test: &Test) -> u32 {
        let key = Key::Op(slot, test.op.clone());
        if let Some(number) = self.by_key.get(&key) {
            return *number;
        }
        let Required { literals, shortest } = required(&test.op, |text| self.statistics.price_of_literal(text));
        let other = match &test.op {
            Op::FieldRef(reference) => self.slots.intern(&reference.field, self.names),
            Op::Null | Op::Exists | Op::Text(_) | Op::Regex(_) | Op::Cidr(_) | Op::Compare(..) | Op::Time(..) => ANY,
        };
        let share = literals.as_ref().map_or(0.7, |texts| self.share_of_any(texts));
        let is_regex = matches!(test.op, Op::Regex(_));
        let needs = literals
            .as_ref()
            // What is in nearly every value need not be looked for.
            .filter(|_| is_regex && share < PRESENT)
            .map(|texts| Search::new(texts.iter().map(String::as_str)));
        let literals = literals.map(|texts| self.anywhere(slot, &texts));
        let estimate = Estimate {
            cost: cost(&test.op),
            share,
            literals,
        };
        let kind = Kind::Op {
            op: test.op.clone(),
            other,
            needs,
            shortest,
        };
        self.add(key, slot, kind, estimate)
    }

    fn add(&mut self, key: Key, slot: Slot, kind: Kind, mut estimate: Estimate) -> u32 {
        if slot == ANY {
            estimate.cost *= 20.0;
        }
        let number = u32::try_from(self.predicates.len()).unwrap_or(u32::MAX);
        self.predicates.push(Predicate {
            slot,
            kind,
            indexed: false,
        });
        self.estimates.push(estimate);
        self.by_key.insert(key, number);
        number
    }
}

/// The text of a test that an index answers, and where it must be.
fn simple(op: &Op) -> Option<(Option<Anchor>, &str)> {
    let Op::Text(pattern) = op else { return None };
    if pattern.cased {
        return None;
    }
    match &pattern.shape {
        Shape::Exact(text) => Some((Some(Anchor::Whole), text)),
        Shape::Prefix(text) => Some((Some(Anchor::Start), text)),
        Shape::Suffix(text) => Some((Some(Anchor::End), text)),
        Shape::Contains(text) => Some((None, text)),
        Shape::Anything | Shape::Glob(_) => None,
    }
}

/// The pattern of a test for several texts with anything between them, of which one at least is known.
fn glob(op: &Op) -> Option<&Glob> {
    let Op::Text(pattern) = op else { return None };
    let is_glob = !pattern.cased && matches!(pattern.shape, Shape::Glob(_));
    (is_glob && pattern.rarest_literal(|_| 0.0).is_some()).then_some(pattern)
}

fn split<'e>(terms: &'e [Expr], tests: &mut Vec<&'e Test>, others: &mut Vec<&'e Expr>) {
    for term in terms {
        match term {
            Expr::Test(test) => tests.push(test),
            Expr::Or(inner) => split(inner, tests, others),
            Expr::And(_) | Expr::Not(_) | Expr::AtLeast(..) => others.push(term),
        }
    }
}

fn flatten(nodes: Vec<Node>, all: bool) -> Node {
    let mut flat = Vec::with_capacity(nodes.len());
    for node in nodes {
        match node {
            Node::Constant(value) if value == all => {}
            Node::Constant(value) => return Node::Constant(value),
            Node::And(inner) if all => flat.extend(inner),
            Node::Or(inner) if !all => flat.extend(inner),
            Node::Predicate(_) | Node::Not(_) | Node::And(_) | Node::Or(_) | Node::AtLeast(..) => flat.push(node),
        }
    }
    match (flat.len(), all) {
        (0, _) => Node::Constant(all),
        (1, _) => flat.remove(0),
        (_, true) => Node::And(flat),
        (_, false) => Node::Or(flat),
    }
}

fn cost(op: &Op) -> f64 {
    match op {
        Op::Null | Op::Exists => 2.0,
        Op::Text(pattern) => match &pattern.shape {
            Shape::Anything => 3.0,
            Shape::Exact(_) | Shape::Prefix(_) | Shape::Suffix(_) => 15.0,
            Shape::Contains(_) => 35.0,
            Shape::Glob(_) => 80.0,
        },
        Op::Compare(..) => 20.0,
        Op::Cidr(_) => 50.0,
        Op::FieldRef(_) => 60.0,
        Op::Time(..) => 200.0,
        Op::Regex(_) => 600.0,
    }
}

/// The end of a chain: the rule matches.
pub(crate) const ACCEPT: u32 = u32::MAX;
/// The end of a chain: the rule does not match.
pub(crate) const REJECT: u32 = u32::MAX - 1;
/// Set in [`Step::ask`] when it is the number of a [`Count`].
pub(crate) const COUNT: u32 = 1 << 31;

/// One question of a chain and where to go after each answer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Step {
    pub(crate) ask: u32,
    pub(crate) yes: u32,
    pub(crate) no: u32,
    pub(crate) by: By,
}

/// Whether at least so many chains end in [`ACCEPT`].
#[derive(Debug)]
pub(crate) struct Count {
    pub(crate) needed: usize,
    pub(crate) chains: Box<[u32]>,
}

/// The chains of a bucket.
#[derive(Debug, Default)]
pub(crate) struct Code {
    pub(crate) steps: Vec<Step>,
    pub(crate) counts: Vec<Count>,
}

impl Code {
    /// Adds the chain of a detection and, behind it, its gate: most candidates fail before. Returns where it starts.
    pub(crate) fn add(&mut self, detection: &Node, gate: &Node, estimates: &[Estimate]) -> u32 {
        let gate = self.chain(gate, ACCEPT, REJECT, estimates);
        self.chain(detection, gate, REJECT, estimates)
    }

    /// Notes with each question where its answer comes from.
    pub(crate) fn settle(&mut self, predicates: &[Predicate]) {
        for step in &mut self.steps {
            if step.ask & COUNT == 0
                && let Some(predicate) = predicates.get(step.ask as usize)
            {
                step.by = predicate.by();
            }
        }
    }

    fn chain(&mut self, node: &Node, yes: u32, no: u32, estimates: &[Estimate]) -> u32 {
        match node {
            Node::Constant(true) => yes,
            Node::Constant(false) => no,
            Node::Predicate(ask) => self.step(*ask, yes, no),
            Node::Not(inner) => self.chain(inner, no, yes, estimates),
            Node::And(terms) => {
                let sorted = sorted(terms, estimates, before_false);
                sorted
                    .iter()
                    .rev()
                    .fold(yes, |next, term| self.chain(term, next, no, estimates))
            }
            Node::Or(terms) => {
                let sorted = sorted(terms, estimates, before_true);
                sorted
                    .iter()
                    .rev()
                    .fold(no, |next, term| self.chain(term, yes, next, estimates))
            }
            Node::AtLeast(needed, terms) => {
                let sorted = sorted(terms, estimates, |(cost, _)| cost);
                let chains = sorted
                    .iter()
                    .map(|term| self.chain(term, ACCEPT, REJECT, estimates))
                    .collect();
                self.counts.push(Count {
                    needed: *needed,
                    chains,
                });
                let number = u32::try_from(self.counts.len() - 1).unwrap_or(0);
                self.step(COUNT | number, yes, no)
            }
        }
    }

    fn step(&mut self, ask: u32, yes: u32, no: u32) -> u32 {
        self.steps.push(Step {
            ask,
            yes,
            no,
            by: By::Value,
        });
        u32::try_from(self.steps.len() - 1).unwrap_or(REJECT)
    }
}

fn sorted<'n>(terms: &'n [Node], estimates: &[Estimate], key: impl Fn((f64, f64)) -> f64) -> Vec<&'n Node> {
    let mut keyed: Vec<(f64, &Node)> = terms
        .iter()
        .map(|term| (key(estimate(term, estimates)), term))
        .collect();
    keyed.sort_by(|left, right| left.0.total_cmp(&right.0));
    keyed.into_iter().map(|(_, term)| term).collect()
}

/// What a question of this cost and share costs for each time it is answered with no.
fn before_false((cost, share): (f64, f64)) -> f64 {
    cost / (1.0 - share).max(0.01)
}

/// The same for yes.
fn before_true((cost, share): (f64, f64)) -> f64 {
    cost / share.max(0.001)
}

/// Cost and share of a tree.
pub(crate) fn estimate(node: &Node, estimates: &[Estimate]) -> (f64, f64) {
    let of = |node: &Node| estimate(node, estimates);
    match node {
        Node::Constant(value) => (0.0, f64::from(u8::from(*value))),
        Node::Predicate(number) => estimates
            .get(*number as usize)
            .map_or((0.0, 0.0), |estimate| (estimate.cost, estimate.share.min(0.95))),
        Node::Not(inner) => {
            let (cost, share) = of(inner);
            (cost, 1.0 - share)
        }
        // Cheap and decisive terms come first, and those behind are only asked when these leave it open.
        Node::And(terms) => {
            let mut all: Vec<(f64, f64)> = terms.iter().map(of).collect();
            all.sort_by(|left, right| before_false(*left).total_cmp(&before_false(*right)));
            all.into_iter().fold((0.0, 1.0), |(cost, share), term| {
                (cost + share * term.0, share * term.1)
            })
        }
        Node::Or(terms) => {
            let mut all: Vec<(f64, f64)> = terms.iter().map(of).collect();
            all.sort_by(|left, right| before_true(*left).total_cmp(&before_true(*right)));
            all.into_iter().fold((0.0, 0.0), |(cost, share), term| {
                (cost + (1.0 - share) * term.0, (share + term.1).min(0.95))
            })
        }
        Node::AtLeast(_, terms) => (terms.iter().map(|term| of(term).0).sum(), 0.3),
    }
}
