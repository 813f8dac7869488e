//! A query as text that reads back as the same query.

use std::fmt::{self, Display, Formatter, Write as _};

use crate::ast::{Bound, Check, Expr, Field, Literal, Number, Pattern, Piece, Query, Range, Test};
use crate::reader::ESCAPED;

impl Display for Query {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.root.fmt(f)
    }
}

impl Display for Expr {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Everything => f.write_char('*'),
            Self::And(parts) => joined(f, parts, " AND "),
            Self::Or(parts) => joined(f, parts, " OR "),
            Self::Not(inner) => {
                f.write_str("NOT ")?;
                nested(f, inner)
            }
            Self::Test(test) => test.fmt(f),
        }
    }
}

fn joined(f: &mut Formatter<'_>, parts: &[Expr], between: &str) -> fmt::Result {
    for (index, part) in parts.iter().enumerate() {
        if index > 0 {
            f.write_str(between)?;
        }
        nested(f, part)?;
    }
    Ok(())
}

fn nested(f: &mut Formatter<'_>, part: &Expr) -> fmt::Result {
    match part {
        Expr::And(_) | Expr::Or(_) => write!(f, "({part})"),
        Expr::Everything | Expr::Not(_) | Expr::Test(_) => part.fmt(f),
    }
}

impl Display for Test {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let operator = if matches!(self.check, Check::Is(_)) { '=' } else { ':' };
        match &self.field {
            Field::Any => {}
            Field::Like(name) => write!(f, "{name}{operator}")?,
            Field::Named(name) if is_plain_name(name) => write!(f, "{name}{operator}")?,
            Field::Named(name) => {
                quoted(f, name)?;
                f.write_char(operator)?;
            }
        }
        self.check.fmt(f)
    }
}

fn is_plain_name(name: &str) -> bool {
    // A name that could be the beginning of an address or a path on a drive is quoted as well.
    name.chars()
        .all(|c| c.is_alphanumeric() || matches!(c, '.' | '_' | '-' | '@'))
        && name.starts_with(|c: char| c.is_alphabetic() || matches!(c, '_' | '@'))
        && name.len() > 1
        && !name.chars().all(|c| c.is_ascii_hexdigit())
}

impl Display for Check {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Has(pattern) | Self::Is(pattern) => pattern.fmt(f),
            Self::Exists => f.write_char('*'),
            Self::Regex { pattern, any_case } => {
                write!(f, "/{pattern}/{}", if *any_case { "i" } else { "" })
            }
            Self::Address(ip) => ip.fmt(f),
            Self::Network(network) => network.fmt(f),
            Self::Range(range) => range.fmt(f),
        }
    }
}

impl Display for Pattern {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if let Some(text) = self.as_text() {
            return if is_plain(text) {
                f.write_str(text)
            } else {
                quoted(f, text)
            };
        }
        for piece in &self.0 {
            match piece {
                Piece::Any => f.write_char('*')?,
                Piece::One => f.write_char('?')?,
                Piece::Text(text) => escaped(f, text)?,
            }
        }
        Ok(())
    }
}

/// Whether a word reads back as itself without quotes: neither a keyword nor a number's, address's or time's look.
fn is_plain(text: &str) -> bool {
    text.starts_with(|c: char| c.is_alphabetic() || c == '_')
        && text
            .chars()
            .all(|c| c.is_alphanumeric() || matches!(c, '_' | '.' | '-'))
        && !matches!(text, "AND" | "OR" | "NOT" | "TO")
}

fn quoted(f: &mut Formatter<'_>, text: &str) -> fmt::Result {
    f.write_char('"')?;
    for char in text.chars() {
        if matches!(char, '"' | '\\') {
            f.write_char('\\')?;
        }
        f.write_char(char)?;
    }
    f.write_char('"')
}

fn escaped(f: &mut Formatter<'_>, text: &str) -> fmt::Result {
    for char in text.chars() {
        if ESCAPED.contains(&char) {
            f.write_char('\\')?;
        }
        f.write_char(char)?;
    }
    Ok(())
}

impl Display for Range {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let end = |bound: &Bound| match bound {
            Bound::Open => "*".to_owned(),
            Bound::Included(literal) | Bound::Excluded(literal) => literal.to_string(),
        };
        let is_excluded = |bound: &Bound| matches!(bound, Bound::Excluded(_));
        write!(
            f,
            "{}{} TO {}{}",
            if is_excluded(&self.from) { '{' } else { '[' },
            end(&self.from),
            end(&self.to),
            if is_excluded(&self.to) { '}' } else { ']' },
        )
    }
}

impl Display for Literal {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => number.fmt(f),
            Self::Moment(moment) => moment.fmt(f),
            Self::Address(ip) => ip.fmt(f),
        }
    }
}

impl Display for Number {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Int(number) => number.fmt(f),
            // Its point tells it from a whole number.
            Self::Float(number) => write!(f, "{number:?}"),
        }
    }
}
