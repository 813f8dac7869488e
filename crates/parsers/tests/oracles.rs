//! Agreement with the expectations of other projects' integrations, where their data is at hand: `$PICKET_SHARED` or
//! `../shared`, in `oracles/`. Without it the test says so and passes.
//!
//! `cargo test -p parsers --test oracles -- --nocapture` prints a table; `ORACLE=cisco.asa` also every difference of one
//! data set.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test that prints what it measured"
)]

mod check;

use std::collections::BTreeMap;
use std::path::PathBuf;

use model::Timestamp;
use parsers::{Body, Parsed, RawRecord, parse};
use serde_json::Value as Json;

/// The least share of expected values that must be equal, in percent. Raise, never lower.
const FLOORS: &[(&str, f64)] = &[
    ("apache.access", 90.0),
    ("apache.error", 100.0),
    ("auditd.log", 99.0),
    ("auth0_logsdb.logs", 100.0),
    ("aws.cloudtrail", 99.5),
    ("azure.signinlogs", 100.0),
    ("cisco.asa", 98.9),
    ("coredns.log", 100.0),
    ("gcp.audit", 100.0),
    ("haproxy.log", 100.0),
    ("iptables.log", 100.0),
    ("microsoft.dhcp", 98.5),
    ("mongodb.log", 98.5),
    ("nginx.access", 98.4),
    ("nginx.error", 100.0),
    ("nginx.ingress_controller", 95.0),
    ("o365.audit", 97.0),
    ("okta.system", 100.0),
    ("panw.panos", 97.5),
    ("squid.log", 95.5),
    ("suricata.eve", 100.0),
    ("system.auth", 97.7),
    ("system.security", 100.0),
    ("system.syslog", 98.6),
    ("traefik.access", 97.0),
    ("zeek.dns", 98.0),
    ("zeek.notice", 100.0),
    ("zeek.ssh", 100.0),
];

/// What their shippers add by configuration and no log line says.
const NOT_IN_THE_LOG: &[&str] = &["tags", "service.type"];

#[derive(Default)]
struct Score {
    lines: usize,
    values: usize,
    equal: usize,
    detected: usize,
    different: BTreeMap<String, usize>,
}

#[test]
fn well_known_integrations_expect_what_we_say() {
    let shared = std::env::var_os("PICKET_SHARED").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared"),
        PathBuf::from,
    );
    let shown = std::env::var("ORACLE").unwrap_or_default();
    let mut scores = BTreeMap::<String, Score>::new();
    for name in ["filebeat-modules.jsonl", "elastic-integrations.jsonl"] {
        let Ok(text) = std::fs::read_to_string(shared.join("oracles").join(name)) else {
            println!("skipped: no {name} in {}/oracles", shared.display());
            continue;
        };
        for case in text.lines().map(|line| serde_json::from_str::<Json>(line).unwrap()) {
            let dataset = case["dataset"].as_str().unwrap();
            if ["threatintel.", "ti_", "misp."]
                .iter()
                .any(|feed| dataset.starts_with(feed))
            {
                continue;
            }
            score(
                &case,
                dataset,
                dataset == shown,
                scores.entry(dataset.to_owned()).or_default(),
            );
        }
    }
    let mut below = Vec::new();
    for (dataset, score) in &scores {
        let share = 100.0 * score.equal as f64 / score.values.max(1) as f64;
        let mut worst: Vec<_> = score.different.iter().collect();
        worst.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
        let worst: Vec<String> = worst
            .iter()
            .take(9)
            .map(|(name, count)| format!("{name} {count}"))
            .collect();
        println!(
            "{dataset:26} {:4} lines {:5} values {share:6.2} % equal, {:3.0} % detected; {}",
            score.lines,
            score.values,
            100.0 * score.detected as f64 / score.lines as f64,
            worst.join(", ")
        );
        if FLOORS.iter().any(|(name, floor)| name == dataset && share < *floor) {
            below.push(format!("{dataset}: {share:.2} %"));
        }
    }
    assert!(below.is_empty(), "below their floors: {below:?}");
}

fn score(case: &Json, dataset: &str, show: bool, score: &mut Score) {
    let input = match &case["input"] {
        Json::String(text) => text.clone(),
        object @ (Json::Null | Json::Bool(_) | Json::Number(_) | Json::Array(_) | Json::Object(_)) => {
            object.to_string()
        }
    };
    let record = |log_type| RawRecord {
        log_type,
        origin_name: "/var/log/some.log",
        ..check::record(Body::Line(input.as_bytes()))
    };
    let parsed = parse(&record(Some(dataset)));
    let guessed = parse(&record(None));
    let log_type = |parsed: &Parsed| parsed.fields.str("picket.log_type").map(str::to_owned);
    score.lines += 1;
    score.detected += usize::from(log_type(&parsed) == log_type(&guessed));
    if show && log_type(&parsed) != log_type(&guessed) {
        println!(
            "  guessed {:?}, not {:?}: {input}",
            log_type(&guessed),
            log_type(&parsed)
        );
    }
    for (name, expected) in case["expect"].as_object().unwrap() {
        if NOT_IN_THE_LOG.contains(&name.as_str()) {
            continue;
        }
        score.values += 1;
        let found = found(&parsed, name, expected);
        if found == texts(expected) || (name == "@timestamp" && same_time(&parsed, expected)) {
            score.equal += 1;
            continue;
        }
        *score.different.entry(name.clone()).or_default() += 1;
        if show {
            println!("  {name}: expected {expected}, found {found:?} in {input}");
        }
    }
}

/// Their tests ran in a zone of UTC-2 and read times without a zone as that zone's; we read them as UTC. Some of them
/// are written with the zone, some already turned into UTC.
fn same_time(parsed: &Parsed, expected: &Json) -> bool {
    let expected = expected.as_str().unwrap_or("");
    let clock = |text: &str| text.get(..19).map(str::to_owned);
    let seconds = expected
        .parse::<Timestamp>()
        .map(|time| time.0 / 1_000_000)
        .unwrap_or(0);
    let ours = parsed.timestamp.0 / 1_000_000;
    seconds == ours || seconds == ours + 7200 || clock(expected) == clock(&parsed.timestamp.to_string())
}

fn found(parsed: &Parsed, name: &str, expected: &Json) -> Vec<String> {
    if let Json::Array(items) = expected
        && items.iter().any(Json::is_object)
    {
        let prefix = format!("{name}.");
        let mut all: Vec<String> = parsed
            .fields
            .iter()
            .filter(|(own, _)| own.starts_with(&prefix))
            .flat_map(|(_, value)| texts(&value.to_json()))
            .collect();
        all.sort();
        all.dedup();
        return all;
    }
    parsed
        .fields
        .get(name)
        .map(|value| texts(&value.to_json()))
        .unwrap_or_default()
}

/// The texts of a value in no order.
fn texts(value: &Json) -> Vec<String> {
    let mut all = Vec::new();
    collect(value, &mut all);
    all.sort();
    all.dedup();
    all
}

fn collect(value: &Json, into: &mut Vec<String>) {
    match value {
        Json::Array(items) => items.iter().for_each(|item| collect(item, into)),
        Json::Object(object) => object.values().for_each(|item| collect(item, into)),
        Json::String(text) => into.push(text.clone()),
        Json::Null => {}
        Json::Bool(_) | Json::Number(_) => into.push(value.to_string()),
    }
}

/// Data sets of another project for formats that have a parser here; its names of fields are its own.
const THEIRS: &[&str] = &[
    "adguardhome",
    "apache2",
    "auditd",
    "aws-alb",
    "aws-cloudtrail",
    "caddy",
    "cef",
    "fortinet",
    "haproxy",
    "iis",
    "mikrotik",
    "named",
    "nginx",
    "openvpn",
    "palo-alto-threat",
    "pve-firewall",
    "suricata-evelogs",
    "suricata-fastlogs",
    "traefik",
    "unifi",
    "vsftpd",
];

#[test]
fn another_project_finds_the_same_peers() {
    let shared = std::env::var_os("PICKET_SHARED").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared"),
        PathBuf::from,
    );
    let Ok(text) = std::fs::read_to_string(shared.join("oracles/crowdsec-parsers.jsonl")) else {
        println!("skipped: no crowdsec-parsers.jsonl in {}/oracles", shared.display());
        return;
    };
    let mut scores = BTreeMap::<String, (usize, usize)>::new();
    for case in text.lines().map(|line| serde_json::from_str::<Json>(line).unwrap()) {
        let dataset = case["dataset"].as_str().unwrap();
        let Some(expected) = case["expect"]["source_ip"].as_str() else {
            continue;
        };
        if !THEIRS.contains(&dataset) {
            continue;
        }
        let input = case["input"]
            .as_str()
            .map_or_else(|| case["input"].to_string(), str::to_owned);
        let parsed = check::line(input.as_bytes());
        let found = parsed.fields.str("source.ip").unwrap_or("");
        let score = scores.entry(dataset.to_owned()).or_default();
        score.0 += 1;
        if found == expected {
            score.1 += 1;
        } else if std::env::var("ORACLE").is_ok_and(|shown| shown == dataset) {
            let kind = parsed.fields.str("picket.log_type").unwrap_or("");
            println!("  {kind}: expected {expected}, found {found:?} in {input}");
        }
    }
    let (mut all, mut equal) = (0, 0);
    for (dataset, score) in &scores {
        println!("{dataset:20} {:3} lines, {:3} with the same source", score.0, score.1);
        all += score.0;
        equal += score.1;
    }
    assert!(equal * 100 >= all * 90, "{equal} of {all} sources are the same");
}
