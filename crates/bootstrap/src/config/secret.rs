//! Values that logs and `--print-config` must not show.

use std::fmt;

use serde::{Deserialize, Serialize, Serializer};

const MASK: &str = "********";

/// A secret text. Debug and Serialize mask it.
#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// The text itself.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether it is unset.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn masked(&self) -> &'static str {
        if self.0.is_empty() { "" } else { MASK }
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.masked())
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.masked())
    }
}

/// A URI that may hold a password. Debug, Display and Serialize mask the password.
#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct SecretUri(String);

impl SecretUri {
    /// The URI itself.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    fn masked(&self) -> String {
        let Some(start) = self.0.find("://").map(|at| at + 3) else {
            // No URI at all: whatever it is, it may be the password.
            return if self.0.is_empty() {
                String::new()
            } else {
                MASK.to_owned()
            };
        };
        let (scheme, rest) = self.0.split_at(start);
        // A password may hold an '@', '/' or '?' that should have been escaped, so it ends at the very last '@'; an
        // option with one in it makes more than the password masked, which is no harm.
        let (user, host) = rest.rfind('@').map_or(("", rest), |at| rest.split_at(at));
        let user = match user.split_once(':') {
            Some((name, _)) => format!("{name}:{MASK}"),
            None => user.to_owned(),
        };
        format!("{scheme}{user}{}", mask_options(host))
    }
}

impl From<String> for SecretUri {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl From<&str> for SecretUri {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl fmt::Debug for SecretUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.masked())
    }
}

impl fmt::Display for SecretUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.masked())
    }
}

impl Serialize for SecretUri {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.masked())
    }
}

/// Masks the values of options such as `tlsCertificateKeyFilePassword`.
fn mask_options(host: &str) -> String {
    let Some((host, options)) = host.split_once('?') else {
        return host.to_owned();
    };
    let options: Vec<String> = options
        .split('&')
        .map(|option| match option.split_once('=') {
            Some((key, _)) if key.to_ascii_lowercase().contains("password") => format!("{key}={MASK}"),
            _ => option.to_owned(),
        })
        .collect();
    format!("{host}?{}", options.join("&"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_password_is_never_shown(user in "[a-z]{1,8}", password in "[A-Z/@?:]{0,3}[A-Z0-9]{8,20}", host in "[a-z]{1,9}") {
            let uri = SecretUri::from(format!("mongodb://{user}:{password}@{host}:27017/?replicaSet=rs"));
            let shown = format!("{uri} {uri:?}");
            prop_assert!(!shown.contains(&password), "{}", shown);
        }

        #[test]
        fn any_text_is_masked_without_a_panic(text in ".{0,60}") {
            let _ = SecretUri::from(text).to_string();
        }
    }

    #[test]
    fn only_the_password_is_masked() {
        for (uri, shown) in [
            ("mongodb://u:p@h:1/?a=b", "mongodb://u:********@h:1/?a=b"),
            ("mongodb://u:p@h:1,g:2/db", "mongodb://u:********@h:1,g:2/db"),
            ("mongodb://u:p@q@h/?a=b", "mongodb://u:********@h/?a=b"),
            (
                "mongodb://h/?tlsCertificateKeyFilePassword=p&a=b",
                "mongodb://h/?tlsCertificateKeyFilePassword=********&a=b",
            ),
            ("mongodb://h:1/?a=b", "mongodb://h:1/?a=b"),
            ("mongodb://u@h", "mongodb://u@h"),
            ("hunter2", "********"),
            ("", ""),
        ] {
            assert_eq!(SecretUri::from(uri).to_string(), shown);
        }
    }
}
