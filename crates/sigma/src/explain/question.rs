//! Questions in words.

use std::fmt::Write as _;

use crate::ast::{Comparison, FieldRef, Number, Op, Relation, TimePart};
use crate::pattern::{Pattern, Shape, Token};

/// What `op` asks, such as `contains "x"`. Texts are folded where case does not matter.
pub(super) fn of(op: &Op) -> String {
    match op {
        Op::Null => "is missing or null".to_owned(),
        Op::Exists => "exists".to_owned(),
        Op::Text(pattern) => text(pattern),
        Op::Regex(regex) => format!("matches /{}/", regex.source()),
        Op::Cidr(network) => format!("is in {network}"),
        Op::FieldRef(reference) => field_ref(reference),
        Op::Compare(comparison, number) => format!("is {} {}", sign(*comparison), digits(*number)),
        Op::Time(part, comparison, number) => {
            format!("has {} {} {}", part_name(*part), sign(*comparison), digits(*number))
        }
    }
}

fn text(pattern: &Pattern) -> String {
    let mut words = match &pattern.shape {
        Shape::Anything => "has a value".to_owned(),
        Shape::Exact(text) => format!("is {text:?}"),
        Shape::Prefix(text) => format!("starts with {text:?}"),
        Shape::Suffix(text) => format!("ends with {text:?}"),
        Shape::Contains(text) => format!("contains {text:?}"),
        Shape::Glob(tokens) => format!("is like {:?}", glob(tokens)),
    };
    if pattern.cased {
        words.push_str(" in this case");
    }
    words
}

fn glob(tokens: &[Token]) -> String {
    let mut text = String::new();
    for token in tokens {
        match token {
            Token::Text(literal) => text.push_str(literal),
            Token::Star => text.push('*'),
            Token::One => text.push('?'),
            Token::Dash => text.push_str("[-/]"),
        }
    }
    text
}

fn field_ref(reference: &FieldRef) -> String {
    let relation = match reference.relation {
        Relation::Equals => "is the same as",
        Relation::StartsWith => "starts with",
        Relation::EndsWith => "ends with",
        Relation::Contains => "contains",
    };
    format!("{relation} the field {}", reference.field.name)
}

fn sign(comparison: Comparison) -> &'static str {
    match comparison {
        Comparison::Equal => "=",
        Comparison::Less => "<",
        Comparison::LessOrEqual => "<=",
        Comparison::Greater => ">",
        Comparison::GreaterOrEqual => ">=",
    }
}

fn part_name(part: TimePart) -> &'static str {
    match part {
        TimePart::Minute => "a minute",
        TimePart::Hour => "an hour",
        TimePart::Day => "a day",
        TimePart::Week => "a week",
        TimePart::Month => "a month",
        TimePart::Year => "a year",
    }
}

fn digits(number: Number) -> String {
    let mut text = String::new();
    // Writing to a String does not fail.
    let _ = match number {
        Number::Int(whole) => write!(text, "{whole}"),
        Number::Float(float) => write!(text, "{float}"),
    };
    text
}
