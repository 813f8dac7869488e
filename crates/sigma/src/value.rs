//! From one value of a rule, under its modifiers, to the question it asks.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ipnet::IpNet;
use regex::RegexBuilder;

use crate::ast::{Comparison, Expr, Field, FieldRef, Number, Op, RegexTest, Relation, Subject, Test};
use crate::modifier::{Encoding, Modifiers, ValueKind};
use crate::pattern::{Pattern, Token, parse_wildcards};
use crate::yaml::{Kind, Node};

/// Longest value in bytes.
const MAX_LENGTH: usize = 16_384;
/// Memory one regular expression may take once compiled, in bytes.
const REGEX_SIZE_LIMIT: usize = 4 << 20;
/// Memory one regular expression may use for its cache of states, in bytes.
const REGEX_CACHE_LIMIT: usize = 2 << 20;
/// Deepest nesting inside a regular expression.
const REGEX_NEST_LIMIT: u32 = 64;

/// The expression for one value. The error says what was expected.
pub(crate) fn compile(subject: &Subject, value: &Node, modifiers: &Modifiers) -> Result<Expr, String> {
    if let Kind::Str(text) = &value.kind
        && text.len() > MAX_LENGTH
    {
        return Err(format!(
            "expected a value of at most {MAX_LENGTH} bytes, got {}",
            text.len()
        ));
    }
    let ops = match modifiers.kind {
        ValueKind::Text => text_ops(subject, value, modifiers)?,
        ValueKind::Regex {
            ignore_case,
            multi_line,
            dot_all,
        } => vec![Op::Regex(regex(
            &expanded(text_of(value, "a regular expression")?, modifiers)?,
            ignore_case,
            multi_line,
            dot_all,
        )?)],
        ValueKind::Cidr => vec![Op::Cidr(cidr(&expanded(text_of(value, "a network")?, modifiers)?)?)],
        ValueKind::Exists => return exists(subject, value),
        ValueKind::FieldRef => vec![Op::FieldRef(field_ref(subject, value, modifiers)?)],
        ValueKind::Number => vec![number_op(value, modifiers)?],
    };
    let mut tests: Vec<Expr> = ops
        .into_iter()
        .map(|op| {
            Expr::Test(Test {
                subject: subject.clone(),
                op,
            })
        })
        .collect();
    Ok(if tests.len() == 1 {
        tests.remove(0)
    } else {
        Expr::Or(tests)
    })
}

fn text_ops(subject: &Subject, value: &Node, modifiers: &Modifiers) -> Result<Vec<Op>, String> {
    let any = *subject == Subject::Any;
    let plain = modifiers.relation.is_none() && modifiers.encodings.is_empty() && !modifiers.windash;
    let literal = |text: String| vec![Token::Text(text)];
    match &value.kind {
        Kind::Null if any => Err("expected a keyword, got nothing".to_owned()),
        Kind::Null if plain => Ok(vec![Op::Null]),
        Kind::Null => Err("expected text, got nothing".to_owned()),
        // A keyword that is a number stands for a whole value: inside other numbers it would be found everywhere.
        Kind::Float(number) if number.fract() == 0.0 => {
            let mut ops = patterns(literal(number.to_string()), modifiers)?;
            ops.extend(patterns(literal(format!("{number:.1}")), modifiers)?);
            Ok(ops)
        }
        Kind::Int(_) | Kind::Float(_) | Kind::Bool(_) => {
            patterns(literal(value.scalar_text().unwrap_or_default()), modifiers)
        }
        Kind::Str(text) if any && text.is_empty() => Err("expected a keyword, got empty text".to_owned()),
        Kind::Str(text) => {
            let mut tokens = parse_wildcards(&expanded(text, modifiers)?);
            if any && plain {
                tokens.insert(0, Token::Star);
                tokens.push(Token::Star);
            }
            patterns(tokens, modifiers)
        }
        Kind::List(_) | Kind::Map(_) => Err(format!("expected a value, got {}", value.kind_name())),
    }
}

/// The patterns of a text after encodings, dashes and relation, in this order.
fn patterns(tokens: Vec<Token>, modifiers: &Modifiers) -> Result<Vec<Op>, String> {
    let variants = if modifiers.encodings.is_empty() {
        vec![tokens]
    } else {
        let text = match tokens.as_slice() {
            [] => "",
            [Token::Text(text)] => text.as_str(),
            _ => return Err("expected text without wildcards for an encoding (write `\\*` for a star)".to_owned()),
        };
        let encoded = encode(text, &modifiers.encodings)?;
        encoded.into_iter().map(|text| vec![Token::Text(text)]).collect()
    };
    // Base64 of another case is other data.
    let cased = modifiers.cased || !modifiers.encodings.is_empty();
    Ok(variants
        .into_iter()
        .map(|tokens| {
            let mut tokens = if modifiers.windash { with_dashes(tokens) } else { tokens };
            if matches!(modifiers.relation, Some(Relation::Contains | Relation::EndsWith)) {
                tokens.insert(0, Token::Star);
            }
            if matches!(modifiers.relation, Some(Relation::Contains | Relation::StartsWith)) {
                tokens.push(Token::Star);
            }
            Op::Text(Pattern::new(&tokens, cased))
        })
        .collect())
}

/// Replaces every `-` and `/` that begins a word and is not inside one.
fn with_dashes(tokens: Vec<Token>) -> Vec<Token> {
    let is_word = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
    let mut out = Vec::new();
    for token in tokens {
        let Token::Text(text) = token else {
            out.push(token);
            continue;
        };
        let (mut literal, mut previous) = (String::new(), None);
        let mut chars = text.chars().peekable();
        while let Some(c) = chars.next() {
            if matches!(c, '-' | '/') && !is_word(previous) && is_word(chars.peek().copied()) {
                out.push(Token::Text(std::mem::take(&mut literal)));
                out.push(Token::Dash);
            } else {
                literal.push(c);
            }
            previous = Some(c);
        }
        out.push(Token::Text(literal));
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

/// The text with `\%` read as `%`, when the item has `expand`. A `%name%` has nothing to stand for and is refused.
fn expanded(text: &str, modifiers: &Modifiers) -> Result<String, String> {
    if !modifiers.expand {
        return Ok(text.to_owned());
    }
    let pieces: Vec<&str> = text.split("\\%").collect();
    for piece in &pieces {
        if let Some((_, after)) = piece.split_once('%')
            && let Some((name, _)) = after.split_once('%')
        {
            return Err(format!("expected no unresolved placeholder, got `%{name}%`"));
        }
    }
    Ok(pieces.join("%"))
}

fn text_of<'a>(value: &'a Node, what: &str) -> Result<&'a str, String> {
    match &value.kind {
        Kind::Str(text) => Ok(text),
        Kind::Null | Kind::Bool(_) | Kind::Int(_) | Kind::Float(_) | Kind::List(_) | Kind::Map(_) => {
            Err(format!("expected {what} as text, got {}", value.kind_name()))
        }
    }
}

fn regex(source: &str, ignore_case: bool, multi_line: bool, dot_all: bool) -> Result<RegexTest, String> {
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

fn cidr(text: &str) -> Result<IpNet, String> {
    text.parse::<IpNet>()
        .or_else(|_| text.parse::<std::net::IpAddr>().map(IpNet::from))
        .map(|net| net.trunc())
        .map_err(|_| format!("expected a network such as 10.0.0.0/8 or fe80::/10, got `{text}`"))
}

fn exists(subject: &Subject, value: &Node) -> Result<Expr, String> {
    let wanted = match &value.kind {
        Kind::Bool(wanted) => *wanted,
        Kind::Str(text) if ["yes", "true"].contains(&text.to_ascii_lowercase().as_str()) => true,
        Kind::Str(text) if ["no", "false"].contains(&text.to_ascii_lowercase().as_str()) => false,
        Kind::Null | Kind::Int(_) | Kind::Float(_) | Kind::Str(_) | Kind::List(_) | Kind::Map(_) => {
            return Err(format!("expected true or false, got {}", value.kind_name()));
        }
    };
    if *subject == Subject::Any {
        return Err("expected a field before `exists`".to_owned());
    }
    let test = Expr::Test(Test {
        subject: subject.clone(),
        op: Op::Exists,
    });
    Ok(if wanted { test } else { Expr::Not(Box::new(test)) })
}

fn field_ref(subject: &Subject, value: &Node, modifiers: &Modifiers) -> Result<FieldRef, String> {
    if *subject == Subject::Any {
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

fn number_op(value: &Node, modifiers: &Modifiers) -> Result<Op, String> {
    let number = match value.kind {
        Kind::Int(number) => Number::Int(number),
        Kind::Float(number) => Number::Float(number),
        Kind::Null | Kind::Bool(_) | Kind::Str(_) | Kind::List(_) | Kind::Map(_) => {
            return Err(format!("expected a number, got {}", value.kind_name()));
        }
    };
    let comparison = modifiers.comparison.unwrap_or(Comparison::Equal);
    Ok(match modifiers.time {
        Some(part) => Op::Time(part, comparison, number),
        None => Op::Compare(comparison, number),
    })
}
