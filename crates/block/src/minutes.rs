//! How many events each minute has: kept beside a block, so that counting over time reads no blocks.

use model::Timestamp;

use crate::error::DecodeError;
use crate::wire::{Reader, put_varint};

const MINUTE: i64 = 60_000_000;
/// Larger counts are left out: a block of events from so many minutes is read instead.
const MAX_BYTES: usize = 512;

/// The minute a time is in, from its first microsecond.
fn minute(time: i64) -> i64 {
    time.div_euclid(MINUTE)
}

/// For each minute with events, in order: how many minutes were skipped since the one before, and how many events. The
/// first is the minute of the earliest event. `None` when that takes more than 512 bytes.
pub(crate) fn put(times: &[i64]) -> Option<Vec<u8>> {
    let mut minutes: Vec<i64> = times.iter().map(|time| minute(*time)).collect();
    minutes.sort_unstable();
    let mut expected = *minutes.first()?;
    let mut out = Vec::new();
    for run in minutes.chunk_by(|a, b| a == b) {
        let here = *run.first()?;
        put_varint(&mut out, here.wrapping_sub(expected).cast_unsigned());
        put_varint(&mut out, run.len() as u64);
        if out.len() > MAX_BYTES {
            return None;
        }
        expected = here.wrapping_add(1);
    }
    Some(out)
}

/// Reads what [`crate::Meta::minutes`] holds: the beginning of each minute that has events, and how many. `min` is the
/// time of the block's earliest event, or any other of the same minute.
///
/// # Errors
/// When the bytes are malformed.
pub fn minutes(bytes: &[u8], min: Timestamp) -> Result<Vec<(Timestamp, u64)>, DecodeError> {
    const OUT_OF_RANGE: DecodeError = DecodeError::Malformed("a minute is out of range");
    let mut reader = Reader::new(bytes, "minutes");
    let mut next = minute(min.0);
    let mut found = Vec::new();
    while !reader.is_empty() {
        let skipped = i64::try_from(reader.varint()?).map_err(|_| OUT_OF_RANGE)?;
        let count = reader.varint()?;
        let here = next.checked_add(skipped).ok_or(OUT_OF_RANGE)?;
        let start = here.checked_mul(MINUTE).unwrap_or(i64::MIN);
        found.push((Timestamp(start), count));
        next = here.checked_add(1).ok_or(OUT_OF_RANGE)?;
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_come_back_by_minute() {
        let times = [0, 59_999_999, 60_000_000, 600_000_000, -1, i64::MIN, i64::MAX, 0];
        let bytes = put(&times).unwrap();
        let back = minutes(&bytes, Timestamp(i64::MIN)).unwrap();
        assert_eq!(back.iter().map(|(_, count)| count).sum::<u64>(), times.len() as u64);
        assert!(back.contains(&(Timestamp(0), 3)), "{back:?}");
        assert!(back.contains(&(Timestamp(-60_000_000), 1)), "{back:?}");
        assert!(back.contains(&(Timestamp(600_000_000), 1)), "{back:?}");
    }

    #[test]
    fn too_many_minutes_are_left_out_and_noise_is_survived() {
        let many: Vec<i64> = (0..1000).map(|n| n * 2 * MINUTE).collect();
        assert_eq!(put(&many), None);
        for noise in [
            &[0xff_u8; 30][..],
            &[1],
            &[0, 1, 0x80],
            &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f, 1, 1, 1],
        ] {
            let _ = minutes(noise, Timestamp(i64::MAX));
        }
    }
}
