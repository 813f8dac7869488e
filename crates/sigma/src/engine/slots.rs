//! Field names as numbers.
//!
//! Every name rules look for in events has a number in the whole rule set ([`Names`]). Every field that is asked for
//! in one place (the gates, a bucket) has a slot there ([`Slots`]); several names can lead to one slot, and one name
//! to several slots.

use std::borrow::Cow;
use std::sync::Arc;

use rustc_hash::FxHashMap;

use crate::ast::{Expr, Field, Op, Subject};

/// Number of a field that is asked for.
pub(crate) type Slot = u32;
/// Number of a name fields have in events.
pub(crate) type Name = u32;

/// The subject of keywords: every field of the event.
pub(crate) const ANY: Slot = 0;
/// A name no rule looks for.
pub(crate) const UNKNOWN: Name = u32::MAX;

/// Name of the event's own time, which is not among its fields.
pub(crate) const TIMESTAMP: &str = "@timestamp";

/// The names of fields that rules look for, without spaces.
#[derive(Clone, Debug, Default)]
pub(crate) struct Names {
    by_name: FxHashMap<Box<str>, Name>,
}

impl Names {
    /// Adds the names of every field the expression asks for.
    pub(crate) fn add(&mut self, expr: &Expr) {
        match expr {
            Expr::And(terms) | Expr::Or(terms) | Expr::AtLeast(_, terms) => {
                terms.iter().for_each(|term| self.add(term))
            }
            Expr::Not(inner) => self.add(inner),
            Expr::Test(test) => {
                if let Subject::Field(field) = &test.subject {
                    self.add_field(field);
                }
                if let Op::FieldRef(reference) = &test.op {
                    self.add_field(&reference.field);
                }
            }
        }
    }

    fn add_field(&mut self, field: &Field) {
        for name in std::iter::once(&field.name).chain(field.others.iter()) {
            let name = without_spaces(name);
            if !self.by_name.contains_key(name.as_ref()) {
                let number = Name::try_from(self.by_name.len()).unwrap_or(UNKNOWN);
                self.by_name.insert(name.into(), number);
            }
        }
    }

    /// The number of a name an event has; [`UNKNOWN`] when no rule looks for it.
    pub(crate) fn get(&self, name: &str) -> Name {
        self.by_name
            .get(without_spaces(name).as_ref())
            .copied()
            .unwrap_or(UNKNOWN)
    }
}

/// A place where a field of some name goes. The lower the rank, the better the name.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Binding {
    pub(crate) slot: Slot,
    pub(crate) rank: u8,
}

/// Gives fields slots.
#[derive(Debug, Default)]
pub(crate) struct Slots {
    by_field: FxHashMap<Field, Slot>,
    fields: Vec<Arc<str>>,
    bindings: Vec<(Name, Binding)>,
}

impl Slots {
    /// The slot of a field, all of whose names are known. Fields with the same name but other alternatives have slots
    /// of their own.
    pub(crate) fn intern(&mut self, field: &Field, names: &Names) -> Slot {
        if let Some(slot) = self.by_field.get(field) {
            return *slot;
        }
        let slot = ANY + 1 + Slot::try_from(self.by_field.len()).unwrap_or(Slot::MAX - 1);
        self.by_field.insert(field.clone(), slot);
        self.fields.push(field.name.clone());
        for (name, rank) in std::iter::once(&field.name).chain(field.others.iter()).zip(0..) {
            self.bindings.push((names.get(name), Binding { slot, rank }));
        }
        slot
    }

    /// Whether the field has a slot.
    pub(crate) fn has(&self, field: &Field) -> bool {
        self.by_field.contains_key(field)
    }

    /// The name of a slot's field.
    pub(crate) fn name(&self, slot: Slot) -> Option<&str> {
        self.fields
            .get((slot as usize).checked_sub(1)?)
            .map(|name| name.as_ref())
    }

    /// The names of all fields, by slot, from the first behind that of keywords.
    pub(crate) fn names(&self) -> &[Arc<str>] {
        &self.fields
    }

    /// How many slots there are, with the one of keywords.
    pub(crate) fn len(&self) -> usize {
        self.by_field.len() + 1
    }

    /// The places of each name.
    pub(crate) fn bindings(&self) -> Bindings {
        let mut sorted = self.bindings.clone();
        sorted.sort_by_key(|(name, _)| *name);
        let mut bindings = Bindings::default();
        for (name, binding) in sorted {
            let name = name as usize;
            if bindings.starts.len() <= name {
                let next = offset(bindings.places.len());
                bindings.starts.resize(name + 1, next);
            }
            bindings.places.push(binding);
        }
        bindings.starts.push(offset(bindings.places.len()));
        bindings
    }
}

fn offset(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

/// Where fields go, by the number of their name.
#[derive(Debug, Default)]
pub(crate) struct Bindings {
    /// Where the places of each name start; those of the last end with the last element.
    starts: Vec<u32>,
    places: Vec<Binding>,
}

impl Bindings {
    #[inline]
    pub(crate) fn of(&self, name: Name) -> &[Binding] {
        let name = name as usize;
        let Some([start, end]) = self.starts.get(name..).and_then(|starts| starts.first_chunk::<2>()) else {
            return &[];
        };
        self.places.get(*start as usize..*end as usize).unwrap_or_default()
    }
}

pub(crate) fn without_spaces(name: &str) -> Cow<'_, str> {
    if name.contains(' ') {
        Cow::Owned(name.replace(' ', ""))
    } else {
        Cow::Borrowed(name)
    }
}

/// Whether keywords look into a field: not into what Picket itself notes about an event's way in.
pub(crate) fn is_searched_by_keywords(name: &str) -> bool {
    !name.starts_with("picket.") && !name.starts_with("agent.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_to_every_slot_that_looks_for_them() {
        let field = |name: &str, others: &[&str]| Field {
            name: name.into(),
            others: others.iter().map(|name| (*name).into()).collect(),
        };
        let (mut names, mut slots) = (Names::default(), Slots::default());
        names.add_field(&field("elsewhere", &[]));
        let [image_field, plain_field, threat_field] = [
            field("Image", &["process.executable"]),
            field("Image", &[]),
            field("Threat Name", &[]),
        ];
        for field in [&image_field, &plain_field, &threat_field] {
            names.add_field(field);
        }
        let image = slots.intern(&image_field, &names);
        let plain = slots.intern(&plain_field, &names);
        let threat = slots.intern(&threat_field, &names);
        assert_eq!(slots.len(), 4);
        let bindings = slots.bindings();
        let places = |name: &str| -> Vec<(Slot, u8)> {
            let places = bindings.of(names.get(name)).iter();
            places.map(|place| (place.slot, place.rank)).collect()
        };
        assert_eq!(places("Image"), [(image, 0), (plain, 0)]);
        assert_eq!(places("process.executable"), [(image, 1)]);
        assert_eq!(places("ThreatName"), [(threat, 0)]);
        assert_eq!(places("elsewhere"), []);
        assert_eq!(places("nowhere"), []);
    }
}
