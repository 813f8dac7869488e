//! Places in the order of events: newest first, then by id.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use model::{Epoch, EventId, SourceId, Timestamp};
use proto::ServiceError;

use super::filter::Key;
use crate::problem::invalid;

/// A place between events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor {
    pub(super) time: Timestamp,
    id: EventId,
}

impl Cursor {
    /// Right behind an event.
    pub(super) fn of((time, id): Key) -> Self {
        Self { time, id }
    }

    /// Before every event of this time or earlier.
    pub(super) fn at(time: Timestamp) -> Self {
        Self {
            time: Timestamp(time.0.saturating_add(1)),
            id: EventId {
                source: SourceId::from_uuid(uuid::Uuid::nil()),
                epoch: Epoch(0),
                seq: 0,
            },
        }
    }

    /// Whether the event comes after this place.
    pub(super) fn is_before(&self, key: Key) -> bool {
        key < (self.time, self.id)
    }

    /// As text that is safe in a URL.
    #[must_use]
    pub fn to_text(&self) -> String {
        BASE64_URL_SAFE_NO_PAD.encode(format!("1.{}.{}", self.time.0, self.id))
    }

    /// From its text.
    ///
    /// # Errors
    /// When it is not a cursor.
    pub fn parse(text: &str) -> Result<Self, ServiceError> {
        let read = || -> Option<Self> {
            let plain = String::from_utf8(BASE64_URL_SAFE_NO_PAD.decode(text).ok()?).ok()?;
            let (time, id) = plain.strip_prefix("1.")?.split_once('.')?;
            Some(Self {
                time: Timestamp(time.parse().ok()?),
                id: id.parse().ok()?,
            })
        };
        read().ok_or_else(|| invalid("cursor: expected the next_cursor of an earlier answer"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors_round_trip_and_anything_else_is_refused() {
        let cursor = Cursor {
            time: Timestamp(-5),
            id: EventId {
                source: SourceId::named("rest", "a"),
                epoch: Epoch(9),
                seq: 3,
            },
        };
        assert_eq!(Cursor::parse(&cursor.to_text()).unwrap(), cursor);
        for bad in ["", "abc", "MS4x", "!!"] {
            assert!(Cursor::parse(bad).unwrap_err().detail.starts_with("cursor: "), "{bad}");
        }
    }
}
