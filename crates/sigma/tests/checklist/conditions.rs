//! Section E: conditions.

use serde_json::{Value as Json, json};

use super::{check, check_detection_refused};

/// An event in which exactly these searches of [`with`] hold.
fn having(names: &str) -> Json {
    json!(
        names
            .chars()
            .map(|name| (name.to_string(), json!("1")))
            .collect::<serde_json::Map<_, _>>()
    )
}

fn with(condition: &str) -> String {
    format!("sel_a: {{a: 1}}\nsel_b: {{b: 1}}\nfilter_c: {{c: 1}}\n_d: {{d: 1}}\ncondition: {condition}")
}

fn check_truth(condition: &str, matching: &[&str], others: &[&str]) {
    let cases: Vec<(Json, bool)> = matching
        .iter()
        .map(|names| (having(names), true))
        .chain(others.iter().map(|names| (having(names), false)))
        .collect();
    check(&with(condition), &cases);
}

#[test]
fn precedence_is_or_and_not_of_parentheses() {
    check_truth("sel_a or sel_b and filter_c", &["a", "bc", "ab"], &["b", "c", ""]);
    check_truth("(sel_a or sel_b) and filter_c", &["ac", "bc"], &["a", "b", "c"]);
    check_truth("not sel_a and sel_b", &["b"], &["ab", "", "a"]);
    check_truth("not (sel_a and sel_b)", &["", "a", "b"], &["ab"]);
    check_truth("not not sel_a", &["a"], &[""]);
    check_truth("sel_a and not 1 of filter_*", &["a"], &["ac", "c"]);
}

#[test]
fn keywords_are_case_insensitive() {
    check_truth("sel_a AND NOT sel_b", &["a"], &["ab"]);
    check_truth("ALL OF sel_* OR filter_c", &["ab", "c"], &["a"]);
    check_truth("1 OF THEM", &["a", "c"], &["d"]);
}

#[test]
fn one_all_any_and_n_of_them_skip_names_with_an_underscore() {
    check_truth("1 of them", &["a", "b", "c"], &["d", ""]);
    check_truth("any of them", &["a"], &["d"]);
    check_truth("all of them", &["abc", "abcd"], &["ab", "abd"]);
    check_truth("2 of them", &["ab", "bc", "abc"], &["a", "ad", "c"]);
    check_truth("3 of them", &["abc"], &["abd"]);
}

#[test]
fn x_of_a_pattern_with_the_wildcard_anywhere() {
    check_truth("1 of sel*", &["a", "b"], &["c"]);
    check_truth("all of sel_*", &["ab"], &["a"]);
    check_truth("1 of *_c", &["c"], &["ab"]);
    check_truth("1 of *l*_*", &["a", "c"], &["d"]);
    check_truth("1 of _*", &["d"], &["abc"]);
    check_truth("1 of sel_a", &["a"], &["b"]);
}

#[test]
fn a_list_of_conditions_is_any_of_them() {
    check_truth("[sel_a and sel_b, filter_c]", &["ab", "c"], &["a"]);
}

#[test]
fn parentheses_need_no_spaces() {
    check_truth("(sel_a)and(not(sel_b))", &["a"], &["ab"]);
}

#[test]
fn pipe_aggregations_are_refused() {
    for condition in ["sel_a | count() by b > 5", "sel_a|near sel_b"] {
        check_detection_refused(
            &with(&format!("'{condition}'")),
            "detection.condition: expected no aggregation",
        );
    }
    check_detection_refused(
        &format!("{}\ntimeframe: 5m", with("sel_a")),
        "detection.timeframe: expected no timeframe",
    );
}

#[test]
fn malformed_conditions_are_refused() {
    for (condition, expected) in [
        (
            "selection",
            "expected one of the searches sel_a, sel_b, filter_c, _d, got `selection`",
        ),
        ("sel_a and", "expected a search name or `(`, got the end"),
        ("sel_a sel_b", "expected `and`, `or` or the end, got `sel_b`"),
        ("(sel_a", "expected `)`, got the end"),
        ("sel_a)", "expected `and`, `or` or the end, got `)`"),
        ("and sel_a", "expected a search name or `(`, got `and`"),
        ("1 of nothing*", "expected one of the searches"),
        ("9 of them", "expected a number from 1 to 3 before `of them`"),
        ("0 of them", "expected a number from 1 to 3"),
        ("some of them", "expected a number, `any` or `all` before `of`"),
        ("all of", "expected `them` or a search name"),
        ("''", "expected a search name or `(`, got the end"),
        ("{a: b}", "expected text, got a map"),
        ("[]", "expected a condition, got an empty list"),
    ] {
        check_detection_refused(&with(condition), expected);
    }
}

#[test]
fn hostile_conditions_are_refused_and_do_not_overflow_the_stack() {
    for condition in [
        "(".repeat(4000) + "sel_a" + &")".repeat(4000),
        "not ".repeat(2000) + "sel_a",
    ] {
        check_detection_refused(&with(&condition), "expected at most 48 levels");
    }
    check_detection_refused(&with(&"sel_a or ".repeat(2000)), "expected at most 8192 bytes");
    let values = (0..2000).map(|n| format!("v{n}")).collect::<Vec<_>>().join(", ");
    let condition = vec!["s"; 200].join(" or ");
    check_detection_refused(
        &format!("s: {{a: [{values}]}}\ncondition: {condition}"),
        "at most 100000 values",
    );
}
