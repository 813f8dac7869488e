//! The rules of this repository: each loads, has an id of its own, and does on its test events what they say.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test helper fails by panicking")]

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use model::id::{Epoch, SourceId};
use model::{Event, EventId, Fields, Timestamp};
use sigma::ruletest::{ParseLine, Report, RuleTest};
use sigma::{Rule, RuleSet, parse_rules};

fn pack() -> Vec<(PathBuf, Rule)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../rules");
    let mut rules = Vec::new();
    let mut pending = vec![root];
    while let Some(folder) = pending.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() {
                pending.push(path);
            } else if name.ends_with(".yml") && !name.ends_with(".test.yml") {
                let text = std::fs::read_to_string(&path).unwrap();
                let parsed = parse_rules(&path.to_string_lossy(), &text);
                assert_eq!(parsed.len(), 1, "{} holds one rule", path.display());
                for rule in parsed {
                    match rule {
                        Ok(rule) => rules.push((path.clone(), rule)),
                        Err(error) => panic!("{error}"),
                    }
                }
            }
        }
    }
    rules
}

#[test]
fn every_rule_has_an_own_uuid_a_level_a_tag_and_a_status() {
    let mut seen: HashMap<String, PathBuf> = HashMap::new();
    let pack = pack();
    assert!(pack.len() >= 28, "{} rules", pack.len());
    for (path, rule) in &pack {
        assert!(
            uuid::Uuid::parse_str(&rule.id).is_ok(),
            "{}: {}",
            path.display(),
            rule.id
        );
        if let Some(other) = seen.insert(rule.id.clone(), path.clone()) {
            panic!("{} and {} have one id", path.display(), other.display());
        }
        assert!(rule.yaml.contains("\nlevel: "), "{} has no level", path.display());
        assert!(
            rule.tags.iter().any(|tag| tag.starts_with("attack.t")),
            "{} names no technique",
            path.display()
        );
        assert!(
            rule.status.is_some() && !rule.description.is_empty(),
            "{}",
            path.display()
        );
    }
    let (set, refused) = RuleSet::compile(pack.into_iter().map(|(_, rule)| rule).collect());
    assert!(refused.is_empty() && !set.is_empty(), "{refused:?}");
}

#[test]
fn every_rule_does_on_its_test_fields_what_they_say() {
    let report = run_all(None, |_| true);
    assert!(report.run >= 100, "{} events evaluated", report.run);
}

#[test]
fn every_rule_does_on_its_test_lines_what_they_say() {
    run_all(Some(&|line, log_type| parsed_event(line, log_type)), |_| true);
}

#[test]
fn every_rule_that_reads_text_works_on_lines_no_parser_took_apart() {
    // What is an address only a parser can tell.
    let needs_parser = |rule: &Rule| rule.yaml.contains("source.ip|cidr");
    run_all(Some(&|line, _| raw_event(line)), |rule| !needs_parser(rule));
}

fn run_all(parse: Option<ParseLine<'_>>, include: impl Fn(&Rule) -> bool) -> Report {
    let mut all = Report::default();
    for (path, rule) in pack().into_iter().filter(|(_, rule)| include(rule)) {
        let path = path.with_extension("test.yml");
        let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let test = RuleTest::parse(&path.to_string_lossy(), &text).unwrap_or_else(|error| panic!("{error}"));
        let report = test.run(&rule, parse);
        all.run += report.run;
        all.failures.extend(report.failures);
    }
    let failures: Vec<String> = all.failures.iter().map(ToString::to_string).collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    all
}

fn parsed_event(line: &str, log_type: Option<&str>) -> Event {
    let parsed = parsers::parse(&parsers::RawRecord {
        body: parsers::Body::Line(line.as_bytes()),
        origin_kind: "file",
        origin_name: "test.log",
        log_type,
        observed: Timestamp(0),
        truncated_bytes: 0,
    });
    event(parsed.fields)
}

fn raw_event(line: &str) -> Event {
    let mut fields = Fields::new();
    fields.insert("message", line);
    event(fields)
}

fn event(fields: Fields) -> Event {
    let id = EventId {
        source: SourceId::named("rules", "test"),
        epoch: Epoch(1),
        seq: 0,
    };
    Event {
        id,
        timestamp: Timestamp(0),
        fields,
    }
}
