//! Words of a pattern.

use super::InvalidPattern;

/// Most words.
const MAX_TOKENS: usize = 50_000;

/// A word and where it begins.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Token {
    pub(super) kind: TokenKind,
    pub(super) at: usize,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum TokenKind {
    /// `[ ] ( ) ,`
    Mark(char),
    /// `= != < <= > >= <> ==`
    Operator(&'static str),
    /// A quoted text without its quotes.
    Text(String),
    /// Keywords, names, numbers and object paths, as written.
    Word(String),
}

const OPERATORS: [&str; 8] = ["!=", "<>", "<=", ">=", "==", "=", "<", ">"];

pub(super) fn tokens(pattern: &str) -> Result<Vec<Token>, InvalidPattern> {
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(rest) = pattern.get(at..)
        && let Some(c) = rest.chars().next()
    {
        if tokens.len() == MAX_TOKENS {
            return Err(InvalidPattern::TooLarge("50,000 words"));
        }
        let (kind, length) = if c.is_whitespace() {
            at += c.len_utf8();
            continue;
        } else if rest.starts_with("/*") {
            let end = rest.find("*/").ok_or(syntax("the end of the comment", at))?;
            at += end + 2;
            continue;
        } else if rest.starts_with("//") {
            at += rest.find('\n').unwrap_or(rest.len());
            continue;
        } else if "[](),".contains(c) {
            (TokenKind::Mark(c), 1)
        } else if let Some(operator) = OPERATORS.iter().find(|operator| rest.starts_with(**operator)) {
            (TokenKind::Operator(operator), operator.len())
        } else if c == '\'' {
            let (text, length) = quoted(rest, at)?;
            (TokenKind::Text(text), length)
        } else if let Some((prefix, literal)) = typed_literal(rest) {
            let (text, length) = quoted(literal, at + prefix)?;
            (TokenKind::Text(text), prefix + length)
        } else {
            let length = word_length(rest, at)?;
            (
                TokenKind::Word(rest.get(..length).unwrap_or_default().to_owned()),
                length,
            )
        };
        tokens.push(Token { kind, at });
        at += length;
    }
    Ok(tokens)
}

fn syntax(expected: &'static str, at: usize) -> InvalidPattern {
    InvalidPattern::Syntax { expected, at }
}

/// `t'…'` (a time), `b'…'` (base64) and `h'…'` (hex).
fn typed_literal(rest: &str) -> Option<(usize, &str)> {
    let literal = rest.strip_prefix(['t', 'b', 'h'])?;
    literal.starts_with('\'').then_some((1, literal))
}

/// The text within quotes, and the length with them. A backslash takes the next character as it is.
fn quoted(rest: &str, at: usize) -> Result<(String, usize), InvalidPattern> {
    let mut text = String::new();
    let mut chars = rest.char_indices().skip(1);
    while let Some((index, c)) = chars.next() {
        match c {
            '\'' => return Ok((text, index + 1)),
            '\\' => match chars.next() {
                Some((_, escaped)) => text.push(escaped),
                None => break,
            },
            _ => text.push(c),
        }
    }
    Err(syntax("a closing quote", at))
}

/// A word ends at a blank, a mark or an operator; quoted parts and `[…]` belong to an object path.
fn word_length(rest: &str, at: usize) -> Result<usize, InvalidPattern> {
    let mut is_path = false;
    let mut index = 0;
    while let Some(tail) = rest.get(index..)
        && let Some(c) = tail.chars().next()
    {
        match c {
            ':' => is_path = true,
            '\'' | '"' if is_path => {
                let close = tail.get(1..).and_then(|inner| inner.find(c));
                index += close.ok_or(syntax("a closing quote", at + index))? + 2;
                continue;
            }
            '[' if is_path => {
                index += tail.find(']').ok_or(syntax("a closing bracket", at + index))? + 1;
                continue;
            }
            _ if c.is_whitespace() || "[](),=!<>'\"".contains(c) => break,
            _ => {}
        }
        index += c.len_utf8();
    }
    if index == 0 {
        Err(syntax("a word", at))
    } else {
        Ok(index)
    }
}
