//! From values found in an event to what an alert says about them.

use std::cmp::Reverse;

use model::indicator::{IndicatorType, Tlp};
use model::{Event, Timestamp, Value, ecs};

use super::key;
use super::said::Said;
use super::tenant::{Found, Lookup, TenantSet};
use crate::observables::Extractor;

/// Most indicators one event is reported to match; further ones are counted. Without it one line that lists a whole
/// feed would cause as many alerts, each with that line in it.
pub const MAX_HITS: usize = 32;
/// Deepest nesting of lists that is looked into.
const MAX_LIST_DEPTH: usize = model::event::MAX_DEPTH;
/// Most other sources a hit names.
const MAX_OTHERS: usize = 16;

/// An indicator in an event: the value, and the most confident of those who were sure of it at the event's time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hit {
    /// What kind of value.
    pub kind: IndicatorType,
    /// The indicator's value.
    pub value: String,
    /// Name of the event's field.
    pub field: String,
    /// Who says so.
    pub source: String,
    /// The feed it came with.
    pub feed: String,
    /// How sure they are.
    pub confidence: u8,
    /// Their tags.
    pub tags: Vec<String>,
    /// How far it may be passed on.
    pub tlp: Option<Tlp>,
    /// What they tell people.
    pub note: String,
    /// Where they tell more.
    pub reference: String,
    /// Feeds, or sources without a feed, that say so too.
    pub others: Vec<String>,
}

/// What was found in an event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hits {
    /// One for each value, at most [`MAX_HITS`].
    pub hits: Vec<Hit>,
    /// Matches beyond that.
    pub dropped: usize,
}

/// Finds values of a set in texts. Keeps its memory from one text to the next.
#[derive(Clone, Debug, Default)]
pub struct Find {
    extractor: Extractor,
    lookup: Lookup,
}

impl Find {
    /// A new one.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Calls `found` for every value of `set` in any text of `value`, whatever its time of validity.
    pub fn in_value(&mut self, set: &TenantSet, value: &Value, found: &mut impl FnMut(Found)) {
        let wanted = set.wanted();
        self.each_text(value, 0, &mut |find, text| {
            let lookup = &mut find.lookup;
            find.extractor.scan(text, wanted, &mut |observable| {
                set.look_up(observable, lookup, found);
            });
        });
    }

    fn each_text(&mut self, value: &Value, depth: usize, each: &mut impl FnMut(&mut Self, &str)) {
        match value {
            Value::Str(text) => each(self, text),
            Value::List(values) if depth < MAX_LIST_DEPTH => {
                for value in values {
                    self.each_text(value, depth + 1, each);
                }
            }
            Value::List(_) | Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) => {}
        }
    }
}

impl TenantSet {
    /// The indicators that occur in any text of the event and were valid when the event happened. The event's own time
    /// decides, not the clock, so that the same events give the same alerts whenever they are looked at. What is below
    /// `min_confidence` does not match.
    ///
    /// A hit names the field it was found in; a parsed field is preferred to the whole line.
    #[must_use]
    pub fn matches(&self, event: &Event, min_confidence: u8, find: &mut Find) -> Hits {
        let mut found: Vec<(&str, Found)> = Vec::new();
        for (name, value) in event.fields.iter() {
            find.in_value(self, value, &mut |value| found.push((name, value)));
        }
        self.hits(&found, event.timestamp, min_confidence)
    }

    /// The hits of an event of this time in whose fields these values were found.
    #[must_use]
    pub fn hits(&self, found: &[(&str, Found)], at: Timestamp, min_confidence: u8) -> Hits {
        let mut values: Vec<(Found, &str)> = Vec::new();
        let mut hits = Hits::default();
        for (field, value) in found {
            if let Some((_, known)) = values.iter_mut().find(|(known, _)| known == value) {
                if is_whole_line(known) && !is_whole_line(field) {
                    *known = field;
                }
            } else if !self.is_valid(*value, at, min_confidence) {
                // Says nothing about an event of this time.
            } else if values.len() < MAX_HITS {
                values.push((*value, field));
            } else {
                hits.dropped += 1;
            }
        }
        let hit = |(value, field): (Found, &str)| self.hit(value, field, at, min_confidence);
        hits.hits = values.into_iter().filter_map(hit).collect();
        hits
    }

    fn is_valid(&self, found: Found, at: Timestamp, min_confidence: u8) -> bool {
        self.shard(found).is_some_and(|shard| {
            shard
                .said(found.entry)
                .any(|said| said.confidence >= min_confidence && said.is_valid_at(at))
        })
    }

    fn hit(&self, found: Found, field: &str, at: Timestamp, min_confidence: u8) -> Option<Hit> {
        let shard = self.shard(found)?;
        let (tag, bytes) = shard.value(found.entry)?;
        let mut said: Vec<&Said> = shard
            .said(found.entry)
            .filter(|said| said.confidence >= min_confidence && said.is_valid_at(at))
            .collect();
        // Not in the order they came: who says it first in an alert must not depend on that.
        said.sort_by_key(|said| (Reverse(said.confidence), &said.common.feed, &said.common.source));
        let (best, others) = said.split_first()?;
        let name = |said: &&Said| {
            let common = &said.common;
            if common.feed.is_empty() {
                common.source.to_string()
            } else {
                common.feed.to_string()
            }
        };
        Some(Hit {
            kind: key::kind(tag, bytes.len()),
            value: key::value(tag, bytes),
            field: field.to_owned(),
            source: best.common.source.to_string(),
            feed: best.common.feed.to_string(),
            confidence: best.confidence,
            tags: best.common.tags.iter().map(|tag| tag.to_string()).collect(),
            tlp: best.common.tlp,
            note: best.common.note.to_string(),
            reference: shard.reference(best).to_owned(),
            others: others.iter().map(name).take(MAX_OTHERS).collect(),
        })
    }
}

fn is_whole_line(field: &str) -> bool {
    field == ecs::MESSAGE || field == ecs::EVENT_ORIGINAL
}
