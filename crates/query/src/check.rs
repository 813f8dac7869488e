//! What a value must be like, made ready for looking at many.

use std::net::IpAddr;

use intel::observables::{Extractor, Observable, Wanted};
use ipnet::IpNet;
use model::{Timestamp, Value};
use regex::Regex;

use crate::ast::Number;
use crate::edges::Needle;
use crate::moment::Moment;
use crate::parse::number;

/// A condition on one value.
#[derive(Clone, Debug)]
pub(crate) enum Check {
    Exists,
    Has(Box<Needle>),
    /// As a whole, in lower case.
    Is(String),
    /// A number written in any way, beside its text. Only numbers in events are compared to it.
    Number(Number, Box<Check>),
    Regex(Regex),
    Address(IpAddr),
    Network(IpNet),
    Numbers(Ends<Number>),
    /// At the first time or later, and before the second.
    Times(Option<Timestamp>, Option<Timestamp>),
    Addresses(Ends<IpAddr>),
}

/// The ends of a range, and whether they belong to it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ends<T> {
    pub(crate) from: Option<(T, bool)>,
    pub(crate) to: Option<(T, bool)>,
}

impl<T> Ends<T> {
    fn hold(&self, compare: impl Fn(&T) -> Option<std::cmp::Ordering>) -> bool {
        use std::cmp::Ordering::{Equal, Greater, Less};
        let meets = |end: &Option<(T, bool)>, beyond| match end {
            None => true,
            Some((end, is_included)) => {
                compare(end).is_some_and(|order| order == beyond || (order == Equal && *is_included))
            }
        };
        meets(&self.from, Greater) && meets(&self.to, Less)
    }
}

impl Check {
    /// Whether the value meets it; of a list, one element is enough.
    pub(crate) fn value(&self, value: &Value) -> bool {
        match value {
            Value::Null => false,
            Value::Str(text) => self.text(text),
            Value::Int(number) => self.integer(*number),
            Value::Float(number) => self.float(*number),
            Value::Bool(flag) => self.text(if *flag { "true" } else { "false" }),
            Value::List(values) => values.iter().any(|value| self.value(value)),
        }
    }

    /// Whether the text meets it.
    pub(crate) fn text(&self, text: &str) -> bool {
        match self {
            Self::Exists => true,
            Self::Has(needle) => needle.is_in(text),
            Self::Is(whole) => is_same(text, whole),
            Self::Number(_, written) => written.text(text),
            Self::Regex(regex) => regex.is_match(text),
            Self::Address(wanted) => has_address(text, |ip| ip == *wanted),
            Self::Network(network) => has_address(text, |ip| network.contains(&ip)),
            Self::Numbers(ends) => number(text.trim()).is_some_and(|number| ends.hold(|end| compare(number, *end))),
            Self::Times(from, to) => time(text).is_some_and(|time| is_within(time, *from, *to)),
            Self::Addresses(ends) => text.trim().parse::<IpAddr>().is_ok_and(|ip| {
                let ip = ip.to_canonical();
                ends.hold(|end| (end.is_ipv4() == ip.is_ipv4()).then(|| ip.cmp(end)))
            }),
        }
    }

    /// Whether the whole number meets it.
    pub(crate) fn integer(&self, value: i64) -> bool {
        match self {
            Self::Exists => true,
            Self::Number(wanted, _) => compare(Number::Int(value), *wanted) == Some(std::cmp::Ordering::Equal),
            Self::Numbers(ends) => ends.hold(|end| compare(Number::Int(value), *end)),
            Self::Has(needle) => needle.text() == value.to_string(),
            Self::Is(_) | Self::Regex(_) => self.text(&value.to_string()),
            Self::Address(_) | Self::Network(_) | Self::Times(..) | Self::Addresses(_) => false,
        }
    }

    fn float(&self, value: f64) -> bool {
        match self {
            Self::Exists => true,
            Self::Number(wanted, _) => compare(Number::Float(value), *wanted) == Some(std::cmp::Ordering::Equal),
            Self::Numbers(ends) => ends.hold(|end| compare(Number::Float(value), *end)),
            Self::Has(needle) => needle.text() == value.to_string(),
            Self::Is(_) | Self::Regex(_) => self.text(&value.to_string()),
            Self::Address(_) | Self::Network(_) | Self::Times(..) | Self::Addresses(_) => false,
        }
    }

    /// Whether a value meets it if and only if one of the addresses in it does.
    pub(crate) fn is_of_addresses(&self) -> bool {
        matches!(self, Self::Address(_) | Self::Network(_))
    }

    /// Whether the address meets it, where [`Self::is_of_addresses`].
    pub(crate) fn address(&self, ip: IpAddr) -> bool {
        match self {
            Self::Address(wanted) => ip == *wanted,
            Self::Network(network) => network.contains(&ip),
            Self::Exists
            | Self::Has(_)
            | Self::Is(_)
            | Self::Number(..)
            | Self::Regex(_)
            | Self::Numbers(_)
            | Self::Times(..)
            | Self::Addresses(_) => false,
        }
    }

    /// What looking at one value costs, roughly, compared to others.
    pub(crate) fn cost(&self) -> u32 {
        match self {
            Self::Exists => 0,
            Self::Is(_) | Self::Numbers(_) | Self::Addresses(_) | Self::Times(..) => 1,
            Self::Has(_) => 2,
            Self::Number(_, written) => written.cost(),
            Self::Address(_) | Self::Network(_) => 6,
            Self::Regex(_) => 8,
        }
    }
}

/// Whether `text` in lower case is `lower`.
fn is_same(text: &str, lower: &str) -> bool {
    if text.is_ascii() {
        return text.eq_ignore_ascii_case(lower);
    }
    text.to_lowercase() == lower
}

pub(crate) fn is_within(time: Timestamp, from: Option<Timestamp>, to: Option<Timestamp>) -> bool {
    from.is_none_or(|from| time >= from) && to.is_none_or(|to| time < to)
}

fn time(text: &str) -> Option<Timestamp> {
    // Every form of a fixed time begins with its year.
    text.starts_with(|c: char| c.is_ascii_digit())
        .then(|| Moment::parse(text.trim()))
        .flatten()
        .map(|moment| moment.resolve(Timestamp(0)).0)
}

fn has_address(text: &str, mut wanted: impl FnMut(IpAddr) -> bool) -> bool {
    if let Ok(ip) = text.parse::<IpAddr>() {
        return wanted(ip.to_canonical());
    }
    let mut is_there = false;
    Extractor::new().scan(text, Wanted::IPS, &mut |observable| {
        if let Observable::Ip(ip) = observable {
            is_there = is_there || wanted(ip);
        }
    });
    is_there
}

fn compare(a: Number, b: Number) -> Option<std::cmp::Ordering> {
    let float = |number: Number| match number {
        Number::Int(number) => number as f64,
        Number::Float(number) => number,
    };
    match (a, b) {
        (Number::Int(a), Number::Int(b)) => Some(a.cmp(&b)),
        (a, b) => float(a).partial_cmp(&float(b)),
    }
}
