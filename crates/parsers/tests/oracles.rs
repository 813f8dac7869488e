//! Agreement with the expectations of other projects' integrations, where their data is at hand: `../shared/oracles`.

#![allow(clippy::unwrap_used, reason = "the helpers of tests may fail as tests do")]

mod check;

use std::path::Path;

use serde_json::Value as Json;

/// Fields on which we agree with them by intent. They name the host `host.hostname`.
const COMPARED: &[(&str, &str)] = &[
    ("host.hostname", "host.name"),
    ("process.name", "process.name"),
    ("process.pid", "process.pid"),
    ("message", "message"),
    ("source.ip", "source.ip"),
    ("source.port", "source.port"),
    ("user.name", "user.name"),
    ("user.effective.name", "user.effective.name"),
    ("event.outcome", "event.outcome"),
    ("group.name", "group.name"),
];

#[test]
fn system_logs_read_as_others_read_them() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/oracles");
    let mut checked = 0;
    let mut different = Vec::new();
    for name in ["filebeat-modules.jsonl", "elastic-integrations.jsonl"] {
        let Ok(text) = std::fs::read_to_string(directory.join(name)) else {
            println!("skipped: no {name} in ../shared/oracles");
            continue;
        };
        for case in text.lines().map(|line| serde_json::from_str::<Json>(line).unwrap()) {
            if !matches!(case["dataset"].as_str(), Some("system.auth" | "system.syslog")) {
                continue;
            }
            let input = case["input"].as_str().unwrap();
            let parsed = check::line(input.as_bytes());
            for (theirs, ours) in COMPARED {
                let expected = &case["expect"][theirs];
                if expected.is_null() {
                    continue;
                }
                let expected = expected.as_str().map_or_else(|| expected.to_string(), str::to_owned);
                checked += 1;
                let found = parsed.fields.get(ours).map(|value| value.to_text().into_owned());
                if found.as_deref() != Some(expected.as_str()) {
                    different.push(format!("{ours}: expected {expected:?}, got {found:?} in {input}"));
                }
            }
        }
    }
    for difference in &different {
        println!("{difference}");
    }
    assert!(
        different.len() * 50 <= checked,
        "{} of {checked} fields differ",
        different.len()
    );
}
