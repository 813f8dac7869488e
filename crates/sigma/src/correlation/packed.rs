//! States of windows as bytes: one of thousands of contributions stays small.
//!
//! A state: flags (1 contributions were left out, 2 announced), how often it changed, how many values its group has and
//! each, its entries, and when flagged the announcement as JSON. Entries, in format 1: the number 1, how many entries, then each: kind of origin (0 event, 1 alert), origin (32 or 16 bytes),
//! time (8 bytes), flags (1 gone, 2 texts, 4 numbers), rules, version, and when flagged how many values and each
//! (length and UTF-8, or 8 bytes). Texts have their length before them. Numbers without a width are LEB128; those with
//! one are little-endian.

use std::fmt;

use model::id::{Epoch, SourceId};
use model::{AlertId, EventId, Timestamp};
use serde::de::{Deserializer, SeqAccess, Visitor};
use serde::ser::Serializer;
use uuid::Uuid;

use crate::correlation::contribution::{Entry, Origin, Values};
use crate::correlation::entries::Entries;
use crate::correlation::state::WindowState;

const FORMAT: u8 = 1;
const GONE: u8 = 1;
const TEXTS: u8 = 2;
const NUMBERS: u8 = 4;
const DROPPED: u8 = 1;
const ANNOUNCED: u8 = 2;
/// Most entries that are read.
const MAX_ENTRIES: u64 = 100_000;
/// Most bytes that are read: what MongoDB stores in one document.
const MAX_BYTES: usize = 16 << 20;

pub(crate) fn serialize<S: Serializer>(entries: &Entries, serializer: S) -> Result<S::Ok, S::Error> {
    let mut out = Vec::with_capacity(2 + entries.len() * 56);
    put_entries(entries, &mut out);
    serializer.serialize_bytes(&out)
}

pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Entries, D::Error> {
    let bytes = deserializer.deserialize_byte_buf(BytesVisitor)?;
    let mut reader = Reader::new(&bytes);
    read_entries(&mut reader)
        .filter(|_| reader.is_empty())
        .ok_or_else(|| serde::de::Error::custom("expected packed entries of format 1"))
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

/// Appends a window's state.
pub fn put_state(state: &WindowState, out: &mut Vec<u8>) {
    let flags = if state.dropped { DROPPED } else { 0 } | if state.announced.is_some() { ANNOUNCED } else { 0 };
    out.push(flags);
    put_number(state.changes, out);
    put_number(state.group.len() as u64, out);
    for value in &state.group {
        put_text(value, out);
    }
    put_entries(&state.entries, out);
    if let Some(announced) = &state.announced {
        // It always has a JSON form: texts, numbers and lists.
        let json = serde_json::to_string(announced).unwrap_or_default();
        put_text(&json, out);
    }
}

/// Reads what [`put_state`] wrote.
pub fn read_state(reader: &mut Reader<'_>) -> Option<WindowState> {
    let flags = reader.byte().filter(|flags| flags & !(DROPPED | ANNOUNCED) == 0)?;
    let changes = reader.number()?;
    let group = reader.values(Reader::text)?;
    let entries = read_entries(reader)?;
    let announced = match flags & ANNOUNCED {
        0 => None,
        _ => Some(serde_json::from_str(&reader.text()?).ok()?),
    };
    Some(WindowState {
        group,
        entries,
        dropped: flags & DROPPED != 0,
        changes,
        announced,
    })
}

/// Appends the id of an event: 32 bytes.
pub fn put_event_id(id: &EventId, out: &mut Vec<u8>) {
    out.extend_from_slice(id.source.as_uuid().as_bytes());
    out.extend_from_slice(&id.epoch.0.to_le_bytes());
    out.extend_from_slice(&id.seq.to_le_bytes());
}

/// Appends the id of an alert: 16 bytes.
pub fn put_alert_id(id: &AlertId, out: &mut Vec<u8>) {
    let number = u128::from_str_radix(id.as_str(), 16).unwrap_or_default();
    out.extend_from_slice(&number.to_le_bytes());
}

/// Appends the length of a text and its bytes.
pub fn put_text(text: &str, out: &mut Vec<u8>) {
    put_number(text.len() as u64, out);
    out.extend_from_slice(text.as_bytes());
}

fn put_entries(entries: &Entries, out: &mut Vec<u8>) {
    out.push(FORMAT);
    put_number(entries.len() as u64, out);
    for (origin, entry) in entries.iter() {
        match origin {
            Origin::Event(id) => {
                out.push(0);
                put_event_id(id, out);
            }
            Origin::Alert(id) => {
                out.push(1);
                put_alert_id(id, out);
            }
        }
        out.extend_from_slice(&entry.time.0.to_le_bytes());
        let kind = match &entry.values {
            Values::None => 0,
            Values::Texts(_) => TEXTS,
            Values::Numbers(_) => NUMBERS,
        };
        out.push(kind | if entry.gone { GONE } else { 0 });
        put_number(entry.rules, out);
        put_number(entry.version, out);
        match &entry.values {
            Values::None => {}
            Values::Texts(texts) => {
                put_number(texts.len() as u64, out);
                for text in texts {
                    put_text(text, out);
                }
            }
            Values::Numbers(numbers) => {
                put_number(numbers.len() as u64, out);
                for number in numbers {
                    out.extend_from_slice(&number.to_le_bytes());
                }
            }
        }
    }
}

/// Appends a number, a small one in few bytes.
pub fn put_number(mut number: u64, out: &mut Vec<u8>) {
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

fn read_entries(reader: &mut Reader<'_>) -> Option<Entries> {
    if reader.byte()? != FORMAT {
        return None;
    }
    let count = reader.number().filter(|count| *count <= MAX_ENTRIES)?;
    let mut entries = Vec::new();
    for _ in 0..count {
        let origin = match reader.byte()? {
            0 => Origin::Event(reader.event_id()?),
            1 => Origin::Alert(reader.alert_id()?),
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
        entries.push((origin, entry));
    }
    Some(Entries::gathered(entries))
}

/// Reads from the front of bytes. `None` is said of what is not readable.
#[derive(Debug)]
pub struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// Reads these bytes.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// Whether everything was read.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The next `N` bytes.
    pub fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (array, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*array)
    }

    /// What [`put_event_id`] wrote.
    pub fn event_id(&mut self) -> Option<EventId> {
        Some(EventId {
            source: SourceId::from_uuid(Uuid::from_bytes(self.array()?)),
            epoch: Epoch(u64::from_le_bytes(self.array()?)),
            seq: u64::from_le_bytes(self.array()?),
        })
    }

    /// What [`put_alert_id`] wrote.
    pub fn alert_id(&mut self) -> Option<AlertId> {
        format!("{:032x}", u128::from_le_bytes(self.array()?)).parse().ok()
    }

    fn byte(&mut self) -> Option<u8> {
        self.array().map(|[byte]| byte)
    }

    /// What [`put_number`] wrote.
    pub fn number(&mut self) -> Option<u64> {
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

    /// A number and so many of something.
    pub fn values<T>(&mut self, read: impl Fn(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        let count = self.number()?;
        (0..count).map(|_| read(self)).collect()
    }

    /// What [`put_text`] wrote.
    pub fn text(&mut self) -> Option<String> {
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
    use crate::correlation::state::{Announced, Finding};

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
            alert in any::<u128>(), cut in 0..200_usize, flip in 0..255_u8, sum in -1e6..1e6, count in 1_u64..1000,
        ) {
            let mut entries: Vec<(Origin, Entry)> = seqs.into_iter().map(|(seq, time, rules, version, gone, values)| {
                let id = EventId { source: SourceId::named("t", "t"), epoch: Epoch(seq / 2), seq };
                (Origin::Event(id), Entry { time: Timestamp(time), rules, values, version, gone })
            }).collect();
            let id: AlertId = format!("{alert:032x}").parse().unwrap();
            entries.push((Origin::Alert(id.clone()), Entry { time: Timestamp(0), rules: 1, values: Values::None, version: 3, gone: true }));
            let entries = Entries::gathered(entries);
            let mut state = WindowState { group: vec!["a".to_owned(), "\u{fc}".to_owned()], entries, dropped: true, changes: 7, announced: None };
            let finding = Finding {
                trigger: Timestamp(1), trigger_origin: Origin::Alert(id.clone()), first: Timestamp(0), count, at_least: true,
                // A mean needs every bit.
                value: sum / count as f64,
                rules: vec![0], sample: vec![Origin::Alert(id)], values: vec!["x".to_owned()], overflowed: false,
            };
            let finding = Some(finding).filter(|_| !count.is_multiple_of(8));
            state.announced = Some(Announced { version: 3, finding, former: vec![Timestamp(4)] });
            let mut bytes = Vec::new();
            put_state(&state, &mut bytes);
            let read = |bytes: &[u8]| {
                let mut reader = Reader::new(bytes);
                read_state(&mut reader).filter(|_| reader.is_empty())
            };
            prop_assert_eq!(read(&bytes), Some(state));
            let at = cut % bytes.len();
            prop_assert_eq!(read(&bytes[..at]), None);
            bytes[at] ^= flip;
            let _ = read(&bytes);
        }
    }
}
