//! Why a run ends early.

use std::time::Duration;

/// A run could not go on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The publisher, the network or the content is at fault; told to the operator.
    #[error("{message}")]
    Failed {
        /// For the operator; never holds a secret.
        message: String,
        /// Not before this, the publisher says.
        retry_after: Option<Duration>,
    },
    /// The publisher answered with a status that is no success.
    #[error("the server answered {0}")]
    Status(u16),
    /// Somebody else runs the feed, or it was set up differently.
    #[error("the feed is not ours to run any more")]
    Lost,
    /// The database failed.
    #[error("the database failed")]
    Store(#[from] storage::Error),
}

impl Error {
    pub(crate) fn failed(message: impl Into<String>) -> Self {
        Self::Failed {
            message: message.into(),
            retry_after: None,
        }
    }

    /// How long the publisher wants to be left alone.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Failed { retry_after, .. } => *retry_after,
            Self::Status(_) | Self::Lost | Self::Store(_) => None,
        }
    }

    /// For the operator, with the cause of what the database says.
    pub(crate) fn message(&self) -> String {
        match self {
            Self::Store(error) => format!("the database failed: {error}"),
            Self::Failed { .. } | Self::Status(_) | Self::Lost => self.to_string(),
        }
    }
}
