//! New values.

use regex::Regex;

use super::parameters::Parameters;
use super::regexes;
use super::transformation::pattern;
use crate::ast::Number;
use crate::detection::{Question, RegexFlags};
use crate::error::Fault;
use crate::pattern::{DASHES, Token, parse_wildcards};
use crate::value;

/// Replaces what a regular expression finds in texts.
#[derive(Clone, Debug)]
pub(crate) struct Replace {
    regex: Regex,
    replacement: String,
    skip_special: bool,
    interpret_special: bool,
}

impl Replace {
    pub(super) fn read(parameters: &Parameters<'_>) -> Result<Self, Fault> {
        let replacement = parameters.required("replacement", "text")?.scalar_text();
        let replacement = replacement.ok_or_else(|| parameters.fault("replacement", "expected text"))?;
        Ok(Self {
            regex: pattern(parameters, "regex")?,
            replacement: regexes::replacement(&replacement)
                .map_err(|reason| parameters.fault("replacement", reason))?,
            skip_special: parameters.bool("skip_special")?,
            interpret_special: parameters.bool("interpret_special")?,
        })
    }

    /// The new value; `None` when it is none that has text.
    pub(super) fn apply(&self, question: &Question) -> Option<Question> {
        let (tokens, cased) = if let Question::Text { tokens, cased } = question {
            (tokens.clone(), *cased)
        } else if let Question::Number(number) = question {
            (vec![Token::Text(number_text(*number))], false)
        } else {
            return None;
        };
        let replace = |text: &str| self.regex.replace_all(text, self.replacement.as_str()).into_owned();
        if self.skip_special {
            let replaced = tokens.into_iter().flat_map(|token| match token {
                Token::Text(text) if self.interpret_special => parse_fragment(&replace(&text)),
                Token::Text(text) => vec![Token::Text(replace(&text))],
                Token::Star | Token::One | Token::Dash => vec![token],
            });
            return Some(Question::Text {
                tokens: replaced.collect(),
                cased,
            });
        }
        let plain = Question::Text { tokens, cased }.to_sigma()?;
        Some(Question::Text {
            tokens: parse_fragment(&replace(&plain)),
            cased,
        })
    }
}

/// Text in which a backslash only counts before a wildcard.
fn parse_fragment(text: &str) -> Vec<Token> {
    let mut escaped = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        escaped.push(c);
        if c == '\\' && !matches!(chars.peek(), Some('*' | '?')) {
            escaped.push('\\');
        }
    }
    parse_wildcards(&escaped)
}

pub(super) fn number_text(number: Number) -> String {
    match number {
        Number::Int(number) => number.to_string(),
        Number::Float(number) => number.to_string(),
    }
}

/// The text of a value without escapes, wildcards as they are written.
pub(super) fn unescaped(question: &Question) -> Option<String> {
    let Question::Text { tokens, .. } = question else {
        return None;
    };
    let mut out = String::new();
    for token in tokens {
        match token {
            Token::Text(text) => out.push_str(text),
            Token::Star => out.push('*'),
            Token::One => out.push('?'),
            Token::Dash => out.push('-'),
        }
    }
    Some(out)
}

/// Changes the letters of a text.
pub(super) fn with_case(question: &Question, case: super::fields::Case) -> Option<Question> {
    let Question::Text { tokens, cased } = question else {
        return None;
    };
    let changed = tokens.iter().map(|token| match token {
        Token::Text(text) => Token::Text(case.apply(text)),
        Token::Star | Token::One | Token::Dash => token.clone(),
    });
    Some(Question::Text {
        tokens: changed.collect(),
        cased: *cased,
    })
}

/// How a text becomes a regular expression.
#[derive(Clone, Copy, Debug)]
pub(crate) enum RegexMethod {
    Brackets,
    Flag,
    Plain,
}

impl RegexMethod {
    pub(super) fn read(parameters: &Parameters<'_>) -> Result<Self, Fault> {
        let words = ["ignore_case_brackets", "ignore_case_flag", "plain"];
        Ok(match parameters.word("method", &words)? {
            1 => Self::Flag,
            2 => Self::Plain,
            _ => Self::Brackets,
        })
    }

    /// The expression that finds the same text; `None` for what is not text or empty.
    pub(super) fn apply(self, question: &Question) -> Option<Result<Question, String>> {
        let Question::Text { tokens, .. } = question else {
            return None;
        };
        if tokens.is_empty() {
            return None;
        }
        let mut source = String::new();
        for token in tokens {
            match token {
                Token::Text(text) if matches!(self, Self::Brackets) => {
                    text.chars().for_each(|c| bracket(c, &mut source))
                }
                Token::Text(text) => source.push_str(&regex::escape(text)),
                Token::Star => source.push_str(".*"),
                Token::One => source.push('.'),
                Token::Dash => {
                    source.push('[');
                    DASHES
                        .iter()
                        .for_each(|dash| source.push_str(&regex::escape(&dash.to_string())));
                    source.push(']');
                }
            }
        }
        let flags = RegexFlags {
            ignore_case: matches!(self, Self::Flag),
            ..RegexFlags::default()
        };
        Some(value::regex(&source, flags).map(Question::Regex))
    }
}

fn bracket(c: char, out: &mut String) {
    if c.is_alphabetic() {
        out.push('[');
        out.extend(c.to_lowercase());
        out.extend(c.to_uppercase());
        out.push(']');
    } else {
        out.push_str(&regex::escape(&c.to_string()));
    }
}
