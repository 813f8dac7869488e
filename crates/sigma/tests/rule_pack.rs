//! The rules of this repository: each loads, has an id of its own, and does on its test events what they say.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test helper fails by panicking")]

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use model::id::{Epoch, SourceId};
use model::{Event, EventId, Fields, Timestamp};
use sigma::correlation::Correlations;
use sigma::ruletest::{ParseLine, Pool, Report, RuleTest, SequenceTest};
use sigma::{Catalog, Correlation, Document, Filter, Metadata, Rule, RuleSet, parse_documents};

/// What the pack holds, each with its file.
#[derive(Default)]
struct Pack {
    rules: Vec<(PathBuf, Rule)>,
    correlations: Vec<(PathBuf, Correlation)>,
    filters: Vec<Filter>,
}

impl Pack {
    fn rules(&self) -> Vec<Rule> {
        self.rules.iter().map(|(_, rule)| rule.clone()).collect()
    }

    fn correlations(&self) -> Vec<Correlation> {
        self.correlations
            .iter()
            .map(|(_, correlation)| correlation.clone())
            .collect()
    }

    fn metadata(&self) -> impl Iterator<Item = (&PathBuf, &Metadata)> {
        let rules = self.rules.iter().map(|(path, rule)| (path, &*rule.metadata));
        let correlations = self.correlations.iter();
        rules.chain(correlations.map(|(path, correlation)| (path, &correlation.metadata)))
    }
}

fn pack() -> Pack {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../rules");
    let mut pack = Pack::default();
    let mut pending = vec![root];
    while let Some(folder) = pending.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() {
                pending.push(path);
            } else if name.ends_with(".yml") && !name.ends_with(".test.yml") {
                let text = std::fs::read_to_string(&path).unwrap();
                let parsed = parse_documents(&path.to_string_lossy(), &text);
                assert_eq!(parsed.len(), 1, "{} holds one document", path.display());
                for document in parsed {
                    match document {
                        Ok(Document::Rule(rule)) => pack.rules.push((path.clone(), rule)),
                        Ok(Document::Correlation(correlation)) => pack.correlations.push((path.clone(), correlation)),
                        Ok(Document::Filter(filter)) => pack.filters.push(filter),
                        Err(error) => panic!("{error}"),
                    }
                }
            }
        }
    }
    pack
}

#[test]
fn every_rule_has_an_own_uuid_a_level_a_tag_and_a_status() {
    let mut seen: HashMap<String, PathBuf> = HashMap::new();
    let pack = pack();
    assert!(pack.rules.len() >= 28, "{} rules", pack.rules.len());
    for (path, rule) in pack.metadata() {
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
    let (set, refused) = RuleSet::compile_with(pack.rules(), Catalog::builtin(), &pack.filters);
    assert!(refused.is_empty() && !set.is_empty(), "{refused:?}");
    let (correlations, refused) = Correlations::compile(pack.correlations(), set.rules());
    assert!(refused.is_empty(), "{refused:?}");
    assert_eq!(correlations.all().len(), pack.correlations.len());
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
    // What is an address only a parser can tell; and not every rule goes by text.
    let needs_parser = |rule: &Rule| rule.yaml.contains("source.ip|cidr") || !rule.yaml.contains("    message|");
    run_all(Some(&|line, _| raw_event(line)), |rule| !needs_parser(rule));
}

#[test]
fn every_correlation_does_on_its_test_sequences_what_they_say() {
    let pack = pack();
    let (rules, correlations) = (pack.rules(), pack.correlations());
    let pool = Pool {
        rules: &rules,
        correlations: &correlations,
        filters: &pack.filters,
    };
    let mut failures = Vec::new();
    for (path, correlation) in &pack.correlations {
        let path = path.with_extension("test.yml");
        let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let test = SequenceTest::parse(&path.to_string_lossy(), &text).unwrap_or_else(|error| panic!("{error}"));
        let report = test.run(correlation, pool, Some(&|line, log_type| parsed_event(line, log_type)));
        assert_eq!(report.skipped, 0, "{}", path.display());
        failures.extend(report.failures.iter().map(ToString::to_string));
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

fn run_all(parse: Option<ParseLine<'_>>, include: impl Fn(&Rule) -> bool) -> Report {
    let mut all = Report::default();
    for (path, rule) in pack().rules.into_iter().filter(|(_, rule)| include(rule)) {
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
        header: None,
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
