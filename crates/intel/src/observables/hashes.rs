//! Hashes: runs of exactly 32, 40 or 64 hex digits between other characters than letters and digits.

use super::Observable;
use super::classes::{run_before, run_from};

/// Digits of the shortest hash: a run that long covers one of every so many positions.
const STEP: usize = 32;

pub(super) fn scan(text: &str, found: &mut impl FnMut(Observable<'_>)) {
    let bytes = text.as_bytes();
    let is_hex = |byte: u8| byte.is_ascii_hexdigit();
    let is_word = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    let mut floor = 0;
    let mut probe = STEP - 1;
    while let Some(byte) = bytes.get(probe) {
        if !is_hex(*byte) {
            probe += STEP;
            continue;
        }
        let start = probe - run_before(bytes, floor, probe, is_hex);
        let end = probe + run_from(bytes, probe, is_hex);
        let is_bounded =
            !is_word(start.checked_sub(1).and_then(|before| bytes.get(before))) && !is_word(bytes.get(end));
        if matches!(end - start, 32 | 40 | 64)
            && is_bounded
            && let Some(hash) = text.get(start..end)
        {
            found(Observable::Hash(hash));
        }
        floor = end;
        probe = end + STEP;
    }
}
