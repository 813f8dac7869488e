//! What is collected over a block's values so that a search can skip the block: the token filter and the addresses.
//!
//! The filter is a Bloom filter. Its bytes are the number of probes, then the bits. Probe `i` of a hash with halves `l`
//! (low) and `h` (high) is bit `(l + i * h mod 2^32) * bits / 2^32`.

use std::collections::BTreeSet;
use std::net::IpAddr;

use model::Value;
use rustc_hash::FxHashSet;

use crate::addresses::Places;
use crate::layout::MAX_IPS;
use crate::words::{self, Sink};

const PROBES: u8 = 7;
/// With seven probes, one absent word in 120 is taken for present.
const BITS_PER_WORD: usize = 10;
/// Above this a filter would be so large that it is cheaper to read the block.
const MAX_WORDS: usize = 400_000;
/// Bytes of bits that filters have: few sizes, so that a database can be asked for bits at places.
const SIZES: [u32; 36] = [
    8, 16, 32, 64, 128, 256, 512, 1024, 1536, 2048, 2560, 3072, 3584, 4096, 5120, 6144, 7168, 8192, 10_240, 12_288,
    14_336, 16_384, 20_480, 24_576, 28_672, 32_768, 40_960, 49_152, 57_344, 65_536, 98_304, 131_072, 196_608, 262_144,
    393_216, 524_288,
];

/// The lengths that filters have, in bytes, but for the empty one.
pub fn filter_sizes() -> impl Iterator<Item = usize> {
    SIZES.iter().map(|size| *size as usize + 1)
}

/// What a filter is asked for, made ready for filters of any length.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question(Vec<u64>);

impl Question {
    /// For every word and address in `text`, as [`may_contain`] asks.
    #[must_use]
    pub fn words(text: &str) -> Self {
        let mut hashes = Hashes::default();
        words::scan(text, &mut hashes);
        hashes.0.sort_unstable();
        hashes.0.dedup();
        Self(hashes.0)
    }

    /// For an address, as [`may_contain_address`] asks.
    #[must_use]
    pub fn address(ip: IpAddr) -> Self {
        Self(vec![words::ip_hash(ip.to_canonical())])
    }

    /// How many words and addresses.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether it asks for nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The bits that are set in each filter of `len` bytes (one of [`filter_sizes`]) that may hold all of it, counted from
    /// the lowest bit of the filter's first byte.
    pub fn bits(&self, len: usize) -> impl Iterator<Item = u32> {
        let bytes = len.saturating_sub(1);
        self.0
            .iter()
            .flat_map(move |hash| places(*hash, PROBES, bytes).map(|bit| u32::try_from(bit + 8).unwrap_or(u32::MAX)))
    }
}

#[derive(Default)]
struct Hashes(Vec<u64>);

impl Sink for Hashes {
    fn word(&mut self, hash: u64) {
        self.0.push(hash);
    }

    fn ip(&mut self, ip: IpAddr) {
        self.0.push(words::ip_hash(ip));
    }
}

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
    places(hash, count, bytes).map(|bit| ((bit / 8) as usize, 1 << (bit % 8)))
}

/// Each bit of a hash, in a filter of so many bytes.
fn places(hash: u64, count: u8, bytes: usize) -> impl Iterator<Item = u64> {
    let bits = (bytes as u64).saturating_mul(8).min(u64::from(u32::MAX));
    let low = hash as u32;
    let step = (hash >> 32) as u32 | 1;
    (0..u32::from(count)).map(move |probe| {
        let spread = u64::from(low.wrapping_add(probe.wrapping_mul(step)));
        (spread * bits) >> 32
    })
}

/// Collects over the values of one block.
#[derive(Debug, Default)]
pub(crate) struct Collector {
    words: FxHashSet<u64>,
    ips: FxHashSet<IpAddr>,
    too_many_words: bool,
    too_many_ips: bool,
    places: Places,
}

impl Collector {
    pub(crate) fn with_capacity(events: usize) -> Self {
        Self {
            words: FxHashSet::with_capacity_and_hasher(events * 4, rustc_hash::FxBuildHasher),
            ..Self::default()
        }
    }

    /// What comes is the value at `index` of a column.
    pub(crate) fn at(&mut self, index: usize) {
        self.places.at(index);
    }

    /// The values of a column are all there: `rows` have them in order, or those at `indexes`.
    pub(crate) fn finish(&mut self, rows: &[u32], indexes: Option<&[u32]>) {
        self.places.finish(rows, indexes);
    }

    /// The values were of no column.
    pub(crate) fn finish_elsewhere(&mut self) {
        self.places.give_up();
    }

    /// Where addresses stand, as a section's plain bytes. Nothing may be collected afterwards.
    pub(crate) fn places(&mut self) -> Option<Vec<u8>> {
        std::mem::take(&mut self.places).put()
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
        let wanted = (self.words.len() * BITS_PER_WORD).div_ceil(8);
        let Some(bytes) = SIZES.into_iter().map(|size| size as usize).find(|size| *size >= wanted) else {
            return Vec::new();
        };
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
        self.places.found(ip);
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
    fn a_question_names_the_bits_that_are_set() {
        for words in [1, 30, 700, 9000] {
            let mut collector = Collector::default();
            (0..words).for_each(|n| collector.text(&format!("word{n} 10.1.{}.{}", n / 250, n % 250)));
            let filter = collector.filter();
            assert!(filter_sizes().any(|size| size == filter.len()), "{}", filter.len());
            let has = |question: &Question| {
                question
                    .bits(filter.len())
                    .all(|bit| filter[bit as usize / 8] & (1 << (bit % 8)) != 0)
            };
            for n in 0..words {
                assert!(has(&Question::words(&format!("Word{n}"))));
                assert!(has(&Question::address(IpAddr::from([
                    10,
                    1,
                    (n / 250) as u8,
                    (n % 250) as u8
                ]))));
                let absent = format!("absent{n}");
                assert_eq!(has(&Question::words(&absent)), may_contain(&filter, &absent));
            }
            assert_eq!(Question::words("a b A").len(), 2);
        }
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
