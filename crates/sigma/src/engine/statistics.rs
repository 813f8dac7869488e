//! How common texts are, judged by the rules themselves: what many rules look for or rule out is common in events,
//! too. Only the speed depends on it, never an answer.

use rustc_hash::FxHashMap;

use crate::ast::{Expr, Op, Subject, Test};
use crate::engine::index::{Anchor, gram};
use crate::pattern::{Shape, Token, fold};

/// Number of counters for four-byte pieces; a power of two.
const COUNTERS: usize = 1 << 16;

/// Counts over the rules of a set.
#[derive(Debug, Default)]
pub(crate) struct Statistics {
    grams: Vec<u16>,
    /// By byte, and of all.
    bytes: Vec<u32>,
    byte_total: u32,
    /// Uses of a whole-value or end-of-value text in a field, and of all such texts in the field.
    uses: FxHashMap<Box<str>, FxHashMap<Box<str>, u32>>,
    totals: FxHashMap<Box<str>, u32>,
    /// Of these texts, how many end with so many bytes, by field.
    ends: FxHashMap<Box<str>, FxHashMap<End, u32>>,
}

/// The last bytes of a text, and how many they are.
type End = (u64, usize);

/// Longest end that is counted: what is common to values is short, such as `.exe`.
const MAX_END: usize = 6;

fn end(text: &str, length: usize) -> Option<End> {
    let bytes = text.as_bytes();
    let last = bytes.get(bytes.len().checked_sub(length)?..)?;
    let packed = last.iter().fold(0, |packed, byte| packed << 8 | u64::from(*byte));
    Some((packed, length))
}

impl Statistics {
    /// Counts what the expressions look for.
    pub(crate) fn of<'a>(detections: impl Iterator<Item = &'a Expr>) -> Self {
        let mut statistics = Self {
            grams: vec![0; COUNTERS],
            bytes: vec![0; 256],
            ..Self::default()
        };
        detections.for_each(|detection| statistics.add(detection));
        statistics
    }

    fn add(&mut self, expr: &Expr) {
        match expr {
            Expr::And(terms) | Expr::Or(terms) | Expr::AtLeast(_, terms) => {
                terms.iter().for_each(|term| self.add(term));
            }
            Expr::Not(inner) => self.add(inner),
            Expr::Test(test) => self.add_test(test),
        }
    }

    fn add_test(&mut self, test: &Test) {
        let Op::Text(pattern) = &test.op else { return };
        match &pattern.shape {
            Shape::Anything => {}
            Shape::Contains(text) => self.add_grams(text),
            Shape::Exact(text) | Shape::Prefix(text) | Shape::Suffix(text) => {
                self.add_grams(text);
                if let Subject::Field(field) = &test.subject {
                    let field = field.name.as_ref();
                    if !self.uses.contains_key(field) {
                        self.uses.insert(field.into(), FxHashMap::default());
                        self.totals.insert(field.into(), 0);
                        self.ends.insert(field.into(), FxHashMap::default());
                    }
                    if let (Some(uses), Some(total)) = (self.uses.get_mut(field), self.totals.get_mut(field)) {
                        *uses.entry(fold(text).into_boxed_str()).or_default() += 1;
                        *total += 1;
                    }
                    if let (Shape::Exact(text) | Shape::Suffix(text), Some(ends)) =
                        (&pattern.shape, self.ends.get_mut(field))
                    {
                        let text = fold(text);
                        for end in (1..=MAX_END).map_while(|length| end(&text, length)) {
                            *ends.entry(end).or_default() += 1;
                        }
                    }
                }
            }
            Shape::Glob(tokens) => {
                for token in tokens {
                    if let Token::Text(text) = token {
                        self.add_grams(text);
                    }
                }
            }
        }
    }

    fn add_grams(&mut self, text: &str) {
        let text = fold(text);
        for byte in text.bytes() {
            if let Some(counter) = self.bytes.get_mut(usize::from(byte)) {
                *counter = counter.saturating_add(1);
                self.byte_total = self.byte_total.saturating_add(1);
            }
        }
        for at in 0..text.len() {
            let Some(gram) = gram(text.as_bytes(), at) else { break };
            if let Some(counter) = self.grams.get_mut(counter(gram)) {
                *counter = counter.saturating_add(1);
            }
        }
    }

    /// How often rules have the piece.
    pub(crate) fn of_gram(&self, gram: u32) -> u32 {
        self.grams.get(counter(gram)).map_or(0, |count| u32::from(*count))
    }

    /// Estimated share of bytes that are this one: half of the estimate is that all are equally common.
    pub(crate) fn share_of_byte(&self, byte: u8) -> f32 {
        let count = self.bytes.get(usize::from(byte)).copied().unwrap_or_default();
        #[allow(clippy::cast_precision_loss, reason = "an estimate")]
        let of_rules = count as f32 / self.byte_total.max(1) as f32;
        (of_rules + 1.0 / 128.0) / 2.0
    }

    /// Estimated share of values that have the folded text in them.
    pub(crate) fn share_of_literal(&self, text: &str) -> f64 {
        let bytes = text.as_bytes();
        let length = i32::try_from(bytes.len()).unwrap_or(i32::MAX).min(40);
        if let [b'0'..=b'9' | b'a'..=b'z'] = bytes {
            return 0.9;
        }
        if bytes.len() < 4 {
            return 0.5 * 0.7_f64.powi(length);
        }
        let rarest = (0..bytes.len())
            .map_while(|at| gram(bytes, at))
            .map(|gram| self.of_gram(gram))
            .min()
            .unwrap_or(0);
        // One piece in a hundred thousand rule texts, a hundred pieces to a value.
        (1e-3 * (f64::from(rarest) + 0.3)).min(0.6) * 0.93_f64.powi(length)
    }

    /// The same, for choosing one of several texts to look for: short ones are dear to look for.
    pub(crate) fn price_of_literal(&self, text: &str) -> f64 {
        self.share_of_literal(text) * if text.len() < 5 { 3.0 } else { 1.0 }
    }

    /// Estimated share of events in which the field is, starts with or ends with the folded text.
    pub(crate) fn share_of_value(&self, field: Option<&str>, anchor: Option<Anchor>, text: &str) -> f64 {
        let Some(field) = field else {
            return self.share_of_literal(text);
        };
        let uses = match end(text, text.len()) {
            // Texts that end with it are as good as the text itself.
            Some(end) if anchor == Some(Anchor::End) && text.len() <= MAX_END => {
                self.ends.get(field).and_then(|ends| ends.get(&end))
            }
            _ => self.uses.get(field).and_then(|uses| uses.get(text)),
        };
        let uses = uses.copied().unwrap_or(0);
        let total = self.totals.get(field).copied().unwrap_or(0);
        (f64::from(uses) + 0.5) / (f64::from(total) + 8.0)
    }
}

fn counter(gram: u32) -> usize {
    (gram.wrapping_mul(0x85eb_ca6b) >> 16) as usize % COUNTERS
}
