//! Lines of every format, made for this repository, and what they must read as: `lines/FORMAT.log` beside
//! `lines/FORMAT.golden`. `UPDATE_GOLDENS=1 cargo test -p parsers --test formats` writes the goldens; look at what changes.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "the helpers of tests may fail as tests do"
)]

mod check;

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

use model::ecs;
use parsers::{Body, LOG_TYPES, Parsed, RawRecord, parse};
use proptest::prelude::*;

/// What repeats the line or says the same of every line.
const LEFT_OUT: &[&str] = &[
    ecs::EVENT_ORIGINAL,
    ecs::MESSAGE,
    ecs::EVENT_MODULE,
    ecs::LOG_FILE_PATH,
    ecs::PICKET_SOURCE,
    "network.type",
    "network.community_id",
    "url.registered_domain",
    "url.subdomain",
    "url.top_level_domain",
];
/// Beginnings of names that follow from others.
const DERIVED: &[&str] = &[
    "related.",
    "user_agent.",
    "dns.question.registered",
    "dns.question.sub",
    "dns.question.top",
    "observer.",
    "winlog.",
    "cef.",
    "leef.",
    "aws.",
    "azure.",
    "o365.",
    "okta.",
    "kubernetes.",
    "cloud.",
];

fn directory() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/lines")
}

/// The formats that have lines here.
fn formats() -> Vec<(String, Vec<String>)> {
    let mut formats: Vec<_> = fs::read_dir(directory())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "log"))
        .map(|path| {
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            let lines = fs::read_to_string(&path).unwrap().lines().map(str::to_owned).collect();
            (name, lines)
        })
        .collect();
    formats.sort();
    formats
}

fn read(line: &str, log_type: Option<&str>) -> Parsed {
    parse(&RawRecord {
        log_type,
        origin_name: "/var/log/some.log",
        ..check::record(Body::Line(line.as_bytes()))
    })
}

fn describe(parsed: &Parsed) -> String {
    let mut fields: Vec<_> = parsed
        .fields
        .iter()
        .filter(|(name, _)| name.contains('.') && !LEFT_OUT.contains(name))
        .filter(|(name, _)| !DERIVED.iter().any(|prefix| name.starts_with(prefix)))
        .map(|(name, value)| format!("{name}={}", value.to_text()))
        .collect();
    fields.sort();
    let mut text = parsed.timestamp.to_string();
    for field in fields {
        let shown: String = field.chars().take(200).collect();
        write!(text, "\t{}", shown.escape_default()).unwrap();
    }
    text
}

#[test]
fn every_line_reads_as_its_golden_says() {
    let update = std::env::var_os("UPDATE_GOLDENS").is_some();
    let mut different = Vec::new();
    for (name, lines) in formats() {
        assert!(lines.len() >= 30, "{name} has {} lines", lines.len());
        let path = directory().join(format!("{name}.golden"));
        let found: Vec<String> = lines.iter().map(|line| describe(&read(line, None))).collect();
        if update {
            fs::write(&path, found.join("\n") + "\n").unwrap();
            continue;
        }
        let golden = fs::read_to_string(&path).unwrap();
        for ((line, found), golden) in lines.iter().zip(&found).zip(golden.lines()) {
            if found != golden {
                different.push(format!("{name}: {line}\n  golden {golden}\n  found  {found}"));
            }
        }
        assert_eq!(golden.lines().count(), lines.len(), "{name}");
    }
    assert!(different.is_empty(), "{}", different.join("\n"));
}

#[test]
fn content_alone_tells_the_format() {
    let (mut all, mut right) = (0, 0);
    for (name, lines) in formats() {
        let known = lines
            .iter()
            .filter(|line| {
                let log_type = read(line, None).fields.str(ecs::PICKET_LOG_TYPE).map(str::to_owned);
                let same = log_type.as_deref() == Some(name.as_str());
                if !same {
                    println!("{name}: taken for {log_type:?}: {line}");
                }
                same
            })
            .count();
        all += lines.len();
        right += known;
    }
    println!("{right} of {all} lines are told by their content");
    assert!(right * 1000 >= all * 995, "{right} of {all}");
}

#[test]
fn an_explicit_log_type_wins() {
    for (name, lines) in formats() {
        assert!(LOG_TYPES.contains(&name.as_str()), "{name} is not in LOG_TYPES");
        for line in &lines {
            let parsed = read(line, Some(&name));
            assert_eq!(parsed.fields.str(ecs::PICKET_LOG_TYPE), Some(name.as_str()), "{line}");
            assert_eq!(parsed.warnings, [], "{line}");
        }
    }
    let parsed = read(
        r#"10.0.0.1 - - [21/Nov/2026:10:00:00 +0000] "GET / HTTP/1.1" 200 5"#,
        Some("fail2ban"),
    );
    assert_eq!(parsed.fields.str("http.request.method"), None);
    assert_eq!(parsed.warnings, [parsers::Warning::OtherType]);
}

#[test]
fn every_event_has_the_unified_view() {
    for (name, lines) in formats() {
        for line in lines {
            let parsed = read(&line, None);
            let severity = parsed.fields.get(ecs::EVENT_SEVERITY).and_then(model::Value::as_i64);
            assert!(matches!(severity, Some(1..=5)), "{line}");
            // journald's own record is what it was told, in its words.
            if name != "journald" {
                assert_eq!(parsed.fields.str(ecs::EVENT_ORIGINAL), Some(line.as_str()));
            }
        }
    }
}

fn some_line() -> impl Strategy<Value = String> {
    let lines: Vec<String> = formats().into_iter().flat_map(|(_, lines)| lines).collect();
    prop::sample::select(lines)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Cut, doubled, spliced and spoiled lines still become events that hold what came in.
    #[test]
    fn mutated_lines_never_break_a_parser(
        line in some_line(),
        other in some_line(),
        at in any::<prop::sample::Index>(),
        to in any::<prop::sample::Index>(),
        noise in "\\PC{0,8}",
        kind in prop::sample::select(LOG_TYPES.to_vec()),
    ) {
        let cut = |text: &str, index: &prop::sample::Index| {
            let mut at = index.index(text.len().max(1));
            while !text.is_char_boundary(at) {
                at -= 1;
            }
            at
        };
        let (head, tail) = line.split_at(cut(&line, &at));
        let (_, rest) = other.split_at(cut(&other, &to));
        for mutated in [head.to_owned(), tail.to_owned(), format!("{head}{noise}{tail}"), format!("{head}{rest}"), format!("{line} {other}")] {
            for log_type in [None, Some(kind)] {
                let parsed = read(&mutated, log_type);
                let text = mutated.trim_end_matches(['\n', '\r']);
                prop_assert!(parsed.fields.get(ecs::MESSAGE).is_some());
                if !text.trim_start().starts_with('{') {
                    prop_assert_eq!(parsed.fields.str(ecs::EVENT_ORIGINAL), Some(text));
                }
            }
        }
    }
}
