//! MISP feeds: a manifest, and one file an event.

mod attribute;
mod event;
mod manifest;

pub use event::{MAX_ATTRIBUTES, MAX_EVENT_BYTES, event};
pub use manifest::{Listed, MAX_MANIFEST_BYTES, manifest};

/// A file of a MISP feed is not what it should be.
#[derive(Debug, thiserror::Error)]
#[error("{what}: expected {expected}")]
pub struct InvalidFile {
    what: &'static str,
    expected: &'static str,
    #[source]
    source: Option<serde_json::Error>,
}
