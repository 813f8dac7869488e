//! Any bytes with checksums that fit are a block or an error, and every way to read a block reads the same.

#![no_main]

use std::net::IpAddr;

use block::{Block, encode};
use libfuzzer_sys::fuzz_target;
use model::Event;

/// What an event is written as: numbers that are none differ from themselves.
fn written(event: &Event) -> Option<Vec<u8>> {
    encode(std::slice::from_ref(event)).ok().map(|encoded| encoded.bytes)
}

/// Where the checksum of a block's head is: behind the kind and the length of the last section.
fn sum_of_head(bytes: &[u8]) -> Option<usize> {
    let mut at = 5;
    loop {
        let is_last = *bytes.get(at)? == 0;
        at += 1;
        let (mut len, mut shift) = (0_usize, 0);
        loop {
            let byte = *bytes.get(at)?;
            at += 1;
            len |= usize::from(byte & 0x7f).checked_shl(shift)?;
            shift += 7;
            if byte < 0x80 {
                break;
            }
        }
        if is_last {
            return Some(at).filter(|_| len == 4);
        }
        at = at.checked_add(len)?;
    }
}

/// Gives the bytes checksums that fit, as an attacker would.
fn seal(bytes: &mut [u8]) -> Option<()> {
    let at = sum_of_head(bytes)?;
    let sum = crc32fast::hash(bytes.get(..at.checked_sub(2)?)?);
    bytes.get_mut(at..at + 4)?.copy_from_slice(&sum.to_le_bytes());
    let parts = block::split(bytes).ok()?;
    let mut start = parts.head.len();
    let lens: Vec<usize> = parts.columns.iter().map(|column| column.bytes.len()).collect();
    for len in lens {
        let column = bytes.get_mut(start..start + len)?;
        if let Some((column, sum)) = column.split_last_chunk_mut::<4>() {
            *sum = crc32fast::hash(column).to_le_bytes();
        }
        start += len;
    }
    Some(())
}

fuzz_target!(|data: &[u8]| {
    let mut data = data.to_vec();
    seal(&mut data);
    let data = data.as_slice();
    let Ok(block) = Block::open(data) else { return };
    let views = block.views();
    for column in 0..views.columns() {
        let _ = views.get(column);
    }
    if let Ok(columns) = block.by_column() {
        for column in 0..columns.columns() {
            let _ = (columns.values(column), columns.indexes(column));
        }
        let _ = (columns.check(), columns.events_at(&[0, 5]));
    }
    let _ = (block.rows_with_address(|ip| matches!(ip, IpAddr::V4(_))), block.column("message"));
    let _ = block::split(data);
    let some = [0, block.len() / 2, block.len() - 1];
    let _ = (block.ids_at(&some), block.timestamps_at(&some), block.columns_at(&some));
    let Ok(events) = block.events() else { return };
    for row in some {
        let Ok(found) = block.events_at(&[row]) else {
            panic!("row {row} of a block that can be read cannot");
        };
        assert_eq!(written(&events[row]), written(&found[0]), "row {row}");
        assert_eq!(block.timestamps_at(&[row]).as_deref(), Ok(&[events[row].timestamp][..]));
    }
    if let Ok(encoded) = encode(&events) {
        let again = Block::open(&encoded.bytes).and_then(|block| block.events());
        let again = again.expect("what was written is read");
        assert!(encode(&again).expect("what was read is written").bytes == encoded.bytes);
    }
});
