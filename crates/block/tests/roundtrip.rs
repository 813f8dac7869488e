//! Whatever is encoded comes back equal, and what is asked of a part agrees with the whole.

#![allow(clippy::unwrap_used, reason = "the helpers of tests may fail as tests do")]

mod traffic;

use std::net::IpAddr;

use block::{
    Block, ColumnPart, DecodeError, EncodeError, MAX_COLUMNS, MAX_EVENTS, MAX_WEIGHT, View, completing, encode,
    may_contain, split, weight,
};
use intel::observables::{Extractor, Observable, Wanted};
use model::{Epoch, Event, EventId, FieldName, Fields, SourceId, Timestamp, Value, ecs};
use proptest::prelude::*;

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::Int),
        (-5_i64..5).prop_map(Value::Int),
        prop::num::f64::NORMAL.prop_map(Value::Float),
        Just(Value::Float(-0.0)),
        "[a-c]{0,3}".prop_map(Value::from),
        ".{0,40}".prop_map(Value::from),
        any::<[u8; 4]>().prop_map(|ip| Value::from(format!("from {}.{}.{}.{} port", ip[0], ip[1], ip[2], ip[3]))),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop::collection::vec(inner, 0..4).prop_map(Value::from)
    })
}

fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        prop::sample::select(vec![
            "message",
            "event.original",
            "source.ip",
            "process.pid",
            "",
            "own field"
        ])
        .prop_map(str::to_owned),
        "[a-d]",
    ]
}

fn event() -> impl Strategy<Value = Event> {
    let id = (0_u8..3, 0_u64..3, prop_oneof![0_u64..9, Just(u64::MAX)]);
    let time = prop_oneof![any::<i64>(), (0_i64..9).prop_map(|n| n * 1_000_000)];
    let fields = prop::collection::vec((name(), value()), 0..8);
    let names = prop::collection::vec("[a-c]{1,2}", 0..4);
    (id, time, fields, any::<bool>(), names).prop_map(|((source, epoch, seq), time, pairs, line, names)| {
        let mut fields: Fields = pairs
            .into_iter()
            .map(|(name, value)| (FieldName::from(name), value))
            .collect();
        if line && let Some(message) = fields.str("message").map(str::to_owned) {
            fields.insert("event.original", format!("host sshd[1]: {message}"));
        }
        relate(&mut fields, &names);
        Event {
            id: EventId {
                source: SourceId::named("test", &source.to_string()),
                epoch: Epoch(epoch),
                seq,
            },
            timestamp: Timestamp(time),
            fields,
        }
    })
}

/// Says again, mostly, what other fields say.
fn relate(fields: &mut Fields, names: &[String]) {
    let peers = ["source.ip", "destination.ip", "client.ip"];
    for (name, text) in peers.iter().zip(names) {
        fields.insert(*name, text.clone());
    }
    if names.len() != 1 {
        fields.insert(
            "related.ip",
            Value::from(names.iter().map(|name| Value::from(name.clone())).collect::<Vec<_>>()),
        );
    }
    if let Some(first) = names.first() {
        fields.insert("source.address", first.clone());
        fields.insert("host.hostname", "web");
        fields.insert("host.name", if first == "a" { "web.example" } else { "web" });
    }
}

fn check(events: &[Event]) {
    let encoded = encode(events).unwrap();
    let block = Block::open(&encoded.bytes).unwrap();
    assert_eq!(block.len(), events.len());
    assert_eq!(block.events().unwrap(), events);
    assert_eq!(
        block.ids().unwrap(),
        events.iter().map(|event| event.id).collect::<Vec<_>>()
    );
    let times: Vec<_> = events.iter().map(|event| event.timestamp).collect();
    assert_eq!(block.timestamps().unwrap(), times);
    assert_eq!(Some(&block.min_time()), times.iter().min());
    assert_eq!(Some(&block.max_time()), times.iter().max());
    assert_eq!(
        (encoded.meta.min_time, encoded.meta.max_time),
        (block.min_time(), block.max_time())
    );
    assert_eq!(encoded.meta.count as usize, events.len());
    for name in events
        .iter()
        .flat_map(|event| event.fields.iter().map(|(name, _)| name))
        .take(200)
    {
        let column = block.column(name).unwrap().unwrap();
        let expected: Vec<_> = events.iter().map(|event| event.fields.get(name)).collect();
        assert_eq!(column.iter().collect::<Vec<_>>(), expected, "{name}");
    }
    assert_eq!(block.column("no such field"), Ok(None));
    check_views(&block, events);
    check_split(&encoded.bytes, events);
    check_addresses(&block, events);
    check_parts(&block, events);
    let mut names: Vec<_> = events
        .iter()
        .flat_map(|event| event.fields.iter().map(|(name, _)| name))
        .collect();
    names.sort_unstable();
    names.dedup();
    let mut found: Vec<_> = block.field_names().collect();
    found.sort_unstable();
    assert!(found == names || names.len() > MAX_COLUMNS);
    for text in events
        .iter()
        .flat_map(|event| event.fields.iter())
        .filter_map(|(_, value)| value.as_str())
    {
        assert!(may_contain(&encoded.meta.token_filter, text), "{text:?}");
    }
}

/// What a row has in a view.
fn viewed(view: &View, row: usize) -> Option<Value> {
    let index = view.index(row)?;
    Some(match view {
        View::Texts { texts, .. } => {
            assert_eq!(view.text(row), Some(texts.get(index)));
            let (start, end) = texts.place(index);
            assert!(start == end || (texts.index_at(start), texts.index_at(end - 1)) == (index, index));
            Value::from(texts.all()[start..end].to_owned())
        }
        View::Integers { numbers, .. } => Value::Int(numbers[index]),
        View::Values { values, .. } => values[index].clone(),
    })
}

fn check_views(block: &Block<'_>, events: &[Event]) {
    let views = block.views();
    for column in 0..views.columns().min(200) {
        let (name, view) = (views.name(column), views.get(column).unwrap());
        assert!(views.columns_of(name).contains(&column));
        for (row, event) in events.iter().enumerate() {
            let mut values = views
                .columns_of(name)
                .filter_map(|part| viewed(views.get(part).unwrap(), row));
            assert_eq!(values.next().as_ref(), event.fields.get(name), "{name} at {row}");
            assert_eq!(values.next(), None, "a row has its value in one part");
            assert!(viewed(view, row).is_none_or(|value| Some(&value) == event.fields.get(name)));
        }
    }
}

/// In parts, with all of them and with some.
fn check_split(bytes: &[u8], events: &[Event]) {
    let parts = split(bytes).unwrap();
    let mut joined = parts.head.to_vec();
    parts
        .columns
        .iter()
        .for_each(|column| joined.extend_from_slice(column.bytes));
    joined.extend_from_slice(parts.overflow);
    assert!(joined == bytes);
    let find = |name: &str, part: usize| {
        let mut columns = parts.columns.iter();
        Some(
            columns
                .find(|column| column.field == name && column.part == part)?
                .bytes,
        )
    };
    if parts.overflow.is_empty() {
        assert_eq!(Block::of_parts(parts.head, find).unwrap().events().unwrap(), events);
    }
    let head = Block::of_parts(parts.head, |_, _| None).unwrap();
    assert_eq!(head.ids().unwrap().len(), events.len());
    assert_eq!(head.timestamps().unwrap().len(), events.len());
    if !parts.columns.is_empty() {
        assert_eq!(head.events(), Err(DecodeError::NotAtHand));
    }
    for (row, event) in events.iter().enumerate().step_by(events.len() / 8 + 1) {
        let Some(columns) = head.columns_at(&[row]) else { break };
        let columns: Vec<_> = columns.iter().map(|column| (column.field, column.part)).collect();
        let some = |name: &str, part| find(name, part).filter(|_| columns.contains(&(name, part)));
        let later = Block::of_outline(head.outline().clone(), some).unwrap();
        assert_eq!(later.ids_at(&[row]), Err(DecodeError::NotAtHand));
        assert_eq!(later.timestamps_at(&[row]), Err(DecodeError::NotAtHand));
        let some = Block::of_parts(parts.head, some).unwrap();
        assert_eq!(some.timestamps_at(&[row, events.len()]), Ok(vec![event.timestamp]));
        assert_eq!(some.events_at(&[row]).unwrap(), std::slice::from_ref(event));
        assert_eq!(later.fields_of(&[row]), Ok(vec![event.fields.clone()]));
    }
    for name in parts.columns.iter().take(20).map(|column| &column.field) {
        let one = |other: &str, part| find(other, part).filter(|_| *name == *other);
        let one = Block::of_parts(parts.head, one).unwrap();
        let whole = Block::open(bytes).unwrap().column(name);
        if one.column(name) != whole {
            assert_eq!(one.column(name), Err(DecodeError::NotAtHand));
            assert!(!completing(name).is_empty(), "{name}");
        }
        let with_others =
            |other: &str, part| find(other, part).filter(|_| *name == *other || completing(name).contains(&other));
        let with_others = Block::of_parts(parts.head, with_others).unwrap();
        assert_eq!(with_others.column(name), whole);
    }
}

fn addresses(value: &Value, found: &mut Vec<IpAddr>) {
    match value {
        Value::Str(text) => Extractor::new().scan(text, Wanted::IPS, &mut |observable| {
            if let Observable::Ip(ip) = observable {
                found.push(ip);
            }
        }),
        Value::List(values) => values.iter().for_each(|value| addresses(value, found)),
        Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) => {}
    }
}

fn check_addresses(block: &Block<'_>, events: &[Event]) {
    let of_row = |event: &Event| {
        let mut found = Vec::new();
        event.fields.iter().for_each(|(_, value)| addresses(value, &mut found));
        found
    };
    let rows: Vec<Vec<IpAddr>> = events.iter().map(of_row).collect();
    let with = |wanted: &dyn Fn(IpAddr) -> bool| -> Vec<u32> {
        let has = |row: &u32| rows[*row as usize].iter().any(|ip| wanted(*ip));
        (0..rows.len() as u32).filter(has).collect()
    };
    let Some(any) = block.rows_with_address(|_| true).unwrap() else {
        assert!(!block.has_all_columns());
        return;
    };
    assert_eq!(any, with(&|_| true));
    for ip in rows.iter().flatten().take(50) {
        assert_eq!(
            block.rows_with_address(|other| other == *ip).unwrap(),
            Some(with(&|other| other == *ip))
        );
    }
}

fn check_parts(block: &Block<'_>, events: &[Event]) {
    for step in [1, 2, 7] {
        let rows: Vec<usize> = (0..events.len()).skip(step - 1).step_by(step).collect();
        let expected: Vec<_> = rows.iter().map(|row| events[*row].clone()).collect();
        assert_eq!(block.events_at(&rows).unwrap(), expected, "every {step}th");
        let fields: Vec<_> = expected.iter().map(|event| event.fields.clone()).collect();
        assert_eq!(block.fields_of(&rows).unwrap(), fields, "every {step}th");
        let ids: Vec<_> = expected.iter().map(|event| event.id).collect();
        assert_eq!(block.ids_at(&rows).unwrap(), ids, "every {step}th");
        if block.has_all_columns() {
            let mut names: Vec<&str> = expected
                .iter()
                .flat_map(|event| event.fields.iter().map(|(name, _)| name))
                .collect();
            names.sort_unstable();
            names.dedup();
            let columns = block.columns_at(&rows).unwrap();
            let mut fields: Vec<&str> = columns.iter().map(|column| column.field).collect();
            fields.sort_unstable();
            fields.dedup();
            assert_eq!(fields, names, "every {step}th");
        }
    }
    assert_eq!(block.events_at(&[events.len()]).unwrap(), []);
    assert_eq!(block.ids_at(&[events.len()]).unwrap(), []);
    let columns = block.by_column().unwrap();
    assert_eq!((columns.rows(), columns.decoded()), (events.len(), 0));
    let rows: Vec<usize> = (0..events.len()).step_by(3).collect();
    let expected: Vec<_> = rows.iter().map(|row| events[*row].clone()).collect();
    for column in (0..columns.columns()).take(200) {
        let (values, indexes) = (columns.values(column), columns.indexes(column));
        let mut position = 0;
        for (event, shape) in events.iter().zip(columns.shape_of_rows()) {
            let expected = event.fields.get(columns.name(column));
            let is_there = columns.fields(*shape as usize).contains(&(column as u32));
            assert!(expected.is_some() || !is_there);
            if is_there {
                let index = indexes.map_or(position, |indexes| indexes[position] as usize);
                assert_eq!(values.get(index), expected);
                position += 1;
            }
        }
        // One that others complete is decoded with them.
        assert!(columns.decoded() > column);
        if column % 7 == 0 {
            assert_eq!(
                columns.events_at(&rows).unwrap(),
                expected,
                "{column} columns decoded before"
            );
        }
    }
    for (row, event) in events.iter().enumerate() {
        assert_eq!(columns.time(row), event.timestamp);
        let fields = columns.fields(columns.shape_of_rows()[row] as usize);
        let names = fields.iter().map(|number| columns.name(*number as usize));
        assert!(
            names
                .zip(event.fields.iter())
                .all(|(name, (other, _))| name.is_empty() || name == other)
        );
        assert_eq!(fields.len(), event.fields.len());
    }
    assert_eq!(columns.shape_of_rows().len(), events.len());
    columns.check().unwrap();
}

#[test]
fn what_is_said_again_takes_next_to_no_room() {
    let events: Vec<Event> = (0..2000_u64)
        .map(|n| {
            let (ip, host) = (format!("10.{}.{}.7", n % 251, n * 7 % 241), format!("web-{}", n % 90));
            let mut fields = Fields::new();
            fields.insert(
                "related.ip",
                Value::from(vec![Value::from(ip.clone()), Value::from("10.0.0.1")]),
            );
            fields.insert("source.address", ip.clone());
            fields.insert("source.ip", ip);
            // In no list, which therefore does not need it.
            fields.insert("server.ip", "10.9.9.9");
            // Once in a while they differ.
            let name = if n % 500 == 0 { "web".to_owned() } else { host.clone() };
            fields.insert("host.name", name);
            fields.insert("host.hostname", host.clone());
            fields.insert("related.hosts", Value::from(vec![Value::from(host)]));
            if n % 3 > 0 {
                fields.insert("destination.ip", "10.0.0.1");
            } else {
                fields.insert("client.ip", "10.0.0.1");
            }
            Event {
                id: EventId {
                    source: SourceId::named("test", "one"),
                    epoch: Epoch(1),
                    seq: n,
                },
                timestamp: Timestamp(n as i64),
                fields,
            }
        })
        .collect();
    let encoded = encode(&events).unwrap();
    let room = |name: &str| {
        let parts = split(&encoded.bytes).unwrap();
        let column = parts.columns.iter().find(|column| column.field == name);
        column.unwrap().bytes.len()
    };
    for name in ["source.address", "host.hostname", "related.ip", "related.hosts"] {
        assert!(room(name) < 120, "{name}: {}", room(name));
    }
    assert!(room("source.ip") > 2000);
    let parts = split(&encoded.bytes).unwrap();
    let some = |name: &str, part| {
        let mut columns = parts.columns.iter();
        let column = columns.find(|column| column.field == name && column.part == part)?;
        (name != "server.ip").then_some(column.bytes)
    };
    let some = Block::of_parts(parts.head, some).unwrap();
    assert_eq!(
        some.column("related.ip"),
        Block::open(&encoded.bytes).unwrap().column("related.ip")
    );
    check(&events);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn any_events_come_back(events in prop::collection::vec(event(), 1..40)) {
        check(&events);
    }
}

#[test]
fn realistic_events_come_back() {
    for count in [1, 2, 17, 600, 4000] {
        check(&traffic::events(count, count as u64));
    }
}

/// Long texts of many events are cut by rows: each row's value is in one part, and whoever wants a few rows needs few parts.
#[test]
fn heavy_columns_come_back_in_parts() {
    let digest = |row: usize, salt: u64| -> String {
        let mixed = (1_u64..5).map(|n| {
            (row as u64 * 8 + salt)
                .wrapping_mul(n.wrapping_mul(0x9e37_79b9_7f4a_7c15))
                .rotate_left(29)
        });
        mixed.map(|part| format!("{part:016x}")).collect()
    };
    let events: Vec<Event> = (0..4500_usize)
        .map(|row| {
            let message = format!("from 10.0.{}.{} {}", row % 7, row % 250, digest(row, 0));
            let mut event = Event {
                id: EventId {
                    source: SourceId::named("test", "source"),
                    epoch: Epoch(1),
                    seq: row as u64,
                },
                timestamp: Timestamp(row as i64 * 1000),
                fields: Fields::default(),
            };
            event.fields.insert("kind", if row % 3 == 0 { "a" } else { "b" });
            // One field is there for the first rows only, one now and then, one not with its base.
            if row < 2000 {
                event.fields.insert("early", digest(row, 1));
            }
            if row % 5 > 0 {
                event.fields.insert(ecs::MESSAGE, message.clone());
            }
            if row % 5 < 4 {
                event
                    .fields
                    .insert(ecs::EVENT_ORIGINAL, format!("header {row}: {message}"));
            }
            event
        })
        .collect();
    check(&events);
    let bytes = encode(&events).unwrap().bytes;
    let parts = split(&bytes).unwrap();
    let of = |name: &str| parts.columns.iter().filter(|column| column.field == name).count();
    assert!(of("early") > 1 && of("early") < of(ecs::MESSAGE), "{}", of("early"));
    assert_eq!(of(ecs::MESSAGE), of(ecs::EVENT_ORIGINAL));
    assert_eq!(of("kind"), 1);
    let block = Block::open(&bytes).unwrap();
    let columns = block.columns_at(&[3001]).unwrap();
    assert_eq!(columns.iter().filter(|column| column.field == ecs::MESSAGE).count(), 1);
    let of_event: usize = columns.iter().map(|column| column.len).sum();
    let all: usize = parts.columns.iter().map(|column| column.bytes.len()).sum();
    for column in &columns {
        let same = |part: &&ColumnPart<'_>| part.field == column.field && part.part == column.part;
        assert_eq!(
            parts.columns.iter().find(same).map(|part| part.bytes.len()),
            Some(column.len)
        );
    }
    assert!(of_event * 3 < all, "{of_event} of {all}");
}

#[test]
fn floats_keep_their_sign_and_bits() {
    let mut events = traffic::events(3, 1);
    for (event, float) in events.iter_mut().zip([0.0, -0.0, 0.0]) {
        event.fields.insert("float", Value::Float(float));
        event.fields.insert("floats", Value::from(vec![Value::Float(float)]));
    }
    let bytes = encode(&events).unwrap().bytes;
    let signs: Vec<_> = Block::open(&bytes)
        .unwrap()
        .events()
        .unwrap()
        .iter()
        .map(|event| format!("{:?}", event.fields))
        .collect();
    assert_eq!(
        signs,
        events
            .iter()
            .map(|event| format!("{:?}", event.fields))
            .collect::<Vec<_>>()
    );
}

#[test]
fn more_fields_than_columns_come_back_and_can_be_asked_for() {
    let mut events = traffic::events(12, 3);
    for (row, event) in events.iter_mut().enumerate() {
        for n in 0..500 {
            event.fields.insert(format!("f{row}.{n}"), n);
        }
        event.fields.insert("late", row as i64);
    }
    check(&events);
    let bytes = encode(&events).unwrap().bytes;
    let block = Block::open(&bytes).unwrap();
    assert_eq!(block.field_names().count(), MAX_COLUMNS);
    let column = block.column("f11.499").unwrap().unwrap();
    assert_eq!(column.get(11), Some(&Value::Int(499)));
    assert_eq!(column.get(10), None);
}

#[test]
fn the_limits_are_kept() {
    let event = |field: &str, text: String| {
        let mut event = Event {
            fields: Fields::new(),
            ..traffic::events(1, 1).remove(0)
        };
        event.fields.insert(field.to_owned(), text);
        event
    };
    assert!(matches!(encode(&[]), Err(EncodeError::Empty)));
    let many = vec![event("a", "x".into()); MAX_EVENTS + 1];
    assert!(matches!(encode(&many), Err(EncodeError::TooManyEvents(_))));
    check(&many[1..]);

    let big = event("big", "y".repeat(10 << 20));
    let fits = MAX_WEIGHT / weight(&big);
    let mut events = vec![big.clone(); fits];
    check(&events);
    events.push(big);
    assert!(matches!(encode(&events), Err(EncodeError::TooHeavy { index }) if index == fits));

    let mut twice = event("a", "x".into());
    twice.fields.push_unchecked("a".into(), Value::Null);
    assert!(matches!(
        encode(&[twice]),
        Err(EncodeError::DuplicateField { index: 0, .. })
    ));

    let deep = |depth: usize| {
        let mut value = Value::Null;
        for _ in 0..depth {
            value = Value::from(vec![value]);
        }
        let mut event = event("a", "x".into());
        event.fields.insert("deep", value);
        event
    };
    check(&[deep(64)]);
    assert!(matches!(encode(&[deep(65)]), Err(EncodeError::TooDeep { .. })));
}

/// The heaviest blocks of each kind must be readable within the memory limit.
#[test]
fn whatever_may_be_written_can_be_read() {
    let room = |make: &dyn Fn(usize) -> Event| {
        let mut events = Vec::new();
        let mut sum = 0;
        while events.len() < MAX_EVENTS {
            let event = make(events.len());
            sum += weight(&event);
            if sum > MAX_WEIGHT {
                break;
            }
            events.push(event);
        }
        let bytes = encode(&events).unwrap().bytes;
        assert_eq!(Block::open(&bytes).unwrap().events().unwrap().len(), events.len());
    };
    let empty = traffic::events(1, 1).remove(0);
    let event = |fields: Fields| Event {
        fields,
        ..empty.clone()
    };
    room(&|_| {
        event(
            (0..1000)
                .map(|n| (FieldName::from(n.to_string()), Value::Null))
                .collect(),
        )
    });
    room(&|row| {
        event(
            (0..64)
                .map(|n| (FieldName::from(format!("{row}.{n}")), Value::Int(n)))
                .collect(),
        )
    });
    room(&|row| {
        event(
            (0..9)
                .map(|n| {
                    (
                        FieldName::from(format!("{}", (row * 31 + n * n) % 40)),
                        Value::from(vec![Value::Null; 90]),
                    )
                })
                .collect(),
        )
    });
    room(&|row| {
        event(
            [("message".into(), Value::from(format!("{row}").repeat(500)))]
                .into_iter()
                .collect(),
        )
    });
    room(&|_| event(Fields::new()));
}
