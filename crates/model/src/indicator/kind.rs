//! What an indicator can name.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::canonical::{canonical_value, is_hash};
use super::error::{InvalidIndicator, shown};

/// What kind of thing an indicator names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum IndicatorType {
    /// One IPv4 or IPv6 address, or a network of them in CIDR form.
    Ip,
    /// A domain name; its subdomains match too.
    Domain,
    /// A URL; matches as a whole.
    Url,
    /// A file hash of 128 bits.
    Md5,
    /// A file hash of 160 bits.
    Sha1,
    /// A file hash of 256 bits.
    Sha256,
    /// An address of electronic mail.
    Email,
}

impl IndicatorType {
    /// All types.
    pub const ALL: [Self; 7] = [
        Self::Ip,
        Self::Domain,
        Self::Url,
        Self::Md5,
        Self::Sha1,
        Self::Sha256,
        Self::Email,
    ];

    /// Lower-case name, as in `POST /ti/iocs`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ip => "ip",
            Self::Domain => "domain",
            Self::Url => "url",
            Self::Md5 => "md5",
            Self::Sha1 => "sha1",
            Self::Sha256 => "sha256",
            Self::Email => "email",
        }
    }

    /// Rule id of the alerts it causes.
    #[must_use]
    pub fn rule_id(self) -> &'static str {
        match self {
            Self::Ip => "ti_ip",
            Self::Domain => "ti_domain",
            Self::Url => "ti_url",
            Self::Md5 => "ti_md5",
            Self::Sha1 => "ti_sha1",
            Self::Sha256 => "ti_sha256",
            Self::Email => "ti_email",
        }
    }

    /// The type whose form `value` has; `None` when it has none. A bare hash is told by its length.
    #[must_use]
    pub fn guess(value: &str) -> Option<Self> {
        let value = value.trim();
        let by_length = [(32, Self::Md5), (40, Self::Sha1), (64, Self::Sha256)];
        if let Some((_, kind)) = by_length.into_iter().find(|(length, _)| is_hash(value, *length)) {
            return Some(kind);
        }
        [Self::Ip, Self::Url, Self::Email, Self::Domain]
            .into_iter()
            .find(|kind| canonical_value(*kind, value).is_ok())
    }

    /// Reads `TYPE:VALUE`, or a value alone whose type is told by its form. The value comes back in canonical form.
    ///
    /// # Errors
    /// When the value does not have the form of its type, or of any.
    pub fn parse_typed(text: &str) -> Result<(Self, String), InvalidIndicator> {
        let text = text.trim();
        if let Some((name, value)) = text.split_once(':')
            && let Ok(kind) = name.trim().to_ascii_lowercase().parse::<Self>()
        {
            return canonical_value(kind, value).map(|value| (kind, value));
        }
        let kind = Self::guess(text)
            .ok_or_else(|| InvalidIndicator::value("an address, network, domain, URL, hash or e-mail address", text))?;
        canonical_value(kind, text).map(|value| (kind, value))
    }
}

impl fmt::Display for IndicatorType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for IndicatorType {
    type Err = InvalidIndicator;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.as_str() == text)
            .ok_or_else(|| InvalidIndicator::Type(shown(text)))
    }
}

#[cfg(test)]
mod tests {
    use super::IndicatorType;

    #[test]
    fn a_value_alone_tells_its_type() {
        for (text, kind) in [
            ("10.0.0.5", Some(IndicatorType::Ip)),
            ("10.0.0.0/8", Some(IndicatorType::Ip)),
            ("2001:db8::1", Some(IndicatorType::Ip)),
            ("evil.example", Some(IndicatorType::Domain)),
            ("hxxp://evil[.]example/a", Some(IndicatorType::Url)),
            ("a@evil.example", Some(IndicatorType::Email)),
            (&"a".repeat(32), Some(IndicatorType::Md5)),
            (&"a".repeat(40), Some(IndicatorType::Sha1)),
            (&"a".repeat(64), Some(IndicatorType::Sha256)),
            ("localhost", None),
            ("", None),
        ] {
            assert_eq!(IndicatorType::guess(text), kind, "{text}");
        }
        let typed = |text: &str| IndicatorType::parse_typed(text).map_err(|error| error.to_string());
        assert_eq!(
            typed("domain:Evil.Example"),
            Ok((IndicatorType::Domain, "evil.example".to_owned()))
        );
        assert_eq!(
            typed("http://evil.example"),
            Ok((IndicatorType::Url, "http://evil.example/".to_owned()))
        );
        assert_eq!(typed("fe80::1"), Ok((IndicatorType::Ip, "fe80::1".to_owned())));
        assert!(typed("ip:x").unwrap_err().starts_with("value: expected an IPv4"));
        assert!(typed("nothing").unwrap_err().starts_with("value: expected an address"));
    }
}
