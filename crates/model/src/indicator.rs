//! Threat intelligence indicators, named after STIX 2.1.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::id::Tenant;
use crate::time::Timestamp;

/// What kind of thing an indicator names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum IndicatorType {
    /// One IPv4 or IPv6 address.
    Ip,
    /// A domain name; its subdomains match too.
    Domain,
    /// A file hash.
    Sha256,
}

impl IndicatorType {
    /// All types.
    pub const ALL: [Self; 3] = [Self::Ip, Self::Domain, Self::Sha256];

    /// Lower-case name, as in `POST /ti/iocs`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ip => "ip",
            Self::Domain => "domain",
            Self::Sha256 => "sha256",
        }
    }

    /// Rule id of the alerts it causes.
    #[must_use]
    pub fn rule_id(self) -> &'static str {
        match self {
            Self::Ip => "ti_ip",
            Self::Domain => "ti_domain",
            Self::Sha256 => "ti_sha256",
        }
    }
}

impl fmt::Display for IndicatorType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why something is not an indicator; the message names the field.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidIndicator {
    /// Unknown `type`.
    #[error("type: expected one of ip, domain, sha256, got {0:?}")]
    Type(String),
    /// `value` does not have the form its type asks for.
    #[error("value: expected {expected}, got {got:?}")]
    Value {
        /// The form.
        expected: &'static str,
        /// What was given.
        got: String,
    },
}

impl FromStr for IndicatorType {
    type Err = InvalidIndicator;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.as_str() == text)
            .ok_or_else(|| InvalidIndicator::Type(text.chars().take(80).collect()))
    }
}

/// One indicator. `(tenant, type, value)` is its identity.
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
    /// For people.
    pub note: String,
    /// When it was added.
    pub created_at: Timestamp,
    /// After this it no longer matches.
    pub valid_until: Option<Timestamp>,
}

/// The form in which values are stored and compared: addresses as Rust prints them (IPv4-mapped IPv6 as IPv4), domains
/// lower-case without a trailing dot, hashes lower-case.
///
/// # Errors
/// When `value` does not have the form of its type.
pub fn canonical_value(kind: IndicatorType, value: &str) -> Result<String, InvalidIndicator> {
    let value = value.trim();
    let error = |expected| InvalidIndicator::Value {
        expected,
        got: value.chars().take(80).collect(),
    };
    match kind {
        IndicatorType::Ip => value
            .parse::<IpAddr>()
            .map(|ip| ip.to_canonical().to_string())
            .map_err(|_| error("an IPv4 or IPv6 address")),
        IndicatorType::Domain => {
            let domain = value.trim_end_matches('.').to_ascii_lowercase();
            let label = |label: &str| {
                (1..=63).contains(&label.len())
                    && label
                        .bytes()
                        .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
            };
            if domain.len() <= 253
                && domain.contains('.')
                && domain.split('.').all(label)
                && domain.parse::<IpAddr>().is_err()
            {
                Ok(domain)
            } else {
                Err(error(
                    "a domain name with at least one dot (punycode for non-ASCII names)",
                ))
            }
        }
        IndicatorType::Sha256 => {
            let hash = value.to_ascii_lowercase();
            if hash.len() == 64 && hash.bytes().all(|b| b.is_ascii_hexdigit()) {
                Ok(hash)
            } else {
                Err(error("a SHA-256 of 64 hex digits"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{IndicatorType, canonical_value};

    #[test]
    fn values_are_brought_to_one_form_or_refused_by_name() {
        let ok = |kind, value: &str| canonical_value(kind, value).unwrap();
        assert_eq!(ok(IndicatorType::Ip, " ::ffff:10.0.0.5 "), "10.0.0.5");
        assert_eq!(ok(IndicatorType::Ip, "2001:DB8::1"), "2001:db8::1");
        assert_eq!(ok(IndicatorType::Domain, "Evil.Example."), "evil.example");
        assert_eq!(ok(IndicatorType::Sha256, &"A".repeat(64)), "a".repeat(64));
        for (kind, value) in [
            (IndicatorType::Ip, "10.0.0"),
            (IndicatorType::Domain, "localhost"),
            (IndicatorType::Domain, "10.0.0.5"),
            (IndicatorType::Domain, "a..b"),
            (IndicatorType::Sha256, "abc"),
        ] {
            let error = canonical_value(kind, value).unwrap_err().to_string();
            assert!(error.starts_with("value: expected"), "{error}");
        }
    }
}
