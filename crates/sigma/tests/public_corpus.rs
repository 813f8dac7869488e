//! The public SigmaHQ rules and their regression samples, when a copy is at hand: in the directory `PICKET_SHARED`
//! names, or in `shared` beside the repository. They are no part of this repository.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test helper fails by panicking and tells what it skips"
)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use model::id::{Epoch, SourceId};
use model::{Event, EventId, Fields, Timestamp};
use serde_json::{Map, Value as Json};
use sigma::{Rule, RuleSet, Scratch, parse_rules};

const RULES: &str = "sigma/sigmahq-rules-8eaafff.tar.gz";
const FOLDERS: [&str; 3] = ["rules", "rules-threat-hunting", "rules-emerging-threats"];

fn shared(path: &str) -> Option<PathBuf> {
    let root = std::env::var_os("PICKET_SHARED").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared"),
        PathBuf::from,
    );
    let found = root.join(path);
    if found.exists() {
        return Some(found);
    }
    println!("skipped: {} is not there", found.display());
    None
}

/// Every YAML file of the archive's `FOLDERS`: path and text.
fn rule_files(archive: &Path, directory: &str) -> Vec<(String, String)> {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join(directory);
    std::fs::create_dir_all(&target).unwrap();
    let status = Command::new("tar")
        .arg("-xzf")
        .arg(archive)
        .arg("-C")
        .arg(&target)
        .status()
        .unwrap();
    assert!(status.success());
    let mut files = Vec::new();
    let mut pending: Vec<PathBuf> = FOLDERS.iter().map(|folder| target.join(folder)).collect();
    while let Some(folder) = pending.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                pending.push(path);
            } else if path.extension().is_some_and(|extension| extension == "yml") {
                let name = path.strip_prefix(&target).unwrap().to_string_lossy().into_owned();
                files.push((name, std::fs::read_to_string(&path).unwrap()));
            }
        }
    }
    files.sort();
    files
}

fn event(object: &Map<String, Json>) -> Event {
    let mut fields = Fields::new();
    fields.insert_json("", object);
    let id = EventId {
        source: SourceId::named("test", "test"),
        epoch: Epoch(1),
        seq: 0,
    };
    Event {
        id,
        timestamp: Timestamp(0),
        fields,
    }
}

#[test]
fn every_public_rule_loads_or_is_refused_for_a_reason_the_specification_gives() {
    let Some(archive) = shared(RULES) else { return };
    let results: Vec<_> = rule_files(&archive, "sigmahq-load")
        .iter()
        .flat_map(|(path, text)| parse_rules(path, text))
        .collect();
    assert_eq!(results.len(), 3754);
    let (rules, errors): (Vec<_>, Vec<_>) = results.into_iter().partition(Result::is_ok);
    let unexplained: Vec<String> = errors
        .into_iter()
        .map(|error| error.unwrap_err().to_string())
        .filter(|error| !error.contains("expected no unresolved placeholder"))
        .collect();
    assert!(unexplained.is_empty(), "{}", unexplained.join("\n"));
    let rules: Vec<Rule> = rules.into_iter().map(Result::unwrap).collect();
    println!("{} of 3754 rules load", rules.len());
    let (set, refused) = RuleSet::compile(rules);
    assert!(refused.is_empty(), "{refused:?}");
    assert!(set.len() >= 3750);
}

#[test]
fn the_rule_of_every_regression_sample_fires_on_it() {
    let (Some(archive), Some(samples)) = (shared(RULES), shared("sigma/regression")) else {
        return;
    };
    let rules: Vec<Rule> = rule_files(&archive, "sigmahq-regression")
        .iter()
        .flat_map(|(path, text)| parse_rules(path, text))
        .filter_map(Result::ok)
        .collect();
    let (set, _) = RuleSet::compile(rules);
    let manifest: Vec<Json> =
        serde_json::from_str(&std::fs::read_to_string(samples.join("manifest.json")).unwrap()).unwrap();
    assert!(manifest.len() >= 100);
    let (mut scratch, mut hits) = (Scratch::new(), Vec::new());
    let mut failures = BTreeMap::new();
    for sample in &manifest {
        let id = sample["rule_id"].as_str().unwrap();
        let text = std::fs::read_to_string(samples.join(format!("{id}.flat.jsonl"))).unwrap();
        let mut count = 0;
        for line in text.lines() {
            let object: Map<String, Json> = serde_json::from_str(line).unwrap();
            hits.clear();
            set.evaluate(&event(&object), &mut scratch, &mut hits);
            count += hits.iter().filter(|hit| set.rules()[**hit].id == id).count();
        }
        let enough = sample["match_count"]
            .as_u64()
            .map_or(count > 0, |wanted| count as u64 >= wanted);
        if !enough {
            failures.insert(format!("{id} {}", sample["title"]), count);
        }
    }
    assert!(failures.is_empty(), "{failures:#?}");
}
