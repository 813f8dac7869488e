//! The public SigmaHQ rules and their regression samples, when a copy is at hand: in the directory `PICKET_SHARED`
//! names, or in `shared` beside the repository. They are no part of this repository.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test helper fails by panicking and tells what it skips"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use model::id::{Epoch, SourceId};
use model::{Event, EventId, Fields, Timestamp};
use serde_json::{Map, Value as Json};
use sigma::{Catalog, Rule, RuleSet, Scratch, parse_rules};

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

/// Every YAML file of these folders of the archive: path and text.
fn rule_files(archive: &Path, directory: &str, folders: &[&str]) -> Vec<(String, String)> {
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
    let mut pending: Vec<PathBuf> = folders.iter().map(|folder| target.join(folder)).collect();
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
    let results: Vec<_> = rule_files(&archive, "sigmahq-load", &FOLDERS)
        .iter()
        .flat_map(|(path, text)| parse_rules(path, text))
        .collect();
    assert_eq!(results.len(), 3754);
    let rules: Vec<Rule> = results.into_iter().map(Result::unwrap).collect();
    let (set, refused) = RuleSet::compile(rules);
    println!("{} of 3754 rules load; refused:", set.len());
    for error in &refused {
        println!("  {error}");
        assert!(error.reason.contains("expected no unresolved placeholder"), "{error}");
    }
    // The specification leaves the meaning of a placeholder to the user.
    assert_eq!(refused.len(), 2);
    assert_eq!(set.len(), 3752);
}

#[test]
fn every_public_rule_with_placeholders_loads_once_a_pipeline_gives_them_values() {
    let Some(archive) = shared(RULES) else { return };
    let files = rule_files(
        &archive,
        "sigmahq-placeholders",
        &["rules-placeholder", "rules-emerging-threats"],
    );
    let rules: Vec<Rule> = files
        .iter()
        .flat_map(|(path, text)| parse_rules(path, text))
        .map(Result::unwrap)
        .filter(|rule| rule.yaml.contains("expand"))
        .filter(|rule| Catalog::builtin().resolve(rule).is_err())
        .collect();
    assert!(rules.len() >= 25, "{}", rules.len());
    let mut pipeline = "transformations:\n  - type: value_placeholders\nvars:\n".to_owned();
    let mut names = BTreeSet::new();
    for rule in &rules {
        let pieces: Vec<&str> = rule.yaml.split('%').collect();
        names.extend(
            pieces
                .iter()
                .filter(|piece| !piece.is_empty() && !piece.contains(['\n', ' ']))
                .copied(),
        );
    }
    for name in names {
        pipeline.push_str(&format!("  '{name}': ['a*', b]\n"));
    }
    let catalog = Catalog::with_pipelines(&[("vars.yml".to_owned(), pipeline)]).unwrap();
    for rule in &rules {
        catalog.resolve(rule).unwrap();
    }
}

#[test]
fn the_rule_of_every_regression_sample_fires_on_it() {
    let (Some(archive), Some(samples)) = (shared(RULES), shared("sigma/regression")) else {
        return;
    };
    let rules: Vec<Rule> = rule_files(&archive, "sigmahq-regression", &FOLDERS)
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
