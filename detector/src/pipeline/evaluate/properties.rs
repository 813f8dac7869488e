//! Looking at a block by column and event by event comes to the same.

use model::exception::{EVERY_RULE, Exception, Suppression};
use model::indicator::{Indicator, IndicatorType};
use model::{Epoch, EventId, Fields, SourceId, Value};
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use serde_json::json;

use super::*;
use crate::rules::compiled::Content;
use crate::rules::parsed::parse;

const START: i64 = 1_700_000_000_000_000;

const RULES: &str = "
id: login
title: Login
logsource: {product: linux}
detection: {s: {process.name|contains: ['SH', ss]}, condition: s}
---
id: keywords
title: Keywords
logsource: {product: linux}
detection: {k: [bash, '7'], f: {user.name: root}, condition: k and not f}
---
id: 'null'
title: No user
logsource: {product: linux}
detection: {s: {user.name: null}, e: {process.name|exists: true}, condition: s and e}
---
id: number
title: Number
logsource: {product: windows}
detection: {s: {Count|gte: 5}, condition: s}
---
id: spaces
title: Spaces
logsource: {product: linux}
detection: {s: {ThreatName: x}, condition: s}
---
id: folded
title: Folded
logsource: {product: linux}
detection: {s: {user.name: root}, condition: s}
---
id: silent
title: Serves a correlation only
logsource: {product: linux}
detection: {s: {user.name|re: 'ro+t'}, condition: s}
---
title: Many
id: many
correlation: {type: event_count, rules: [login], group-by: [host.name], timespan: 1m, condition: {gte: 2}}
generate: true
---
title: Values
id: values
correlation:
  type: value_count
  rules: [silent]
  group-by: [user.name]
  timespan: 1m
  condition: {gte: 2, field: process.name}
";

/// Texts, some of which mention indicators.
const TEXTS: &[&str] = &[
    "bash",
    "root",
    "sshd -D",
    "x",
    "",
    "Ünï",
    "7",
    "-7",
    "203.0.113.7",
    "from 203.0.113.7 to evil.example, 203.0.113.7",
    "hxxp://evil[.]example/a",
    "198.51.100.3 198.51.100.4 late.example",
];

fn value() -> impl Strategy<Value = Value> {
    let one = prop_oneof![
        6 => prop::sample::select(TEXTS).prop_map(Value::from),
        2 => (0_i64..9).prop_map(Value::Int),
        1 => Just(Value::Null),
        1 => any::<bool>().prop_map(Value::Bool),
        1 => Just(Value::Float(7.5)),
    ];
    let list = prop::collection::vec(one.clone(), 0..3).prop_map(Value::from);
    let nested = prop::collection::vec(list.clone(), 1..2).prop_map(Value::from);
    prop_oneof![8 => one, 1 => list, 1 => nested]
}

fn event() -> impl Strategy<Value = Event> {
    let names = vec![
        "process.name",
        "user.name",
        "Count",
        "message",
        "event.original",
        "Threat Name",
        "ThreatName",
        "picket.x",
        "source.ip",
    ];
    // In any order: which field a hit names depends on it.
    let fields = prop::collection::vec((prop::sample::select(names), value()), 0..7);
    let product = prop::sample::select(vec!["linux", "linux", "windows"]);
    (fields, product, 0_i64..200, 0..3).prop_map(|(some, product, second, host)| {
        let mut fields = Fields::new();
        fields.insert("host.os.type", product);
        fields.insert("host.name", format!("h{host}"));
        for (name, value) in some {
            fields.insert(name, value);
        }
        Event {
            id: EventId {
                source: SourceId::named("test", "properties"),
                epoch: Epoch(1),
                seq: 0,
            },
            timestamp: Timestamp(START + second * 1_000_000),
            fields,
        }
    })
}

fn rules() -> TenantRules {
    let exception = |rule_id: &str, selection: Json, expires_at| Exception {
        id: format!("except-{rule_id}"),
        tenant: Tenant::default(),
        rule_id: rule_id.to_owned(),
        selection: selection.as_object().cloned().unwrap_or_default(),
        query: selection.as_str().map(str::to_owned),
        reason: "why".to_owned(),
        author: "user:ann".to_owned(),
        created_at: Timestamp(0),
        expires_at,
    };
    let suppression = Suppression {
        tenant: Tenant::default(),
        rule_id: "folded".to_owned(),
        fields: vec!["host.name".to_owned()],
        seconds: 30,
        reason: "why".to_owned(),
        author: "user:ann".to_owned(),
        created_at: Timestamp(0),
    };
    let content = Content {
        documents: parse("a.yml", RULES.trim_start())
            .into_iter()
            .map(Result::unwrap)
            .collect(),
        exceptions: vec![
            exception(
                "login",
                json!({"user.name": "root"}),
                Some(Timestamp(START + 100_000_000)),
            ),
            exception("many", json!({"Count": 3}), None),
            exception(EVERY_RULE, json!({"host.name": "h2", "process.name": "bash"}), None),
            exception("many", json!("host.name:h1 AND NOT user.name:root"), None),
        ],
        suppressions: vec![suppression],
    };
    let (rules, problems) = TenantRules::compile(&content, None);
    assert!(problems.is_empty(), "{problems:?}");
    rules
}

fn indicators() -> IndicatorSet {
    let mut set = IndicatorSet::default();
    let mut put = |kind, value: &str, feed: &str, change: &dyn Fn(&mut Indicator)| {
        let mut indicator = Indicator::new(Tenant::default(), kind, value, feed, Timestamp(0)).unwrap();
        change(&mut indicator);
        set.put(&indicator);
    };
    put(IndicatorType::Ip, "203.0.113.7", "one", &|_| {});
    put(IndicatorType::Ip, "203.0.113.7", "two", &|other| other.confidence = 90);
    put(IndicatorType::Ip, "198.51.100.0/24", "one", &|_| {});
    put(IndicatorType::Ip, "198.51.100.3", "one", &|unsure| {
        unsure.confidence = 10
    });
    put(IndicatorType::Domain, "evil.example", "one", &|_| {});
    put(IndicatorType::Domain, "late.example", "one", &|late| {
        late.valid_from = Some(Timestamp(START + 100_000_000));
    });
    put(IndicatorType::Url, "http://evil.example/a", "one", &|_| {});
    set
}

fn evaluator() -> Evaluator {
    let tenants = [(Tenant::default(), rules())].into_iter().collect();
    Evaluator {
        rules: Arc::new(Compiled::new(tenants)),
        indicators: Arc::new(indicators()),
        intel: Arc::new(IntelConfig {
            min_confidence: 20,
            ..IntelConfig::default()
        }),
    }
}

/// All that comes of a block: counts, alerts as they are stored, the rest as it is shown.
type Shown = (Outcome, Vec<String>, String, Option<Profile>);

fn shown(
    work: &mut Working,
    evaluate: impl FnOnce(&mut Working, &mut dyn FnMut(Vec<Alert>) -> bool) -> Result<Outcome, EvaluateError>,
) -> Shown {
    let mut alerts = Vec::new();
    let outcome = evaluate(work, &mut |chunk| {
        alerts.extend(chunk.iter().map(|alert| format!("{alert:?}")));
        true
    });
    let mut profile = work.profile.take();
    for rule in profile.iter_mut().flat_map(|profile| &mut profile.rules) {
        rule.nanoseconds = 0;
        rule.fields.sort();
    }
    let findings = std::mem::take(&mut work.findings);
    (outcome.unwrap(), alerts, format!("{findings:?}"), profile)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn columns_and_rows_come_to_the_same(
        mut events in prop::collection::vec(event(), 1..40), is_counted: bool, more in 0_usize..3,
    ) {
        // Blocks in which events repeat have dictionaries.
        let few = events.clone();
        for _ in 0..more {
            events.extend_from_slice(&few);
        }
        for (event, seq) in events.iter_mut().zip(0..) {
            event.id.seq = seq;
        }
        let (evaluator, tenant, now) = (evaluator(), Tenant::default(), Timestamp(5));
        let body = block::encode(&events).unwrap().bytes;
        let mut work = Working { is_counted, ..Working::default() };
        let by_column = shown(&mut work, |work, take| evaluator.block(&tenant, &body, now, work, take));
        let by_row = shown(&mut work, |work, take| {
            let mut looking = evaluator.looking(&tenant, events.len(), now, take);
            looking.by_row(&events, work);
            looking.end(work)
        });
        prop_assert_eq!(by_column, by_row);
    }
}

#[test]
fn the_generated_blocks_raise_alerts_of_all_kinds() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let events = prop::collection::vec(event(), 400..401);
    let mut events = events.new_tree(&mut runner).unwrap().current();
    for (event, seq) in events.iter_mut().zip(0..) {
        event.id.seq = seq;
    }
    let body = block::encode(&events).unwrap().bytes;
    let (evaluator, mut work) = (evaluator(), Working::default());
    let (tenant, now) = (Tenant::default(), Timestamp(5));
    let mut ids = std::collections::BTreeSet::new();
    let outcome = evaluator.block(&tenant, &body, now, &mut work, &mut |chunk| {
        ids.extend(chunk.into_iter().map(|alert| alert.rule_id));
        true
    });
    let expected = [
        "keywords",
        "login",
        "null",
        "number",
        "spaces",
        "ti_domain",
        "ti_ip",
        "ti_url",
    ];
    assert_eq!(Vec::from_iter(&ids), expected);
    assert!(outcome.unwrap().excepted > 0);
    assert!(!work.findings.is_empty());
    assert!(!work.findings.folded.is_empty());
}
