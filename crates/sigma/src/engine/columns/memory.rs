//! What was found out about values of a block.

use std::ops::Range;

use rustc_hash::FxHashMap;

use super::plan::Depends;
use crate::engine::slots::Slot;
use crate::engine::source::Item;

/// Most values of which it is remembered what the index found in them.
const MAX_VALUES: usize = 1 << 22;
/// Most rules and predicates that are remembered for them together.
const MAX_FOUND: usize = 1 << 22;
/// Most answers of rules, and of predicates.
const MAX_ANSWERS: usize = 1 << 18;
/// Most columns an answer depends on that is remembered.
const MAX_COLUMNS: usize = 7;

/// Not looked up.
const UNKNOWN: u32 = 0;
/// Nothing was found.
const NOTHING: u32 = 1;

/// The number of what an answer is about, and the numbers of the values it depends on.
type Key = [u32; MAX_COLUMNS + 1];

/// What was found out in one part of a rule set.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    probes: Vec<Probe>,
    by_column: FxHashMap<(u32, u32), Vec<u32>>,
    values: usize,
    found: Vec<Found>,
    numbers: Vec<u32>,
    slots: FxHashMap<(u32, u32), Option<Box<[Slot]>>>,
    ids: FxHashMap<(u32, u32, Box<[u32]>), u32>,
    answers: FxHashMap<Key, bool>,
    /// By bucket and predicate, column and value.
    predicates: FxHashMap<(u64, u64), bool>,
}

/// Values of one column looked up in the index of some slots of a bucket.
#[derive(Debug)]
struct Probe {
    slots: Vec<Slot>,
    /// By number of the value.
    found: Vec<u32>,
}

/// Ranges of what the index found in a value.
#[derive(Debug)]
struct Found {
    rules: Range<usize>,
    predicates: Range<usize>,
}

/// What the index says about a value.
pub(crate) enum Known<'m> {
    /// It has not been asked.
    Unknown,
    /// Nothing.
    Nothing,
    /// Rules become candidates, and predicates are true.
    Found(&'m [u32], &'m [u32]),
}

impl Memory {
    /// Where it is remembered what a bucket's index for some slots finds in the values of a column, which has `values`.
    /// `None` when there is no room.
    pub(crate) fn probe(&mut self, bucket: u32, column: u32, values: usize, slots: &[Slot]) -> Option<u32> {
        let same = self.by_column.entry((bucket, column)).or_default();
        for number in same.iter() {
            if self
                .probes
                .get(*number as usize)
                .is_some_and(|probe| probe.slots == slots)
            {
                return Some(*number);
            }
        }
        if self.values + values > MAX_VALUES {
            return None;
        }
        self.values += values;
        let number = u32::try_from(self.probes.len()).ok()?;
        same.push(number);
        self.probes.push(Probe {
            slots: slots.to_vec(),
            found: vec![UNKNOWN; values],
        });
        Some(number)
    }

    #[inline]
    pub(crate) fn recall(&self, probe: u32, value: u32) -> Known<'_> {
        let probe = self.probes.get(probe as usize);
        match probe.and_then(|probe| probe.found.get(value as usize)).copied() {
            None | Some(UNKNOWN) => Known::Unknown,
            Some(NOTHING) => Known::Nothing,
            Some(found) => match self.found.get((found - NOTHING - 1) as usize) {
                Some(found) => Known::Found(
                    self.numbers.get(found.rules.clone()).unwrap_or_default(),
                    self.numbers.get(found.predicates.clone()).unwrap_or_default(),
                ),
                None => Known::Unknown,
            },
        }
    }

    pub(crate) fn remember(&mut self, probe: u32, value: u32, rules: &[u32], predicates: &[u32]) {
        let probe = self.probes.get_mut(probe as usize);
        let Some(place) = probe.and_then(|probe| probe.found.get_mut(value as usize)) else {
            return;
        };
        if rules.is_empty() && predicates.is_empty() {
            *place = NOTHING;
            return;
        }
        if self.numbers.len() + rules.len() + predicates.len() > MAX_FOUND {
            return;
        }
        let start = self.numbers.len();
        self.numbers.extend_from_slice(rules);
        let middle = self.numbers.len();
        self.numbers.extend_from_slice(predicates);
        self.found.push(Found {
            rules: start..middle,
            predicates: middle..self.numbers.len(),
        });
        *place = NOTHING + u32::try_from(self.found.len()).unwrap_or_default();
    }

    /// The slots a rule of a bucket asks; `None` for all. `find` finds them.
    pub(crate) fn slots_of(
        &mut self,
        bucket: u32,
        rule: u32,
        find: impl FnOnce() -> Option<Box<[Slot]>>,
    ) -> Option<&[Slot]> {
        self.slots.entry((bucket, rule)).or_insert_with(find).as_deref()
    }

    /// What the answer of a rule depends on whose fields are these items, of these columns.
    pub(crate) fn depends(&mut self, bucket: u32, rule: u32, items: &[Option<Item>], columns: Box<[u32]>) -> Depends {
        // In the order of slots, which is the same for all shapes.
        let mut own: Vec<Item> = Vec::new();
        for item in items.iter().flatten() {
            if !own.contains(item) {
                own.push(*item);
            }
        }
        if own.len() > MAX_COLUMNS {
            return Depends::Anything;
        }
        let next = u32::try_from(self.ids.len()).unwrap_or(u32::MAX);
        Depends::Items {
            id: *self.ids.entry((bucket, rule, columns)).or_insert(next),
            items: own.into_boxed_slice(),
        }
    }

    /// The answer of a predicate of a bucket for a value of a column. `ask` finds it.
    #[inline]
    pub(crate) fn predicate(
        &mut self,
        (bucket, predicate): (u32, u32),
        (column, value): (u32, u32),
        ask: impl FnOnce() -> bool,
    ) -> bool {
        let pair = |left: u32, right: u32| u64::from(left) << 32 | u64::from(right);
        let key = (pair(bucket, predicate), pair(column, value));
        if let Some(answer) = self.predicates.get(&key) {
            return *answer;
        }
        let answer = ask();
        if self.predicates.len() < MAX_ANSWERS {
            self.predicates.insert(key, answer);
        }
        answer
    }

    pub(crate) fn answer(&self, key: &Key) -> Option<bool> {
        self.answers.get(key).copied()
    }

    pub(crate) fn set_answer(&mut self, key: Key, answer: bool) {
        if self.answers.len() < MAX_ANSWERS {
            self.answers.insert(key, answer);
        }
    }
}

/// The key of an answer for values of a row.
#[inline]
pub(crate) fn key(id: u32, items: &[Item], numbers: &[u32]) -> Key {
    let mut key = [id; MAX_COLUMNS + 1];
    for (place, item) in key.iter_mut().skip(1).zip(items) {
        *place = numbers.get(*item as usize).copied().unwrap_or_default();
    }
    key
}
