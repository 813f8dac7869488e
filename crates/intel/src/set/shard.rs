//! One part of a set: values in one arena, found through one table of 32-bit slots.
//!
//! A shard is changed in place when nobody else holds it and copied when somebody does (it is small, and copying is a
//! few memory copies). What changes leave behind is cleared away by rebuilding the shard when it is a quarter of it.

use std::sync::Arc;

use model::indicator::Indicator;

use super::key::{Hashing, Key};
use super::said::{Common, Said};

/// A value and the first word about it.
#[derive(Clone, Copy, Debug)]
struct Entry {
    /// Where its bytes begin.
    offset: u32,
    /// First word about it, plus one; 0 in an unused place, whose `offset` is the next unused one, plus one.
    first: u32,
    len: u16,
    tag: u8,
}

/// Lowest bits of a slot: number of an entry, plus one.
const INDEX: u32 = (1 << 24) - 1;
/// Slot of an entry that is gone; a search goes on behind it.
const GONE: u32 = INDEX;
/// Most entries of one shard.
const MAX_ENTRIES: usize = INDEX as usize - 1;
/// Slots of the smallest table; a power of two.
const MIN_SLOTS: usize = 16;
/// Waste below this many bytes is left alone.
const MIN_WASTE: usize = 4096;

#[derive(Clone, Debug, Default)]
pub(super) struct Shard {
    /// Values and references, one after the other.
    texts: Vec<u8>,
    entries: Vec<Entry>,
    said: Vec<Said>,
    /// 8 bits of the hash, then 24 bits of [`INDEX`]; 0 when empty. Their number is a power of two.
    slots: Vec<u32>,
    /// Slots that are not empty.
    taken: usize,
    unused_entry: u32,
    unused_said: u32,
    /// Bytes of `texts` nobody refers to.
    waste: usize,
    count: usize,
}

fn fingerprint(hash: u64) -> u32 {
    ((hash >> 32) as u32) & !INDEX
}

impl Shard {
    /// Words about values; for tests.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.count
    }

    /// Number of the entry with this value.
    pub(super) fn find(&self, hash: u64, tag: u8, bytes: &[u8]) -> Option<u32> {
        self.slot_of(hash, tag, bytes).map(|(_, entry)| entry)
    }

    fn slot_of(&self, hash: u64, tag: u8, bytes: &[u8]) -> Option<(usize, u32)> {
        let mask = self.slots.len().checked_sub(1)?;
        let wanted = fingerprint(hash);
        let mut at = hash as usize & mask;
        // A table is never full, so an empty slot ends the search.
        loop {
            let slot = *self.slots.get(at)?;
            if slot == 0 {
                return None;
            }
            let index = slot & INDEX;
            if slot & !INDEX == wanted && index != GONE {
                let entry = index - 1;
                if self.value(entry) == Some((tag, bytes)) {
                    return Some((at, entry));
                }
            }
            at = (at + 1) & mask;
        }
    }

    /// The kind and the bytes of an entry's value.
    pub(super) fn value(&self, entry: u32) -> Option<(u8, &[u8])> {
        let entry = self.entries.get(entry as usize)?;
        let start = entry.offset as usize;
        let bytes = self.texts.get(start..start + usize::from(entry.len))?;
        (entry.first != 0).then_some((entry.tag, bytes))
    }

    /// What is said about an entry's value.
    pub(super) fn said(&self, entry: u32) -> impl Iterator<Item = &Said> {
        let first = self.entries.get(entry as usize).map_or(0, |entry| entry.first);
        let place = move |next: u32| self.said.get(next.checked_sub(1)? as usize);
        std::iter::successors(place(first), move |said| place(said.next))
    }

    pub(super) fn reference(&self, said: &Said) -> &str {
        let start = said.reference as usize;
        let bytes = self.texts.get(start..start + usize::from(said.reference_len));
        bytes
            .and_then(|bytes| std::str::from_utf8(bytes).ok())
            .unwrap_or_default()
    }

    /// Whether exactly this is said.
    pub(super) fn has(&self, hash: u64, key: &Key, indicator: &Indicator) -> bool {
        self.find(hash, key.tag, &key.bytes).is_some_and(|entry| {
            self.said(entry)
                .any(|said| said.is_same(indicator) && self.reference(said) == indicator.reference)
        })
    }

    /// Adds what `indicator` says or replaces what the same source said; whether it is one more. `None` when the shard is
    /// full.
    pub(super) fn put(
        &mut self,
        hash: u64,
        key: &Key,
        indicator: &Indicator,
        common: Arc<Common>,
        hashing: &Hashing,
    ) -> Option<bool> {
        self.make_room(hashing);
        let entry = match self.find(hash, key.tag, &key.bytes) {
            Some(entry) => entry,
            None => self.add_entry(hash, key)?,
        };
        let reference = u32::try_from(self.texts.len()).ok()?;
        let reference_len = u16::try_from(indicator.reference.len()).unwrap_or(0);
        if reference_len > 0 {
            self.texts.extend_from_slice(indicator.reference.as_bytes());
        }
        let new = Said::of(indicator, common, reference, reference_len);
        let mut next = self.entries.get(entry as usize)?.first;
        while let Some(at) = next.checked_sub(1) {
            let said = self.said.get_mut(at as usize)?;
            if said.is_by(indicator) {
                self.waste += usize::from(said.reference_len);
                *said = Said { next: said.next, ..new };
                self.clear_away(hashing);
                return Some(false);
            }
            next = said.next;
        }
        let first = self.entries.get(entry as usize)?.first;
        let place = self.add_said(Said { next: first, ..new })?;
        self.entries.get_mut(entry as usize)?.first = place + 1;
        self.count += 1;
        Some(true)
    }

    fn add_entry(&mut self, hash: u64, key: &Key) -> Option<u32> {
        let new = Entry {
            offset: u32::try_from(self.texts.len()).ok()?,
            // Until the first word about it is there it must not look unused.
            first: 0,
            len: u16::try_from(key.bytes.len()).ok()?,
            tag: key.tag,
        };
        let index = if let Some(unused) = self.unused_entry.checked_sub(1) {
            let place = self.entries.get_mut(unused as usize)?;
            self.unused_entry = place.offset;
            *place = new;
            unused
        } else if self.entries.len() < MAX_ENTRIES {
            self.entries.push(new);
            u32::try_from(self.entries.len() - 1).ok()?
        } else {
            return None;
        };
        self.texts.extend_from_slice(&key.bytes);
        insert(&mut self.slots, hash, index);
        self.taken += 1;
        Some(index)
    }

    fn add_said(&mut self, new: Said) -> Option<u32> {
        if let Some(unused) = self.unused_said.checked_sub(1) {
            let place = self.said.get_mut(unused as usize)?;
            self.unused_said = place.next;
            *place = new;
            return Some(unused);
        }
        let place = u32::try_from(self.said.len()).ok().filter(|place| *place < u32::MAX)?;
        self.said.push(new);
        Some(place)
    }

    /// Forgets what the source of `indicator` says about its value; whether it said anything.
    pub(super) fn remove(&mut self, hash: u64, key: &Key, indicator: &Indicator, hashing: &Hashing) -> bool {
        let Some((slot, entry)) = self.slot_of(hash, key.tag, &key.bytes) else {
            return false;
        };
        let mut before: Option<u32> = None;
        let mut next = self.entries.get(entry as usize).map_or(0, |entry| entry.first);
        while let Some(at) = next.checked_sub(1) {
            let Some(said) = self.said.get_mut(at as usize) else {
                return false;
            };
            let after = said.next;
            if !said.is_by(indicator) {
                before = Some(at);
                next = after;
                continue;
            }
            self.waste += usize::from(said.reference_len);
            said.next = self.unused_said;
            said.common = Arc::default();
            self.unused_said = at + 1;
            self.count -= 1;
            match before {
                Some(before) => {
                    if let Some(said) = self.said.get_mut(before as usize) {
                        said.next = after;
                    }
                }
                None => self.set_first(slot, entry, after),
            }
            self.clear_away(hashing);
            return true;
        }
        false
    }

    /// Makes `first` the first word about the entry's value; without any the value is forgotten.
    fn set_first(&mut self, slot: usize, entry: u32, first: u32) {
        let Some(place) = self.entries.get_mut(entry as usize) else {
            return;
        };
        place.first = first;
        if first == 0 {
            self.waste += usize::from(place.len);
            place.offset = self.unused_entry;
            self.unused_entry = entry + 1;
            if let Some(slot) = self.slots.get_mut(slot) {
                *slot = GONE;
            }
        }
    }

    /// Sees to it that one more entry fits with a quarter of the slots empty.
    fn make_room(&mut self, hashing: &Hashing) {
        if (self.taken + 1) * 4 > self.slots.len() * 3 {
            self.hash_again(hashing);
        }
    }

    fn live(&self) -> usize {
        self.entries.iter().filter(|entry| entry.first != 0).count()
    }

    /// A new table for the entries there are.
    fn hash_again(&mut self, hashing: &Hashing) {
        let live = self.live();
        let size = ((live + 1) * 2).next_power_of_two().max(MIN_SLOTS);
        let mut slots = vec![0; size];
        for (index, entry) in (0..).zip(&self.entries) {
            if entry.first == 0 {
                continue;
            }
            let start = entry.offset as usize;
            let bytes = self
                .texts
                .get(start..start + usize::from(entry.len))
                .unwrap_or_default();
            insert(&mut slots, hashing.hash(entry.tag, bytes), index);
        }
        self.slots = slots;
        self.taken = live;
    }

    fn clear_away(&mut self, hashing: &Hashing) {
        if self.waste > MIN_WASTE.max(self.texts.len() / 4) {
            self.rebuild(hashing);
        }
    }

    /// The same shard without what nobody refers to any more.
    fn rebuild(&mut self, hashing: &Hashing) {
        let live = self.live();
        let mut texts = Vec::with_capacity(self.texts.len().saturating_sub(self.waste));
        let mut entries = Vec::with_capacity(live);
        let mut words = Vec::with_capacity(self.count);
        for (index, old) in (0..).zip(&self.entries) {
            let Some((tag, bytes)) = self.value(index) else {
                continue;
            };
            let offset = texts.len() as u32;
            texts.extend_from_slice(bytes);
            let first = words.len() as u32 + 1;
            for said in self.said(index) {
                let reference = texts.len() as u32;
                texts.extend_from_slice(self.reference(said).as_bytes());
                words.push(Said {
                    reference,
                    next: words.len() as u32 + 2,
                    ..said.clone()
                });
            }
            if let Some(last) = words.last_mut() {
                last.next = 0;
            }
            entries.push(Entry {
                offset,
                first,
                len: old.len,
                tag,
            });
        }
        self.texts = texts;
        self.entries = entries;
        self.said = words;
        self.unused_entry = 0;
        self.unused_said = 0;
        self.waste = 0;
        self.hash_again(hashing);
    }

    /// Gives back memory that was taken to grow into. Allocators keep a block that shrinks by less than half as it is, so
    /// everything moves to blocks of its own size.
    pub(super) fn shrink(&mut self) {
        self.texts = self.texts.clone();
        self.entries = self.entries.clone();
        self.said = self.said.clone();
    }
}

fn insert(slots: &mut [u32], hash: u64, index: u32) {
    let Some(mask) = slots.len().checked_sub(1) else { return };
    let mut at = hash as usize & mask;
    while let Some(slot) = slots.get_mut(at) {
        if *slot == 0 {
            *slot = fingerprint(hash) | (index + 1);
            return;
        }
        at = (at + 1) & mask;
    }
}
