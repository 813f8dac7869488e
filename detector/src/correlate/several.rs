//! Several detectors settle the same findings: forgetful ones, ones that die, ones that sum up what others wrote.

use std::collections::BTreeMap;
use std::sync::Arc;

use model::rule::{RuleKind, RuleOrigin, StoredRule};
use model::{Epoch, Event, EventId, Fields, SourceId, Tenant, Timestamp};
use rustc_hash::FxHashMap;
use sigma::correlation::Windows;
use storage::alerts::{self, AlertFilter};
use storage::windows::About;

use super::settle::{Settler, With};
use crate::rules::compiled::{Compiled, TenantRules};

const DAY: i64 = 24 * 3_600_000_000;
/// Start of a window of each length that is used here.
const START: i64 = 1_700_006_400_000_000;
const EVENTS: u64 = 260;

const RULE: &str =
    "title: Failed\nid: failed\nlogsource: {product: any}\ndetection: {s: {kind: failed}, condition: s}\n";
const LOGIN: &str = "title: Login\nid: login\nlogsource: {product: any}\ndetection: {s: {kind: login}, condition: s}\n";
const MANY: &str = "title: Many\nid: many\nname: many\ncorrelation: {type: event_count, rules: [failed], group-by: [ip], timespan: 1h, condition: {gte: 7}}\n";
const HOSTS: &str = "title: Hosts\nid: hosts\ncorrelation: {type: value_count, rules: [failed], group-by: [ip], timespan: 10m, condition: {field: host.name, gte: 4}}\n";
const THEN: &str = "title: Then\nid: then\ncorrelation: {type: temporal_ordered, rules: [many, login], group-by: [ip], timespan: 1h}\n";
const SOME: &str = "title: Some\nid: some\ncorrelation: {type: event_count, rules: [login], group-by: [ip], timespan: 10m, condition: {gte: 2, lte: 3}}\n";

fn stored(yaml: &str, kind: RuleKind) -> StoredRule {
    let id = yaml.split("id: ").nth(1).and_then(|rest| rest.lines().next()).unwrap();
    StoredRule {
        id: id.to_owned(),
        tenant: Tenant::default(),
        kind,
        title: id.to_owned(),
        yaml: yaml.to_owned(),
        revision: String::new(),
        path: format!("{id}.yml"),
        origin: RuleOrigin::Dir,
        level: None,
        tags: Vec::new(),
        logsource: String::new(),
        enabled: true,
        vanished: false,
        note: String::new(),
        updated_at: Timestamp(0),
        updated_by: String::new(),
        error: None,
    }
}

/// SplitMix64.
fn mix(n: u64) -> u64 {
    let mut z = n.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

fn event(seq: u64) -> Event {
    let n = mix(seq);
    let mut fields = Fields::new();
    fields.insert("kind", if n % 7 < 5 { "failed" } else { "login" });
    // Most are of one group, so that its log is summed up on the way.
    fields.insert("ip", format!("203.0.113.{}", (n / 7 % 20).saturating_sub(14)));
    fields.insert("host.name", format!("web-{}", n / 140 % 9));
    Event {
        id: EventId {
            source: SourceId::named("test", "several"),
            epoch: Epoch(1),
            seq,
        },
        timestamp: Timestamp(START + i64::try_from(n / 1260 % 4_200).unwrap() * 1_000_000),
        fields,
    }
}

#[tokio::test]
async fn detectors_that_forget_and_die_come_to_the_alerts_of_one_that_sees_all() {
    let database = testkit::mongo().await;
    let store = database.store_with_indexes().await;
    let tenant = Tenant::default();
    let of_kind = |texts: &[&str], kind: RuleKind| texts.iter().map(|text| stored(text, kind)).collect::<Vec<_>>();
    let mut content = of_kind(&[RULE, LOGIN], RuleKind::Rule);
    content.extend(of_kind(&[MANY, HOSTS, THEN, SOME], RuleKind::Correlation));
    let (compiled, errors) = Compiled::of(&content);
    assert!(errors.is_empty(), "{errors:?}");
    let compiled = Arc::new(compiled);
    let rules = compiled.tenant(&tenant).unwrap();
    let position = |event: &Event| {
        let id = event.fields.str("kind").unwrap();
        rules.rules.iter().position(|rule| rule.heading.rule.id == id).unwrap()
    };

    let mut expected = Windows::new(&rules.correlations, tenant.clone());
    // The second remembers nothing from one portion to the next.
    let detector = |memory: usize| Settler::new(store.clone(), DAY, memory);
    let mut detectors = [detector(usize::MAX), detector(0), detector(usize::MAX)];
    let mut seq = 0;
    while seq < EVENTS {
        let n = mix(seq ^ 0xdead);
        let portion: Vec<Event> = (seq..EVENTS.min(seq + 1 + n % 2)).map(event).collect();
        seq += portion.len() as u64;
        let mut contributions = Vec::new();
        for event in &portion {
            rules
                .correlations
                .contributions(position(event), event, &mut contributions);
            expected.observe(position(event), event);
        }
        let events: FxHashMap<EventId, Event> = portion.iter().map(|event| (event.id, event.clone())).collect();
        let with = With {
            rules,
            tenant: &tenant,
            events: &events,
        };
        let chosen = usize::try_from(n / 5 % 3).unwrap();
        if (n / 15).is_multiple_of(40) {
            detectors[chosen] = detector(usize::MAX);
        }
        // Now and then two look at the same block.
        let others = [chosen, (chosen + 1) % 3];
        for chosen in &others[..if (n / 600).is_multiple_of(8) { 2 } else { 1 }] {
            detectors[*chosen].use_rules(&compiled);
            detectors[*chosen]
                .contribute(with, contributions.clone())
                .await
                .unwrap();
        }
    }
    judge_what_is_due(&store, &compiled, &tenant, &mut detectors[0]).await;
    expected.finish();

    let filter = AlertFilter {
        tenant: tenant.clone(),
        limit: 1_000,
        ..AlertFilter::default()
    };
    let found = alerts::list(&store, &filter).await.unwrap();
    let found: BTreeMap<String, (i64, u64)> = found
        .into_iter()
        .filter(|alert| !alert.correlation.as_ref().unwrap().retracted)
        .map(|alert| {
            (
                alert.id.to_string(),
                (alert.timestamp.0, alert.correlation.unwrap().count),
            )
        })
        .collect();
    let expected: BTreeMap<String, (i64, u64)> = expected
        .alerts()
        .into_iter()
        .map(|alert| (alert.id.to_string(), (alert.finding.trigger.0, alert.finding.count)))
        .collect();
    assert!(expected.len() > 10, "{}", expected.len());
    assert_eq!(found, expected);
    assert!(is_summed_up(&store, rules).await, "a log was summed up on the way");
}

async fn is_summed_up(store: &storage::Store, rules: &TenantRules) -> bool {
    let many = rules
        .correlations
        .all()
        .iter()
        .find(|all| all.definition().metadata.id == "many")
        .unwrap();
    let keys = (0..super::memory::SHARES).map(|share| {
        let about = About {
            tenant: Tenant::default(),
            rule_id: "many".to_owned(),
            revision: many.definition().metadata.revision.clone(),
            window: many.window_of(Timestamp(START)),
            share,
        };
        (about.key(), 0)
    });
    let keys: Vec<_> = keys.collect();
    let read = storage::windows::read(store, &keys).await.unwrap();
    read.values().any(|rest| rest.checkpoint.is_some())
}

async fn judge_what_is_due(store: &storage::Store, compiled: &Arc<Compiled>, tenant: &Tenant, settler: &mut Settler) {
    let all: Vec<model::Partition> = model::Partition::all().collect();
    let rules = compiled.tenant(tenant).unwrap();
    let ever = Timestamp(i64::MAX / 2);
    let due = storage::windows::due(store, &all, ever, 10_000).await.unwrap();
    assert!(!due.is_empty());
    let events = FxHashMap::default();
    let with = With {
        rules,
        tenant,
        events: &events,
    };
    settler.judge_due(with, &super::due::places(rules, &due)).await.unwrap();
}
