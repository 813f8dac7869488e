//! One part of a rule set over the rows of a block.

use rustc_hash::FxHashMap;

use super::Columns;
use super::lookup::{Single, look_up, look_up_all};
use super::memory::{Known, Memory};
use super::plan::Plan;
use super::table::{ABSENT, Row, Shape, Table};
use crate::engine::bucket::Bucket;
use crate::engine::evaluate::Evaluation;
use crate::engine::event::Values as _;
use crate::engine::keys::Keys;
use crate::engine::observer::{Nothing, Observer};
use crate::engine::part::Part;
use crate::engine::profile::Counters;
use crate::engine::program::Step;
use crate::engine::scratch::{Bound, ItemInfo, Work};
use crate::engine::seen::Met;
use crate::engine::slots::Names;
use crate::engine::source::Item;

/// A part of a rule set on its way through a block: first all rows are noted, then all values are looked up, then the rows
/// are evaluated.
pub(crate) struct Run<'p> {
    part: &'p Part,
    names: &'p Names,
    /// By shape: the items that decide about the bucket, or `None` when some of them do not repeat.
    deciding: Vec<Option<Option<Box<[Item]>>>>,
    /// Positions of buckets, by shape and the numbers of the deciding values.
    buckets: FxHashMap<Box<[u32]>, usize>,
    decided: Vec<u32>,
    plans: Vec<Plan>,
    /// By shape and position of the bucket.
    by_kind: FxHashMap<(usize, usize), usize>,
    /// For each row the position of its bucket and its plan.
    rows: Vec<(u32, u32)>,
    memory: Memory,
    /// True predicates that the index found in the row.
    held: Vec<u32>,
}

/// What a run works with.
pub(crate) struct Working<'w> {
    pub(crate) keys: &'w mut Keys,
    pub(crate) counters: &'w mut Option<Box<Counters>>,
    pub(crate) work: &'w mut Work,
    /// For single values.
    pub(crate) single: &'w mut Work,
}

impl<'p> Run<'p> {
    pub(crate) fn new(part: &'p Part, names: &'p Names, shapes: usize) -> Self {
        Self {
            part,
            names,
            deciding: vec![None; shapes],
            buckets: FxHashMap::default(),
            decided: Vec::new(),
            plans: Vec::new(),
            by_kind: FxHashMap::default(),
            rows: Vec::new(),
            memory: Memory::default(),
            held: Vec::new(),
        }
    }

    /// Notes what has to be looked up for the current row. To be called for each row in order.
    pub(crate) fn note(&mut self, table: &Table<'_, impl Columns>, keys: &mut Keys, met: &mut Met) {
        let position = self.bucket(table, keys);
        let next = self.plans.len();
        let plan = *self.by_kind.entry((table.shape, position)).or_insert(next);
        if plan == next {
            let made = match (keys.bucket(position), table.shapes.get(table.shape)) {
                (Some(bucket), Some(shape)) => Plan::new(bucket, shape, |item, slots| {
                    let column = *shape.columns.get(item as usize)?;
                    let values = table.columns.get(column as usize)?.values.len();
                    self.memory.probe(small(position), column, values, slots)
                }),
                _ => Plan::default(),
            };
            if let Some(bucket) = keys.bucket(position) {
                met.note(position, bucket, &made.slots);
            }
            self.plans.push(made);
        }
        self.rows.push((small(position), small(plan)));
        for probe in self.plans.get(plan).into_iter().flat_map(|plan| &plan.probes) {
            if let Ok(place) = &probe.remembered
                && let Some(number) = table.numbers().get(probe.item as usize)
            {
                self.memory.ask(*place, *number);
            }
        }
    }

    /// Looks up what was noted.
    pub(crate) fn look_up(&mut self, table: &Table<'_, impl Columns>, keys: &Keys, work: &mut Work) {
        let mut by_bucket: FxHashMap<u32, Vec<u32>> = FxHashMap::default();
        for (probe, number) in self.memory.probes.iter().zip(0..) {
            by_bucket.entry(probe.bucket).or_default().push(number);
        }
        for (position, probes) in by_bucket {
            if let Some(bucket) = keys.bucket(position as usize) {
                look_up_all(bucket, &probes, &mut self.memory, &table.columns, work);
            }
        }
    }

    /// Calls `hit` with the number of each rule that matches the current row, in any order.
    pub(crate) fn evaluate(
        &mut self,
        row: usize,
        table: &Table<'_, impl Columns>,
        working: Working<'_>,
        hit: impl FnMut(u32),
    ) {
        let Working {
            keys,
            counters,
            work,
            single,
        } = working;
        let Some((position, plan)) = self.rows.get(row).copied() else {
            return;
        };
        let (Some(bucket), Some(plan), Some(shape)) = (
            keys.bucket(position as usize),
            self.plans.get_mut(plan as usize),
            table.shapes.get(table.shape),
        ) else {
            return;
        };
        if bucket.rules.is_empty() && counters.is_none() {
            return;
        }
        if !plan.is_reduced {
            plan.reduce(&self.memory);
        }
        work.begin(shape.items.len(), bucket);
        let mut evaluation = RowEvaluation {
            table,
            row: table.current(),
            shape,
            bucket,
            position,
            plan,
            memory: &mut self.memory,
            held: &mut self.held,
            work,
            single,
            is_bound: false,
        };
        match counters {
            None => evaluation.run(&mut Nothing, hit),
            Some(counters) => {
                counters.begin(position as usize, bucket);
                evaluation.run(counters.as_mut(), hit);
            }
        }
    }

    /// The position of the row's bucket.
    fn bucket(&mut self, table: &Table<'_, impl Columns>, keys: &mut Keys) -> usize {
        let part = self.part;
        let Some(shape) = table.shapes.get(table.shape) else {
            return usize::MAX;
        };
        let find = |keys: &mut Keys| part.position(self.names, &table.current(), &shape.items, keys);
        let Some(deciding) = self.deciding.get_mut(table.shape) else {
            return find(keys);
        };
        let deciding = deciding.get_or_insert_with(|| {
            let is_deciding = |(_, info): &(Item, &ItemInfo)| !part.gates.bindings.of(info.name).is_empty();
            let items = (0..).zip(&shape.items).filter(is_deciding).map(|(item, _)| item);
            let repeats = |item: &Item| {
                let column = shape.columns.get(*item as usize);
                column.is_some_and(|column| {
                    table
                        .columns
                        .get(*column as usize)
                        .is_some_and(|column| column.repeats())
                })
            };
            let items: Box<[Item]> = items.collect();
            items.iter().all(repeats).then_some(items)
        });
        let Some(items) = deciding else { return find(keys) };
        self.decided.clear();
        self.decided.push(small(table.shape));
        let number = |item: &Item| table.numbers().get(*item as usize).copied().unwrap_or(ABSENT);
        self.decided.extend(items.iter().map(number));
        if let Some(position) = self.buckets.get(self.decided.as_slice()) {
            return *position;
        }
        let position = find(keys);
        self.buckets.insert(self.decided.as_slice().into(), position);
        position
    }
}

/// The evaluation of one row.
struct RowEvaluation<'r, 't, 'c, C> {
    table: &'t Table<'c, C>,
    row: Row<'t>,
    shape: &'t Shape,
    bucket: &'r Bucket,
    position: u32,
    plan: &'r Plan,
    memory: &'r mut Memory,
    held: &'r mut Vec<u32>,
    work: &'r mut Work,
    single: &'r mut Work,
    /// Whether `work` has what a rule's questions need.
    is_bound: bool,
}

impl<C: Columns> RowEvaluation<'_, '_, '_, C> {
    fn run(&mut self, observer: &mut impl Observer, mut hit: impl FnMut(u32)) {
        observer.event(&self.plan.slots);
        self.find_candidates();
        let mut at = 0;
        while let Some(rule) = self.work.found.candidates.get(at).copied() {
            at += 1;
            if let Some((number, start)) = self.bucket.rules.get(rule as usize).copied()
                && observer.candidate(number, || self.holds(start))
            {
                hit(number);
            }
        }
    }

    fn find_candidates(&mut self) {
        self.held.clear();
        for rule in &self.plan.always {
            self.work.found.mark(*rule);
        }
        for probe in &self.plan.probes {
            let number = self.table.numbers().get(probe.item as usize).copied().unwrap_or(ABSENT);
            let (known, slots) = match &probe.remembered {
                Ok(place) => {
                    let slots = || Some(self.memory.probes.get(place.probe as usize)?.slots.as_slice());
                    (self.memory.recall(*place, number), slots().unwrap_or_default())
                }
                Err(slots) => (Known::Unknown, slots.as_ref()),
            };
            match known {
                Known::Nothing => {}
                Known::Found(rules, predicates) => {
                    rules.iter().for_each(|rule| self.work.found.mark(*rule));
                    self.held.extend_from_slice(predicates);
                }
                Known::Unknown => {
                    let Some(info) = self.shape.items.get(probe.item as usize) else {
                        continue;
                    };
                    let value = Single {
                        value: self.row.value(probe.item),
                        time: self.row.time(),
                    };
                    look_up(self.bucket, &value, *info, slots, self.single);
                    let found = &self.single.found;
                    found.candidates.iter().for_each(|rule| self.work.found.mark(*rule));
                    self.held.extend_from_slice(&found.held);
                }
            }
        }
    }

    /// Makes `work` what it is when an event is evaluated by itself.
    fn bind(&mut self) {
        let event = self.work.found.event;
        for (slot, item) in &self.plan.bound {
            if let Some(bound) = self.work.bound.get_mut(*slot as usize) {
                *bound = Bound {
                    event,
                    rank: 0,
                    item: *item,
                };
            }
        }
        for predicate in self.held.iter() {
            self.work.found.remember(*predicate, true);
        }
    }

    /// Whether a rule matches.
    fn holds(&mut self, start: u32) -> bool {
        if !self.is_bound {
            self.is_bound = true;
            self.bind();
        }
        let (bucket, shape, columns, numbers) = (self.bucket, self.shape, &self.table.columns, self.table.numbers());
        let (memory, position) = (&mut *self.memory, self.position);
        let mut ask = |evaluation: &mut Evaluation<'_, Row<'_>>, step: Step| {
            let number = step.ask;
            if let Some(known) = evaluation.work.found.recall(number) {
                return known;
            }
            let predicate = bucket.predicates.get(number as usize);
            let item = predicate
                .filter(|predicate| !predicate.indexed && predicate.depends_on_one_field())
                .and_then(|predicate| evaluation.item(predicate.slot));
            let place = item.and_then(|item| shape.columns.get(item as usize).copied());
            let column = place.and_then(|place| columns.get(place as usize));
            let (Some(item), Some(place), Some(column)) = (item, place, column.filter(|column| column.repeats()))
            else {
                return evaluation.predicate(number);
            };
            let value = numbers.get(item as usize).copied().unwrap_or(ABSENT);
            let answer = memory.predicate(
                (position, number, bucket.predicates.len()),
                (place, value, column.values.len()),
                || evaluation.predicate(number),
            );
            evaluation.work.found.remember(number, answer);
            answer
        };
        let mut evaluation = Evaluation {
            source: &self.row,
            bucket,
            items: &shape.items,
            work: self.work,
        };
        evaluation.holds_by(start, &mut ask)
    }
}

fn small(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}
