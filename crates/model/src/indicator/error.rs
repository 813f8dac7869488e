//! What is wrong with an indicator.

/// Why something is not an indicator; the message names the field.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidIndicator {
    /// Unknown `type`.
    #[error("type: expected one of ip, domain, url, md5, sha1, sha256, email, got {0:?}")]
    Type(String),
    /// `value` does not have the form its type asks for.
    #[error("value: expected {expected}, got {got:?}")]
    Value {
        /// The form.
        expected: &'static str,
        /// What was given.
        got: String,
    },
    /// Another field is wrong.
    #[error("{field}: expected {expected}")]
    Field {
        /// Its name.
        field: &'static str,
        /// What it must be.
        expected: String,
    },
}

impl InvalidIndicator {
    pub(super) fn value(expected: &'static str, got: &str) -> Self {
        Self::Value {
            expected,
            got: shown(got),
        }
    }

    pub(super) fn field(field: &'static str, expected: impl Into<String>) -> Self {
        Self::Field {
            field,
            expected: expected.into(),
        }
    }
}

/// As much of a wrong text as an error shows.
pub(super) fn shown(text: &str) -> String {
    text.chars().take(80).collect()
}
