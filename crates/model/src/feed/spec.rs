//! What an operator sets up.

use serde::{Deserialize, Serialize};

use super::kind::FeedKind;
use crate::indicator::{IndicatorType, MAX_TAG_CHARS, MAX_TAGS, Tlp};

/// Shortest time between two runs, in seconds.
pub const MIN_INTERVAL_SECS: u64 = 60;
/// Longest time between two runs, in seconds.
pub const MAX_INTERVAL_SECS: u64 = 30 * 86_400;
/// Longest name in characters.
pub const MAX_NAME_CHARS: usize = 64;
/// Most entries of the allow list.
pub const MAX_ALLOW: usize = 1000;
/// Where in a URL the secret goes.
pub const SECRET_PLACE: &str = "{secret}";
/// How variables of the environment that hold secrets of feeds begin. Others are not read: who may set up a feed need
/// not be one who may see everything a detector is given.
pub const SECRET_ENV_PREFIX: &str = "PICKET_FEED_";
/// Longest URL and path in bytes.
const MAX_LOCATION: usize = 2048;
/// Longest of the short texts, in characters.
const MAX_TEXT: usize = 256;
/// Longest time an entry may live, in days.
const MAX_TTL_DAYS: u32 = 3650;

/// A feed as an operator sets it up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FeedSpec {
    /// Unique in the tenant; the `feed` of its indicators.
    pub name: String,
    /// Its format.
    pub kind: FeedKind,
    /// Where it is fetched from. Either this or `path`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// A file in the detectors' directory for feeds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Seconds between two runs, 60 to 2592000.
    #[serde(default = "default_interval")]
    pub interval_secs: u64,
    /// How it is authenticated to its publisher.
    #[serde(default)]
    pub auth: Auth,
    /// Everything else.
    #[serde(default)]
    pub options: FeedOptions,
    /// Whether it runs.
    #[serde(default = "default_true")]
    pub enabled: bool,
}

/// How a feed is authenticated to its publisher. Secrets are never stored: only where each detector finds them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase", deny_unknown_fields)]
pub enum Auth {
    /// Not at all.
    #[default]
    None,
    /// HTTP Basic.
    Basic {
        /// User name.
        username: String,
        /// Password.
        #[serde(flatten)]
        secret: SecretRef,
    },
    /// `Authorization: Bearer`.
    Bearer {
        /// Token.
        #[serde(flatten)]
        secret: SecretRef,
    },
    /// A header, such as MISP's `Authorization` or abuse.ch's `Auth-Key`.
    Header {
        /// Its name.
        name: String,
        /// Its value.
        #[serde(flatten)]
        secret: SecretRef,
    },
    /// A key that is part of the URL, in place of `{secret}`.
    Url {
        /// The key.
        #[serde(flatten)]
        secret: SecretRef,
    },
}

/// Where a detector finds a secret.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecretRef {
    /// A file in the detectors' directory for secrets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_file: Option<String>,
    /// A variable of the detectors' environment; its name begins with `PICKET_FEED_`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_env: Option<String>,
}

/// How a feed is read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FeedOptions {
    /// What the values of a plain list are; each line is asked for its own when absent.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<IndicatorType>,
    /// Confidence of entries that state none, 0 to 100.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub confidence: Option<u8>,
    /// Entries below this are left out, 0 to 100.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_confidence: Option<u8>,
    /// TLP label of entries that state none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tlp: Option<Tlp>,
    /// Days after which an entry ends that was not seen again and states no end, 1 to 3650.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ttl_days: Option<u32>,
    /// Added to every entry.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// Values that the false-positive guard would refuse and this feed may bring all the same.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub allow: Vec<String>,
    /// Look for new indicators in stored events too.
    pub hunt: bool,
    /// What left the feed stops matching.
    pub delete_missing: bool,
    /// TAXII: id, alias or title of the collection.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub collection: Option<String>,
    /// A file with the publisher's certificate authority, in the detectors' directory for secrets; the system's
    /// authorities when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<String>,
    /// Most bytes of a run, unpacked, in mebibytes; at most what the detectors are configured for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_mib: Option<u32>,
}

/// What is wrong with a feed; names the field.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: expected {expected}")]
pub struct InvalidFeed {
    /// The field.
    pub field: &'static str,
    /// What it must be.
    pub expected: String,
}

fn default_interval() -> u64 {
    3600
}

fn default_true() -> bool {
    true
}

impl Auth {
    /// Where the secret is, if there is one.
    #[must_use]
    pub fn secret(&self) -> Option<&SecretRef> {
        match self {
            Self::None => None,
            Self::Basic { secret, .. }
            | Self::Bearer { secret }
            | Self::Header { secret, .. }
            | Self::Url { secret } => Some(secret),
        }
    }
}

impl FeedSpec {
    /// Checks every field.
    ///
    /// # Errors
    /// Names the first field that is wrong.
    pub fn check(&self) -> Result<(), InvalidFeed> {
        let is_name_char = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        let fits = (1..=MAX_NAME_CHARS).contains(&self.name.len());
        if !fits || !self.name.chars().all(is_name_char) || self.name.starts_with('.') {
            return wrong("name", format!("1 to {MAX_NAME_CHARS} letters, digits, - _ ."));
        }
        self.check_location()?;
        if !(MIN_INTERVAL_SECS..=MAX_INTERVAL_SECS).contains(&self.interval_secs) {
            return wrong(
                "interval_secs",
                format!("a number from {MIN_INTERVAL_SECS} to {MAX_INTERVAL_SECS}"),
            );
        }
        self.check_auth()?;
        self.check_options()
    }

    fn check_location(&self) -> Result<(), InvalidFeed> {
        match (&self.url, &self.path) {
            (Some(url), None) => {
                let scheme = url.split_once("://").map(|(scheme, _)| scheme.to_ascii_lowercase());
                if !matches!(scheme.as_deref(), Some("http" | "https")) || url.len() > MAX_LOCATION {
                    return wrong("url", format!("http:// or https:// and at most {MAX_LOCATION} bytes"));
                }
                let parsed = url::Url::parse(&url.replace(SECRET_PLACE, "x"));
                let Ok(parsed) = parsed else {
                    return wrong("url", "a URL");
                };
                if !parsed.username().is_empty() || parsed.password().is_some() {
                    return wrong("url", "no user and password: give them as auth");
                }
            }
            (None, Some(path)) => {
                if self.kind == FeedKind::Taxii {
                    return wrong("path", "none for TAXII, which is a service");
                }
                check_relative("path", path)?;
            }
            (Some(_), Some(_)) | (None, None) => return wrong("url", "either a url or a path"),
        }
        Ok(())
    }

    fn check_auth(&self) -> Result<(), InvalidFeed> {
        let has_place = self.url.as_deref().is_some_and(|url| url.contains(SECRET_PLACE));
        let is_in_url = matches!(self.auth, Auth::Url { .. });
        if has_place != is_in_url {
            return wrong("auth", format!("the type url exactly when the URL has {SECRET_PLACE}"));
        }
        if self.path.is_some() && self.auth != Auth::None {
            return wrong("auth", "none for a file");
        }
        match &self.auth {
            Auth::Basic { username, .. } if !is_text(username) || username.contains(':') => {
                return wrong("auth.username", format!("1 to {MAX_TEXT} characters without a colon"));
            }
            Auth::Header { name, .. } if !is_header_name(name) => {
                return wrong("auth.name", "the name of an HTTP header");
            }
            Auth::None | Auth::Basic { .. } | Auth::Bearer { .. } | Auth::Header { .. } | Auth::Url { .. } => {}
        }
        match self
            .auth
            .secret()
            .map(|secret| (&secret.secret_file, &secret.secret_env))
        {
            None => Ok(()),
            Some((Some(file), None)) => check_relative("auth.secret_file", file),
            Some((None, Some(name))) => {
                let is_char = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_';
                if name.starts_with(SECRET_ENV_PREFIX) && name.len() <= MAX_TEXT && name.bytes().all(is_char) {
                    Ok(())
                } else {
                    wrong(
                        "auth.secret_env",
                        format!("a name in capitals that begins with {SECRET_ENV_PREFIX}"),
                    )
                }
            }
            Some(_) => wrong("auth.secret_file", "either secret_file or secret_env"),
        }
    }

    fn check_options(&self) -> Result<(), InvalidFeed> {
        let options = &self.options;
        for (field, value) in [
            ("options.confidence", options.confidence),
            ("options.min_confidence", options.min_confidence),
        ] {
            if value.is_some_and(|value| value > 100) {
                return wrong(field, "a number from 0 to 100");
            }
        }
        if options.ttl_days.is_some_and(|days| !(1..=MAX_TTL_DAYS).contains(&days)) {
            return wrong("options.ttl_days", format!("a number from 1 to {MAX_TTL_DAYS}"));
        }
        let is_tag = |tag: &String| !tag.is_empty() && tag.chars().count() <= MAX_TAG_CHARS;
        if options.tags.len() > MAX_TAGS || !options.tags.iter().all(is_tag) {
            return wrong(
                "options.tags",
                format!("at most {MAX_TAGS} of 1 to {MAX_TAG_CHARS} characters"),
            );
        }
        if options.allow.len() > MAX_ALLOW || !options.allow.iter().all(|value| is_text(value)) {
            return wrong("options.allow", format!("at most {MAX_ALLOW} values"));
        }
        if options.kind.is_some() && self.kind != FeedKind::List {
            return wrong("options.type", "none: only plain lists leave it open");
        }
        if options.delete_missing && !self.kind.is_complete() {
            return wrong(
                "options.delete_missing",
                "false: a TAXII collection tells what was added and what was revoked, not what is missing",
            );
        }
        match (&options.collection, self.kind) {
            (None, FeedKind::Taxii) => return wrong("options.collection", "the id, alias or title of a collection"),
            (Some(collection), FeedKind::Taxii) if is_text(collection) => {}
            (Some(_), _) => return wrong("options.collection", "none, or for TAXII the id, alias or title of one"),
            (None, _) => {}
        }
        if options.max_mib == Some(0) {
            return wrong("options.max_mib", "a number from 1");
        }
        options
            .ca_file
            .as_deref()
            .map_or(Ok(()), |file| check_relative("options.ca_file", file))
    }
}

/// A path that stays below the directory it is taken from.
fn check_relative(field: &'static str, path: &str) -> Result<(), InvalidFeed> {
    let is_safe = !path.is_empty()
        && path.len() <= MAX_LOCATION
        && !path.starts_with('/')
        && !path.contains('\0')
        && path.split('/').all(|part| !part.is_empty() && part != "..");
    if is_safe {
        Ok(())
    } else {
        wrong(
            field,
            "a path below the configured directory, without a leading / and without ..",
        )
    }
}

fn is_text(text: &str) -> bool {
    !text.is_empty() && text.chars().count() <= MAX_TEXT && !text.chars().any(char::is_control)
}

fn is_header_name(name: &str) -> bool {
    let is_char = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    !name.is_empty() && name.len() <= 64 && name.bytes().all(is_char)
}

fn wrong<T>(field: &'static str, expected: impl Into<String>) -> Result<T, InvalidFeed> {
    Err(InvalidFeed {
        field,
        expected: expected.into(),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn checked(change: serde_json::Value) -> Result<(), String> {
        let mut feed = json!({"name": "x", "kind": "list", "url": "https://feeds.example/list.txt"});
        for (key, value) in change.as_object().unwrap() {
            feed[key] = value.clone();
        }
        let spec: FeedSpec = serde_json::from_value(feed).map_err(|error| error.to_string())?;
        spec.check().map_err(|error| error.to_string())
    }

    #[test]
    fn usual_feeds_are_right() {
        for change in [
            json!({}),
            json!({"auth": {"type": "basic", "username": "u", "secret_file": "misp.key"}}),
            json!({"auth": {"type": "bearer", "secret_env": "PICKET_FEED_KEY"}}),
            json!({"auth": {"type": "header", "name": "Auth-Key", "secret_env": "PICKET_FEED_KEY"}}),
            json!({"url": "https://x.example/{secret}/a", "auth": {"type": "url", "secret_env": "PICKET_FEED_KEY"}}),
            json!({"kind": "taxii", "options": {"collection": "c"}}),
            json!({"url": null, "path": "lists/a.txt", "options": {"type": "ip", "ttl_days": 30, "tags": ["a"]}}),
        ] {
            assert_eq!(checked(change.clone()), Ok(()), "{change}");
        }
    }

    #[test]
    fn each_wrong_field_is_named() {
        for (change, field) in [
            (json!({"name": ""}), "name"),
            (json!({"name": "a/b"}), "name"),
            (json!({"url": "file:///etc/passwd"}), "url"),
            (json!({"url": "https://u:p@x.example/"}), "url"),
            (json!({"path": "a"}), "url"),
            (json!({"url": null}), "url"),
            (json!({"url": null, "path": "../a"}), "path"),
            (json!({"url": null, "path": "/etc/passwd"}), "path"),
            (json!({"interval_secs": 59}), "interval_secs"),
            (
                json!({"auth": {"type": "basic", "username": "a:b", "secret_env": "PICKET_FEED_K"}}),
                "auth.username",
            ),
            (
                json!({"auth": {"type": "header", "name": "a b", "secret_env": "PICKET_FEED_K"}}),
                "auth.name",
            ),
            (
                json!({"auth": {"type": "bearer", "secret_env": "AWS_SECRET_ACCESS_KEY"}}),
                "auth.secret_env",
            ),
            (
                json!({"auth": {"type": "bearer", "secret_file": "/etc/shadow"}}),
                "auth.secret_file",
            ),
            (json!({"auth": {"type": "bearer"}}), "auth.secret_file"),
            (json!({"auth": {"type": "url", "secret_env": "PICKET_FEED_K"}}), "auth"),
            (json!({"url": "https://x.example/{secret}"}), "auth"),
            (json!({"options": {"confidence": 101}}), "options.confidence"),
            (json!({"options": {"ttl_days": 0}}), "options.ttl_days"),
            (json!({"options": {"collection": "c"}}), "options.collection"),
            (json!({"kind": "taxii"}), "options.collection"),
            (
                json!({"kind": "taxii", "options": {"collection": "c", "delete_missing": true}}),
                "options.delete_missing",
            ),
            (json!({"kind": "stix", "options": {"type": "ip"}}), "options.type"),
        ] {
            let error = checked(change.clone()).unwrap_err();
            assert!(error.starts_with(&format!("{field}: expected")), "{change}: {error}");
        }
        assert!(checked(json!({"secret": "x"})).unwrap_err().contains("unknown field"));
        assert!(checked(json!({"kind": "rss"})).is_err());
    }
}
