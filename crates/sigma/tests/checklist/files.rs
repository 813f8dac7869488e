//! Section A: files and metadata.

use std::path::{Path, PathBuf};
use std::process::Command;

use model::Level;
use sigma::{Document, DocumentKind, RelatedKind, Status, parse_documents, parse_rules};

use super::{check_refused, rule_text};

const MINIMAL: &str = "logsource: {product: linux}\ndetection: {s: {a: b}, condition: s}\n";

#[test]
fn multi_document_files_with_either_line_end() {
    let one = format!("title: One\nid: r1\n{MINIMAL}");
    let two = format!("title: Two\nid: r2\n{MINIMAL}");
    let file = format!("---\n{one}---\n{two}");
    for text in [file.clone(), file.replace('\n', "\r\n")] {
        let ids: Vec<String> = parse_rules("f.yml", &text)
            .into_iter()
            .map(|rule| rule.unwrap().metadata.id.clone())
            .collect();
        assert_eq!(ids, ["r1", "r2"]);
    }
}

#[test]
fn a_bad_document_leaves_the_others_alone_and_tells_its_line() {
    let text = format!(
        "title: One\nid: r1\n{MINIMAL}---\ntitle: Two\nid: r2\nlevel: severe\n{MINIMAL}---\ntitle: Three\nid: r3\n{MINIMAL}"
    );
    let results = parse_rules("f.yml", &text);
    assert_eq!(results.len(), 3);
    assert!(results[0].is_ok() && results[2].is_ok());
    let error = results[1].as_ref().unwrap_err();
    assert_eq!((error.line, error.field.as_str()), (Some(8), "level"));
    assert!(
        error
            .to_string()
            .starts_with("f.yml:8:8: level: expected one of informational"),
        "{error}"
    );
}

#[test]
fn a_file_holds_rules_correlations_and_filters() {
    let text = format!(
        "title: One\nid: r1\nname: one\n{MINIMAL}---\ntitle: C\nid: c1\ncorrelation: {{type: event_count, rules: one, \
         timespan: 1m, condition: {{gte: 2}}}}\n---\ntitle: F\nid: f1\nlogsource: {{product: linux}}\nfilter: \
         {{rules: [r1], s: {{a: c}}, condition: s}}\n"
    );
    let documents: Vec<Document> = parse_documents("f.yml", &text)
        .into_iter()
        .map(Result::unwrap)
        .collect();
    let seen: Vec<(DocumentKind, &str)> = documents
        .iter()
        .map(|document| (document.kind(), document.id()))
        .collect();
    assert_eq!(
        seen,
        [
            (DocumentKind::Rule, "r1"),
            (DocumentKind::Correlation, "c1"),
            (DocumentKind::Filter, "f1")
        ]
    );
    check_refused(
        &format!("title: X\nid: x\n{MINIMAL}filter: {{}}\n"),
        "filter: expected one of detection, correlation and filter, got detection and filter",
    );
}

#[test]
fn callers_that_take_only_rules_are_told_of_the_other_documents() {
    check_refused(
        "title: C\nid: c1\ncorrelation: {type: event_count, rules: one, timespan: 1m, condition: {gte: 2}}\n",
        "correlation: expected a detection rule, got a correlation",
    );
    check_refused(
        "title: F\nid: f1\nlogsource: {product: linux}\nfilter: {rules: any, s: {a: c}, condition: s}\n",
        "filter: expected a detection rule, got a filter",
    );
}

#[test]
fn action_collections_are_refused() {
    check_refused(
        &format!("action: global\ntitle: G\nid: g1\n{MINIMAL}"),
        "`action` collections",
    );
}

#[test]
fn unknown_top_level_keys_are_kept_as_custom_attributes() {
    let text = format!("title: One\nid: r1\nteam: {{name: blue, size: 3}}\nregression: true\n{MINIMAL}");
    let rule = parse_rules("f.yml", &text).remove(0).unwrap();
    assert_eq!(rule.custom["team"]["size"], 3);
    assert_eq!(rule.custom["regression"], true);
    assert!(!rule.custom.contains_key("title"));
}

#[test]
fn metadata() {
    let text = format!(
        "title: One\nid: 5f0d6d0e-58f5-4d3a-a2a8-3f3c3d9f7f10\nname: one\nstatus: stable\ndescription: |\n  Two\n  lines\n\
         license: MIT\nauthor: Someone\nreferences: [https://example.org]\ndate: 2026-01-02\nmodified: 2026-01-03\n\
         related: [{{id: x, type: similar}}]\ntaxonomy: sigma\nscope: [server]\nlevel: high\n\
         tags: [attack.t1110.001, attack.t1110.001]\nfields: [a, b]\nfalsepositives: [None]\n{MINIMAL}"
    );
    let rule = parse_rules("f.yml", &text).remove(0).unwrap();
    assert_eq!(
        (rule.title.as_str(), rule.level, rule.status),
        ("One", Level::High, Some(Status::Stable))
    );
    assert_eq!((rule.name.as_deref(), rule.author.as_str()), (Some("one"), "Someone"));
    assert_eq!(
        (rule.description.as_str(), rule.tags.len(), rule.fields.len()),
        ("Two\nlines\n", 1, 2)
    );
    assert_eq!(
        (rule.references.len(), rule.false_positives.len(), rule.custom.len()),
        (1, 1, 0)
    );
    assert_eq!(
        (rule.license.as_deref(), rule.taxonomy.as_deref(), rule.scope.as_slice()),
        (Some("MIT"), Some("sigma"), ["server".to_owned()].as_slice())
    );
    assert_eq!(
        (rule.date.as_deref(), rule.modified.as_deref()),
        (Some("2026-01-02"), Some("2026-01-03"))
    );
    assert_eq!(
        (rule.related[0].id.as_str(), rule.related[0].kind),
        ("x", RelatedKind::Similar)
    );
}

#[test]
fn related_documents_of_every_type() {
    for (word, kind) in RelatedKind::ALL {
        let text = format!("title: One\nid: r1\nrelated: [{{id: x, type: {word}}}]\n{MINIMAL}");
        assert_eq!(parse_rules("f.yml", &text).remove(0).unwrap().related[0].kind, kind);
    }
    check_refused(
        &format!("title: One\nid: r1\nrelated: [{{id: x, type: cousin}}]\n{MINIMAL}"),
        "related.type: expected one of derived, obsolete, merged, renamed, similar, got `cousin`",
    );
}

#[test]
fn a_document_without_an_id_gets_one_that_stays() {
    let id = |title: &str| {
        parse_rules("f.yml", &format!("title: {title}\n{MINIMAL}"))
            .remove(0)
            .unwrap()
            .metadata
            .id
            .clone()
    };
    assert_eq!(id("One"), id("One"));
    assert_ne!(id("One"), id("Two"));
    assert_eq!(id("One").len(), 36);
}

#[test]
fn the_positive_samples_of_the_json_schemas_load() {
    let root = std::env::var_os("PICKET_SHARED").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared"),
        PathBuf::from,
    );
    let archive = root.join("sigma/sigma-schemas-and-samples-ba9251a.tar.gz");
    if !archive.exists() {
        println!("skipped: {} is not there", archive.display());
        return;
    }
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("sigma-schema-samples");
    std::fs::create_dir_all(&target).unwrap();
    let tar = Command::new("tar")
        .arg("-xzf")
        .arg(archive)
        .arg("-C")
        .arg(&target)
        .status();
    assert!(tar.unwrap().success());
    let mut count = 0;
    for folder in ["rules", "correlation", "filter"] {
        for entry in std::fs::read_dir(target.join("tests/schema").join(folder)).unwrap() {
            let path = entry.unwrap().path();
            for document in parse_documents("sample.yml", &std::fs::read_to_string(&path).unwrap()) {
                if let Err(error) = document {
                    panic!("{}: {error}", path.display());
                }
                count += 1;
            }
        }
    }
    assert!(count >= 12, "{count}");
}

#[test]
fn level_defaults_to_medium() {
    let rule = parse_rules("f.yml", &format!("title: One\nid: r1\n{MINIMAL}"))
        .remove(0)
        .unwrap();
    assert_eq!((rule.level, rule.status), (Level::Medium, None));
}

#[test]
fn the_revision_is_the_hash_of_the_document() {
    let revision = |text: &str| parse_rules("f.yml", text).remove(0).unwrap().metadata.revision.clone();
    let first = revision(&rule_text("s: {a: b}\ncondition: s"));
    assert_eq!(first.len(), 16);
    assert_eq!(first, revision(&rule_text("s: {a: b}\ncondition: s")));
    assert_ne!(first, revision(&rule_text("s: {a: c}\ncondition: s")));
}

#[test]
fn required_and_malformed_metadata_is_refused_by_name() {
    let long = "x".repeat(257);
    for (head, expected) in [
        ("title: T\nid: ''", "id: expected 1 to 128 characters"),
        ("title: T\nid: a b", "id: expected 1 to 128 characters"),
        ("title: T\nid: [a]", "id: expected text, got a list"),
        ("id: r1", "title: expected text, got nothing"),
        (&format!("id: r1\ntitle: {long}"), "title: expected 1 to 256 characters"),
        (
            "id: r1\ntitle: T\nstatus: draft",
            "test.yml:3:9: status: expected one of stable",
        ),
        (
            "id: r1\ntitle: T\nlevel: severe",
            "test.yml:3:8: level: expected one of informational",
        ),
        ("id: r1\ntitle: T\ntags: {a: b}", "tags: expected a list of texts"),
    ] {
        check_refused(&format!("{head}\n{MINIMAL}"), expected);
    }
}
