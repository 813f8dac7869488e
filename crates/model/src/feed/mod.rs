//! Threat intelligence feeds: what an operator sets up, and how it goes.

mod kind;
mod spec;
mod status;

pub use kind::{FeedKind, UnknownFeedKind};
pub use spec::{
    Auth, FeedOptions, FeedSpec, InvalidFeed, MAX_ALLOW, MAX_INTERVAL_SECS, MAX_NAME_CHARS, MIN_INTERVAL_SECS,
    SECRET_ENV_PREFIX, SECRET_PLACE, SecretRef,
};
pub use status::{FeedCounts, FeedState, FeedStatus, MAX_REASONS};
