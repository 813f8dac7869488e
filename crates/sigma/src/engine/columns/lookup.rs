//! Values looked up in the index, many at a time: where texts are looked for anywhere in a value, values are put one behind
//! the other and searched together.

use model::{Timestamp, Value};
use rustc_hash::FxHashSet;

use super::memory::Memory;
use super::table::Asked;
use crate::engine::bucket::{Bucket, Posting};
use crate::engine::evaluate::Evaluation;
use crate::engine::event::Values;
use crate::engine::scratch::{Bound, ItemInfo, Work};
use crate::engine::slots::{ANY, Slot};
use crate::engine::source::Item;

/// Bytes that are searched together, roughly.
const BATCH: usize = 256 << 10;

/// A single value as an event with one field.
pub(crate) struct Single<'v> {
    /// `None`: the event's time.
    pub(crate) value: Option<&'v Value>,
    pub(crate) time: Timestamp,
}

impl Values for Single<'_> {
    #[inline]
    fn value(&self, _: Item) -> Option<&Value> {
        self.value
    }

    fn time(&self) -> Timestamp {
        self.time
    }
}

/// Looks a value up in the index of some slots. What was found is in `work`.
pub(crate) fn look_up(bucket: &Bucket, value: &Single<'_>, info: ItemInfo, slots: &[Slot], work: &mut Work) {
    work.begin(1, bucket);
    let event = work.found.event;
    for slot in slots {
        if let Some(bound) = work.bound.get_mut(*slot as usize) {
            *bound = Bound {
                event,
                rank: 0,
                item: 0,
            };
        }
    }
    let mut evaluation = Evaluation {
        source: value,
        bucket,
        items: &[info],
        work,
    };
    for slot in slots {
        if let Some(index) = bucket.field(*slot) {
            evaluation.probe(*slot, index);
        }
    }
}

/// What was found in a value: its probe and number, whether that is a predicate, and the number of the rule or predicate.
type Finding = (u32, u32, bool, u32);

/// Looks up the values that were asked about in all probes of a bucket.
pub(crate) fn look_up_all(
    bucket: &Bucket,
    probes: &[u32],
    memory: &mut Memory,
    columns: &[Asked<'_>],
    work: &mut Work,
) {
    let mut findings: Vec<Finding> = Vec::new();
    let mut together: Vec<Slot> = Vec::new();
    for number in probes {
        let Some(probe) = memory.probes.get(*number as usize) else {
            continue;
        };
        let Some(column) = columns.get(probe.column as usize) else {
            continue;
        };
        let is_together = |slot: &&Slot| {
            bucket
                .field(**slot)
                .is_some_and(|index| !index.finds_by_ends && index.raw.is_some())
        };
        let (batched, alone): (Vec<Slot>, Vec<Slot>) = probe.slots.iter().partition(is_together);
        for slot in batched {
            if !together.contains(&slot) {
                together.push(slot);
            }
        }
        for asked in &probe.asked {
            let Some(value) = column.values.get(*asked as usize) else {
                continue;
            };
            let slots = if text(value).is_some() { &alone } else { &probe.slots };
            if slots.is_empty() {
                continue;
            }
            let single = Single {
                value: Some(value),
                time: Timestamp(0),
            };
            look_up(bucket, &single, column.info, slots, work);
            let found = &work.found;
            findings.extend(found.candidates.iter().map(|rule| (*number, *asked, false, *rule)));
            findings.extend(found.held.iter().map(|predicate| (*number, *asked, true, *predicate)));
        }
    }
    for slot in together {
        let mut batch = Batch::default();
        for number in probes {
            let Some(probe) = memory.probes.get(*number as usize) else {
                continue;
            };
            let Some(column) = columns.get(probe.column as usize) else {
                continue;
            };
            if !probe.slots.contains(&slot) || slot == ANY && !column.info.searched {
                continue;
            }
            for asked in &probe.asked {
                let Some(text) = column.values.get(*asked as usize).and_then(text) else {
                    continue;
                };
                batch.add((*number, *asked), text);
                if batch.joined.len() >= BATCH {
                    batch.search(bucket, slot, &mut findings);
                }
            }
        }
        batch.search(bucket, slot, &mut findings);
    }
    findings.sort_unstable();
    findings.dedup();
    for of_value in findings.chunk_by(|left, right| (left.0, left.1) == (right.0, right.1)) {
        let Some((probe, value, ..)) = of_value.first() else {
            continue;
        };
        let (rules, predicates) = of_value.split_at(of_value.partition_point(|(_, _, is_predicate, _)| !is_predicate));
        let numbers = |found: &[Finding]| {
            found
                .iter()
                .map(|(.., number)| *number)
                .collect::<Vec<u32>>()
                .into_iter()
        };
        if let Some(place) = memory.probes.get(*probe as usize).map(|probe| probe.place) {
            memory.remember(place, *value, numbers(rules), numbers(predicates));
        }
    }
    for number in probes {
        if let Some(probe) = memory.probes.get_mut(*number as usize) {
            probe.asked = Vec::new();
        }
    }
}

/// The text of a value that can be searched together with others.
fn text(value: &Value) -> Option<&str> {
    // Beyond ASCII, it depends on the text what a filter finds in it.
    value.as_str().filter(|text| text.is_ascii())
}

/// Texts one behind the other.
#[derive(Default)]
struct Batch {
    joined: Vec<u8>,
    /// Where each text starts, and which value it is.
    starts: Vec<(usize, (u32, u32))>,
    /// Texts that were looked for in a value.
    looked_for: FxHashSet<(u32, u32)>,
    folded: Vec<u8>,
}

impl Batch {
    fn add(&mut self, value: (u32, u32), text: &str) {
        self.starts.push((self.joined.len(), value));
        self.joined.extend_from_slice(text.as_bytes());
    }

    /// Searches all for what a slot's rules look for, and forgets them.
    fn search(&mut self, bucket: &Bucket, slot: Slot, findings: &mut Vec<Finding>) {
        let Self {
            joined,
            starts,
            looked_for,
            folded,
        } = self;
        if let Some(raw) = bucket.field(slot).and_then(|index| index.raw.as_ref()) {
            raw.probe(joined, |pattern, at| {
                let behind = starts.partition_point(|(start, _)| *start <= at);
                let Some(place) = behind.checked_sub(1) else {
                    return false;
                };
                let Some((start, (probe, value))) = starts.get(place).copied() else {
                    return false;
                };
                if !looked_for.insert((pattern, u32::try_from(place).unwrap_or(u32::MAX))) {
                    return false;
                }
                let end = starts.get(behind).map_or(joined.len(), |(next, _)| *next);
                folded.clear();
                folded.extend_from_slice(joined.get(start..end).unwrap_or_default());
                folded.make_ascii_lowercase();
                // Part of it may be in the value before or behind.
                if bucket.has_literal(pattern, folded) {
                    findings.extend(bucket.postings(pattern).iter().map(|posting| match posting {
                        Posting::Rule(rule) => (probe, value, false, *rule),
                        Posting::Holds(predicate) => (probe, value, true, *predicate),
                    }));
                }
                false
            });
        }
        joined.clear();
        starts.clear();
        looked_for.clear();
    }
}
