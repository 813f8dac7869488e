//! Deliveries with and without holes, made for it.

use model::Timestamp;
use proptest::prelude::*;
use storage::deliveries::{GivenUp, Receipt, Refused};

use super::*;

const EPOCH: Epoch = Epoch(1);
const KEPT: Expired = Expired {
    beginning: false,
    before: Timestamp(0),
};

/// Batches of so many numbers each, in a chain.
fn chained(counts: &[u32]) -> Vec<Piece> {
    let mut previous_hash = chain::START;
    let mut first_seq = 0;
    counts
        .iter()
        .map(|count| {
            let link = Link {
                epoch: EPOCH,
                first_seq,
                count: *count,
                created_at: Timestamp(5),
                previous_hash,
                payload_hash: chain::payload_hash(&first_seq.to_le_bytes()),
            };
            previous_hash = link.hash();
            first_seq = link.end();
            Piece {
                first_seq: link.first_seq,
                count: *count,
                expired: 0,
                hash: link.hash(),
                link: Some(link),
                block: "20260304/a".to_owned(),
            }
        })
        .collect()
}

fn delivery(next_seq: u64) -> Delivery {
    Delivery {
        epoch: EPOCH,
        first_at: Timestamp(0),
        updated_at: Timestamp(0),
        receipt: Some(Receipt {
            next_seq,
            issued_at: Timestamp(0),
            node: "collector-1".parse().unwrap(),
            signer: "ab".to_owned(),
            signature: Vec::new(),
        }),
        refused: Vec::new(),
        refused_left_out: 0,
        given_up: Vec::new(),
        given_up_left_out: 0,
        repeated_batches: 0,
        repeated_events: 0,
        chain_breaks: Vec::new(),
    }
}

fn problems(pieces: &[Piece], delivery: &Delivery) -> Vec<(u64, String)> {
    let (_, problems) = account(EPOCH, pieces.to_vec(), Some(delivery), KEPT);
    problems
        .into_iter()
        .map(|problem| (problem.first_seq.unwrap(), problem.what))
        .collect()
}

fn gaps(pieces: &[Piece], delivery: &Delivery) -> Vec<(u64, u64, String)> {
    let (report, _) = account(EPOCH, pieces.to_vec(), Some(delivery), KEPT);
    report
        .gaps
        .into_iter()
        .map(|gap| (gap.first_seq, gap.count, gap.reason))
        .collect()
}

#[test]
fn a_whole_delivery_has_one_span_and_no_problems() {
    let (report, problems) = account(EPOCH, chained(&[10, 1, 7]), Some(&delivery(18)), KEPT);
    assert_eq!(problems, []);
    assert_eq!((report.batches, report.events, report.gaps), (3, 18, vec![]));
    assert_eq!(
        report.stored,
        [Span {
            first_seq: 0,
            count: 18
        }]
    );
}

#[test]
fn a_batch_that_is_gone_is_missed_though_its_neighbours_are_sound() {
    let mut pieces = chained(&[10, 10, 10]);
    pieces.remove(1);
    let found = problems(&pieces, &delivery(30));
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0].0, 10);
    assert!(found[0].1.starts_with("10 events are missing"), "{found:?}");
    // Not acknowledged yet, it may still come.
    assert_eq!(problems(&pieces, &delivery(10)), []);
    assert_eq!(gaps(&pieces, &delivery(10)), [(10, 10, "open".to_owned())]);
}

#[test]
fn the_end_that_a_receipt_covers_is_missed_too() {
    let pieces = chained(&[10, 10]);
    assert_eq!(problems(&pieces, &delivery(25))[0].0, 20);
    assert_eq!(problems(&[], &delivery(3))[0].0, 0);
}

#[test]
fn what_was_refused_or_given_up_is_no_gap_without_a_reason() {
    let mut pieces = chained(&[10, 10, 10, 10]);
    pieces.remove(1);
    pieces.remove(1);
    pieces[1].count = 8;
    let mut delivery = delivery(40);
    delivery.refused = vec![
        Refused {
            first_seq: 10,
            count: 10,
            events: 10,
            reason: "batch_hash".to_owned(),
        },
        Refused {
            first_seq: 30,
            count: 10,
            events: 2,
            reason: "record_kind".to_owned(),
        },
    ];
    delivery.given_up = vec![GivenUp {
        reason: "spool_full".to_owned(),
        first_seq: 20,
        count: 10,
    }];
    assert_eq!(problems(&pieces, &delivery), []);
    let expected = [(10, 10, "batch_hash"), (20, 10, "spool_full"), (30, 2, "record_kind")];
    assert_eq!(gaps(&pieces, &delivery), expected.map(|(a, b, c)| (a, b, c.to_owned())));
    delivery.given_up.clear();
    assert_eq!(problems(&pieces, &delivery)[0].0, 20);
}

#[test]
fn a_batch_that_was_refused_for_two_reasons_is_not_missing() {
    let mut pieces = chained(&[10, 10, 10]);
    pieces.remove(1);
    let refused = |events, reason: &str| Refused {
        first_seq: 10,
        count: 10,
        events,
        reason: reason.to_owned(),
    };
    let mut delivery = delivery(30);
    delivery.refused = vec![refused(7, "record_kind"), refused(3, "record_origin")];
    assert_eq!(problems(&pieces, &delivery), []);
    let expected = [(10, 7, "record_kind"), (17, 3, "record_origin")];
    assert_eq!(gaps(&pieces, &delivery), expected.map(|(a, b, c)| (a, b, c.to_owned())));
    delivery.refused[1].events = 2;
    assert_eq!(problems(&pieces, &delivery)[0].0, 10, "one of them is not told of");
}

#[test]
fn changed_batches_are_named() {
    let whole = chained(&[10, 10, 10]);
    let changed = |change: &dyn Fn(&mut Vec<Piece>)| {
        let mut pieces = whole.clone();
        change(&mut pieces);
        problems(&pieces, &delivery(30))
    };
    let of = |pieces: &mut Vec<Piece>| pieces[1].link.unwrap();
    for found in [
        changed(&|pieces| {
            pieces[1].link = Some(Link {
                payload_hash: [1; 32],
                ..of(pieces)
            })
        }),
        changed(&|pieces| pieces[1].hash = [1; 32]),
        changed(&|pieces| pieces[1].count = 9),
        changed(&|pieces| pieces[1].count = 11),
        // Consistent in itself, but not what the agent sent.
        changed(&|pieces| {
            let link = Link {
                previous_hash: [3; 32],
                ..of(pieces)
            };
            pieces[1].hash = link.hash();
            pieces[1].link = Some(link);
        }),
    ] {
        assert!(!found.is_empty() && found[0].0 == 10, "{found:?}");
    }
    // Whoever computes the hash again breaks the link to the batch behind.
    let found = changed(&|pieces| {
        let link = Link {
            payload_hash: [3; 32],
            ..of(pieces)
        };
        pieces[1].hash = link.hash();
        pieces[1].link = Some(link);
    });
    assert_eq!(found.iter().map(|problem| problem.0).collect::<Vec<_>>(), [20]);
}

#[test]
fn a_batch_twice_is_found() {
    let mut pieces = chained(&[10, 10]);
    let mut again = pieces[1].clone();
    again.hash = [9; 32];
    again.block = "20260304/b".to_owned();
    pieces.push(again);
    assert!(
        problems(&pieces, &delivery(20))
            .iter()
            .any(|(first, what)| *first == 10 && what.contains("another one"))
    );
}

#[test]
fn only_the_beginning_may_have_expired() {
    let mut pieces = chained(&[10, 10, 10]);
    pieces.remove(0);
    let (report, problems) = account(
        EPOCH,
        pieces.clone(),
        Some(&delivery(30)),
        Expired {
            beginning: true,
            ..KEPT
        },
    );
    assert_eq!((report.gaps[0].reason.as_str(), problems.len()), ("expired", 0));
    pieces.remove(0);
    pieces.insert(0, chained(&[10]).remove(0));
    let (_, problems) = account(
        EPOCH,
        pieces,
        Some(&delivery(30)),
        Expired {
            beginning: true,
            ..KEPT
        },
    );
    assert_eq!(problems[0].first_seq, Some(10));
}

#[test]
fn what_retention_removed_is_told_and_old_gaps_are_taken_for_it() {
    let mut pieces = chained(&[10, 10, 10]);
    pieces[0].expired = 10;
    pieces[1].expired = 4;
    let (report, problems) = account(EPOCH, pieces.clone(), Some(&delivery(30)), KEPT);
    assert_eq!((report.events, problems), (16, vec![]));
    let gaps: Vec<_> = report
        .gaps
        .iter()
        .map(|gap| (gap.first_seq, gap.count, gap.reason.as_str()))
        .collect();
    assert_eq!(gaps, [(0, 10, "expired"), (10, 4, "expired")]);
    assert_eq!(
        report.stored,
        [Span {
            first_seq: 10,
            count: 20
        }]
    );
    pieces.remove(1);
    let old = Expired {
        before: Timestamp(6),
        ..KEPT
    };
    assert_eq!(account(EPOCH, pieces.clone(), Some(&delivery(30)), old).1, []);
    assert_eq!(account(EPOCH, pieces, Some(&delivery(30)), KEPT).1.len(), 1);
}

proptest! {
    #[test]
    fn every_number_is_stored_or_in_a_gap_once(
        counts in proptest::collection::vec(1_u32..9, 1..20), kept in any::<u32>(), acknowledged in 0_u64..150,
        given_up in proptest::collection::vec((0_u64..150, 1_u64..20), 0..4),
    ) {
        let mut pieces = chained(&counts);
        let total = u64::from(counts.iter().sum::<u32>());
        let mut index = 0;
        pieces.retain(|_| { index += 1; kept >> (index % 32) & 1 == 1 });
        let mut delivery = delivery(acknowledged.min(total));
        delivery.given_up = given_up
            .into_iter()
            .map(|(first_seq, count)| GivenUp { reason: "spool_full".to_owned(), first_seq, count })
            .collect();
        let (report, _) = account(EPOCH, pieces, Some(&delivery), KEPT);
        let mut seen = std::collections::BTreeSet::new();
        let spans = report.stored.iter().map(|span| (span.first_seq, span.count));
        for (first, count) in spans.chain(report.gaps.iter().map(|gap| (gap.first_seq, gap.count))) {
            for number in first..first + count {
                prop_assert!(seen.insert(number), "{number} twice");
            }
        }
        prop_assert!(seen.iter().copied().eq(0..seen.len() as u64), "without a hole");
        prop_assert!(seen.len() as u64 >= acknowledged.min(total));
    }
}
