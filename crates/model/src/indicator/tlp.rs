//! The Traffic Light Protocol.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::error::{InvalidIndicator, shown};

/// How far something may be passed on: TLP 2.0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Tlp {
    /// To anyone.
    #[serde(rename = "clear")]
    Clear,
    /// Within the community.
    #[serde(rename = "green")]
    Green,
    /// Within the organization and to its clients.
    #[serde(rename = "amber")]
    Amber,
    /// Within the organization.
    #[serde(rename = "amber+strict")]
    AmberStrict,
    /// To nobody.
    #[serde(rename = "red")]
    Red,
}

impl Tlp {
    /// All labels, the most open one first.
    pub const ALL: [Self; 5] = [Self::Clear, Self::Green, Self::Amber, Self::AmberStrict, Self::Red];

    /// Lower-case name without `TLP:`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Clear => "clear",
            Self::Green => "green",
            Self::Amber => "amber",
            Self::AmberStrict => "amber+strict",
            Self::Red => "red",
        }
    }
}

impl fmt::Display for Tlp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Tlp {
    type Err = InvalidIndicator;

    /// Reads a label in any case, with or without `TLP:`. `white` is what TLP 1.0 called `clear`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let lower = text.trim().to_ascii_lowercase();
        let name = lower.strip_prefix("tlp:").unwrap_or(&lower);
        if name == "white" {
            return Ok(Self::Clear);
        }
        Self::ALL.into_iter().find(|tlp| tlp.as_str() == name).ok_or_else(|| {
            InvalidIndicator::field(
                "tlp",
                format!("one of clear, green, amber, amber+strict, red, got {:?}", shown(text)),
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Tlp;

    #[test]
    fn labels_are_read_as_people_write_them() {
        for tlp in Tlp::ALL {
            assert_eq!(tlp.as_str().parse(), Ok(tlp));
            assert_eq!(format!("TLP:{}", tlp.as_str().to_uppercase()).parse(), Ok(tlp));
            assert_eq!(serde_json::to_value(tlp).unwrap(), tlp.as_str());
        }
        assert_eq!("white".parse(), Ok(Tlp::Clear));
        let error = "purple".parse::<Tlp>().unwrap_err().to_string();
        assert!(error.starts_with("tlp: expected one of"), "{error}");
    }
}
