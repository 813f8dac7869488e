//! Hashing of short byte strings.

const MULTIPLY: u64 = 0x9e37_79b9_7f4a_7c15;
const MIX: u64 = 0xd6e8_feb8_6659_fd93;

#[inline]
fn fold_multiply(left: u64, right: u64) -> u64 {
    let product = u128::from(left) * u128::from(right);
    #[allow(clippy::cast_possible_truncation, reason = "both halves of the product are taken")]
    let (low, high) = (product as u64, (product >> 64) as u64);
    low ^ high
}

#[inline]
fn word(bytes: &[u8], at: usize) -> u64 {
    bytes
        .get(at..at + 8)
        .and_then(|word| word.try_into().ok())
        .map_or(0, u64::from_le_bytes)
}

#[inline]
fn half(bytes: &[u8], at: usize) -> u64 {
    bytes
        .get(at..at + 4)
        .and_then(|word| word.try_into().ok())
        .map_or(0, |word| u64::from(u32::from_le_bytes(word)))
}

/// A hash of the bytes. Not secure against inputs chosen to collide: whoever uses it compares what it finds.
#[inline]
pub(crate) fn hash(bytes: &[u8], seed: u64) -> u64 {
    let length = bytes.len();
    let mut state = seed ^ (length as u64).wrapping_mul(MULTIPLY);
    let last = if length >= 8 {
        let mut at = 0;
        while at + 8 < length {
            state = fold_multiply(state ^ word(bytes, at), MULTIPLY);
            at += 8;
        }
        word(bytes, length - 8)
    } else if length >= 4 {
        half(bytes, 0) | half(bytes, length - 4) << 32
    } else if let (Some(first), Some(middle), Some(last)) = (bytes.first(), bytes.get(length / 2), bytes.last()) {
        u64::from(*first) | u64::from(*middle) << 8 | u64::from(*last) << 16
    } else {
        0
    };
    fold_multiply(state ^ last, MIX)
}

/// A hash of two words. Not secure against inputs chosen to collide, either.
#[inline]
pub(crate) fn mixed(seed: u64, first: u64, second: u64) -> u64 {
    let product = fold_multiply(first ^ seed.wrapping_mul(MULTIPLY), MIX);
    fold_multiply(product ^ second, MULTIPLY)
}

/// The first eight bytes as a word, with zeros for those that are missing.
#[inline]
pub(crate) fn word_of(bytes: &[u8]) -> u64 {
    match bytes.first_chunk() {
        Some(eight) => u64::from_le_bytes(*eight),
        None if bytes.len() >= 4 => {
            let end = bytes.len() - 4;
            half(bytes, 0) | half(bytes, end) << (8 * end)
        }
        None => bytes.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte)),
    }
}

/// Whether two byte strings are the same; for short ones without a call.
#[inline]
pub(crate) fn same(left: &[u8], right: &[u8]) -> bool {
    let length = left.len();
    if length != right.len() {
        return false;
    }
    if length > 32 {
        return left == right;
    }
    if length >= 8 {
        let mut at = 0;
        while at + 8 < length {
            if word(left, at) != word(right, at) {
                return false;
            }
            at += 8;
        }
        word(left, length - 8) == word(right, length - 8)
    } else if length >= 4 {
        half(left, 0) == half(right, 0) && half(left, length - 4) == half(right, length - 4)
    } else {
        left.iter().zip(right).all(|(left, right)| left == right)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read_from_short_bytes_too() {
        let bytes = [1, 2, 3, 4, 5, 6, 7, 8, 9];
        for length in 0..=bytes.len() {
            let mut padded = [0; 8];
            let kept = length.min(8);
            padded[..kept].copy_from_slice(&bytes[..kept]);
            assert_eq!(word_of(&bytes[..length]), u64::from_le_bytes(padded), "{length}");
        }
    }

    #[test]
    fn equal_bytes_have_equal_hashes_and_others_differ() {
        let text: Vec<u8> = (0..100).collect();
        for length in 0..=text.len() {
            let head = &text[..length];
            let copy = head.to_vec();
            assert!(same(head, &copy));
            assert_eq!(hash(head, 1), hash(&copy, 1));
            assert_ne!(hash(head, 1), hash(head, 2), "{length}");
            for at in 0..length {
                let mut other = head.to_vec();
                other[at] ^= 0x80;
                assert!(!same(head, &other), "{length} {at}");
                assert_ne!(hash(head, 1), hash(&other, 1), "{length} {at}");
            }
        }
    }
}
