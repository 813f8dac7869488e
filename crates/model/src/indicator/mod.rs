//! Threat intelligence indicators, named after STIX 2.1.

mod canonical;
mod error;
mod kind;
mod record;
mod tlp;

pub use canonical::{MAX_DOMAIN, MAX_EMAIL, MAX_URL, canonical_domain, canonical_url, canonical_value, refang};
pub use error::InvalidIndicator;
pub use kind::IndicatorType;
pub use record::{
    DEFAULT_CONFIDENCE, Indicator, MAX_FEED_CHARS, MAX_NOTE_CHARS, MAX_REFERENCE_CHARS, MAX_SOURCE_CHARS,
    MAX_TAG_CHARS, MAX_TAGS,
};
pub use tlp::Tlp;
