//! Files of the Windows Event Log, made here: what they hold, and what damage costs.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod encode;

use std::fs::File;
use std::io::{Seek as _, Write as _};

use encode::{CHUNK, Element, HEADER, event, file};
use model::{Timestamp, ecs};
use parsers::{Body, Parsed, RawRecord, parse};
use proptest::prelude::*;
use records::Record;
use records::event_log::{Damage, Reader};

const SECURITY: &str = "Microsoft-Windows-Security-Auditing";

/// Thirty-two events of the kinds a team looks for.
fn events() -> Vec<Element> {
    let mut all = Vec::new();
    let mut add = |provider: &str, channel: &str, id: u32, data: &[(&str, &str)]| {
        all.push(event(all.len() as u64 + 1, provider, channel, id, data));
    };
    for (id, user, address) in [
        (4625, "administrator", "203.0.113.9"),
        (4625, "admin", "203.0.113.9"),
        (4625, "jörg", "203.0.113.10"),
        (4624, "ann", "192.0.2.15"),
        (4634, "ann", ""),
        (4648, "bob", "198.51.100.7"),
        (4672, "ann", ""),
    ] {
        add(
            SECURITY,
            "Security",
            id,
            &[
                ("SubjectUserName", "DC-1$"),
                ("TargetUserName", user),
                ("TargetDomainName", "CORP"),
                ("LogonType", "3"),
                ("IpAddress", address),
                ("IpPort", "50211"),
            ],
        );
    }
    for id in [4720, 4722, 4724, 4725, 4726, 4728, 4732, 4738, 4740, 4756] {
        let data = [
            ("TargetUserName", "mallory"),
            ("TargetSid", "S-1-5-21-1-2-3-1105"),
            ("SubjectUserName", "ann"),
        ];
        add(SECURITY, "Security", id, &data);
    }
    for command in [
        "whoami /all",
        "powershell -enc SQBFAFgA",
        "net user mallory P@ss /add",
        "vssadmin delete shadows /all",
    ] {
        add(
            SECURITY,
            "Security",
            4688,
            &[
                ("SubjectUserName", "ann"),
                ("NewProcessName", "C:\\Windows\\System32\\cmd.exe"),
                ("CommandLine", command),
                ("NewProcessId", "0x1a2c"),
            ],
        );
        add(
            "Microsoft-Windows-Sysmon",
            "Microsoft-Windows-Sysmon/Operational",
            1,
            &[
                ("Image", "C:\\Windows\\System32\\cmd.exe"),
                ("CommandLine", command),
                ("ParentImage", "C:\\Windows\\explorer.exe"),
                ("User", "CORP\\ann"),
            ],
        );
    }
    for (id, data) in [
        (7045, [("ServiceName", "evil"), ("ImagePath", "C:\\Temp\\evil.exe")]),
        (7036, [("param1", "Windows Update"), ("param2", "running")]),
    ] {
        add("Service Control Manager", "System", id, &data);
    }
    for id in [4768, 4769, 4771, 4776, 5140] {
        add(
            SECURITY,
            "Security",
            id,
            &[("TargetUserName", "svc_sql"), ("IpAddress", "::ffff:192.0.2.44")],
        );
    }
    all
}

fn open(bytes: &[u8]) -> Result<Reader, records::event_log::Error> {
    let mut temporary: File = tempfile::tempfile().unwrap();
    temporary.write_all(bytes).unwrap();
    temporary.rewind().unwrap();
    Reader::open(temporary, 200_000)
}

fn read(bytes: &[u8]) -> (Vec<Record>, Vec<Damage>) {
    let mut reader = open(bytes).unwrap();
    let (mut records, mut damage) = (Vec::new(), Vec::new());
    while let Some(chunk) = reader.next_chunk() {
        records.extend(chunk.records);
        damage.extend(chunk.damage);
    }
    (records, damage)
}

fn parsed(record: &Record) -> Parsed {
    parse(&RawRecord {
        body: Body::Line(&record.body),
        origin_kind: "file",
        origin_name: "/evidence/Security.evtx",
        log_type: None,
        observed: Timestamp(1_795_000_000_000_000),
        truncated_bytes: 0,
        header: None,
    })
}

#[test]
fn events_of_a_file_read_like_events_of_windows() {
    let all = events();
    assert!(all.len() >= 30);
    let (records, damage) = read(&file(&[all]));
    assert_eq!(damage, []);
    assert_eq!(records.len(), events().len());
    for record in &records {
        let parsed = parsed(record);
        assert_eq!(parsed.fields.str(ecs::PICKET_LOG_TYPE), Some("windows"), "{record:?}");
        assert_eq!(parsed.fields.str("host.name"), Some("dc-1.corp.example"));
        assert!(parsed.fields.str("event.code").is_some() && parsed.fields.str("winlog.channel").is_some());
        assert_eq!(parsed.timestamp.to_string().get(..16), Some("2026-11-21T10:00"));
    }
    let failed = parsed(&records[2]);
    assert_eq!(failed.fields.str("event.outcome"), Some("failure"));
    assert_eq!(failed.fields.str("source.ip"), Some("203.0.113.10"));
    assert_eq!(failed.fields.str("TargetUserName"), Some("jörg"));
    let created = records
        .iter()
        .map(parsed)
        .find(|event| event.fields.str("event.code") == Some("4688"))
        .unwrap();
    assert_eq!(created.fields.str("process.command_line"), Some("whoami /all"));
}

#[test]
fn a_damaged_chunk_costs_its_records_and_is_named() {
    let chunks: Vec<Vec<Element>> = (0..3).map(|_| events()).collect();
    let count = events().len();
    let mut bytes = file(&chunks);
    bytes[HEADER + CHUNK] = b'X';
    let (records, damage) = read(&bytes);
    assert_eq!(records.len(), 2 * count);
    assert_eq!((damage.len(), damage[0].chunk), (1, 1), "{damage:?}");
    assert!(damage[0].reason.contains('1'), "{damage:?}");
}

#[test]
fn a_damaged_record_costs_itself_and_the_others_are_read() {
    let mut bytes = file(&[events(), events()]);
    let count = events().len();
    // The first token of the first record's XML, and nothing else.
    bytes[HEADER + 512 + 24 + 4] = 0xff;
    let (records, damage) = read(&bytes);
    assert_eq!(records.len(), 2 * count - 1);
    assert_eq!(damage[0].records, Some(1), "{damage:?}");
    assert!(
        damage.iter().any(|damage| damage.reason.contains("checksum")),
        "{damage:?}"
    );
}

#[test]
fn what_is_no_event_log_is_refused_and_a_cut_one_is_read_to_its_cut() {
    assert!(open(b"plain text").is_err());
    assert!(open(b"").is_err());
    let bytes = file(&[events(), events()]);
    assert_eq!(read(&bytes[..HEADER + CHUNK + 1000]).0.len(), events().len());
    assert_eq!(read(&file(&[])).0.len(), 0);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn spoiled_files_never_break_the_reader(
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..60),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut bytes = file(&[events()]);
        let used = HEADER + 16_000;
        for (at, value) in changes {
            let at = 8 + at.index(used - 8);
            bytes[at] = value;
        }
        let keep = if cut.index(4) == 0 { cut.index(bytes.len()) } else { bytes.len() };
        if let Ok(mut reader) = open(&bytes[..keep]) {
            let mut rounds = 0;
            while let Some(chunk) = reader.next_chunk() {
                rounds += 1;
                prop_assert!(rounds < 10);
                chunk.records.iter().for_each(|record| { parsed(record); });
            }
        }
    }
}
