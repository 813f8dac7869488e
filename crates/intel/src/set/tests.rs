//! The set as a whole, beside a plain reading of what indicators mean.

use std::collections::BTreeMap;

use model::indicator::{Indicator, IndicatorType, Tlp, canonical_value};
use model::{Epoch, Event, EventId, Fields, SourceId, Tenant, Timestamp, Value};
use proptest::prelude::*;

use super::{Find, Hit, IndicatorSet, MAX_HITS};
use crate::observables::{Extractor, Observable, Wanted};

fn indicator(kind: IndicatorType, value: &str) -> Indicator {
    Indicator::new(Tenant::default(), kind, value, "test", Timestamp(0)).unwrap()
}

fn guessed(value: &str) -> Indicator {
    indicator(IndicatorType::guess(value).unwrap(), value)
}

fn set_of(indicators: &[Indicator]) -> IndicatorSet {
    let mut set = IndicatorSet::default();
    for indicator in indicators {
        set.put(indicator);
    }
    set
}

fn event(fields: &[(&'static str, Value)]) -> Event {
    Event {
        id: EventId {
            source: SourceId::named("test", "set"),
            epoch: Epoch(1),
            seq: 1,
        },
        timestamp: Timestamp(1_000_000),
        fields: fields
            .iter()
            .map(|(name, value)| ((*name).into(), value.clone()))
            .collect::<Fields>(),
    }
}

fn hits(set: &IndicatorSet, event: &Event) -> Vec<Hit> {
    let tenant = set.tenant(&Tenant::default());
    tenant.map_or_else(Vec::new, |set| set.matches(event, 0, &mut Find::new()).hits)
}

fn matches(set: &IndicatorSet, event: &Event) -> Vec<String> {
    let text = |hit: &Hit| format!("{} {} in {}", hit.kind, hit.value, hit.field);
    hits(set, event).iter().map(text).collect()
}

#[test]
fn each_kind_matches_in_lines_fields_and_lists_once() {
    let (md5, sha1, sha256) = ("ab".repeat(16), "ab".repeat(20), "ab".repeat(32));
    let set = set_of(&[
        guessed("203.0.113.7"),
        guessed("198.51.100.0/24"),
        guessed("2001:db8::1"),
        guessed("2001:db8:1::/48"),
        guessed("evil.example"),
        guessed("http://www.evil.example/a?b=1"),
        guessed("bad@evil.example"),
        guessed(&md5),
        guessed(&sha1),
        guessed(&sha256),
    ]);
    let event = event(&[
        (
            "message",
            "203.0.113.7 asked for a.b.EVIL.example and HTTP://www.evil.example/a?b=1#x".into(),
        ),
        ("source.ip", "203.0.113.7".into()),
        ("destination.ip", "198.51.100.77".into()),
        ("email.from.address", "Bad@Evil.Example".into()),
        (
            "x.list",
            Value::from(vec![
                1.into(),
                md5.to_ascii_uppercase().into(),
                Value::from(vec![sha1.clone().into()]),
                sha256.clone().into(),
                "2001:DB8:0::1".into(),
                "2001:db8:1:2::3".into(),
            ]),
        ),
    ]);
    let mut found = matches(&set, &event);
    found.sort();
    let mut wanted = vec![
        "ip 203.0.113.7 in source.ip".to_owned(),
        "ip 198.51.100.0/24 in destination.ip".to_owned(),
        "ip 2001:db8::1 in x.list".to_owned(),
        "ip 2001:db8:1::/48 in x.list".to_owned(),
        "domain evil.example in email.from.address".to_owned(),
        "url http://www.evil.example/a?b=1 in message".to_owned(),
        "email bad@evil.example in email.from.address".to_owned(),
        format!("md5 {md5} in x.list"),
        format!("sha1 {sha1} in x.list"),
        format!("sha256 {sha256} in x.list"),
    ];
    wanted.sort();
    assert_eq!(found, wanted);
}

#[test]
fn a_domain_covers_its_subdomains_and_nothing_else() {
    let set = set_of(&[guessed("evil.example")]);
    for (text, hit) in [
        ("evil.example", true),
        ("www.evil.example.", true),
        ("evil[.]example", true),
        ("notevil.example", false),
        ("evil.example.org", false),
        ("example", false),
        ("evil-example", false),
    ] {
        assert_eq!(
            matches(&set, &event(&[("m", text.into())])).len(),
            usize::from(hit),
            "{text}"
        );
    }
}

#[test]
fn a_network_covers_its_addresses_and_nothing_else() {
    let set = set_of(&[guessed("198.51.100.64/26"), guessed("45.0.0.0/7"), guessed("2a00::/12")]);
    for (text, hit) in [
        ("198.51.100.63", false),
        ("198.51.100.64", true),
        ("198.51.100.127", true),
        ("198.51.100.128", false),
        ("44.0.0.1", true),
        ("45.255.255.255", true),
        ("46.0.0.0", false),
        ("2a0f:ffff::1", true),
        ("2a10::1", false),
        ("::ffff:45.1.2.3", true),
    ] {
        assert_eq!(
            matches(&set, &event(&[("m", text.into())])).len(),
            usize::from(hit),
            "{text}"
        );
    }
}

#[test]
fn validity_and_confidence_decide_at_the_events_own_time() {
    for (from, until, hit) in [
        (None, None, true),
        (None, Some(999), false),
        (None, Some(1000), true),
        (Some(1000), None, true),
        (Some(1001), None, false),
        (Some(900), Some(1100), true),
    ] {
        let mut one = guessed("10.0.0.1");
        one.valid_from = from.map(Timestamp::from_millis);
        one.valid_until = until.map(Timestamp::from_millis);
        let event = event(&[("m", "10.0.0.1".into())]);
        assert_eq!(
            matches(&set_of(&[one]), &event).len(),
            usize::from(hit),
            "{from:?} {until:?}"
        );
    }
    let mut one = guessed("10.0.0.1");
    one.confidence = 50;
    let set = set_of(&[one]);
    let set = set.tenant(&Tenant::default()).unwrap();
    let event = event(&[("m", "10.0.0.1".into())]);
    assert_eq!(set.matches(&event, 50, &mut Find::new()).hits.len(), 1);
    assert_eq!(set.matches(&event, 51, &mut Find::new()).hits.len(), 0);
}

#[test]
fn a_hit_tells_all_about_the_indicator_and_who_else_says_so() {
    let mut sure = guessed("10.0.0.1");
    sure.source = "sure".to_owned();
    sure.feed = "a-feed".to_owned();
    sure.confidence = 90;
    sure.tags = vec!["botnet".to_owned()];
    sure.tlp = Some(Tlp::Amber);
    sure.note = "n".repeat(1000);
    sure.reference = "https://example.org/1".to_owned();
    let mut ended = guessed("10.0.0.1");
    ended.source = "ended".to_owned();
    ended.confidence = 100;
    ended.valid_until = Some(Timestamp(10));
    let all = [guessed("10.0.0.1"), sure, ended];
    let event = event(&[("m", "10.0.0.1".into())]);
    let one_way = hits(&set_of(&all), &event);
    let mut reversed = all.clone();
    reversed.reverse();
    assert_eq!(
        one_way,
        hits(&set_of(&reversed), &event),
        "the order of arrival does not matter"
    );
    let [hit] = one_way.as_slice() else {
        panic!("{one_way:?}")
    };
    assert_eq!(
        (hit.source.as_str(), hit.feed.as_str(), hit.confidence),
        ("sure", "a-feed", 90)
    );
    assert_eq!(
        (hit.tags.as_slice(), hit.tlp),
        (["botnet".to_owned()].as_slice(), Some(Tlp::Amber))
    );
    assert_eq!((hit.note.len(), hit.reference.as_str()), (500, "https://example.org/1"));
    assert_eq!(hit.others, ["test"]);
}

#[test]
fn a_line_that_lists_a_whole_feed_is_bounded() {
    let all: Vec<Indicator> = (0..200).map(|n| guessed(&format!("10.0.0.{n}"))).collect();
    let line: Vec<&str> = all.iter().map(|indicator| indicator.value.as_str()).collect();
    let set = set_of(&all);
    let event = event(&[("m", line.join(" ").into())]);
    let found = set
        .tenant(&Tenant::default())
        .unwrap()
        .matches(&event, 0, &mut Find::new());
    assert_eq!((found.hits.len(), found.dropped), (MAX_HITS, 200 - MAX_HITS));
}

#[test]
fn a_snapshot_stays_as_it_was_and_other_tenants_are_left_alone() {
    let one = set_of(&[guessed("10.0.0.1")]);
    let mut two = one.clone();
    let mut again = guessed("10.0.0.1");
    again.note = "changed".to_owned();
    let mut foreign = guessed("10.0.0.2");
    foreign.tenant = "acme".parse().unwrap();
    assert!(!two.put(&again) && two.put(&foreign));
    assert_eq!((one.len(), two.len()), (1, 2));
    let event = event(&[("m", "10.0.0.1 10.0.0.2".into())]);
    assert_eq!(hits(&one, &event)[0].note, "");
    let changed = hits(&two, &event);
    assert_eq!((changed.len(), changed[0].note.as_str()), (1, "changed"));
    assert!(two.contains(&again) && !two.contains(&guessed("10.0.0.1")));
    assert!(two.remove(&foreign) && !two.remove(&foreign));
    assert!(two.tenant(&foreign.tenant).is_none());
}

/// Values that meet each other: networks around addresses, names above names.
fn any_value() -> impl Strategy<Value = (IndicatorType, String)> {
    let bits = 0_u32..64;
    prop_oneof![
        bits.clone()
            .prop_map(|n| (IndicatorType::Ip, format!("45.{}.{}.{}", n % 2, n % 3, n % 5))),
        (bits.clone(), 4_u8..33)
            .prop_map(|(n, length)| { (IndicatorType::Ip, format!("45.{}.{}.{}/{length}", n % 2, n % 3, n % 5)) }),
        (bits.clone(), 16_u8..129).prop_map(|(n, length)| {
            (
                IndicatorType::Ip,
                format!("2a00:{}:{}::{}/{length}", n % 2, n % 3, n % 5),
            )
        }),
        bits.clone()
            .prop_map(|n| (IndicatorType::Ip, format!("2a00:{}:{}::{}", n % 2, n % 3, n % 5))),
        "([ab]\\.){1,3}(example|org)".prop_map(|name| (IndicatorType::Domain, name)),
        "http://a\\.example/[ab]{0,2}".prop_map(|url| (IndicatorType::Url, url)),
        "[ab]{1,2}@a\\.example".prop_map(|mail| (IndicatorType::Email, mail)),
        bits.clone()
            .prop_map(|n| (IndicatorType::Md5, format!("{:032x}", n % 8))),
        bits.clone()
            .prop_map(|n| (IndicatorType::Sha1, format!("{:040x}", n % 8))),
        bits.prop_map(|n| (IndicatorType::Sha256, format!("{:064x}", n % 8))),
    ]
}

fn any_indicator() -> impl Strategy<Value = Indicator> {
    (any_value(), 0_usize..3, 0_u8..=100, "[xy]{0,2}").prop_map(|((kind, value), source, confidence, reference)| {
        let mut one = indicator(kind, &value);
        one.source = ["one", "two", "three"][source].to_owned();
        one.confidence = confidence;
        one.reference = reference;
        one
    })
}

/// What a plain reading of the definition says: every indicator is compared with everything in the text.
fn reference(said: &BTreeMap<(IndicatorType, String, String), Indicator>, text: &str) -> Vec<(IndicatorType, String)> {
    let mut found = Vec::new();
    Extractor::new().scan(text, Wanted::ALL, &mut |observable| {
        for indicator in said.values() {
            let value = indicator.value.as_str();
            let is_hit = match (indicator.kind, observable) {
                (IndicatorType::Ip, Observable::Ip(ip)) => value
                    .parse::<ipnet::IpNet>()
                    .map_or_else(|_| value.parse() == Ok(ip), |net| net.contains(&ip)),
                (IndicatorType::Domain, Observable::Domain(name)) => {
                    name == value || name.ends_with(&format!(".{value}"))
                }
                (IndicatorType::Url, Observable::Url(url)) => url == value,
                (IndicatorType::Email, Observable::Email(email)) => email == value,
                (IndicatorType::Md5 | IndicatorType::Sha1 | IndicatorType::Sha256, Observable::Hash(hash)) => {
                    hash.eq_ignore_ascii_case(value)
                }
                _ => false,
            };
            let hit = (indicator.kind, indicator.value.clone());
            if is_hit && !found.contains(&hit) {
                found.push(hit);
            }
        }
    });
    found.sort();
    found
}

proptest! {
    #[test]
    fn the_set_answers_as_a_plain_list_would(
        changes in prop::collection::vec((any_indicator(), prop::bool::weighted(0.3)), 0..120),
        texts in prop::collection::vec(any_value(), 1..12),
    ) {
        let mut set = IndicatorSet::default();
        let mut said = BTreeMap::new();
        let mut snapshots = Vec::new();
        for (position, (one, is_removal)) in changes.iter().enumerate() {
            let key = (one.kind, one.value.clone(), one.source.clone());
            if *is_removal {
                prop_assert_eq!(set.remove(one), said.remove(&key).is_some());
            } else {
                prop_assert_eq!(set.put(one), said.insert(key, one.clone()).is_none());
                prop_assert!(set.contains(one));
            }
            prop_assert_eq!(set.len(), said.len());
            if position % 40 == 0 {
                snapshots.push((set.clone(), said.clone()));
            }
        }
        if let Some(tenant) = set.tenant(&Tenant::default()) {
            prop_assert_eq!(tenant.said(), said.len());
        }
        snapshots.push((set, said));
        for (set, said) in snapshots {
            for (kind, text) in &texts {
                let text = text.split('/').next().filter(|_| *kind == IndicatorType::Ip).unwrap_or(text);
                let mut found: Vec<(IndicatorType, String)> = hits(&set, &event(&[("m", text.into())]))
                    .into_iter()
                    .map(|hit| (hit.kind, hit.value))
                    .collect();
                found.sort();
                prop_assert_eq!(found, reference(&said, text), "{}", text);
            }
        }
    }
}

#[test]
fn a_hundred_thousand_come_and_go_and_nothing_is_left_behind() {
    let value = |n: u32| canonical_value(IndicatorType::Domain, &format!("h{n}.d{}.example", n % 97)).unwrap();
    let mut set = IndicatorSet::default();
    let one = |n: u32| {
        let mut one = indicator(IndicatorType::Domain, &value(n));
        one.reference = format!("https://example.org/{n}");
        one
    };
    for round in 0..3 {
        for n in 0..20_000 {
            assert!(set.put(&one(n + round * 5000)) || n < 15_000 && round > 0);
        }
        for n in 0..5000 {
            assert!(set.remove(&one(n + round * 5000)));
        }
        assert_eq!(set.len(), 15_000);
    }
    set.shrink();
    let seen = |n: u32| !matches(&set, &event(&[("m", value(n).into())])).is_empty();
    assert!(seen(15_000) && seen(29_999) && !seen(14_999) && !seen(30_000));
}
