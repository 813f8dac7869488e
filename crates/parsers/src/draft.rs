//! The event while parsers add to it.

use std::borrow::Cow;

use model::event::{FieldName, MAX_FIELDS};
use model::{Fields, List, Text, Timestamp, Value, ecs};

use crate::constant;
use crate::record::Warning;
use crate::slots::{Free, Glance, Hash, INDEXED, Key, Place, Slots};

/// How many of an event's fields are kept free of the source's own, for those the parsers set.
const RESERVED: usize = 64;

/// Room for fields that an event is begun with: enough for most, as growing moves all of them, and just below a power of
/// two in bytes, as allocators have their blocks.
const ROOM: usize = 42;
/// Most texts that are looked at for one of the lists of related values.
const GATHERED: usize = 64;

/// What a field can be set to.
pub(crate) trait Settable: Into<Value> {
    /// Sets a field to it; one that is there only when it `replaces`.
    #[inline(always)]
    fn set(self, draft: &mut Draft, key: Key, replaces: bool) {
        if replaces {
            draft.set_value(key, self);
        } else {
            draft.set_default_value(key, self);
        }
    }

    /// Appends it as a field under a name that is no part of the program.
    #[inline(always)]
    fn append_own(self, fields: &mut Fields, name: &str) {
        fields.push_with(|| {
            let value = self.into();
            (FieldName::from(Text::from(name)), value)
        });
    }
}

impl Settable for &str {
    #[inline(always)]
    fn set(self, draft: &mut Draft, key: Key, replaces: bool) {
        draft.put_text(key.hash, key.name, self, replaces);
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
        value.set(self, Key::of(name), true);
    }

    /// The same by a name whose hash is at hand.
    #[inline(always)]
    pub(crate) fn set_key(&mut self, key: Key, value: impl Settable) {
        value.set(self, key, true);
    }

    #[inline(never)]
    fn set_value(&mut self, Key { name, hash }: Key, value: impl Settable) {
        if self.claim(hash, name) {
            self.push(name, || value.into());
        } else {
            self.replace(hash, name, value.into());
        }
    }

    /// All of it is in one place, as most fields are texts.
    #[inline(never)]
    fn put_text(&mut self, hash: Hash, name: &'static str, text: &str, replaces: bool) {
        if self.claim(hash, name) {
            self.fields.push_text(name, text);
        } else if replaces {
            self.replace(hash, name, text.into());
        }
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

    /// Sets a field to a text that is part of the program, of which no copy is made.
    #[inline(always)]
    pub(crate) fn set_fixed(&mut self, name: &'static str, text: &'static str) {
        self.set_hashed_fixed(Hash::of(name), name, text);
    }

    #[inline(never)]
    fn set_hashed_fixed(&mut self, hash: Hash, name: &'static str, text: &'static str) {
        if self.claim(hash, name) {
            self.push(name, || Text::of_static(text).into());
        } else {
            self.replace(hash, name, Text::of_static(text).into());
        }
    }

    /// Sets a field whose name comes from a table, replacing an earlier value.
    pub(crate) fn put(&mut self, name: &FieldName, value: Value) {
        let hash = Hash::of(name);
        if self.claim(hash, name) {
            self.fields.push_with(|| (name.clone(), value));
        } else {
            self.replace(hash, name, value);
        }
    }

    /// Gives a field that is there another value.
    #[inline(never)]
    fn replace(&mut self, hash: Hash, name: &str, value: Value) {
        if let Ok(index) = self.find(hash, name)
            && let Some(slot) = self.value_mut(index)
        {
            *slot = value;
        }
    }

    /// A value that is about to change.
    #[inline]
    fn value_mut(&mut self, index: u16) -> Option<&mut Value> {
        self.addresses &= !bit(index);
        self.fields.value_mut(usize::from(index))
    }

    /// Appends a field whose slot was claimed.
    #[inline(always)]
    fn push(&mut self, name: &'static str, value: impl FnOnce() -> Value) {
        self.fields.push_with(|| (FieldName::of_static(name), value()));
    }

    /// Takes a slot for the field that is appended next; false when it is there, or the event holds no more.
    #[inline(always)]
    fn claim(&mut self, hash: Hash, name: &str) -> bool {
        let count = self.fields.len();
        // Most fields are the first in their slot.
        count < INDEXED && self.slots.claim(hash, count) || self.claim_late(hash, name)
    }

    #[inline(never)]
    fn claim_late(&mut self, hash: Hash, name: &str) -> bool {
        let Err(free) = self.find(hash, name) else { return false };
        let count = self.fields.len();
        if count >= MAX_FIELDS {
            self.refused += 1;
            return false;
        }
        self.slots.take(free, hash, count);
        true
    }

    /// Where a field is, or else the slot where it belongs. One look is enough mostly.
    #[inline(always)]
    fn find(&self, hash: Hash, name: &str) -> Place {
        match self.slots.glance(hash) {
            Glance::Nothing(free) if self.fields.len() <= INDEXED => Err(free),
            Glance::Likely(index) if self.fields.value_if_at(usize::from(index), name).is_some() => Ok(index),
            Glance::Nothing(_) | Glance::Likely(_) | Glance::Other => self.search(hash, name),
        }
    }

    #[inline(never)]
    fn search(&self, hash: Hash, name: &str) -> Place {
        let is_it = |index| {
            let existing = self.fields.name_at(usize::from(index));
            existing.is_some_and(|existing| existing.is(name))
        };
        self.slots.find(hash, is_it).or_else(|free| self.find_late(name, free))
    }

    /// The same among the fields that no slot leads to.
    fn find_late(&self, name: &str, free: Free) -> Place {
        if self.fields.len() <= INDEXED {
            return Err(free);
        }
        let fields = (0_u16..).zip(self.fields.iter()).skip(INDEXED);
        let mut found = fields.filter(|(_, (existing, _))| *existing == name);
        found.next().map(|(index, _)| index).ok_or(free)
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
            if let Some((hash, Err(free))) = name.map(|name| (Hash::of(name), self.find(Hash::of(name), name))) {
                self.slots.take(free, hash, index);
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
        value.set(self, Key::of(name), false);
    }

    /// The same by a name whose hash is at hand.
    #[inline(always)]
    pub(crate) fn set_default_key(&mut self, key: Key, value: impl Settable) {
        value.set(self, key, false);
    }

    #[inline(never)]
    fn set_default_value(&mut self, Key { name, hash }: Key, value: impl Settable) {
        if self.claim(hash, name) {
            self.push(name, || value.into());
        }
    }

    /// Sets a field to a text that is part of the program unless it is set.
    #[inline(always)]
    pub(crate) fn set_default_fixed(&mut self, name: &'static str, text: &'static str) {
        self.set_hashed_default_fixed(Hash::of(name), name, text);
    }

    #[inline(never)]
    fn set_hashed_default_fixed(&mut self, hash: Hash, name: &'static str, text: &'static str) {
        if self.claim(hash, name) {
            self.push(name, || Text::of_static(text).into());
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
        let hash = Hash::of(name);
        match *texts {
            [one] => self.set_hashed_words(hash, name, [one]),
            [one, two] => self.set_hashed_words(hash, name, [one, two]),
            _ => self.set_hashed_list(hash, name, constant::list(texts)),
        }
    }

    #[inline(never)]
    fn set_hashed_words<const N: usize>(&mut self, hash: Hash, name: &'static str, words: [&'static str; N]) {
        self.set_hashed_list(hash, name, constant::words(words));
    }

    #[inline(always)]
    fn set_hashed_list(&mut self, hash: Hash, name: &'static str, list: List) {
        if self.claim(hash, name) {
            self.push(name, || Value::List(list));
        } else {
            self.replace(hash, name, Value::List(list));
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
        if self.claim(hash, name) {
            self.push(name, || Value::List(List::one(text)));
            return;
        }
        let Ok(index) = self.find(hash, name) else { return };
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
        let found = self.get_key(into);
        let there: &[Value] = match found {
            Some(Value::List(list)) => list,
            Some(one) => std::slice::from_ref(one),
            None => &[],
        };
        let mut more = List::new();
        let mut left = GATHERED;
        let mut add = |text: &str| {
            let is_it = |item: &Value| item.as_str() == Some(text);
            let new = left > 0 && crate::aliases::is_known(text) && !there.iter().chain(&more).any(is_it) && fits(text);
            left = left.saturating_sub(1);
            if new {
                more.push(text.into());
            }
        };
        let mut among = among;
        while let Some(key) = usize::try_from(among.trailing_zeros()).ok().and_then(|n| from.get(n)) {
            among &= among - 1;
            match self.get_key(*key) {
                Some(Value::Str(text)) => add(text),
                Some(Value::List(items)) => items.iter().filter_map(Value::as_str).for_each(&mut add),
                Some(Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_)) | None => {}
            }
        }
        match found {
            None if more.is_empty() => {}
            None => self.set_hashed_list(into.hash, into.name, more),
            Some(Value::List(_)) if more.is_empty() => {}
            Some(_) => self.extend_list(into, more),
        }
    }

    /// Adds to a field that is there, which becomes a list if it is none.
    fn extend_list(&mut self, key: Key, more: List) {
        let found = self.find(key.hash, key.name).ok();
        match found.and_then(|index| self.value_mut(index)) {
            Some(Value::List(list)) => list.extend(more),
            Some(value) => {
                let mut list = List::one(std::mem::replace(value, Value::Null));
                list.extend(more);
                *value = Value::List(list);
            }
            None => {}
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
            return;
        }
        if self.claim(Hash::of(name), name) {
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
        match self.slots.glance(hash) {
            Glance::Likely(index) => match self.fields.value_if_at(usize::from(index), name) {
                Some(value) => Some(value),
                None => self.found_late(hash, name),
            },
            Glance::Other => self.found_late(hash, name),
            Glance::Nothing(_) if self.fields.len() > INDEXED => self.found_late(hash, name),
            Glance::Nothing(_) => None,
        }
    }

    #[inline(never)]
    fn found_late(&self, hash: Hash, name: &str) -> Option<&Value> {
        let index = self.search(hash, name).ok()?;
        self.fields.at(usize::from(index)).map(|(_, value)| value)
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
    #[inline(always)]
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
fn bit(index: u16) -> u64 {
    1_u64.checked_shl(u32::from(index)).unwrap_or(0)
}

/// Whether a name is only ours to set, and so goes elsewhere when a source uses it.
fn is_ours(name: &str) -> bool {
    name == "picket" || name.starts_with("picket.") || name == ecs::TIMESTAMP || name == ecs::EVENT_ID
}
