//! How bad something is: Sigma's five levels and Heimdall's 1-5.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Sigma's `level`; the order is the order of gravity.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Worth knowing, not worth acting on.
    Informational,
    /// Notable, rarely an incident.
    Low,
    /// Should be reviewed.
    #[default]
    Medium,
    /// Should be reviewed promptly.
    High,
    /// Should be acted on at once.
    Critical,
}

/// The text was not one of Sigma's levels.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected one of informational, low, medium, high, critical, got {0:?}")]
pub struct ParseLevelError(String);

impl Level {
    /// All levels, lowest first.
    pub const ALL: [Self; 5] = [Self::Informational, Self::Low, Self::Medium, Self::High, Self::Critical];

    /// Sigma's word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Informational => "informational",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }

    /// The number between 1 and 5 that dashboards sort by.
    #[must_use]
    pub fn severity(self) -> Severity {
        Severity(match self {
            Self::Informational => 1,
            Self::Low => 2,
            Self::Medium => 3,
            Self::High => 4,
            Self::Critical => 5,
        })
    }

    /// The alert field `_risk_score`, in the four words of the Wazuh integration: informational counts as low.
    #[must_use]
    pub fn risk_score(self) -> &'static str {
        match self {
            Self::Informational | Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Level {
    type Err = ParseLevelError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|level| level.as_str().eq_ignore_ascii_case(text))
            .ok_or_else(|| ParseLevelError(text.to_owned()))
    }
}

/// 1 (informational) to 5 (critical).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Severity(u8);

impl Severity {
    /// `None` outside 1..=5.
    #[must_use]
    pub fn new(number: i64) -> Option<Self> {
        u8::try_from(number).ok().filter(|n| (1..=5).contains(n)).map(Self)
    }

    /// The number, 1..=5.
    #[must_use]
    pub fn number(self) -> u8 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::{Level, Severity};

    #[test]
    fn levels_parse_in_any_case_and_order_by_gravity() {
        assert_eq!("HIGH".parse(), Ok(Level::High));
        assert!(Level::Low < Level::Critical);
        assert_eq!(Level::Critical.severity().number(), 5);
        assert!("severe".parse::<Level>().is_err());
        assert_eq!(Severity::new(6), None);
    }
}
