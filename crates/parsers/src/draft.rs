//! The event while parsers add to it.

use model::event::{FieldName, MAX_FIELDS};
use model::{Fields, Timestamp, Value, ecs};

use crate::record::Warning;

/// How many of an event's fields are kept free of the source's own, for those the parsers set.
const RESERVED: usize = 64;

/// Fields, time and warnings so far.
#[derive(Debug)]
pub(crate) struct Draft {
    fields: Fields,
    /// Bits of the names set so far: a clear bit proves a name new without comparing it to all others.
    seen: [u64; 4],
    pub(crate) timestamp: Option<Timestamp>,
    pub(crate) warnings: Vec<Warning>,
    refused: usize,
}

impl Draft {
    pub(crate) fn new() -> Self {
        Self {
            fields: Fields::with_capacity(36),
            seen: [0; 4],
            timestamp: None,
            warnings: Vec::new(),
            refused: 0,
        }
    }

    /// Sets a field, replacing an earlier value.
    pub(crate) fn set(&mut self, name: &'static str, value: impl Into<Value>) {
        if self.mark(name) {
            self.refused += usize::from(!self.fields.insert(name, value));
        } else {
            self.fields.push_unchecked(FieldName::Borrowed(name), value.into());
        }
    }

    /// Sets a field whose name comes from a table, replacing an earlier value.
    pub(crate) fn put(&mut self, name: FieldName, value: Value) {
        self.mark(&name);
        self.refused += usize::from(!self.fields.insert(name, value));
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
        self.fields.remove(name)
    }

    /// Sets a field unless the text is empty.
    pub(crate) fn set_text(&mut self, name: &'static str, text: &str) {
        if !text.is_empty() {
            self.set(name, text);
        }
    }

    /// Sets a field unless it is set or the text is empty.
    pub(crate) fn set_default(&mut self, name: &'static str, value: impl Into<Value>) {
        if self.get(name).is_none() {
            self.set(name, value);
        }
    }

    /// Sets a field to a text unless it is set or the text is empty.
    pub(crate) fn set_default_text(&mut self, name: &'static str, text: &str) {
        if !text.is_empty() {
            self.set_default(name, text);
        }
    }

    /// Sets a field to a list of texts.
    pub(crate) fn set_list(&mut self, name: &'static str, texts: &[&str]) {
        let list = texts.iter().map(|text| Value::from(*text)).collect();
        self.set(name, Value::List(list));
    }

    /// Adds a text to a list once.
    pub(crate) fn add_to_list(&mut self, name: &'static str, text: &str) {
        if text.is_empty() {
            return;
        }
        match self.fields.get(name) {
            None => self.set_list(name, &[text]),
            Some(Value::List(list)) if list.iter().any(|item| item.as_str() == Some(text)) => {}
            Some(Value::List(list)) => {
                let mut list = list.clone();
                list.push(text.into());
                self.set(name, Value::List(list));
            }
            Some(single) => {
                let list = vec![single.clone(), text.into()];
                self.set(name, Value::List(list));
            }
        }
    }

    /// Sets a field the source named itself, if it is not set yet. `picket.*` is ours to say and goes elsewhere.
    pub(crate) fn set_own(&mut self, name: impl Into<FieldName>, value: Value) {
        let name = own_name(name.into());
        if self.fields.len() >= MAX_FIELDS - RESERVED {
            self.refused += 1;
        } else if self.fields.get(&name).is_none() {
            self.mark(&name);
            self.refused += usize::from(!self.fields.insert(name, value));
        }
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Value> {
        if self.is_marked(name) {
            self.fields.get(name)
        } else {
            None
        }
    }

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
            let texts = self.warnings.iter().map(|warning| Value::Str(warning.to_string()));
            self.fields.insert(ecs::PICKET_WARNINGS, Value::List(texts.collect()));
        }
        (self.fields, self.timestamp, self.warnings)
    }

    /// Marks the name as set; true when it may have been set before.
    fn mark(&mut self, name: &str) -> bool {
        let (word, bit) = bit_of(name);
        let before = self.seen[word] & bit != 0;
        self.seen[word] |= bit;
        before
    }

    fn is_marked(&self, name: &str) -> bool {
        let (word, bit) = bit_of(name);
        self.seen[word] & bit != 0
    }
}

fn bit_of(name: &str) -> (usize, u64) {
    let bytes = name.as_bytes();
    let at = |index: usize| bytes.get(index).map_or(0, |byte| usize::from(*byte));
    let len = bytes.len();
    let hash = len * 67 + at(len.wrapping_sub(1)) * 31 + at(len / 2) * 13 + at(len.wrapping_sub(3)) * 5 + at(1);
    (hash / 64 % 4, 1 << (hash % 64))
}

/// The name under which a source's own field is kept.
fn own_name(name: FieldName) -> FieldName {
    if name == "picket" || name.starts_with("picket.") || name == ecs::TIMESTAMP || name == ecs::EVENT_ID {
        format!("unverified.{name}").into()
    } else {
        name
    }
}
