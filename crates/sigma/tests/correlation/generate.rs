//! Random correlations and random events for them.

use model::id::{Epoch, SourceId};
use model::{Event, EventId, Fields, Timestamp, Value};
use proptest::prelude::*;
use sigma::correlation::Correlations;
use sigma::{Document, Rule, parse_documents};

/// Names of the rules; an event's field `kind` lists those that match it.
pub(crate) const RULES: [&str; 3] = ["ra", "rb", "rc"];

pub(crate) fn event(seq: u64, seconds: i64, kinds: &[usize], host: &Value, user: &Value, bytes: &Value) -> Event {
    let mut fields = Fields::new();
    fields.insert(
        "kind",
        kinds.iter().map(|kind| Value::Int(*kind as i64)).collect::<Value>(),
    );
    for (name, value) in [("host", host), ("user", user), ("bytes", bytes)] {
        if *value != Value::Null {
            fields.insert(name, value.clone());
        }
    }
    Event {
        id: EventId {
            source: SourceId::named("test", "test"),
            epoch: Epoch(1),
            seq,
        },
        timestamp: Timestamp(seconds * 1_000_000),
        fields,
    }
}

/// The rules that match an event.
pub(crate) fn kinds(event: &Event) -> Vec<usize> {
    match event.fields.get("kind") {
        Some(Value::List(kinds)) => kinds
            .iter()
            .filter_map(Value::as_i64)
            .map(|kind| kind as usize)
            .collect(),
        _ => Vec::new(),
    }
}

pub(crate) fn events(most: usize) -> impl Strategy<Value = Vec<Event>> {
    let kinds = proptest::sample::subsequence(vec![0_usize, 1, 2], 1..=2);
    let text = |values: &[&'static str]| proptest::sample::select(values.to_vec()).prop_map(Value::from);
    let host = prop_oneof![8 => text(&["x", "X", "y"]), 1 => Just(Value::Null), 1 => Just(Value::from(vec!["x".into(), "y".into()]))];
    let user = prop_oneof![8 => text(&["u1", "u2", "U2", "u3", "u4", "u5"]), 1 => Just(Value::Null),
        1 => Just(Value::from(vec!["u1".into(), "u6".into()]))];
    let bytes = prop_oneof![6 => (0..20_i64).prop_map(Value::Int), 1 => (-9..0_i64).prop_map(Value::Int),
        1 => Just(Value::from("7")), 1 => Just(Value::Null)];
    proptest::collection::vec((-20..45_i64, kinds, host, user, bytes), 1..most).prop_map(|list| {
        (0..)
            .zip(list)
            .map(|(seq, (seconds, kinds, host, user, bytes))| event(seq, seconds, &kinds, &host, &user, &bytes))
            .collect()
    })
}

fn bounds(most: i32) -> impl Strategy<Value = String> {
    let one = (
        proptest::sample::select(vec!["gt", "gte", "gte", "gte", "lt", "lte", "eq", "neq"]),
        1..most,
    );
    prop_oneof![
        4 => one.prop_map(|(op, value)| format!("{op}: {value}")),
        1 => (1..most, 0..4).prop_map(|(low, more)| format!("gte: {low}, lte: {}", low + more)),
    ]
}

/// The `correlation` section of a random correlation over `rules`, at least two.
fn section(
    rules: &'static [&'static str],
    group: impl Strategy<Value = &'static str>,
    measures: bool,
) -> impl Strategy<Value = String> {
    let references = proptest::sample::subsequence(rules.to_vec(), 1..=rules.len()).prop_shuffle();
    let timespan = proptest::sample::select(vec!["3s", "7s", "10s", "30s"]);
    let percentile = proptest::sample::select(vec!["", "percentile: 90, ", "percentile: 50, "]);
    let expression = proptest::sample::select(vec![
        "{a} and not {b}",
        "{a} and {b}",
        "{a} or {b}",
        "({a} and not {b}) or ({b} and not {a})",
        "{b} and {a}",
    ]);
    let kind = proptest::sample::select(if measures {
        vec![
            "event_count",
            "value_count",
            "temporal",
            "temporal_ordered",
            "value_sum",
            "value_avg",
            "value_median",
            "value_percentile",
            "expression",
            "ordered expression",
            "tuple",
        ]
    } else {
        vec![
            "event_count",
            "temporal",
            "temporal_ordered",
            "expression",
            "ordered expression",
        ]
    });
    (
        kind,
        references,
        timespan,
        group,
        bounds(6),
        bounds(60),
        percentile,
        expression,
        1..4_usize,
    )
        .prop_map(
            |(kind, mut references, timespan, group, small, large, percentile, expression, length)| {
                let (kind, condition) = match kind {
                    "value_count" => (kind, format!("{{field: user, {small}}}")),
                    "tuple" => ("value_count", format!("{{field: [user, host], {small}}}")),
                    "value_sum" | "value_avg" | "value_median" => (kind, format!("{{field: bytes, {large}}}")),
                    "value_percentile" => (kind, format!("{{field: bytes, {percentile}{large}}}")),
                    "temporal" => (kind, format!("{{gte: {}}}", length.min(references.len()))),
                    "temporal_ordered" => (kind, format!("{{gte: {}}}", length.min(references.len()))),
                    "expression" | "ordered expression" => {
                        references = vec![references[0], if references[0] == "rc" { "ra" } else { "rc" }];
                        let kind = if kind == "expression" {
                            "temporal"
                        } else {
                            "temporal_ordered"
                        };
                        (
                            kind,
                            expression.replace("{a}", references[0]).replace("{b}", references[1]),
                        )
                    }
                    _ => (kind, format!("{{{small}}}")),
                };
                let references = references.join(", ");
                format!("{{type: {kind}, rules: [{references}], {group}timespan: {timespan}, condition: {condition}}}")
            },
        )
}

/// Two correlations over rules, one of which others can be over, and one over that one.
pub(crate) fn documents() -> impl Strategy<Value = String> {
    let group = || proptest::sample::select(vec!["", "group-by: [host], ", "group-by: [host, user], "]);
    let outer = proptest::sample::select(vec!["", "group-by: [host], "]);
    (section(&RULES, group(), true), section(&RULES, Just("group-by: [host, user], "), true), section(&["inner", "rc"], outer, false))
        .prop_map(|(first, inner, outer)| {
            format!(
                "title: First\nid: first\ncorrelation: {first}\n---\ntitle: Inner\nid: inner\ncorrelation: {inner}\n---\n\
                 title: Outer\nid: outer\ncorrelation: {outer}\n"
            )
        })
}

pub(crate) fn rules() -> Vec<Rule> {
    RULES
        .iter()
        .enumerate()
        .map(|(kind, id)| {
            let text = format!(
                "title: T\nid: {id}\nlogsource: {{product: linux}}\ndetection: {{s: {{kind: {kind}}}, condition: s}}\n"
            );
            sigma::parse_rules("r.yml", &text).remove(0).unwrap()
        })
        .collect()
}

/// Those of the documents that make sense.
pub(crate) fn compile(documents: &str) -> Correlations {
    let correlations = parse_documents("c.yml", documents)
        .into_iter()
        .filter_map(|document| match document {
            Ok(Document::Correlation(correlation)) => Some(correlation),
            // Such as a range without anything in it.
            _ => None,
        })
        .collect();
    Correlations::compile(correlations, &rules()).0
}
