//! A correlation as its document says it.

use std::collections::BTreeMap;
use std::ops::Deref;

use crate::correlation::expression::RuleExpr;
use crate::metadata::Metadata;

/// One correlation, parsed and checked by itself: the rules it names may not be there.
#[derive(Clone, Debug)]
pub struct Correlation {
    /// What it says about itself; also there as the correlation's own fields.
    pub metadata: Metadata,
    /// What is counted or looked for.
    pub kind: CorrelationKind,
    /// The rules or correlations it is over, by id or name, in order; 1 to 64.
    pub rules: Vec<String>,
    /// Fields whose values tell sets of events apart; with none, all events are one set.
    pub group_by: Vec<String>,
    /// How far apart the events may be.
    pub timespan: Timespan,
    /// What must hold of a set of events.
    pub condition: Condition,
    /// Names that stand for a field of each rule: alias, reference of a rule, field.
    pub aliases: BTreeMap<String, BTreeMap<String, String>>,
    /// Whether the rules it names alert by themselves as well.
    pub generate: bool,
    /// Whether the document gives a level.
    pub has_level: bool,
}

impl Deref for Correlation {
    type Target = Metadata;

    fn deref(&self) -> &Metadata {
        &self.metadata
    }
}

/// What a correlation counts or looks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CorrelationKind {
    /// How many events.
    EventCount,
    /// How many different values of a field, or of several fields taken together.
    ValueCount,
    /// Which rules matched.
    Temporal,
    /// Which rules matched, one after the other.
    TemporalOrdered,
    /// The sum of a field.
    ValueSum,
    /// The mean of a field.
    ValueAvg,
    /// A percentile of a field.
    ValuePercentile,
    /// The median of a field.
    ValueMedian,
}

impl CorrelationKind {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::EventCount,
        Self::ValueCount,
        Self::Temporal,
        Self::TemporalOrdered,
        Self::ValueSum,
        Self::ValueAvg,
        Self::ValuePercentile,
        Self::ValueMedian,
    ];

    /// Sigma's word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::EventCount => "event_count",
            Self::ValueCount => "value_count",
            Self::Temporal => "temporal",
            Self::TemporalOrdered => "temporal_ordered",
            Self::ValueSum => "value_sum",
            Self::ValueAvg => "value_avg",
            Self::ValuePercentile => "value_percentile",
            Self::ValueMedian => "value_median",
        }
    }

    /// Whether it is about which rules matched.
    #[must_use]
    pub fn is_temporal(self) -> bool {
        matches!(self, Self::Temporal | Self::TemporalOrdered)
    }

    /// Whether it is about the values of a field.
    #[must_use]
    pub fn needs_field(self) -> bool {
        !self.is_temporal() && self != Self::EventCount
    }
}

/// What must hold of a set of events.
#[derive(Clone, Debug, PartialEq)]
pub enum Condition {
    /// A number must be within bounds: the count, the measure of the field, or for temporal kinds the number of
    /// different rules that matched.
    Bounds {
        /// All must hold; one or two.
        bounds: Vec<Bound>,
        /// The field, or the fields that are one value together; none for counts of events and rules.
        field: Vec<String>,
        /// For percentiles: which, above 0 and at most 100. `None` compares the share of single values.
        percentile: Option<f64>,
    },
    /// The rules that matched must make this true.
    Rules(RuleExpr),
}

/// One bound of a number.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bound {
    /// How the number must relate to `value`.
    pub op: BoundOp,
    /// A finite number.
    pub value: f64,
}

/// How a number relates to a bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BoundOp {
    /// Greater.
    Gt,
    /// Greater or the same.
    Gte,
    /// Smaller.
    Lt,
    /// Smaller or the same.
    Lte,
    /// The same.
    Eq,
    /// Another.
    Neq,
}

impl BoundOp {
    /// All of them.
    pub const ALL: [Self; 6] = [Self::Gt, Self::Gte, Self::Lt, Self::Lte, Self::Eq, Self::Neq];

    /// Sigma's word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Gt => "gt",
            Self::Gte => "gte",
            Self::Lt => "lt",
            Self::Lte => "lte",
            Self::Eq => "eq",
            Self::Neq => "neq",
        }
    }
}

impl Bound {
    /// Whether a number is within the bound.
    #[must_use]
    #[allow(clippy::float_cmp, reason = "an author who writes `eq` means exactly this number")]
    pub fn holds(self, number: f64) -> bool {
        match self.op {
            BoundOp::Gt => number > self.value,
            BoundOp::Gte => number >= self.value,
            BoundOp::Lt => number < self.value,
            BoundOp::Lte => number <= self.value,
            BoundOp::Eq => number == self.value,
            BoundOp::Neq => number != self.value,
        }
    }
}

/// A length of time in whole seconds, at least one and at most ten years.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timespan {
    seconds: i64,
}

impl Timespan {
    const MAX_SECONDS: i64 = 10 * 31_556_952;

    /// Reads `15m` and the like: a whole number and one of `s m h d w M y`. A month and a year have their mean length
    /// in the Gregorian calendar: 2,629,746 and 31,556,952 seconds.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let unit = text.chars().next_back()?;
        let seconds = match unit {
            's' => 1,
            'm' => 60,
            'h' => 3600,
            'd' => 86_400,
            'w' => 604_800,
            'M' => 2_629_746,
            'y' => 31_556_952,
            _ => return None,
        };
        let digits = text.strip_suffix(unit)?;
        if digits.len() > 9 || !digits.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        let seconds = digits.parse::<i64>().ok()?.checked_mul(seconds)?;
        (1..=Self::MAX_SECONDS).contains(&seconds).then_some(Self { seconds })
    }

    /// In seconds.
    #[must_use]
    pub fn seconds(self) -> i64 {
        self.seconds
    }

    /// In microseconds, the unit of [`model::Timestamp`].
    #[must_use]
    pub fn micros(self) -> i64 {
        self.seconds * 1_000_000
    }
}
