//! Section C: searches and values.

use serde_json::json;

use super::{check, check_item};

#[test]
fn a_map_is_all_of_its_items() {
    check(
        "s: {a: x, b: y}\ncondition: s",
        &[
            (json!({"a": "x", "b": "y"}), true),
            (json!({"a": "x"}), false),
            (json!({"a": "x", "b": "z"}), false),
        ],
    );
}

#[test]
fn a_list_of_maps_is_any_of_them() {
    check(
        "s: [{a: x, b: y}, {c: z}]\ncondition: s",
        &[
            (json!({"a": "x", "b": "y"}), true),
            (json!({"c": "z"}), true),
            (json!({"a": "x", "c": "y"}), false),
        ],
    );
}

#[test]
fn a_list_of_texts_is_any_keyword_over_the_whole_event() {
    check(
        "k: [evil, 'b*d']\ncondition: k",
        &[
            (json!({"m": "so EVIL indeed"}), true),
            (json!({"n": {"deep": "xbxxdx"}}), true),
            (json!({"list": ["good", "evil"]}), true),
            (json!({"evil": "field names are not searched"}), false),
        ],
    );
}

#[test]
fn keywords_do_not_look_into_what_picket_notes_about_the_way_in() {
    check(
        "k: [evil]\ncondition: k",
        &[
            (json!({"picket.source": "evil.log", "agent": {"name": "evil"}}), false),
            (json!({"host.name": "evil"}), true),
        ],
    );
}

#[test]
fn keywords_with_all_may_be_in_different_fields() {
    check(
        "k:\n  '|all': [truncate, '-s']\ncondition: k",
        &[
            (json!({"a0": "truncate", "a1": "-s"}), true),
            (json!({"m": "truncate -s 0"}), true),
            (json!({"a0": "truncate"}), false),
        ],
    );
}

#[test]
fn numeric_keywords_are_whole_values() {
    check(
        "k: [0, 6]\ncondition: k",
        &[
            (json!({"runlevel": 6}), true),
            (json!({"runlevel": "0"}), true),
            (json!({"pid": 1060, "m": "0 or 6"}), false),
        ],
    );
}

#[test]
fn a_list_may_mix_maps_and_texts() {
    check(
        "s: [{a: x}, word]\ncondition: s",
        &[
            (json!({"a": "x"}), true),
            (json!({"m": "a word here"}), true),
            (json!({"a": "y"}), false),
        ],
    );
}

#[test]
fn a_single_scalar_is_a_keyword() {
    check(
        "s: word\ncondition: s",
        &[(json!({"m": "a Word."}), true), (json!({"m": "wor d"}), false)],
    );
}

#[test]
fn keywords_take_modifiers() {
    check(
        "s:\n  '|re': '^ab+$'\ncondition: s",
        &[(json!({"m": "abb"}), true), (json!({"m": "xabb"}), false)],
    );
    check(
        "s:\n  '|startswith': ab\ncondition: s",
        &[(json!({"m": "abx"}), true), (json!({"m": "xab"}), false)],
    );
}

#[test]
fn a_value_list_is_any_of_its_values() {
    check_item(
        "a: [x, y]",
        &[
            (json!({"a": "x"}), true),
            (json!({"a": "y"}), true),
            (json!({"a": "z"}), false),
        ],
    );
}

#[test]
fn values_of_every_kind() {
    check_item(
        "a: 4688",
        &[
            (json!({"a": 4688}), true),
            (json!({"a": "4688"}), true),
            (json!({"a": 4688.0}), true),
            (json!({"a": 46880}), false),
        ],
    );
    check_item("a: '4688'", &[(json!({"a": 4688}), true)]);
    check_item(
        "a: 1.5",
        &[
            (json!({"a": 1.5}), true),
            (json!({"a": "1.5"}), true),
            (json!({"a": 15}), false),
        ],
    );
    check_item(
        "a: 10.0",
        &[
            (json!({"a": 10}), true),
            (json!({"a": "10.0"}), true),
            (json!({"a": 10.0}), true),
        ],
    );
    check_item(
        "a: true",
        &[
            (json!({"a": true}), true),
            (json!({"a": "True"}), true),
            (json!({"a": false}), false),
            (json!({"a": 1}), false),
        ],
    );
}

#[test]
fn comparison_ignores_case_and_is_of_the_whole_text() {
    check_item(
        "a: PowerShell",
        &[
            (json!({"a": "POWERSHELL"}), true),
            (json!({"a": "powershell.exe"}), false),
            (json!({"a": ""}), false),
        ],
    );
}

#[test]
fn case_folding_is_unicode() {
    check_item("a|contains: ÄRGER", &[(json!({"a": "viel ärger"}), true)]);
    check_item("a|endswith: 'ДОМ'", &[(json!({"a": "мой дом"}), true)]);
    check_item("a: kelvin", &[(json!({"a": "\u{212a}elvin"}), true)]);
    check_item("a: '?x'", &[(json!({"a": "😀X"}), true)]);
}

#[test]
fn wildcards_anywhere() {
    check_item(
        r"a: 'C:\\*\temp\\??.exe'",
        &[
            (json!({"a": r"C:\x\y\Temp\ab.exe"}), true),
            (json!({"a": r"C:\x\y\Temp\abc.exe"}), false),
        ],
    );
    check_item(
        "a|contains: 'x*y'",
        &[(json!({"a": "--x--y--"}), true), (json!({"a": "y x"}), false)],
    );
    check_item(
        "a|startswith: 'x?y'",
        &[(json!({"a": "x-yz"}), true), (json!({"a": "xyz"}), false)],
    );
    check_item(
        "a|endswith: 'x?y'",
        &[(json!({"a": "zx-y"}), true), (json!({"a": "zxy"}), false)],
    );
    check_item(
        "a: '*'",
        &[
            (json!({"a": ""}), true),
            (json!({"a": null}), false),
            (json!({"b": 1}), false),
        ],
    );
    check_item("a: '46?8'", &[(json!({"a": 4688}), true)]);
}

#[test]
fn escapes() {
    for (value, text) in [
        (r"a\*b", "a*b"),
        (r"a\?b", "a?b"),
        (r"a\b", r"a\b"),
        (r"a\\b", r"a\b"),
        (r"a\\*b", r"a\xxb"),
        (r"a\\\*b", r"a\*b"),
        (r"a\\\\b", r"a\\b"),
        (r"\\\\host\\share", r"\\host\share"),
        (r"tail\", r"tail\"),
    ] {
        check_item(
            &format!("a: '{value}'"),
            &[(json!({"a": text}), true), (json!({"a": format!("{text}x")}), false)],
        );
    }
    check_item(r"a: 'a\*b'", &[(json!({"a": "axxb"}), false)]);
    check_item(r"a|endswith: '\dir\'", &[(json!({"a": r"C:\Dir\"}), true)]);
}

#[test]
fn field_names_with_spaces_dots_dashes_and_braces() {
    check_item(
        "'Threat Name': x",
        &[(json!({"ThreatName": "x"}), true), (json!({"Threat Name": "x"}), true)],
    );
    check_item("ThreatName: x", &[(json!({"Threat Name": "x"}), true)]);
    check_item("c-uri: x", &[(json!({"c-uri": "x"}), true)]);
    check_item("'a{b}.c': x", &[(json!({"a{b}": {"c": "x"}}), true)]);
}

#[test]
fn nested_fields_by_dots() {
    check_item(
        "a.b.c: x",
        &[(json!({"a": {"b": {"c": "x"}}}), true), (json!({"a.b.c": "x"}), true)],
    );
}

#[test]
fn arrays_match_by_any_element() {
    check_item(
        "a: x",
        &[
            (json!({"a": ["y", "x"]}), true),
            (json!({"a": ["y"]}), false),
            (json!({"a": []}), false),
        ],
    );
    check_item("a.b: x", &[(json!({"a": [{"b": "y"}, {"b": "x"}]}), true)]);
    check_item(
        "a|gt: 5",
        &[(json!({"a": [1, 9]}), true), (json!({"a": [1, 2]}), false)],
    );
}

#[test]
fn null_is_missing_or_null() {
    check_item(
        "a: null",
        &[
            (json!({"b": 1}), true),
            (json!({"a": null}), true),
            (json!({"a": []}), true),
            (json!({"a": ""}), false),
            (json!({"a": 0}), false),
        ],
    );
    check_item(
        "a: [null, x]",
        &[
            (json!({"b": 1}), true),
            (json!({"a": "x"}), true),
            (json!({"a": "y"}), false),
        ],
    );
}

#[test]
fn empty_text_is_present_and_empty() {
    check_item(
        "a: ''",
        &[
            (json!({"a": ""}), true),
            (json!({"a": null}), false),
            (json!({"b": 1}), false),
            (json!({"a": " "}), false),
        ],
    );
}

#[test]
fn native_names_see_ecs_fields_when_the_native_field_is_absent() {
    check_item(
        "CommandLine|contains: evil",
        &[
            (json!({"process": {"command_line": "run EVIL"}}), true),
            (
                json!({"CommandLine": "fine", "process": {"command_line": "run evil"}}),
                false,
            ),
        ],
    );
    check_item(
        "Image|endswith: '/sh'",
        &[(json!({"process.executable": "/bin/sh"}), true)],
    );
}
