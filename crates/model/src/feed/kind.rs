//! Which formats feeds have.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Format of a feed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FeedKind {
    /// abuse.ch Feodo Tracker, CSV.
    Feodo,
    /// abuse.ch `URLhaus`, CSV.
    Urlhaus,
    /// abuse.ch `ThreatFox`, CSV.
    ThreatFox,
    /// abuse.ch `MalwareBazaar`, CSV.
    MalwareBazaar,
    /// One value a line.
    List,
    /// A MISP feed: `manifest.json` and one file an event.
    Misp,
    /// A STIX 2.0 or 2.1 bundle.
    Stix,
    /// A TAXII 2.1 collection of STIX objects.
    Taxii,
}

/// The text names no kind of feed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("kind: expected one of feodo, urlhaus, threatfox, malwarebazaar, list, misp, stix, taxii, got {0:?}")]
pub struct UnknownFeedKind(String);

impl FeedKind {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Feodo,
        Self::Urlhaus,
        Self::ThreatFox,
        Self::MalwareBazaar,
        Self::List,
        Self::Misp,
        Self::Stix,
        Self::Taxii,
    ];

    /// Lower-case name, as in `picket feeds add --kind`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Feodo => "feodo",
            Self::Urlhaus => "urlhaus",
            Self::ThreatFox => "threatfox",
            Self::MalwareBazaar => "malwarebazaar",
            Self::List => "list",
            Self::Misp => "misp",
            Self::Stix => "stix",
            Self::Taxii => "taxii",
        }
    }

    /// Whether one body holds the whole feed, so that what is not in it has left the feed.
    #[must_use]
    pub fn is_one_body(self) -> bool {
        !matches!(self, Self::Misp | Self::Taxii)
    }

    /// Whether every reading of it lists all there is. A TAXII collection tells only what was added.
    #[must_use]
    pub fn is_complete(self) -> bool {
        self != Self::Taxii
    }
}

impl fmt::Display for FeedKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for FeedKind {
    type Err = UnknownFeedKind;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.as_str() == text)
            .ok_or_else(|| UnknownFeedKind(text.chars().take(80).collect()))
    }
}
