//! The page that lists the rules of this repository says what there is. `PICKET_BLESS=1` writes it anew.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test helper fails by panicking")]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use model::Level;
use sigma::correlation::Correlations;
use sigma::{Document, Metadata, RuleSet, parse_documents};

const BEGIN: &str = "<!-- written by crates/sigma/tests/content_page.rs -->\n";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

#[test]
fn the_page_of_the_rules_lists_every_rule_and_correlation() {
    let page = root().join("docs/reference/content.md");
    let text = std::fs::read_to_string(&page).unwrap();
    let (prose, listed) = text.split_once(BEGIN).unwrap();
    let expected = listing(&root().join("rules"));
    if std::env::var_os("PICKET_BLESS").is_some() {
        std::fs::write(&page, format!("{prose}{BEGIN}{expected}")).unwrap();
    } else {
        assert!(
            listed == expected,
            "{} is not what rules/ holds: run `PICKET_BLESS=1 cargo test -p sigma --test content_page`",
            page.display()
        );
    }
}

/// Promised to whoever chooses Picket for its rules.
#[test]
fn there_are_enough_rules_and_correlations() {
    let documents = documents(&root().join("rules"));
    let correlations = documents.values().filter(|(_, what)| what.is_some()).count();
    let rules = documents.len() - correlations;
    assert!(
        rules >= 120 && correlations >= 15,
        "{rules} rules, {correlations} correlations"
    );
}

#[test]
fn what_is_only_part_of_correlations_makes_no_alerts_of_its_own_and_all_else_does() {
    let (mut rules, mut correlations) = (Vec::new(), Vec::new());
    for document in parsed(&root().join("rules")).into_values() {
        match document {
            Document::Rule(rule) => rules.push(rule),
            Document::Correlation(correlation) => correlations.push(correlation),
            Document::Filter(_) => {}
        }
    }
    let (set, refused) = RuleSet::compile(rules);
    assert!(refused.is_empty(), "{refused:?}");
    let (compiled, refused) = Correlations::compile(correlations, set.rules());
    assert!(refused.is_empty(), "{refused:?}");
    let rules = set.rules().iter().enumerate();
    let rules = rules.map(|(position, rule)| (&*rule.metadata, rule.level, compiled.silenced(position)));
    let correlations = compiled.all().iter();
    let correlations = correlations.map(|one| (&one.definition().metadata, one.level(), one.is_silenced()));
    for (metadata, level, is_silenced) in rules.chain(correlations) {
        // These two are worth a look in investigations, but there are far too many of them.
        let is_frequent = ["dns_long_name", "firewall_blocked"].contains(&metadata.name.as_deref().unwrap_or(""));
        assert_eq!(
            is_silenced,
            level == Level::Informational || is_frequent,
            "{}",
            metadata.path
        );
    }
}

/// By path below the folder.
fn parsed(root: &Path) -> BTreeMap<String, Document> {
    let mut found = BTreeMap::new();
    let mut pending = vec![root.to_path_buf()];
    while let Some(folder) = pending.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                pending.push(path);
            } else if is_rule(&path) {
                let text = std::fs::read_to_string(&path).unwrap();
                let name = path.strip_prefix(root).unwrap().to_string_lossy().replace('\\', "/");
                for document in parse_documents(&name, &text) {
                    let document = document.unwrap_or_else(|error| panic!("{error}"));
                    found.insert(name.clone(), document);
                }
            }
        }
    }
    found
}

/// By path below the folder: what it says about itself, and for a correlation what it counts.
fn documents(root: &Path) -> BTreeMap<String, (Metadata, Option<String>)> {
    let described = |(path, document): (String, Document)| {
        let kind = match &document {
            Document::Correlation(correlation) => Some(correlation.kind.as_str().to_owned()),
            Document::Rule(_) | Document::Filter(_) => None,
        };
        (path, (document.metadata().clone(), kind))
    };
    parsed(root).into_iter().map(described).collect()
}

fn is_rule(path: &Path) -> bool {
    let name = path.file_name().unwrap().to_string_lossy();
    name.ends_with(".yml") && !name.ends_with(".test.yml")
}

fn listing(root: &Path) -> String {
    let documents = documents(root);
    let correlations = documents.values().filter(|(_, kind)| kind.is_some()).count();
    let mut out = format!(
        "\n{} rules and {correlations} correlations.\n",
        documents.len() - correlations
    );
    let mut area = "";
    for (path, (metadata, kind)) in &documents {
        let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
        if folder != area {
            area = folder;
            let first = if kind.is_some() {
                "Correlation | Type"
            } else {
                "Rule | File"
            };
            let _ = write!(
                out,
                "\n## {folder}\n\n| {first} | Level | Techniques |\n|---|---|---|---|\n"
            );
        }
        let file = path.rsplit_once('/').map_or(path.as_str(), |(_, file)| file);
        let second = kind.clone().unwrap_or_else(|| file.trim_end_matches(".yml").to_owned());
        let level = metadata
            .yaml
            .lines()
            .find_map(|line| line.strip_prefix("level: "))
            .unwrap_or("medium");
        let techniques: Vec<String> = metadata
            .tags
            .iter()
            .filter_map(|tag| tag.strip_prefix("attack.t"))
            .filter(|rest| rest.starts_with(|first: char| first.is_ascii_digit()))
            .map(|rest| format!("T{rest}"))
            .collect();
        let _ = writeln!(
            out,
            "| [{}](../../rules/{path}) | `{second}` | {level} | {} |",
            metadata.title,
            techniques.join(", ")
        );
    }
    out
}
