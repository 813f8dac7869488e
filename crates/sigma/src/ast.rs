//! What a rule asks of an event, as a tree of tests on single fields.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use ipnet::IpNet;
use regex::Regex;

use crate::pattern::Pattern;

/// A boolean expression over tests. Built with bounded depth, so recursion over it is safe.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Expr {
    /// True when all are; true when empty.
    And(Vec<Expr>),
    /// True when any is; false when empty.
    Or(Vec<Expr>),
    /// True when the other is false.
    Not(Box<Expr>),
    /// True when at least so many are.
    AtLeast(usize, Vec<Expr>),
    /// A question to the event.
    Test(Test),
}

/// One question to an event.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Test {
    /// Which of its values are asked.
    pub subject: Subject,
    /// What is asked. True when it is true for any of the values.
    pub op: Op,
}

/// Where a test looks.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Subject {
    /// A field of the event.
    Field(Field),
    /// Every field of the event: a keyword.
    Any,
}

/// A field of an event: the name a rule gives it and the names other sources give the same thing.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Field {
    /// As the rule says.
    pub name: Arc<str>,
    /// Names to try, in this order, when the event has no field of the first name.
    pub others: Arc<[Arc<str>]>,
}

impl Field {
    /// A field without other names.
    #[must_use]
    pub fn named(name: &str) -> Self {
        Self {
            name: Arc::from(name),
            others: Arc::default(),
        }
    }
}

impl Expr {
    /// The same expression with every field, also those only compared with, replaced by what `rename` makes of it.
    #[must_use]
    pub fn with_fields(&self, rename: &mut impl FnMut(&Field) -> Field) -> Self {
        let mut all = |terms: &[Self]| terms.iter().map(|term| term.with_fields(rename)).collect();
        match self {
            Self::And(terms) => Self::And(all(terms)),
            Self::Or(terms) => Self::Or(all(terms)),
            Self::AtLeast(count, terms) => Self::AtLeast(*count, all(terms)),
            Self::Not(inner) => Self::Not(Box::new(inner.with_fields(rename))),
            Self::Test(test) => {
                let mut test = test.clone();
                if let Subject::Field(field) = &mut test.subject {
                    *field = rename(field);
                }
                if let Op::FieldRef(reference) = &mut test.op {
                    reference.field = rename(&reference.field);
                }
                Self::Test(test)
            }
        }
    }
}

/// What a test asks of a value. Null has no text: only [`Op::Null`] is true for it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Op {
    /// The field is missing, null, or an empty list.
    Null,
    /// The field has a value other than null.
    Exists,
    /// The value's text fits.
    Text(Pattern),
    /// The regular expression occurs in the value's text.
    Regex(RegexTest),
    /// The value is an address in this network.
    Cidr(IpNet),
    /// The value relates to a value of another field of the same event.
    FieldRef(FieldRef),
    /// The value is a number that relates to this one.
    Compare(Comparison, Number),
    /// The value is a time, and this part of it (in UTC) relates to the number.
    Time(TimePart, Comparison, Number),
}

/// A comparison with another field.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FieldRef {
    /// The other field.
    pub field: Field,
    /// How the texts must relate.
    pub relation: Relation,
    /// Whether case matters.
    pub cased: bool,
}

/// How one text relates to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Relation {
    /// The same.
    Equals,
    /// Starts with the other.
    StartsWith,
    /// Ends with the other.
    EndsWith,
    /// Has the other in it.
    Contains,
}

/// How one number relates to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Comparison {
    /// The same.
    Equal,
    /// Smaller.
    Less,
    /// Smaller or the same.
    LessOrEqual,
    /// Greater.
    Greater,
    /// Greater or the same.
    GreaterOrEqual,
}

impl Comparison {
    /// Whether `left` relates to `right` this way.
    #[must_use]
    pub fn holds(self, left: Number, right: Number) -> bool {
        let Some(order) = left.partial_cmp(&right) else {
            return false;
        };
        match self {
            Self::Equal => order.is_eq(),
            Self::Less => order.is_lt(),
            Self::LessOrEqual => order.is_le(),
            Self::Greater => order.is_gt(),
            Self::GreaterOrEqual => order.is_ge(),
        }
    }
}

/// A part of a time, in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TimePart {
    /// 0-59.
    Minute,
    /// 0-23.
    Hour,
    /// Day of the month, 1-31.
    Day,
    /// ISO 8601 week, 1-53.
    Week,
    /// 1-12.
    Month,
    /// Such as 2026.
    Year,
}

/// A finite number.
#[derive(Clone, Copy, Debug)]
pub enum Number {
    /// A whole number.
    Int(i64),
    /// Any other.
    Float(f64),
}

impl Number {
    /// Reads decimal text of at most 64 bytes.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        if text.len() > 64 || !text.bytes().any(|b| b.is_ascii_digit()) {
            return None;
        }
        if let Ok(whole) = text.parse() {
            return Some(Self::Int(whole));
        }
        let float: f64 = text.parse().ok()?;
        float.is_finite().then_some(Self::Float(float))
    }

    pub(crate) fn as_f64(self) -> f64 {
        match self {
            #[allow(
                clippy::cast_precision_loss,
                reason = "only compared with floats, which have that precision"
            )]
            Self::Int(whole) => whole as f64,
            Self::Float(float) => float,
        }
    }
}

impl PartialOrd for Number {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        match (self, other) {
            (Self::Int(left), Self::Int(right)) => Some(left.cmp(right)),
            (left, right) => left.as_f64().partial_cmp(&right.as_f64()),
        }
    }
}

impl PartialEq for Number {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Int(left), Self::Int(right)) => left == right,
            (Self::Float(left), Self::Float(right)) => left.to_bits() == right.to_bits(),
            (Self::Int(_), Self::Float(_)) | (Self::Float(_), Self::Int(_)) => false,
        }
    }
}

impl Eq for Number {}

impl Hash for Number {
    fn hash<H: Hasher>(&self, state: &mut H) {
        match self {
            Self::Int(whole) => whole.hash(state),
            Self::Float(float) => float.to_bits().hash(state),
        }
    }
}

/// A compiled regular expression; equal to another of the same source.
#[derive(Clone, Debug)]
pub struct RegexTest {
    pub(crate) source: String,
    pub(crate) compiled: Regex,
}

impl RegexTest {
    /// The expression with its flags, such as `(?i)ab+`.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }
}

impl PartialEq for RegexTest {
    fn eq(&self, other: &Self) -> bool {
        self.source == other.source
    }
}

impl Eq for RegexTest {}

impl Hash for RegexTest {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.source.hash(state);
    }
}
