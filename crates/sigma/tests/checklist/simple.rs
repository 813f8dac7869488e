//! The simple rule format: `contains`, `equals`, `regex`, `any`, `all`.

use serde_json::{Value as Json, json};
use sigma::{Rule, parse_rules};

use super::{check_refused, rule_matches};

fn rules(text: &str) -> Vec<Rule> {
    parse_rules("rules/default.yml", text)
        .into_iter()
        .map(|rule| rule.unwrap_or_else(|error| panic!("{error}\n{text}")))
        .collect()
}

fn check(tests: &str, cases: &[(Json, bool)]) {
    let rule = rules(&format!("rules:\n  - title: T\n    match: {tests}\n")).remove(0);
    for (event, expected) in cases {
        assert_eq!(rule_matches(&rule, event), *expected, "{tests}\non {event}");
    }
}

/// A file in the shape of the one that comes with the MVP.
const DEFAULT: &str = r#"
rules:
  - id: ssh_failed_password
    name: SSH failed password
    severity: medium
    description: Somebody guesses.
    tags: [attack.t1110]
    match:
      contains: "Failed password"

  - id: root_login
    title: Login as root
    severity: 4
    match:
      all:
        - field: program
          equals: sshd
        - contains: "Accepted"
        - any:
            - regex: "for root from (10|192)\\."
            - {field: user, equals: [root, toor]}

  - id: demo_host
    title: Anything of the demo host
    level: info
    any:
      - {field: host, equals: demo-host}
      - {field: fields.ticket, equals: 7}
"#;

#[test]
fn the_mvp_s_file_loads_and_finds_what_it_says() {
    let rules = rules(DEFAULT);
    let seen: Vec<(&str, &str, &str)> = rules
        .iter()
        .map(|rule| (rule.id.as_str(), rule.title.as_str(), rule.level.as_str()))
        .collect();
    assert_eq!(
        seen,
        [
            ("ssh_failed_password", "SSH failed password", "medium"),
            ("root_login", "Login as root", "high"),
            ("demo_host", "Anything of the demo host", "informational")
        ]
    );
    let readme = json!({
        "source": "syslog", "host": "demo-host", "program": "sshd",
        "message": "Failed password for invalid user admin from 10.0.0.5 port 53422 ssh2"
    });
    let login = json!({"host": "web", "program": "sshd", "message": "Accepted password for root from 10.0.0.5 port 1"});
    for (event, expected) in [
        (&readme, [true, false, true]),
        (&login, [false, true, false]),
        (
            &json!({"message": "Accepted", "program": "sshd", "user": "toor"}),
            [false, true, false],
        ),
        (
            &json!({"message": "Accepted", "program": "login", "user": "toor"}),
            [false, false, false],
        ),
        (&json!({"ticket": 7}), [false, false, true]),
    ] {
        let got: Vec<bool> = rules.iter().map(|rule| rule_matches(rule, event)).collect();
        assert_eq!(got, expected, "{event}");
    }
}

#[test]
fn contains_equals_and_regex() {
    check(
        "{contains: failed}",
        &[
            (json!({"message": "It FAILED twice"}), true),
            (json!({"other": "failed"}), false),
        ],
    );
    check(
        "{field: a.b, equals: 'x*'}",
        &[(json!({"a": {"b": "X*"}}), true), (json!({"a": {"b": "xy"}}), false)],
    );
    check(
        "{field: a, contains: '\\?'}",
        &[(json!({"a": "1\\?2"}), true), (json!({"a": "1\\x2"}), false)],
    );
    check(
        "{regex: '^b[ao]d$'}",
        &[(json!({"message": "bad"}), true), (json!({"message": "BAD"}), false)],
    );
    check("{regex: '(?i)^b[ao]d$'}", &[(json!({"message": "BAD"}), true)]);
    check(
        "{field: n, equals: 5}",
        &[
            (json!({"n": 5}), true),
            (json!({"n": "5"}), true),
            (json!({"n": 6}), false),
        ],
    );
    check(
        "{contains: [a, b]}",
        &[(json!({"message": "xb"}), true), (json!({"message": "x"}), false)],
    );
    check(
        "{contains: {message: a, user: [x, y]}}",
        &[
            (json!({"message": "a", "user": "ay"}), true),
            (json!({"message": "a", "user": "z"}), false),
        ],
    );
}

#[test]
fn any_and_all_nest() {
    let tests =
        "{any: [{all: [{contains: a}, {contains: b}]}, {all: [{contains: c}, {any: [{contains: d}, {contains: e}]}]}]}";
    for (message, expected) in [("ab", true), ("a", false), ("ce", true), ("c", false), ("de", false)] {
        check(tests, &[(json!({"message": message}), expected)]);
    }
    check(
        "[{contains: a}, {contains: b}]",
        &[(json!({"message": "ab"}), true), (json!({"message": "a"}), false)],
    );
}

#[test]
fn lists_and_single_rules_load_and_a_bad_one_leaves_the_others_alone() {
    assert_eq!(
        rules("- {title: A, contains: a}\n- {title: B, when: {equals: b}}\n").len(),
        2
    );
    assert_eq!(rules("title: A\ncontains: a\nlogsource: {product: linux}\n").len(), 1);
    let parsed = parse_rules(
        "r.yml",
        "rules:\n  - title: A\n    match: {contains: a}\n  - title: B\n    match: {regex: '('}\n  - {title: C, contains: c}\n",
    );
    assert_eq!(
        parsed.iter().map(Result::is_ok).collect::<Vec<_>>(),
        [true, false, true]
    );
    let error = parsed[1].as_ref().unwrap_err();
    assert_eq!((error.line, error.field.as_str()), (Some(5), "match.regex"));
}

#[test]
fn a_rule_of_a_list_is_stored_on_its_own_and_keeps_its_id() {
    for rule in rules(DEFAULT) {
        let again = parse_rules(&rule.path, &rule.yaml).remove(0).unwrap();
        assert_eq!(
            (&again.id, &again.title, again.level, &again.revision),
            (&rule.id, &rule.title, rule.level, &rule.revision)
        );
        assert!(again.logsource == rule.logsource);
    }
    let without_id = rules("rules: [{title: A, contains: a}]").remove(0);
    assert_eq!(without_id.id, rules("title: A\ncontains: b\n").remove(0).id);
}

#[test]
fn mistakes_name_line_and_field() {
    let rule = |tests: &str| format!("rules:\n  - title: T\n    match: {tests}\n");
    for (tests, expected) in [
        (
            "{contain: a}",
            "match.contain: expected one of field, contains, equals, regex, any, all, got `contain`",
        ),
        ("{all: []}", "match.all: expected at least one test, got an empty list"),
        (
            "{any: [a]}",
            "match.any[0]: expected a map or a list of tests, got text",
        ),
        (
            "{all: [{contains: a}, {regex: '(?=x)'}]}",
            "match.all[1].regex: expected a regular expression",
        ),
        ("{contains: ''}", "match.contains: expected text, got empty text"),
        ("{contains: [[a]]}", "match.contains: expected text, got a list"),
        ("{field: '', contains: a}", "match.field: expected the name of a field"),
        (
            "{field: a}",
            "match: expected one of contains, equals, regex, any, all, got none",
        ),
        ("soon", "match: expected a map or a list of tests, got text"),
    ] {
        check_refused(&rule(tests), "folder/test.yml:3:");
        check_refused(&rule(tests), expected);
    }
    check_refused(
        "rules: [{title: T, severity: 6, contains: a}]",
        "severity: expected one of informational, low, medium, high, critical, or 1 to 5, got 6",
    );
    check_refused(
        "rules: [{severity: 5, contains: a}]",
        "title: expected text, got nothing",
    );
    check_refused(
        "rules: [{title: T}]",
        "match: expected one of contains, equals, regex, any, all or match",
    );
}
