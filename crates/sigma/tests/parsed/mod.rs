//! Events as Picket's parsers make them.

use model::id::{Epoch, SourceId};
use model::{Event, EventId, Timestamp};

/// The event of a line of a file.
pub(crate) fn event(text: &str, file: &str) -> Event {
    let parsed = parsers::parse(&parsers::RawRecord {
        body: parsers::Body::Line(text.as_bytes()),
        origin_kind: "file",
        origin_name: file,
        log_type: None,
        observed: Timestamp(0),
        truncated_bytes: 0,
        header: None,
    });
    Event {
        id: EventId {
            source: SourceId::named("rules", "test"),
            epoch: Epoch(1),
            seq: 0,
        },
        timestamp: Timestamp(0),
        fields: parsed.fields,
    }
}
