//! From an event's gate fields to its bucket, remembered so that most events need a few comparisons.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use crate::engine::bucket::Bucket;
use crate::engine::event::DecodedEvent;
use crate::engine::gates::Gates;
use crate::engine::hash::{hash, same};
use crate::engine::scratch::ItemInfo;
use crate::engine::slots::{Name, Slot};
use crate::engine::source::{Item, Source};

/// Cells for remembered values of a slot; a power of two.
const CELLS: usize = 64;
/// Cells for remembered combinations of values; a power of two.
const RECENT: usize = 512;
/// Longest combination that is remembered, in bytes.
const MAX_RECENT: usize = 512;
/// Most classes of one slot; the event of a further one is evaluated against all rules.
const MAX_CLASSES: usize = 4096;
/// Most keys that are remembered.
const MAX_KEYS: usize = 8192;

/// The class of a field that is not there.
const ABSENT: u16 = 0;

/// What is remembered of the values of one gate field.
#[derive(Debug)]
struct Classes {
    /// The questions answered with yes, by class.
    answers: Vec<Arc<[u16]>>,
    by_answers: FxHashMap<Arc<[u16]>, u16>,
    cells: Box<[Cell]>,
}

#[derive(Clone, Debug, Default)]
struct Cell {
    identity: Vec<u8>,
    class: u16,
}

/// The keys an evaluating thread has seen.
#[derive(Debug, Default)]
pub(crate) struct Keys {
    classes: Vec<Classes>,
    bound: Vec<Bound>,
    event: u32,
    key: Vec<u16>,
    by_key: FxHashMap<Box<[u16]>, usize>,
    buckets: Vec<Arc<Bucket>>,
    identity: Vec<u8>,
    /// The values of all gate fields of events seen lately, and the positions of their buckets.
    recent: Vec<(Vec<u8>, usize)>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Bound {
    event: u32,
    rank: u8,
}

impl Keys {
    /// Forgets everything.
    pub(crate) fn reset(&mut self, gates: &Gates) {
        *self = Self {
            key: vec![ABSENT; gates.slots()],
            bound: vec![Bound::default(); gates.slots()],
            recent: vec![(Vec::new(), 0); RECENT],
            ..Self::default()
        };
        for slot in 0..gates.slots() {
            let slot = Slot::try_from(slot).unwrap_or(Slot::MAX);
            let absent: Arc<[u16]> = gates.answers(slot, None::<(&DecodedEvent<'_>, Item)>).into();
            self.classes.push(Classes {
                answers: vec![absent],
                by_answers: FxHashMap::default(),
                cells: vec![Cell::default(); CELLS].into_boxed_slice(),
            });
        }
    }

    /// The bucket at a position [`Self::find`] gave.
    #[inline]
    pub(crate) fn bucket(&self, position: usize) -> Option<&Bucket> {
        self.buckets.get(position).map(AsRef::as_ref)
    }

    /// The position of the bucket of an event. `asked` are the items that gates ask for, in order. `make` gives it for the questions answered with yes, by slot; for
    /// `None`, that of an event nothing is known of.
    #[inline]
    pub(crate) fn find(
        &mut self,
        gates: &Gates,
        source: &impl Source,
        items: &[ItemInfo],
        asked: impl Iterator<Item = (Item, Name)>,
        make: impl FnOnce(Option<&[Arc<[u16]>]>) -> Arc<Bucket>,
    ) -> usize {
        self.identity.clear();
        let mut is_short = true;
        for (item, name) in asked {
            let start = self.identity.len();
            self.identity.extend_from_slice(&name.to_le_bytes());
            self.identity.extend_from_slice(&[0; 2]);
            is_short &= source.identity(item, &mut self.identity);
            let length = self.identity.len() - start;
            // With its length before it, no value is taken for part of another.
            if let (Some(place), Ok(length)) = (self.identity.get_mut(start + 4..start + 6), u16::try_from(length)) {
                place.copy_from_slice(&length.to_le_bytes());
            } else {
                is_short = false;
            }
        }
        is_short &= self.identity.len() <= MAX_RECENT;
        if !is_short {
            return self.by_classes(gates, source, items, make);
        }
        // An event without any gate field has an identity of its own, too.
        self.identity.push(0);
        #[allow(clippy::cast_possible_truncation, reason = "any bits of a hash will do")]
        let at = hash(&self.identity, 0) as usize % RECENT;
        if let Some((identity, position)) = self.recent.get(at)
            && same(identity, &self.identity)
        {
            return *position;
        }
        // The memory of the value that is forgotten is used again, so that nothing is allocated.
        let mut identity = self
            .recent
            .get_mut(at)
            .map(|(identity, _)| std::mem::take(identity))
            .unwrap_or_default();
        identity.clear();
        identity.extend_from_slice(&self.identity);
        let position = self.by_classes(gates, source, items, make);
        if let Some(cell) = self.recent.get_mut(at) {
            *cell = (identity, position);
        }
        position
    }

    /// The same by the classes of the values.
    fn by_classes(
        &mut self,
        gates: &Gates,
        source: &impl Source,
        items: &[ItemInfo],
        make: impl FnOnce(Option<&[Arc<[u16]>]>) -> Arc<Bucket>,
    ) -> usize {
        if self.event == u32::MAX {
            self.bound.fill(Bound::default());
            self.event = 0;
        }
        self.event += 1;
        self.key.fill(ABSENT);
        let mut is_known = true;
        for (item, info) in (0..).zip(items) {
            for binding in gates.bindings.of(info.name) {
                let Some(bound) = self.bound.get_mut(binding.slot as usize) else {
                    continue;
                };
                if bound.event == self.event && bound.rank <= binding.rank {
                    continue;
                }
                *bound = Bound {
                    event: self.event,
                    rank: binding.rank,
                };
                let class = self.class(gates, binding.slot, source, item);
                is_known &= class.is_some();
                if let Some(place) = self.key.get_mut(binding.slot as usize) {
                    *place = class.unwrap_or(ABSENT);
                }
            }
        }
        if is_known && let Some(position) = self.by_key.get(self.key.as_slice()) {
            return *position;
        }
        self.add(is_known, make)
    }

    #[cold]
    fn add(&mut self, is_known: bool, make: impl FnOnce(Option<&[Arc<[u16]>]>) -> Arc<Bucket>) -> usize {
        if self.by_key.len() >= MAX_KEYS {
            self.by_key.clear();
            self.recent.fill((Vec::new(), 0));
        }
        let bucket = if is_known {
            let answers: Option<Vec<Arc<[u16]>>> = self
                .key
                .iter()
                .zip(&self.classes)
                .map(|(class, classes)| classes.answers.get(usize::from(*class)).cloned())
                .collect();
            make(answers.as_deref())
        } else {
            make(None)
        };
        let known = self.buckets.iter().position(|known| Arc::ptr_eq(known, &bucket));
        let position = known.unwrap_or_else(|| {
            self.buckets.push(bucket);
            self.buckets.len() - 1
        });
        if is_known {
            self.by_key.insert(self.key.as_slice().into(), position);
        }
        position
    }

    /// The class of a field; `None` when there are too many.
    #[inline]
    fn class(&mut self, gates: &Gates, slot: Slot, source: &impl Source, item: Item) -> Option<u16> {
        self.identity.clear();
        let classes = self.classes.get_mut(slot as usize)?;
        if !source.identity(item, &mut self.identity) {
            return classes.of(&gates.answers(slot, Some((source, item))));
        }
        #[allow(clippy::cast_possible_truncation, reason = "any bits of a hash will do")]
        let at = hash(&self.identity, 0) as usize % CELLS;
        let cell = classes.cells.get(at)?;
        // No identity is empty, so an empty cell is that of no value.
        if same(&cell.identity, &self.identity) {
            return Some(cell.class);
        }
        let class = classes.of(&gates.answers(slot, Some((source, item))))?;
        let cell = classes.cells.get_mut(at)?;
        cell.identity.clear();
        cell.identity.extend_from_slice(&self.identity);
        cell.class = class;
        Some(class)
    }
}

impl Classes {
    fn of(&mut self, answers: &[u16]) -> Option<u16> {
        if let Some(class) = self.by_answers.get(answers) {
            return Some(*class);
        }
        if self.answers.len() >= MAX_CLASSES {
            return None;
        }
        let class = u16::try_from(self.answers.len()).ok()?;
        let answers: Arc<[u16]> = answers.into();
        self.answers.push(answers.clone());
        self.by_answers.insert(answers, class);
        Some(class)
    }
}
