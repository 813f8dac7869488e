//! Field names as numbers: every field any rule asks for has a slot, and each event's fields are put into the slots
//! once.

use std::borrow::Cow;

use rustc_hash::FxHashMap;

use crate::ast::Field;

/// Number of a field that rules ask for.
pub(crate) type Slot = u32;

/// The subject of keywords: every field of the event.
pub(crate) const ANY: Slot = 0;

/// Name of the event's own time, which is not among its fields.
pub(crate) const TIMESTAMP: &str = "@timestamp";

/// A place where a field of some name goes. The lower the rank, the better the name.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Binding {
    pub(crate) slot: Slot,
    pub(crate) rank: u8,
}

/// All slots of a rule set.
#[derive(Debug, Default)]
pub(crate) struct Slots {
    by_field: FxHashMap<Field, Slot>,
    by_event_name: FxHashMap<String, Vec<Binding>>,
    count: u32,
}

impl Slots {
    pub(crate) fn new() -> Self {
        Self {
            count: ANY + 1,
            ..Self::default()
        }
    }

    /// The slot of a field. Fields with the same name but other alternatives have slots of their own.
    pub(crate) fn intern(&mut self, field: &Field) -> Slot {
        if let Some(slot) = self.by_field.get(field) {
            return *slot;
        }
        let slot = self.count;
        self.count += 1;
        self.by_field.insert(field.clone(), slot);
        let names = std::iter::once(&field.name).chain(field.others.iter());
        for (name, rank) in names.zip(0..) {
            let bindings = self.by_event_name.entry(without_spaces(name).into_owned()).or_default();
            bindings.push(Binding { slot, rank });
        }
        slot
    }

    /// Where a field of an event goes.
    pub(crate) fn bindings(&self, event_name: &str) -> &[Binding] {
        self.by_event_name
            .get(without_spaces(event_name).as_ref())
            .map_or(&[], Vec::as_slice)
    }

    pub(crate) fn len(&self) -> usize {
        self.count as usize
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
