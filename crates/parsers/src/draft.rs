//! The event while parsers add to it.

use model::event::{FieldName, MAX_FIELDS};
use model::{Fields, List, Timestamp, Value, ecs};

use crate::record::Warning;

/// How many of an event's fields are kept free of the source's own, for those the parsers set.
const RESERVED: usize = 64;

/// How many fields are found by their name's hash; those of events with more are looked for one by one.
const INDEXED: usize = 160;
const SLOTS: usize = 256;
/// Most texts that are looked at for one of the lists of related values.
const GATHERED: usize = 64;

/// Fields, time and warnings so far.
#[derive(Debug)]
pub(crate) struct Draft {
    fields: Fields,
    /// Positions of fields, counted from 1, by the hash of their names; what is taken lies in the next that is free.
    slots: [u8; SLOTS],
    /// Bits of how names begin: a clear bit proves that there is none of that beginning.
    families: u64,
    pub(crate) timestamp: Option<Timestamp>,
    pub(crate) warnings: Vec<Warning>,
    refused: usize,
}

impl Draft {
    pub(crate) fn new() -> Self {
        Self {
            fields: Fields::with_capacity(36),
            slots: [0; SLOTS],
            families: 0,
            timestamp: None,
            warnings: Vec::new(),
            refused: 0,
        }
    }

    /// Sets a field, replacing an earlier value.
    pub(crate) fn set(&mut self, name: &'static str, value: impl Into<Value>) {
        self.put(FieldName::of_static(name), value.into());
    }

    /// Sets a field whose name comes from a table, replacing an earlier value.
    pub(crate) fn put(&mut self, name: FieldName, value: Value) {
        match self.find(&name) {
            Ok(index) => {
                if let Some(slot) = self.fields.value_mut(index) {
                    *slot = value;
                }
            }
            Err(free) => self.push(free, name, value),
        }
    }

    /// Appends a field that is not there, at the slot that [`Self::find`] found free for it.
    fn push(&mut self, free: usize, name: FieldName, value: Value) {
        let count = self.fields.len();
        if count >= MAX_FIELDS {
            self.refused += 1;
            return;
        }
        if count < INDEXED
            && let (Some(slot), Ok(position)) = (self.slots.get_mut(free), u8::try_from(count + 1))
        {
            *slot = position;
        }
        self.families |= family(&name);
        self.fields.push_unchecked(name, value);
    }

    /// Where a field is, or else the slot where it belongs.
    fn find(&self, name: &str) -> Result<usize, usize> {
        let mut at = slot_of(name);
        // Ends: never more than `INDEXED` of the slots are taken.
        while let Some(position) = self.slots.get(at).filter(|position| **position > 0) {
            let index = usize::from(*position) - 1;
            if self.fields.at(index).is_some_and(|(existing, _)| existing == name) {
                return Ok(index);
            }
            at = (at + 1) % SLOTS;
        }
        if self.fields.len() > INDEXED {
            let rest = self.fields.iter().skip(INDEXED);
            let found = rest.enumerate().find(|(_, (existing, _))| *existing == name);
            return found.map(|(index, _)| INDEXED + index).ok_or(at);
        }
        Err(at)
    }

    /// Sets a field to the whole number a text is; leaves it when the text is none.
    pub(crate) fn set_int(&mut self, name: &'static str, text: &str) {
        if let Ok(number) = text.trim().parse::<i64>() {
            self.set(name, number);
        }
    }

    /// Sets a field unless the text is empty or one of the marks for nothing.
    pub(crate) fn set_known(&mut self, name: &'static str, text: &str) {
        if crate::aliases::is_known(text) {
            self.set(name, text);
        }
    }

    /// Takes a field out.
    pub(crate) fn take(&mut self, name: &str) -> Option<Value> {
        let value = self.fields.remove(name)?;
        self.slots = [0; SLOTS];
        for index in 0..self.fields.len().min(INDEXED) {
            let free = self.fields.at(index).and_then(|(name, _)| self.find(name).err());
            if let (Some(slot), Ok(position)) =
                (free.and_then(|free| self.slots.get_mut(free)), u8::try_from(index + 1))
            {
                *slot = position;
            }
        }
        Some(value)
    }

    /// Sets a field unless the text is empty.
    pub(crate) fn set_text(&mut self, name: &'static str, text: &str) {
        if !text.is_empty() {
            self.set(name, text);
        }
    }

    /// Sets a field unless it is set or the text is empty.
    pub(crate) fn set_default(&mut self, name: &'static str, value: impl Into<Value>) {
        if let Err(free) = self.find(name) {
            self.push(free, FieldName::of_static(name), value.into());
        }
    }

    /// Sets a field to a text unless it is set or the text is empty.
    pub(crate) fn set_default_text(&mut self, name: &'static str, text: &str) {
        if !text.is_empty()
            && let Err(free) = self.find(name)
        {
            self.push(free, FieldName::of_static(name), text.into());
        }
    }

    /// Sets a field to a list of texts.
    pub(crate) fn set_list(&mut self, name: &'static str, texts: &[&str]) {
        self.set(name, texts.iter().map(|text| Value::from(*text)).collect::<Value>());
    }

    /// Adds a text to a list once.
    pub(crate) fn add_to_list(&mut self, name: &'static str, text: &str) {
        if text.is_empty() {
            return;
        }
        let index = match self.find(name) {
            Ok(index) => index,
            Err(free) => {
                self.push(free, FieldName::of_static(name), Value::List(List::one(text)));
                return;
            }
        };
        match self.fields.value_mut(index) {
            Some(Value::List(list)) if list.iter().any(|item| item.as_str() == Some(text)) => {}
            Some(Value::List(list)) => list.push(text.into()),
            Some(single) => {
                let first = std::mem::replace(single, Value::Null);
                *single = Value::from(vec![first, text.into()]);
            }
            None => {}
        }
    }

    /// Adds what is known among the texts that `find` gives to a list, once each and at most [`GATHERED`]. Names in
    /// `related.hosts` are not addresses.
    pub(crate) fn gather(&mut self, name: &'static str, find: impl Fn(&Self, &mut dyn FnMut(&str))) {
        let (mut list, was_there) = match self.find(name).ok().and_then(|index| self.fields.value_mut(index)) {
            None => (List::new(), false),
            Some(value) => match std::mem::replace(value, Value::Null) {
                Value::List(list) => (list, true),
                one @ (Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Str(_)) => {
                    (List::one(one), true)
                }
            },
        };
        let mut left = GATHERED;
        find(self, &mut |text| {
            let new = left > 0
                && crate::aliases::is_known(text)
                && !list.iter().any(|item| item.as_str() == Some(text))
                // The same as an URL's or a peer's name is an address often enough.
                && (name != "related.hosts" || !crate::network::is_ip(text));
            left = left.saturating_sub(1);
            if new {
                list.push(text.into());
            }
        });
        if was_there || !list.is_empty() {
            self.set(name, Value::List(list));
        }
    }

    /// Sets a field the source named itself, if it is not set yet. `picket.*` is ours to say and goes elsewhere.
    pub(crate) fn set_own(&mut self, name: &str, value: Value) {
        let reserved;
        let name = if is_ours(name) {
            reserved = format!("unverified.{name}");
            &reserved
        } else {
            name
        };
        if self.fields.len() >= MAX_FIELDS - RESERVED {
            self.refused += 1;
        } else if let Err(free) = self.find(name) {
            self.push(free, FieldName::from(name.to_owned()), value);
        }
    }

    #[inline]
    pub(crate) fn get(&self, name: &str) -> Option<&Value> {
        if self.families & family(name) == 0 {
            return None;
        }
        self.look_up(name)
    }

    fn look_up(&self, name: &str) -> Option<&Value> {
        let index = self.find(name).ok()?;
        self.fields.at(index).map(|(_, value)| value)
    }

    #[inline]
    pub(crate) fn str(&self, name: &str) -> Option<&str> {
        self.get(name).and_then(Value::as_str)
    }

    pub(crate) fn warn(&mut self, warning: Warning) {
        if !self.warnings.contains(&warning) {
            self.warnings.push(warning);
        }
    }

    /// Counts fields that were refused elsewhere.
    pub(crate) fn refuse(&mut self, count: usize) {
        self.refused += count;
    }

    /// What kind of event it is.
    pub(crate) fn classify(&mut self, category: &str, kind: &[&str], action: &'static str) {
        self.set_list(ecs::EVENT_CATEGORY, &[category]);
        self.set_list(ecs::EVENT_TYPE, kind);
        self.set(ecs::EVENT_ACTION, action);
    }

    /// Heimdall's unified view: its type and severity, 1 (info) to 5 (critical).
    pub(crate) fn unified(&mut self, event_type: &str, severity: i64) {
        self.set(ecs::PICKET_EVENT_TYPE, event_type);
        self.set(ecs::EVENT_SEVERITY, severity);
    }

    pub(crate) fn outcome(&mut self, success: bool) {
        self.set(ecs::EVENT_OUTCOME, if success { "success" } else { "failure" });
    }

    /// The user the event is about.
    pub(crate) fn user(&mut self, name: &str) {
        self.set_text(ecs::USER_NAME, name);
        self.add_to_list(ecs::RELATED_USER, name);
    }

    /// The fields with the warnings among them, and the rest.
    pub(crate) fn finish(mut self) -> (Fields, Option<Timestamp>, Vec<Warning>) {
        if self.refused > 0 {
            self.warn(Warning::TooManyFields(self.refused));
        }
        if !self.warnings.is_empty() {
            let texts = self.warnings.iter().map(|warning| Value::from(warning.to_string()));
            self.fields.insert(ecs::PICKET_WARNINGS, texts.collect::<Value>());
        }
        (self.fields, self.timestamp, self.warnings)
    }
}

/// The bit of a name's first two letters.
#[inline]
fn family(name: &str) -> u64 {
    match name.as_bytes() {
        [first, second, ..] => 1 << ((first ^ second << 1) & 63),
        _ => 1,
    }
}

/// The slot where a name is looked for first: its last eight bytes, four in its middle and its length tell most apart.
fn slot_of(name: &str) -> usize {
    let bytes = name.as_bytes();
    let last = match bytes.last_chunk::<8>() {
        Some(chunk) => u64::from_le_bytes(*chunk),
        None => bytes.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte)),
    };
    let middle = match bytes.get(bytes.len() / 2..).and_then(|tail| tail.first_chunk::<4>()) {
        Some(chunk) => u64::from(u32::from_le_bytes(*chunk)),
        None => 0,
    };
    let length = u64::try_from(bytes.len()).unwrap_or(0);
    let mixed = (last ^ middle.rotate_left(29) ^ length << 56).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    usize::try_from(mixed >> 56).unwrap_or(0)
}

/// Whether a name is only ours to set, and so goes elsewhere when a source uses it.
fn is_ours(name: &str) -> bool {
    name == "picket" || name.starts_with("picket.") || name == ecs::TIMESTAMP || name == ecs::EVENT_ID
}
