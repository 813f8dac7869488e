//! Correlations: sets of events, found by rules, that belong together in time.
//!
//! Everything here is pure. An event that a rule matched gives [`Contribution`]s; the contributions of one correlation,
//! one group and one aligned window of event time are a [`WindowState`]; a [`Verdict`] on a window is a function of the
//! states of it and its neighbours. As a state is the set of its contributions, neither order nor repetition matter:
//! whoever stores states only has to merge what it saw into what is stored, and to judge again what that touched.
//!
//! What must be done, in this order, so that a crash anywhere loses nothing and repeating it changes nothing:
//! 1. [`Correlations::contributions`] for each hit, [`Correlations::gather`] for the whole block;
//! 2. [`Compiled::merge`] of each gathered state into the stored one, by compare-and-swap;
//! 3. for each window of [`Compiled::judged_with`]: read its [`Compiled::needed_for`] afresh, [`Compiled::judge`],
//!    [`WindowState::announce`], and when that changed something store the state, by compare-and-swap, **and do 3 again
//!    for this window** until it changes nothing: a neighbour may have changed since it was read, and whoever changed it
//!    may have found nothing to take back yet;
//! 4. from the state as it is stored now: make, change or take back the alert ([`Compiled::alert_id`], unless
//!    [`Compiled::is_silenced`]) and go on at 2 with [`Correlations::chained`];
//! 5. mark the block done. A [`Verdict::Open`] is judged again when its time has come.
//!
//! [`Windows`] does the same in memory. `docs/reference/correlation.md` has the semantics with examples.

mod compile;
mod compiled;
mod contribution;
mod definition;
mod entries;
mod expression;
mod fields;
mod judge;
mod keep;
mod order;
pub mod packed;
mod parse;
mod resolve;
mod state;
mod windows;

pub use compile::Correlations;
pub use compiled::{Compiled, GRACE_MICROS};
pub use contribution::{Contribution, Entry, GroupKey, Origin, StateKey, Values};
pub use definition::{Bound, BoundOp, Condition, Correlation, CorrelationKind, Timespan};
pub use expression::RuleExpr;
pub(crate) use expression::bit;
pub use fields::Lost;
pub use judge::Neighbours;
pub(crate) use parse::parse;
pub use state::{Announced, Finding, Verdict, WindowState};
pub use windows::{CorrelationAlert, States, Windows};
