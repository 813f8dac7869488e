//! What is collected over a block's values so that a search can skip the block: the token filter and the addresses.
//!
//! The filter is a Bloom filter. Its bytes are the number of probes, then the bits. Probe `i` of a hash with halves `l`
//! (low) and `h` (high) is bit `(l + i * h mod 2^32) * bits / 2^32`.

use std::collections::BTreeSet;
use std::net::IpAddr;

use model::Value;
use rustc_hash::FxHashSet;

use crate::layout::MAX_IPS;
use crate::words::{self, Sink};

const PROBES: u8 = 7;
/// With seven probes, one absent word in 120 is taken for present.
const BITS_PER_WORD: usize = 10;
/// Above this a filter would be so large that it is cheaper to read the block.
const MAX_WORDS: usize = 400_000;

/// Whether a block with this filter can hold an event that has all words of `word`: false is certain, true is not.
///
/// `word` may be one word, an IP address, or several words of which each must be there. Words match whole and in any
/// case. An empty filter may contain anything.
#[must_use]
pub fn may_contain(token_filter: &[u8], word: &str) -> bool {
    ask(token_filter, |query| words::scan(word, query))
}

/// Whether a block with this filter can hold an event with this address somewhere: false is certain, true is not. What
/// stands right beside the address in the text does not matter, unlike with [`may_contain`].
#[must_use]
pub fn may_contain_address(token_filter: &[u8], ip: IpAddr) -> bool {
    ask(token_filter, |query| query.ip(ip.to_canonical()))
}

fn ask(token_filter: &[u8], question: impl FnOnce(&mut Query<'_>)) -> bool {
    let Some((&probes, bits)) = token_filter.split_first() else {
        return true;
    };
    if bits.is_empty() {
        return true;
    }
    let mut query = Query {
        probes,
        bits,
        possible: true,
    };
    question(&mut query);
    query.possible
}

struct Query<'a> {
    probes: u8,
    bits: &'a [u8],
    possible: bool,
}

impl Sink for Query<'_> {
    fn word(&mut self, hash: u64) {
        self.possible = self.possible
            && probes(hash, self.probes, self.bits.len())
                .all(|(byte, bit)| self.bits.get(byte).is_none_or(|bits| bits & bit != 0));
    }

    fn ip(&mut self, ip: IpAddr) {
        self.word(words::ip_hash(ip));
    }
}

/// Byte and mask of each bit of a hash, in a filter of so many bytes.
fn probes(hash: u64, count: u8, bytes: usize) -> impl Iterator<Item = (usize, u8)> {
    let bits = (bytes as u64).saturating_mul(8).min(u64::from(u32::MAX));
    let low = hash as u32;
    let step = (hash >> 32) as u32 | 1;
    (0..u32::from(count)).map(move |probe| {
        let spread = u64::from(low.wrapping_add(probe.wrapping_mul(step)));
        let bit = (spread * bits) >> 32;
        ((bit / 8) as usize, 1 << (bit % 8))
    })
}

/// Collects over the values of one block.
#[derive(Debug, Default)]
pub(crate) struct Collector {
    words: FxHashSet<u64>,
    ips: FxHashSet<IpAddr>,
    too_many_words: bool,
    too_many_ips: bool,
}

impl Collector {
    pub(crate) fn with_capacity(events: usize) -> Self {
        Self {
            words: FxHashSet::with_capacity_and_hasher(events * 4, rustc_hash::FxBuildHasher),
            ..Self::default()
        }
    }

    pub(crate) fn text(&mut self, text: &str) {
        words::scan(text, self);
        words::scan_meant(text, self);
    }

    pub(crate) fn integer(&mut self, number: i64) {
        words::scan_integer(number, self);
    }

    pub(crate) fn value(&mut self, value: &Value) {
        match value {
            Value::Null => {}
            Value::Bool(_) | Value::Float(_) => self.text(&value.to_text()),
            Value::Int(number) => self.integer(*number),
            Value::Str(text) => self.text(text),
            Value::List(values) => values.iter().for_each(|inner| self.value(inner)),
        }
    }

    /// The token filter's bytes.
    pub(crate) fn filter(&self) -> Vec<u8> {
        if self.too_many_words {
            return Vec::new();
        }
        let bytes = (self.words.len() * BITS_PER_WORD).div_ceil(8).max(8);
        let mut filter = vec![0; 1 + bytes];
        filter[0] = PROBES;
        for hash in &self.words {
            for (byte, bit) in probes(*hash, PROBES, bytes) {
                filter[1 + byte] |= bit;
            }
        }
        filter
    }

    /// The distinct addresses in order; `None` when there were more than [`MAX_IPS`].
    pub(crate) fn ips(&self) -> Option<Vec<String>> {
        if self.too_many_ips {
            return None;
        }
        let sorted: BTreeSet<&IpAddr> = self.ips.iter().collect();
        Some(sorted.into_iter().map(IpAddr::to_string).collect())
    }
}

impl Sink for Collector {
    fn word(&mut self, hash: u64) {
        if !self.too_many_words {
            self.words.insert(hash);
            self.too_many_words = self.words.len() > MAX_WORDS;
        }
    }

    fn ip(&mut self, ip: IpAddr) {
        self.word(words::ip_hash(ip));
        if !self.too_many_ips {
            self.ips.insert(ip);
            self.too_many_ips = self.ips.len() > MAX_IPS;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_put_in_is_found_and_most_else_is_not() {
        let mut collector = Collector::default();
        for n in 0..5000 {
            collector.text(&format!("User{n} from 10.0.{}.{} port {}", n / 250, n % 250, 1024 + n));
        }
        let filter = collector.filter();
        for n in 0..5000 {
            assert!(may_contain(&filter, &format!("uSER{n}")));
            assert!(may_contain(&filter, &format!("10.0.{}.{}", n / 250, n % 250)));
        }
        let wrong = (0..10_000)
            .filter(|n| may_contain(&filter, &format!("absent{n}")))
            .count();
        assert!(wrong < 200, "{wrong} of 10000 absent words taken for present");
        assert!(collector.ips().is_none());
    }

    #[test]
    fn what_is_written_otherwise_is_found_as_indicators_write_it() {
        let hash = "ab".repeat(16);
        let mut collector = Collector::default();
        for text in [
            "hxxp://evil[.]example/a",
            "visit http://bücher.example/ä",
            "http://b.example/{x}?q='1'",
            "http://3232235777/x",
            &format!("ä{hash}ä"),
        ] {
            collector.text(text);
        }
        let filter = collector.filter();
        for meant in [
            "evil.example/a",
            "xn--bcher-kva.example/%C3%A4",
            "b.example/%7Bx%7D?q=%271%27",
            "192.168.1.1",
            &hash,
        ] {
            assert!(may_contain(&filter, meant), "{meant}");
        }
        assert!(!may_contain(&filter, "absent.example"));
    }

    #[test]
    fn an_empty_or_odd_filter_never_panics() {
        assert!(may_contain(&[], "x"));
        assert!(may_contain(&[7], "x"));
        assert!(may_contain(&[255, 255], "x y 10.0.0.1"));
        assert!(!may_contain(&[7, 0], "x"));
        assert!(may_contain(&[7, 0], "--"), "no words, nothing to miss");
    }
}
