//! Rules and events that meet often.

use std::ops::Range;

use model::id::{Epoch, SourceId};
use model::{Event, EventId, Fields, Timestamp, Value};
use proptest::prelude::*;
use sigma::{Rule, parse_rules};

/// Few fields and short texts over few letters, so that matches are frequent.
const FIELDS: [&str; 6] = ["a", "b", "c.d", "CommandLine", "process.command_line", "Two Words"];

pub(crate) fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "[abAB-]{0,2}",
        1 => "[abAB/ -]{0,6}",
        1 => "[aAéÉσςΣ\u{212a}k]{0,4}",
        1 => "[0-9]{1,2}",
        1 => Just("10.0.0.1".to_owned()),
        4 => words(),
    ]
}

/// Texts long enough for every part of an index, with pieces in common.
fn words() -> impl Strategy<Value = String> {
    let word = proptest::sample::select(vec![
        "invoke-",
        "Invoke",
        "kerberos",
        "\\cmd.exe",
        ".exe",
        "C:\\Windows\\",
        "system32",
        " -enc",
        "\u{1f600}",
        "Ärger",
        "-",
        "/c",
        "sekurlsa::",
        "a",
        "0123456",
    ]);
    proptest::collection::vec(word, 1..4).prop_map(|words| words.concat())
}

/// A value in a rule, with wildcards and escapes.
fn rule_text() -> impl Strategy<Value = String> {
    prop_oneof![3 => text(), 2 => r"[abA*?\\/ -]{0,6}", 1 => r"\*?[ab]\?\*[ab]", 1 => r"[aÉς*?]{0,4}"]
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

fn item() -> impl Strategy<Value = String> {
    let field = proptest::sample::select(FIELDS.to_vec());
    let texts = proptest::collection::vec(rule_text().prop_map(|text| quoted(&text)), 1..4);
    let modifiers = proptest::sample::select(vec![
        "",
        "|contains",
        "|startswith",
        "|endswith",
        "|contains|windash",
        "|windash",
        "|cased",
        "|contains|cased",
        "|neq",
        "|contains|neq",
        "|endswith|windash",
        "|base64",
        "|base64offset|contains",
        "|wide|contains",
    ]);
    prop_oneof![
        8 => (field.clone(), modifiers, texts, any::<bool>()).prop_map(|(field, modifiers, texts, all)| {
            let all = if all && texts.len() > 1 { "|all" } else { "" };
            format!("'{field}{modifiers}{all}': [{}]", texts.join(", "))
        }),
        1 => field.clone().prop_map(|field| format!("'{field}': null")),
        1 => field.clone().prop_map(|field| format!("'{field}': [null, a, 5, true]")),
        1 => (field.clone(), any::<bool>()).prop_map(|(field, exists)| format!("'{field}|exists': {exists}")),
        1 => (field.clone(), 0..20).prop_map(|(field, number)| format!("'{field}|gte': {number}")),
        1 => (field.clone(), 0..20).prop_map(|(field, number)| format!("'{field}|lt': {number}.5")),
        1 => field.clone().prop_map(|field| format!("'{field}|cidr': 10.0.0.0/24")),
        1 => (field.clone(), "[ab]{1,2}[+*]?").prop_map(|(field, regex)| format!("'{field}|re': '{regex}'")),
        1 => (field.clone(), "[ab]{1,2}").prop_map(|(field, regex)| format!("'{field}|re|i': '^{regex}'")),
        1 => (field.clone(), field, proptest::sample::select(vec!["", "|startswith", "|endswith", "|contains", "|cased", "|neq"]))
            .prop_map(|(field, other, relation)| format!("'{field}|fieldref{relation}': '{other}'")),
    ]
}

fn map() -> impl Strategy<Value = String> {
    proptest::collection::btree_map(proptest::sample::select(FIELDS.to_vec()), item(), 1..3).prop_map(|items| {
        // Keys of a YAML map are unique: one item per field, whatever field the item itself has.
        let mut keys: Vec<String> = Vec::new();
        let items: Vec<String> = items
            .into_values()
            .filter(|item| {
                let key = item.split(": ").next().unwrap_or_default().to_owned();
                let fresh = !keys.contains(&key);
                keys.push(key);
                fresh
            })
            .collect();
        format!("{{{}}}", items.join(", "))
    })
}

fn search() -> impl Strategy<Value = String> {
    let keyword = "[abAB-]{1,3}".prop_map(|word| quoted(&word));
    prop_oneof![
        4 => map(),
        2 => proptest::collection::vec(map(), 1..3).prop_map(|maps| format!("[{}]", maps.join(", "))),
        1 => proptest::collection::vec(keyword.clone(), 1..3).prop_map(|words| format!("[{}]", words.join(", "))),
        1 => (keyword.clone(), keyword.clone()).prop_map(|(left, right)| format!("{{'|all': [{left}, {right}]}}")),
        1 => (map(), keyword).prop_map(|(map, word)| format!("[{map}, {word}, 7]")),
    ]
}

const CONDITIONS: [&str; 12] = [
    "s1",
    "s1 and s2",
    "s1 or s2",
    "s1 and not s2",
    "not s1",
    "not (s1 or s2) and s3",
    "1 of s*",
    "all of them",
    "2 of s*",
    "not 2 of them",
    "s1 and (s2 or not s3)",
    "not 1 of s*",
];

const LOGSOURCES: [&str; 7] = [
    "product: linux",
    "product: linux",
    "product: linux",
    "product: windows",
    "product: linux, service: sshd",
    "category: process_creation",
    "product: linux, category: webserver",
];

pub(crate) fn rules(count: Range<usize>) -> impl Strategy<Value = Vec<Rule>> {
    let rule = (
        [search(), search(), search()],
        proptest::sample::select(CONDITIONS.to_vec()),
        proptest::sample::select(LOGSOURCES.to_vec()),
    );
    proptest::collection::vec(rule, count).prop_map(|rules| {
        let text: String = rules
            .into_iter()
            .enumerate()
            .map(|(number, ([s1, s2, s3], condition, logsource))| {
                format!(
                    "---\ntitle: T\nid: r{number}\nlogsource: {{{logsource}}}\ndetection:\n  s1: {s1}\n  s2: {s2}\n  \
                     s3: {s3}\n  condition: {condition}\n"
                )
            })
            .collect();
        // Wildcards under an encoding and empty keywords are refused, which is not what this test is about.
        parse_rules("generated.yml", &text)
            .into_iter()
            .filter_map(Result::ok)
            .collect()
    })
}

fn value() -> impl Strategy<Value = Value> {
    let scalar = prop_oneof![
        6 => text().prop_map(Value::from),
        2 => (-3_i64..30).prop_map(Value::Int),
        1 => (0_i32..60).prop_map(|number| Value::Float(f64::from(number) / 4.0)),
        1 => any::<bool>().prop_map(Value::Bool),
        1 => Just(Value::Null),
        1 => Just(Value::from("YWJh")),
        1 => Just(Value::from("a\u{0}b\u{0}")),
    ];
    prop_oneof![
        5 => scalar.clone(),
        1 => proptest::collection::vec(scalar, 0..3).prop_map(Value::from),
    ]
}

pub(crate) fn event() -> impl Strategy<Value = Event> {
    let names = [
        "a",
        "b",
        "c.d",
        "CommandLine",
        "process.command_line",
        "TwoWords",
        "agent.name",
    ];
    let context: Vec<(&str, &str)> = vec![
        ("process.name", "sshd"),
        ("host.os.type", "linux"),
        ("host.os.type", "windows"),
        ("Channel", "Security"),
        ("EventID", "4688"),
        ("event.action", "sudo_command"),
        ("url.original", "/a"),
        ("message", "Jan 1 h sshd[1]: ab"),
    ];
    let fields = proptest::collection::vec((proptest::sample::select(names.to_vec()), value()), 0..6);
    let context = proptest::collection::vec(proptest::sample::select(context), 0..4);
    (fields, context).prop_map(|(fields, context)| {
        let mut all = Fields::new();
        for (name, value) in context {
            all.insert(name, value);
        }
        for (name, value) in fields {
            all.insert(name, value);
        }
        let id = EventId {
            source: SourceId::named("test", "test"),
            epoch: Epoch(1),
            seq: 0,
        };
        Event {
            id,
            timestamp: Timestamp(0),
            fields: all,
        }
    })
}
