//! Bytes that are not what was written give an error: never a panic, never more memory than stated.

#![allow(clippy::unwrap_used, reason = "the helpers of tests may fail as tests do")]

mod traffic;

use block::{Block, DecodeError, encode};
use proptest::prelude::*;

fn sample() -> Vec<u8> {
    encode(&traffic::events(40, 9)).unwrap().bytes
}

/// Everything a reader may ask for.
fn read_all(bytes: &[u8]) -> Result<usize, DecodeError> {
    let block = Block::open(bytes)?;
    let names: Vec<String> = block.field_names().map(str::to_owned).collect();
    let mut values = 0;
    for name in names {
        // One broken column must not keep the others from being read.
        if let Ok(Some(column)) = block.column(&name) {
            values += column.iter().flatten().count();
        }
    }
    let views = block.views();
    for column in 0..views.columns() {
        let _ = views.get(column);
    }
    let columns = block.by_column()?;
    for column in 0..columns.columns() {
        values += columns.values(column).len();
    }
    // Not all rows are wanted, so what is wrong with the others may not show.
    let _ = (columns.check(), columns.events_at(&[0, 5]), block.events_at(&[0, 5]));
    block.rows_with_address(|_| true)?;
    block.ids()?;
    block.timestamps()?;
    block.events().map(|events| events.len() + values)
}

/// Where checksums stand in a block and what they are of.
fn sums(bytes: &[u8]) -> Vec<(std::ops::Range<usize>, usize)> {
    let parts = block::split(bytes).unwrap();
    let mut end = parts.head.len();
    // The last section is its kind, its length and the checksum.
    let mut sums = vec![(0..end - 6, end - 4)];
    for column in &parts.columns {
        sums.push((end..end + column.bytes.len() - 4, end + column.bytes.len() - 4));
        end += column.bytes.len();
    }
    sums
}

/// With checksums that fit, as an attacker would write them.
fn reseal(bytes: &mut [u8], sums: &[(std::ops::Range<usize>, usize)]) {
    for (of, at) in sums {
        let checksum = crc32fast::hash(&bytes[of.clone()]);
        bytes[*at..at + 4].copy_from_slice(&checksum.to_le_bytes());
    }
}

#[test]
fn every_single_byte_corruption_is_noticed() {
    let bytes = sample();
    assert!(read_all(&bytes).is_ok());
    for at in 0..bytes.len() {
        for flip in [1, 0x80, 0xff] {
            let mut corrupt = bytes.clone();
            corrupt[at] ^= flip;
            assert!(Block::open(&corrupt).is_err(), "byte {at} xor {flip}");
        }
    }
}

#[test]
fn every_truncation_is_noticed() {
    let bytes = sample();
    for len in 0..bytes.len() {
        assert!(Block::open(&bytes[..len]).is_err(), "first {len} bytes");
    }
}

#[test]
fn every_single_byte_change_under_a_fitting_checksum_is_survived() {
    let bytes = encode(&traffic::events(12, 9)).unwrap().bytes;
    let sums = sums(&bytes);
    for at in 5..bytes.len() {
        for value in [0, 1, 0x7f, 0x80, 0xff, bytes[at].wrapping_add(1)] {
            let mut corrupt = bytes.clone();
            corrupt[at] = value;
            reseal(&mut corrupt, &sums);
            let _ = read_all(&corrupt);
        }
    }
}

#[test]
fn sections_of_later_versions_are_skipped() {
    let mut bytes = sample();
    let end = block::split(&bytes).unwrap().head.len() - 6;
    let head = |end| [(0..end, end + 2)];
    bytes.splice(end..end, [200, 3, 1, 2, 3]);
    bytes.splice(5..5, [77, 0]);
    reseal(&mut bytes, &head(end + 7));
    assert_eq!(Block::open(&bytes).unwrap().events().unwrap(), traffic::events(40, 9));
    bytes[4] = 5;
    reseal(&mut bytes, &head(end + 7));
    assert_eq!(Block::open(&bytes).map(|_| ()), Err(DecodeError::Version(5)));
}

#[test]
fn a_frame_that_claims_to_be_huge_is_refused() {
    let mut bytes = b"PKTB\x02".to_vec();
    bytes.extend([1, 3, 1, 0, 0]);
    // A directory that says it holds 2^40 bytes.
    bytes.extend([4, 8, 1, 0x80, 0x80, 0x80, 0x80, 0x80, 0x20, 0]);
    for kind in [2, 3, 5] {
        bytes.extend([kind, 2, 0, 0]);
    }
    let end = bytes.len();
    bytes.extend([0, 4, 0, 0, 0, 0]);
    reseal(&mut bytes, &[(0..end, end + 2)]);
    assert_eq!(Block::open(&bytes).map(|_| ()), Err(DecodeError::TooLarge));
}

/// One long text for very many events takes few bytes on disk and much memory.
#[test]
fn values_that_multiply_are_bounded() {
    let mut events = traffic::events(60_000, 5);
    for event in &mut events {
        event.fields = [("message".into(), "x".repeat(900).into())].into_iter().collect();
    }
    let bytes = encode(&events).unwrap().bytes;
    assert!(bytes.len() < 300_000, "{}", bytes.len());
    assert_eq!(Block::open(&bytes).unwrap().events().unwrap().len(), 60_000);
}

/// Long texts made of what word and address scanning looks for.
#[test]
fn no_text_takes_more_than_linear_time() {
    for filler in [
        "1.", "1.1.1.1.", "1:", "::", ":", ".", "a1.", "1.2.3.4:", "f:1.", "a", "\u{e9}1.", "1.2.3.4 ",
    ] {
        let mut events = traffic::events(2, 1);
        let text = filler.repeat((2 << 20) / filler.len());
        events[0].fields.insert("message", text.as_str());
        events[0].fields.insert("event.original", format!("header {text}"));
        let bytes = encode(&events).unwrap().bytes;
        assert_eq!(Block::open(&bytes).unwrap().events().unwrap(), events);
    }
}

proptest! {
    #[test]
    fn noise_is_survived(noise in prop::collection::vec(any::<u8>(), 0..300)) {
        assert!(Block::open(&noise).is_err());
    }

    #[test]
    fn noise_under_a_fitting_checksum_is_survived(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..20),
        seed in 0_u64..5,
    ) {
        let mut bytes = encode(&traffic::events(30, seed)).unwrap().bytes;
        let (sums, len) = (sums(&bytes), bytes.len() - 5);
        for (at, value) in changes {
            bytes[5 + at.index(len)] = value;
        }
        reseal(&mut bytes, &sums);
        let _ = read_all(&bytes);
    }
}
