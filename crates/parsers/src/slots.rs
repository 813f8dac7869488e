//! Where an event's fields are, by their names.

/// How many fields are found by their name's hash; those of events with more are looked for one by one.
pub(crate) const INDEXED: usize = 160;
/// More than twice as many, so that most of what is not there is seen to be missing at one look.
const SLOTS: u16 = 512;

/// What a name is found by: its slot, and a byte that tells it from most others there. The compiler works it out where the
/// name stands in the program, for which all that leads here has to be inlined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Hash(u16);

impl Hash {
    /// The last eight bytes of a name, four in its middle and its length tell most apart.
    #[inline(always)]
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_lossless,
        reason = "no conversion is const, and what is cut off is not needed"
    )]
    pub(crate) const fn of(name: &str) -> Self {
        let bytes = name.as_bytes();
        let last = match bytes.last_chunk::<8>() {
            Some(chunk) => u64::from_le_bytes(*chunk),
            None => short(bytes),
        };
        let middle = match bytes.split_at(bytes.len() / 2).1.first_chunk::<4>() {
            Some(chunk) => u32::from_le_bytes(*chunk) as u64,
            None => 0,
        };
        let length = bytes.len() as u64;
        let mixed = (last ^ middle.rotate_left(29) ^ length << 56).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        Self((mixed >> 48) as u16)
    }

    #[inline(always)]
    const fn slot(self) -> u16 {
        self.0 >> 7
    }

    #[inline(always)]
    const fn tag(self) -> u8 {
        let [_, tag] = self.0.to_be_bytes();
        tag
    }
}

#[allow(clippy::cast_lossless, reason = "no conversion is const")]
const fn short(mut bytes: &[u8]) -> u64 {
    let mut sum = 0;
    while let [first, rest @ ..] = bytes {
        sum = sum << 8 | *first as u64;
        bytes = rest;
    }
    sum
}

/// A name that is part of the program, with its hash.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Key {
    pub(crate) name: &'static str,
    pub(crate) hash: Hash,
}

impl Key {
    #[inline(always)]
    pub(crate) const fn of(name: &'static str) -> Self {
        Self {
            name,
            hash: Hash::of(name),
        }
    }
}

/// The keys of names, made once.
pub(crate) const fn keys<const N: usize>(names: [&'static str; N]) -> [Key; N] {
    let mut keys = [Key::of(""); N];
    let (mut from, mut to) = (names.as_slice(), keys.as_mut_slice());
    while let ([name, names @ ..], [key, keys @ ..]) = (from, to) {
        *key = Key::of(name);
        (from, to) = (names, keys);
    }
    keys
}

/// Positions of fields, counted from 1, with their names' tags; what is taken lies in the next that is free.
#[derive(Debug)]
pub(crate) struct Slots([Slot; SLOTS as usize]);

#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    position: u8,
    tag: u8,
}

/// A slot that is free for a name.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Free(u16);

/// Where a field is, or else the slot where it belongs. Both are so short that they are handed on in registers.
pub(crate) type Place = Result<u16, Free>;

/// What a first look at a slot shows.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Glance {
    Nothing(Free),
    Likely(u16),
    Other,
}

impl Slots {
    pub(crate) const fn new() -> Self {
        Self([Slot { position: 0, tag: 0 }; SLOTS as usize])
    }

    /// Whether there is surely nothing of a hash.
    #[inline(always)]
    pub(crate) fn lacks(&self, hash: Hash) -> bool {
        self.at(hash.slot()).position == 0
    }

    /// What lies in the slot of a hash: nothing, a position whose tag is that of the hash, or something else.
    #[inline(always)]
    pub(crate) fn glance(&self, hash: Hash) -> Glance {
        let slot = self.at(hash.slot());
        match u16::from(slot.position).checked_sub(1) {
            None => Glance::Nothing(Free(hash.slot())),
            Some(index) if slot.tag == hash.tag() => Glance::Likely(index),
            Some(_) => Glance::Other,
        }
    }

    /// Where a field is that `is_it` knows by its position, or else the slot where it belongs.
    #[inline]
    pub(crate) fn find(&self, hash: Hash, is_it: impl Fn(u16) -> bool) -> Place {
        let mut at = hash.slot();
        // Ends: never more than `INDEXED` of the slots are taken.
        loop {
            let slot = self.at(at);
            let Some(index) = u16::from(slot.position).checked_sub(1) else {
                return Err(Free(at));
            };
            if slot.tag == hash.tag() && is_it(index) {
                return Ok(index);
            }
            at = (at + 1) % SLOTS;
        }
    }

    /// Writes down where the field of a hash is, one of the first [`INDEXED`], if its slot is free.
    #[inline(always)]
    pub(crate) fn claim(&mut self, hash: Hash, index: usize) -> bool {
        let Some(slot) = self.0.get_mut(usize::from(hash.slot())) else {
            return false;
        };
        if slot.position != 0 {
            return false;
        }
        *slot = Slot {
            position: (index + 1) as u8,
            tag: hash.tag(),
        };
        true
    }

    /// Writes down where the field of a hash is; nothing is done about those after the first [`INDEXED`].
    #[inline]
    pub(crate) fn take(&mut self, free: Free, hash: Hash, index: usize) {
        if index < INDEXED
            && let (Some(slot), Ok(position)) = (self.0.get_mut(usize::from(free.0)), u8::try_from(index + 1))
        {
            *slot = Slot {
                position,
                tag: hash.tag(),
            };
        }
    }

    #[inline(always)]
    fn at(&self, slot: u16) -> Slot {
        self.0.get(usize::from(slot)).copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_known_beforehand_have_the_hash_of_those_read() {
        const KEYS: [Key; 3] = keys(["", "user.id", "process.parent.command_line"]);
        for key in KEYS {
            let read = String::from(key.name);
            assert_eq!(key.hash, Hash::of(&read));
        }
        assert_eq!(KEYS.map(|key| key.name), ["", "user.id", "process.parent.command_line"]);
    }
}
