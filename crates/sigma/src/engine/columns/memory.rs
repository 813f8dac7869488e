//! What was found out about values of a block.

use std::ops::Range;

use rustc_hash::FxHashMap;

use crate::engine::slots::Slot;

/// Most values of which it is remembered what the index found in them.
const MAX_VALUES: usize = 1 << 22;
/// Most rules and predicates that are remembered for them together.
const MAX_FOUND: usize = 1 << 22;
/// Most answers of predicates.
const MAX_ANSWERS: usize = 1 << 24;

/// Nobody has asked.
const UNKNOWN: u32 = 0;
/// Somebody asks, and nothing was found so far.
const NOTHING: u32 = 1;

/// Answers of a predicate by number of the value, as bytes.
const NOT_ASKED: u8 = 0;
const NO: u8 = 1;
const YES: u8 = 2;

/// What was found out in one part of a rule set.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    pub(crate) probes: Vec<Probe>,
    by_column: FxHashMap<(u32, u32), Vec<Place>>,
    /// What was found in the values of all probes.
    values: Vec<u32>,
    found: Vec<Found>,
    numbers: Vec<u32>,
    /// By bucket: for each of its predicates the column it was first asked about, and where its answers are.
    predicates: FxHashMap<u32, Vec<Option<(u32, usize)>>>,
    answers: Vec<u8>,
}

/// Values of one column looked up in the index of some slots of a bucket.
#[derive(Debug)]
pub(crate) struct Probe {
    pub(crate) bucket: u32,
    pub(crate) column: u32,
    pub(crate) slots: Vec<Slot>,
    pub(crate) place: Place,
    /// Values to look up.
    pub(crate) asked: Vec<u32>,
    /// Whether anything was found in any of them, or could not be kept.
    pub(crate) is_of_use: bool,
}

/// A probe, and where in the memory its values are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    pub(crate) probe: u32,
    first: u32,
    end: u32,
}

impl Place {
    #[inline]
    fn of(self, value: u32) -> usize {
        // Saturating: no value has a number that is not there.
        let place = self.first.saturating_add(value);
        if place < self.end { place as usize } else { usize::MAX }
    }
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
    pub(crate) fn probe(&mut self, bucket: u32, column: u32, values: usize, slots: &[Slot]) -> Option<Place> {
        let same = self.by_column.entry((bucket, column)).or_default();
        for place in same.iter() {
            if self
                .probes
                .get(place.probe as usize)
                .is_some_and(|probe| probe.slots == slots)
            {
                return Some(*place);
            }
        }
        let end = self.values.len() + values;
        if end > MAX_VALUES {
            return None;
        }
        let place = Place {
            probe: u32::try_from(self.probes.len()).ok()?,
            first: u32::try_from(self.values.len()).ok()?,
            end: u32::try_from(end).ok()?,
        };
        same.push(place);
        self.values.resize(end, UNKNOWN);
        self.probes.push(Probe {
            bucket,
            column,
            slots: slots.to_vec(),
            place,
            asked: Vec::new(),
            is_of_use: false,
        });
        Some(place)
    }

    /// Notes that somebody will ask about a value.
    #[inline]
    pub(crate) fn ask(&mut self, place: Place, value: u32) {
        if let Some(found) = self.values.get_mut(place.of(value))
            && *found == UNKNOWN
        {
            *found = NOTHING;
            if let Some(probe) = self.probes.get_mut(place.probe as usize) {
                probe.asked.push(value);
            }
        }
    }

    #[inline]
    pub(crate) fn recall(&self, place: Place, value: u32) -> Known<'_> {
        match self.values.get(place.of(value)).copied() {
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

    /// Remembers which rules and predicates were found in a value that was asked about.
    pub(crate) fn remember(
        &mut self,
        place: Place,
        value: u32,
        rules: impl Iterator<Item = u32>,
        predicates: impl Iterator<Item = u32>,
    ) {
        if let Some(probe) = self.probes.get_mut(place.probe as usize) {
            probe.is_of_use = true;
        }
        let Some(known) = self.values.get_mut(place.of(value)) else {
            return;
        };
        let start = self.numbers.len();
        self.numbers.extend(rules);
        let middle = self.numbers.len();
        self.numbers.extend(predicates);
        let end = self.numbers.len();
        if end > MAX_FOUND {
            self.numbers.truncate(start);
            *known = UNKNOWN;
            return;
        }
        self.found.push(Found {
            rules: start..middle,
            predicates: middle..end,
        });
        *known = NOTHING + u32::try_from(self.found.len()).unwrap_or_default();
    }

    /// The answer of a predicate of a bucket, which has `of_bucket`, for a value of a column, which has `values`. `ask`
    /// finds it.
    #[inline]
    pub(crate) fn predicate(
        &mut self,
        (bucket, predicate, of_bucket): (u32, u32, usize),
        (column, value, values): (u32, u32, usize),
        ask: impl FnOnce() -> bool,
    ) -> bool {
        let places = self.predicates.entry(bucket).or_insert_with(|| vec![None; of_bucket]);
        let Some(place) = places.get_mut(predicate as usize) else {
            return ask();
        };
        let start = match place {
            Some((known, start)) if *known == column => *start,
            // Events that have the field by another name are few.
            Some(_) => return ask(),
            None => {
                let start = self.answers.len();
                if start + values > MAX_ANSWERS {
                    return ask();
                }
                self.answers.resize(start + values, NOT_ASKED);
                *place = Some((column, start));
                start
            }
        };
        let Some(known) = self.answers.get_mut(start + value as usize) else {
            return ask();
        };
        if *known == NOT_ASKED {
            *known = if ask() { YES } else { NO };
        }
        *known == YES
    }
}
