//! Any bytes, cut into any pieces, become the same records, which are no longer than allowed and are all read.

#![no_main]

use libfuzzer_sys::fuzz_target;
use model::Timestamp;
use parsers::{Body, RawRecord, parse};
use records::{Record, Unpacker};

/// Longest record.
const MAX: usize = 4096;

fn unpack(data: &[u8], piece: usize) -> Vec<Record> {
    let mut unpacker = Unpacker::new(MAX, false);
    let mut records = Vec::new();
    for piece in data.chunks(piece) {
        unpacker.feed(piece, &mut records);
    }
    unpacker.finish(&mut records);
    records
}

fuzz_target!(|data: &[u8]| {
    let Some((first, data)) = data.split_first() else { return };
    let records = unpack(data, data.len().max(1));
    assert_eq!(records, unpack(data, usize::from(*first) + 1));
    for record in &records {
        assert!(record.body.len() <= MAX);
        let _ = parse(&RawRecord {
            body: Body::Line(&record.body),
            origin_kind: "file",
            origin_name: "/var/log/fuzz.log",
            log_type: None,
            observed: Timestamp(1_763_719_200_000_000),
            truncated_bytes: record.cut_bytes,
            header: None,
        });
    }
});
