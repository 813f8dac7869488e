//! One part of a rule set over the rows of a block.

use model::{Timestamp, Value};
use rustc_hash::FxHashMap;

use super::Columns;
use super::memory::{Known, Memory, key};
use super::plan::{Depends, Plan, slots_of};
use super::table::{ABSENT, Asked, Row, Shape, Table};
use crate::engine::bucket::Bucket;
use crate::engine::evaluate::Evaluation;
use crate::engine::event::Values;
use crate::engine::keys::Keys;
use crate::engine::observer::{Nothing, Observer};
use crate::engine::part::Part;
use crate::engine::profile::Counters;
use crate::engine::scratch::{Bound, ItemInfo, Work};
use crate::engine::slots::{Names, Slot};
use crate::engine::source::Item;

/// A part of a rule set on its way through a block.
pub(crate) struct Run<'p> {
    part: &'p Part,
    names: &'p Names,
    /// By shape: the items that decide about the bucket, or `None` when some of them do not repeat.
    deciding: Vec<Option<Option<Box<[Item]>>>>,
    /// Positions of buckets, by shape and the numbers of the deciding values.
    buckets: FxHashMap<Box<[u32]>, usize>,
    decided: Vec<u32>,
    plans: FxHashMap<(usize, usize), Plan>,
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
            plans: FxHashMap::default(),
            memory: Memory::default(),
            held: Vec::new(),
        }
    }

    /// Calls `hit` with the number of each rule that matches the current row, in any order.
    pub(crate) fn row(&mut self, table: &Table<'_, impl Columns>, working: Working<'_>, hit: impl FnMut(u32)) {
        let Some(shape) = table.shapes.get(table.shape) else {
            return;
        };
        let Working {
            keys,
            counters,
            work,
            single,
        } = working;
        let position = self.bucket(table, shape, keys);
        let Some(bucket) = keys.bucket(position) else { return };
        if bucket.rules.is_empty() && counters.is_none() {
            return;
        }
        work.begin(shape.items.len(), bucket);
        let plan = self.plans.entry((table.shape, position)).or_insert_with(|| {
            let mut plan = Plan::new(bucket, shape);
            for (item, slots) in &plan.probes {
                let place = shape.columns.get(*item as usize).copied();
                let column = place.and_then(|place| Some((place, table.columns.get(place as usize)?)));
                plan.remembered.push(column.and_then(|(place, column)| {
                    let values = column.values.len();
                    column
                        .repeats()
                        .then(|| self.memory.probe(small(position), place, values, slots))
                        .flatten()
                }));
            }
            plan
        });
        let mut evaluation = RowEvaluation {
            table,
            row: table.current(),
            shape,
            bucket,
            position: small(position),
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
                counters.begin(position, bucket);
                evaluation.run(counters.as_mut(), hit);
            }
        }
    }

    /// The position of the row's bucket.
    fn bucket(&mut self, table: &Table<'_, impl Columns>, shape: &Shape, keys: &mut Keys) -> usize {
        let part = self.part;
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
        let number = |item: &Item| table.numbers.get(*item as usize).copied().unwrap_or(ABSENT);
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
    plan: &'r mut Plan,
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
                && observer.candidate(number, || self.holds(rule, start))
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
        for ((item, slots), remembered) in self.plan.probes.iter().zip(&self.plan.remembered) {
            let number = self.table.numbers.get(*item as usize).copied().unwrap_or(ABSENT);
            match remembered.map_or(Known::Unknown, |probe| self.memory.recall(probe, number)) {
                Known::Nothing => continue,
                Known::Found(rules, predicates) => {
                    rules.iter().for_each(|rule| self.work.found.mark(*rule));
                    self.held.extend_from_slice(predicates);
                    continue;
                }
                Known::Unknown => {}
            }
            let Some(info) = self.shape.items.get(*item as usize) else {
                continue;
            };
            look_up(self.bucket, &self.row, *item, *info, slots, self.single);
            let found = &self.single.found;
            if let Some(probe) = remembered {
                self.memory.remember(*probe, number, &found.candidates, &found.held);
            }
            found.candidates.iter().for_each(|rule| self.work.found.mark(*rule));
            self.held.extend_from_slice(&found.held);
        }
    }

    /// Whether a rule matches.
    fn holds(&mut self, rule: u32, start: u32) -> bool {
        let depends = match self.plan.rules.get(&rule) {
            Some(depends) => depends,
            None => {
                let depends = self.depends(rule, start);
                self.plan.rules.entry(rule).or_insert(depends)
            }
        };
        let Depends::Items { id, items } = depends else {
            return self.evaluate(start);
        };
        let key = key(*id, items, &self.table.numbers);
        if let Some(answer) = self.memory.answer(&key) {
            return answer;
        }
        let answer = self.evaluate(start);
        self.memory.set_answer(key, answer);
        answer
    }

    #[cold]
    fn depends(&mut self, rule: u32, start: u32) -> Depends {
        let bucket = self.bucket;
        let Some(slots) = self.memory.slots_of(self.position, rule, || slots_of(bucket, start)) else {
            return Depends::Anything;
        };
        let Ok(items) = self.plan.items_of(slots, self.shape, &self.table.columns) else {
            return Depends::Anything;
        };
        let column = |item: &Option<Item>| {
            let column = item.and_then(|item| self.shape.columns.get(item as usize));
            column.copied().unwrap_or(ABSENT)
        };
        let columns = items.iter().map(column).collect();
        self.memory.depends(self.position, rule, &items, columns)
    }

    fn evaluate(&mut self, start: u32) -> bool {
        if !self.is_bound {
            self.is_bound = true;
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
        let (bucket, shape, columns, numbers) = (self.bucket, self.shape, &self.table.columns, &self.table.numbers);
        let (memory, position) = (&mut *self.memory, self.position);
        let mut ask = |evaluation: &mut Evaluation<'_, Row<'_>>, number: u32| {
            if let Some(known) = evaluation.work.found.recall(number) {
                return known;
            }
            let predicate = bucket.predicates.get(number as usize);
            let item = predicate
                .filter(|predicate| !predicate.indexed && predicate.depends_on_one_field())
                .and_then(|predicate| evaluation.item(predicate.slot));
            let place = item.and_then(|item| shape.columns.get(item as usize));
            let (Some(item), Some(place)) = (item, place) else {
                return evaluation.predicate(number);
            };
            if !columns.get(*place as usize).is_some_and(Asked::repeats) {
                return evaluation.predicate(number);
            }
            let value = numbers.get(item as usize).copied().unwrap_or(ABSENT);
            let answer = memory.predicate((position, number), (*place, value), || evaluation.predicate(number));
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

/// A single value as an event with one field.
struct Single<'v> {
    value: Option<&'v Value>,
    time: Timestamp,
}

impl Values for Single<'_> {
    #[inline]
    fn value(&self, _: Item) -> Option<&Value> {
        self.value
    }

    fn time(&self) -> Timestamp {
        self.time
    }
}

/// Looks an item's value up in the index of some slots.
fn look_up(bucket: &Bucket, row: &Row<'_>, item: Item, info: ItemInfo, slots: &[Slot], work: &mut Work) {
    work.begin(1, bucket);
    let event = work.found.event;
    for slot in slots {
        if let Some(bound) = work.bound.get_mut(*slot as usize) {
            *bound = Bound {
                event,
                rank: 0,
                item: 0,
            };
        }
    }
    let source = Single {
        value: row.value(item),
        time: row.time(),
    };
    let mut evaluation = Evaluation {
        source: &source,
        bucket,
        items: &[info],
        work,
    };
    for slot in slots {
        if let Some(index) = bucket.field(*slot) {
            evaluation.probe(*slot, index);
        }
    }
}

fn small(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}
