//! The entries of a window as bytes: a document of thousands of them stays small.
//!
//! Format 1: the number 1, how many entries, then each: kind of origin (0 event, 1 alert), origin (32 or 16 bytes),
//! time (8 bytes), flags (1 gone, 2 texts, 4 numbers), rules, version, and when flagged how many values and each
//! (length and UTF-8, or 8 bytes). Numbers without a width are LEB128; those with one are little-endian.

use std::collections::BTreeMap;
use std::fmt;

use model::id::{Epoch, SourceId};
use model::{EventId, Timestamp};
use serde::de::{Deserializer, SeqAccess, Visitor};
use serde::ser::Serializer;
use uuid::Uuid;

use crate::correlation::contribution::{Entry, Origin, Values};

const FORMAT: u8 = 1;
const GONE: u8 = 1;
const TEXTS: u8 = 2;
const NUMBERS: u8 = 4;
/// Most entries that are read.
const MAX_ENTRIES: u64 = 100_000;
/// Most bytes that are read: what MongoDB stores in one document.
const MAX_BYTES: usize = 16 << 20;

pub(crate) type Entries = BTreeMap<Origin, Entry>;

pub(crate) fn serialize<S: Serializer>(entries: &Entries, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_bytes(&encode(entries))
}

pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Entries, D::Error> {
    let bytes = deserializer.deserialize_byte_buf(BytesVisitor)?;
    decode(&bytes).ok_or_else(|| serde::de::Error::custom("expected packed entries of format 1"))
}

struct BytesVisitor;

impl<'de> Visitor<'de> for BytesVisitor {
    type Value = Vec<u8>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("bytes")
    }

    fn visit_bytes<E: serde::de::Error>(self, bytes: &[u8]) -> Result<Vec<u8>, E> {
        Ok(bytes.to_vec())
    }

    fn visit_byte_buf<E: serde::de::Error>(self, bytes: Vec<u8>) -> Result<Vec<u8>, E> {
        Ok(bytes)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Vec<u8>, A::Error> {
        let mut bytes = Vec::new();
        while let Some(byte) = access.next_element()? {
            if bytes.len() >= MAX_BYTES {
                return Err(serde::de::Error::custom("expected at most 16 MiB"));
            }
            bytes.push(byte);
        }
        Ok(bytes)
    }
}

fn encode(entries: &Entries) -> Vec<u8> {
    let mut out = Vec::with_capacity(2 + entries.len() * 56);
    out.push(FORMAT);
    put(entries.len() as u64, &mut out);
    for (origin, entry) in entries {
        match origin {
            Origin::Event(id) => {
                out.push(0);
                out.extend_from_slice(id.source.as_uuid().as_bytes());
                out.extend_from_slice(&id.epoch.0.to_le_bytes());
                out.extend_from_slice(&id.seq.to_le_bytes());
            }
            Origin::Alert(id) => {
                out.push(1);
                let number = u128::from_str_radix(id.as_str(), 16).unwrap_or_default();
                out.extend_from_slice(&number.to_le_bytes());
            }
        }
        out.extend_from_slice(&entry.time.0.to_le_bytes());
        let kind = match &entry.values {
            Values::None => 0,
            Values::Texts(_) => TEXTS,
            Values::Numbers(_) => NUMBERS,
        };
        out.push(kind | if entry.gone { GONE } else { 0 });
        put(entry.rules, &mut out);
        put(entry.version, &mut out);
        match &entry.values {
            Values::None => {}
            Values::Texts(texts) => {
                put(texts.len() as u64, &mut out);
                for text in texts {
                    put(text.len() as u64, &mut out);
                    out.extend_from_slice(text.as_bytes());
                }
            }
            Values::Numbers(numbers) => {
                put(numbers.len() as u64, &mut out);
                for number in numbers {
                    out.extend_from_slice(&number.to_le_bytes());
                }
            }
        }
    }
    out
}

fn put(mut number: u64, out: &mut Vec<u8>) {
    loop {
        let low = (number & 0x7f) as u8;
        number >>= 7;
        if number == 0 {
            out.push(low);
            return;
        }
        out.push(low | 0x80);
    }
}

fn decode(bytes: &[u8]) -> Option<Entries> {
    let mut reader = Reader(bytes);
    if reader.byte()? != FORMAT {
        return None;
    }
    let count = reader.number().filter(|count| *count <= MAX_ENTRIES)?;
    let mut entries = Entries::new();
    for _ in 0..count {
        let origin = match reader.byte()? {
            0 => Origin::Event(EventId {
                source: SourceId::from_uuid(Uuid::from_bytes(reader.array()?)),
                epoch: Epoch(u64::from_le_bytes(reader.array()?)),
                seq: u64::from_le_bytes(reader.array()?),
            }),
            1 => Origin::Alert(format!("{:032x}", u128::from_le_bytes(reader.array()?)).parse().ok()?),
            _ => return None,
        };
        let time = Timestamp(i64::from_le_bytes(reader.array()?));
        let flags = reader.byte()?;
        let (rules, version) = (reader.number()?, reader.number()?);
        let values = match flags & !GONE {
            0 => Values::None,
            TEXTS => Values::Texts(reader.values(Reader::text)?),
            NUMBERS => Values::Numbers(reader.values(Reader::float)?),
            _ => return None,
        };
        let entry = Entry {
            time,
            rules,
            values,
            version,
            gone: flags & GONE != 0,
        };
        entries.insert(origin, entry);
    }
    reader.0.is_empty().then_some(entries)
}

struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (array, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*array)
    }

    fn byte(&mut self) -> Option<u8> {
        self.array().map(|[byte]| byte)
    }

    fn number(&mut self) -> Option<u64> {
        let mut number = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            number |= bits.checked_shl(shift).filter(|shifted| shifted >> shift == bits)?;
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }

    fn values<T>(&mut self, read: fn(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        let count = self.number()?;
        (0..count).map(|_| read(self)).collect()
    }

    fn text(&mut self) -> Option<String> {
        let length = usize::try_from(self.number()?).ok()?;
        let (text, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        std::str::from_utf8(text).ok().map(str::to_owned)
    }

    fn float(&mut self) -> Option<f64> {
        self.array().map(f64::from_le_bytes).filter(|number| number.is_finite())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn values() -> impl Strategy<Value = Values> {
        prop_oneof![
            Just(Values::None),
            proptest::collection::vec(".{0,6}", 0..3).prop_map(Values::Texts),
            proptest::collection::vec(-1e9..1e9, 0..3).prop_map(Values::Numbers),
        ]
    }

    proptest! {
        #[test]
        fn entries_survive_packing_and_no_bytes_panic(
            seqs in proptest::collection::vec((any::<u64>(), any::<i64>(), any::<u64>(), any::<u64>(), any::<bool>(), values()), 0..8),
            alert in any::<u128>(), cut in 0..200_usize, flip in 0..255_u8,
        ) {
            let mut entries: Entries = seqs.into_iter().map(|(seq, time, rules, version, gone, values)| {
                let id = EventId { source: SourceId::named("t", "t"), epoch: Epoch(seq / 2), seq };
                (Origin::Event(id), Entry { time: Timestamp(time), rules, values, version, gone })
            }).collect();
            let id = format!("{alert:032x}").parse().unwrap();
            entries.insert(Origin::Alert(id), Entry { time: Timestamp(0), rules: 1, values: Values::None, version: 3, gone: true });
            let mut bytes = encode(&entries);
            prop_assert_eq!(decode(&bytes), Some(entries));
            let at = cut % bytes.len();
            prop_assert_eq!(decode(&bytes[..at]), None);
            bytes[at] ^= flip;
            let _ = decode(&bytes);
        }
    }
}
