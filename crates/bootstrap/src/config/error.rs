//! What is wrong with a configuration, for the operator who wrote it.

use std::path::PathBuf;

/// The configuration cannot be used. Programs end with exit code 64 before any socket opens.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read or is no TOML.
    #[error("{}: {reason}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why; for broken TOML with line and column.
        reason: String,
    },
    /// A value cannot be used.
    #[error("{key}: expected {expected}, got {got}{}", from(origin.as_deref()))]
    Value {
        /// `section.key`.
        key: String,
        /// What is allowed, with units and range.
        expected: String,
        /// What was found.
        got: String,
        /// The file, environment variable or flag it came from, where known.
        origin: Option<String>,
    },
    /// There is no such key.
    #[error("{key}: no such key, expected {expected}{}", from(origin.as_deref()))]
    UnknownKey {
        /// `section.key`.
        key: String,
        /// The keys there are.
        expected: String,
        /// Where it came from.
        origin: Option<String>,
    },
    /// A command line argument cannot be used.
    #[error("{0}")]
    Argument(String),
}

impl ConfigError {
    /// A value out of range, for [`ServiceConfig::validate`](crate::ServiceConfig::validate).
    #[must_use]
    pub fn value(key: impl Into<String>, expected: impl Into<String>, got: impl ToString) -> Self {
        Self::Value {
            key: key.into(),
            expected: expected.into(),
            got: got.to_string(),
            origin: None,
        }
    }

    /// The key that is wrong, where it is one key.
    #[must_use]
    pub fn key(&self) -> Option<&str> {
        match self {
            Self::Value { key, .. } | Self::UnknownKey { key, .. } => Some(key),
            Self::File { .. } | Self::Argument(_) => None,
        }
    }

    /// Adds where the value came from, unless that is known already.
    #[must_use]
    pub(crate) fn with_origin(mut self, found: Option<String>) -> Self {
        if let Self::Value { origin, .. } | Self::UnknownKey { origin, .. } = &mut self
            && origin.is_none()
        {
            *origin = found;
        }
        self
    }
}

fn from(origin: Option<&str>) -> String {
    origin.map_or_else(String::new, |origin| format!(" (from {origin})"))
}
