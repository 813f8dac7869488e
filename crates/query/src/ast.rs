//! What a query says.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::moment::Moment;

/// Which events are meant.
#[derive(Clone, Debug, PartialEq)]
pub struct Query {
    pub(crate) root: Expr,
}

/// A condition.
#[derive(Clone, Debug, PartialEq)]
pub enum Expr {
    /// Every event.
    Everything,
    /// Each of them holds.
    And(Vec<Self>),
    /// One of them holds.
    Or(Vec<Self>),
    /// It does not hold.
    Not(Box<Self>),
    /// Something about a field.
    Test(Test),
}

/// Something about a field, or about all of them.
#[derive(Clone, Debug, PartialEq)]
pub struct Test {
    /// Where to look.
    pub field: Field,
    /// What for.
    pub check: Check,
}

/// Where to look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Field {
    /// In every field.
    Any,
    /// In the field of this name.
    Named(String),
    /// In the fields whose names are like this; `*` stands for any text.
    Like(String),
}

/// What to look for. Of a list, one element is enough.
#[derive(Clone, Debug, PartialEq)]
pub enum Check {
    /// The text is in it, from the edge of a word to the edge of a word, in any case.
    Has(Pattern),
    /// It is this text or number as a whole, in any case.
    Is(Pattern),
    /// It is there, and not null.
    Exists,
    /// The regular expression occurs in it.
    Regex {
        /// As the crate `regex` reads it.
        pattern: String,
        /// Whether case matters not.
        any_case: bool,
    },
    /// The address stands in it.
    Address(IpAddr),
    /// An address of the network stands in it.
    Network(IpNet),
    /// It is a number, time or address in the range.
    Range(Range),
}

/// Text with wildcards.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pattern(pub Vec<Piece>);

/// A part of a pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// Itself.
    Text(String),
    /// `*`: any text, or none.
    Any,
    /// `?`: one character.
    One,
}

/// From one end to the other. Both ends are of one kind.
#[derive(Clone, Debug, PartialEq)]
pub struct Range {
    /// Where it begins.
    pub from: Bound,
    /// Where it ends.
    pub to: Bound,
}

/// An end of a range.
#[derive(Clone, Debug, PartialEq)]
pub enum Bound {
    /// There is none.
    Open,
    /// It belongs to the range.
    Included(Literal),
    /// It does not.
    Excluded(Literal),
}

/// What has an order.
#[derive(Clone, Debug, PartialEq)]
pub enum Literal {
    /// A number.
    Number(Number),
    /// A time.
    Moment(Moment),
    /// An address.
    Address(IpAddr),
}

/// A number; never NaN or infinite.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Number {
    /// A whole one.
    Int(i64),
    /// Any other.
    Float(f64),
}

impl Pattern {
    /// Its length in bytes, a wildcard counting as one.
    pub(crate) fn bytes(&self) -> usize {
        let piece = |piece: &Piece| match piece {
            Piece::Text(text) => text.len(),
            Piece::Any | Piece::One => 1,
        };
        self.0.iter().map(piece).sum()
    }

    /// Text without wildcards.
    #[must_use]
    pub fn text(text: impl Into<String>) -> Self {
        let text = text.into();
        Self(if text.is_empty() {
            Vec::new()
        } else {
            vec![Piece::Text(text)]
        })
    }

    /// The text, when there are no wildcards.
    #[must_use]
    pub fn as_text(&self) -> Option<&str> {
        match self.0.as_slice() {
            [] => Some(""),
            [Piece::Text(text)] => Some(text),
            _ => None,
        }
    }
}

impl Query {
    /// Every event.
    #[must_use]
    pub fn everything() -> Self {
        Self { root: Expr::Everything }
    }

    /// Of a condition.
    #[must_use]
    pub fn new(root: Expr) -> Self {
        Self { root }
    }

    /// The condition.
    #[must_use]
    pub fn root(&self) -> &Expr {
        &self.root
    }

    /// Whether every event is meant.
    #[must_use]
    pub fn is_everything(&self) -> bool {
        self.root == Expr::Everything
    }

    /// Whether it has times relative to now, so that what it means depends on when it is asked.
    #[must_use]
    pub fn is_relative(&self) -> bool {
        self.root.is_relative()
    }

    /// Events both mean.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            root: all(vec![self.root, other.root]),
        }
    }
}

impl Expr {
    fn is_relative(&self) -> bool {
        match self {
            Self::Everything => false,
            Self::And(parts) | Self::Or(parts) => parts.iter().any(Self::is_relative),
            Self::Not(inner) => inner.is_relative(),
            Self::Test(test) => match &test.check {
                Check::Range(range) => range.from.is_relative() || range.to.is_relative(),
                Check::Has(_)
                | Check::Is(_)
                | Check::Exists
                | Check::Regex { .. }
                | Check::Address(_)
                | Check::Network(_) => false,
            },
        }
    }
}

impl Bound {
    fn is_relative(&self) -> bool {
        match self {
            Self::Open => false,
            Self::Included(literal) | Self::Excluded(literal) => {
                matches!(literal, Literal::Moment(Moment::Now { .. }))
            }
        }
    }
}

/// All of them, without needless nesting.
pub(crate) fn all(parts: Vec<Expr>) -> Expr {
    let mut flat = Vec::new();
    for part in parts {
        match part {
            Expr::Everything => {}
            Expr::And(inner) => flat.extend(inner),
            other @ (Expr::Or(_) | Expr::Not(_) | Expr::Test(_)) => flat.push(other),
        }
    }
    match (flat.pop(), flat.is_empty()) {
        (None, _) => Expr::Everything,
        (Some(only), true) => only,
        (Some(last), false) => {
            flat.push(last);
            Expr::And(flat)
        }
    }
}

/// One of them, without needless nesting.
pub(crate) fn any(parts: Vec<Expr>) -> Expr {
    let mut flat = Vec::new();
    for part in parts {
        match part {
            Expr::Or(inner) => flat.extend(inner),
            other @ (Expr::Everything | Expr::And(_) | Expr::Not(_) | Expr::Test(_)) => flat.push(other),
        }
    }
    match (flat.pop(), flat.is_empty()) {
        (None, _) => Expr::Everything,
        (Some(only), true) => only,
        (Some(last), false) => {
            flat.push(last);
            Expr::Or(flat)
        }
    }
}
