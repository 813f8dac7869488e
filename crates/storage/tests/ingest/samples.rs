//! Blocks to store.

use model::{BatchKey, Epoch, Event, EventId, Fields, Partition, SourceId, Tenant, Timestamp};
use storage::blocks::{BlockBatch, Day, NewBlock};

pub(crate) const SECOND: i64 = 1_000_000;
/// 2026-03-04T12:00:00Z
pub(crate) const NOON: Timestamp = Timestamp(1_772_625_600 * SECOND);

pub(crate) fn key(source: SourceId, first_seq: u64) -> BatchKey {
    BatchKey {
        tenant: Tenant::default(),
        source,
        epoch: Epoch(1),
        first_seq,
    }
}

/// One batch of `count` events a second apart, from `start` on, each with `message` and its number.
pub(crate) fn block(source: SourceId, first_seq: u64, count: u64, start: Timestamp, message: &str) -> NewBlock {
    let events: Vec<Event> = (0..count)
        .map(|n| {
            let mut fields = Fields::new();
            fields.insert(model::ecs::MESSAGE, format!("{message} {}", first_seq + n));
            Event {
                id: EventId {
                    source,
                    epoch: Epoch(1),
                    seq: first_seq + n,
                },
                timestamp: Timestamp(start.0 + i64::try_from(n).unwrap() * SECOND),
                fields,
            }
        })
        .collect();
    block_of(source, first_seq, start, &events)
}

/// One batch of some events.
pub(crate) fn block_of(source: SourceId, first_seq: u64, start: Timestamp, events: &[Event]) -> NewBlock {
    let encoded = block::encode(events).unwrap();
    NewBlock {
        tenant: Tenant::default(),
        partition: Partition::of(&Tenant::default(), &source),
        day: Day::of_batch(start, start),
        min: encoded.meta.min_time,
        max: encoded.meta.max_time,
        events: encoded.meta.count,
        batches: vec![BlockBatch {
            key: key(source, first_seq),
            count: encoded.meta.count,
            hash: [7; 32],
            link: None,
        }],
        ips: encoded.meta.ips,
        minutes: encoded.meta.minutes,
        token_filter: encoded.meta.token_filter,
        body: encoded.bytes,
        node: "collector-1".parse().unwrap(),
        at: Timestamp::now(),
    }
}
