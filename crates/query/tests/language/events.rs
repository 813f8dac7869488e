//! Events to look at.

use model::{Epoch, Event, EventId, Fields, SourceId, Timestamp, Value};

pub(crate) const NOW: &str = "2026-03-04T12:00:00Z";

pub(crate) fn now() -> Timestamp {
    NOW.parse().unwrap()
}

pub(crate) fn event(seq: u64, time: Timestamp, pairs: Vec<(String, Value)>) -> Event {
    let mut fields = Fields::new();
    for (name, value) in pairs {
        fields.insert(name, value);
    }
    Event {
        id: EventId {
            source: SourceId::named("t", "t"),
            epoch: Epoch(1),
            seq,
        },
        timestamp: time,
        fields,
    }
}

/// A failed login, two hours ago.
pub(crate) fn sshd() -> Event {
    let pairs: Vec<(&str, Value)> = vec![
        (
            "message",
            "Failed password for invalid user Ädmin from 10.0.0.5 port 53422 ssh2".into(),
        ),
        ("source.ip", "10.0.0.5".into()),
        ("source.port", 53422.into()),
        ("agent.id", "demo-agent".into()),
        ("host.os.type", "linux".into()),
        ("event.category", vec!["authentication".into(), "session".into()].into()),
        ("event.duration", Value::Float(1.5)),
        ("event.created", "2026-03-04T09:59:58+00:00".into()),
        ("edr.kind", "edr_listen_socket".into()),
        ("picket.flag", true.into()),
        ("user.name", "Ädmin".into()),
        ("empty", "".into()),
        ("nothing", Value::Null),
        ("EventID", "4625".into()),
        ("host.ip", "2001:db8::7".into()),
        ("process.executable", "C:\\Windows\\System32\\cmd.exe".into()),
        ("my field", "x=1 (y)".into()),
    ];
    let pairs = pairs
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect();
    event(2, "2026-03-04T10:00:00Z".parse().unwrap(), pairs)
}
