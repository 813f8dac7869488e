//! A query made ready to look at events.

use model::{Event, Timestamp, Value, ecs};
use regex::{Regex, RegexBuilder};

use crate::ast::{self, Bound, Expr, Literal, Number, Pattern, Piece, Query};
use crate::check::{Check, Ends};
use crate::edges::Needle;
use crate::parse::number;

/// Memory a compiled regular expression may take.
const REGEX_BYTES: usize = 2 << 20;

/// A query whose relative times are fixed.
#[derive(Clone, Debug)]
pub struct Compiled {
    pub(crate) root: Node,
}

#[derive(Clone, Debug)]
pub(crate) enum Node {
    Everything,
    And(Vec<Self>),
    Or(Vec<Self>),
    Not(Box<Self>),
    Test(Box<Test>),
}

#[derive(Clone, Debug)]
pub(crate) struct Test {
    pub(crate) target: Target,
    pub(crate) check: Check,
    /// As it was written: what planning goes by.
    pub(crate) written: ast::Check,
}

/// Where to look.
#[derive(Clone, Debug)]
pub(crate) enum Target {
    Anywhere,
    Field(String),
    Fields(Regex),
    /// `@timestamp`, which is no field of its own.
    Time,
    /// `event.id`, which is none either.
    Id,
}

impl Query {
    /// Fixes relative times to `now` and prepares the looking.
    #[must_use]
    pub fn compile(&self, now: Timestamp) -> Compiled {
        Compiled {
            root: node(&self.root, now),
        }
    }
}

impl Compiled {
    /// Whether the event is meant.
    #[must_use]
    pub fn matches(&self, event: &Event) -> bool {
        self.root.matches(event)
    }
}

impl Node {
    fn matches(&self, event: &Event) -> bool {
        match self {
            Self::Everything => true,
            Self::And(parts) => parts.iter().all(|part| part.matches(event)),
            Self::Or(parts) => parts.iter().any(|part| part.matches(event)),
            Self::Not(inner) => !inner.matches(event),
            Self::Test(test) => test.matches(event),
        }
    }

    /// What looking at one block costs, roughly, compared to others.
    pub(crate) fn cost(&self) -> u32 {
        match self {
            Self::Everything => 0,
            Self::And(parts) => parts.iter().map(Self::cost).min().unwrap_or(0),
            Self::Or(parts) => parts.iter().map(Self::cost).sum(),
            Self::Not(inner) => inner.cost(),
            Self::Test(test) => {
                let columns = match &test.target {
                    Target::Time => 0,
                    Target::Field(_) => 1,
                    Target::Id => 2,
                    Target::Fields(_) => 8,
                    Target::Anywhere => 40,
                };
                columns * (1 + test.check.cost())
            }
        }
    }
}

impl Test {
    fn matches(&self, event: &Event) -> bool {
        match &self.target {
            Target::Anywhere => event.fields.iter().any(|(_, value)| self.check.value(value)),
            Target::Field(name) => event.fields.get(name).is_some_and(|value| self.check.value(value)),
            Target::Fields(names) => {
                let mut like = event.fields.iter().filter(|(name, _)| names.is_match(name));
                like.any(|(_, value)| self.check.value(value))
            }
            Target::Time => self.time(event.timestamp),
            Target::Id => self.check.text(&event.id.to_string()),
        }
    }

    pub(crate) fn time(&self, time: Timestamp) -> bool {
        match &self.check {
            Check::Exists => true,
            Check::Times(from, to) => crate::check::is_within(time, *from, *to),
            Check::Has(_)
            | Check::Is(_)
            | Check::Number(..)
            | Check::Regex(_)
            | Check::Address(_)
            | Check::Network(_)
            | Check::Numbers(_)
            | Check::Addresses(_) => self.check.value(&Value::from(time.to_string())),
        }
    }
}

fn node(expr: &Expr, now: Timestamp) -> Node {
    let parts = |parts: &[Expr]| -> Vec<Node> {
        let mut nodes: Vec<Node> = parts.iter().map(|part| node(part, now)).collect();
        nodes.sort_by_key(Node::cost);
        nodes
    };
    match expr {
        Expr::Everything => Node::Everything,
        Expr::And(all) => Node::And(parts(all)),
        Expr::Or(any) => Node::Or(parts(any)),
        Expr::Not(inner) => Node::Not(Box::new(node(inner, now))),
        Expr::Test(test) => Node::Test(Box::new(Test {
            target: target(&test.field),
            check: check(&test.check, now),
            written: test.check.clone(),
        })),
    }
}

fn target(field: &ast::Field) -> Target {
    match field {
        ast::Field::Any => Target::Anywhere,
        ast::Field::Named(name) => match name.as_str() {
            ecs::TIMESTAMP => Target::Time,
            ecs::EVENT_ID => Target::Id,
            _ => Target::Field(name.clone()),
        },
        ast::Field::Like(name) => {
            let parts: Vec<String> = name.split('*').map(regex::escape).collect();
            // Escaped text between `.*` is always an expression; names have an end, so it is never too large.
            Regex::new(&format!("(?s)^{}$", parts.join(".*")))
                .map_or_else(|_| Target::Field(name.clone()), Target::Fields)
        }
    }
}

fn check(check: &ast::Check, now: Timestamp) -> Check {
    match check {
        ast::Check::Exists => Check::Exists,
        ast::Check::Has(pattern) => written(pattern, false),
        ast::Check::Is(pattern) => written(pattern, true),
        ast::Check::Regex { pattern, any_case } => automaton(regex(pattern, *any_case).ok(), pattern),
        ast::Check::Address(ip) => Check::Address(*ip),
        ast::Check::Network(network) => Check::Network(*network),
        ast::Check::Range(range) => ends(range, now),
    }
}

/// What was parsed compiles; should it ever not, it is looked for as text.
fn automaton(regex: Option<Regex>, text: &str) -> Check {
    regex.map_or_else(|| Check::Has(Box::new(Needle::new(text))), Check::Regex)
}

fn written(pattern: &Pattern, as_a_whole: bool) -> Check {
    let Some(text) = pattern.as_text() else {
        return automaton(wildcards(pattern, as_a_whole).ok(), &pattern.to_string());
    };
    let check = if as_a_whole {
        Check::Is(text.to_lowercase())
    } else {
        Check::Has(Box::new(Needle::new(text)))
    };
    match number(text) {
        Some(number) => Check::Number(number, Box::new(check)),
        None => check,
    }
}

/// Compiles a pattern with wildcards, bounded in size as regular expressions are.
pub(crate) fn wildcards(pattern: &Pattern, as_a_whole: bool) -> Result<Regex, regex::Error> {
    RegexBuilder::new(&expression(pattern, as_a_whole))
        .case_insensitive(true)
        .size_limit(REGEX_BYTES)
        .dfa_size_limit(REGEX_BYTES)
        .build()
}

/// The regular expression of a pattern with wildcards.
fn expression(pattern: &Pattern, as_a_whole: bool) -> String {
    const OUTSIDE: &str = r"[^\p{Alphabetic}\p{N}]";
    let is_word = |char: Option<char>| char.is_some_and(char::is_alphanumeric);
    let mut expression = "(?s)".to_owned();
    if as_a_whole {
        expression.push('^');
    } else if let Some(Piece::Text(text)) = pattern.0.first()
        && is_word(text.chars().next())
    {
        expression.push_str(&format!("(?:^|{OUTSIDE})"));
    }
    for (index, piece) in pattern.0.iter().enumerate() {
        match piece {
            Piece::Text(text) => expression.push_str(&regex::escape(text)),
            // Where nothing has to follow, any text may.
            Piece::Any if !as_a_whole && (index == 0 || index + 1 == pattern.0.len()) => {}
            Piece::Any => expression.push_str(".*"),
            Piece::One => expression.push('.'),
        }
    }
    if as_a_whole {
        expression.push('$');
    } else if let Some(Piece::Text(text)) = pattern.0.last()
        && is_word(text.chars().next_back())
    {
        expression.push_str(&format!("(?:$|{OUTSIDE})"));
    }
    expression
}

fn ends(range: &ast::Range, now: Timestamp) -> Check {
    let literal = |bound: &Bound| match bound {
        Bound::Open => None,
        Bound::Included(literal) => Some((literal.clone(), true)),
        Bound::Excluded(literal) => Some((literal.clone(), false)),
    };
    let (from, to) = (literal(&range.from), literal(&range.to));
    let kind = from.as_ref().or(to.as_ref()).map(|(literal, _)| literal.clone());
    match kind {
        None => Check::Exists,
        Some(Literal::Number(_)) => {
            let number = |end: Option<(Literal, bool)>| match end {
                Some((Literal::Number(number), included)) => Some((number, included)),
                _ => None,
            };
            Check::Numbers(Ends {
                from: number(from),
                to: number(to),
            })
        }
        Some(Literal::Address(_)) => {
            let address = |end: Option<(Literal, bool)>| match end {
                Some((Literal::Address(ip), included)) => Some((ip, included)),
                _ => None,
            };
            Check::Addresses(Ends {
                from: address(from),
                to: address(to),
            })
        }
        Some(Literal::Moment(_)) => {
            let (from, to) = times(range, now);
            Check::Times(from, to)
        }
    }
}

/// From the first time on and before the second. A day, hour or second that belongs to a range does so as a whole.
pub(crate) fn times(range: &ast::Range, now: Timestamp) -> (Option<Timestamp>, Option<Timestamp>) {
    let resolved = |literal: &Literal| match literal {
        Literal::Moment(moment) => Some(moment.resolve(now)),
        Literal::Number(_) | Literal::Address(_) => None,
    };
    let from = match &range.from {
        Bound::Open => None,
        Bound::Included(literal) => resolved(literal).map(|(start, _)| start),
        Bound::Excluded(literal) => resolved(literal).map(|(_, end)| end),
    };
    let to = match &range.to {
        Bound::Open => None,
        Bound::Included(literal) => resolved(literal).map(|(_, end)| end),
        Bound::Excluded(literal) => resolved(literal).map(|(start, _)| start),
    };
    (from, to)
}

/// Why a text is no regular expression.
#[derive(Debug)]
pub(crate) struct Reason {
    pub(crate) why: String,
    pub(crate) offset: usize,
}

/// Compiles a regular expression that is linear in what it looks at and bounded in size.
pub(crate) fn regex(pattern: &str, any_case: bool) -> Result<Regex, Reason> {
    if let Err(error) = regex_syntax::Parser::new().parse(pattern) {
        let (why, offset) = match &error {
            regex_syntax::Error::Parse(error) => (error.kind().to_string(), error.span().start.offset),
            regex_syntax::Error::Translate(error) => (error.kind().to_string(), error.span().start.offset),
            other => (other.to_string(), 0),
        };
        return Err(Reason { why, offset });
    }
    RegexBuilder::new(pattern)
        .case_insensitive(any_case)
        .size_limit(REGEX_BYTES)
        .dfa_size_limit(REGEX_BYTES)
        .build()
        .map_err(|_| Reason {
            why: "smaller than this one when its repetitions are written out".to_owned(),
            offset: 0,
        })
}

/// Whether the text is a number as Picket writes it, so that a block's words have it.
pub(crate) fn is_canonical(text: &str) -> bool {
    match number(text) {
        None => true,
        Some(Number::Int(number)) => number.to_string() == text,
        Some(Number::Float(_)) => false,
    }
}
