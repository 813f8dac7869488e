//! Section D, last line: what does not make sense is refused by name, never ignored.

use super::{check_detection_refused, check_refused};

fn check_item_refused(item: &str, expected: &str) {
    check_detection_refused(&format!("selection:\n  {item}\ncondition: selection"), expected);
}

#[test]
fn unknown_modifiers() {
    check_item_refused(
        "a|foo: x",
        "test.yml:7:5: detection.selection.a|foo: expected a modifier of Sigma 2, got `foo`",
    );
    check_item_refused("a|: x", "expected a modifier after `|`");
    check_item_refused("a|Contains: x", "got `Contains`");
    check_item_refused("a|contains|contains: x", "expected modifier `contains` once");
}

#[test]
fn all_on_a_single_value() {
    check_item_refused("a|contains|all: x", "expected at least two values for `all`, got one");
    check_item_refused("a|all: [x]", "expected at least two values for `all`, got one");
}

#[test]
fn numeric_modifiers_on_text() {
    check_item_refused("a|gt: x", "detection.selection.a|gt: expected a number, got text");
    check_item_refused("a|lte: '5'", "expected a number, got text");
    check_item_refused("a|hour: noon", "expected a number, got text");
    check_item_refused("a|gt: [1, x]", "expected a number, got text");
}

#[test]
fn unresolved_placeholders() {
    check_item_refused(
        "a|expand: '%admins%'",
        "expected no unresolved placeholder, got `%admins%`",
    );
    check_item_refused("a|contains|expand: 'x%servers%'", "got `%servers%`");
    check_item_refused("a|expand|cidr: '%nets%'", "got `%nets%`");
}

#[test]
fn regular_expressions_that_cannot_be_used() {
    for pattern in ["(?=x)", "(?<!x)y", r"(a)\1", "(", "[z-a]", "a{100}{100}{100}"] {
        check_item_refused(
            &format!("a|re: '{pattern}'"),
            "detection.selection.a|re: expected a regular expression",
        );
    }
    check_item_refused(
        &format!("a|re: '{}x{}'", "(".repeat(200), ")".repeat(200)),
        "expected a regular expression",
    );
    check_item_refused("a|re: 5", "expected a regular expression as text, got a number");
}

#[test]
fn modifiers_that_do_not_go_together() {
    for (item, expected) in [
        (
            "a|re|contains: x",
            "expected contains, startswith and endswith only on text and fieldref",
        ),
        (
            "a|contains|endswith: x",
            "expected only one of contains, startswith and endswith",
        ),
        ("a|re|cidr: x", "expected only one of re, cidr"),
        ("a|i: x", "expected `i` only after `re`"),
        ("a|re|all|i: [x, y]", "expected `i` directly after `re`"),
        ("a|re|cased: x", "expected `cased` only on text and fieldref"),
        ("a|re|windash: x", "expected `windash` only on text"),
        ("a|contains|base64: x", "expected `base64` before contains"),
        ("a|base64|wide: x", "then one of base64, base64offset, got `wide`"),
        ("a|wide|utf16be: x", "expected at most one of wide"),
        ("a|windash|base64: x", "expected encodings only on text without windash"),
        ("a|lt|gt: 1", "expected only one of lt, lte, gt and gte"),
        ("a|hour|day: 1", "expected only one of minute"),
        ("a|exists|neq: true", "expected `exists` without all and neq"),
        ("a|fieldref|expand: b", "expected `expand` only on"),
    ] {
        check_item_refused(item, expected);
    }
}

#[test]
fn values_of_the_wrong_kind() {
    for (item, expected) in [
        ("a|cidr: 10.0.0.0/40", "expected a network such as 10.0.0.0/8"),
        ("a|cidr: 10", "expected a network as text, got a number"),
        ("a|exists: maybe", "expected true or false, got text"),
        ("a|fieldref: 5", "expected the name of a field as text"),
        ("a|fieldref: ''", "expected the name of a field, got empty text"),
        ("a|contains: null", "expected text, got nothing"),
        (
            "a|base64: 'x*'",
            "expected text without wildcards and placeholders for an encoding",
        ),
        ("a|utf16: x", "expected base64 or base64offset behind this encoding"),
        ("a: {b: c}", "expected a value, got a map"),
        ("a: [[b]]", "expected a value, got a list"),
        ("a: []", "expected at least one value, got an empty list"),
        ("'|contains': null", "expected a keyword, got nothing"),
        ("'|exists': true", "expected a field before `exists`"),
        ("'|fieldref': b", "expected a field before `fieldref`"),
    ] {
        check_item_refused(item, expected);
    }
}

#[test]
fn empty_searches() {
    for (detection, expected) in [
        (
            "s: {}\ncondition: s",
            "detection.s: expected at least one field, got an empty map",
        ),
        (
            "s: []\ncondition: s",
            "detection.s: expected at least one alternative, got an empty list",
        ),
        ("s: [{}]\ncondition: s", "expected at least one field"),
        (
            "s: null\ncondition: s",
            "detection.s: expected a map, a list or a keyword, got nothing",
        ),
        ("s: ['']\ncondition: s", "expected a keyword, got empty text"),
        ("s: [[a]]\ncondition: s", "expected a map or a keyword, got a list"),
        ("condition: s", "detection: expected at least one search"),
        ("s: {a: b}", "detection.condition: expected a condition, got nothing"),
    ] {
        check_detection_refused(detection, expected);
    }
}

#[test]
fn documents_that_are_no_rules() {
    let head = "title: T\nid: t1\n";
    for (document, expected) in [
        (
            format!("{head}logsource: {{product: linux}}\n"),
            "detection: expected searches and a condition, got nothing",
        ),
        (
            format!("{head}detection: {{s: {{a: b}}, condition: s}}\n"),
            "logsource: expected category, product or service",
        ),
        (
            format!("{head}logsource: {{definition: x}}\ndetection: {{s: {{a: b}}, condition: s}}\n"),
            "logsource: expected at least one of category, product and service",
        ),
        (
            format!("{head}logsource: {{product: [a]}}\ndetection: {{s: {{a: b}}, condition: s}}\n"),
            "logsource.product: expected a word",
        ),
        (
            format!("{head}logsource: {{product: linux}}\ndetection: [a]\n"),
            "detection: expected a map of searches",
        ),
        ("- a\n- b\n".to_owned(), "document: expected a map, got a list"),
        ("title: 'open\n".to_owned(), "document: expected valid YAML"),
        (format!("{head}title: U\n"), "document: expected valid YAML"),
        (String::new(), "file: expected a rule, got an empty document"),
        (
            format!("title: {}\n", "x".repeat(2 << 20)),
            "document: expected at most 1048576 bytes",
        ),
        (
            format!("title: {}\n", "[".repeat(100_000)),
            "document: expected valid YAML",
        ),
    ] {
        check_refused(&document, expected);
    }
}

#[test]
fn too_many_and_too_long_values() {
    let many: String = (0..20_001).map(|n| format!("  - v{n}\n")).collect();
    check_detection_refused(
        &format!("s:\n  a:\n{many}condition: s"),
        "expected at most 20000 values in a rule",
    );
    check_item_refused(
        &format!("a: {}", "x".repeat(16_385)),
        "expected a value of at most 16384 bytes",
    );
    check_item_refused(
        &format!("{}: x", "f".repeat(513)),
        "expected a field name of at most 512 bytes",
    );
}
