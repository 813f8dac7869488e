//! Rules compiled at one time. A rule set consists of one part, or of two after single rules were exchanged.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use rustc_hash::FxHashMap;

use crate::ast::{Expr, Subject};
use crate::engine::bucket::{self, Bucket};
use crate::engine::evaluate::Evaluation;
use crate::engine::gates::{Gates, Verdict};
use crate::engine::keys::Keys;
use crate::engine::observer::Nothing;
use crate::engine::scratch::{ItemInfo, PartMemory, Work};
use crate::engine::shapes::{self, ShapeId};
use crate::engine::slots::{Name, Names};
use crate::engine::source::{Item, Source};
use crate::engine::statistics::Statistics;
use crate::logsource::Resolved;

/// Rules in all buckets together, as a multiple of the rules in the part: events of ever new kinds do not fill the
/// memory.
const MAX_COPIES: usize = 24;
/// The same for few rules.
const MIN_COPIES: usize = 20_000;
/// Most buckets.
const MAX_BUCKETS: usize = 2048;

/// Rules compiled together, by numbers of the part's own.
#[derive(Debug)]
pub(crate) struct Part {
    /// Unlike that of any other part in this process.
    pub(crate) id: u64,
    rules: Vec<Asked>,
    gate_exprs: Vec<Arc<Expr>>,
    /// Whether a rule asks all fields of an event.
    pub(crate) asks_keywords: bool,
    pub(crate) gates: Gates,
    statistics: Statistics,
    buckets: Mutex<Buckets>,
}

/// What a rule asks.
#[derive(Debug)]
struct Asked {
    /// Number of its gate.
    gate: usize,
    detection: Expr,
}

/// Buckets made so far: one for each set of rules that some event sees.
#[derive(Debug, Default)]
struct Buckets {
    by_verdicts: FxHashMap<Box<[Verdict]>, Arc<Bucket>>,
    rules: usize,
}

impl Part {
    /// `names` gets the names of all fields the rules ask for.
    #[allow(
        clippy::mutable_key_type,
        reason = "a regular expression is compared by its source, not by its cache"
    )]
    pub(crate) fn build(resolved: Vec<Resolved>, names: &mut Names) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let mut gate_exprs: Vec<Arc<Expr>> = Vec::new();
        let mut numbers: FxHashMap<Arc<Expr>, usize> = FxHashMap::default();
        // Rules of one logsource often share their gate, which is then told by its address.
        let mut by_address: FxHashMap<usize, usize> = FxHashMap::default();
        let mut rules = Vec::with_capacity(resolved.len());
        for Resolved { gate, detection } in resolved {
            let address = Arc::as_ptr(&gate) as usize;
            let number = by_address.get(&address).copied().unwrap_or_else(|| {
                *numbers.entry(gate.clone()).or_insert_with(|| {
                    names.add(&gate);
                    gate_exprs.push(gate.clone());
                    by_address.insert(address, gate_exprs.len() - 1);
                    gate_exprs.len() - 1
                })
            });
            names.add(&detection);
            rules.push(Asked {
                gate: number,
                detection,
            });
        }
        Self {
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            gates: Gates::build(&gate_exprs, names),
            statistics: Statistics::of(rules.iter().map(|rule| &rule.detection)),
            asks_keywords: rules.iter().any(|rule| asks_keywords(&rule.detection))
                || gate_exprs.iter().any(|gate| asks_keywords(gate)),
            rules,
            gate_exprs,
            buckets: Mutex::default(),
        }
    }

    /// How many rules.
    pub(crate) fn len(&self) -> usize {
        self.rules.len()
    }

    /// The detection of a rule.
    pub(crate) fn detection(&self, rule: usize) -> Option<&Expr> {
        self.rules.get(rule).map(|rule| &rule.detection)
    }

    /// What a rule asks, to be part of another.
    pub(crate) fn asked(&self, rule: usize) -> Option<Resolved> {
        let rule = self.rules.get(rule)?;
        Some(Resolved {
            gate: self.gate_exprs.get(rule.gate)?.clone(),
            detection: rule.detection.clone(),
        })
    }

    /// Makes the buckets of the events that gates are about, in as many threads as there are processors, up to
    /// `threads`.
    pub(crate) fn prepare(&self, names: &Names, threads: usize) {
        let all: Vec<Box<[Verdict]>> = self.gates.expected();
        let next = std::sync::atomic::AtomicUsize::new(0);
        let work = || {
            while let Some(verdicts) = all.get(next.fetch_add(1, Ordering::Relaxed)) {
                self.bucket(verdicts.clone(), names);
            }
        };
        std::thread::scope(|scope| {
            for _ in 1..threads.min(all.len()).max(1) {
                scope.spawn(work);
            }
            work();
        });
    }

    /// Calls `hit` with the number of each rule that matches, in any order.
    pub(crate) fn run(
        &self,
        names: &Names,
        source: &impl Source,
        (items, shape): (&[ItemInfo], Option<ShapeId>),
        memory: &mut PartMemory,
        work: &mut Work,
        hit: impl FnMut(u32),
    ) {
        let PartMemory {
            keys, shapes, counters, ..
        } = memory;
        let mut shape = shape.and_then(|shape| shapes.of(shape, items, &self.gates.bindings));
        let position = match &shape {
            Some(shape) => self.position_of(names, source, items, shape.asked().iter().copied(), keys),
            None => self.position(names, source, items, keys),
        };
        let Some(bucket) = keys.bucket(position) else { return };
        if bucket.rules.is_empty() && counters.is_none() {
            return;
        }
        let mut evaluation = Evaluation {
            source,
            bucket,
            items,
            work,
        };
        match shape.as_ref().and_then(|shape| shape.slots(position)) {
            Some(slots) => evaluation.bind_as(slots),
            None => {
                evaluation.bind();
                if let Some(shape) = &mut shape {
                    shape.note_slots(position, evaluation.bound());
                }
            }
        }
        match counters {
            None => evaluation.run(&mut Nothing, hit),
            Some(counters) => {
                counters.begin(position, bucket);
                evaluation.run(counters.as_mut(), hit);
            }
        }
    }

    /// The position among `keys` of the bucket of an event.
    pub(crate) fn position(&self, names: &Names, source: &impl Source, items: &[ItemInfo], keys: &mut Keys) -> usize {
        let asked = shapes::asked(items, &self.gates.bindings);
        self.position_of(names, source, items, asked, keys)
    }

    /// The same, when the fields that gates ask for are known.
    fn position_of(
        &self,
        names: &Names,
        source: &impl Source,
        items: &[ItemInfo],
        asked: impl Iterator<Item = (Item, Name)>,
        keys: &mut Keys,
    ) -> usize {
        keys.find(&self.gates, source, items, asked, |answers| {
            let verdicts = match answers {
                Some(answers) => self.gates.verdicts(answers),
                None => self.gates.all_open(),
            };
            self.bucket(verdicts, names)
        })
    }

    /// The bucket of the rules that these verdicts let in.
    #[cold]
    fn bucket(&self, verdicts: Box<[Verdict]>, names: &Names) -> Arc<Bucket> {
        let lock = || self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bucket) = lock().by_verdicts.get(&verdicts) {
            return bucket.clone();
        }
        let mut sources = Vec::new();
        for (number, rule) in (0..).zip(&self.rules) {
            let gate = match verdicts.get(rule.gate) {
                None | Some(Verdict::No) => continue,
                Some(Verdict::Yes) => None,
                Some(Verdict::Open) => self.gate_exprs.get(rule.gate).map(AsRef::as_ref),
            };
            sources.push(bucket::Source {
                rule: number,
                detection: &rule.detection,
                gate,
            });
        }
        let limit = (self.rules.len() * MAX_COPIES).max(MIN_COPIES);
        let is_full = {
            let buckets = lock();
            buckets.rules + sources.len() > limit || buckets.by_verdicts.len() >= MAX_BUCKETS
        };
        let all_open = self.gates.all_open();
        if is_full && verdicts != all_open {
            return self.bucket(all_open, names);
        }
        // Made outside the lock: two threads may make the same, of which one is kept.
        let bucket = Arc::new(Bucket::build(&sources, names, &self.statistics));
        let mut buckets = lock();
        if let Some(other) = buckets.by_verdicts.get(&verdicts) {
            return other.clone();
        }
        buckets.rules += sources.len();
        buckets.by_verdicts.insert(verdicts, bucket.clone());
        bucket
    }
}

fn asks_keywords(expr: &Expr) -> bool {
    match expr {
        Expr::And(terms) | Expr::Or(terms) | Expr::AtLeast(_, terms) => terms.iter().any(asks_keywords),
        Expr::Not(inner) => asks_keywords(inner),
        Expr::Test(test) => test.subject == Subject::Any,
    }
}
