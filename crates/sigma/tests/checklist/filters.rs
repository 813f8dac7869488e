//! Section G: filters.

use serde_json::{Value as Json, json};
use sigma::{Catalog, Document, Filter, Rule, RuleSet, Scratch, parse_documents};

use super::{check_refused, event};

const RULES: &str = "
title: Process
id: r1
name: process
logsource: {category: process_creation, product: windows}
detection: {s: {Image|endswith: '\\rar.exe'}, condition: s}
---
title: Another
id: r2
logsource: {category: process_creation, product: windows}
detection: {s: {Image|endswith: '.exe'}, condition: s}
---
title: Login
id: r3
logsource: {product: linux, service: sshd}
detection: {s: {event.action: login}, condition: s}
";

fn documents(filters: &str) -> (Vec<Rule>, Vec<Filter>) {
    let (mut rules, mut parsed) = (Vec::new(), Vec::new());
    for document in parse_documents("f.yml", &format!("{RULES}---\n{filters}")) {
        match document.unwrap() {
            Document::Rule(rule) => rules.push(rule),
            Document::Filter(filter) => parsed.push(filter),
            Document::Correlation(_) => panic!("no correlation here"),
        }
    }
    (rules, parsed)
}

/// Which rules match, and what was refused.
fn matches(filters: &str, json: &Json) -> (Vec<String>, Vec<String>) {
    let (rules, filters) = documents(filters);
    let (set, refused) = RuleSet::compile_with(rules, Catalog::builtin(), &filters);
    let mut hits = Vec::new();
    set.evaluate(&event(json), &mut Scratch::new(), &mut hits);
    (
        hits.into_iter().map(|hit| set.rules()[hit].id.clone()).collect(),
        refused.iter().map(ToString::to_string).collect(),
    )
}

fn process(user: &str) -> Json {
    json!({"Channel": "Microsoft-Windows-Sysmon/Operational", "EventID": 1, "Image": "C:\\rar.exe", "User": user})
}

fn filter(rules: &str) -> String {
    format!(
        "title: Administrators\nlogsource: {{category: process_creation, product: windows}}\nfilter:\n  rules: {rules}\n  \
         selection: {{User|startswith: adm_}}\n  condition: selection\n"
    )
}

#[test]
fn filters_take_events_away_from_the_rules_they_name_by_id_or_name() {
    for reference in ["[r1]", "[process]", "process", "[process, r1]"] {
        let filter = filter(reference);
        assert_eq!(matches(&filter, &process("adm_eve")).0, ["r2"], "{reference}");
        assert_eq!(matches(&filter, &process("eve")).0, ["r1", "r2"], "{reference}");
    }
}

#[test]
fn filters_for_any_rule_reach_those_of_their_logsource() {
    for any in ["any", "ANY", "[]"] {
        assert_eq!(matches(&filter(any), &process("adm_eve")).0, [""; 0], "{any}");
    }
    let login = json!({"host.os.type": "linux", "process.name": "sshd", "event.action": "login", "User": "adm_eve"});
    assert_eq!(matches(&filter("any"), &login).0, ["r3"]);
}

#[test]
fn filter_fields_mean_what_they_mean_in_the_rule() {
    let ecs = json!({"Channel": "Microsoft-Windows-Sysmon/Operational", "EventID": 1, "Image": "C:\\rar.exe",
                     "user.name": "adm_eve"});
    assert_eq!(matches(&filter("any"), &ecs).0, [""; 0]);
}

#[test]
fn several_filters_on_one_rule_each_take_their_events_away() {
    let two = format!("{}---\n{}", filter("[r1]"), filter("[r1]").replace("adm_", "svc_"));
    for (user, expected) in [
        ("adm_eve", vec!["r2"]),
        ("svc_eve", vec!["r2"]),
        ("eve", vec!["r1", "r2"]),
    ] {
        assert_eq!(matches(&two, &process(user)).0, expected, "{user}");
    }
}

#[test]
fn filter_conditions_are_whole_conditions() {
    let text = "title: F\nid: f1\nlogsource: {product: windows}\nfilter:\n  rules: any\n  sel_a: {User: [a, b]}\n  sel_b: {Image|contains: rar}\n  condition: all of sel_* and not 1 of other*\n  other: {User: b}\n";
    assert_eq!(matches(text, &process("a")).0, [""; 0]);
    assert_eq!(matches(text, &process("b")).0, ["r1", "r2"]);
}

#[test]
fn filters_that_would_do_nothing_are_refused() {
    let (_, refused) = matches(&filter("[r1, gone]"), &process("x"));
    assert_eq!(refused.len(), 1, "{refused:?}");
    assert!(refused[0].contains("filter.rules: expected ids or names of rules, got `gone`, which no rule has"));
    let (_, refused) = matches(&filter("[r3]"), &process("x"));
    assert!(
        refused[0].contains("expected rules of the filter's logsource, got `r3` (Login)"),
        "{refused:?}"
    );
}

#[test]
fn malformed_filters_are_refused_by_name() {
    let head = "title: F\nid: f1\nlogsource: {product: windows}\n";
    for (section, expected) in [
        (
            "filter: {s: {a: b}, condition: s}",
            "filter.rules: expected ids or names of rules, or `any`, got nothing",
        ),
        (
            "filter: {rules: 5, s: {a: b}, condition: s}",
            "filter.rules: expected ids or names of rules, or `any`, got a number",
        ),
        (
            "filter: {rules: any, s: {a: b}}",
            "filter.condition: expected a condition, got nothing",
        ),
        (
            "filter: {rules: any, s: {a|foo: b}, condition: s}",
            "filter.s.a|foo: expected a modifier",
        ),
        (
            "filter: [a]",
            "filter: expected a map of rules, searches and a condition",
        ),
    ] {
        check_refused(&format!("{head}{section}\n"), expected);
    }
    check_refused(
        "title: F\nid: f1\nfilter: {rules: any, s: {a: b}, condition: s}\n",
        "logsource: expected category, product or service, got nothing",
    );
}

#[test]
fn filters_without_an_id_get_one_from_their_title() {
    let (_, filters) = documents(&filter("any"));
    assert_eq!(filters[0].id.len(), 36);
    assert_eq!(filters[0].id, documents(&filter("[r1]")).1[0].id);
}
