//! Text to query.

use std::net::IpAddr;

use ipnet::IpNet;
use model::ecs;

use crate::ast::{Bound, Check, Expr, Field, Literal, Number, Pattern, Piece, Query, Range, Test, all, any};
use crate::compile::{regex, wildcards};
use crate::error::QueryError;
use crate::moment::Moment;
use crate::reader::{Reader, Word, ends_word};

/// Longest query, in bytes.
pub const MAX_BYTES: usize = 8192;
/// Most tests in a query.
pub const MAX_TESTS: usize = 128;
/// Deepest nesting of parentheses and negations.
pub const MAX_DEPTH: usize = 32;
/// Longest regular expression, and longest pattern with wildcards, in bytes.
pub const MAX_REGEX_BYTES: usize = 512;
/// Most regular expressions, and patterns with wildcards, in a query.
const MAX_AUTOMATA: usize = 16;

const TERM: &str = "a word, a \"phrase\", field:value or (";
const VALUE: &str = "a value";

impl Query {
    /// Reads a query. An empty one means every event.
    ///
    /// # Errors
    /// When the text is no query or passes a limit; the error knows the character.
    pub fn parse(text: &str) -> Result<Self, QueryError> {
        if text.len() > MAX_BYTES {
            return Err(QueryError::with_got(
                text,
                0,
                format!("at most {MAX_BYTES} bytes"),
                text.len().to_string(),
            ));
        }
        let mut parser = Parser {
            reader: Reader::new(text),
            tests: 0,
            automata: 0,
            depth: 0,
        };
        parser.reader.skip_space();
        if parser.reader.rest().is_empty() {
            return Ok(Self::everything());
        }
        let root = parser.alternatives(None)?;
        if parser.reader.peek().is_some() {
            return Err(parser.reader.expected("AND, OR or the end"));
        }
        Ok(Self { root })
    }
}

impl std::str::FromStr for Query {
    type Err = QueryError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

/// The field that values in parentheses are for.
#[derive(Clone, Copy)]
struct Context<'c> {
    field: &'c Field,
    operator: Operator,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operator {
    Has,
    Is,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

struct Parser<'a> {
    reader: Reader<'a>,
    tests: usize,
    automata: usize,
    depth: usize,
}

impl<'a> Parser<'a> {
    fn alternatives(&mut self, context: Option<Context<'_>>) -> Result<Expr, QueryError> {
        let mut parts = vec![self.conjunction(context)?];
        loop {
            self.reader.skip_space();
            if !(self.reader.eat_keyword("OR") || self.reader.eat("||")) {
                return Ok(any(parts));
            }
            parts.push(self.conjunction(context)?);
        }
    }

    fn conjunction(&mut self, context: Option<Context<'_>>) -> Result<Expr, QueryError> {
        let mut parts = vec![self.negation(context)?];
        loop {
            self.reader.skip_space();
            let has_operator = self.reader.eat_keyword("AND") || self.reader.eat("&&");
            if !has_operator {
                let mut ahead = self.reader;
                let ends = ahead.peek().is_none_or(|c| c == ')') || ahead.eat_keyword("OR") || ahead.eat("||");
                if ends {
                    return Ok(conjoined(parts));
                }
            }
            parts.push(self.negation(context)?);
        }
    }

    fn negation(&mut self, context: Option<Context<'_>>) -> Result<Expr, QueryError> {
        self.reader.skip_space();
        if !(self.reader.eat_keyword("NOT") || self.reader.eat("!")) {
            return self.primary(context);
        }
        self.deeper()?;
        let inner = self.negation(context)?;
        self.depth -= 1;
        Ok(Expr::Not(Box::new(inner)))
    }

    fn deeper(&mut self) -> Result<(), QueryError> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(self.reader.expected(format!(
                "at most {MAX_DEPTH} parentheses and negations inside each other"
            )));
        }
        Ok(())
    }

    fn primary(&mut self, context: Option<Context<'_>>) -> Result<Expr, QueryError> {
        let opening = self.reader.at();
        if self.reader.eat("(") {
            return self.group(opening, context);
        }
        let mut ahead = self.reader;
        let is_operator = ["AND", "OR"].into_iter().any(|word| ahead.eat_keyword(word))
            || self.reader.rest().starts_with("&&")
            || self.reader.rest().starts_with("||");
        if is_operator || self.reader.peek().is_none_or(|c| c == ')') {
            return Err(self.reader.expected(TERM));
        }
        if let Some(context) = context {
            return self.value(context);
        }
        match self.field()? {
            Some((field, operator, is_negated)) => {
                let test = self.field_value(&field, operator)?;
                Ok(if is_negated { Expr::Not(Box::new(test)) } else { test })
            }
            None => self.value(Context {
                field: &Field::Any,
                operator: Operator::Has,
            }),
        }
    }

    fn group(&mut self, opening: usize, context: Option<Context<'_>>) -> Result<Expr, QueryError> {
        self.deeper()?;
        let inner = self.alternatives(context)?;
        self.depth -= 1;
        self.reader.skip_space();
        if self.reader.eat(")") {
            return Ok(inner);
        }
        let place = QueryError::new(self.reader.source(), opening, "").position();
        Err(self
            .reader
            .expected(format!("a closing parenthesis for the one at character {place}")))
    }

    /// The name, operator and negation in front of a value; `None`, and nothing read, when the next term has none.
    fn field(&mut self) -> Result<Option<(Field, Operator, bool)>, QueryError> {
        let mut ahead = self.reader;
        let field = if ahead.peek() == Some('"') {
            let Ok(name) = ahead.quoted() else { return Ok(None) };
            Field::Named(name)
        } else {
            let name: &str = ahead.rest();
            let end = name.find(|c: char| !is_name(c)).unwrap_or(name.len());
            let name = name.get(..end).unwrap_or_default();
            if name.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '.' | '-')) || name.is_empty() {
                return Ok(None);
            }
            ahead.skip(name.len());
            if name.contains('*') {
                Field::Like(name.to_owned())
            } else {
                Field::Named(name.to_owned())
            }
        };
        if ahead.rest().starts_with(':') {
            if field_is_part_of_word(&self.reader, &ahead) {
                return Ok(None);
            }
            ahead.skip(1);
            let operator = comparison(&mut ahead).unwrap_or(Operator::Has);
            self.check_name(&field)?;
            self.reader = ahead;
            return Ok(Some((field, operator, false)));
        }
        ahead.skip_space();
        let is_negated = ahead.rest().starts_with("!=");
        if is_negated {
            ahead.skip(1);
        }
        let operator = match comparison(&mut ahead) {
            Some(operator) => operator,
            None if ahead.eat("==") || ahead.eat("=") => Operator::Is,
            None => return Ok(None),
        };
        self.check_name(&field)?;
        ahead.skip_space();
        self.reader = ahead;
        Ok(Some((field, operator, is_negated)))
    }

    fn check_name(&self, field: &Field) -> Result<(), QueryError> {
        match field {
            Field::Named(name) if name.is_empty() => Err(self.reader.expected("a field's name before the value")),
            Field::Named(_) | Field::Like(_) | Field::Any => Ok(()),
        }
    }

    fn field_value(&mut self, field: &Field, operator: Operator) -> Result<Expr, QueryError> {
        let context = Context { field, operator };
        let opening = self.reader.at();
        if matches!(operator, Operator::Has | Operator::Is) && self.reader.eat("(") {
            return self.group(opening, Some(context));
        }
        if self.reader.peek().is_none_or(|c| c.is_whitespace() || c == ')') {
            let hint = match operator {
                Operator::Has => "a value right behind the colon (to look for text with a colon, put it in quotes)",
                Operator::Is
                | Operator::Less
                | Operator::LessOrEqual
                | Operator::Greater
                | Operator::GreaterOrEqual => VALUE,
            };
            return Err(self.reader.expected(hint));
        }
        self.value(context)
    }

    fn value(&mut self, context: Context<'_>) -> Result<Expr, QueryError> {
        self.one_more_test()?;
        let start = self.reader.at();
        let is_free = *context.field == Field::Any;
        let mut operator = context.operator;
        if !is_free && operator == Operator::Has {
            operator = comparison(&mut self.reader).unwrap_or(operator);
        }
        if !matches!(operator, Operator::Has | Operator::Is) {
            let literal = self.literal(context.field, ends_word)?;
            return Ok(test(context.field, Check::Range(compared(operator, literal))));
        }
        match self.reader.peek() {
            Some('"') => {
                let text = self.reader.quoted()?;
                if is_time(context.field) {
                    return self.time_value(context.field, start, &text);
                }
                self.pattern(context.field, operator, start, Pattern::text(text))
            }
            Some('[' | '{') if !is_free => self.range(context.field),
            Some('/') => {
                let Some((pattern, at, any_case)) = self.reader.regex() else {
                    return self.word(context.field, operator);
                };
                self.regular_expression(pattern, at, any_case)?;
                Ok(test(
                    context.field,
                    Check::Regex {
                        pattern: pattern.to_owned(),
                        any_case,
                    },
                ))
            }
            _ => self.word(context.field, operator),
        }
    }

    fn word(&mut self, field: &Field, operator: Operator) -> Result<Expr, QueryError> {
        let start = self.reader.at();
        let Word {
            raw,
            pattern,
            has_escapes,
        } = self.reader.word(ends_word);
        if raw.is_empty() {
            return Err(self.reader.expected(if *field == Field::Any { TERM } else { VALUE }));
        }
        if pattern.0 == [Piece::Any] {
            return Ok(match field {
                Field::Any => Expr::Everything,
                Field::Named(_) | Field::Like(_) => test(field, Check::Exists),
            });
        }
        if is_time(field) {
            return self.time_value(field, start, raw);
        }
        if !has_escapes {
            if let Ok(ip) = raw.parse::<IpAddr>() {
                return Ok(test(field, Check::Address(ip.to_canonical())));
            }
            if let Some(network) = self.network(raw, start)? {
                return Ok(test(field, Check::Network(network)));
            }
        }
        // A field may hold a time in any of its forms, and may hold this text.
        let moment = match field {
            Field::Named(name) => (operator == Operator::Has && name != ecs::EVENT_ID).then(|| Moment::parse(raw)),
            Field::Like(_) => (operator == Operator::Has).then(|| Moment::parse(raw)),
            Field::Any => None,
        };
        if let Some(Some(moment @ Moment::At { .. })) = moment {
            self.one_more_test()?;
            let time = Check::Range(compared(Operator::Is, Literal::Moment(moment)));
            let text = self.pattern(field, operator, start, pattern)?;
            return Ok(any(vec![test(field, time), text]));
        }
        self.pattern(field, operator, start, pattern)
    }

    fn one_more_test(&mut self) -> Result<(), QueryError> {
        self.tests += 1;
        if self.tests > MAX_TESTS {
            return Err(self.reader.expected(format!("at most {MAX_TESTS} words and values")));
        }
        Ok(())
    }

    /// `address/bits`, if it is one.
    fn network(&self, raw: &str, start: usize) -> Result<Option<IpNet>, QueryError> {
        let Some((address, bits)) = raw.split_once('/') else {
            return Ok(None);
        };
        let Ok(address) = address.parse::<IpAddr>() else {
            return Ok(None);
        };
        match raw.parse::<IpNet>() {
            Ok(network) => Ok(Some(network.trunc())),
            Err(_) => {
                let most = if address.is_ipv4() { 32 } else { 128 };
                let at = start + raw.len() - bits.len();
                Err(self
                    .reader
                    .expected_at(at, format!("the bits of the network, 0 to {most}")))
            }
        }
    }

    fn pattern(
        &mut self,
        field: &Field,
        operator: Operator,
        start: usize,
        pattern: Pattern,
    ) -> Result<Expr, QueryError> {
        if pattern.as_text() == Some("") && operator != Operator::Is {
            return Err(self.reader.expected_at(start, "text between the quotes"));
        }
        if pattern.as_text().is_none() {
            self.one_more_automaton(start)?;
            if pattern.bytes() > MAX_REGEX_BYTES {
                return Err(self
                    .reader
                    .expected_at(start, format!("a pattern of at most {MAX_REGEX_BYTES} bytes")));
            }
            if wildcards(&pattern, operator == Operator::Is).is_err() {
                return Err(self.reader.expected_at(
                    start,
                    "a pattern smaller than this one when its wildcards are written out",
                ));
            }
        }
        let check = if operator == Operator::Is {
            Check::Is(pattern)
        } else {
            Check::Has(pattern)
        };
        Ok(test(field, check))
    }

    fn one_more_automaton(&mut self, start: usize) -> Result<(), QueryError> {
        self.automata += 1;
        if self.automata > MAX_AUTOMATA {
            return Err(self.reader.expected_at(
                start,
                format!("at most {MAX_AUTOMATA} regular expressions and patterns with wildcards"),
            ));
        }
        Ok(())
    }

    fn time_value(&self, field: &Field, start: usize, text: &str) -> Result<Expr, QueryError> {
        let moment = self.moment(start, text)?;
        Ok(test(
            field,
            Check::Range(Range {
                from: Bound::Included(Literal::Moment(moment)),
                to: Bound::Included(Literal::Moment(moment)),
            }),
        ))
    }

    fn moment(&self, start: usize, text: &str) -> Result<Moment, QueryError> {
        Moment::parse(text).ok_or_else(|| {
            self.reader.expected_at(
                start,
                "a time such as now-1h, now/d, 2026-01-31 or 2026-01-31T12:00:00Z",
            )
        })
    }

    fn regular_expression(&mut self, pattern: &str, at: usize, any_case: bool) -> Result<(), QueryError> {
        self.one_more_automaton(at)?;
        if pattern.len() > MAX_REGEX_BYTES {
            return Err(self
                .reader
                .expected_at(at, format!("a regular expression of at most {MAX_REGEX_BYTES} bytes")));
        }
        regex(pattern, any_case).map(|_| ()).map_err(|reason| {
            let offset = at + reason.offset.min(pattern.len());
            self.reader
                .expected_at(offset, format!("a regular expression ({})", reason.why))
        })
    }

    /// `[from TO to]`, of which `{` and `}` leave the end out.
    fn range(&mut self, field: &Field) -> Result<Expr, QueryError> {
        let opening = self.reader.at();
        let is_from_excluded = self.reader.peek() == Some('{');
        self.reader.skip(1);
        self.reader.skip_space();
        let from = self.bound(field)?;
        self.reader.skip_space();
        if !self.reader.eat_keyword("TO") {
            return Err(self.reader.expected("TO between the ends of the range"));
        }
        self.reader.skip_space();
        let second = self.reader.at();
        let to = self.bound(field)?;
        self.reader.skip_space();
        let is_to_excluded = match self.reader.peek() {
            Some(']') => false,
            Some('}') => true,
            _ => return Err(self.reader.expected("] or } at the end of the range")),
        };
        self.reader.skip(1);
        let bound = |literal: Option<Literal>, is_excluded: bool| match literal {
            None => Bound::Open,
            Some(literal) if is_excluded => Bound::Excluded(literal),
            Some(literal) => Bound::Included(literal),
        };
        let check = match (from, to) {
            (None, None) => Check::Exists,
            (Some(from), Some(to)) if !are_alike(&from, &to) => {
                return Err(self
                    .reader
                    .expected_at(second, "both ends to be numbers, times, or addresses of one version"));
            }
            (from, to) => Check::Range(Range {
                from: bound(from, is_from_excluded),
                to: bound(to, is_to_excluded),
            }),
        };
        if self.reader.peek().is_some_and(|c| !ends_word(c)) {
            let place = QueryError::new(self.reader.source(), opening, "").position();
            return Err(self
                .reader
                .expected(format!("a space behind the range that begins at character {place}")));
        }
        Ok(test(field, check))
    }

    fn bound(&mut self, field: &Field) -> Result<Option<Literal>, QueryError> {
        if self.reader.eat("*") {
            return Ok(None);
        }
        self.literal(field, |c| ends_word(c) || matches!(c, ']' | '}'))
            .map(Some)
    }

    /// A number, time or address.
    fn literal(&mut self, field: &Field, ends: impl Fn(char) -> bool) -> Result<Literal, QueryError> {
        self.reader.skip_space();
        let start = self.reader.at();
        let quoted;
        let text = if self.reader.peek() == Some('"') {
            quoted = self.reader.quoted()?;
            quoted.as_str()
        } else {
            self.reader.word(ends).raw
        };
        if is_time(field) {
            return self.moment(start, text).map(Literal::Moment);
        }
        let literal = number(text)
            .map(Literal::Number)
            .or_else(|| text.parse().ok().map(|ip: IpAddr| Literal::Address(ip.to_canonical())))
            .or_else(|| Moment::parse(text).map(Literal::Moment));
        literal.ok_or_else(|| {
            self.reader
                .expected_at(start, "a number, a time such as now-1h or 2026-01-31, or an address")
        })
    }
}

/// Several parts, all needed. `*` among others says nothing.
fn conjoined(parts: Vec<Expr>) -> Expr {
    all(parts)
}

fn test(field: &Field, check: Check) -> Expr {
    Expr::Test(Test {
        field: field.clone(),
        check,
    })
}

fn is_name(char: char) -> bool {
    char.is_alphanumeric() || matches!(char, '.' | '_' | '-' | '@' | '*')
}

fn is_time(field: &Field) -> bool {
    matches!(field, Field::Named(name) if name == ecs::TIMESTAMP)
}

/// Whether what looks like a field's name and colon is the beginning of a URL, a path on a drive, or an address.
fn field_is_part_of_word(start: &Reader<'_>, colon: &Reader<'_>) -> bool {
    if start.peek() == Some('"') {
        return false;
    }
    let value = colon.rest().get(1..).unwrap_or_default();
    if value.starts_with("//") {
        return true;
    }
    let is_letter = start.peek().is_some_and(char::is_alphabetic);
    if value.starts_with('\\') && is_letter && colon.at() == start.at() + 1 {
        return true;
    }
    let mut whole = *start;
    let word = whole.word(ends_word).raw;
    let address = word.split_once('/').map_or(word, |(address, _)| address);
    let hexadecimal = |part: &str| (1..=4).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_hexdigit());
    address.parse::<IpAddr>().is_ok() || (word.split(':').count() >= 3 && word.split(':').all(hexadecimal))
}

fn comparison(reader: &mut Reader<'_>) -> Option<Operator> {
    let operators = [
        ("<=", Operator::LessOrEqual),
        (">=", Operator::GreaterOrEqual),
        ("<", Operator::Less),
        (">", Operator::Greater),
    ];
    operators
        .into_iter()
        .find_map(|(text, operator)| reader.eat(text).then_some(operator))
}

fn compared(operator: Operator, literal: Literal) -> Range {
    let (from, to) = match operator {
        Operator::Less => (Bound::Open, Bound::Excluded(literal)),
        Operator::LessOrEqual => (Bound::Open, Bound::Included(literal)),
        Operator::Greater => (Bound::Excluded(literal), Bound::Open),
        Operator::GreaterOrEqual => (Bound::Included(literal), Bound::Open),
        Operator::Has | Operator::Is => (Bound::Included(literal.clone()), Bound::Included(literal)),
    };
    Range { from, to }
}

fn are_alike(a: &Literal, b: &Literal) -> bool {
    match (a, b) {
        (Literal::Number(_), Literal::Number(_)) | (Literal::Moment(_), Literal::Moment(_)) => true,
        (Literal::Address(a), Literal::Address(b)) => a.is_ipv4() == b.is_ipv4(),
        _ => false,
    }
}

/// A number as people and programs write it; not `inf`, `nan`, or anything without digits.
pub(crate) fn number(text: &str) -> Option<Number> {
    if !text.bytes().any(|b| b.is_ascii_digit())
        || !text
            .bytes()
            .all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'-' | b'+' | b'e' | b'E'))
    {
        return None;
    }
    if let Ok(whole) = text.parse() {
        return Some(Number::Int(whole));
    }
    let float: f64 = text.parse().ok()?;
    float.is_finite().then_some(Number::Float(float))
}
