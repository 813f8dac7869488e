//! Text with placeholders, which pipelines resolve.

use super::{Question, RegexFlags, cidr, regex};
use crate::modifier::Modifiers;
use crate::pattern::{Token, parse_wildcards};

/// Most values one placeholder's value list may turn a value into.
const MAX_FILLED: usize = 10_000;

/// Longest name of a placeholder in bytes.
const MAX_PLACEHOLDER_LENGTH: usize = 128;

/// Text with placeholders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    /// In order.
    pub pieces: Vec<Piece>,
    /// What it becomes when all placeholders are resolved.
    pub target: Target,
}

/// A piece of a [`Template`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// As it is.
    Token(Token),
    /// To be replaced, by name.
    Placeholder(String),
}

/// What a [`Template`] becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// [`Question::Text`].
    Text {
        /// Whether case matters.
        cased: bool,
    },
    /// [`Question::Regex`].
    Regex(RegexFlags),
    /// [`Question::Cidr`].
    Cidr,
}

impl Template {
    pub(super) fn unresolved(&self) -> String {
        let name = self.pieces.iter().find_map(|piece| match piece {
            Piece::Placeholder(name) => Some(name.as_str()),
            Piece::Token(_) => None,
        });
        format!(
            "expected no unresolved placeholder, got `%{0}%`: a pipeline with value_placeholders and a variable `{0}` \
             resolves it",
            name.unwrap_or_default()
        )
    }

    /// The values it becomes when each placeholder is replaced by every text of what `lookup` answers, and stays when
    /// the answer is `None`. The error says what was expected.
    pub(crate) fn fill(
        &self,
        lookup: &mut impl FnMut(&str) -> Result<Option<Vec<Filling>>, String>,
    ) -> Result<Vec<Question>, String> {
        let mut filled: Vec<Vec<Piece>> = vec![Vec::new()];
        for piece in &self.pieces {
            let answers = match piece {
                Piece::Token(_) => None,
                Piece::Placeholder(name) => lookup(name)?,
            };
            let Some(answers) = answers else {
                for pieces in &mut filled {
                    pieces.push(piece.clone());
                }
                continue;
            };
            if filled.len().saturating_mul(answers.len()) > MAX_FILLED {
                return Err(format!(
                    "expected placeholders that stand for at most {MAX_FILLED} values"
                ));
            }
            filled = filled
                .iter()
                .flat_map(|pieces| {
                    answers.iter().map(|answer| {
                        let mut pieces = pieces.clone();
                        pieces.extend(self.target.pieces(answer));
                        pieces
                    })
                })
                .collect();
        }
        filled
            .into_iter()
            .map(|pieces| {
                Self {
                    pieces,
                    target: self.target,
                }
                .finish()
            })
            .collect()
    }

    /// The question, when no placeholder is left; itself when one is.
    pub(super) fn finish(self) -> Result<Question, String> {
        let mut tokens = Vec::with_capacity(self.pieces.len());
        for piece in &self.pieces {
            match piece {
                Piece::Token(token) => tokens.push(token.clone()),
                Piece::Placeholder(_) => return Ok(Question::Template(self)),
            }
        }
        let plain = || {
            tokens
                .iter()
                .map(|token| match token {
                    Token::Text(text) => text.as_str(),
                    Token::Star | Token::One | Token::Dash => "",
                })
                .collect::<String>()
        };
        match self.target {
            Target::Text { cased } => Ok(Question::Text { tokens, cased }),
            Target::Regex(flags) => regex(&plain(), flags).map(Question::Regex),
            Target::Cidr => cidr(&plain()).map(Question::Cidr),
        }
    }
}

/// What a placeholder is replaced by.
#[derive(Clone, Debug)]
pub(crate) enum Filling {
    /// Text in Sigma's notation.
    Text(String),
    /// Any text.
    Anything,
}

impl Target {
    fn pieces(self, filling: &Filling) -> Vec<Piece> {
        let literal = |text: &str| vec![Piece::Token(Token::Text(text.to_owned()))];
        match (self, filling) {
            (Self::Text { .. }, Filling::Text(text)) => parse_wildcards(text).into_iter().map(Piece::Token).collect(),
            (Self::Text { .. }, Filling::Anything) => vec![Piece::Token(Token::Star)],
            (Self::Regex(_) | Self::Cidr, Filling::Text(text)) => literal(text),
            (Self::Regex(_), Filling::Anything) => literal(".*"),
            // Not a network, so it is refused as one.
            (Self::Cidr, Filling::Anything) => literal("*"),
        }
    }
}

/// The template of a source that is not text, when it has placeholders or escaped percent signs.
pub(super) fn templated(source: &str, modifiers: &Modifiers, target: Target) -> Option<Result<Question, String>> {
    modifiers.expand.then(|| {
        let pieces = placeholders(vec![Token::Text(source.to_owned())]);
        Template { pieces, target }.finish()
    })
}

/// Splits texts at their placeholders `%name%`; `\%` is a percent sign.
pub(super) fn placeholders(tokens: Vec<Token>) -> Vec<Piece> {
    let mut pieces = Vec::with_capacity(tokens.len());
    for token in tokens {
        let Token::Text(text) = token else {
            pieces.push(Piece::Token(token));
            continue;
        };
        let (mut literal, mut rest) = (String::new(), text.as_str());
        while let Some(at) = rest.find('%') {
            let (before, after) = rest.split_at(at);
            let after = after.get(1..).unwrap_or_default();
            if let Some(before) = before.strip_suffix('\\') {
                literal.push_str(before);
                literal.push('%');
                rest = after;
                continue;
            }
            literal.push_str(before);
            let name = after
                .split_once('%')
                .map(|(name, _)| name)
                .filter(|name| is_placeholder(name));
            if let Some(name) = name {
                if !literal.is_empty() {
                    pieces.push(Piece::Token(Token::Text(std::mem::take(&mut literal))));
                }
                pieces.push(Piece::Placeholder(name.to_owned()));
                rest = after.get(name.len() + 1..).unwrap_or_default();
            } else {
                literal.push('%');
                rest = after;
            }
        }
        literal.push_str(rest);
        if !literal.is_empty() {
            pieces.push(Piece::Token(Token::Text(literal)));
        }
    }
    pieces
}

fn is_placeholder(name: &str) -> bool {
    !name.is_empty() && name.len() <= MAX_PLACEHOLDER_LENGTH && !name.contains('\\')
}
