//! Nothing a publisher sends makes a parser panic, hang or grow without bound, and what is good survives what is not.
#![allow(
    clippy::unwrap_used,
    reason = "a test may end where it finds something else than it expects"
)]

use feeds::{Entry, Item, Kind, MAX_NOTE_CHARS, MAX_TAG_CHARS, MAX_TAGS, Options, Parser};
use model::indicator::canonical_value;
use proptest::prelude::*;

const ONE_BODY: [Kind; 6] = [
    Kind::Feodo,
    Kind::Urlhaus,
    Kind::ThreatFox,
    Kind::MalwareBazaar,
    Kind::List,
    Kind::Stix,
];

fn parse(kind: Kind, bytes: &[u8], piece: usize) -> Vec<Item> {
    let mut parser = Parser::new(kind, Options::default()).unwrap();
    let mut items = Vec::new();
    for bytes in bytes.chunks(piece.max(1)) {
        parser.push(bytes, &mut items);
    }
    parser.finish(&mut items);
    items
}

fn check(entry: &Entry) {
    assert_eq!(canonical_value(entry.kind, &entry.value).as_ref(), Ok(&entry.value));
    assert!(entry.tags.len() <= MAX_TAGS);
    assert!(entry.tags.iter().all(|tag| tag.chars().count() <= MAX_TAG_CHARS));
    assert!(entry.note.chars().count() <= MAX_NOTE_CHARS);
    assert!(entry.reference.chars().count() <= MAX_NOTE_CHARS);
    assert!(entry.confidence.is_none_or(|confidence| confidence <= 100));
}

fn check_all(items: &[Item]) {
    for item in items {
        match item {
            Item::Entry(entry) | Item::Withdrawn(entry) => check(entry),
            Item::Refused(refused) => {
                assert!(!refused.place.is_empty() && !refused.field.is_empty() && !refused.reason.is_empty());
                assert!(refused.to_string().chars().count() < 2000);
            }
            Item::Skipped(_) => {}
        }
    }
}

/// Text that looks like a feed, so that parsers get past their first check.
fn feedish() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        Just("\"".to_owned()),
        Just(",".to_owned()),
        Just("\n".to_owned()),
        Just("\\".to_owned()),
        Just("# \"first_seen_utc\",\"ioc_value\",\"dst_ip\"\n".to_owned()),
        Just("203.0.113.9".to_owned()),
        Just("https://evil.example/x".to_owned()),
        Just("{\"type\":\"bundle\",\"objects\":[".to_owned()),
        Just("{\"type\":\"indicator\",\"pattern\":\"".to_owned()),
        Just("[ipv4-addr:value = '203.0.113.9']".to_owned()),
        Just(" OR ".to_owned()),
        Just(" AND ".to_owned()),
        Just("\"}".to_owned()),
        Just("]}".to_owned()),
        Just("'".to_owned()),
        Just("(".to_owned()),
        Just("[".to_owned()),
        ".{0,8}",
    ];
    prop_oneof![
        proptest::collection::vec(piece, 0..60).prop_map(|pieces| pieces.concat().into_bytes()),
        proptest::collection::vec(any::<u8>(), 0..300),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn any_bytes_are_read_without_harm_and_alike_in_any_pieces(bytes in feedish(), piece in 1_usize..40) {
        for kind in ONE_BODY {
            let whole = parse(kind, &bytes, bytes.len());
            check_all(&whole);
            prop_assert_eq!(parse(kind, &bytes, piece), whole);
        }
    }

    #[test]
    fn any_bytes_are_no_harm_to_misp_and_taxii(bytes in feedish()) {
        let mut items = Vec::new();
        let _ = feeds::misp::event(&bytes, &mut items);
        let _ = feeds::misp::manifest(&bytes);
        let _ = feeds::taxii::discovery(&bytes);
        let _ = feeds::taxii::collections(&bytes);
        let mut envelope = feeds::taxii::Envelope::default();
        envelope.push(&bytes, &mut items);
        let _ = envelope.finish();
        check_all(&items);
    }

    #[test]
    fn any_text_is_no_harm_as_a_pattern(pattern in "(\\[|\\]|\\(|\\)|'|,|=|a:b|ipv4-addr:value| AND | OR |IN|NOT |x|\\\\|é){0,40}") {
        let _ = feeds::pattern::values(&pattern);
    }

    #[test]
    fn a_good_line_survives_between_bad_ones(before in feedish(), after in feedish()) {
        let good = b"\n198.51.100.7\n";
        let bytes = [before.as_slice(), good, after.as_slice()].concat();
        let found = parse(Kind::List, &bytes, 17);
        let survived = found.iter().any(|item| matches!(item, Item::Entry(entry) if entry.value == "198.51.100.7"));
        prop_assert!(survived);
    }

    #[test]
    fn misp_attributes_of_any_shape_cost_only_themselves(value in "\\PC{0,30}", kind in "(ip-dst|domain\\|ip|filename\\|md5|url|x)", flag in any::<bool>()) {
        let event = serde_json::json!({"Event": {"info": [], "uuid": 5, "Tag": [{"name": 1}, {}], "Attribute": [
            {"type": kind, "value": value, "to_ids": flag, "comment": {"a": 1}, "deleted": null},
            {"type": "ip-dst", "value": "198.51.100.7", "to_ids": true},
        ]}});
        let mut items = Vec::new();
        feeds::misp::event(event.to_string().as_bytes(), &mut items).unwrap();
        check_all(&items);
        let survived = items.iter().any(|item| matches!(item, Item::Entry(entry) if entry.value == "198.51.100.7"));
        prop_assert!(survived);
    }
}

#[test]
fn a_web_page_is_refused_line_by_line_and_gives_nothing() {
    let page = b"<!DOCTYPE html>\n<html><head><title>Log in</title></head>\n<body>Please log in</body></html>\n";
    for kind in ONE_BODY {
        let items = parse(kind, page, 10);
        assert!(!items.is_empty(), "{kind}");
        assert!(
            items.iter().all(|item| matches!(item, Item::Refused(_))),
            "{kind}: {items:?}"
        );
    }
}

#[test]
fn an_object_without_end_is_told_and_not_kept() {
    let mut bytes = br#"{"type":"bundle","objects":[{"type":"indicator","pattern":""#.to_vec();
    bytes.resize(20 * 1024 * 1024, b'x');
    bytes.extend_from_slice(br#""},{"type":"indicator","id":"i","pattern":"[ipv4-addr:value = '198.51.100.7']"}]}"#);
    let items = parse(Kind::Stix, &bytes, 64 * 1024);
    assert_eq!(items.len(), 2, "{items:?}");
    assert!(matches!(&items[0], Item::Refused(refused) if refused.field == "object"));
    assert!(matches!(&items[1], Item::Entry(entry) if entry.value == "198.51.100.7"));
}
