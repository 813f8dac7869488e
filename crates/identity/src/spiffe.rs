//! The name in a certificate.

use std::fmt;
use std::str::FromStr;

use model::Tenant;
use model::node::Role;
use serde::{Deserialize, Serialize};

const PREFIX: &str = "spiffe://picket/";

/// Who a certificate speaks for: `spiffe://picket/<tenant>/<role>/<id>`.
///
/// The id is 1 to 63 characters of a-z, 0-9, '-' and '_': a node's name, or an agent's UUID.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SpiffeId {
    /// Whose it is.
    pub tenant: Tenant,
    /// What it is allowed to be.
    pub role: Role,
    /// Name within tenant and role.
    pub id: String,
}

/// The text is no such name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected spiffe://picket/<tenant>/<role>/<id>, got {got:?}: {reason}")]
pub struct ParseSpiffeIdError {
    got: String,
    reason: String,
}

impl SpiffeId {
    /// A name from its parts.
    ///
    /// # Errors
    /// When the id has other characters or another length than allowed.
    pub fn new(tenant: Tenant, role: Role, id: impl Into<String>) -> Result<Self, ParseSpiffeIdError> {
        let id = id.into();
        if is_id(&id) {
            Ok(Self { tenant, role, id })
        } else {
            Err(ParseSpiffeIdError {
                got: shorten(&id),
                reason: "the id must be 1-63 characters a-z, 0-9, '-' or '_'".to_owned(),
            })
        }
    }
}

impl fmt::Display for SpiffeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{}/{}/{}", self.tenant, self.role, self.id)
    }
}

impl FromStr for SpiffeId {
    type Err = ParseSpiffeIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = |reason: &str| ParseSpiffeIdError {
            got: shorten(text),
            reason: reason.to_owned(),
        };
        let path = text
            .strip_prefix(PREFIX)
            .ok_or_else(|| error("other trust domain or scheme"))?;
        let mut parts = path.split('/');
        let (Some(tenant), Some(role), Some(id), None) = (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(error("expected three path segments"));
        };
        let tenant = tenant
            .parse()
            .map_err(|e: model::id::ParseIdError| error(&e.to_string()))?;
        let role = role.parse().map_err(|e: String| error(&e))?;
        Self::new(tenant, role, id).map_err(|e| error(&e.reason))
    }
}

impl TryFrom<String> for SpiffeId {
    type Error = ParseSpiffeIdError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<SpiffeId> for String {
    fn from(id: SpiffeId) -> Self {
        id.to_string()
    }
}

fn is_id(text: &str) -> bool {
    (1..=63).contains(&text.len())
        && text
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_')
}

fn shorten(text: &str) -> String {
    text.chars().take(200).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn text_form_round_trips(tenant in "[a-z0-9_-]{1,63}", role in 0..Role::ALL.len(), id in "[a-z0-9_-]{1,63}") {
            let name = SpiffeId::new(tenant.parse().unwrap(), Role::ALL[role], id).unwrap();
            prop_assert_eq!(name.to_string().parse::<SpiffeId>(), Ok(name));
        }

        #[test]
        fn any_text_is_refused_or_is_its_own_text_form(text in ".{0,100}") {
            if let Ok(name) = text.parse::<SpiffeId>() {
                prop_assert_eq!(name.to_string(), text);
            }
        }
    }

    #[test]
    fn what_is_no_name_is_refused_with_the_reason() {
        for (text, reason) in [
            ("", "other trust domain"),
            ("spiffe://other/default/agent/a", "other trust domain"),
            ("SPIFFE://picket/default/agent/a", "other trust domain"),
            ("spiffe://picket/default/agent", "three path segments"),
            ("spiffe://picket/default/agent/a/b", "three path segments"),
            ("spiffe://picket//agent/a", "tenant"),
            ("spiffe://picket/default/root/a", "expected one of collector"),
            ("spiffe://picket/default/agent/", "1-63 characters"),
            ("spiffe://picket/default/agent/a?b", "1-63 characters"),
            ("spiffe://picket/default/agent/..", "1-63 characters"),
        ] {
            let error = text.parse::<SpiffeId>().unwrap_err().to_string();
            assert!(error.contains(reason), "{text}: {error}");
        }
    }
}
