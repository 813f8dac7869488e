//! A line of JSON is the event that `Fields::insert_json` makes of it.

use std::fmt::Write as _;

use model::id::{Epoch, SourceId};
use model::{Event, EventId, Fields, Timestamp};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use serde_json::{Map, Value as Json};
use sigma::{RuleSet, Scratch};

use crate::generate;

/// The character as it may be written in a JSON string.
fn written(c: char, how: u8) -> String {
    match (c, how) {
        ('"' | '\\', 0..250) => format!("\\{c}"),
        ('/', 0..100) => "\\/".to_owned(),
        ('\n', 0..250) => "\\n".to_owned(),
        ('\t', 0..250) => "\\t".to_owned(),
        (c, 250..) | (c @ '\0'..' ', _) => {
            let mut units = [0; 2];
            c.encode_utf16(&mut units).iter().fold(String::new(), |mut out, unit| {
                let _ = write!(out, "\\u{unit:04x}");
                out
            })
        }
        (c, _) => c.to_string(),
    }
}

fn string() -> impl Strategy<Value = String> {
    let text = prop_oneof![
        6 => generate::text(),
        2 => r#"[abAB"\\/\n\t -]{0,8}"#,
        1 => "[abk\u{212a}s\u{17f}éÉ😀]{0,8}",
        1 => r"C:\\[abAB\\]{0,40}",
    ];
    (text, proptest::collection::vec(any::<u8>(), 48)).prop_map(|(text, how)| {
        let inside: String = text.chars().zip(how).map(|(c, how)| written(c, how)).collect();
        format!("\"{inside}\"")
    })
}

fn value() -> impl Strategy<Value = String> {
    let scalar = prop_oneof![
        12 => string(),
        3 => (-3_i64..30).prop_map(|number| number.to_string()),
        1 => proptest::sample::select(vec!["1.5", "-0", "0.0", "1e3", "12345678901234567890", "1E-2", "true", "false", "null", "null"])
            .prop_map(str::to_owned),
    ];
    scalar.prop_recursive(3, 12, 4, |inner| {
        let members = proptest::collection::vec((name(), inner.clone()), 0..4);
        prop_oneof![
            1 => proptest::collection::vec(inner, 0..4).prop_map(|values| format!("[{}]", values.join(", "))),
            2 => members.prop_map(object),
        ]
    })
}

fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        8 => proptest::sample::select(vec![
            "a", "b", "c", "d", "c.d", "CommandLine", "process", "command_line", "process.command_line", "TwoWords", "Two Words",
            "agent", "name", "host.os.type", "process.name", "Channel", "EventID", "event", "action", "url.original", "message", "",
        ]).prop_map(|name| format!("\"{name}\"")),
        1 => string(),
    ]
}

fn object(members: Vec<(String, String)>) -> String {
    let members: Vec<String> = members
        .into_iter()
        .enumerate()
        .map(|(number, (name, value))| match number % 3 {
            0 => format!("{name}:{value}"),
            1 => format!(" {name} : {value} "),
            _ => format!("{name}: {value}"),
        })
        .collect();
    format!("{{{}}}", members.join(","))
}

fn line() -> impl Strategy<Value = String> {
    let context = proptest::sample::select(vec![
        r#""Channel":"Security","EventID":4688,"#,
        r#""process.name":"sshd","#,
        r#""host":{"os":{"type":"linux"}},"#,
        r#""event":{"action":"sudo_command"},"#,
        "",
        "",
    ]);
    (context, proptest::collection::vec((name(), value()), 1..7))
        .prop_map(|(context, members)| object(members).replacen('{', &format!("{{{context}"), 1))
}

/// A line, sometimes with a piece missing or a byte too many.
fn damaged() -> impl Strategy<Value = Vec<u8>> {
    (line(), any::<prop::sample::Index>(), any::<u8>(), 0..12_u8).prop_map(|(line, at, byte, how)| {
        let mut bytes = line.into_bytes();
        let at = at.index(bytes.len());
        match how {
            0 => drop(bytes.remove(at)),
            1 => bytes.insert(at, byte),
            2 => bytes.truncate(at),
            _ => {}
        }
        bytes
    })
}

#[test]
fn a_line_of_json_matches_what_its_event_matches() {
    let config = ProptestConfig {
        cases: 1500,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    let (matches, refused) = (std::cell::Cell::new(0), std::cell::Cell::new(0));
    let result = TestRunner::new(config).run(
        &(generate::rules(1..12), proptest::collection::vec(damaged(), 1..12)),
        |(rules, lines)| {
            let (set, _) = RuleSet::compile(rules);
            let (mut scratch, mut other) = (Scratch::new(), Scratch::new());
            for line in &lines {
                let (mut hits, mut expected) = (Vec::new(), Vec::new());
                let result = set.evaluate_json(line, Timestamp(7), &mut scratch, &mut hits);
                let parsed: Result<Map<String, Json>, _> = serde_json::from_slice(line);
                let shown = String::from_utf8_lossy(line);
                prop_assert_eq!(result.is_ok(), parsed.is_ok(), "{}", shown);
                let Ok(object) = parsed else {
                    prop_assert!(hits.is_empty());
                    refused.set(refused.get() + 1);
                    continue;
                };
                let mut fields = Fields::new();
                fields.insert_json("", &object);
                let id = EventId {
                    source: SourceId::named("test", "test"),
                    epoch: Epoch(1),
                    seq: 0,
                };
                let event = Event {
                    id,
                    timestamp: Timestamp(7),
                    fields,
                };
                set.evaluate(&event, &mut other, &mut expected);
                let texts = || set.rules().iter().map(|rule| rule.yaml.as_str()).collect::<String>();
                prop_assert_eq!(&hits, &expected, "{}\n{}", shown, texts());
                matches.set(matches.get() + hits.len());
            }
            Ok(())
        },
    );
    if let Err(error) = result {
        panic!("{error}");
    }
    assert!(
        matches.get() > 1000 && refused.get() > 100,
        "{} matches and {} refused lines: the generators miss their point",
        matches.get(),
        refused.get()
    );
}

/// More kinds of events than are remembered, with names within names, names that are there twice, and empty objects.
#[test]
fn events_of_ever_new_kinds_are_answered_as_if_they_were_the_first() {
    let rule = |id: &str, selection: &str| {
        format!(
            "title: {id}\nid: {id}\nlogsource: {{product: linux}}\ndetection: {{s: {{{selection}}}, condition: s}}\n"
        )
    };
    let texts = [
        rule("a", "f3: hit"),
        rule("b", "o.f4: hit, f5: hit"),
        rule("c", "o.p.f6: hit"),
    ]
    .join("---\n");
    let rules = sigma::parse_rules("rules.yml", &texts);
    let (set, errors) = RuleSet::compile(rules.into_iter().collect::<Result<_, _>>().unwrap());
    assert!(errors.is_empty());
    let mut state = 1_u64;
    let mut random = |below: u64| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    let mut scratch = Scratch::new();
    let mut found = 0;
    for number in 0..20_000 {
        let mut members: Vec<String> = Vec::new();
        for _ in 0..12 {
            let field = |random: &mut dyn FnMut(u64) -> u64| {
                let value = if random(3) == 0 { "hit" } else { "miss" };
                // A name that no event had before, now and then.
                let name = if random(40) == 0 { number } else { random(8) };
                format!("\"f{name}\":\"{value}\"")
            };
            members.push(match random(8) {
                0 => format!("\"o\":{{{},\"p\":{{{}}}}}", field(&mut random), field(&mut random)),
                1 => format!("\"o\":{{{}}}", field(&mut random)),
                2 => "\"o\":{}".to_owned(),
                3 => "\"o\":1".to_owned(),
                4 => format!("\"o.f{}\":\"hit\"", random(7)),
                _ => field(&mut random),
            });
        }
        let line = format!("{{{}}}", members.join(","));
        let mut hits = Vec::new();
        set.evaluate_json(line.as_bytes(), Timestamp(7), &mut scratch, &mut hits)
            .unwrap();
        let mut fields = Fields::new();
        fields.insert_json("", &serde_json::from_str(&line).unwrap());
        let is_hit = |name: &str| fields.get(name) == Some(&model::Value::Str("hit".into()));
        let expected = [is_hit("f3"), is_hit("o.f4") && is_hit("f5"), is_hit("o.p.f6")];
        let expected: Vec<usize> = (0..)
            .zip(expected)
            .filter(|(_, holds)| *holds)
            .map(|(rule, _)| rule)
            .collect();
        assert_eq!(hits, expected, "{line}");
        found += hits.len();
    }
    assert!(found > 1000, "{found}");
}

#[test]
fn lines_one_behind_the_other_match_what_each_matches() {
    let text = "title: a\nid: a\nlogsource: {product: linux}\ndetection: {s: {f: hit}, condition: s}\n";
    let rules = sigma::parse_rules("rule.yml", text);
    let (set, _) = RuleSet::compile(rules.into_iter().collect::<Result<_, _>>().unwrap());
    let lines = [r#"{"f":"hit"}"#, "", "{", r#"{"f":"miss"}"#, r#"{"f":"HIT","g":1}"#];
    let mut found = Vec::new();
    set.evaluate_lines(
        lines.map(str::as_bytes),
        Timestamp(7),
        &mut Scratch::new(),
        |position, hits| {
            found.push((position, hits.ok().map(<[usize]>::to_vec)));
        },
    );
    assert_eq!(
        found,
        [
            (0, Some(vec![0])),
            (1, None),
            (2, None),
            (3, Some(vec![])),
            (4, Some(vec![0]))
        ]
    );
}
