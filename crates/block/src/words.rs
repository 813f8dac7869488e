//! Cutting text into the words a search can ask for.
//!
//! A word is a longest run of letters and digits, lower-cased. An IP address is a word as a whole too, besides the runs
//! it consists of. The hash of a word is stored in filters, so both are part of the format.

use std::net::IpAddr;

use intel::observables::{self, Extractor, Observable, Wanted};

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
    /// An address as detection finds it (see `intel::observables`).
    fn ip(&mut self, ip: IpAddr);
}

/// Longest text of an address, in bytes.
const MAX_ADDRESS: usize = 45;

const OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
const PRIME: u64 = 0x0000_0100_0000_01b3;

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
    scan_words(text, sink);
    // Texts that are an address as a whole: by far the most that have one.
    if text.len() <= MAX_ADDRESS
        && let Ok(ip) = text.parse::<IpAddr>()
    {
        sink.ip(ip.to_canonical());
        return;
    }
    Extractor::new().scan(text, Wanted::IPS, &mut |observable| {
        if let Observable::Ip(ip) = observable {
            sink.ip(ip);
        }
    });
}

fn scan_words(text: &str, sink: &mut impl Sink) {
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
        at += 1;
    }
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
}

/// Reports the words of every name, URL, hash and mail address in `text`, as an indicator would write it: where that is
/// not how the text writes it, nobody who looks for the indicator would find the text by its words.
pub(crate) fn scan_meant(text: &str, sink: &mut impl Sink) {
    if !observables::may_differ(text) {
        return;
    }
    Extractor::new().scan(text, Wanted::ALL, &mut |observable| match observable {
        Observable::Ip(_) => {}
        // Its host may be an address that the text writes as one number.
        Observable::Url(meant) => scan(meant, sink),
        Observable::Domain(meant) | Observable::Hash(meant) | Observable::Email(meant) => scan_words(meant, sink),
    });
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
            ("peer ::1: closed ::ffff:10.1.2.3", vec!["::1", "10.1.2.3", "10.1.2.3"]),
            ("39:33:99:e9:a0:dc:f2:33:a3:e5 :: é10.0.0.9é", vec!["::", "10.0.0.9"]),
            ("1:2:3:4:5:6:7:8", vec!["1:2:3:4:5:6:7:8"]),
            ("10.0.0.1-10.0.0.2", vec!["10.0.0.1", "10.0.0.2"]),
            ("aa:bb:10.0.0.5 10[.]0[.]0[.]6", vec!["10.0.0.5", "10.0.0.6"]),
        ] {
            assert_eq!(found(text).ips, ips, "{text}");
        }
    }
}
