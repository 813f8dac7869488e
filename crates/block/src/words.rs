//! Cutting text into the words a search can ask for.
//!
//! A word is a longest run of letters and digits, lower-cased. An IP address is a word as a whole too, besides the runs
//! it consists of. The hash of a word is stored in filters, so both are part of the format.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The words of `text` as filters know them: what a search has to compare to agree with [`crate::may_contain`]. An
/// address is not among them as a whole, only its parts.
pub fn words(text: &str) -> impl Iterator<Item = String> {
    text.split(|char: char| !char.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(|word| word.chars().flat_map(lower_case).collect())
}

/// Without the marks that lower-casing may set apart, which would end the word when it is read again.
fn lower_case(char: char) -> impl Iterator<Item = char> {
    char.to_lowercase().filter(|char| char.is_alphanumeric())
}

/// Takes what is found.
pub(crate) trait Sink {
    /// A word, by its hash. Called once for every occurrence.
    fn word(&mut self, hash: u64);
    /// An address standing on its own: not part of a longer word or of a longer dotted number.
    fn ip(&mut self, ip: IpAddr);
}

const OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
const PRIME: u64 = 0x0000_0100_0000_01b3;
/// Longest text of an address, `ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255`.
const MAX_IP_TEXT: usize = 45;

/// Lower-cased byte of a letter or digit; 0 for every other byte.
const LOWER: [u8; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 128 {
        if (byte as u8).is_ascii_alphanumeric() {
            table[byte] = (byte as u8).to_ascii_lowercase();
        }
        byte += 1;
    }
    table
};

/// Spreads FNV's weak high bits (the finalizer of MurmurHash3).
fn finish(mut hash: u64) -> u64 {
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^ (hash >> 33)
}

fn fnv(hash: u64, byte: u8) -> u64 {
    (hash ^ u64::from(byte)).wrapping_mul(PRIME)
}

/// The hash under which an address is in the filter.
pub(crate) fn ip_hash(ip: IpAddr) -> u64 {
    let tagged = match ip {
        IpAddr::V4(v4) => v4.octets().into_iter().fold(fnv(OFFSET, 4), fnv),
        IpAddr::V6(v6) => v6.octets().into_iter().fold(fnv(OFFSET, 6), fnv),
    };
    finish(tagged ^ 1)
}

/// Reports every word and address of `text`.
pub(crate) fn scan(text: &str, sink: &mut impl Sink) {
    if text.is_ascii() {
        scan_ascii(text.as_bytes(), sink);
    } else {
        scan_unicode(text, sink);
    }
}

/// A number's words, as its text would have them.
pub(crate) fn scan_integer(number: i64, sink: &mut impl Sink) {
    let mut digits = [0_u8; 20];
    let mut start = digits.len();
    let mut rest = number.unsigned_abs();
    loop {
        start -= 1;
        digits[start] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    sink.word(finish(digits[start..].iter().copied().fold(OFFSET, fnv)));
}

fn scan_ascii(bytes: &[u8], sink: &mut impl Sink) {
    let mut at = 0;
    let mut address_end = 0;
    while at < bytes.len() {
        let start = at;
        let mut hash = OFFSET;
        while let Some(lower) = bytes.get(at).map(|byte| LOWER[usize::from(*byte)]).filter(|b| *b != 0) {
            hash = fnv(hash, lower);
            at += 1;
        }
        if at > start {
            sink.word(finish(hash));
        }
        if let Some(b'.' | b':') = bytes.get(at)
            && start >= address_end
            && at - start <= 4
        {
            address_end = scan_address(bytes, start, at, sink);
        }
        at += 1;
    }
}

/// Reports the address that may begin at `start`, where a word of up to four characters ends before the `.` or `:` at
/// `end`. Returns where the next address may begin.
fn scan_address(bytes: &[u8], start: usize, end: usize, sink: &mut impl Sink) -> usize {
    let dotted = bytes[end] == b'.';
    let fits = |byte: &u8| {
        if dotted {
            byte.is_ascii_digit() || *byte == b'.'
        } else {
            byte.is_ascii_hexdigit() || matches!(byte, b':' | b'.')
        }
    };
    let continues = dotted && start >= 2 && bytes[start - 1] == b'.' && bytes[start - 2].is_ascii_alphanumeric();
    if continues || !bytes[start..end].iter().all(fits) || (dotted && end == start) {
        return start;
    }
    let len = bytes[start..].iter().take_while(|byte| fits(byte)).count();
    let run = &bytes[start..start + len];
    if len > MAX_IP_TEXT + 1 || bytes.get(start + len).is_some_and(u8::is_ascii_alphanumeric) {
        return start + len;
    }
    // A sentence or a `host:` may end in the address.
    for run in [run, &run[..len - 1]] {
        if let Some(ip) = parse_address(run, dotted) {
            sink.ip(ip);
            break;
        }
        if !matches!(run.last(), Some(b'.' | b':')) {
            break;
        }
    }
    start + len
}

fn parse_address(run: &[u8], dotted: bool) -> Option<IpAddr> {
    let text = std::str::from_utf8(run).ok()?;
    if dotted {
        return text.parse::<Ipv4Addr>().ok().map(IpAddr::V4);
    }
    // Times such as 12:30:01 are far more common than addresses and fail here.
    let colons = run.iter().filter(|byte| **byte == b':').count();
    if colons < 6 && !run.windows(2).any(|pair| pair == b"::") {
        return None;
    }
    text.parse::<Ipv6Addr>().ok().map(IpAddr::V6)
}

fn scan_unicode(text: &str, sink: &mut impl Sink) {
    let mut hash = OFFSET;
    let mut inside = false;
    for char in text.chars() {
        if char.is_alphanumeric() {
            inside = true;
            for lower in lower_case(char) {
                let mut utf8 = [0; 4];
                hash = lower.encode_utf8(&mut utf8).bytes().fold(hash, fnv);
            }
        } else if inside {
            sink.word(finish(hash));
            hash = OFFSET;
            inside = false;
        }
    }
    if inside {
        sink.word(finish(hash));
    }
    let mut addresses = AddressesOnly(sink);
    for ascii in text.split(|char: char| !char.is_ascii()) {
        scan_ascii(ascii.as_bytes(), &mut addresses);
    }
}

struct AddressesOnly<'a, S>(&'a mut S);

impl<S: Sink> Sink for AddressesOnly<'_, S> {
    fn word(&mut self, _hash: u64) {}

    fn ip(&mut self, ip: IpAddr) {
        self.0.ip(ip);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Found {
        words: Vec<u64>,
        ips: Vec<String>,
    }

    impl Sink for Found {
        fn word(&mut self, hash: u64) {
            self.words.push(hash);
        }

        fn ip(&mut self, ip: IpAddr) {
            self.ips.push(ip.to_string());
        }
    }

    fn found(text: &str) -> Found {
        let mut found = Found::default();
        scan(text, &mut found);
        found
    }

    #[test]
    fn words_are_lower_cased_runs_of_letters_and_digits() {
        assert_eq!(
            found("Failed-password FOR röoT").words,
            found("failed password for RÖOT").words
        );
        assert_eq!(found("a_b.c").words.len(), 3);
        assert_eq!(found("").words.len(), 0);
        let mut number = Found::default();
        scan_integer(-4625, &mut number);
        assert_eq!(number.words, found("-4625").words);
    }

    #[test]
    fn the_words_given_out_are_the_words_hashed() {
        for text in [
            "Failed-password FOR röoT",
            "İstanbul Σς K",
            "from 10.0.0.5, port=22",
            "",
            "日本 x1",
        ] {
            let hashes: Vec<_> = words(text).flat_map(|word| found(&word).words).collect();
            assert_eq!(hashes, found(text).words, "{text}");
        }
    }

    #[test]
    fn addresses_are_found_where_they_stand_alone() {
        for (text, ips) in [
            ("from 10.0.0.5 port 22", vec!["10.0.0.5"]),
            ("rhost=10.0.0.5:22, 192.168.1.1.", vec!["10.0.0.5", "192.168.1.1"]),
            ("1.2.3.4.5 1.2.3 300.1.1.1 1.2.3.4a v1.2.3.4.5 v01.02.03.04", vec![]),
            (
                "at 12:30:01 fe80::1 and [2001:DB8::7]:443",
                vec!["fe80::1", "2001:db8::7"],
            ),
            ("peer ::1: closed ::ffff:10.1.2.3", vec!["::1", "::ffff:10.1.2.3"]),
            ("39:33:99:e9:a0:dc:f2:33:a3:e5 :: é10.0.0.9é", vec!["::", "10.0.0.9"]),
            ("1:2:3:4:5:6:7:8", vec!["1:2:3:4:5:6:7:8"]),
            ("10.0.0.1-10.0.0.2", vec!["10.0.0.1", "10.0.0.2"]),
        ] {
            assert_eq!(found(text).ips, ips, "{text}");
        }
    }
}
