//! Section D: value modifiers.

use serde_json::json;

use super::{check, check_item};

#[test]
fn contains_startswith_endswith() {
    check_item(
        "a|contains: mid",
        &[(json!({"a": "xMIDx"}), true), (json!({"a": "m id"}), false)],
    );
    check_item(
        "a|startswith: ab",
        &[(json!({"a": "ABc"}), true), (json!({"a": "cab"}), false)],
    );
    check_item(
        "a|endswith: ab",
        &[(json!({"a": "cAB"}), true), (json!({"a": "abc"}), false)],
    );
    check_item(
        "a|contains: 12",
        &[(json!({"a": 31245}), true), (json!({"a": 345}), false)],
    );
    check_item(
        "a|contains: ''",
        &[(json!({"a": "x"}), true), (json!({"b": "x"}), false)],
    );
}

#[test]
fn all() {
    check_item(
        "a|contains|all: [x, y]",
        &[
            (json!({"a": "--y--x"}), true),
            (json!({"a": "x"}), false),
            (json!({"a": ["x", "y"]}), true),
        ],
    );
}

#[test]
fn windash_takes_every_dash() {
    let cases: Vec<_> = ["-", "/", "\u{2013}", "\u{2014}", "\u{2015}"]
        .iter()
        .map(|dash| (json!({"a": format!("p.exe {dash}enc {dash}X")}), true))
        .chain([
            (json!({"a": "p.exe enc x"}), false),
            (json!({"a": "p.exe +enc -x"}), false),
        ])
        .collect();
    check_item("a|windash|contains: ' -enc -x'", &cases);
    check_item("a|contains|windash: ' /enc /x'", &cases);
    check_item(
        "a|endswith|windash: ' -f'",
        &[(json!({"a": "x /F"}), true), (json!({"a": "x /ff"}), false)],
    );
    check_item(
        "a|windash: 'foo-bar -x'",
        &[(json!({"a": "foo-bar /x"}), true), (json!({"a": "foo/bar -x"}), false)],
    );
    check_item(
        "a|contains|windash|all: [' -a', ' -b']",
        &[(json!({"a": "x /b \u{2014}a"}), true), (json!({"a": "x /b"}), false)],
    );
}

#[test]
fn re_is_a_search_with_case() {
    check_item(
        "a|re: 'b+c'",
        &[(json!({"a": "abbc"}), true), (json!({"a": "aBBc"}), false)],
    );
    check_item(
        "a|re: '^b'",
        &[(json!({"a": "bc"}), true), (json!({"a": "a\nbc"}), false)],
    );
    check_item(
        "a|re: '^[0-9]{2,3}$'",
        &[(json!({"a": 123}), true), (json!({"a": 1}), false)],
    );
    check_item("a|re: 'x.y'", &[(json!({"a": "x\ny"}), false)]);
    check_item(
        "a|re|all: [b, c]",
        &[(json!({"a": "cb"}), true), (json!({"a": "b"}), false)],
    );
}

#[test]
fn re_i() {
    check_item("a|re|i: 'b+c'", &[(json!({"a": "aBBC"}), true)]);
}

#[test]
fn re_m() {
    check_item(
        "a|re|m: '^b$'",
        &[(json!({"a": "a\nb\nc"}), true), (json!({"a": "ab"}), false)],
    );
}

#[test]
fn re_s() {
    check_item("a|re|s: 'x.y'", &[(json!({"a": "x\ny"}), true)]);
    check_item("a|re|i|m|s: '^X.y$'", &[(json!({"a": "a\nx\nY\nz"}), true)]);
}

#[test]
fn cidr_of_both_families() {
    check_item(
        "a|cidr: 10.0.0.0/8",
        &[
            (json!({"a": "10.1.2.3"}), true),
            (json!({"a": "::ffff:10.1.2.3"}), true),
            (json!({"a": ["1.1.1.1", "10.0.0.1"]}), true),
            (json!({"a": "11.1.2.3"}), false),
            (json!({"a": "10.1.2"}), false),
        ],
    );
    check_item(
        "a|cidr: [fe80::/10, 192.0.2.1]",
        &[
            (json!({"a": "FE80::1"}), true),
            (json!({"a": "192.0.2.1"}), true),
            (json!({"a": "192.0.2.2"}), false),
            (json!({"a": "fd00::1"}), false),
        ],
    );
}

#[test]
fn base64() {
    check_item(
        "a|base64: foobar",
        &[(json!({"a": "Zm9vYmFy"}), true), (json!({"a": "zm9vymfy"}), false)],
    );
    check_item("a|base64|contains: foobar", &[(json!({"a": "x Zm9vYmFy y"}), true)]);
}

#[test]
fn base64offset_at_each_shift() {
    // "foobar" in the middle of a text, at the three positions it can have in a group of three bytes.
    check_item(
        "a|base64offset|contains: foobar",
        &[
            (json!({"a": "LS1mb29iYXItLQ=="}), true),
            (json!({"a": "LWZvb2Jhci0="}), true),
            (json!({"a": "LS0tZm9vYmFyLQ=="}), true),
            (json!({"a": "LS1mb29iYS0t"}), false),
        ],
    );
}

#[test]
fn wide_and_utf16_before_base64() {
    // UTF-16 of "ab": 61 00 62 00.
    check_item("a|wide|base64: ab", &[(json!({"a": "YQBiAA=="}), true)]);
    check_item("a|utf16le|base64: ab", &[(json!({"a": "YQBiAA=="}), true)]);
    check_item("a|utf16be|base64: ab", &[(json!({"a": "AGEAYg=="}), true)]);
    check_item("a|utf16|base64: ab", &[(json!({"a": "//5hAGIA"}), true)]);
    check_item(
        "a|wide|base64offset|contains: ab",
        &[
            (json!({"a": "eAB5AGEAYgB6AA=="}), true),
            (json!({"a": "eHlhYno="}), false),
        ],
    );
}

#[test]
fn wide_alone_is_text_with_zero_bytes() {
    check_item(
        "a|wide|contains: ab",
        &[(json!({"a": "xa\u{0}b\u{0}"}), true), (json!({"a": "xab"}), false)],
    );
    check_item("a|utf16be: ab", &[(json!({"a": "\u{0}a\u{0}b"}), true)]);
}

#[test]
fn fieldref() {
    check_item(
        "a|fieldref: b",
        &[
            (json!({"a": "X", "b": "x"}), true),
            (json!({"a": "x", "b": ["y", "x"]}), true),
            (json!({"a": 5, "b": "5"}), true),
            (json!({"a": "x", "b": "y"}), false),
            (json!({"a": "x"}), false),
            (json!({"b": "x"}), false),
            (json!({"a": null, "b": null}), false),
        ],
    );
    check_item(
        "a|fieldref|startswith: b",
        &[
            (json!({"a": "xyz", "b": "XY"}), true),
            (json!({"a": "xyz", "b": "yz"}), false),
        ],
    );
    check_item(
        "a|fieldref|endswith: b",
        &[
            (json!({"a": "xyz", "b": "yz"}), true),
            (json!({"a": "xyz", "b": "xy"}), false),
        ],
    );
    check_item(
        "a|fieldref|contains: b",
        &[
            (json!({"a": "xyz", "b": "y"}), true),
            (json!({"a": "xyz", "b": "zy"}), false),
        ],
    );
    check_item(
        "a|fieldref|neq: b",
        &[
            (json!({"a": "x", "b": "y"}), true),
            (json!({"a": "x", "b": "x"}), false),
        ],
    );
    check_item(
        "a|fieldref|cased: b",
        &[
            (json!({"a": "x", "b": "X"}), false),
            (json!({"a": "X", "b": "X"}), true),
        ],
    );
    check_item(
        "CommandLine|fieldref|contains: User",
        &[(
            json!({"process": {"command_line": "su alice"}, "user": {"name": "alice"}}),
            true,
        )],
    );
}

#[test]
fn expand_without_a_placeholder_and_with_escaped_percent_signs() {
    check_item(r"a|expand: '\%TEMP\%'", &[(json!({"a": "%temp%"}), true)]);
    check_item("a|expand: '100%'", &[(json!({"a": "100%"}), true)]);
    check_item(r"a|expand|contains: '\%x'", &[(json!({"a": "a%xb"}), true)]);
}

#[test]
fn exists() {
    check_item(
        "a|exists: true",
        &[
            (json!({"a": ""}), true),
            (json!({"a": [0]}), true),
            (json!({"a": null}), false),
            (json!({"b": 1}), false),
        ],
    );
    check_item("a|exists: false", &[(json!({"b": 1}), true), (json!({"a": 0}), false)]);
    check_item("a|exists: yes", &[(json!({"a": 0}), true)]);
}

#[test]
fn cased() {
    check_item(
        "a|cased: Abc",
        &[(json!({"a": "Abc"}), true), (json!({"a": "abc"}), false)],
    );
    check_item(
        "a|contains|cased: [Ab, 'X*Y']",
        &[
            (json!({"a": "xAbx"}), true),
            (json!({"a": "XaY"}), true),
            (json!({"a": "xabx xay"}), false),
        ],
    );
}

#[test]
fn neq_is_true_when_no_value_is_equal() {
    check_item(
        "a|neq: x",
        &[
            (json!({"a": "y"}), true),
            (json!({"a": "X"}), false),
            (json!({"a": ["x", "y"]}), false),
            (json!({"b": 1}), true),
        ],
    );
    check_item(
        "a|neq: [x, y]",
        &[(json!({"a": "z"}), true), (json!({"a": "y"}), false)],
    );
    check_item(
        "a|contains|neq: x",
        &[(json!({"a": "axb"}), false), (json!({"a": "ab"}), true)],
    );
}

#[test]
fn lt_lte_gt_gte() {
    for (modifier, four, five, six) in [
        ("lt", true, false, false),
        ("lte", true, true, false),
        ("gt", false, false, true),
        ("gte", false, true, true),
    ] {
        check_item(
            &format!("a|{modifier}: 5"),
            &[
                (json!({"a": 4}), four),
                (json!({"a": "5"}), five),
                (json!({"a": 6.0}), six),
                (json!({"a": "text"}), false),
                (json!({"a": "inf"}), false),
                (json!({"a": true}), false),
                (json!({"b": 5}), false),
            ],
        );
    }
    check_item("a|gt: 1.5", &[(json!({"a": 1.6}), true), (json!({"a": 1}), false)]);
    check_item(
        "a|gt: 9007199254740992",
        &[(json!({"a": 9_007_199_254_740_993_i64}), true)],
    );
}

#[test]
fn minute_hour_day_week_month_year() {
    let time = json!({"t": "2026-03-14T15:09:26.5Z"});
    for (modifier, value) in [
        ("minute", 9),
        ("hour", 15),
        ("day", 14),
        ("week", 11),
        ("month", 3),
        ("year", 2026),
    ] {
        check_item(&format!("t|{modifier}: {value}"), &[(time.clone(), true)]);
        check_item(&format!("t|{modifier}: {}", value + 1), &[(time.clone(), false)]);
    }
    check_item(
        "t|hour: 15",
        &[
            (json!({"t": "2026-03-14 15:09:26"}), true),
            (json!({"t": "2026-03-14T17:09:26+02:00"}), true),
            (json!({"t": 1_773_500_966}), true),
            (json!({"t": 1_773_500_966_000_i64}), true),
            (json!({"t": "noon"}), false),
        ],
    );
    check_item("t|hour|gte: 15", &[(time.clone(), true)]);
    check_item("t|hour|lt: 15", &[(time, false)]);
    // The event's own time, which the test sets to 2026-03-14T15:09:26Z.
    check_item("'@timestamp|hour': [14, 15]", &[(json!({"a": 1}), true)]);
    check_item("'@timestamp|startswith': '2026-03-14T15'", &[(json!({"a": 1}), true)]);
}

#[test]
fn chains_apply_left_to_right() {
    check(
        "s:\n  a|wide|base64offset|contains: ab\ncondition: s",
        &[(json!({"a": "eAB5AGEAYgB6AA=="}), true)],
    );
    check(
        "s:\n  a|re|i: 'AB'\n  b|startswith|cased: X\ncondition: s",
        &[
            (json!({"a": "ab", "b": "Xy"}), true),
            (json!({"a": "ab", "b": "xy"}), false),
        ],
    );
}
