//! What single events give to correlations.

use std::fmt;
use std::str::FromStr;

use model::id::ParseIdError;
use model::{AlertId, EventId, Timestamp};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::pattern::fold;

/// Longest readable value in characters; of a longer one, the start and a hash are kept.
const MAX_VALUE_CHARS: usize = 256;
/// How much of a longer value stays readable.
const START_CHARS: usize = 200;

/// What contributed: an event, or the alert of another correlation. Its text form is the id's.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Origin {
    /// An event that a rule found.
    Event(EventId),
    /// An alert of a correlation this one is over.
    Alert(AlertId),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Event(id) => id.fmt(f),
            Self::Alert(id) => id.fmt(f),
        }
    }
}

impl FromStr for Origin {
    type Err = ParseIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.parse() {
            Ok(alert) => Ok(Self::Alert(alert)),
            Err(_) => text.parse().map(Self::Event),
        }
    }
}

impl Serialize for Origin {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Origin {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// Which events belong together: derived from the values of the group-by fields, which are equal when they differ in
/// case only. Its text form is 32 hex digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupKey([u8; 16]);

impl GroupKey {
    /// The key of these values, each as [`bounded`] leaves it.
    pub(crate) fn of(values: &[String]) -> Self {
        let mut hasher = blake3::Hasher::new();
        for value in values {
            let value = fold(value);
            hasher.update(&(value.len() as u64).to_le_bytes());
            hasher.update(value.as_bytes());
        }
        let mut bytes = [0; 16];
        hasher.finalize_xof().fill(&mut bytes);
        Self(bytes)
    }

    /// The key with these bytes.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Display for GroupKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

impl fmt::Debug for GroupKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Names the state of one window: which correlation, which group of events, which stretch of event time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StateKey {
    /// Position in [`Correlations::all`](crate::correlation::Correlations::all).
    pub correlation: usize,
    /// The group.
    pub group: GroupKey,
    /// Number of the window: event time divided by the timespan, rounded down.
    pub window: i64,
}

/// What one event or alert gives to one correlation.
#[derive(Clone, Debug, PartialEq)]
pub struct Contribution {
    /// Where it goes.
    pub key: StateKey,
    /// Readable values of the group-by fields.
    pub group: Vec<String>,
    /// Who gives.
    pub origin: Origin,
    /// What is given.
    pub entry: Entry,
}

/// What is remembered of one contribution.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// When it happened.
    pub time: Timestamp,
    /// Which of the correlation's rules matched, as bits by their position.
    pub rules: u64,
    /// What the rule of the lowest position says of the correlation's field.
    pub values: Values,
    /// Of two entries of one origin, the one of the higher version counts. Events have version 0.
    pub version: u64,
    /// Whether it does not count (any more): a correlation took its alert back, or dates it differently.
    pub gone: bool,
}

/// The values of the field a correlation is about; more than one when the event has a list there.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Values {
    /// The correlation is about none.
    #[default]
    None,
    /// To be told apart: folded and bounded texts.
    Texts(Vec<String>),
    /// To be calculated with: finite numbers.
    Numbers(Vec<f64>),
}

impl Values {
    pub(crate) fn texts(&self) -> &[String] {
        match self {
            Self::Texts(texts) => texts,
            Self::None | Self::Numbers(_) => &[],
        }
    }

    pub(crate) fn numbers(&self) -> &[f64] {
        match self {
            Self::Numbers(numbers) => numbers,
            Self::None | Self::Texts(_) => &[],
        }
    }

    /// The sum of the numbers.
    pub(crate) fn sum(&self) -> f64 {
        self.numbers().iter().sum()
    }
}

impl Entry {
    /// Makes one of two entries of one origin: the same one, whichever comes first and however often. Says whether
    /// anything changed.
    pub(crate) fn merge(&mut self, other: &Self) -> bool {
        if other.version != self.version {
            let newer = other.version > self.version;
            if newer {
                self.clone_from(other);
            }
            return newer;
        }
        let before = (self.time, self.rules, self.gone);
        let replaces_values = other.rules.trailing_zeros() < self.rules.trailing_zeros();
        if replaces_values {
            self.values.clone_from(&other.values);
        }
        self.time = self.time.min(other.time);
        self.rules |= other.rules;
        self.gone &= other.gone;
        replaces_values || before != (self.time, self.rules, self.gone)
    }
}

/// A value as it is kept: texts of more than 256 characters keep their first 200 and a hash of all.
pub(crate) fn bounded(text: &str) -> String {
    if text.chars().nth(MAX_VALUE_CHARS).is_none() {
        return text.to_owned();
    }
    let hash = blake3::hash(fold(text).as_bytes()).to_hex();
    let start: String = text.chars().take(START_CHARS).collect();
    format!("{start}\u{2026}{}", hash.get(..16).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_do_not_depend_on_case_or_on_having_been_shortened() {
        let key = |text: &str| GroupKey::of(&[bounded(text)]);
        assert_eq!(key("Administrator"), key("ADMINISTRATOR"));
        let long = "Ä".repeat(1000);
        assert_eq!(key(&long), key(&long.to_lowercase()));
        assert_eq!(bounded(&bounded(&long)), bounded(&long));
        assert_ne!(key(&long), key(&"Ä".repeat(999)));
        assert_ne!(
            GroupKey::of(&["a".to_owned(), "b".to_owned()]),
            GroupKey::of(&["ab".to_owned(), String::new()])
        );
    }
}
