//! An indicator as it is stored.

use serde::{Deserialize, Serialize};

use super::canonical::canonical_value;
use super::error::InvalidIndicator;
use super::kind::IndicatorType;
use super::tlp::Tlp;
use crate::id::Tenant;
use crate::time::Timestamp;

/// Longest `source` in characters.
pub const MAX_SOURCE_CHARS: usize = 256;
/// Longest `feed` in characters.
pub const MAX_FEED_CHARS: usize = 128;
/// Longest `note` in characters.
pub const MAX_NOTE_CHARS: usize = 4096;
/// Longest `reference` in characters.
pub const MAX_REFERENCE_CHARS: usize = 2048;
/// Most `tags`.
pub const MAX_TAGS: usize = 32;
/// Longest tag in characters.
pub const MAX_TAG_CHARS: usize = 128;
/// Confidence of an indicator whose source names none.
pub const DEFAULT_CONFIDENCE: u8 = 75;

/// One indicator. `(tenant, type, value, feed, source)` is its identity: several feeds and people may name the same
/// value, and what one of them takes back the others still say.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Indicator {
    /// Whose it is.
    pub tenant: Tenant,
    /// What `value` is.
    #[serde(rename = "type")]
    pub kind: IndicatorType,
    /// Canonical form: see [`canonical_value`].
    pub value: String,
    /// Who says so.
    pub source: String,
    /// Name of the feed it came with; empty when a person or a program added it.
    #[serde(default)]
    pub feed: String,
    /// How sure the source is, 0 to 100.
    #[serde(default = "default_confidence")]
    pub confidence: u8,
    /// Free words, such as `malware:emotet`.
    #[serde(default)]
    pub tags: Vec<String>,
    /// How far it may be passed on.
    #[serde(default)]
    pub tlp: Option<Tlp>,
    /// For people.
    #[serde(default)]
    pub note: String,
    /// Where the source tells more: a URL or an id.
    #[serde(default)]
    pub reference: String,
    /// When it was added.
    pub created_at: Timestamp,
    /// Events before this do not match.
    #[serde(default)]
    pub valid_from: Option<Timestamp>,
    /// Events after this do not match.
    #[serde(default)]
    pub valid_until: Option<Timestamp>,
}

fn default_confidence() -> u8 {
    DEFAULT_CONFIDENCE
}

impl Indicator {
    /// An indicator of which nothing else is known. `value` is brought to canonical form.
    ///
    /// # Errors
    /// When the value does not have the form of its type.
    pub fn new(
        tenant: Tenant,
        kind: IndicatorType,
        value: &str,
        source: &str,
        created_at: Timestamp,
    ) -> Result<Self, InvalidIndicator> {
        Ok(Self {
            tenant,
            kind,
            value: canonical_value(kind, value)?,
            source: source.to_owned(),
            feed: String::new(),
            confidence: DEFAULT_CONFIDENCE,
            tags: Vec::new(),
            tlp: None,
            note: String::new(),
            reference: String::new(),
            created_at,
            valid_from: None,
            valid_until: None,
        })
    }

    /// Whether an event of this time can match.
    #[must_use]
    pub fn is_valid_at(&self, at: Timestamp) -> bool {
        self.valid_from.is_none_or(|from| at >= from) && self.valid_until.is_none_or(|until| at <= until)
    }

    /// Checks everything but the value, which [`canonical_value`] checks.
    ///
    /// # Errors
    /// Names the first field that is too long or out of range.
    pub fn check(&self) -> Result<(), InvalidIndicator> {
        for (field, text, most) in [
            ("source", &self.source, MAX_SOURCE_CHARS),
            ("feed", &self.feed, MAX_FEED_CHARS),
            ("note", &self.note, MAX_NOTE_CHARS),
            ("reference", &self.reference, MAX_REFERENCE_CHARS),
        ] {
            if text.chars().count() > most {
                return Err(InvalidIndicator::field(field, format!("at most {most} characters")));
            }
        }
        if self.confidence > 100 {
            return Err(InvalidIndicator::field("confidence", "a number from 0 to 100"));
        }
        if self.tags.len() > MAX_TAGS {
            return Err(InvalidIndicator::field("tags", format!("at most {MAX_TAGS}")));
        }
        let is_tag = |tag: &String| !tag.is_empty() && tag.chars().count() <= MAX_TAG_CHARS;
        if !self.tags.iter().all(is_tag) {
            return Err(InvalidIndicator::field(
                "tags",
                format!("each with 1 to {MAX_TAG_CHARS} characters"),
            ));
        }
        if let (Some(from), Some(until)) = (self.valid_from, self.valid_until)
            && from > until
        {
            return Err(InvalidIndicator::field("valid_until", "a time not before valid_from"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn indicator() -> Indicator {
        Indicator::new(
            Tenant::default(),
            IndicatorType::Domain,
            "Evil.Example",
            "test",
            Timestamp(0),
        )
        .unwrap()
    }

    #[test]
    fn each_field_is_bounded_and_named_when_it_is_not() {
        assert_eq!(indicator().check(), Ok(()));
        type Break = fn(&mut Indicator);
        let broken: [(&str, Break); 8] = [
            ("source", |i| i.source = "s".repeat(MAX_SOURCE_CHARS + 1)),
            ("feed", |i| i.feed = "s".repeat(MAX_FEED_CHARS + 1)),
            ("note", |i| i.note = "s".repeat(MAX_NOTE_CHARS + 1)),
            ("reference", |i| i.reference = "s".repeat(MAX_REFERENCE_CHARS + 1)),
            ("confidence", |i| i.confidence = 101),
            ("tags", |i| i.tags = vec!["a".to_owned(); MAX_TAGS + 1]),
            ("tags", |i| i.tags = vec![String::new()]),
            ("valid_until", |i| {
                i.valid_from = Some(Timestamp(2));
                i.valid_until = Some(Timestamp(1));
            }),
        ];
        for (field, change) in broken {
            let mut wrong = indicator();
            change(&mut wrong);
            let error = wrong.check().unwrap_err().to_string();
            assert!(error.starts_with(&format!("{field}: expected")), "{error}");
        }
    }

    #[test]
    fn validity_is_about_the_time_of_the_event() {
        let mut between = indicator();
        between.valid_from = Some(Timestamp(10));
        between.valid_until = Some(Timestamp(20));
        let valid: Vec<i64> = (8..23).filter(|at| between.is_valid_at(Timestamp(*at))).collect();
        assert_eq!((valid.first(), valid.last()), (Some(&10), Some(&20)));
        assert!(indicator().is_valid_at(Timestamp(i64::MIN)));
    }

    #[test]
    fn records_of_the_first_form_are_still_read() {
        let old = serde_json::json!({
            "tenant": "default", "type": "ip", "value": "10.0.0.5", "source": "demo", "note": "",
            "created_at": "2026-01-31T00:00:00Z", "valid_until": null,
        });
        let read: Indicator = serde_json::from_value(old).unwrap();
        assert_eq!((read.confidence, read.feed.as_str()), (DEFAULT_CONFIDENCE, ""));
    }
}
