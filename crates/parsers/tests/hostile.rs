//! Whatever comes in, an event comes out, and it holds what came in.

#![allow(clippy::unwrap_used, reason = "the helpers of tests may fail as tests do")]

mod check;

use check::{json, line, observed};
use model::event::{MAX_DEPTH, MAX_FIELDS};
use model::{Value, ecs};
use parsers::{Body, LOG_TYPES, RawRecord, Warning, parse};
use proptest::prelude::*;

#[test]
fn invalid_utf8_and_nuls_are_kept_as_far_as_text_can() {
    let parsed = line(b"Nov 21 11:22:33 h app[1]: a\xffb\0c\xc3");
    assert_eq!(parsed.fields.str(ecs::MESSAGE), Some("a\u{fffd}b\0c\u{fffd}"));
    assert_eq!(parsed.warnings, [Warning::InvalidUtf8]);
    assert_eq!(
        parsed.fields.get(ecs::PICKET_WARNINGS),
        Some(&Value::from(vec!["invalid UTF-8".into()]))
    );
}

#[test]
fn ten_megabytes_in_one_line_are_one_event() {
    let mut text = b"Nov 21 11:22:33 h sshd[1]: Failed password for ".to_vec();
    for filler in [
        &b"a"[..],
        b" from 1.2.3.4 port 1 ssh2: ",
        b"a=b ",
        b"(",
        b"\"",
        b": ",
        b"[ex a=\"b\"]",
        b"\\",
    ] {
        let mut text = text.clone();
        while text.len() < 10 << 20 {
            text.extend_from_slice(filler);
        }
        let parsed = line(&text);
        assert_eq!(parsed.fields.str(ecs::EVENT_ORIGINAL).map(str::len), Some(text.len()));
    }
    text.clear();
    text.extend(std::iter::repeat_n(b'=', 10 << 20));
    assert_eq!(line(&text).fields.str(ecs::MESSAGE).map(str::len), Some(10 << 20));
}

/// Long inputs made of what a parser looks for, where looking again from every place would never end.
#[test]
fn no_repetition_takes_more_than_linear_time() {
    let starts = [
        "Failed publickey for ",
        "Invalid user ",
        "Disconnecting ",
        "Received disconnect from ",
        "User ",
        "Starting session: ",
        "message repeated 3 times: [ ",
        "pam_unix(sshd:auth): authentication failure; rhost=",
        "a : ",
        "(to ",
        "new user: ",
        "add '",
        "user ",
        "(root) CMD (",
        "a=b ",
        "{\"a\":\"",
        "[",
        "1.2.3.4 ",
        "",
    ];
    let fillers = [
        " ssh2: ",
        " from ",
        " port ",
        ": ",
        " by ",
        "' to '",
        " ; ",
        ", name=",
        "[a b=\"c\"]",
        " user=",
        "message repeated 3 times: [ ",
        " not allowed because ",
        "=\"",
        "a='",
        "\\",
        ") ",
        " added by ",
        "(uid=",
        "COMMAND=",
        "1.1.",
        "::",
        "{\"a\":",
        "\u{e9}",
    ];
    let programs = ["sshd[1]: ", "sudo: ", "su: ", "useradd: ", "cron: ", "app: "];
    for program in programs {
        for (start, filler) in starts.iter().flat_map(|start| fillers.map(|filler| (start, filler))) {
            let mut text = format!("Nov 21 11:22:33 h {program}{start}");
            text.push_str(&filler.repeat((64 << 10) / filler.len()));
            assert_eq!(
                line(text.as_bytes()).fields.str(ecs::EVENT_ORIGINAL),
                Some(text.as_str())
            );
        }
    }
    for start in [
        "<34>1 - h a 1 m ",
        "<34>1 - h a 1 m [x ",
        "{\"message\":\"",
        "{\"a\":[",
        "",
    ] {
        for filler in fillers {
            let text = format!("{start}{}", filler.repeat((1 << 20) / filler.len()));
            assert_eq!(
                line(text.as_bytes()).fields.str(ecs::EVENT_ORIGINAL),
                Some(text.as_str())
            );
        }
    }
}

#[test]
fn deep_json_is_bounded() {
    let deep = format!("{}1{}", "{\"a\":".repeat(MAX_DEPTH * 4), "}".repeat(MAX_DEPTH * 4));
    let parsed = json(&deep);
    assert!(
        parsed
            .fields
            .iter()
            .all(|(name, _)| name.matches('.').count() <= MAX_DEPTH)
    );
    let too_deep = format!("{}1{}", "{\"a\":".repeat(100_000), "}".repeat(100_000));
    let parsed = json(&too_deep);
    assert_eq!(parsed.warnings, [Warning::InvalidJson]);
    assert_eq!(parsed.fields.str(ecs::EVENT_ORIGINAL), Some(too_deep.as_str()));
}

#[test]
fn wide_json_is_bounded_and_says_so() {
    let members: Vec<String> = (0..MAX_FIELDS + 50).map(|n| format!("\"f{n}\":{n}")).collect();
    let parsed = json(&format!("{{{}}}", members.join(",")));
    assert!(parsed.fields.len() <= MAX_FIELDS);
    assert!(parsed.fields.get(ecs::MESSAGE).is_some() && parsed.fields.get("f900").is_some());
    assert!(matches!(parsed.warnings[..], [Warning::TooManyFields(refused)] if refused >= 50));
    assert!(parsed.fields.get(ecs::PICKET_WARNINGS).is_some());
}

#[test]
fn a_long_json_name_costs_its_member_and_is_told() {
    let long = "x".repeat(100_000);
    let parsed = json(&format!("{{\"{long}\":{{\"a\":1,\"b\":2}},\"message\":\"m\"}}"));
    assert_eq!(parsed.fields.str(ecs::MESSAGE), Some("m"));
    assert_eq!(parsed.warnings, [Warning::TooManyFields(1)]);
    let told = parsed.warnings[0].to_string();
    assert_eq!(
        told,
        "1 fields refused: expected at most 1024, with names up to 512 bytes"
    );
}

#[test]
fn what_the_sensor_cut_is_told() {
    let parsed = parse(&RawRecord {
        truncated_bytes: 17,
        header: None,
        ..check::record(Body::Line(b"cut"))
    });
    assert_eq!(parsed.fields.get(ecs::PICKET_TRUNCATED_BYTES), Some(&Value::Int(17)));
    assert_eq!(parsed.warnings, [Warning::Truncated(17)]);
}

/// Pieces of real messages, so that noise gets deep into the parsers.
fn piece() -> impl Strategy<Value = String> {
    prop_oneof![
        prop::sample::select(vec![
            "Nov 21 11:22:33 ",
            "2026-11-21T11:22:33Z ",
            "<34>",
            "1 ",
            "host ",
            "sshd[1]: ",
            "sudo: ",
            "su: ",
            "CRON[2]: ",
            "useradd: ",
            "Failed ",
            "password ",
            "for ",
            "invalid user ",
            " from ",
            "1.2.3.4",
            " port ",
            "22",
            " ssh2",
            ": ",
            "[preauth]",
            "pam_unix(sshd:auth): ",
            "authentication failure;",
            " rhost=",
            " user=",
            " : ",
            "TTY=a ; ",
            "USER=root ; ",
            "COMMAND=",
            "(root) CMD (",
            ")",
            "new user: ",
            "name=",
            "add '",
            "' to group '",
            "'",
            "[",
            "]",
            "\"",
            "\\",
            "{\"message\":\"",
            "\"}",
            "a=b ",
            "(to ",
            ") ",
            " on ",
            "session opened for user ",
            " by ",
            "(uid=",
            "message repeated 3 times: [ ",
            "Connection closed by ",
            "Disconnecting ",
            "Received disconnect from ",
            "Invalid user ",
            "Accepted ",
            "password for 'a' changed by 'b'",
            "change user '",
            "é",
            "\u{0}",
            "\n",
            "-",
            "- - - ",
        ])
        .prop_map(str::to_owned),
        ".{0,6}",
    ]
}

fn check_bytes(bytes: &[u8], log_type: Option<&str>) {
    for kind in ["file", "syslog", "rest", "journald"] {
        for body in [Body::Line(bytes), Body::Json(bytes)] {
            let parsed = parse(&RawRecord {
                body,
                origin_kind: kind,
                origin_name: "x",
                log_type,
                observed: observed(),
                truncated_bytes: 0,
                header: None,
            });
            let text = String::from_utf8_lossy(bytes);
            let text = text.trim_end_matches(['\n', '\r']);
            assert!(parsed.fields.get(ecs::MESSAGE).is_some());
            assert!(parsed.fields.get(ecs::EVENT_ORIGINAL).is_some());
            if !text.trim_start().starts_with('{') {
                assert_eq!(parsed.fields.str(ecs::EVENT_ORIGINAL), Some(text));
            }
            let mut names: Vec<_> = parsed.fields.iter().map(|(name, _)| name).collect();
            names.sort_unstable();
            assert!(
                names.windows(2).all(|pair| pair[0] != pair[1]),
                "a field twice: {names:?}"
            );
            let log_type = parsed.fields.str(ecs::PICKET_LOG_TYPE).unwrap();
            assert!(LOG_TYPES.contains(&log_type), "{log_type}");
            assert!(parsed.fields.len() <= MAX_FIELDS);
        }
    }
}

fn json_value() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        any::<f64>().prop_map(Into::into),
        piece().prop_map(Into::into),
    ];
    leaf.prop_recursive(3, 24, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Into::into),
            prop::collection::vec((json_name(), inner), 0..4)
                .prop_map(|members| serde_json::Value::Object(members.into_iter().collect())),
        ]
    })
}

fn json_name() -> impl Strategy<Value = String> {
    prop_oneof![
        prop::sample::select(vec![
            "message",
            "fields",
            "host",
            "program",
            "MESSAGE",
            "_PID",
            "_COMM",
            "SYSLOG_IDENTIFIER",
            "__REALTIME_TIMESTAMP",
            "timestamp",
            "@timestamp",
            "event",
            "id",
            "action",
            "raw_message",
            "source_host",
            "event_type",
            "severity",
            "user",
            "user.name",
            "picket",
            "log_type",
            "source",
            "ip",
            "source_ip",
            "PRIORITY",
            "process",
            "name",
            "pid",
            "",
        ])
        .prop_map(str::to_owned),
        ".{0,4}",
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn any_bytes_become_an_event(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        check_bytes(&bytes, None);
    }

    #[test]
    fn any_text_of_real_pieces_becomes_an_event(
        pieces in prop::collection::vec(piece(), 0..14),
        log_type in prop::option::of(prop::sample::select(LOG_TYPES.to_vec())),
    ) {
        check_bytes(pieces.concat().as_bytes(), log_type);
    }

    #[test]
    fn any_json_object_becomes_an_event(members in prop::collection::vec((json_name(), json_value()), 0..8)) {
        let object = serde_json::Value::Object(members.into_iter().collect());
        check_bytes(object.to_string().as_bytes(), None);
    }
}
