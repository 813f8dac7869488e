//! What people and programs may do.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The role of a user or an API key. The order is the order of rights: each role may do what the ones below it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AccessRole {
    /// Reads events, alerts and status.
    Viewer,
    /// Also sends events in and maintains indicators.
    Analyst,
    /// Also orders responses.
    Responder,
    /// Also manages users, keys and endpoints, and reads the audit log.
    Admin,
}

/// The text was not a role.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected one of viewer, analyst, responder, admin, got {0:?}")]
pub struct ParseAccessRoleError(String);

impl AccessRole {
    /// All roles, least rights first.
    pub const ALL: [Self; 4] = [Self::Viewer, Self::Analyst, Self::Responder, Self::Admin];

    /// Lower-case name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Analyst => "analyst",
            Self::Responder => "responder",
            Self::Admin => "admin",
        }
    }
}

impl fmt::Display for AccessRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for AccessRole {
    type Err = ParseAccessRoleError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|role| role.as_str() == text)
            .ok_or_else(|| ParseAccessRoleError(text.chars().take(80).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::AccessRole;

    #[test]
    fn roles_order_by_rights_and_round_trip() {
        assert!(AccessRole::ALL.is_sorted());
        for role in AccessRole::ALL {
            assert_eq!(role.as_str().parse(), Ok(role));
        }
        assert!("root".parse::<AccessRole>().is_err());
    }
}
