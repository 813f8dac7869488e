//! The event while parsers add to it.

use std::borrow::Cow;

use model::event::{FieldName, MAX_FIELDS};
use model::{Fields, List, Text, Timestamp, Value, ecs};

use crate::constant;
use crate::record::Warning;
use crate::slots::{Free, Glance, Hash, INDEXED, Key, Slots};

/// How many of an event's fields are kept free of the source's own, for those the parsers set.
const RESERVED: usize = 64;

/// Room for fields that an event is begun with: enough for most, as growing moves all of them, and just below a power of
/// two in bytes, as allocators have their blocks.
const ROOM: usize = 42;
/// Most texts that are looked at for one of the lists of related values.
const GATHERED: usize = 64;

/// What a field can be set to.
pub(crate) trait Settable: Into<Value> {
    /// Appends it as a field.
    #[inline(always)]
    fn append(self, fields: &mut Fields, name: &'static str) {
        fields.push_with(|| (FieldName::of_static(name), self.into()));
    }

    /// The same under a name that is no part of the program.
    #[inline(always)]
    fn append_own(self, fields: &mut Fields, name: &str) {
        fields.push_with(|| (FieldName::from(Text::from(name)), self.into()));
    }
}

impl Settable for &str {
    #[inline(always)]
    fn append(self, fields: &mut Fields, name: &'static str) {
        fields.push_text(name, self);
    }
}

impl Settable for Value {}
impl Settable for Text {}
impl Settable for String {}
impl Settable for Cow<'_, str> {}
impl Settable for i64 {}
impl Settable for bool {}
impl Settable for Vec<Value> {}

/// Fields, time and warnings so far.
#[derive(Debug)]
pub(crate) struct Draft {
    fields: Fields,
    slots: Slots,
    /// Which of the first fields are known to be addresses, a bit each.
    addresses: u64,
    pub(crate) timestamp: Option<Timestamp>,
    pub(crate) warnings: Vec<Warning>,
    refused: usize,
}

impl Draft {
    /// Nothing. A draft is large, and stays where it is made.
    #[inline(always)]
    pub(crate) fn new() -> Self {
        Self {
            fields: Fields::with_capacity(ROOM),
            slots: Slots::new(),
            addresses: 0,
            timestamp: None,
            warnings: Vec::new(),
            refused: 0,
        }
    }

    /// Sets a field, replacing an earlier value.
    #[inline(always)]
    pub(crate) fn set(&mut self, name: &'static str, value: impl Settable) {
        self.set_hashed(Hash::of(name), name, value);
    }

    /// The same by a name whose hash is at hand.
    #[inline(always)]
    pub(crate) fn set_key(&mut self, key: Key, value: impl Settable) {
        self.set_hashed(key.hash, key.name, value);
    }

    /// The same with a text that is known to be an address, which [`Self::is_address`] then says.
    pub(crate) fn set_address(&mut self, key: Key, address: &str) {
        self.set_key(key, address);
        if let Ok(index) = self.find(key.hash, key.name) {
            self.addresses |= bit(index);
        }
    }

    /// Whether a field is there that was set to an address, and to nothing else since.
    pub(crate) fn is_address(&self, key: Key) -> bool {
        self.find(key.hash, key.name)
            .is_ok_and(|index| self.addresses & bit(index) != 0)
    }

    #[inline(never)]
    fn set_hashed(&mut self, hash: Hash, name: &'static str, value: impl Settable) {
        match self.find(hash, name) {
            Ok(index) => self.replace(index, value.into()),
            Err(free) => {
                if self.claim(free) {
                    value.append(&mut self.fields, name);
                }
            }
        }
    }

    /// Sets a field to a text that is part of the program, of which no copy is made.
    #[inline(always)]
    pub(crate) fn set_fixed(&mut self, name: &'static str, text: &'static str) {
        self.set_hashed_fixed(Hash::of(name), name, text);
    }

    #[inline(never)]
    fn set_hashed_fixed(&mut self, hash: Hash, name: &'static str, text: &'static str) {
        match self.find(hash, name) {
            Ok(index) => self.replace(index, Text::of_static(text).into()),
            Err(free) => self.push(free, || (FieldName::of_static(name), Text::of_static(text).into())),
        }
    }

    /// Sets a field whose name comes from a table, replacing an earlier value.
    pub(crate) fn put(&mut self, name: &FieldName, value: Value) {
        match self.find(Hash::of(name), name) {
            Ok(index) => self.replace(index, value),
            Err(free) => self.push(free, || (name.clone(), value)),
        }
    }

    #[inline(never)]
    fn replace(&mut self, index: usize, value: Value) {
        if let Some(slot) = self.value_mut(index) {
            *slot = value;
        }
    }

    /// A value that is about to change.
    #[inline]
    fn value_mut(&mut self, index: usize) -> Option<&mut Value> {
        self.addresses &= !bit(index);
        self.fields.value_mut(index)
    }

    /// Appends a field that is not there, at the slot that [`Self::find`] found free for it.
    #[inline(always)]
    fn push(&mut self, free: Free, field: impl FnOnce() -> (FieldName, Value)) {
        if self.claim(free) {
            self.fields.push_with(field);
        }
    }

    /// Takes a slot for the field that is appended next; false when the event holds no more.
    #[inline(always)]
    fn claim(&mut self, free: Free) -> bool {
        let count = self.fields.len();
        if count >= MAX_FIELDS {
            self.refused += 1;
            return false;
        }
        self.slots.take(free, count);
        true
    }

    /// Where a field is, or else the slot where it belongs. One look is enough mostly.
    #[inline(always)]
    fn find(&self, hash: Hash, name: &str) -> Result<usize, Free> {
        match self.slots.glance(hash) {
            Glance::Nothing(free) if self.fields.len() <= INDEXED => Err(free),
            Glance::Likely(index) if self.fields.value_if_at(index, name).is_some() => Ok(index),
            Glance::Nothing(_) | Glance::Likely(_) | Glance::Other => self.search(hash, name),
        }
    }

    #[inline(never)]
    fn search(&self, hash: Hash, name: &str) -> Result<usize, Free> {
        let is_it = |index| self.fields.name_at(index).is_some_and(|existing| existing.is(name));
        self.slots.find(hash, is_it).or_else(|free| self.find_late(name, free))
    }

    /// The same among the fields that no slot leads to.
    fn find_late(&self, name: &str, free: Free) -> Result<usize, Free> {
        if self.fields.len() <= INDEXED {
            return Err(free);
        }
        let rest = self.fields.iter().skip(INDEXED);
        let found = rest.enumerate().find(|(_, (existing, _))| *existing == name);
        found.map(|(index, _)| INDEXED + index).ok_or(free)
    }

    /// Sets a field to the whole number a text is; leaves it when the text is none.
    #[inline(always)]
    pub(crate) fn set_int(&mut self, name: &'static str, text: &str) {
        if let Ok(number) = text.trim().parse::<i64>() {
            self.set(name, number);
        }
    }

    /// Sets a field unless the text is empty or one of the marks for nothing.
    #[inline(always)]
    pub(crate) fn set_known(&mut self, name: &'static str, text: &str) {
        if crate::aliases::is_known(text) {
            self.set(name, text);
        }
    }

    /// Takes a field out.
    pub(crate) fn take(&mut self, name: &str) -> Option<Value> {
        let value = self.fields.remove(name)?;
        (self.slots, self.addresses) = (Slots::new(), 0);
        for index in 0..self.fields.len().min(INDEXED) {
            let name = self.fields.name_at(index);
            if let Some(Err(free)) = name.map(|name| self.find(Hash::of(name), name)) {
                self.slots.take(free, index);
            }
        }
        Some(value)
    }

    /// Sets a field unless the text is empty.
    #[inline(always)]
    pub(crate) fn set_text(&mut self, name: &'static str, text: &str) {
        if !text.is_empty() {
            self.set(name, text);
        }
    }

    /// Sets a field unless it is set.
    #[inline(always)]
    pub(crate) fn set_default(&mut self, name: &'static str, value: impl Settable) {
        self.set_hashed_default(Hash::of(name), name, value);
    }

    /// The same by a name whose hash is at hand.
    #[inline(always)]
    pub(crate) fn set_default_key(&mut self, key: Key, value: impl Settable) {
        self.set_hashed_default(key.hash, key.name, value);
    }

    #[inline(never)]
    fn set_hashed_default(&mut self, hash: Hash, name: &'static str, value: impl Settable) {
        if let Err(free) = self.find(hash, name)
            && self.claim(free)
        {
            value.append(&mut self.fields, name);
        }
    }

    /// Sets a field to a text that is part of the program unless it is set.
    #[inline(always)]
    pub(crate) fn set_default_fixed(&mut self, name: &'static str, text: &'static str) {
        self.set_hashed_default_fixed(Hash::of(name), name, text);
    }

    #[inline(never)]
    fn set_hashed_default_fixed(&mut self, hash: Hash, name: &'static str, text: &'static str) {
        if let Err(free) = self.find(hash, name) {
            self.push(free, || (FieldName::of_static(name), Text::of_static(text).into()));
        }
    }

    /// Sets a field to a text unless it is set or the text is empty.
    #[inline(always)]
    pub(crate) fn set_default_text(&mut self, name: &'static str, text: &str) {
        if !text.is_empty() {
            self.set_default(name, text);
        }
    }

    /// Sets a field to a list of texts that are part of the program.
    #[inline(always)]
    pub(crate) fn set_list(&mut self, name: &'static str, texts: &[&'static str]) {
        self.set_hashed_list(Hash::of(name), name, texts);
    }

    #[inline(never)]
    fn set_hashed_list(&mut self, hash: Hash, name: &'static str, texts: &[&'static str]) {
        let list = constant::list(texts);
        match self.find(hash, name) {
            Ok(index) => self.replace(index, Value::List(list)),
            Err(free) => self.push(free, || (FieldName::of_static(name), Value::List(list))),
        }
    }

    /// Sets a field to a list of texts.
    pub(crate) fn set_texts(&mut self, name: &'static str, texts: &[&str]) {
        self.set(name, texts.iter().map(|text| Value::from(*text)).collect::<Value>());
    }

    /// Adds a text to a list once.
    #[inline(always)]
    pub(crate) fn add_to_list(&mut self, name: &'static str, text: &str) {
        if !text.is_empty() {
            self.add_to_hashed(Hash::of(name), name, text);
        }
    }

    #[inline(never)]
    fn add_to_hashed(&mut self, hash: Hash, name: &'static str, text: &str) {
        let index = match self.find(hash, name) {
            Ok(index) => index,
            Err(free) => {
                self.push(free, || {
                    let list = Value::List(List::one(text));
                    (FieldName::of_static(name), list)
                });
                return;
            }
        };
        match self.value_mut(index) {
            Some(Value::List(list)) if list.iter().any(|item| item.as_str() == Some(text)) => {}
            Some(Value::List(list)) => list.push(text.into()),
            Some(single) => {
                let first = std::mem::replace(single, Value::Null);
                *single = Value::from(vec![first, text.into()]);
            }
            None => {}
        }
    }

    /// Which of some fields may be there, a bit each; the others are not.
    #[inline(always)]
    pub(crate) fn may_have<const N: usize>(&self, keys: &[Key; N]) -> u32 {
        const { assert!(N <= 32, "a bit each") };
        if self.fields.len() > INDEXED {
            return u32::MAX;
        }
        let bit = |(n, key): (usize, &Key)| u32::from(!self.slots.lacks(key.hash)) << n;
        keys.iter().enumerate().map(bit).fold(0, |bits, bit| bits | bit)
    }

    /// Adds what is known among the texts of some fields to a list, once each and at most [`GATHERED`], if it `fits`. Only
    /// those `among` the fields are looked at, as [`Self::may_have`] says.
    pub(crate) fn gather(&mut self, into: Key, from: &[Key], among: u32, fits: fn(&str) -> bool) {
        let found = self.find(into.hash, into.name);
        let mut list = match found.ok().and_then(|index| self.value_mut(index)) {
            None => List::new(),
            Some(value) => match std::mem::replace(value, Value::Null) {
                Value::List(list) => list,
                one @ (Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Str(_)) => {
                    List::one(one)
                }
            },
        };
        let mut left = GATHERED;
        let mut add = |text: &str| {
            let new = left > 0
                && crate::aliases::is_known(text)
                && !list.iter().any(|item| item.as_str() == Some(text))
                && fits(text);
            left = left.saturating_sub(1);
            if new {
                list.push(text.into());
            }
        };
        for (n, key) in from.iter().enumerate() {
            if among & 1 << n == 0 {
                continue;
            }
            match self.get_key(*key) {
                Some(Value::Str(text)) => add(text),
                Some(Value::List(items)) => items.iter().filter_map(Value::as_str).for_each(&mut add),
                Some(Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_)) | None => {}
            }
        }
        match found {
            Ok(index) => {
                if let Some(value) = self.fields.value_mut(index) {
                    *value = Value::List(list);
                }
            }
            Err(_) if list.is_empty() => {}
            // Nothing was added to the draft meanwhile.
            Err(free) => self.push(free, || (FieldName::of_static(into.name), Value::List(list))),
        }
    }

    /// Sets a field the source named itself, if it is not set yet. `picket.*` is ours to say and goes elsewhere.
    pub(crate) fn set_own(&mut self, name: &str, value: impl Settable) {
        let reserved;
        let name = if is_ours(name) {
            reserved = format!("unverified.{name}");
            &reserved
        } else {
            name
        };
        if self.fields.len() >= MAX_FIELDS - RESERVED {
            self.refused += 1;
        } else if let Err(free) = self.find(Hash::of(name), name)
            && self.claim(free)
        {
            value.append_own(&mut self.fields, name);
        }
    }

    #[inline(always)]
    pub(crate) fn get(&self, name: &str) -> Option<&Value> {
        self.look_up(Hash::of(name), name)
    }

    /// The same by a name whose hash is at hand.
    #[inline(always)]
    pub(crate) fn get_key(&self, key: Key) -> Option<&Value> {
        self.look_up(key.hash, key.name)
    }

    #[inline(always)]
    fn look_up(&self, hash: Hash, name: &str) -> Option<&Value> {
        // Most that is asked for is not there.
        if self.slots.lacks(hash) && self.fields.len() <= INDEXED {
            return None;
        }
        self.found(hash, name)
    }

    #[inline(never)]
    fn found(&self, hash: Hash, name: &str) -> Option<&Value> {
        if let Glance::Likely(index) = self.slots.glance(hash)
            && let Some(value) = self.fields.value_if_at(index, name)
        {
            return Some(value);
        }
        self.found_late(hash, name)
    }

    #[inline(never)]
    fn found_late(&self, hash: Hash, name: &str) -> Option<&Value> {
        let index = self.search(hash, name).ok()?;
        self.fields.at(index).map(|(_, value)| value)
    }

    #[inline(always)]
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
    pub(crate) fn classify(&mut self, category: &'static str, kind: &[&'static str], action: &'static str) {
        self.set_list(ecs::EVENT_CATEGORY, &[category]);
        self.set_list(ecs::EVENT_TYPE, kind);
        self.set_fixed(ecs::EVENT_ACTION, action);
    }

    /// Heimdall's unified view: its type and severity, 1 (info) to 5 (critical).
    pub(crate) fn unified(&mut self, event_type: &'static str, severity: i64) {
        self.set_fixed(ecs::PICKET_EVENT_TYPE, event_type);
        self.set(ecs::EVENT_SEVERITY, severity);
    }

    pub(crate) fn outcome(&mut self, success: bool) {
        self.set_fixed(ecs::EVENT_OUTCOME, if success { "success" } else { "failure" });
    }

    /// The user the event is about.
    pub(crate) fn user(&mut self, name: &str) {
        self.set_text(ecs::USER_NAME, name);
        self.add_to_list(ecs::RELATED_USER, name);
    }

    /// Takes out the fields with the warnings among them, and the rest.
    pub(crate) fn finish(&mut self) -> (Fields, Option<Timestamp>, Vec<Warning>) {
        if self.refused > 0 {
            self.warn(Warning::TooManyFields(self.refused));
        }
        if !self.warnings.is_empty() {
            let texts = self.warnings.iter().map(|warning| Value::from(warning.to_string()));
            self.fields.insert(ecs::PICKET_WARNINGS, texts.collect::<Value>());
        }
        let (fields, warnings) = (std::mem::take(&mut self.fields), std::mem::take(&mut self.warnings));
        (fields, self.timestamp, warnings)
    }
}

/// The bit of one of the first fields; none of the others.
#[inline]
fn bit(index: usize) -> u64 {
    u32::try_from(index)
        .ok()
        .and_then(|index| 1_u64.checked_shl(index))
        .unwrap_or(0)
}

/// Whether a name is only ours to set, and so goes elsewhere when a source uses it.
fn is_ours(name: &str) -> bool {
    name == "picket" || name.starts_with("picket.") || name == ecs::TIMESTAMP || name == ecs::EVENT_ID
}
