//! Who is calling.

use std::fmt;

use model::{AccessRole, SourceId, Tenant};

/// A person or a program that proved who it is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Caller {
    /// Whose data it may see.
    pub tenant: Tenant,
    /// User or key.
    pub actor: Actor,
    /// What it may do.
    pub role: AccessRole,
}

/// What kind of caller it is. Its text form is the audit log's: `user:NAME` or `key:NAME`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Actor {
    /// A person, by password or token.
    User {
        /// Name in the tenant.
        name: String,
    },
    /// A program, by API key.
    Key {
        /// Id of the key.
        id: String,
        /// Name in the tenant.
        name: String,
    },
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User { name } => write!(f, "user:{name}"),
            Self::Key { name, .. } => write!(f, "key:{name}"),
        }
    }
}

impl Caller {
    /// The source under which its events are numbered.
    #[must_use]
    pub fn source(&self) -> SourceId {
        match &self.actor {
            Actor::User { name } => SourceId::named("rest", &format!("user:{name}")),
            Actor::Key { id, .. } => SourceId::named("rest", &format!("key:{id}")),
        }
    }
}
