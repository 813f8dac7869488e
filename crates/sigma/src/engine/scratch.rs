//! Working memory of an evaluation, kept between events so that none is allocated per event.

use crate::engine::arena::{Arena, Span};
use crate::engine::bucket::Bucket;
use crate::engine::index::PatternId;
use crate::engine::joined::Joined;
use crate::engine::keys::Keys;
use crate::engine::layout::Layout;
use crate::engine::profile::Counters;
use crate::engine::seen::Met;
use crate::engine::shapes::Shapes;
use crate::engine::slots::{Name, Slot};
use crate::engine::source::Item;
use crate::json::Line;

/// Number of texts beyond which the memory is given back after an event.
const KEEP_SPANS: usize = 1 << 14;

/// Buffers for [`RuleSet::evaluate`](crate::RuleSet::evaluate): one per thread, for any number of events and rule
/// sets. It remembers what events of a kind have in common for the rule set it was last used with.
///
/// What it remembers of an event carries the event's number, so starting the next event costs nothing. Those of two threads
/// share no cache line, also side by side.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct Scratch {
    /// The rule set that is remembered.
    pub(crate) owner: u64,
    pub(crate) layout: Layout,
    pub(crate) items: Vec<ItemInfo>,
    pub(crate) line: Line,
    /// One for each part of the rule set.
    pub(crate) parts: [PartMemory; 2],
    pub(crate) work: Work,
    /// For single values of columns.
    pub(crate) single: Work,
    /// One of how many evaluations is timed, while costs are counted.
    pub(crate) sample: Option<u32>,
}

/// What is remembered for one part of a rule set.
#[derive(Debug, Default)]
pub(crate) struct PartMemory {
    pub(crate) owner: u64,
    pub(crate) keys: Keys,
    pub(crate) shapes: Shapes,
    pub(crate) counters: Option<Box<Counters>>,
    pub(crate) met: Met,
}

impl Scratch {
    /// Empty; it grows to what the rule sets and events need.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// From here on counts what each rule costs, for [`RuleSet::take_profile`](crate::RuleSet::take_profile): one of
    /// `sample` evaluations of candidates is timed (at least 1). Costs some of the speed.
    pub fn start_profile(&mut self, sample: u32) {
        self.sample = Some(sample);
        for part in &mut self.parts {
            part.counters = Some(Box::new(Counters::new(sample)));
        }
    }

    /// Lets [`RuleSet::take_seen`](crate::RuleSet::take_seen) tell anew what it told before.
    pub fn forget_seen(&mut self) {
        for part in &mut self.parts {
            part.met.clear();
        }
    }

    /// Stops counting.
    pub fn stop_profile(&mut self) {
        self.sample = None;
        for part in &mut self.parts {
            part.counters = None;
        }
    }
}

/// What is known of a field by its name.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ItemInfo {
    pub(crate) name: Name,
    /// Whether keywords look into it.
    pub(crate) searched: bool,
}

/// What is computed for one event.
#[derive(Debug, Default)]
pub(crate) struct Work {
    pub(crate) texts: Texts,
    pub(crate) bound: Vec<Bound>,
    /// The slots that have a field.
    pub(crate) slots: Vec<Slot>,
    pub(crate) found: Found,
    /// For values that are not text.
    pub(crate) buffer: String,
    pub(crate) joined: Joined,
}

/// Folded texts of fields.
#[derive(Debug, Default)]
pub(crate) struct Texts {
    pub(crate) arena: Arena,
    pub(crate) spans: Vec<Span>,
    pub(crate) folded: Vec<Range>,
}

/// No field: the text was found and need not be looked for any more.
const EVERYWHERE: Item = Item::MAX;

/// What the index found, by numbers of the bucket.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) event: u32,
    marks: Vec<u32>,
    pub(crate) candidates: Vec<u32>,
    memory: Vec<u32>,
    /// Predicates that the index says are true, some more than once.
    pub(crate) held: Vec<u32>,
    /// By text that the raw index looks for: the event it was looked for in, and the field; [`EVERYWHERE`] when found.
    looks: Vec<(u32, Item)>,
    /// Anchored texts found, those of one slot in a row.
    pub(crate) matched: Vec<PatternId>,
    pub(crate) matched_of: Vec<Range>,
}

/// A range of positions that belongs to an event.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Range {
    pub(crate) event: u32,
    pub(crate) first: u32,
    pub(crate) end: u32,
}

impl Range {
    #[inline]
    pub(crate) fn is_empty(self) -> bool {
        self.first == self.end
    }

    pub(crate) fn positions(self) -> std::ops::Range<usize> {
        self.first as usize..self.end as usize
    }
}

/// Which field of the event is in a slot.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Bound {
    pub(crate) event: u32,
    pub(crate) rank: u8,
    pub(crate) item: Item,
}

impl Work {
    pub(crate) fn begin(&mut self, items: usize, bucket: &Bucket) {
        // One bit of a remembered value is the value.
        if self.found.event >= u32::MAX >> 1 {
            self.forget();
        }
        self.found.event += 1;
        self.slots.clear();
        self.texts.arena.clear();
        self.texts.spans.clear();
        self.texts.spans.shrink_to(KEEP_SPANS);
        self.found.candidates.clear();
        self.found.held.clear();
        self.found.matched.clear();
        let (fields, predicates) = (bucket.fields.len(), bucket.predicates.len());
        if self.texts.folded.len() < items
            || self.bound.len() < fields
            || self.found.matched_of.len() < fields
            || self.found.memory.len() < predicates
            || self.found.looks.len() < bucket.patterns()
            || self.found.marks.len() < bucket.rules.len()
        {
            self.grow(items, bucket);
        }
    }

    #[cold]
    #[inline(never)]
    fn forget(&mut self) {
        *self = Self::default();
    }

    #[cold]
    #[inline(never)]
    fn grow(&mut self, items: usize, bucket: &Bucket) {
        grow(&mut self.texts.folded, items);
        grow(&mut self.bound, bucket.fields.len());
        grow(&mut self.found.matched_of, bucket.fields.len());
        grow(&mut self.found.memory, bucket.predicates.len());
        grow(&mut self.found.looks, bucket.patterns());
        grow(&mut self.found.marks, bucket.rules.len());
    }
}

impl Found {
    #[inline]
    pub(crate) fn mark(&mut self, rule: u32) {
        if let Some(mark) = self.marks.get_mut(rule as usize)
            && *mark != self.event
        {
            *mark = self.event;
            self.candidates.push(rule);
        }
    }

    /// Whether the text is there, when it was found before or this was the last field it was looked for in.
    #[inline]
    pub(crate) fn was_looked_for(&self, pattern: PatternId, item: Item) -> Option<bool> {
        let (event, last) = self.looks.get(pattern as usize).copied()?;
        match last {
            _ if event != self.event => None,
            EVERYWHERE => Some(true),
            last => (last == item).then_some(false),
        }
    }

    /// Notes whether the text was found in a field.
    #[inline]
    pub(crate) fn note_look(&mut self, pattern: PatternId, item: Item, is_there: bool) {
        if let Some(place) = self.looks.get_mut(pattern as usize) {
            *place = (self.event, if is_there { EVERYWHERE } else { item });
        }
    }

    #[inline]
    pub(crate) fn recall(&self, predicate: u32) -> Option<bool> {
        let remembered = self.memory.get(predicate as usize)?;
        (remembered >> 1 == self.event).then_some(remembered & 1 == 1)
    }

    #[inline]
    pub(crate) fn remember(&mut self, predicate: u32, value: bool) {
        if let Some(place) = self.memory.get_mut(predicate as usize) {
            *place = self.event << 1 | u32::from(value);
        }
    }
}

fn grow<T: Clone + Default>(values: &mut Vec<T>, len: usize) {
    if values.len() < len {
        values.resize(len, T::default());
    }
}
