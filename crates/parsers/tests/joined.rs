//! Events of the audit daemon that were put together from several lines, and records that clouds wrap.

#![allow(clippy::unwrap_used, reason = "the helpers of tests may fail as tests do")]

mod check;

use std::fs;
use std::path::PathBuf;

use model::{Value, ecs};
use parsers::{Body, Parsed, parse};

fn read(text: &str) -> Parsed {
    parse(&check::record(Body::Line(text.as_bytes())))
}

/// The events of `lines/auditd_events.txt`, which an empty line separates.
fn events() -> Vec<String> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/lines/auditd_events.txt");
    let text = fs::read_to_string(path).unwrap();
    text.split("\n\n")
        .map(|event| event.trim().to_owned())
        .filter(|event| !event.is_empty())
        .collect()
}

fn strings(value: Option<&Value>) -> Vec<String> {
    match value {
        Some(Value::List(list)) => list.iter().map(|value| value.to_text().into_owned()).collect(),
        Some(value) => vec![value.to_text().into_owned()],
        None => Vec::new(),
    }
}

#[test]
fn an_event_of_several_records_has_the_fields_of_all_of_them() {
    let all = events();
    assert!(all.iter().map(|event| event.lines().count()).sum::<usize>() >= 30);
    for event in &all {
        let parsed = read(event);
        assert_eq!(parsed.warnings, [], "{event}");
        assert_eq!(parsed.fields.str(ecs::PICKET_LOG_TYPE), Some("auditd"));
        assert_eq!(parsed.fields.str(ecs::EVENT_ORIGINAL), Some(event.as_str()));
        for line in event.lines() {
            let single = read(line);
            for (name, value) in single.fields.iter().filter(|(name, _)| !name.contains('.')) {
                // Registers of a system call that ran a program give way to the program's words.
                let registers = event.contains("type=EXECVE") && matches!(name, "a0" | "a1" | "a2" | "a3");
                if matches!(name, "message") || registers && line.contains("type=SYSCALL") {
                    continue;
                }
                let kept = strings(parsed.fields.get(name));
                for value in strings(Some(value)) {
                    assert!(kept.contains(&value), "{name}={value} of {line} is not in {kept:?}");
                }
            }
        }
    }
}

#[test]
fn what_was_run_by_whom_where_is_in_one_event() {
    let parsed = read(&events()[0]);
    let text = |name: &str| strings(parsed.fields.get(name)).concat();
    assert_eq!(text("event.action"), "execve");
    assert_eq!(
        strings(parsed.fields.get("type")),
        ["SYSCALL", "EXECVE", "CWD", "PATH", "PROCTITLE", "EOE"]
    );
    assert_eq!(
        strings(parsed.fields.get("process.args")),
        ["curl", "-s", "http://198.51.100.7/x y"]
    );
    assert_eq!(text("process.command_line"), "curl -s http://198.51.100.7/x y");
    assert_eq!(text("process.executable"), "/usr/bin/curl");
    assert_eq!(text("process.working_directory"), "/home/ann");
    assert_eq!(text("process.title"), "curl -s http://198.51.100.7/x y");
    assert_eq!(
        (text("process.pid"), text("process.parent.pid")),
        ("4711".into(), "4700".into())
    );
    assert_eq!(text("user.id"), "1000");
    assert_eq!(
        (text("a0"), text("a2")),
        ("curl".into(), "http://198.51.100.7/x y".into())
    );
    assert_eq!(
        strings(parsed.fields.get("name")),
        ["/usr/bin/curl", "/lib64/ld-linux-x86-64.so.2"]
    );
    assert_eq!(text("event.outcome"), "success");
}

#[test]
fn the_file_is_the_one_that_was_made_or_removed() {
    let all = events();
    let of = |serial: &str| {
        let event = all.iter().find(|event| event.contains(serial)).unwrap();
        let parsed = read(event);
        let text = |name: &str| strings(parsed.fields.get(name)).concat();
        (text("event.action"), text("file.path"))
    };
    assert_eq!(of(":7102)"), ("created-file".into(), "/etc/cron.d/update".into()));
    assert_eq!(of(":7103)"), ("deleted-file".into(), "/var/log/wtmp".into()));
    assert_eq!(of(":7104)"), ("syscall".into(), "/etc/shadow".into()));
    assert_eq!(of(":7106)").0, "violated-selinux-policy");
}

#[test]
fn records_of_different_events_are_not_read_as_one() {
    let all = events();
    let parsed = read(&format!("{}\n{}", all[0], all[1]));
    assert_ne!(
        parsed.fields.get("type").map(|value| matches!(value, Value::List(_))),
        Some(true)
    );
    assert!(parsed.fields.str(ecs::EVENT_ORIGINAL).unwrap().contains(&all[1]));
}

#[test]
fn what_event_bridge_wraps_is_read_as_what_it_is() {
    let finding =
        fs::read_to_string(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/lines/guardduty.log")).unwrap();
    let finding = finding.lines().next().unwrap();
    let bare = read(finding);
    let wrapped = read(&format!(
        r#"{{"version":"0","id":"c8c4","detail-type":"GuardDuty Finding","source":"aws.guardduty","account":"111122223333","time":"2026-11-21T10:00:00Z","region":"eu-central-1","resources":[],"detail":{finding}}}"#
    ));
    assert_eq!(wrapped.fields.str(ecs::PICKET_LOG_TYPE), Some("guardduty"));
    assert_eq!(wrapped.timestamp, bare.timestamp);
    for name in ["rule.name", "cloud.account.id", "event.kind"] {
        assert_eq!(wrapped.fields.get(name), bare.fields.get(name), "{name}");
    }
    assert_eq!(wrapped.fields.str("detail-type"), Some("GuardDuty Finding"));
    let trail =
        fs::read_to_string(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/lines/cloudtrail.log")).unwrap();
    let trail = trail.lines().next().unwrap();
    let wrapped = read(&format!(
        r#"{{"detail-type":"AWS API Call via CloudTrail","source":"aws.iam","detail":{trail}}}"#
    ));
    assert_eq!(wrapped.fields.str(ecs::PICKET_LOG_TYPE), Some("cloudtrail"));
}

#[test]
fn an_object_that_picket_send_ships_reads_as_if_it_had_come_alone() {
    let event = r##"{"Event":{"System":{"Provider":{"#attributes":{"Name":"Microsoft-Windows-Security-Auditing"}},"EventID":4625,"Keywords":"0x8010000000000000","TimeCreated":{"#attributes":{"SystemTime":"2026-11-21T10:00:00.1Z"}},"Channel":"Security","Computer":"dc-1"},"EventData":{"TargetUserName":"ann","IpAddress":"203.0.113.9"}}}"##;
    let trail =
        fs::read_to_string(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/lines/cloudtrail.log")).unwrap();
    for text in [event, trail.lines().next().unwrap()] {
        let shipped = serde_json::json!({
            "source": "file", "host": "evidence", "message": text, "fields": {"log.file.path": "/evidence/Security.evtx"},
        })
        .to_string();
        let (alone, shipped) = (
            parse(&check::record(Body::Json(text.as_bytes()))),
            parse(&check::record(Body::Json(shipped.as_bytes()))),
        );
        assert_eq!(shipped.timestamp, alone.timestamp);
        assert_eq!(shipped.fields.str(ecs::EVENT_ORIGINAL), Some(text));
        for name in [
            "message",
            "picket.log_type",
            "event.code",
            "event.action",
            "source.ip",
            "user.name",
            "event.dataset",
        ] {
            assert_eq!(shipped.fields.get(name), alone.fields.get(name), "{name} of {text}");
        }
        let host = alone.fields.str("host.name").unwrap_or("evidence");
        assert_eq!(shipped.fields.str("host.name"), Some(host));
    }
}
