//! Correlations: sets of events, found by rules, that belong together in time.

mod definition;
mod expression;
mod parse;

pub use definition::{Bound, BoundOp, Condition, Correlation, CorrelationKind, Timespan};
pub use expression::RuleExpr;
pub(crate) use parse::parse;
