//! What rows of one shape have in common in one bucket.

use rustc_hash::{FxHashMap, FxHashSet};

use super::table::{Asked, Shape};
use crate::ast::Op;
use crate::engine::bucket::Bucket;
use crate::engine::predicate::Kind;
use crate::engine::program::{COUNT, REJECT};
use crate::engine::slots::{ANY, Slot};
use crate::engine::source::Item;

/// How rows of one shape are evaluated in one bucket.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    /// The slots that have a field, and which item that is, as it would be bound for one event.
    pub(crate) bound: Vec<(Slot, Item)>,
    /// The same slots.
    pub(crate) slots: Vec<Slot>,
    /// Rules that are candidates whatever the values.
    pub(crate) always: Vec<u32>,
    /// Items whose values are looked up in the index, and the slots whose index that is.
    pub(crate) probes: Vec<(Item, Vec<Slot>)>,
    /// Numbers of the probes in the run's memory, in the same order.
    pub(crate) remembered: Vec<Option<u32>>,
    /// What the answers of rules depend on, as far as they were asked.
    pub(crate) rules: FxHashMap<u32, Depends>,
}

/// What the answer of a rule depends on in rows of one shape.
#[derive(Clone, Debug)]
pub(crate) enum Depends {
    /// Too much, or what does not repeat.
    Anything,
    /// On the values of these items. `id` stands for the rule in the bucket and the columns of its fields.
    Items { id: u32, items: Box<[Item]> },
}

impl Plan {
    pub(crate) fn new(bucket: &Bucket, shape: &Shape) -> Self {
        let mut ranks: Vec<(Slot, u8, Item)> = Vec::new();
        let mut places: FxHashMap<Slot, usize> = FxHashMap::default();
        for (item, info) in (0..).zip(&shape.items) {
            for binding in bucket.bindings.of(info.name) {
                let next = ranks.len();
                let place = *places.entry(binding.slot).or_insert(next);
                match ranks.get_mut(place) {
                    None => ranks.push((binding.slot, binding.rank, item)),
                    Some(bound) if binding.rank < bound.1 => *bound = (binding.slot, binding.rank, item),
                    Some(_) => {}
                }
            }
        }
        let is_probed = |slot: &Slot| {
            bucket
                .field(*slot)
                .is_some_and(|index| index.finds_by_ends || index.literals.is_some())
        };
        let mut probes = Vec::new();
        for (item, info) in (0..).zip(&shape.items) {
            let any = (info.searched && is_probed(&ANY)).then_some(ANY);
            let own = ranks.iter().filter(|(_, _, bound)| *bound == item);
            let slots: Vec<Slot> = any
                .into_iter()
                .chain(own.map(|(slot, ..)| *slot).filter(is_probed))
                .collect();
            if !slots.is_empty() {
                probes.push((item, slots));
            }
        }
        let present = ranks.iter().filter_map(|(slot, ..)| bucket.field(*slot));
        let mut seen = FxHashSet::default();
        let always = bucket
            .always
            .iter()
            .chain(present.flat_map(|index| &index.present))
            .copied()
            .filter(|rule| seen.insert(*rule))
            .collect();
        Self {
            slots: ranks.iter().map(|(slot, ..)| *slot).collect(),
            bound: ranks.into_iter().map(|(slot, _, item)| (slot, item)).collect(),
            always,
            probes,
            remembered: Vec::new(),
            rules: FxHashMap::default(),
        }
    }

    /// The items of a rule's slots; `None` for a slot without. `Err` when the answer depends on what does not repeat.
    pub(crate) fn items_of(
        &self,
        slots: &[Slot],
        shape: &Shape,
        columns: &[Asked<'_>],
    ) -> Result<Vec<Option<Item>>, Unrepeated> {
        let item_of = |slot: &Slot| {
            let Some((_, item)) = self.bound.iter().find(|(bound, _)| bound == slot) else {
                return Ok(None);
            };
            let column = shape
                .columns
                .get(*item as usize)
                .and_then(|column| columns.get(*column as usize));
            match column {
                Some(column) if column.repeats() => Ok(Some(*item)),
                // The time is no column.
                Some(_) | None => Err(Unrepeated),
            }
        };
        slots.iter().map(item_of).collect()
    }
}

/// Nothing is gained by remembering the answer.
#[derive(Debug)]
pub(crate) struct Unrepeated;

/// The slots a rule asks, by where its chain starts, in ascending order; `None` when it asks all fields.
pub(crate) fn slots_of(bucket: &Bucket, start: u32) -> Option<Box<[Slot]>> {
    let mut slots = Vec::new();
    let (mut pending, mut seen) = (vec![start], FxHashSet::default());
    while let Some(at) = pending.pop() {
        if at >= REJECT || !seen.insert(at) {
            continue;
        }
        let step = bucket.code.steps.get(at as usize)?;
        pending.extend([step.yes, step.no]);
        if step.ask & COUNT != 0 {
            let count = bucket.code.counts.get((step.ask & !COUNT) as usize)?;
            pending.extend(&count.chains);
            continue;
        }
        let predicate = bucket.predicates.get(step.ask as usize)?;
        slots.push(predicate.slot);
        if let Kind::Op {
            op: Op::FieldRef(_),
            other,
            ..
        } = &predicate.kind
        {
            slots.push(*other);
        }
    }
    slots.sort_unstable();
    slots.dedup();
    (!slots.contains(&ANY)).then(|| slots.into_boxed_slice())
}
