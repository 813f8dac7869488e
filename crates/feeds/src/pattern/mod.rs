//! STIX patterns, as far as one comparison is one indicator.
//!
//! `[ipv4-addr:value = '203.0.113.9'] OR [domain-name:value IN ('a.example', 'b.example')]` names three things any of
//! which matches by itself, so it is three indicators. `[a] AND [b]`, `[a] FOLLOWED BY [b]` and `[a AND b]` ask for more than
//! one thing at once: what is matched here value by value would say too much, so these are refused, with two exceptions:
//! several hashes of one file (each of them names that file), and a test of the object's own `type` beside its value.

mod lexer;
mod parser;
mod path;

pub use parser::{MAX_COMPARISONS, MAX_PATTERN_BYTES};

use model::indicator::IndicatorType;

/// One thing a pattern names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Value {
    /// What it is.
    pub kind: IndicatorType,
    /// As the pattern writes it.
    pub value: String,
}

/// What a pattern comes down to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Values {
    /// Each matches by itself.
    pub values: Vec<Value>,
    /// Why the other alternatives cannot be matched.
    pub unsupported: Vec<String>,
}

/// The pattern is not one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPattern {
    /// The syntax is wrong.
    #[error("expected {expected} at byte {at}")]
    Syntax {
        /// What should be there.
        expected: &'static str,
        /// Where, from 0.
        at: usize,
    },
    /// It is longer or deeper than anything real.
    #[error("expected at most {0}")]
    TooLarge(&'static str),
}

/// What the pattern names.
///
/// # Errors
/// When it is no STIX pattern, or one beyond all measure.
pub fn values(pattern: &str) -> Result<Values, InvalidPattern> {
    let tree = parser::parse(pattern)?;
    let mut values = Values::default();
    parser::reduce(tree, &mut values);
    Ok(values)
}

#[cfg(test)]
mod tests;
