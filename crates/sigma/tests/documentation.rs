//! The pipeline in the reference is one: it loads and does what it says.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test helper fails by panicking")]

use std::path::Path;

use sigma::ast::{Expr, Subject};
use sigma::{Catalog, parse_rules};

fn pipeline() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/sigma.md");
    let text = std::fs::read_to_string(path).unwrap();
    let (_, rest) = text.split_once("```yaml\nname: Our site").unwrap();
    let (body, _) = rest.split_once("```").unwrap();
    format!("name: Our site{body}")
}

fn fields(expr: &Expr, out: &mut Vec<String>) {
    match expr {
        Expr::And(terms) | Expr::Or(terms) | Expr::AtLeast(_, terms) => terms.iter().for_each(|term| fields(term, out)),
        Expr::Not(term) => fields(term, out),
        Expr::Test(test) => {
            if let Subject::Field(field) = &test.subject {
                out.push(field.name.to_string());
                out.extend(field.others.iter().map(ToString::to_string));
            }
        }
    }
}

#[test]
fn the_documented_pipeline_does_what_it_says() {
    let catalog =
        Catalog::with_pipelines(&[("site.yml".to_owned(), pipeline())]).unwrap_or_else(|errors| panic!("{errors:?}"));
    for (logsource, item, expected) in [
        ("category: firewall", "dst_port: 22", "acme_dport"),
        (
            "category: process_creation, product: windows",
            "Hashes|contains: SHA256=AB",
            "process.hash.sha256",
        ),
        (
            "product: windows, service: security",
            "IntegrityLevel: High",
            "token.integrity",
        ),
        (
            "product: windows, service: security",
            "User|expand: '%domain_controllers%'",
            "User",
        ),
    ] {
        let text = format!("title: T\nid: t\nlogsource: {{{logsource}}}\ndetection: {{s: {{{item}}}, condition: s}}\n");
        let rule = parse_rules("t.yml", &text).remove(0).unwrap();
        let resolved = catalog.resolve(&rule).unwrap();
        let mut names = Vec::new();
        fields(&resolved.detection, &mut names);
        assert!(names.iter().any(|name| name == expected), "{item}: {names:?}");
    }
    let firewall = parse_rules(
        "t.yml",
        "title: T\nid: t\nlogsource: {category: firewall}\ndetection: {s: {a: b}, condition: s}\n",
    )
    .remove(0)
    .unwrap();
    let mut names = Vec::new();
    fields(&catalog.resolve(&firewall).unwrap().gate, &mut names);
    assert!(names.iter().any(|name| name == "log_source"));
}
