//! What rows of one shape have in common in one bucket.

use rustc_hash::{FxHashMap, FxHashSet};

use super::memory::{Memory, Place};
use super::table::Shape;
use crate::engine::bucket::Bucket;
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
    /// Items whose values are looked up in the index.
    pub(crate) probes: Vec<ItemProbe>,
    /// Whether only those are left of which rows make use.
    pub(crate) is_reduced: bool,
}

/// An item's values are looked up in the index of some slots.
#[derive(Debug)]
pub(crate) struct ItemProbe {
    pub(crate) item: Item,
    /// Where it is remembered what is found, or the slots, when that is not remembered.
    pub(crate) remembered: Result<Place, Box<[Slot]>>,
}

impl Plan {
    /// `remember` says where it is remembered what the index of some slots finds in the values of an item.
    pub(crate) fn new(
        bucket: &Bucket,
        shape: &Shape,
        mut remember: impl FnMut(Item, &[Slot]) -> Option<Place>,
    ) -> Self {
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
        let is_probed = |slot: Slot| {
            bucket
                .field(slot)
                .is_some_and(|index| index.finds_by_ends || index.literals.is_some())
        };
        let asks_all = is_probed(ANY);
        let searched = (0..).zip(&shape.items).filter(|(_, info)| asks_all && info.searched);
        let own = ranks.iter().filter(|(slot, ..)| is_probed(*slot));
        let mut asked: Vec<(Item, Slot)> = searched
            .map(|(item, _)| (item, ANY))
            .chain(own.map(|(slot, _, item)| (*item, *slot)))
            .collect();
        asked.sort_unstable();
        let mut slots: Vec<Slot> = Vec::new();
        let mut probes = Vec::with_capacity(shape.items.len());
        for of_item in asked.chunk_by(|left, right| left.0 == right.0) {
            let Some((item, _)) = of_item.first() else { continue };
            slots.clear();
            slots.extend(of_item.iter().map(|(_, slot)| *slot));
            probes.push(ItemProbe {
                item: *item,
                remembered: remember(*item, &slots).ok_or_else(|| slots.as_slice().into()),
            });
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
            is_reduced: false,
        }
    }

    /// Leaves out what need not be recalled, because nothing was found in any value.
    pub(crate) fn reduce(&mut self, memory: &Memory) {
        self.is_reduced = true;
        self.probes.retain(|probe| match &probe.remembered {
            Ok(place) => memory
                .probes
                .get(place.probe as usize)
                .is_none_or(|probe| probe.is_of_use),
            Err(_) => true,
        });
    }
}
