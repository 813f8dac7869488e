//! Every finding is made where it should be and nowhere else.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test helper fails by panicking"
)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use sigma::lint::CODES;
use sigma::{Catalog, Linter, Severity, lint};

const CLEAN: &str = "title: Listing of users
id: 0d1ee4a1-5e5f-4f0c-8f63-4c0f0fb3a4f1
status: test
description: A program lists the users of the system
references:
  - https://example.com/users
author: Somebody
date: 2026-01-02
tags:
  - attack.discovery
  - attack.t1087.001
logsource:
  category: process_creation
  product: linux
detection:
  selection:
    Image|endswith: /getent
  condition: selection
falsepositives:
  - Administrators
level: low
";

fn codes(yaml: &str) -> Vec<(&'static str, usize, usize)> {
    lint("users.yml", yaml)
        .into_iter()
        .map(|lint| (lint.code, lint.line.unwrap_or(0), lint.column.unwrap_or(0)))
        .collect()
}

#[test]
fn a_careful_rule_has_no_findings() {
    assert_eq!(codes(CLEAN), []);
}

/// What is replaced in the clean rule, by what, and the findings: code, line and column.
type Case = (&'static str, &'static str, &'static [(&'static str, usize, usize)]);

#[test]
fn every_finding_names_its_place() {
    let cases: &[Case] = &[
        ("level: low\n", "", &[("missing_level", 1, 0)]),
        (
            "id: 0d1ee4a1-5e5f-4f0c-8f63-4c0f0fb3a4f1\n",
            "",
            &[("missing_id", 1, 0)],
        ),
        ("status: test\n", "", &[("missing_status", 1, 0)]),
        (
            "status: test\n",
            "status: deprecated\n",
            &[("status_unsupported", 3, 9)],
        ),
        ("author: Somebody\n", "", &[("missing_author", 1, 0)]),
        ("date: 2026-01-02\n", "", &[("missing_date", 1, 0)]),
        ("date: 2026-01-02\n", "date: 2026/01/02\n", &[("date_form", 8, 7)]),
        (
            "date: 2026-01-02\n",
            "date: 2026-01-02\nmodified: 2025-12-31\n",
            &[("date_order", 9, 11)],
        ),
        (
            "description: A program lists the users of the system\n",
            "",
            &[("missing_description", 1, 0)],
        ),
        (
            "A program lists the users of the system",
            "Bad",
            &[("missing_description", 4, 14)],
        ),
        (
            "references:\n  - https://example.com/users\n",
            "",
            &[("missing_references", 1, 0)],
        ),
        (
            "falsepositives:\n  - Administrators\n",
            "",
            &[("missing_falsepositives", 1, 0)],
        ),
        (
            "tags:\n  - attack.discovery\n  - attack.t1087.001\n",
            "",
            &[("missing_tags", 1, 0)],
        ),
        ("attack.discovery", "Discovery", &[("tag_form", 10, 5)]),
        ("attack.discovery", "mine.discovery", &[("tag_namespace", 10, 5)]),
        ("attack.t1087.001", "attack.t1087.1", &[("tag_attack", 11, 5)]),
        ("0d1ee4a1-5e5f-4f0c-8f63-4c0f0fb3a4f1", "users-1", &[("id_form", 2, 5)]),
        (
            "title: Listing of users",
            "title: Listing of users.",
            &[("title_form", 1, 8)],
        ),
        (
            "level: low\n",
            "level: low\nlicense: 'my own!'\n",
            &[("license_form", 22, 10)],
        ),
        (
            "falsepositives:",
            "falsepositive:",
            &[("missing_falsepositives", 1, 0), ("misspelled_key", 19, 1)],
        ),
        ("product: linux", "product: Linux", &[("logsource_case", 14, 12)]),
        ("product: linux", "product: plan9", &[("logsource_unknown", 13, 3)]),
        (
            "product: linux",
            "product: linux\n  vendor: acme",
            &[("logsource_key", 15, 3)],
        ),
        (
            "condition: selection",
            "condition: not selection",
            &[("only_negated", 18, 14)],
        ),
        (
            "  condition: selection",
            "  other: {a: b}\n  condition: selection or not other",
            &[("negated_or", 19, 14)],
        ),
        (
            "  condition: selection",
            "  other: {a: b}\n  condition: selection",
            &[("unused_search", 18, 3)],
        ),
        ("condition: selection", "condition: 1 of sel*", &[("of_one", 18, 14)]),
        (
            "Image|endswith: /getent",
            "Image|endswith: '*/getent'",
            &[("redundant_wildcard", 17, 21)],
        ),
        (
            "Image|endswith: /getent",
            "Image: '*/getent'",
            &[("wildcard_for_modifier", 17, 12)],
        ),
        ("Image|endswith: /getent", "Image: '*'", &[("any_value", 17, 12)]),
        (
            "Image|endswith: /getent",
            "Image|endswith: [/getent, /GETENT]",
            &[("duplicate_value", 17, 31)],
        ),
        (
            "Image|endswith: /getent",
            "Image|re: 'getent'",
            &[("regex_literal", 17, 15)],
        ),
        (
            "Image|endswith: /getent",
            "Image|re: '.*get[a-z]nt'",
            &[("regex_wildcard_end", 17, 15)],
        ),
        (
            "Image|endswith: /getent",
            "Image|contains: g",
            &[("short_value", 17, 21)],
        ),
        (
            "Image|endswith: /getent",
            "'|all': [getent, ls]",
            &[("short_keyword", 17, 22)],
        ),
        (
            "Image|endswith: /getent",
            "Image|contains|windash: getent",
            &[("windash_without_dash", 17, 5)],
        ),
        (
            "Image|endswith: /getent",
            "Image|endswith|cased: '/1'",
            &[("cased_without_letters", 17, 5)],
        ),
        (
            "Image|endswith: /getent",
            "Image|endswit: /getent",
            &[("refused", 17, 5)],
        ),
        (
            "Image|endswith: /getent",
            "Image|expand: '%image%'",
            &[("refused", 17, 19)],
        ),
    ];
    for (from, to, expected) in cases {
        assert!(CLEAN.contains(from), "{from}");
        let mut found = codes(&CLEAN.replacen(from, to, 1));
        // A rule refused by form has no other findings; a placeholder leaves the rest as it is.
        found.sort_unstable();
        let mut expected = expected.to_vec();
        expected.sort_unstable();
        assert_eq!(found, expected, "{from} -> {to}");
    }
}

#[test]
fn names_that_must_be_unique_are_told_across_files() {
    let mut linter = Linter::new(Catalog::builtin());
    assert_eq!(linter.file("a.yml", CLEAN), []);
    let again = linter.file("b.yml", CLEAN);
    let found: Vec<&str> = again.iter().map(|lint| lint.code).collect();
    assert_eq!(found, ["duplicate_title", "duplicate_id"]);
    assert!(again[1].message.contains("a.yml:2"), "{}", again[1]);
    let third = linter.file("With Spaces.YAML", &CLEAN.replace("0d1ee4a1", "1d1ee4a1"));
    let found: Vec<&str> = third.iter().map(|lint| lint.code).collect();
    assert_eq!(found, ["file_name", "duplicate_title"]);
}

#[test]
fn every_code_is_in_the_reference() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/rules.md");
    let text = std::fs::read_to_string(path).unwrap();
    for code in CODES {
        let row = format!("| `{}` | {} |", code.name, code.severity.as_str());
        assert!(text.contains(&row), "docs/reference/rules.md lacks the row {row}");
    }
}

#[test]
fn every_public_rule_can_be_linted() {
    let Some(root) = std::env::var_os("PICKET_SIGMAHQ").map(PathBuf::from) else {
        println!("skipped: PICKET_SIGMAHQ names no checkout of SigmaHQ/sigma");
        return;
    };
    let (mut pending, mut counts, mut linter) = (vec![root], BTreeMap::new(), Linter::new(Catalog::builtin()));
    while let Some(folder) = pending.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                pending.push(path);
            } else if path.extension().is_some_and(|extension| extension == "yml") {
                for found in linter.file(&path.to_string_lossy(), &std::fs::read_to_string(&path).unwrap()) {
                    *counts.entry(found.code).or_insert(0) += 1;
                    if found.severity != Severity::Info {
                        println!("{found}");
                    }
                }
            }
        }
    }
    println!("{counts:#?}");
}
