//! Working memory of an evaluation, kept between events so that none is allocated per event.

use std::fmt::Write as _;

use model::Event;

use crate::engine::slots::{Binding, Slot};
use crate::engine::text::fold_texts;

/// Bytes of folded text beyond which the memory is given back after an event.
const KEEP_BYTES: usize = 1 << 20;
/// Number of texts beyond which the memory is given back after an event.
const KEEP_SPANS: usize = 1 << 14;

/// Buffers for [`RuleSet::evaluate`](crate::RuleSet::evaluate): one per thread, for any number of events and rule
/// sets.
///
/// What it remembers carries the number of the event it was computed for, so starting the next event costs nothing.
#[derive(Debug, Default)]
pub struct Scratch {
    event: u32,
    fields: Vec<Bound>,
    slots: Vec<Slot>,
    folded: Vec<Folded>,
    spans: Vec<(u32, u32)>,
    arena: String,
    predicates: Vec<u32>,
    gates: Vec<u32>,
    marks: Vec<u32>,
    /// Rules to evaluate for this event.
    pub(crate) candidates: Vec<u32>,
    /// For values that are not text.
    pub(crate) number: String,
}

/// Which field of the event is in a slot.
#[derive(Clone, Copy, Debug, Default)]
struct Bound {
    event: u32,
    rank: u8,
    field: u32,
}

/// Where the folded texts of a field are.
#[derive(Clone, Copy, Debug, Default)]
struct Folded {
    event: u32,
    first: u32,
    count: u32,
}

/// A field of the event by position; the position behind the last is the event's time.
pub(crate) type FieldIndex = usize;

impl Scratch {
    /// Empty; it grows to what the rule sets and events need.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    pub(crate) fn begin(&mut self, event: &Event, slots: usize, predicates: usize, gates: usize, rules: usize) {
        self.candidates.clear();
        self.slots.clear();
        self.spans.clear();
        self.spans.shrink_to(KEEP_SPANS);
        self.arena.clear();
        self.arena.shrink_to(KEEP_BYTES);
        // One bit of a remembered value is the value.
        if self.event >= u32::MAX >> 1 {
            *self = Self::default();
        }
        self.event += 1;
        grow(&mut self.fields, slots);
        grow(&mut self.folded, event.fields.len() + 1);
        grow(&mut self.predicates, predicates);
        grow(&mut self.gates, gates);
        grow(&mut self.marks, rules);
    }

    pub(crate) fn bind(&mut self, binding: Binding, field: FieldIndex) {
        let (Some(bound), Ok(field)) = (self.fields.get_mut(binding.slot as usize), u32::try_from(field)) else {
            return;
        };
        let is_first = bound.event != self.event;
        if is_first {
            self.slots.push(binding.slot);
        }
        if is_first || binding.rank < bound.rank {
            *bound = Bound {
                event: self.event,
                rank: binding.rank,
                field,
            };
        }
    }

    /// The slots that have a field, by position in an arbitrary order.
    pub(crate) fn bound_slot(&self, position: usize) -> Option<Slot> {
        self.slots.get(position).copied()
    }

    pub(crate) fn field_in(&self, slot: Slot) -> Option<FieldIndex> {
        let bound = self.fields.get(slot as usize)?;
        (bound.event == self.event).then_some(bound.field as usize)
    }

    /// Positions of the folded texts of a field, for [`Self::text`]. Folds them at the first call.
    pub(crate) fn fold(&mut self, event: &Event, field: FieldIndex) -> std::ops::Range<usize> {
        let Some(folded) = self.folded.get_mut(field) else {
            return 0..0;
        };
        if folded.event != self.event {
            let first = self.spans.len();
            match event.fields.at(field) {
                Some((_, value)) => fold_texts(value, &mut self.arena, &mut self.spans),
                None => {
                    let start = self.arena.len();
                    // Writing to a String does not fail.
                    let _ = write!(self.arena, "{}", event.timestamp);
                    self.arena[start..].make_ascii_lowercase();
                    self.spans.extend(span(start, self.arena.len()));
                }
            }
            *folded = Folded {
                event: self.event,
                first: u32::try_from(first).unwrap_or(u32::MAX),
                count: u32::try_from(self.spans.len() - first).unwrap_or(0),
            };
        }
        let first = folded.first as usize;
        first..first + folded.count as usize
    }

    /// A folded text.
    pub(crate) fn text(&self, position: usize) -> &str {
        let Some((start, end)) = self.spans.get(position) else {
            return "";
        };
        self.arena.get(*start as usize..*end as usize).unwrap_or_default()
    }

    pub(crate) fn mark(&mut self, rule: u32) {
        if let Some(mark) = self.marks.get_mut(rule as usize)
            && *mark != self.event
        {
            *mark = self.event;
            self.candidates.push(rule);
        }
    }

    /// Marks every rule that has a witness among the folded texts at `positions`.
    pub(crate) fn probe(&mut self, index: &crate::engine::index::FieldIndex, positions: std::ops::Range<usize>) {
        let (event, marks, candidates) = (self.event, &mut self.marks, &mut self.candidates);
        for (start, end) in self.spans.get(positions).unwrap_or_default() {
            let text = self.arena.get(*start as usize..*end as usize).unwrap_or_default();
            index.probe(text, |rule| {
                if let Some(mark) = marks.get_mut(rule as usize)
                    && *mark != event
                {
                    *mark = event;
                    candidates.push(rule);
                }
            });
        }
    }

    pub(crate) fn predicate(&self, number: u32) -> Option<bool> {
        recall(&self.predicates, number, self.event)
    }

    pub(crate) fn remember_predicate(&mut self, number: u32, value: bool) {
        remember(&mut self.predicates, number, self.event, value);
    }

    pub(crate) fn gate(&self, number: u32) -> Option<bool> {
        recall(&self.gates, number, self.event)
    }

    pub(crate) fn remember_gate(&mut self, number: u32, value: bool) {
        remember(&mut self.gates, number, self.event, value);
    }
}

fn span(start: usize, end: usize) -> Option<(u32, u32)> {
    Some((u32::try_from(start).ok()?, u32::try_from(end).ok()?))
}

fn grow<T: Clone + Default>(values: &mut Vec<T>, len: usize) {
    if values.len() < len {
        values.resize(len, T::default());
    }
}

fn recall(memory: &[u32], number: u32, event: u32) -> Option<bool> {
    let remembered = memory.get(number as usize)?;
    (remembered >> 1 == event).then_some(remembered & 1 == 1)
}

fn remember(memory: &mut [u32], number: u32, event: u32, value: bool) {
    if let Some(slot) = memory.get_mut(number as usize) {
        *slot = event << 1 | u32::from(value);
    }
}
