//! What can go wrong with the database, as callers need to tell it apart.

#![allow(
    clippy::wildcard_enum_match_arm,
    reason = "the driver's enums grow; what is not known here is neither a duplicate nor worth another try"
)]

use mongodb::error::{ErrorKind, WriteFailure};

/// A database operation failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The database cannot be reached or is changing its primary; the same call may work in a moment.
    #[error("the database is unavailable")]
    Unavailable(#[source] mongodb::error::Error),
    /// A unique index refused the write.
    #[error("the record exists already")]
    Duplicate(#[source] mongodb::error::Error),
    /// A stored or given record does not have the form it must have.
    #[error("{field}: expected {expected}")]
    Invalid {
        /// The field.
        field: String,
        /// What was expected.
        expected: String,
    },
    /// Anything else; trying again will not help.
    #[error("the database refused the operation")]
    Other(#[source] mongodb::error::Error),
}

/// Server error codes after which the same operation may succeed on another try.
///
/// Source: <https://github.com/mongodb/specifications/blob/master/source/retryable-writes/retryable-writes.md>, and 205
/// (`ClusterTimeFailsRateLimiter`), which a step of the wall clock causes.
const RETRYABLE_CODES: [i32; 17] = [
    6, 7, 24, 43, 64, 89, 91, 112, 189, 205, 246, 262, 9001, 10107, 11600, 11602, 13435,
];

impl Error {
    /// Whether the same call may succeed later without anything being changed.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Unavailable(_))
    }

    /// A record that does not have the form it must have.
    #[must_use]
    pub fn invalid(field: impl Into<String>, expected: impl Into<String>) -> Self {
        Self::Invalid {
            field: field.into(),
            expected: expected.into(),
        }
    }
}

impl From<mongodb::error::Error> for Error {
    fn from(error: mongodb::error::Error) -> Self {
        if is_duplicate(&error) {
            Self::Duplicate(error)
        } else if is_unavailable(&error) {
            Self::Unavailable(error)
        } else {
            Self::Other(error)
        }
    }
}

impl From<bson::error::Error> for Error {
    fn from(error: bson::error::Error) -> Self {
        Self::Invalid {
            field: "document".to_owned(),
            expected: format!("a readable BSON document ({error})"),
        }
    }
}

const DUPLICATE_KEY: i32 = 11000;

/// Whether a server's error code says that a unique index refused the write.
pub(crate) fn is_duplicate_code(code: i32) -> bool {
    code == DUPLICATE_KEY
}

/// Whether the same operation may succeed on another try after this error code.
pub(crate) fn is_retryable_code(code: i32) -> bool {
    RETRYABLE_CODES.contains(&code)
}

fn is_duplicate(error: &mongodb::error::Error) -> bool {
    match error.kind.as_ref() {
        ErrorKind::Write(WriteFailure::WriteError(error)) => error.code == DUPLICATE_KEY,
        ErrorKind::Command(error) => error.code == DUPLICATE_KEY,
        ErrorKind::InsertMany(error) => error
            .write_errors
            .as_ref()
            .is_some_and(|errors| !errors.is_empty() && errors.iter().all(|error| error.code == DUPLICATE_KEY)),
        _ => false,
    }
}

fn is_unavailable(error: &mongodb::error::Error) -> bool {
    if error.contains_label("RetryableWriteError") || error.contains_label("TransientTransactionError") {
        return true;
    }
    match error.kind.as_ref() {
        ErrorKind::Io(_)
        | ErrorKind::ServerSelection { .. }
        | ErrorKind::ConnectionPoolCleared { .. }
        | ErrorKind::DnsResolve { .. } => true,
        ErrorKind::Command(error) => RETRYABLE_CODES.contains(&error.code),
        ErrorKind::Write(WriteFailure::WriteConcernError(error)) => RETRYABLE_CODES.contains(&error.code),
        ErrorKind::InsertMany(error) => error
            .write_concern_error
            .as_ref()
            .is_some_and(|error| RETRYABLE_CODES.contains(&error.code)),
        _ => false,
    }
}
