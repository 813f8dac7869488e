//! What a feed says, in one form for all formats.

use std::borrow::Cow;

use model::Timestamp;
use model::indicator::{IndicatorType, Tlp, canonical_value};

/// Longest value in bytes, before it is brought to its canonical form.
pub const MAX_VALUE_BYTES: usize = 8 * 1024;
/// Most tags an entry keeps.
pub const MAX_TAGS: usize = 32;
/// Longest tag in characters.
pub const MAX_TAG_CHARS: usize = 128;
/// Longest note and reference in characters.
pub const MAX_NOTE_CHARS: usize = 1000;
/// Characters of a value that an error shows.
const SHOWN_CHARS: usize = 80;

/// One indicator as a feed lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// What `value` is.
    pub kind: IndicatorType,
    /// Canonical: see [`model::indicator::canonical_value`].
    pub value: String,
    /// How sure the publisher is, 0 to 100; `None` when it does not say.
    pub confidence: Option<u8>,
    /// Not before this.
    pub valid_from: Option<Timestamp>,
    /// Not after this.
    pub valid_until: Option<Timestamp>,
    /// At most [`MAX_TAGS`] of [`MAX_TAG_CHARS`], in the feed's order, none twice.
    pub tags: Vec<String>,
    /// How far it may be passed on; `None` when the publisher does not say.
    pub tlp: Option<Tlp>,
    /// For people; at most [`MAX_NOTE_CHARS`].
    pub note: String,
    /// Where the publisher says more; at most [`MAX_NOTE_CHARS`].
    pub reference: String,
    /// What within the feed says so: the id of a STIX object or of a MISP event, at most 100 characters. Empty where
    /// only the feed as a whole does.
    pub origin: String,
}

/// What came out of a piece of a feed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item {
    /// An indicator.
    Entry(Entry),
    /// An indicator that its publisher took back.
    Withdrawn(Entry),
    /// Something that should be an indicator and cannot be used.
    Refused(Refused),
    /// Something that is rightly there and is no indicator, with what it is.
    Skipped(&'static str),
}

/// Why something in a feed cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// A line (`line 12`) or the identity of an object.
    pub place: String,
    /// The field that is wrong.
    pub field: &'static str,
    /// What was expected.
    pub reason: String,
    /// Which sort of trouble, for counting.
    pub class: Class,
}

/// Sorts of trouble.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// It does not have the form of its format or type.
    Malformed,
    /// It is right, and nothing that can be matched here.
    Unsupported,
    /// It is longer or deeper than anything real.
    TooLarge,
}

impl Class {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Malformed, Self::Unsupported, Self::TooLarge];

    /// Lower-case name, as a metric's label.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::Unsupported => "unsupported",
            Self::TooLarge => "too_large",
        }
    }
}

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}: {}", self.place, self.field, self.reason)
    }
}

impl Entry {
    /// An entry that says nothing but its value.
    ///
    /// # Errors
    /// What was expected, when the value does not have the form of its type.
    pub fn new(kind: IndicatorType, value: &str) -> Result<Self, (Class, String)> {
        if value.len() > MAX_VALUE_BYTES {
            let message = format!("expected at most {MAX_VALUE_BYTES} bytes, got {}", value.len());
            return Err((Class::TooLarge, message));
        }
        let value = canonical_value(kind, value).map_err(|error| {
            let text = error.to_string();
            let message = text.strip_prefix("value: ").unwrap_or(&text).to_owned();
            (Class::Malformed, message)
        })?;
        Ok(Self {
            kind,
            value,
            confidence: None,
            valid_from: None,
            valid_until: None,
            tags: Vec::new(),
            tlp: None,
            note: String::new(),
            reference: String::new(),
            origin: String::new(),
        })
    }

    /// Adds a tag, shortened to its bound, unless it is empty, a stand-in for nothing, known or one too many.
    pub fn add_tag(&mut self, tag: &str) {
        let tag = tag.trim();
        if is_nothing(tag) || self.tags.len() >= MAX_TAGS {
            return;
        }
        let tag = shortened(tag, MAX_TAG_CHARS);
        if !self.tags.contains(&tag) {
            self.tags.push(tag);
        }
    }

    /// Sets the note, shortened to its bound.
    pub fn set_note(&mut self, note: &str) {
        let note = note.trim();
        if !is_nothing(note) {
            self.note = shortened(note, MAX_NOTE_CHARS);
        }
    }

    /// Sets the reference, shortened to its bound.
    pub fn set_reference(&mut self, reference: &str) {
        let reference = reference.trim();
        if !is_nothing(reference) {
            self.reference = shortened(reference, MAX_NOTE_CHARS);
        }
    }
}

impl Item {
    /// Something refused.
    pub(crate) fn refused(
        place: impl Into<String>,
        field: &'static str,
        class: Class,
        reason: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self::Refused(Refused {
            place: place.into(),
            field,
            reason: shortened(&reason.into(), MAX_NOTE_CHARS),
            class,
        })
    }
}

/// Publishers write nothing in several ways.
pub(crate) fn is_nothing(text: &str) -> bool {
    text.is_empty()
        || ["none", "n/a", "null", "-"]
            .iter()
            .any(|word| text.eq_ignore_ascii_case(word))
}

/// At most so many characters, without control characters.
pub(crate) fn shortened(text: &str, most: usize) -> String {
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(most)
        .collect()
}

/// A value as an error shows it.
pub(crate) fn shown(text: &str) -> String {
    format!("{:?}", shortened(text, SHOWN_CHARS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_wrote_is_bounded_and_harmless() {
        let mut entry = Entry::new(IndicatorType::Ip, "203.0.113.9").unwrap();
        for n in 0..100 {
            entry.add_tag(&format!("tag{n}"));
            entry.add_tag("tag0");
        }
        entry.add_tag(&"x".repeat(500));
        entry.set_note(&format!("a\u{1b}[31m{}", "b".repeat(5000)));
        assert_eq!(entry.tags.len(), MAX_TAGS);
        assert_eq!(entry.note.chars().count(), MAX_NOTE_CHARS);
        assert!(entry.note.starts_with("a [31m"), "{}", entry.note);
        for nothing in ["", "None", "n/a", "NULL", "-"] {
            entry.set_reference(nothing);
            assert_eq!(entry.reference, "");
        }
    }

    #[test]
    fn a_wrong_value_says_what_was_expected() {
        let (class, reason) = Entry::new(IndicatorType::Sha256, "zz").unwrap_err();
        assert_eq!(class, Class::Malformed);
        assert!(reason.starts_with("expected"), "{reason}");
        let (class, _) = Entry::new(IndicatorType::Domain, &"a".repeat(MAX_VALUE_BYTES + 1)).unwrap_err();
        assert_eq!(class, Class::TooLarge);
    }
}
