//! Which blocks can hold a match, by what is kept beside them.

use std::net::IpAddr;

use ipnet::IpNet;
use model::{Event, Timestamp};

use crate::ast::{self, Literal, Pattern, Piece};
use crate::check::Check;
use crate::compile::{Compiled, Node, Target, Test, is_canonical};

/// Most addresses worth asking an index for.
const MAX_ADDRESSES: usize = 64;

/// What a block must have to hold a match.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    /// Matches are of this time.
    pub span: Span,
    /// What has to be in the block.
    pub need: Need,
    /// Each match has one of these addresses; `None` when it may have none of few.
    pub addresses: Option<Vec<IpAddr>>,
}

/// Events of which time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// At this time or later.
    pub from: Option<Timestamp>,
    /// Before this time.
    pub to: Option<Timestamp>,
}

impl Span {
    /// What is in both.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        let both =
            |a: Option<Timestamp>, b: Option<Timestamp>, pick: fn(Timestamp, Timestamp) -> Timestamp| match (a, b) {
                (Some(a), Some(b)) => Some(pick(a, b)),
                (a, b) => a.or(b),
            };
        Self {
            from: both(self.from, other.from, Ord::max),
            to: both(self.to, other.to, Ord::min),
        }
    }

    /// What is in one of them or between them.
    fn or(self, other: Self) -> Self {
        Self {
            from: self.from.zip(other.from).map(|(a, b)| a.min(b)),
            to: self.to.zip(other.to).map(|(a, b)| a.max(b)),
        }
    }

    /// Whether an event of this time is in it.
    #[must_use]
    pub fn contains(self, time: Timestamp) -> bool {
        crate::check::is_within(time, self.from, self.to)
    }
}

/// What a block has to have.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Need {
    /// Nothing in particular.
    #[default]
    Nothing,
    /// All words of the text.
    Words(String),
    /// The address.
    Address(IpAddr),
    /// An address of the network.
    Network(IpNet),
    /// All of these.
    All(Vec<Self>),
    /// One of these.
    Any(Vec<Self>),
}

impl Need {
    /// Whether a block can have it: false is certain, true is not. `ips` are the addresses in the block, where they are
    /// known.
    #[must_use]
    pub fn may_be_in(&self, token_filter: &[u8], ips: Option<&[IpAddr]>) -> bool {
        match self {
            Self::Nothing => true,
            Self::Words(text) => block::may_contain(token_filter, text),
            Self::Address(ip) => match ips {
                Some(ips) => ips.contains(ip),
                None => block::may_contain_address(token_filter, *ip),
            },
            Self::Network(network) => ips.is_none_or(|ips| ips.iter().any(|ip| network.contains(ip))),
            Self::All(all) => all.iter().all(|need| need.may_be_in(token_filter, ips)),
            Self::Any(any) => any.iter().any(|need| need.may_be_in(token_filter, ips)),
        }
    }

    /// Whether looking at what is kept beside blocks can spare any.
    #[must_use]
    pub fn is_selective(&self) -> bool {
        *self != Self::Nothing
    }

    /// Whether some of it only the list of a block's addresses can tell.
    #[must_use]
    pub fn asks_for_networks(&self) -> bool {
        match self {
            Self::Nothing | Self::Words(_) | Self::Address(_) => false,
            Self::Network(_) => true,
            Self::All(parts) | Self::Any(parts) => parts.iter().any(Self::asks_for_networks),
        }
    }

    fn all(parts: Vec<Self>) -> Self {
        let mut needs: Vec<Self> = parts.into_iter().filter(Self::is_selective).collect();
        match needs.len() {
            0 => Self::Nothing,
            1 => needs.remove(0),
            _ => Self::All(needs),
        }
    }

    fn any(parts: Vec<Self>) -> Self {
        if parts.iter().all(Self::is_selective) {
            Self::Any(parts)
        } else {
            Self::Nothing
        }
    }
}

impl Compiled {
    /// Which blocks have to be looked at.
    #[must_use]
    pub fn plan(&self) -> Plan {
        plan(&self.root)
    }

    /// Whether only the time matters, so that [`Plan::span`] says all.
    #[must_use]
    pub fn is_time_only(&self) -> bool {
        fn is(node: &Node) -> bool {
            match node {
                Node::Everything => true,
                Node::And(parts) => parts.iter().all(is),
                Node::Or(_) | Node::Not(_) => false,
                Node::Test(test) => matches!((&test.target, &test.check), (Target::Time, Check::Times(..))),
            }
        }
        is(&self.root)
    }

    /// The fields whose columns a block's scan looks at, which others may complete ([`block::completing`]); `None` when it
    /// may look at all. A block that does not say where addresses stand takes more.
    #[must_use]
    pub fn fields(&self) -> Option<Vec<String>> {
        fn add(node: &Node, fields: &mut Vec<String>) -> bool {
            match node {
                Node::Everything => true,
                Node::And(parts) | Node::Or(parts) => parts.iter().all(|part| add(part, fields)),
                Node::Not(inner) => add(inner, fields),
                Node::Test(test) => match &test.target {
                    Target::Time | Target::Id => true,
                    Target::Anywhere => test.check.is_of_addresses(),
                    Target::Fields(_) => false,
                    Target::Field(name) => {
                        fields.push(name.clone());
                        true
                    }
                },
            }
        }
        let mut fields = Vec::new();
        add(&self.root, &mut fields).then(|| {
            fields.sort_unstable();
            fields.dedup();
            fields
        })
    }

    /// Whether the event is meant and of the span.
    #[must_use]
    pub fn matches_within(&self, span: Span, event: &Event) -> bool {
        span.contains(event.timestamp) && self.matches(event)
    }
}

fn plan(node: &Node) -> Plan {
    match node {
        Node::Everything | Node::Not(_) => Plan::default(),
        Node::And(parts) => {
            let plans: Vec<Plan> = parts.iter().map(plan).collect();
            Plan {
                span: plans.iter().fold(Span::default(), |span, plan| span.and(plan.span)),
                addresses: plans
                    .iter()
                    .filter_map(|plan| plan.addresses.clone())
                    .min_by_key(Vec::len),
                need: Need::all(plans.into_iter().map(|plan| plan.need).collect()),
            }
        }
        Node::Or(parts) => {
            let plans: Vec<Plan> = parts.iter().map(plan).collect();
            let mut spans = plans.iter().map(|plan| plan.span);
            let first = spans.next().unwrap_or_default();
            let addresses: Option<Vec<Vec<IpAddr>>> = plans.iter().map(|plan| plan.addresses.clone()).collect();
            Plan {
                span: spans.fold(first, Span::or),
                addresses: addresses
                    .map(|sets| sets.concat())
                    .filter(|set| set.len() <= MAX_ADDRESSES),
                need: Need::any(plans.into_iter().map(|plan| plan.need).collect()),
            }
        }
        Node::Test(test) => of_test(test),
    }
}

fn of_test(test: &Test) -> Plan {
    if matches!(test.target, Target::Time | Target::Id) {
        let span = match (&test.target, &test.check) {
            (Target::Time, Check::Times(from, to)) => Span { from: *from, to: *to },
            _ => Span::default(),
        };
        return Plan {
            span,
            ..Plan::default()
        };
    }
    let need = match &test.written {
        ast::Check::Has(pattern) | ast::Check::Is(pattern) => words(pattern),
        ast::Check::Address(ip) => Need::Address(*ip),
        ast::Check::Network(network) => Need::Network(*network),
        ast::Check::Range(range) => match (&range.from, &range.to) {
            // One address, written as a range.
            (ast::Bound::Included(Literal::Address(from)), ast::Bound::Included(Literal::Address(to)))
                if from == to =>
            {
                Need::Address(*from)
            }
            _ => Need::Nothing,
        },
        ast::Check::Exists | ast::Check::Regex { .. } => Need::Nothing,
    };
    let addresses = match need {
        Need::Address(ip) => Some(vec![ip]),
        Need::Nothing | Need::Words(_) | Need::Network(_) | Need::All(_) | Need::Any(_) => None,
    };
    Plan {
        span: Span::default(),
        need,
        addresses,
    }
}

/// The words that every text like this has as a whole. Where a wildcard touches a word, only a part of it is known.
fn words(pattern: &Pattern) -> Need {
    if let Some(text) = pattern.as_text()
        && !is_canonical(text)
    {
        return Need::Nothing;
    }
    let mut found = Vec::new();
    for (index, piece) in pattern.0.iter().enumerate() {
        let Piece::Text(text) = piece else { continue };
        let mut rest = text.as_str();
        if index > 0 {
            rest = rest.trim_start_matches(char::is_alphanumeric);
        }
        if index + 1 < pattern.0.len() {
            rest = rest.trim_end_matches(char::is_alphanumeric);
        }
        found.extend(
            rest.split(|c: char| !c.is_alphanumeric())
                .filter(|word| is_certain(word)),
        );
    }
    if found.is_empty() {
        return Need::Nothing;
    }
    Need::Words(found.join(" "))
}

/// Whether a word in lower case is the same here and in filters, which lower letter by letter.
fn is_certain(word: &str) -> bool {
    !word.is_empty()
        && word.chars().all(|char| {
            let mut lower = char.to_lowercase();
            let is_one_letter = lower.next().is_some_and(char::is_alphanumeric) && lower.next().is_none();
            is_one_letter && !matches!(char, 'Σ' | 'σ' | 'ς')
        })
}
