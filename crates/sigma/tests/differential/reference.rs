//! A second evaluator, written for obviousness: no index, no memory, no shortcuts, one question after the other.

use ipnet::IpNet;
use model::{Event, Value};
use sigma::Resolved;
use sigma::ast::{Comparison, Expr, Field, Number, Op, Relation, Subject, Test};
use sigma::pattern::{DASHES, Pattern, Shape, Token, fold};

/// Whether the rule, as the catalog resolves it, matches.
pub(crate) fn matches(rule: &Resolved, event: &Event) -> bool {
    holds(&rule.gate, event) && holds(&rule.detection, event)
}

fn holds(expr: &Expr, event: &Event) -> bool {
    match expr {
        Expr::And(terms) => terms.iter().all(|term| holds(term, event)),
        Expr::Or(terms) => terms.iter().any(|term| holds(term, event)),
        Expr::Not(inner) => !holds(inner, event),
        Expr::AtLeast(count, terms) => terms.iter().filter(|term| holds(term, event)).count() >= *count,
        Expr::Test(test) => answer(test, event),
    }
}

fn answer(test: &Test, event: &Event) -> bool {
    match &test.subject {
        Subject::Any => event
            .fields
            .iter()
            .filter(|(name, _)| !name.starts_with("picket.") && !name.starts_with("agent."))
            .any(|(_, value)| scalars(value).iter().any(|scalar| of_scalar(&test.op, scalar, event))),
        Subject::Field(field) => match lookup(field, event) {
            None => test.op == Op::Null,
            Some(Value::List(values)) if values.is_empty() => test.op == Op::Null,
            Some(value) => scalars(&value).iter().any(|scalar| of_scalar(&test.op, scalar, event)),
        },
    }
}

/// The value of a field under the rule's name or, when there is none, under the first other name that is there.
fn lookup(field: &Field, event: &Event) -> Option<Value> {
    let bare = |name: &str| name.replace(' ', "");
    if field.name.as_ref() == "@timestamp" {
        return Some(Value::from(event.timestamp.to_string()));
    }
    std::iter::once(&field.name)
        .chain(field.others.iter())
        .find_map(|wanted| {
            let wanted = bare(wanted);
            event
                .fields
                .iter()
                .find(|(name, _)| bare(name) == wanted)
                .map(|(_, value)| value.clone())
        })
}

fn scalars(value: &Value) -> Vec<Value> {
    match value {
        Value::List(values) => values.iter().flat_map(scalars).collect(),
        Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Str(_) => vec![value.clone()],
    }
}

fn of_scalar(op: &Op, value: &Value, event: &Event) -> bool {
    if *value == Value::Null {
        return *op == Op::Null;
    }
    let text = value.to_text().into_owned();
    match op {
        Op::Null => false,
        Op::Exists => true,
        Op::Text(pattern) => fits(pattern, &text),
        Op::Regex(regex) => regex::Regex::new(regex.source()).unwrap().is_match(&text),
        Op::Cidr(network) => in_network(network, &text),
        Op::FieldRef(reference) => lookup(&reference.field, event).is_some_and(|other| {
            scalars(&other)
                .iter()
                .filter(|other| **other != Value::Null)
                .any(|other| {
                    let other = other.to_text().into_owned();
                    let (left, right) = if reference.cased {
                        (text.clone(), other)
                    } else {
                        (fold(&text), fold(&other))
                    };
                    match reference.relation {
                        Relation::Equals => left == right,
                        Relation::StartsWith => left.starts_with(&right),
                        Relation::EndsWith => left.ends_with(&right),
                        Relation::Contains => left.contains(&right),
                    }
                })
        }),
        Op::Compare(comparison, number) => number_of(value).is_some_and(|found| compare(*comparison, found, *number)),
        Op::Time(..) => unreachable!("times are not generated"),
    }
}

fn number_of(value: &Value) -> Option<Number> {
    match value {
        Value::Int(number) => Some(Number::Int(*number)),
        Value::Float(number) => Some(Number::Float(*number)),
        Value::Str(text) => Number::parse(text),
        Value::Null | Value::Bool(_) | Value::List(_) => None,
    }
}

fn compare(comparison: Comparison, left: Number, right: Number) -> bool {
    match comparison {
        Comparison::Equal => left.partial_cmp(&right).is_some_and(|order| order.is_eq()),
        Comparison::Less => left < right,
        Comparison::LessOrEqual => left < right || left.partial_cmp(&right).is_some_and(|order| order.is_eq()),
        Comparison::Greater => left > right,
        Comparison::GreaterOrEqual => left > right || left.partial_cmp(&right).is_some_and(|order| order.is_eq()),
    }
}

fn in_network(network: &IpNet, text: &str) -> bool {
    text.parse::<std::net::IpAddr>()
        .is_ok_and(|address| network.contains(&address) || network.contains(&address.to_canonical()))
}

/// Tries every way to spread the text over the pattern's tokens.
fn fits(pattern: &Pattern, text: &str) -> bool {
    let text: Vec<char> = if pattern.cased {
        text.chars().collect()
    } else {
        fold(text).chars().collect()
    };
    let literal = |text: &String| Token::Text(text.clone());
    let tokens = match &pattern.shape {
        Shape::Anything => vec![Token::Star],
        Shape::Exact(text) => vec![literal(text)],
        Shape::Prefix(text) => vec![literal(text), Token::Star],
        Shape::Suffix(text) => vec![Token::Star, literal(text)],
        Shape::Contains(text) => vec![Token::Star, literal(text), Token::Star],
        Shape::Glob(tokens) => tokens.clone(),
    };
    spread(&tokens, &text)
}

fn spread(tokens: &[Token], text: &[char]) -> bool {
    match tokens.split_first() {
        None => text.is_empty(),
        Some((Token::Star, rest)) => (0..=text.len()).any(|skip| spread(rest, &text[skip..])),
        Some((Token::One, rest)) => !text.is_empty() && spread(rest, &text[1..]),
        Some((Token::Dash, rest)) => text.first().is_some_and(|c| DASHES.contains(c)) && spread(rest, &text[1..]),
        Some((Token::Text(literal), rest)) => {
            let literal: Vec<char> = literal.chars().collect();
            text.starts_with(&literal) && spread(rest, &text[literal.len()..])
        }
    }
}
