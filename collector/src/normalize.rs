//! From records to events: parsed, named and attributed. Pure; runs on blocking threads.

use std::sync::Arc;

use model::chain::Link;
use model::{BatchKey, Epoch, SourceId, Tenant};
use model::{Event, EventId, Fields, List, Text, Timestamp, Value, ecs};
use parsers::custom::{CustomParser, parse_with};
use parsers::{Body, RawRecord};

use crate::batch::{Origin, Record, Records};
use crate::part::{MAX_EVENTS, MAX_RAW_BYTES, Part};
use crate::stamp::Stamp;

/// Longest record, in bytes.
pub(crate) const MAX_RECORD: usize = 1 << 20;
/// Most memory one event may take as a row of a block. One that would take more, which only input made for it does, is
/// kept as its text.
pub(crate) const MAX_EVENT_WEIGHT: usize = 4 << 20;

/// How much later than it came in an event may say it was. Beyond, its clock or what it claims is wrong, and it would stand
/// before all others in every search.
const MAX_AHEAD_MICROS: i64 = 2 * 86_400_000_000;

/// Who sent the records. What is said here wins over what a record claims.
#[derive(Clone, Debug)]
pub(crate) struct Sender {
    pub(crate) tenant: Tenant,
    pub(crate) source: SourceId,
    /// For endpoints: their id.
    pub(crate) agent_id: Option<String>,
    /// Name of the host, for records that name none.
    pub(crate) host: String,
    /// ECS `host.os.type`, for records that tell none; may be empty.
    pub(crate) os_type: String,
    /// ECS `host.os.full`, for records that tell none; may be empty.
    pub(crate) os_name: String,
    /// For endpoints: the version of their agent.
    pub(crate) agent_version: String,
}

/// The numbering of a batch.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Numbering {
    pub(crate) epoch: Epoch,
    pub(crate) first_seq: u64,
    pub(crate) created_at: Timestamp,
    pub(crate) hash: [u8; 32],
    /// What the hash was computed from; `None` for senders whose batches have none.
    pub(crate) link: Option<Link>,
}

/// A normalized batch.
#[derive(Debug, Default)]
pub(crate) struct Normalized {
    pub(crate) parts: Vec<Part>,
    pub(crate) counts: Counts,
    /// Where its records come from, at most [`MAX_TOLD`].
    pub(crate) origins: Vec<storage::heard::Origin>,
}

/// Sources that are told of one batch; one with more is not what silence is looked for in.
const MAX_TOLD: usize = 64;

/// What happened on the way, in events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Became events.
    pub(crate) accepted: u32,
    /// Dropped: their origin is not in the batch.
    pub(crate) unknown_origin: u32,
    /// Dropped: of a kind this version does not know, or without content.
    pub(crate) unknown_kind: u32,
    /// Dropped: longer than [`MAX_RECORD`].
    pub(crate) too_long: u32,
    /// Kept as text only, because their fields would have taken too much memory.
    pub(crate) text_only: u32,
    /// Kept, with something about them that was not as it should be.
    pub(crate) warned: u32,
    /// Kept under the time they came in, as they claimed one that is far ahead.
    pub(crate) ahead: u32,
}

impl Counts {
    /// Records that did not become events, with the reason for metrics.
    pub(crate) fn dropped(&self) -> [(&'static str, u32); 3] {
        [
            ("record_origin", self.unknown_origin),
            ("record_kind", self.unknown_kind),
            ("record_too_long", self.too_long),
        ]
    }
}

/// Turns the records of a batch, which came in at `received`, into parts, asking an operator's `own` parsers first. A
/// record that cannot be taken costs one event and is counted.
pub(crate) fn normalize(
    sender: &Sender,
    numbering: &Numbering,
    records: &Records<'_>,
    own: &[Arc<CustomParser>],
    received: Timestamp,
) -> Normalized {
    let mut result = Normalized::default();
    let mut created = CreatedText::default();
    let stamp = Stamp::new(sender, &records.origins);
    let mut open = OpenPart::default();
    for (seq, record) in (numbering.first_seq..).zip(&records.records) {
        let raw_bytes = record.body.map_or(0, |body| body_bytes(body).len());
        // The cut does not depend on whether the record is taken.
        if open.records >= MAX_EVENTS || (open.records > 0 && open.raw_bytes + raw_bytes > MAX_RAW_BYTES) {
            open.close_into(&mut result.parts, sender, numbering);
        }
        if open.records == 0 {
            open.first_seq = seq;
        }
        open.records += 1;
        open.raw_bytes += raw_bytes;
        let id = EventId {
            source: sender.source,
            epoch: numbering.epoch,
            seq,
        };
        if let Some((mut event, mut weight)) = event(&stamp, id, records, record, own, &mut created, &mut result.counts)
        {
            if put_back(&mut event, record, received) {
                result.counts.ahead += 1;
                weight = block::weight(&event);
            }
            open.weight += weight;
            open.events.push(event);
        }
    }
    open.close_into(&mut result.parts, sender, numbering);
    result.origins = told(&records.origins);
    result
}

/// The journal is one source: single units speak when something happens to them.
fn told(origins: &[Origin]) -> Vec<storage::heard::Origin> {
    let mut told: Vec<storage::heard::Origin> = Vec::new();
    for origin in origins
        .iter()
        .filter(|origin| matches!(origin.kind.as_str(), "file" | "journald"))
    {
        let name = if origin.kind == "file" {
            origin.name.clone()
        } else {
            String::new()
        };
        let source = storage::heard::Origin {
            kind: origin.kind.clone(),
            name,
        };
        if told.len() < MAX_TOLD && !told.contains(&source) {
            told.push(source);
        }
    }
    told
}

fn body_bytes<'a>(body: Body<'a>) -> &'a [u8] {
    match body {
        Body::Line(bytes) | Body::Json(bytes) => bytes,
    }
}

#[derive(Default)]
struct OpenPart {
    first_seq: u64,
    records: usize,
    raw_bytes: usize,
    events: Vec<Event>,
    weight: usize,
}

impl OpenPart {
    fn close_into(&mut self, parts: &mut Vec<Part>, sender: &Sender, numbering: &Numbering) {
        let open = std::mem::take(self);
        if open.events.is_empty() {
            return;
        }
        parts.push(Part {
            key: BatchKey {
                tenant: sender.tenant.clone(),
                source: sender.source,
                epoch: numbering.epoch,
                first_seq: open.first_seq,
            },
            hash: numbering.hash,
            link: numbering.link,
            created_at: numbering.created_at,
            events: open.events,
            weight: open.weight,
        });
    }
}

/// The event of a record, and its weight.
fn event(
    stamp: &Stamp<'_>,
    id: EventId,
    records: &Records<'_>,
    record: &Record<'_>,
    own: &[Arc<CustomParser>],
    created: &mut CreatedText,
    counts: &mut Counts,
) -> Option<(Event, usize)> {
    let index = usize::try_from(record.origin).unwrap_or(usize::MAX);
    let Some(origin) = records.origins.get(index) else {
        counts.unknown_origin += 1;
        return None;
    };
    let Some(body) = record.body else {
        counts.unknown_kind += 1;
        return None;
    };
    if body_bytes(body).len() > MAX_RECORD {
        counts.too_long += 1;
        return None;
    }
    counts.accepted += 1;
    let observed = Timestamp(record.observed_at_micros);
    let raw = RawRecord {
        body,
        origin_kind: &origin.kind,
        origin_name: &origin.name,
        log_type: Some(origin.log_type.as_str()).filter(|name| !name.is_empty()),
        observed,
        truncated_bytes: record.truncated_bytes,
        header: Some(origin.header.as_str()).filter(|header| !header.is_empty()),
    };
    let parsed = parse_with(&raw, own);
    counts.warned += u32::from(!parsed.warnings.is_empty());
    let mut event = Event {
        id,
        timestamp: parsed.timestamp,
        fields: parsed.fields,
    };
    stamp.put(&mut event.fields, index, created.of(observed));
    let mut weight = block::weight(&event);
    if weight > MAX_EVENT_WEIGHT {
        counts.text_only += 1;
        event.fields = text_only(body, record.truncated_bytes);
        stamp.put(&mut event.fields, index, created.of(observed));
        weight = block::weight(&event);
    }
    Some((event, weight))
}

/// Gives an event of a time far ahead the one it was seen at, or came in at; true when it was one.
fn put_back(event: &mut Event, record: &Record<'_>, received: Timestamp) -> bool {
    let latest = Timestamp(received.0.saturating_add(MAX_AHEAD_MICROS));
    if event.timestamp <= latest {
        return false;
    }
    let observed = Timestamp(record.observed_at_micros);
    let claimed = event.timestamp.to_string();
    event.timestamp = if observed <= latest { observed } else { received };
    event.fields.insert("unverified.@timestamp", claimed);
    let mut warnings = match event.fields.remove(ecs::PICKET_WARNINGS) {
        Some(Value::List(warnings)) => warnings,
        _ => List::new(),
    };
    warnings.push(Value::from(AHEAD));
    event.fields.insert(ecs::PICKET_WARNINGS, Value::List(warnings));
    true
}

const AHEAD: &str = "time is far ahead, it is not believed";
const TEXT_ONLY: &str = "fields left out, they would take too much memory";

/// The least an event can be.
fn text_only(body: Body<'_>, truncated_bytes: u64) -> Fields {
    let mut fields = Fields::new();
    fields.insert(ecs::EVENT_KIND, "event");
    fields.insert(ecs::PICKET_LOG_TYPE, "raw");
    fields.insert(ecs::MESSAGE, String::from_utf8_lossy(body_bytes(body)).into_owned());
    if truncated_bytes > 0 {
        let bytes = i64::try_from(truncated_bytes).unwrap_or(i64::MAX);
        fields.insert(ecs::PICKET_TRUNCATED_BYTES, bytes);
    }
    fields.insert(ecs::PICKET_WARNINGS, vec![Value::from(TEXT_ONLY)]);
    fields
}

/// Neighbouring records share the millisecond, and writing a time is not free.
#[derive(Default)]
struct CreatedText {
    millis: Option<i64>,
    text: Text,
}

impl CreatedText {
    fn of(&mut self, time: Timestamp) -> &Text {
        let millis = time.as_millis();
        if self.millis != Some(millis) {
            self.millis = Some(millis);
            self.text = Timestamp::from_millis(millis)
                .to_utc()
                .to_rfc3339_opts(chrono::SecondsFormat::Millis, true)
                .into();
        }
        &self.text
    }
}

/// Whether nothing is left to leave out.
pub(crate) fn is_text_only(event: &Event) -> bool {
    matches!(event.fields.get(ecs::PICKET_WARNINGS), Some(Value::List(warnings))
        if warnings.iter().any(|warning| warning.as_str() == Some(TEXT_ONLY)))
}

/// Events of a part as text only, for a part whose block would be too large for the database.
pub(crate) fn reduce_to_text(part: &mut Part) {
    part.weight = 0;
    for event in &mut part.events {
        let text = event
            .fields
            .str(ecs::MESSAGE)
            .or_else(|| event.fields.str(ecs::EVENT_ORIGINAL));
        let text = text.map_or_else(|| event.to_json().to_string(), str::to_owned);
        let mut fields = text_only(Body::Line(text.as_bytes()), 0);
        for name in [
            ecs::AGENT_ID,
            ecs::AGENT_NAME,
            ecs::HOST_NAME,
            ecs::LOG_FILE_PATH,
            ecs::EVENT_CREATED,
        ] {
            if let Some(value) = event.fields.remove(name) {
                fields.insert(name, value);
            }
        }
        event.fields = fields;
        part.weight += block::weight(event);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECEIVED: Timestamp = Timestamp(1_700_000_001_000_000);

    fn sender() -> Sender {
        Sender {
            tenant: Tenant::default(),
            source: SourceId::named("test", "a"),
            agent_id: Some("0190a".to_owned()),
            host: "web-1".to_owned(),
            os_type: "linux".to_owned(),
            os_name: "Debian GNU/Linux 13 (trixie)".to_owned(),
            agent_version: "0.1.0".to_owned(),
        }
    }

    fn numbering() -> Numbering {
        Numbering {
            epoch: Epoch(3),
            first_seq: 100,
            created_at: Timestamp(1_700_000_000_000_000),
            hash: [9; 32],
            link: None,
        }
    }

    fn origins() -> Vec<Origin> {
        vec![Origin {
            kind: "file".to_owned(),
            name: "/var/log/app.log".to_owned(),
            log_type: String::new(),
            header: String::new(),
        }]
    }

    fn record(body: Body<'_>) -> Record<'_> {
        Record {
            body: Some(body),
            observed_at_micros: 1_700_000_000_123_456,
            ..Record::default()
        }
    }

    #[test]
    fn a_record_that_cannot_be_taken_costs_one_event_and_keeps_its_number() {
        let long = vec![b'a'; MAX_RECORD + 1];
        let records = Records {
            origins: origins(),
            records: vec![
                record(Body::Line(b"one")),
                Record {
                    origin: 7,
                    ..record(Body::Line(b"two"))
                },
                Record {
                    body: None,
                    ..record(Body::Line(b"three"))
                },
                record(Body::Line(&long)),
                record(Body::Line(b"five")),
            ],
        };
        let normalized = normalize(&sender(), &numbering(), &records, &[], RECEIVED);
        let counts = normalized.counts;
        assert_eq!(
            (
                counts.accepted,
                counts.unknown_origin,
                counts.unknown_kind,
                counts.too_long
            ),
            (2, 1, 1, 1)
        );
        let numbers: Vec<u64> = normalized
            .parts
            .iter()
            .flat_map(|part| &part.events)
            .map(|event| event.id.seq)
            .collect();
        assert_eq!(numbers, [100, 104]);
        assert_eq!(normalized.parts[0].key.first_seq, 100);
    }

    #[test]
    fn what_the_certificate_says_wins_over_what_a_line_claims() {
        let records = Records {
            origins: origins(),
            records: vec![record(Body::Json(
                br#"{"agent":{"id":"forged","name":"forged"},"host":{"name":"own"},"message":"hi"}"#,
            ))],
        };
        let normalized = normalize(&sender(), &numbering(), &records, &[], RECEIVED);
        let fields = &normalized.parts[0].events[0].fields;
        assert_eq!(fields.str(ecs::AGENT_ID), Some("0190a"));
        assert_eq!(fields.str(ecs::AGENT_NAME), Some("web-1"));
        assert_eq!(fields.str(ecs::LOG_FILE_PATH), Some("/var/log/app.log"));
        assert_eq!(fields.str(ecs::EVENT_CREATED), Some("2023-11-14T22:13:20.123Z"));
        assert_eq!(fields.str(ecs::HOST_OS_TYPE), Some("linux"));
        assert_eq!(fields.str("agent.version"), Some("0.1.0"));
        assert_eq!(fields.str("host.os.full"), None, "of another host");
    }

    #[test]
    fn the_header_of_a_file_governs_its_records() {
        let mut origins = origins();
        origins[0].header = "#Fields: date time c-ip cs-username sc-status".to_owned();
        let records = Records {
            origins,
            records: vec![record(Body::Line(b"2023-11-14 22:13:20 203.0.113.9 eve 401"))],
        };
        let normalized = normalize(&sender(), &numbering(), &records, &[], RECEIVED);
        let fields = &normalized.parts[0].events[0].fields;
        assert_eq!(fields.str("source.ip"), Some("203.0.113.9"));
        assert_eq!(fields.str("user.name"), Some("eve"));
    }

    #[test]
    fn a_full_event_has_room_for_who_sent_it() {
        let members: Vec<String> = (0..2000).map(|n| format!("\"f{n}\":{n}")).collect();
        let line = format!("{{{}}}", members.join(","));
        let records = Records {
            origins: origins(),
            records: vec![record(Body::Json(line.as_bytes()))],
        };
        let normalized = normalize(&sender(), &numbering(), &records, &[], RECEIVED);
        let fields = &normalized.parts[0].events[0].fields;
        assert!(fields.len() <= model::event::MAX_FIELDS);
        assert_eq!(fields.str(ecs::AGENT_ID), Some("0190a"));
        assert_eq!(fields.str(ecs::PICKET_SOURCE), Some("file"));
        assert_eq!(
            normalized.parts[0].weight,
            block::weight(&normalized.parts[0].events[0])
        );
    }

    #[test]
    fn who_sends_syslog_is_not_believed_to_be_an_agent() {
        let syslog = Sender {
            agent_id: None,
            ..sender()
        };
        let records = Records {
            origins: vec![Origin {
                kind: "syslog".to_owned(),
                name: "192.0.2.7".to_owned(),
                log_type: String::new(),
                header: String::new(),
            }],
            records: vec![record(Body::Line(
                br#"{"agent":{"id":"0190a","name":"dc01"},"log":{"file":{"path":"/var/log/auth.log"}},"message":"hi"}"#,
            ))],
        };
        let normalized = normalize(&syslog, &numbering(), &records, &[], RECEIVED);
        let fields = &normalized.parts[0].events[0].fields;
        assert_eq!(fields.str("unverified.agent.id"), Some("0190a"));
        assert_eq!(fields.str("unverified.agent.name"), Some("dc01"));
        assert_eq!(fields.str("unverified.log.file.path"), Some("/var/log/auth.log"));
        for name in [ecs::AGENT_ID, ecs::AGENT_NAME, ecs::LOG_FILE_PATH] {
            assert_eq!(fields.get(name), None, "{name}");
        }
    }

    #[test]
    fn a_time_far_ahead_is_not_believed() {
        let times = |line: &str, observed: i64| {
            let records = Records {
                origins: origins(),
                records: vec![Record {
                    observed_at_micros: observed,
                    ..record(Body::Line(line.as_bytes()))
                }],
            };
            let normalized = normalize(&sender(), &numbering(), &records, &[], RECEIVED);
            let event = normalized.parts[0].events[0].clone();
            (event.timestamp, normalized.counts.ahead, event.fields)
        };
        let seen = 1_700_000_000_123_456;
        let (time, ahead, fields) = times("<13>1 9999-12-31T23:59:59Z h a - - - x", seen);
        assert_eq!((time, ahead), (Timestamp(seen), 1));
        assert_eq!(fields.str("unverified.@timestamp"), Some("9999-12-31T23:59:59.000000Z"));
        assert!(fields.get(ecs::PICKET_WARNINGS).unwrap().to_text().contains(AHEAD));
        // An endpoint whose clock is years ahead.
        assert_eq!(times("hello", 4_000_000_000_000_000).0, RECEIVED);
        // Clocks and zones of a day or two are believed, and old logs are.
        let (time, ahead, fields) = times("<13>1 2023-11-15T22:13:20Z h a - - - x", seen);
        assert_eq!((time, ahead), (Timestamp(1_700_086_400_000_000), 0));
        assert_eq!(fields.get("unverified.@timestamp"), None);
        assert_eq!(times("<13>1 2003-11-15T22:13:20Z h a - - - x", seen).1, 0);
    }

    #[test]
    fn large_batches_are_cut_where_their_records_say() {
        let line = [b'x'; 1000];
        let records = Records {
            origins: origins(),
            records: vec![record(Body::Line(&line)); 9000],
        };
        let normalized = normalize(&sender(), &numbering(), &records, &[], RECEIVED);
        let firsts: Vec<u64> = normalized.parts.iter().map(|part| part.key.first_seq - 100).collect();
        assert_eq!(firsts, [0, 2097, 4194, 6291, 8388]);
        let short = Records {
            origins: origins(),
            records: vec![record(Body::Line(b"x")); 9000],
        };
        let firsts: Vec<u64> = normalize(&sender(), &numbering(), &short, &[], RECEIVED)
            .parts
            .iter()
            .map(|part| part.key.first_seq - 100)
            .collect();
        assert_eq!(firsts, [0, 4000, 8000]);
    }

    #[test]
    fn an_event_full_of_fields_still_names_its_agent() {
        let mut json = "{".to_owned();
        for n in 0..2000 {
            json.push_str(&format!("\"f{n}\":1,"));
        }
        json.push_str("\"z\":1}");
        let records = Records {
            origins: origins(),
            records: vec![record(Body::Json(json.as_bytes()))],
        };
        let normalized = normalize(&sender(), &numbering(), &records, &[], RECEIVED);
        assert_eq!(normalized.parts[0].events[0].fields.str(ecs::AGENT_ID), Some("0190a"));
    }
}
