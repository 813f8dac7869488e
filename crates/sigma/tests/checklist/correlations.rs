//! Section F: correlation documents. What they find is in `tests/correlation`.

use std::path::{Path, PathBuf};
use std::process::Command;

use sigma::correlation::{BoundOp, Condition, CorrelationKind, Correlations, RuleExpr};
use sigma::{Correlation, Document, Rule, RuleError, parse_documents};

use super::check_refused;

fn rule(id: &str) -> String {
    format!(
        "title: T\nid: {id}\nname: name_{id}\nlevel: low\nlogsource: {{product: linux}}\ndetection: {{s: {{a: b}}, condition: s}}\n"
    )
}

fn text(section: &str) -> String {
    format!("title: C\nid: c1\ncorrelation: {{{section}}}\n")
}

fn parse(text: &str) -> Correlation {
    match parse_documents("c.yml", text).remove(0) {
        Ok(Document::Correlation(correlation)) => correlation,
        other => panic!("{other:?}"),
    }
}

fn compile(text: &str) -> (Vec<Rule>, Correlations, Vec<RuleError>) {
    let (mut rules, mut correlations) = (Vec::new(), Vec::new());
    for document in parse_documents("c.yml", text) {
        match document.unwrap() {
            Document::Rule(rule) => rules.push(rule),
            Document::Correlation(correlation) => correlations.push(correlation),
            Document::Filter(_) => {}
        }
    }
    let (compiled, errors) = Correlations::compile(correlations, &rules);
    (rules, compiled, errors)
}

fn check_compile_refused(text: &str, expected: &str) {
    let (_, _, errors) = compile(text);
    let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
    assert!(
        errors.iter().any(|error| error.contains(expected)),
        "{errors:?} lacks {expected}"
    );
}

#[test]
fn all_types() {
    for kind in CorrelationKind::ALL {
        let field = if kind.needs_field() { "field: f, " } else { "" };
        let percentile = if kind == CorrelationKind::ValuePercentile {
            "percentile: 95, "
        } else {
            ""
        };
        let parsed = parse(&text(&format!(
            "type: {}, rules: [a, b], group-by: [h], timespan: 5m, condition: {{{field}{percentile}gte: 2}}",
            kind.as_str()
        )));
        assert_eq!(
            (parsed.kind, parsed.rules.len(), parsed.group_by.as_slice()),
            (kind, 2, ["h".to_owned()].as_slice())
        );
    }
    check_refused(
        &text("type: count, rules: [a], timespan: 5m, condition: {gte: 1}"),
        "correlation.type: expected one of event_count",
    );
}

#[test]
fn extended_temporal_conditions() {
    let parsed = parse(&text(
        "type: temporal, rules: [rule_a, rule_b, rule_c], timespan: 5m, condition: rule_a and (rule_b or not rule_c)",
    ));
    let Condition::Rules(expr) = parsed.condition else {
        panic!("no expression")
    };
    assert_eq!(
        expr,
        RuleExpr::And(vec![
            RuleExpr::Matched(0),
            RuleExpr::Or(vec![RuleExpr::Matched(1), RuleExpr::Absent(2)])
        ])
    );
    let named_by_condition = parse(&text("type: temporal_ordered, timespan: 5m, condition: b and a"));
    assert_eq!(named_by_condition.rules, ["b", "a"]);
    for (condition, expected) in [
        (
            "a and x",
            "correlation.condition: expected one of the rules a, b, got `x`",
        ),
        ("a", "expected every rule in the condition, got none of b"),
        (
            "not a and not b",
            "expected a condition that only holds when a rule matched",
        ),
        ("a or not b", "expected a condition that only holds when a rule matched"),
        ("a and", "expected a rule or `(`, got the end"),
    ] {
        check_refused(
            &text(&format!(
                "type: temporal, rules: [a, b], timespan: 5m, condition: {condition}"
            )),
            expected,
        );
    }
    check_refused(
        &text("type: event_count, rules: [a], timespan: 5m, condition: a and b"),
        "only temporal correlations have a condition over rules",
    );
}

#[test]
fn temporal_correlations_without_a_condition_want_all_rules() {
    let parsed = parse(&text("type: temporal, rules: [a, b, c], group-by: [h], timespan: 5m"));
    let Condition::Bounds { bounds, .. } = parsed.condition else {
        panic!("no bounds")
    };
    assert_eq!((bounds[0].op, bounds[0].value), (BoundOp::Gte, 3.0));
    check_refused(
        &text("type: temporal, rules: [a, b], timespan: 5m, condition: {gte: 3}"),
        "expected a condition that a number from 1 to 2 meets, as there are 2 rules",
    );
}

#[test]
fn rules_by_id_or_name_to_rules_or_other_correlations() {
    let documents = format!(
        "{}---\n{}---\n{}---\n{}",
        rule("r1"),
        rule("r2"),
        "title: Outer\nid: c2\ncorrelation: {type: temporal, rules: [inner, name_r2], group-by: [h], timespan: 1h}\n",
        "title: Inner\nid: c1\nname: inner\ncorrelation: {type: event_count, rules: [r1], group-by: [h, u], timespan: 1m, condition: {gte: 3}}\n",
    );
    let (_, compiled, errors) = compile(&documents);
    assert!(errors.is_empty(), "{errors:?}");
    let ids: Vec<&str> = compiled.all().iter().map(|one| one.definition().id.as_str()).collect();
    assert_eq!(ids, ["c1", "c2"], "inner ones come first");
    assert!(compiled.silenced(0) && compiled.silenced(1));
    assert!(compiled.get(0).unwrap().is_silenced() && !compiled.get(1).unwrap().is_silenced());
}

#[test]
fn references_that_mean_nothing_or_too_much_are_refused() {
    let one = text("type: event_count, rules: [gone], timespan: 1m, condition: {gte: 3}");
    check_compile_refused(
        &one,
        "correlation.rules: expected ids or names of rules or correlations, got `gone`, which none in use has",
    );
    let twice = format!(
        "{}---\n{}---\n{}",
        rule("r1"),
        rule("r2").replace("name_r2", "name_r1"),
        text("type: event_count, rules: [name_r1], timespan: 1m, condition: {gte: 3}")
    );
    check_compile_refused(&twice, "got `name_r1`, which 2 have");
    let both = format!(
        "{}---\n{}",
        rule("r1"),
        text("type: event_count, rules: [r1, name_r1], timespan: 1m, condition: {gte: 3}")
    );
    check_compile_refused(&both, "expected each rule once, got `name_r1` as a second name of one");
    let same_id = format!(
        "{}---\n{}",
        rule("c1"),
        text("type: event_count, rules: [c1], timespan: 1m, condition: {gte: 3}")
    );
    check_compile_refused(&same_id, "id: expected an id of its own, got c1 again");
}

#[test]
fn cycles_are_refused_with_all_that_is_over_them() {
    let over = |id: &str, rules: &str| {
        format!(
            "title: C\nid: {id}\ncorrelation: {{type: event_count, rules: {rules}, timespan: 1m, condition: {{gte: 1}}}}\n"
        )
    };
    let documents = [
        over("a", "b"),
        over("b", "a"),
        over("c", "a"),
        over("d", "d"),
        over("e", "[r1]"),
        rule("r1"),
    ]
    .join("---\n");
    let (_, compiled, errors) = compile(&documents);
    assert_eq!(compiled.all().len(), 1);
    let cycles = errors
        .iter()
        .filter(|error| error.reason.contains("expected no correlation over itself"))
        .count();
    assert_eq!((errors.len(), cycles), (4, 3), "{errors:?}");
}

#[test]
fn chained_correlations_only_group_by_what_the_inner_one_groups_by() {
    let documents = format!(
        "{}---\n{}---\n{}",
        rule("r1"),
        "title: Inner\nid: c1\ncorrelation: {type: event_count, rules: [r1], group-by: [host], timespan: 1m, condition: {gte: 3}}\n",
        "title: Outer\nid: c2\ncorrelation: {type: event_count, rules: [c1], group-by: [user], timespan: 1h, condition: {gte: 2}}\n",
    );
    check_compile_refused(
        &documents,
        "correlation.group-by: expected fields that `Inner` groups by, as its alerts have no others, got `user`",
    );
}

#[test]
fn timespans() {
    for (written, seconds) in [
        ("30s", 30),
        ("15m", 900),
        ("2h", 7200),
        ("1d", 86_400),
        ("1w", 604_800),
        ("1M", 2_629_746),
        ("1y", 31_556_952),
    ] {
        let parsed = parse(&text(&format!(
            "type: event_count, rules: [a], timespan: {written}, condition: {{gte: 2}}"
        )));
        assert_eq!(parsed.timespan.seconds(), seconds, "{written}");
    }
    for written in [
        "0s",
        "5",
        "m",
        "1.5h",
        "-1m",
        "1 m",
        "11y",
        "99999999999s",
        "5x",
        "[1m]",
    ] {
        check_refused(
            &text(&format!(
                "type: event_count, rules: [a], timespan: {written}, condition: {{gte: 2}}"
            )),
            "correlation.timespan: expected a whole number above 0 and one of s, m, h, d, w, M and y",
        );
    }
}

#[test]
fn conditions_with_every_operator_ranges_fields_and_percentile() {
    for op in BoundOp::ALL {
        let parsed = parse(&text(&format!(
            "type: event_count, rules: [a], timespan: 1m, condition: {{{}: 7}}",
            op.as_str()
        )));
        let Condition::Bounds { bounds, .. } = parsed.condition else {
            panic!("no bounds")
        };
        assert_eq!((bounds.len(), bounds[0].op, bounds[0].value), (1, op, 7.0));
    }
    let range = parse(&text(
        "type: event_count, rules: [a], timespan: 1m, condition: {gt: 100, lte: 200}",
    ));
    let Condition::Bounds { bounds, .. } = range.condition else {
        panic!("no bounds")
    };
    assert_eq!(bounds.len(), 2);
    let tuple = parse(&text(
        "type: value_count, rules: [a], timespan: 1m, condition: {field: [user, host], gte: 2}",
    ));
    let Condition::Bounds { field, .. } = tuple.condition else {
        panic!("no bounds")
    };
    assert_eq!(field, ["user", "host"]);
    let percentile = parse(&text(
        "type: value_percentile, rules: [a], timespan: 1m, condition: {field: bytes, percentile: 99.9, gt: 0.5}",
    ));
    let Condition::Bounds { percentile, .. } = percentile.condition else {
        panic!("no bounds")
    };
    assert_eq!(percentile, Some(99.9));
}

#[test]
fn conditions_that_make_no_sense_are_refused() {
    for (section, expected) in [
        (
            "type: event_count, rules: [a], timespan: 1m",
            "correlation.condition: expected a map such as `gte: 10`, got nothing",
        ),
        (
            "type: event_count, rules: [a], timespan: 1m, condition: {}",
            "expected one or two of gt, gte, lt, lte, eq and neq, got 0",
        ),
        (
            "type: event_count, rules: [a], timespan: 1m, condition: {gt: 1, lt: 9, neq: 5}",
            "got 3",
        ),
        (
            "type: event_count, rules: [a], timespan: 1m, condition: {lt: 1}",
            "that nothing happened is not seen",
        ),
        (
            "type: event_count, rules: [a], timespan: 1m, condition: {gt: 5, lt: 5}",
            "expected a condition that some number from 1 on meets",
        ),
        (
            "type: event_count, rules: [a], timespan: 1m, condition: {gte: 1.5}",
            "expected a whole number from 0 to 10000",
        ),
        (
            "type: event_count, rules: [a], timespan: 1m, condition: {gte: 10001}",
            "expected a whole number from 0 to 10000",
        ),
        (
            "type: event_count, rules: [a], timespan: 1m, condition: {gte: '5'}",
            "expected a whole number from 0 to 10000",
        ),
        (
            "type: event_count, rules: [a], timespan: 1m, condition: {gte: 5, field: x}",
            "correlation.condition.field: expected one of gt",
        ),
        (
            "type: value_count, rules: [a], timespan: 1m, condition: {gte: 5}",
            "expected the field of value_count, got nothing",
        ),
        (
            "type: value_sum, rules: [a], timespan: 1m, condition: {gte: 5, field: [a, b]}",
            "expected one field for value_sum",
        ),
        (
            "type: value_percentile, rules: [a], timespan: 1m, condition: {gte: 5, field: a, percentile: 101}",
            "expected a number above 0 and at most 100",
        ),
        (
            "type: value_avg, rules: [a], timespan: 1m, condition: {gte: x, field: a}",
            "expected a number, got text",
        ),
        (
            "type: temporal_ordered, rules: [a, b], timespan: 1m, condition: {lt: 2}",
            "expected gt or gte",
        ),
        (
            "type: event_count, rules: [], timespan: 1m, condition: {gte: 1}",
            "expected the ids or names of one or more rules",
        ),
        (
            "type: event_count, rules: [a, a], timespan: 1m, condition: {gte: 1}",
            "correlation.rules: expected `a` once",
        ),
        (
            "type: event_count, rules: [a], timespan: 1m, condition: {gte: 1}, windows: 5",
            "correlation.windows: expected one of type",
        ),
        (
            "type: event_count, rules: [a], timespan: 1m, condition: {gte: 1}, generate: maybe",
            "correlation.generate: expected true or false",
        ),
        (
            "type: event_count, rules: [a], timespan: 1m, condition: {gte: 1}, aliases: {x: y}",
            "correlation.aliases.x: expected a map of rules to fields",
        ),
    ] {
        check_refused(&text(section), expected);
    }
}

#[test]
fn refusals_name_file_line_and_field() {
    let document = format!(
        "{}---\ntitle: C\nid: c1\ncorrelation:\n  type: event_count\n  rules: [a]\n  timespan: soon\n",
        rule("r1")
    );
    check_refused(&document.replacen(&rule("r1"), "", 1), "folder/test.yml:");
    let errors: Vec<RuleError> = parse_documents("f.yml", &document)
        .into_iter()
        .filter_map(Result::err)
        .collect();
    assert_eq!(errors.len(), 1);
    assert_eq!(errors[0].field, "correlation.condition");
}

#[test]
fn generate_keeps_the_rules_alerts_and_is_false_by_default() {
    let documents = |generate: &str| {
        format!(
            "{}---\n{}{generate}",
            rule("r1"),
            text("type: event_count, rules: [r1], timespan: 1m, condition: {gte: 3}")
        )
    };
    assert!(compile(&documents("")).1.silenced(0));
    assert!(compile(&documents("generate: false\n")).1.silenced(0));
    assert!(!compile(&documents("generate: true\n")).1.silenced(0));
    let inside = documents("").replace("gte: 3}", "gte: 3}, generate: true");
    assert!(!compile(&inside).1.silenced(0));
    // One correlation that wants the rule's own alerts is enough.
    let other =
        "---\ntitle: D\nid: d1\ncorrelation: {type: event_count, rules: [r1], timespan: 1m, condition: {gte: 9}}\n";
    assert!(
        !compile(&format!("{}{other}", documents("generate: true\n")))
            .1
            .silenced(0)
    );
}

#[test]
fn levels_are_overridden_or_the_worst_of_the_rules() {
    let documents = |level: &str| {
        format!(
            "{}---\n{}---\n{}{level}",
            rule("r1"),
            rule("r2").replace("level: low", "level: high"),
            text("type: event_count, rules: [r1, r2], timespan: 1m, condition: {gte: 3}")
        )
    };
    let level = |text: &str| compile(text).1.get(0).unwrap().level();
    assert_eq!(level(&documents("")), model::Level::High);
    assert_eq!(level(&documents("level: informational\n")), model::Level::Informational);
}

#[test]
fn aliases_name_rules_of_the_correlation() {
    let section = "type: temporal, rules: [r1, name_r2], group-by: [ip], timespan: 1m, aliases: {ip: {name_r1: source.ip, r2: destination.ip}}";
    let documents = format!("{}---\n{}---\n{}", rule("r1"), rule("r2"), text(section));
    assert!(compile(&documents).2.is_empty());
    check_compile_refused(
        &documents.replace("r2: destination", "r3: destination"),
        "correlation.aliases: expected rules of this correlation, got `r3` in alias `ip`",
    );
}

/// The samples are no part of this repository: they are looked for where `PICKET_SHARED` says, or in `shared` beside it.
#[test]
fn the_specification_s_samples_load() {
    let root = std::env::var_os("PICKET_SHARED").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared"),
        PathBuf::from,
    );
    let archive = root.join("sigma/sigma-schemas-and-samples-ba9251a.tar.gz");
    if !archive.exists() {
        println!("skipped: {} is not there", archive.display());
        return;
    }
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("specification");
    std::fs::create_dir_all(&target).unwrap();
    let unpacked = Command::new("tar")
        .arg("-xzf")
        .arg(&archive)
        .arg("-C")
        .arg(&target)
        .status()
        .unwrap();
    assert!(unpacked.success());
    let mut count = 0;
    for kind in ["correlation", "filter"] {
        for entry in std::fs::read_dir(target.join("tests/schema").join(kind)).unwrap() {
            let path = entry.unwrap().path();
            for document in parse_documents(&path.to_string_lossy(), &std::fs::read_to_string(&path).unwrap()) {
                assert_eq!(document.unwrap_or_else(|error| panic!("{error}")).kind().as_str(), kind);
                count += 1;
            }
        }
    }
    assert_eq!(count, 10);
}
