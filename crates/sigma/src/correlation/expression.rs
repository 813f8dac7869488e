//! Extended conditions: `rule_a and (rule_b or not rule_c)`.
//!
//! Precedence from weakest to strongest: `or`, `and`, `not`, parentheses. Keywords in any case.

use crate::logic::{self, Language, Tokens};

/// Longest condition in bytes.
const MAX_LENGTH: usize = 8192;

/// A boolean expression over the rules of a correlation, in which `not` stands before single rules only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RuleExpr {
    /// All hold.
    And(Vec<RuleExpr>),
    /// Any holds.
    Or(Vec<RuleExpr>),
    /// This rule matched: its position in the correlation's list.
    Matched(usize),
    /// This rule did not match.
    Absent(usize),
}

impl RuleExpr {
    /// Whether the expression holds when exactly the rules of `matched` matched, and `absent` tells which did not.
    pub(crate) fn holds(&self, matched: u64, absent: u64) -> bool {
        match self {
            Self::And(terms) => terms.iter().all(|term| term.holds(matched, absent)),
            Self::Or(terms) => terms.iter().any(|term| term.holds(matched, absent)),
            Self::Matched(rule) => matched & bit(*rule) != 0,
            Self::Absent(rule) => absent & bit(*rule) != 0,
        }
    }

    /// The rules that must have matched somewhere in the expression, as bits.
    pub(crate) fn wanted(&self) -> u64 {
        match self {
            Self::And(terms) | Self::Or(terms) => terms.iter().fold(0, |bits, term| bits | term.wanted()),
            Self::Matched(rule) => bit(*rule),
            Self::Absent(_) => 0,
        }
    }

    /// The rules that must not have matched somewhere in the expression, as bits.
    pub(crate) fn unwanted(&self) -> u64 {
        match self {
            Self::And(terms) | Self::Or(terms) => terms.iter().fold(0, |bits, term| bits | term.unwanted()),
            Self::Matched(_) => 0,
            Self::Absent(rule) => bit(*rule),
        }
    }

    fn negated(self) -> Self {
        match self {
            Self::And(terms) => Self::Or(terms.into_iter().map(Self::negated).collect()),
            Self::Or(terms) => Self::And(terms.into_iter().map(Self::negated).collect()),
            Self::Matched(rule) => Self::Absent(rule),
            Self::Absent(rule) => Self::Matched(rule),
        }
    }
}

/// The bit of a rule's position; positions are below 64.
pub(crate) fn bit(rule: usize) -> u64 {
    u32::try_from(rule)
        .ok()
        .and_then(|rule| 1_u64.checked_shl(rule))
        .unwrap_or(0)
}

/// Parses a condition. `rules` are the names it may use; when it is empty, it is filled with the names in order of
/// their appearance. The error says what was expected.
pub(crate) fn parse(text: &str, rules: &mut Vec<String>) -> Result<RuleExpr, String> {
    if text.len() > MAX_LENGTH {
        return Err(format!("expected at most {MAX_LENGTH} bytes, got {}", text.len()));
    }
    let collects = rules.is_empty();
    logic::parse(text, &mut Condition { rules, collects })
}

struct Condition<'a> {
    rules: &'a mut Vec<String>,
    collects: bool,
}

impl Language for Condition<'_> {
    type Expr = RuleExpr;

    const WORD: &'static str = "a rule";
    const MAX_DEPTH: usize = 32;

    fn word<'t>(&mut self, word: &'t str, _rest: &mut Tokens<'t>) -> Result<RuleExpr, String> {
        if let Some(position) = self.rules.iter().position(|rule| rule == word) {
            return Ok(RuleExpr::Matched(position));
        }
        if !self.collects {
            let known = self.rules.join(", ");
            return Err(format!("expected one of the rules {known}, got `{word}`"));
        }
        self.rules.push(word.to_owned());
        Ok(RuleExpr::Matched(self.rules.len() - 1))
    }

    fn all(terms: Vec<RuleExpr>) -> RuleExpr {
        RuleExpr::And(terms)
    }

    fn any(terms: Vec<RuleExpr>) -> RuleExpr {
        RuleExpr::Or(terms)
    }

    fn not(inner: RuleExpr) -> RuleExpr {
        inner.negated()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn precedence_negation_and_collected_names() {
        let mut rules = Vec::new();
        let expr = parse("a and (b or NOT c) or not (d and e)", &mut rules).unwrap();
        assert_eq!(rules, ["a", "b", "c", "d", "e"]);
        let holds = |matched: u64| expr.holds(matched, !matched);
        for (matched, expected) in [
            (0b11011, true),
            (0b11001, true),
            (0b11101, false),
            (0b11000, false),
            (0b01000, true),
        ] {
            assert_eq!(holds(matched), expected, "{matched:b}");
        }
        assert_eq!((expr.wanted(), expr.unwanted()), (0b00011, 0b11100));
    }

    #[test]
    fn mistakes_are_named() {
        for (text, expected) in [
            ("a and", "expected a rule or `(`, got the end"),
            ("(a", "expected `)`, got the end"),
            ("a b", "expected `and`, `or` or the end, got `b`"),
            ("a or x", "expected one of the rules a, b, got `x`"),
            ("or a", "expected a rule or `(`, got `or`"),
            (&"not ".repeat(40), "expected at most 32 levels"),
        ] {
            let error = parse(text, &mut vec!["a".to_owned(), "b".to_owned()]).unwrap_err();
            assert!(error.contains(expected), "{error} lacks {expected}");
        }
    }
}
