//! A block's scan finds what its events match, and plans never leave such a block out.

use std::net::IpAddr;

use block::completing;
use model::{Event, Timestamp, Value};
use proptest::prelude::*;
use query::{Bound, Check, Expr, Field, Literal, Moment, Number, Pattern, Piece, Query, Range, Span, Test, Unit, scan};

use crate::events::{event, now};

const NAMES: [&str; 8] = [
    "message",
    "user.name",
    "source.ip",
    "n",
    "event.original",
    "odd name",
    "source.address",
    "related.ip",
];

fn word() -> impl Strategy<Value = String> {
    prop::sample::select(vec![
        "failed",
        "Password",
        "root",
        "chroot",
        "ädmin",
        "ÄDMIN",
        "10.0.0.5",
        "10.0.0.55",
        "192.168.7.1",
        "2001:db8::7",
        "22",
        "-1",
        "1.5",
        "1e3",
        "a_b",
        "x-y",
        "ΟΔΟΣ",
        "οδος",
        "İ",
        "true",
        "ß",
        "2026-03-04T10:00:00Z",
    ])
    .prop_map(str::to_owned)
}

fn text() -> impl Strategy<Value = String> {
    (
        prop::collection::vec(word(), 1..5),
        prop::sample::select(vec![" ", "=", "", "  "]),
    )
        .prop_map(|(words, between)| words.join(between))
}

fn value() -> impl Strategy<Value = Value> {
    let scalar = prop_oneof![
        6 => text().prop_map(Value::from),
        1 => (-2_i64..30).prop_map(Value::Int),
        1 => prop::sample::select(vec![1.5, -0.25, 1000.0]).prop_map(Value::Float),
        1 => any::<bool>().prop_map(Value::Bool),
        1 => Just(Value::Null),
    ];
    prop_oneof![
        8 => scalar.clone(),
        1 => prop::collection::vec(scalar, 0..3).prop_map(Value::from),
    ]
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let fields = prop::collection::btree_map(prop::sample::select(NAMES.to_vec()), value(), 0..5);
    prop::collection::vec((fields, 0_i64..7200, any::<bool>()), 1..30).prop_map(|events| {
        let events = events.into_iter().zip(0..);
        events
            .map(|((mut fields, ago, is_said_again), seq)| {
                if is_said_again && let Some(ip) = fields.get("source.ip").cloned() {
                    fields.insert("related.ip", Value::from(vec![ip.clone()]));
                    fields.insert("source.address", ip);
                }
                let pairs = fields.into_iter().map(|(name, value)| (name.to_owned(), value));
                event(seq, Timestamp(now().0 - ago * 1_000_000), pairs.collect())
            })
            .collect()
    })
}

fn pattern() -> impl Strategy<Value = Pattern> {
    let wild = prop::collection::vec(
        prop_oneof![3 => word().prop_map(Piece::Text), 1 => Just(Piece::Any), 1 => Just(Piece::One)],
        1..4,
    );
    prop_oneof![
        4 => text().prop_map(Pattern::text),
        1 => wild.prop_map(|pieces| {
            let mut tidy: Vec<Piece> = Vec::new();
            for piece in pieces {
                match (tidy.last_mut(), piece) {
                    (Some(Piece::Text(text)), Piece::Text(more)) => text.push_str(&more),
                    (Some(Piece::Any), Piece::Any) => {}
                    (_, piece) => tidy.push(piece),
                }
            }
            if tidy == [Piece::Any] { Pattern::text("failed") } else { Pattern(tidy) }
        }),
    ]
}

fn range(literal: impl Strategy<Value = Literal> + 'static) -> impl Strategy<Value = Check> {
    let literal = literal.boxed();
    let bound = prop_oneof![
        1 => Just(Bound::Open),
        2 => literal.clone().prop_map(Bound::Included),
        1 => literal.clone().prop_map(Bound::Excluded),
    ];
    (literal.prop_map(Bound::Included), bound, any::<bool>()).prop_map(|(one, other, is_swapped)| {
        let (from, to) = if is_swapped { (other, one) } else { (one, other) };
        Check::Range(Range { from, to })
    })
}

fn moment() -> impl Strategy<Value = Moment> {
    let floor = prop::option::of(prop::sample::select(Unit::ALL.to_vec()));
    prop_oneof![
        (-90_i64..90, floor).prop_map(|(amount, floor)| Moment::Now {
            amount,
            unit: if amount == 0 { Unit::Second } else { Unit::Minute },
            floor
        }),
        (0_i64..7200).prop_map(|ago| Moment::At {
            start: Timestamp(now().0 - ago * 1_000_000),
            micros: 1_000_000
        }),
    ]
}

fn check() -> impl Strategy<Value = Check> {
    let ip = prop::sample::select(vec!["10.0.0.5", "10.0.0.55", "192.168.7.1", "9.9.9.9"])
        .prop_map(|ip| ip.parse::<IpAddr>().unwrap());
    let number = prop_oneof![
        (-3_i64..30).prop_map(Number::Int),
        prop::sample::select(vec![1.5, 2.0, -7.25]).prop_map(Number::Float)
    ];
    prop_oneof![
        6 => pattern().prop_map(Check::Has),
        3 => pattern().prop_map(Check::Is),
        1 => Just(Check::Exists),
        1 => (prop::sample::select(vec!["^fail", "r..t", "\\d+", "ädmin$"]), any::<bool>())
            .prop_map(|(pattern, any_case)| Check::Regex { pattern: pattern.to_owned(), any_case }),
        2 => ip.clone().prop_map(Check::Address),
        1 => prop::sample::select(vec!["10.0.0.0/8", "192.168.7.0/24", "2001:db8::/32", "0.0.0.0/0"])
            .prop_map(|network| Check::Network(network.parse().unwrap())),
        1 => range(number.prop_map(Literal::Number)),
        1 => range(ip.prop_map(Literal::Address)),
    ]
}

fn expr() -> impl Strategy<Value = Expr> {
    let field = prop_oneof![
        3 => Just(Field::Any),
        4 => prop::sample::select(NAMES.to_vec()).prop_map(|name| Field::Named(name.to_owned())),
        1 => prop::sample::select(vec!["*.name", "e*", "*"]).prop_map(|name| Field::Like(name.to_owned())),
    ];
    let on_time = range(moment().prop_map(Literal::Moment));
    let leaf = prop_oneof![
        1 => Just(Expr::Everything),
        2 => on_time.prop_map(|check| Expr::Test(Test { field: Field::Named("@timestamp".to_owned()), check })),
        12 => (field, check()).prop_map(|(field, check)| {
            // Anywhere, ranges and whole values cannot be asked for.
            let field = match (field, &check) {
                (Field::Any, Check::Is(_) | Check::Range(_) | Check::Exists) => Field::Named("message".to_owned()),
                (field, _) => field,
            };
            Expr::Test(Test { field, check })
        }),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 1..3).prop_map(Expr::And),
            prop::collection::vec(inner.clone(), 1..3).prop_map(Expr::Or),
            inner.prop_map(|inner| Expr::Not(Box::new(inner))),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn a_query_reads_back_as_what_it_was(expr in expr(), events in events()) {
        let query = Query::new(expr);
        let printed = query.to_string();
        let read = Query::parse(&printed).map_err(|error| TestCaseError::fail(format!("{printed}: {error}")))?;
        prop_assert_eq!(&Query::parse(&read.to_string()).unwrap(), &read);
        let (a, b) = (query.compile(now()), read.compile(now()));
        for event in &events {
            prop_assert_eq!(a.matches(event), b.matches(event), "{}", printed);
        }
    }

    #[test]
    fn a_block_is_searched_as_its_events_are_matched(expr in expr(), events in events(), cut in 0_i64..7200) {
        let query = Query::new(expr);
        let compiled = query.compile(now());
        let encoded = block::encode(&events).unwrap();
        let block = block::Block::open(&encoded.bytes).unwrap();
        let parts = block::split(&encoded.bytes).unwrap();
        let plan = compiled.plan();
        let ips: Option<Vec<IpAddr>> =
            encoded.meta.ips.map(|ips| ips.iter().map(|ip| ip.parse().unwrap()).collect());
        for span in [Span::default(), Span { from: Some(Timestamp(now().0 - cut * 1_000_000)), to: None }] {
            let expected: Vec<usize> = (0..events.len()).filter(|row| compiled.matches_within(span, &events[*row])).collect();
            let found = scan(&compiled, span, &block).unwrap();
            prop_assert_eq!(&found.rows, &expected, "{}", query);
            if let Some(fields) = compiled.fields() {
                let is_asked = |name: &str| fields.iter().any(|field| field == name || completing(field).contains(&name));
                let of = |name: &str, part| {
                    let mut columns = parts.columns.iter();
                    Some(columns.find(|column| column.field == name && column.part == part && is_asked(name))?.bytes)
                };
                let some = block::Block::of_parts(parts.head, of).unwrap();
                let found = scan(&compiled, span, &some);
                prop_assert_eq!(found.map(|found| found.rows), Ok(expected.clone()), "{}", query);
            }
            for row in expected {
                prop_assert!(plan.span.contains(events[row].timestamp), "{}", query);
                prop_assert!(plan.need.may_be_in(&encoded.meta.token_filter, ips.as_deref()), "{}: {:?}", query, plan.need);
                prop_assert!(plan.need.may_be_in(&encoded.meta.token_filter, None), "{}: {:?}", query, plan.need);
                if let (Some(set), Some(ips)) = (&plan.addresses, &ips) {
                    prop_assert!(set.iter().any(|ip| ips.contains(ip)), "{}", query);
                }
            }
        }
    }
}
