//! What is remembered of events with the same names in the same order, so that it is not worked out for each of them:
//! which of their fields gates ask for, and which field is in which slot of a bucket.

use crate::engine::scratch::ItemInfo;
use crate::engine::slots::{Bindings, Name, Slot};
use crate::engine::source::Item;

/// Most buckets of one shape for which slots are remembered.
const MAX_BUCKETS: usize = 8;

/// Which fields are in which slots.
type Slots = Box<[(Slot, Item)]>;

/// Number of a shape, and of the time since shapes were last forgotten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ShapeId {
    pub(crate) number: u32,
    pub(crate) age: u64,
}

/// What one part of a rule set remembers.
#[derive(Debug, Default)]
pub(crate) struct Shapes {
    age: u64,
    all: Vec<Shape>,
}

/// What is remembered of one shape.
#[derive(Debug, Default)]
pub(crate) struct Shape {
    is_known: bool,
    asked: Box<[(Item, Name)]>,
    /// By position of the bucket.
    slots: Vec<(usize, Slots)>,
}

impl Shapes {
    /// Forgets everything.
    pub(crate) fn clear(&mut self) {
        self.all.clear();
    }

    /// What is known of a shape, whose items these are.
    #[inline]
    pub(crate) fn of(&mut self, shape: ShapeId, items: &[ItemInfo], gates: &Bindings) -> Option<&mut Shape> {
        let number = shape.number as usize;
        if self.age != shape.age {
            self.all.clear();
            self.age = shape.age;
        }
        if self.all.get(number).is_none_or(|shape| !shape.is_known) {
            self.add(number, items, gates);
        }
        self.all.get_mut(number)
    }

    #[cold]
    fn add(&mut self, number: usize, items: &[ItemInfo], gates: &Bindings) {
        if self.all.len() <= number {
            self.all.resize_with(number + 1, Shape::default);
        }
        if let Some(shape) = self.all.get_mut(number) {
            *shape = Shape {
                is_known: true,
                asked: asked(items, gates).collect(),
                slots: Vec::new(),
            };
        }
    }
}

impl Shape {
    /// The fields that gates ask for, in order.
    #[inline]
    pub(crate) fn asked(&self) -> &[(Item, Name)] {
        &self.asked
    }

    /// The fields in the slots of a bucket, as [`Self::note_slots`] got them.
    #[inline]
    pub(crate) fn slots(&self, bucket: usize) -> Option<&[(Slot, Item)]> {
        let known = self.slots.iter().find(|(of, _)| *of == bucket)?;
        Some(&known.1)
    }

    /// Keeps which fields are in the slots of a bucket.
    #[cold]
    pub(crate) fn note_slots(&mut self, bucket: usize, slots: impl Iterator<Item = (Slot, Item)>) {
        if self.slots.len() < MAX_BUCKETS {
            self.slots.push((bucket, slots.collect()));
        }
    }
}

/// The fields that gates ask for, in order.
pub(crate) fn asked(items: &[ItemInfo], gates: &Bindings) -> impl Iterator<Item = (Item, Name)> {
    (0..)
        .zip(items)
        .filter(|(_, info)| !gates.of(info.name).is_empty())
        .map(|(item, info)| (item, info.name))
}
