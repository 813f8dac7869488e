//! From one value of a rule, under its modifiers, to the question it asks.

mod template;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ipnet::IpNet;
use regex::RegexBuilder;

use crate::ast::{Comparison, Expr, Field, FieldRef, Number, Op, RegexTest, Relation, Subject, Test, TimePart};
use crate::modifier::{Encoding, Modifiers, ValueKind};
use crate::pattern::{Pattern, Token, parse_wildcards};
use crate::yaml::{Kind, Node};
pub(crate) use template::Filling;
pub use template::{Piece, Target, Template};
use template::{placeholders, templated};

/// Longest value in bytes.
const MAX_LENGTH: usize = 16_384;
/// Memory one regular expression may take once compiled, in bytes.
const REGEX_SIZE_LIMIT: usize = 4 << 20;
/// Memory one regular expression may use for its cache of states, in bytes.
const REGEX_CACHE_LIMIT: usize = 2 << 20;
/// Deepest nesting inside a regular expression.
const REGEX_NEST_LIMIT: u32 = 64;

/// What one value asks, modifiers applied.
#[derive(Clone, Debug, PartialEq)]
pub enum Question {
    /// The field is missing or null.
    Null,
    /// The field is there, or is not.
    Exists(bool),
    /// The text fits.
    Text {
        /// As written, not folded.
        tokens: Vec<Token>,
        /// Whether case matters.
        cased: bool,
    },
    /// The value is this number, or its decimal text.
    Number(Number),
    /// The expression occurs in the text.
    Regex(RegexTest),
    /// The value is an address in this network.
    Cidr(IpNet),
    /// The value relates to that of another field.
    FieldRef(FieldRef),
    /// The value is a number that relates to this one.
    Compare(Comparison, Number),
    /// The value is a time, and this part of it relates to the number.
    Time(TimePart, Comparison, Number),
    /// Any of several, which an encoding made of one value.
    AnyOf(Vec<Question>),
    /// Text with placeholders that a pipeline must resolve.
    Template(Template),
}

/// How a regular expression reads text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RegexFlags {
    /// Case does not matter.
    pub ignore_case: bool,
    /// `^` and `$` stand for the ends of lines.
    pub multi_line: bool,
    /// `.` stands for line ends as well.
    pub dot_all: bool,
}

impl Question {
    /// Reads one value of an item. The error says what was expected.
    pub(crate) fn read(keyword: bool, value: &Node, modifiers: &Modifiers) -> Result<Self, String> {
        if let Kind::Str(text) = &value.kind
            && text.len() > MAX_LENGTH
        {
            return Err(format!(
                "expected a value of at most {MAX_LENGTH} bytes, got {}",
                text.len()
            ));
        }
        match modifiers.kind {
            ValueKind::Text => text(keyword, value, modifiers),
            ValueKind::Regex(flags) => {
                let source = text_of(value, "a regular expression")?;
                templated(source, modifiers, Target::Regex(flags))
                    .unwrap_or_else(|| regex(source, flags).map(Self::Regex))
            }
            ValueKind::Cidr => {
                let source = text_of(value, "a network")?;
                templated(source, modifiers, Target::Cidr).unwrap_or_else(|| cidr(source).map(Self::Cidr))
            }
            ValueKind::Exists => exists(keyword, value),
            ValueKind::FieldRef => field_ref(keyword, value, modifiers).map(Self::FieldRef),
            ValueKind::Number => number(value, modifiers),
        }
    }

    /// The question to `subject`. The error says what was expected.
    pub(crate) fn expr(&self, subject: &Subject) -> Result<Expr, String> {
        let test = |op| {
            Expr::Test(Test {
                subject: subject.clone(),
                op,
            })
        };
        let text = |text: String| test(Op::Text(Pattern::new(&[Token::Text(text)], false)));
        Ok(match self {
            Self::Null => test(Op::Null),
            Self::Exists(true) => test(Op::Exists),
            Self::Exists(false) => Expr::Not(Box::new(test(Op::Exists))),
            Self::Text { tokens, cased } => test(Op::Text(Pattern::new(tokens, *cased))),
            Self::Number(Number::Int(number)) => text(number.to_string()),
            Self::Number(Number::Float(number)) if number.fract() == 0.0 => {
                Expr::Or(vec![text(number.to_string()), text(format!("{number:.1}"))])
            }
            Self::Number(Number::Float(number)) => text(number.to_string()),
            Self::Regex(regex) => test(Op::Regex(regex.clone())),
            Self::Cidr(network) => test(Op::Cidr(*network)),
            Self::FieldRef(reference) => test(Op::FieldRef(reference.clone())),
            Self::Compare(comparison, number) => test(Op::Compare(*comparison, *number)),
            Self::Time(part, comparison, number) => test(Op::Time(*part, *comparison, *number)),
            Self::AnyOf(questions) => Expr::Or(
                questions
                    .iter()
                    .map(|question| question.expr(subject))
                    .collect::<Result<_, _>>()?,
            ),
            Self::Template(template) => return Err(template.unresolved()),
        })
    }

    /// The tokens of text; `None` for what is not text.
    #[must_use]
    pub fn tokens(&self) -> Option<&[Token]> {
        if let Self::Text { tokens, .. } = self {
            Some(tokens)
        } else {
            None
        }
    }

    /// The other field a value is compared with, if it is.
    #[must_use]
    pub fn reference(&self) -> Option<&FieldRef> {
        if let Self::FieldRef(reference) = self {
            Some(reference)
        } else {
            None
        }
    }

    /// Text in Sigma's notation, with wildcards and escapes; `None` for what is not text.
    #[must_use]
    pub fn to_sigma(&self) -> Option<String> {
        self.tokens().map(write_tokens)
    }

    /// Text from Sigma's notation, without regard to case.
    #[must_use]
    pub fn from_sigma(text: &str) -> Self {
        Self::Text {
            tokens: parse_wildcards(text),
            cased: false,
        }
    }
}

/// Tokens in Sigma's notation.
fn write_tokens(tokens: &[Token]) -> String {
    let mut out = String::new();
    for token in tokens {
        match token {
            Token::Star => out.push('*'),
            Token::One => out.push('?'),
            Token::Dash => out.push('-'),
            Token::Text(text) => {
                let mut chars = text.chars().peekable();
                while let Some(c) = chars.next() {
                    let escaped = match c {
                        '*' | '?' => true,
                        // A backslash in front of one of these would be read as an escape.
                        '\\' => chars.peek().is_none_or(|next| matches!(next, '*' | '?' | '\\')),
                        _ => false,
                    };
                    if escaped {
                        out.push('\\');
                    }
                    out.push(c);
                }
            }
        }
    }
    out
}

fn text(keyword: bool, value: &Node, modifiers: &Modifiers) -> Result<Question, String> {
    let plain = modifiers.relation.is_none() && modifiers.encodings.is_empty() && !modifiers.windash;
    let literal = |text: String| vec![Token::Text(text)];
    match &value.kind {
        Kind::Null if keyword => Err("expected a keyword, got nothing".to_owned()),
        Kind::Null if plain => Ok(Question::Null),
        Kind::Null => Err("expected text, got nothing".to_owned()),
        // A keyword that is a number stands for a whole value: inside other numbers it would be found everywhere.
        Kind::Int(number) if plain => Ok(Question::Number(Number::Int(*number))),
        Kind::Float(number) if plain => Ok(Question::Number(Number::Float(*number))),
        Kind::Float(number) if number.fract() == 0.0 => {
            let short = pattern(literal(number.to_string()), modifiers)?;
            let long = pattern(literal(format!("{number:.1}")), modifiers)?;
            Ok(Question::AnyOf(vec![short, long]))
        }
        Kind::Int(_) | Kind::Float(_) | Kind::Bool(_) => {
            pattern(literal(value.scalar_text().unwrap_or_default()), modifiers)
        }
        Kind::Str(text) if keyword && text.is_empty() => Err("expected a keyword, got empty text".to_owned()),
        Kind::Str(text) => {
            let mut tokens = parse_wildcards(text);
            if keyword && plain {
                tokens.insert(0, Token::Star);
                tokens.push(Token::Star);
            }
            pattern(tokens, modifiers)
        }
        Kind::List(_) | Kind::Map(_) => Err(format!("expected a value, got {}", value.kind_name())),
    }
}

/// The pattern of a text after placeholders, encodings, dashes and relation, in this order.
fn pattern(tokens: Vec<Token>, modifiers: &Modifiers) -> Result<Question, String> {
    // Base64 of another case is other data.
    let cased = modifiers.cased || !modifiers.encodings.is_empty();
    let pieces = if modifiers.expand {
        placeholders(tokens)
    } else {
        tokens.into_iter().map(Piece::Token).collect()
    };
    let target = Target::Text { cased };
    if modifiers.encodings.is_empty() {
        return finish(pieces, modifiers, target);
    }
    let text = match pieces.as_slice() {
        [] => "",
        [Piece::Token(Token::Text(text))] => text.as_str(),
        _ => {
            let reason = "expected text without wildcards and placeholders for an encoding (write `\\*` for a star)";
            return Err(reason.to_owned());
        }
    };
    let mut variants = encode(text, &modifiers.encodings)?
        .into_iter()
        .map(|text| finish(vec![Piece::Token(Token::Text(text))], modifiers, target))
        .collect::<Result<Vec<_>, _>>()?;
    Ok(match variants.len() {
        1 => variants.remove(0),
        _ => Question::AnyOf(variants),
    })
}

fn finish(pieces: Vec<Piece>, modifiers: &Modifiers, target: Target) -> Result<Question, String> {
    let mut pieces = if modifiers.windash { with_dashes(pieces) } else { pieces };
    if matches!(modifiers.relation, Some(Relation::Contains | Relation::EndsWith)) {
        pieces.insert(0, Piece::Token(Token::Star));
    }
    if matches!(modifiers.relation, Some(Relation::Contains | Relation::StartsWith)) {
        pieces.push(Piece::Token(Token::Star));
    }
    Template { pieces, target }.finish()
}

/// Replaces every `-` and `/` that begins a word and is not inside one.
fn with_dashes(pieces: Vec<Piece>) -> Vec<Piece> {
    let is_word = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
    let mut out = Vec::new();
    for piece in pieces {
        let Piece::Token(Token::Text(text)) = piece else {
            out.push(piece);
            continue;
        };
        let (mut literal, mut previous) = (String::new(), None);
        let mut chars = text.chars().peekable();
        while let Some(c) = chars.next() {
            if matches!(c, '-' | '/') && !is_word(previous) && is_word(chars.peek().copied()) {
                if !literal.is_empty() {
                    out.push(Piece::Token(Token::Text(std::mem::take(&mut literal))));
                }
                out.push(Piece::Token(Token::Dash));
            } else {
                literal.push(c);
            }
            previous = Some(c);
        }
        if !literal.is_empty() {
            out.push(Piece::Token(Token::Text(literal)));
        }
    }
    out
}

fn encode(text: &str, encodings: &[Encoding]) -> Result<Vec<String>, String> {
    let mut bytes = text.as_bytes().to_vec();
    for encoding in encodings {
        match encoding {
            Encoding::Utf16Le => bytes = text.encode_utf16().flat_map(u16::to_le_bytes).collect(),
            Encoding::Utf16Be => bytes = text.encode_utf16().flat_map(u16::to_be_bytes).collect(),
            Encoding::Utf16 => {
                bytes = [0xff, 0xfe]
                    .into_iter()
                    .chain(text.encode_utf16().flat_map(u16::to_le_bytes))
                    .collect();
            }
            Encoding::Base64 => return Ok(vec![BASE64.encode(&bytes)]),
            Encoding::Base64Offset => return Ok((0..3).map(|offset| base64_at(&bytes, offset)).collect()),
        }
    }
    String::from_utf8(bytes)
        .map(|text| vec![text])
        .map_err(|_| "expected base64 or base64offset behind this encoding: its bytes are not UTF-8 text".to_owned())
}

/// What of `bytes` in base64 does not depend on its neighbours, when it starts `offset` bytes after a multiple of
/// three.
fn base64_at(bytes: &[u8], offset: usize) -> String {
    let mut padded = vec![b' '; offset];
    padded.extend_from_slice(bytes);
    let encoded = BASE64.encode(&padded);
    let start = match offset {
        0 => 0,
        1 => 2,
        _ => 3,
    };
    let cut = match padded.len() % 3 {
        0 => 0,
        1 => 3,
        _ => 2,
    };
    encoded
        .get(start..encoded.len().saturating_sub(cut))
        .unwrap_or_default()
        .to_owned()
}

fn text_of<'a>(value: &'a Node, what: &str) -> Result<&'a str, String> {
    match &value.kind {
        Kind::Str(text) => Ok(text),
        Kind::Null | Kind::Bool(_) | Kind::Int(_) | Kind::Float(_) | Kind::List(_) | Kind::Map(_) => {
            Err(format!("expected {what} as text, got {}", value.kind_name()))
        }
    }
}

/// Compiles a regular expression within bounds. The error says what was expected.
pub(crate) fn regex(source: &str, flags: RegexFlags) -> Result<RegexTest, String> {
    let RegexFlags {
        ignore_case,
        multi_line,
        dot_all,
    } = flags;
    let compiled = RegexBuilder::new(source)
        .case_insensitive(ignore_case)
        .multi_line(multi_line)
        .dot_matches_new_line(dot_all)
        .size_limit(REGEX_SIZE_LIMIT)
        .dfa_size_limit(REGEX_CACHE_LIMIT)
        .nest_limit(REGEX_NEST_LIMIT)
        .build()
        .map_err(|error| {
            let text = error.to_string();
            let last = text
                .lines()
                .map(str::trim)
                .rfind(|line| !line.is_empty())
                .unwrap_or_default();
            format!("expected a regular expression without look-around and back-references, of bounded size: {last}")
        })?;
    let flags: String = [(ignore_case, 'i'), (multi_line, 'm'), (dot_all, 's')]
        .into_iter()
        .filter_map(|(set, flag)| set.then_some(flag))
        .collect();
    let source = if flags.is_empty() {
        source.to_owned()
    } else {
        format!("(?{flags}){source}")
    };
    Ok(RegexTest { source, compiled })
}

pub(crate) fn cidr(text: &str) -> Result<IpNet, String> {
    text.parse::<IpNet>()
        .or_else(|_| text.parse::<std::net::IpAddr>().map(IpNet::from))
        .map(|net| net.trunc())
        .map_err(|_| format!("expected a network such as 10.0.0.0/8 or fe80::/10, got `{text}`"))
}

fn exists(keyword: bool, value: &Node) -> Result<Question, String> {
    let wanted = match &value.kind {
        Kind::Bool(wanted) => *wanted,
        Kind::Str(text) if ["yes", "true"].contains(&text.to_ascii_lowercase().as_str()) => true,
        Kind::Str(text) if ["no", "false"].contains(&text.to_ascii_lowercase().as_str()) => false,
        Kind::Null | Kind::Int(_) | Kind::Float(_) | Kind::Str(_) | Kind::List(_) | Kind::Map(_) => {
            return Err(format!("expected true or false, got {}", value.kind_name()));
        }
    };
    if keyword {
        return Err("expected a field before `exists`".to_owned());
    }
    Ok(Question::Exists(wanted))
}

fn field_ref(keyword: bool, value: &Node, modifiers: &Modifiers) -> Result<FieldRef, String> {
    if keyword {
        return Err("expected a field before `fieldref`".to_owned());
    }
    let field = text_of(value, "the name of a field")?;
    if field.is_empty() {
        return Err("expected the name of a field, got empty text".to_owned());
    }
    Ok(FieldRef {
        field: Field::named(field),
        relation: modifiers.relation.unwrap_or(Relation::Equals),
        cased: modifiers.cased,
    })
}

fn number(value: &Node, modifiers: &Modifiers) -> Result<Question, String> {
    let number = match value.kind {
        Kind::Int(number) => Number::Int(number),
        Kind::Float(number) => Number::Float(number),
        Kind::Null | Kind::Bool(_) | Kind::Str(_) | Kind::List(_) | Kind::Map(_) => {
            return Err(format!("expected a number, got {}", value.kind_name()));
        }
    };
    let comparison = modifiers.comparison.unwrap_or(Comparison::Equal);
    Ok(match modifiers.time {
        Some(part) => Question::Time(part, comparison, number),
        None => Question::Compare(comparison, number),
    })
}
