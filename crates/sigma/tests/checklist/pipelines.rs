//! Section H: processing pipelines as pySigma has them.

use serde_json::{Value as Json, json};
use sigma::{Catalog, Rule, parse_rules};

use super::{event, reference};

const RULE: &str = "
title: T
id: t1
status: test
level: high
tags: [attack.t1059]
logsource: {category: process_creation, product: windows}
detection:
  selection: {Image|endswith: '\\cmd.exe', CommandLine|contains: [evil, bad]}
  condition: selection
";

fn parse(text: &str) -> Rule {
    parse_rules("t.yml", text).remove(0).unwrap()
}

fn catalog(pipeline: &str) -> Catalog {
    let files = [("pipelines/p.yml".to_owned(), pipeline.to_owned())];
    Catalog::with_pipelines(&files).unwrap_or_else(|errors| panic!("{errors:?}\n{pipeline}"))
}

fn matches(rule: &str, pipeline: &str, json: &Json) -> bool {
    reference::matches(&catalog(pipeline).resolve(&parse(rule)).unwrap(), &event(json))
}

/// Checks what a rule with this detection, under a pipeline of these transformations, matches. The logsource asks
/// nothing of the events.
fn check(detection: &str, transformations: &str, cases: &[(Json, bool)]) {
    let rule = format!(
        "title: T\nid: t1\nlevel: high\nstatus: test\ntags: [attack.t1059]\ncustom_key: special\n\
         logsource: {{product: linux}}\ndetection: {detection}\n"
    );
    let pipeline = format!("name: test\npriority: 10\ntransformations:\n{transformations}");
    for (json, expected) in cases {
        assert_eq!(
            matches(&rule, &pipeline, json),
            *expected,
            "{detection}\n{transformations}\non {json}"
        );
    }
}

fn check_refused(pipeline: &str, expected: &str) {
    let files = [("pipelines/p.yml".to_owned(), pipeline.to_owned())];
    let errors = Catalog::with_pipelines(&files).expect_err(pipeline);
    let text = errors[0].to_string();
    assert!(text.starts_with("pipelines/p.yml:"), "{text}");
    assert!(text.contains(expected), "`{text}` lacks `{expected}` for\n{pipeline}");
}

fn check_rule_refused(detection: &str, transformations: &str, expected: &str) {
    let rule = format!("title: T\nid: t1\nlogsource: {{product: linux}}\ndetection: {detection}\n");
    let catalog = catalog(&format!("transformations:\n{transformations}"));
    let error = catalog.resolve(&parse(&rule)).unwrap_err().to_string();
    assert!(error.contains(expected), "`{error}` lacks `{expected}`");
}

#[test]
fn field_name_mapping_to_one_and_to_several() {
    check(
        "{s: {a: x, b: y}, condition: s}",
        "- {type: field_name_mapping, mapping: {a: A, b: [b1, b2]}}",
        &[
            (json!({"A": "x", "b1": "y"}), true),
            (json!({"A": "x", "b2": "y"}), true),
            (json!({"a": "x", "b1": "y"}), false),
            (json!({"A": "x", "b": "y"}), false),
        ],
    );
    // None of several fields may have what the field must not have.
    check(
        "{s: {b|neq: y}, condition: s}",
        "- {type: field_name_mapping, mapping: {b: [b1, b2]}}",
        &[
            (json!({"b1": "x", "b2": "x"}), true),
            (json!({"b1": "x", "b2": "y"}), false),
        ],
    );
    check(
        "{s: {a|fieldref: b}, condition: s}",
        "- {type: field_name_mapping, mapping: {b: c}}",
        &[
            (json!({"a": "1", "c": "1"}), true),
            (json!({"a": "1", "b": "1"}), false),
        ],
    );
}

#[test]
fn field_name_mapping_of_keywords_keeps_them_inside() {
    check(
        "{s: [needle], condition: s}",
        "- {type: field_name_mapping, mapping: {'': message}}",
        &[
            (json!({"message": "a needle here"}), true),
            (json!({"other": "a needle here"}), false),
        ],
    );
}

#[test]
fn field_name_prefix_mapping_prefix_suffix_and_transform() {
    check(
        "{s: {win.a: x, other: y}, condition: s}",
        "- {type: field_name_prefix_mapping, mapping: {win.: [event., log.]}}",
        &[
            (json!({"event.a": "x", "other": "y"}), true),
            (json!({"log.a": "x", "other": "y"}), true),
            (json!({"win.a": "x", "other": "y"}), false),
        ],
    );
    check(
        "{s: {a: x}, condition: s}",
        "- {type: field_name_prefix, prefix: data.}\n- {type: field_name_suffix, suffix: .keyword}",
        &[(json!({"data.a.keyword": "x"}), true)],
    );
    check(
        "{s: {CommandLine: x, Image: y}, condition: s}",
        "- {type: field_name_transform, transform_func: snake_case, mapping: {Image: exe}}",
        &[(json!({"command_line": "x", "exe": "y"}), true)],
    );
}

#[test]
fn add_condition_stands_before_every_condition() {
    let detection = "{s: {a: x}, t: {b: y}, condition: [s, t]}";
    check(
        detection,
        "- {type: add_condition, conditions: {index: main, n|gt: 5}}",
        &[
            (json!({"a": "x", "index": "main", "n": 6}), true),
            (json!({"b": "y", "index": "main", "n": 6}), true),
            (json!({"b": "y", "index": "main", "n": 5}), false),
            (json!({"a": "x"}), false),
        ],
    );
    check(
        detection,
        "- {type: add_condition, conditions: {index: main}, negated: true}",
        &[(json!({"a": "x", "index": "main"}), false), (json!({"a": "x"}), true)],
    );
    check(
        "{s: {a: x}, condition: 1 of them}",
        "- {type: add_condition, conditions: {index: '$product-${category}x'}, template: true}",
        &[
            (json!({"a": "x", "index": "linux-x"}), true),
            (json!({"index": "linux-x"}), false),
        ],
    );
}

#[test]
fn change_logsource_decides_which_events_are_seen() {
    let pipeline = "
transformations:
  - type: change_logsource
    product: windows
    service: sysmon
    rule_conditions: [{type: logsource, category: process_creation, product: windows}]
  - type: add_condition
    conditions: {EventID: 1}
    rule_conditions: [{type: logsource, product: windows, service: sysmon}]
";
    let native = json!({"Channel": "Microsoft-Windows-Sysmon/Operational", "EventID": 1, "Image": "c:\\cmd.exe",
                        "CommandLine": "evil"});
    assert!(matches(RULE, pipeline, &native));
    let mut security = native.clone();
    security["Channel"] = json!("Security");
    security["EventID"] = json!(4688);
    assert!(!matches(RULE, pipeline, &security) && matches(RULE, "name: none", &security));
}

#[test]
fn drop_detection_item_by_field_and_by_value() {
    check(
        "{s: {a: x, b: y}, condition: s}",
        "- type: drop_detection_item\n  field_name_conditions: [{type: include_fields, fields: [b]}]",
        &[(json!({"a": "x"}), true), (json!({"b": "y"}), false)],
    );
    check(
        "{s: {a: x, b: [1, '*']}, condition: s}",
        "- type: drop_detection_item\n  detection_item_conditions: [{type: contains_wildcard}]",
        &[(json!({"a": "x"}), true)],
    );
    // A search that lost all its items no longer counts.
    check(
        "{s: {a: x}, f: {b: y}, condition: s and not f}",
        "- type: drop_detection_item\n  field_name_conditions: [{type: include_fields, fields: [b]}]",
        &[(json!({"a": "x", "b": "y"}), true)],
    );
    check_rule_refused(
        "{s: {a: x}, condition: s}",
        "- type: drop_detection_item",
        "expected something to look for, but a pipeline dropped all items",
    );
}

#[test]
fn replace_string_with_groups_and_special_characters() {
    check(
        "{s: {a: '*\\system32\\\\*'}, condition: s}",
        "- {type: replace_string, regex: '\\\\(\\w+)\\\\', replacement: '/\\1/', skip_special: true}",
        &[(json!({"a": "c:/system32/x"}), true)],
    );
    check(
        "{s: {a|contains: b}, condition: s}",
        "- {type: replace_string, regex: '^\\*', replacement: ''}",
        &[(json!({"a": "bx"}), true), (json!({"a": "xbx"}), false)],
    );
    check(
        "{s: {a: '5'}, condition: s}",
        "- {type: replace_string, regex: '5', replacement: '*', skip_special: true, interpret_special: true}",
        &[(json!({"a": "anything"}), true)],
    );
}

#[test]
fn map_string_to_one_and_to_several() {
    check(
        "{s: {level: High}, condition: s}",
        "- {type: map_string, mapping: {High: [S-1, S-2], Low: S-0}}",
        &[
            (json!({"level": "S-2"}), true),
            (json!({"level": "High"}), false),
            (json!({"level": "S-0"}), false),
        ],
    );
}

#[test]
fn set_state_is_seen_by_later_steps() {
    check(
        "{s: {a: x}, condition: s}",
        "- {type: set_state, key: stage, val: 2}\n\
         - type: field_name_mapping\n  mapping: {a: b}\n  rule_conditions: [{type: processing_state, key: stage, val: 1, op: gt}]\n\
         - type: field_name_mapping\n  mapping: {b: c}\n  field_name_conditions: [{type: processing_state, key: stage, val: 1}]\n\
         - type: field_name_mapping\n  mapping: {b: d}\n  detection_item_conditions: [{type: processing_state, key: stage, val: 2}]",
        &[(json!({"d": "x"}), true)],
    );
}

#[test]
fn set_value_convert_type_and_case() {
    check(
        "{s: {a: x, b: y}, condition: s}",
        "- type: set_value\n  value: 7\n  field_name_conditions: [{type: include_fields, fields: [a]}]",
        &[(json!({"a": 7, "b": "y"}), true), (json!({"a": "x", "b": "y"}), false)],
    );
    check(
        "{s: {a: x}, condition: s}",
        "- {type: set_value, value: null}",
        &[(json!({"b": "y"}), true), (json!({"a": "x"}), false)],
    );
    check(
        "{s: {a: 5}, condition: s}",
        "- {type: convert_type, target_type: str}\n- {type: replace_string, regex: '$', replacement: '?'}",
        &[(json!({"a": "51"}), true), (json!({"a": 5}), false)],
    );
    check(
        "{s: {a: '5'}, condition: s}",
        "- {type: convert_type, target_type: num}",
        &[(json!({"a": 5}), true)],
    );
    check_rule_refused(
        "{s: {a: x}, condition: s}",
        "- {type: convert_type, target_type: num}",
        "expected a number, got `x`",
    );
    check(
        "{s: {a|cased: Ab}, condition: s}",
        "- {type: case, method: upper}",
        &[(json!({"a": "AB"}), true), (json!({"a": "Ab"}), false)],
    );
}

#[test]
fn value_placeholders_take_every_value_of_a_variable() {
    let pipeline = "
vars:
  admins: [root, 'adm_*']
  hosts: web
transformations:
  - {type: value_placeholders}
";
    let rule = "
title: T
id: t1
logsource: {product: linux}
detection:
  s: {user|expand: '%admins%', host|contains|expand: 'x-%hosts%-%hosts%', re|re|expand: '^%hosts%$'}
  condition: s
";
    let json = |user: &str| json!({"user": user, "host": "an x-web-web", "re": "web"});
    for (user, expected) in [("root", true), ("ADM_7", true), ("eve", false), ("%admins%", false)] {
        assert_eq!(matches(rule, pipeline, &json(user)), expected, "{user}");
    }
    check_rule_refused(
        "{s: {a|expand: '%nobody%'}, condition: s}",
        "- {type: value_placeholders}",
        "expected a variable `nobody` for the placeholder `%nobody%` (pipeline pipelines/p.yml:2)",
    );
    check_rule_refused(
        "{s: {a|expand: '%nobody%'}, condition: s}",
        "- {type: value_placeholders, exclude: [nobody]}",
        "expected no unresolved placeholder, got `%nobody%`",
    );
}

#[test]
fn wildcard_placeholders_stand_for_anything() {
    check(
        "{s: {a|expand: 'x%what%y'}, condition: s}",
        "- {type: wildcard_placeholders, include: [what]}",
        &[(json!({"a": "x-1-y"}), true), (json!({"a": "x-1"}), false)],
    );
}

#[test]
fn query_expression_and_outside_placeholders_are_refused() {
    check_refused(
        "transformations: [{type: query_expression_placeholders, expression: '{field} in {id}'}]",
        "transformations[0].type: expected a value for the placeholder: there is no query language",
    );
    for kind in ["file_placeholders", "http_placeholders", "command_placeholders"] {
        check_refused(
            &format!("transformations: [{{type: {kind}, path: /etc/passwd}}]"),
            "put the values in `vars`",
        );
    }
}

#[test]
fn hashes_fields_splits_hashes_by_algorithm() {
    let step = "- {type: hashes_fields, valid_hash_algos: [MD5, SHA1, SHA256], field_prefix: File}";
    check(
        "{s: {Hashes|contains: ['SHA1=AB', 'MD5=CD']}, condition: s}",
        step,
        &[
            (json!({"FileSHA1": "ab"}), true),
            (json!({"FileMD5": "cd"}), true),
            (json!({"Hashes": "SHA1=AB"}), false),
        ],
    );
    check(
        "{s: {Hashes: 0123456789abcdef0123456789abcdef}, condition: s}",
        step,
        &[(json!({"FileMD5": "0123456789ABCDEF0123456789ABCDEF"}), true)],
    );
    check(
        "{s: {Hashes|contains: 'SHA256=EE'}, condition: s}",
        "- {type: hashes_fields, valid_hash_algos: [SHA256], field_prefix: process.hash., lower_algo: true}",
        &[(json!({"process.hash.sha256": "ee"}), true)],
    );
    check_rule_refused(
        "{s: {Hashes|contains: 'IMPHASH=EE'}, condition: s}",
        step,
        "expected a hash of one of MD5, SHA1, SHA256",
    );
}

#[test]
fn extract_fields_makes_items_of_named_groups() {
    check(
        "{s: {reg: 'Dword:17'}, condition: s}",
        "- {type: extract_fields, regex: '(?P<type>[A-Za-z]+):(?P<value>[0-9]+)', field_prefix: reg}",
        &[
            (json!({"reg.type": "DWORD", "reg.value": 17}), true),
            (json!({"reg.type": "DWORD", "reg.value": 18}), false),
        ],
    );
}

#[test]
fn regex_makes_expressions_of_texts() {
    for method in ["plain", "ignore_case_flag", "ignore_case_brackets"] {
        check(
            "{s: {a: 'x.*Y'}, condition: s}",
            &format!("- {{type: regex, method: {method}}}"),
            &[
                (json!({"a": "x.--Y"}), true),
                (json!({"a": "X.--y"}), method != "plain"),
                (json!({"a": "xy"}), false),
            ],
        );
    }
}

#[test]
fn failures_refuse_the_rule_with_their_message() {
    check_rule_refused(
        "{s: {a: x}, condition: s}",
        "- {type: rule_failure, message: not here}",
        "pipeline: not here (pipeline pipelines/p.yml:2)",
    );
    check_rule_refused(
        "{s: {a: x}, condition: s}",
        "- type: detection_item_failure\n  message: no a\n  field_name_conditions: [{type: include_fields, fields: [a]}]",
        "no a",
    );
    let mapped = "- {type: field_name_mapping, mapping: {a: b}}\n- {type: strict_field_mapping_failure}";
    check("{s: {a: x}, condition: s}", mapped, &[(json!({"b": "x"}), true)]);
    check_rule_refused(
        "{s: {a: x, c: y}, condition: s}",
        mapped,
        "expected a mapping for the fields c",
    );
}

#[test]
fn nested_pipelines_share_conditions() {
    let step = "- type: nest\n  rule_conditions: [{type: tag, tag: attack.t1059}]\n  items:\n  - {type: field_name_mapping, mapping: {a: b}}\n  - {type: field_name_mapping, mapping: {b: c}}";
    check("{s: {a: x}, condition: s}", step, &[(json!({"c": "x"}), true)]);
    let deep = (0..20).fold("{type: nest, items: []}".to_owned(), |inner, _| {
        format!("{{type: nest, items: [{inner}]}}")
    });
    check_refused(&format!("transformations: [{deep}]"), "expected");
}

#[test]
fn rule_conditions_with_operators_negation_and_expressions() {
    let renames = |conditions: &str, expected: bool| {
        check(
            "{s: {a: x, n: 5}, condition: s}",
            &format!("- type: field_name_mapping\n  mapping: {{a: b}}\n{conditions}"),
            &[
                (json!({"b": "x", "n": 5}), expected),
                (json!({"a": "x", "n": 5}), !expected),
            ],
        );
    };
    let all: &[(&str, bool)] = &[
        ("{type: logsource, product: linux}", true),
        ("{type: logsource, category: process_creation}", false),
        ("{type: contains_field, field: a}", true),
        ("{type: contains_field, field: z}", false),
        ("{type: contains_detection_item, field: a, value: x}", true),
        ("{type: contains_detection_item, field: n, value: 5}", true),
        ("{type: contains_detection_item, field: n, value: 6}", false),
        ("{type: is_sigma_rule}", true),
        ("{type: is_sigma_correlation_rule}", false),
        ("{type: tag, tag: attack.t1059}", true),
        ("{type: tag, tag: attack.t1060}", false),
        ("{type: rule_attribute, attribute: level, value: medium, op: gte}", true),
        ("{type: rule_attribute, attribute: level, value: high, op: gt}", false),
        ("{type: rule_attribute, attribute: status, value: stable, op: lt}", true),
        (
            "{type: rule_attribute, attribute: tags, value: attack.t1059, op: in}",
            true,
        ),
        (
            "{type: rule_attribute, attribute: tags, value: attack.t1, op: not_in}",
            true,
        ),
        ("{type: rule_attribute, attribute: custom_key, value: special}", true),
        ("{type: rule_attribute, attribute: title, value: Other, op: ne}", true),
        ("{type: processing_item_applied, processing_item_id: nothing}", false),
    ];
    for (condition, expected) in all {
        renames(&format!("  rule_conditions: [{condition}]"), *expected);
        renames(
            &format!("  rule_cond_not: true\n  rule_conditions: [{condition}]"),
            !*expected,
        );
    }
    let two = "[{type: is_sigma_rule}, {type: tag, tag: other.tag}]";
    renames(&format!("  rule_conditions: {two}"), false);
    renames(&format!("  rule_cond_op: or\n  rule_conditions: {two}"), true);
    let named = "{rule: {type: is_sigma_rule}, tagged: {type: tag, tag: other.tag}}";
    renames(
        &format!("  rule_cond_expr: rule and not (tagged or not rule)\n  rule_conditions: {named}"),
        true,
    );
    renames(
        &format!("  rule_cond_expr: tagged or not rule\n  rule_conditions: {named}"),
        false,
    );
}

#[test]
fn detection_item_conditions() {
    let renames = |condition: &str, expected: bool| {
        check(
            "{s: {a: [x1, x2]}, condition: s}",
            &format!("- type: field_name_mapping\n  mapping: {{a: b}}\n  detection_item_conditions: [{condition}]"),
            &[(json!({"b": "x1"}), expected)],
        );
    };
    for (condition, expected) in [
        ("{type: match_string, cond: any, pattern: x1}", true),
        ("{type: match_string, cond: all, pattern: x1}", false),
        ("{type: match_string, cond: all, pattern: 'x\\d'}", true),
        // From the start, as Python's match does.
        ("{type: match_string, cond: any, pattern: '1'}", false),
        ("{type: match_string, cond: all, pattern: y, negate: true}", true),
        ("{type: match_value, cond: any, value: x2}", true),
        ("{type: match_value, cond: all, value: x2}", false),
        ("{type: contains_wildcard, cond: any}", false),
        ("{type: is_null, cond: any}", false),
        ("{type: processing_item_applied, processing_item_id: before}", false),
    ] {
        renames(condition, expected);
    }
    check(
        "{s: {a: x}, condition: s}",
        "- {id: before, type: field_name_mapping, mapping: {a: b}}\n\
         - type: field_name_suffix\n  suffix: .s\n  field_name_conditions: [{type: processing_item_applied, processing_item_id: before}]",
        &[(json!({"b.s": "x"}), true)],
    );
}

#[test]
fn field_name_conditions_by_name_and_by_expression() {
    let step =
        |condition: &str| format!("- type: field_name_prefix\n  prefix: p.\n  field_name_conditions: [{condition}]");
    let detection = "{s: {ab: x, cd: y}, condition: s}";
    check(
        detection,
        &step("{type: include_fields, fields: [ab]}"),
        &[(json!({"p.ab": "x", "cd": "y"}), true)],
    );
    check(
        detection,
        &step("{type: exclude_fields, fields: [ab]}"),
        &[(json!({"ab": "x", "p.cd": "y"}), true)],
    );
    check(
        detection,
        &step("{type: include_fields, mode: re, fields: ['a.*']}"),
        &[(json!({"p.ab": "x", "cd": "y"}), true)],
    );
}

#[test]
fn pipelines_are_applied_by_priority_and_share_variables() {
    let files = [
        (
            "a.yml",
            "priority: 20\ntransformations: [{type: field_name_mapping, mapping: {b: c}}]",
        ),
        (
            "b.yml",
            "priority: 10\nvars: {v: x}\ntransformations: [{type: field_name_mapping, mapping: {a: b}}]",
        ),
        ("c.yml", "priority: 30\ntransformations: [{type: value_placeholders}]"),
    ]
    .map(|(path, text)| (path.to_owned(), text.to_owned()));
    let catalog = Catalog::with_pipelines(&files).unwrap();
    let rule =
        parse("title: T\nid: t1\nlogsource: {product: linux}\ndetection: {s: {a|expand: '%v%'}, condition: s}\n");
    assert!(reference::matches(
        &catalog.resolve(&rule).unwrap(),
        &event(&json!({"c": "x"}))
    ));
}

#[test]
fn what_is_about_queries_of_other_products_is_accepted_without_effect() {
    let pipeline = "
name: shared
allowed_backends: [splunk]
postprocessing: [{type: embed, prefix: 'search '}]
finalizers: [{type: concat}]
transformations:
  - {type: add_field, field: a}
  - {type: remove_field, field: [a, b]}
  - {type: set_field, fields: []}
  - {type: set_custom_attribute, attribute: index, value: main}
  - type: field_name_mapping
    mapping: {CommandLine: line}
    rule_conditions: [{type: rule_attribute, attribute: index, value: main}]
";
    let json = json!({"Channel": "Security", "EventID": 4688, "Image": "c:\\cmd.exe", "line": "evil"});
    assert!(matches(RULE, pipeline, &json));
}

#[test]
fn unknown_types_keys_and_values_are_refused_with_file_line_and_field() {
    for (pipeline, expected) in [
        (
            "transformations:\n  - {type: explode}\n",
            "p.yml:2:12: transformations[0].type: expected one of field_name_mapping",
        ),
        (
            "transformations: [{mapping: {}}]",
            "transformations[0].type: expected text, got nothing",
        ),
        (
            "transformations:\n  - type: field_name_mapping\n    mapping: {a: b}\n    maping: {}\n",
            "p.yml:4:5: transformations[0].maping: expected only the keys type, id,",
        ),
        (
            "transformations: [{type: field_name_mapping}]",
            "transformations[0].mapping: expected a map, got nothing",
        ),
        (
            "transformations: [{type: field_name_mapping, mapping: {a: []}}]",
            "mapping.a: expected 1 to",
        ),
        (
            "transformations: [{type: case, method: title}]",
            "method: expected one of lower, upper, snake_case",
        ),
        (
            "transformations: [{type: replace_string, regex: '(', replacement: x}]",
            "regex: expected a regular expression",
        ),
        (
            "transformations: [{type: drop_detection_item, rule_conditions: [{type: moon}]}]",
            "transformations[0].rule_conditions.1.type: expected one of logsource",
        ),
        (
            "transformations: [{type: drop_detection_item, detection_item_conditions: [{type: logsource}]}]",
            "expected one of match_string",
        ),
        (
            "transformations: [{type: drop_detection_item, rule_cond_expr: a and b, rule_conditions: {a: {type: is_sigma_rule}}}]",
            "rule_cond_expr: expected the name of a condition, got b",
        ),
        (
            "transformations: [{type: drop_detection_item, rule_cond_expr: a, rule_conditions: {a: {type: is_sigma_rule}, b: {type: is_sigma_rule}}}]",
            "expected every condition to be used, `b` is not",
        ),
        (
            "transformations: [{type: value_placeholders, include: [a], exclude: [b]}]",
            "expected either include or exclude",
        ),
        (
            "transformations: {type: nest}",
            "transformations: expected a list, got a map",
        ),
        ("priority: high", "priority: expected a whole number"),
        ("vars: {a: {b: c}}", "vars.a: expected text, got a map"),
        ("pipeline: x", "pipeline: expected only the keys name"),
        (
            "transformations: [{type: logsource_events, logsource: {}, events: {a: b}}]",
            "expected at least one of category",
        ),
        (
            "transformations: [{type: logsource_events, logsource: {product: x}, events: {a|expand: '%b%'}}]",
            "got `%b%`",
        ),
        ("a: 1\n---\nb: 2", "expected one YAML document with a pipeline, got 2"),
        ("[", "expected valid YAML"),
    ] {
        check_refused(pipeline, expected);
    }
}

#[test]
fn pipelines_that_multiply_without_end_are_refused() {
    let names: Vec<String> = (0..16).map(|n| format!("f{n}")).collect();
    let mapping = names
        .iter()
        .map(|name| format!("{name}: [{}]", names.join(", ")))
        .collect::<Vec<_>>()
        .join(", ");
    let step = format!("- {{type: field_name_mapping, mapping: {{{mapping}}}}}\n");
    check_rule_refused("{s: {f0: x}, condition: s}", &step.repeat(12), "expected");
    let deeper = "- {type: extract_fields, regex: '(?P<a>x(?P<b>y))'}\n";
    check_rule_refused(
        "{s: {a: xy}, condition: s}",
        &deeper.repeat(4_000),
        "expected pipelines to nest items at most 48 levels deep",
    );
}

#[test]
fn fields_of_correlations_are_renamed_as_those_of_their_rules() {
    let pipeline = "
transformations:
  - type: field_name_mapping
    mapping: {User: [account, who], IpAddress: client}
    rule_conditions: [{type: logsource, product: windows}]
";
    let names = |field: &str| {
        let field = catalog(pipeline).field_of(&parse(RULE), field);
        let others: Vec<String> = field.others.iter().map(ToString::to_string).collect();
        (field.name.to_string(), others)
    };
    let (first, others) = names("User");
    assert!(
        first == "account" && others.iter().any(|name| name == "who"),
        "{others:?}"
    );
    assert_eq!(names("IpAddress").0, "client");
    assert!(names("CommandLine").1.iter().any(|name| name == "process.command_line"));
    assert_eq!(Catalog::default().field_of(&parse(RULE), "User").name.as_ref(), "User");
}
