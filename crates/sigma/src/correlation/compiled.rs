//! One correlation, ready to be evaluated.

use std::ops::RangeInclusive;

use model::{AlertId, Level, Tenant, Timestamp};

use crate::correlation::contribution::{GroupKey, StateKey};
use crate::correlation::definition::{BoundOp, Condition, Correlation, CorrelationKind};
use crate::correlation::judge::{self, Measure, Neighbours, Question, Wait};
use crate::correlation::keep::{Keep, MAX_KEPT};
use crate::correlation::order::Goal;
use crate::correlation::parse::is_lower;
use crate::correlation::state::{Verdict, WindowState};

/// How long after a window has ended its events are waited for, before conditions that later events could falsify are
/// judged, in microseconds. Events that come even later change the verdict all the same.
pub const GRACE_MICROS: i64 = 60_000_000;

/// One correlation, ready to be evaluated.
#[derive(Clone, Debug)]
pub struct Compiled {
    pub(crate) definition: Correlation,
    pub(crate) level: Level,
    pub(crate) silenced: bool,
    question: Question,
    keep: Keep,
    /// Whether what is kept always decides the condition.
    exact: bool,
}

impl Compiled {
    /// `inner`: which of its rules are correlations, as bits. What they contribute can be taken back, so that what seems
    /// not to matter may later do.
    pub(crate) fn new(definition: Correlation, inner: u64) -> Self {
        let question = question(&definition);
        let (keep, exact) = keep(&definition, &question, inner);
        Self {
            level: definition.metadata.level,
            silenced: false,
            question,
            keep,
            exact,
            definition,
        }
    }

    /// The correlation as its document says it.
    #[must_use]
    pub fn definition(&self) -> &Correlation {
        &self.definition
    }

    /// How bad it is: what the document says, else as bad as the worst rule it is over.
    #[must_use]
    pub fn level(&self) -> Level {
        self.level
    }

    /// Whether it only serves other correlations and makes no alerts of its own.
    #[must_use]
    pub fn is_silenced(&self) -> bool {
        self.silenced
    }

    /// The number of the window a time is in.
    #[must_use]
    pub fn window_of(&self, time: Timestamp) -> i64 {
        time.0.div_euclid(self.timespan())
    }

    /// When a window starts, and when the next one does.
    #[must_use]
    pub fn bounds_of(&self, window: i64) -> (Timestamp, Timestamp) {
        let start = window.saturating_mul(self.timespan());
        (Timestamp(start), Timestamp(start.saturating_add(self.timespan())))
    }

    /// The windows whose verdict depends on the state of this one.
    #[must_use]
    pub fn judged_with(&self, window: i64) -> RangeInclusive<i64> {
        let before = i64::from(self.question.waits() == Wait::UntilNextIsClosed);
        let after = i64::from(!matches!(self.question, Question::Closed(..)));
        window.saturating_sub(before)..=window.saturating_add(after)
    }

    /// The windows whose state the verdict on this one depends on: within one window before and one after it.
    #[must_use]
    pub fn needed_for(&self, window: i64) -> RangeInclusive<i64> {
        let before = i64::from(!matches!(self.question, Question::Closed(..)));
        let after = i64::from(self.question.waits() == Wait::UntilNextIsClosed);
        window.saturating_sub(before)..=window.saturating_add(after)
    }

    /// When a window can be judged: event time that must have passed. `None` when it can at any time.
    #[must_use]
    pub fn due(&self, window: i64) -> Option<Timestamp> {
        let (_, end) = self.bounds_of(window);
        let wait = match self.question.waits() {
            Wait::Not => return None,
            Wait::UntilClosed => GRACE_MICROS,
            Wait::UntilNextIsClosed => GRACE_MICROS.saturating_add(self.timespan()),
        };
        Some(Timestamp(end.0.saturating_add(wait)))
    }

    /// Up to which event time the state of a window can matter, unless events come later than `lateness`
    /// microseconds.
    #[must_use]
    pub fn expires(&self, window: i64, lateness: i64) -> Timestamp {
        let (_, end) = self.bounds_of(window);
        let needed = self.timespan().saturating_mul(2).saturating_add(GRACE_MICROS);
        Timestamp(end.0.saturating_add(needed).saturating_add(lateness))
    }

    /// The alert of a window.
    #[must_use]
    pub fn alert_id(&self, tenant: &Tenant, group: &GroupKey, window: i64) -> AlertId {
        let metadata = &self.definition.metadata;
        AlertId::correlation(tenant, &metadata.id, &metadata.revision, &group.to_string(), window)
    }

    /// Takes in everything another state of the same window has; the result is bounded. Says whether anything changed.
    pub fn merge(&self, state: &mut WindowState, other: &WindowState) -> bool {
        state.merge(other, &self.keep)
    }

    /// Bounds a state that contributions were gathered in.
    pub(crate) fn bound(&self, state: &mut WindowState) {
        state.bound(&self.keep);
    }

    /// Judges a window. `now` is how far event time has come: no more than a little that happened before it is still
    /// to arrive.
    #[must_use]
    pub fn judge(&self, window: i64, windows: Neighbours<'_>, now: Timestamp) -> Verdict {
        if windows.this.is_none_or(WindowState::is_empty) {
            return Verdict::Nothing { overflowed: false };
        }
        match self.due(window) {
            Some(due) if now < due => Verdict::Open { due },
            Some(_) | None => {
                let windows = self.needed(window, windows);
                judge::judge(&self.question, self.timespan(), windows, self.overflowed(windows))
            }
        }
    }

    /// How much is known of a window: what [`WindowState::announce`] wants beside the verdict.
    #[must_use]
    pub fn version(&self, window: i64, windows: Neighbours<'_>) -> u64 {
        self.needed(window, windows).version()
    }

    /// Without what may or may not be at hand, but does not matter: it would make versions incomparable.
    fn needed<'s>(&self, window: i64, windows: Neighbours<'s>) -> Neighbours<'s> {
        let needed = self.needed_for(window);
        Neighbours {
            previous: windows.previous.filter(|_| *needed.start() < window),
            next: windows.next.filter(|_| *needed.end() > window),
            ..windows
        }
    }

    /// Whether contributions that could matter were left out of these states.
    #[must_use]
    pub fn overflowed(&self, windows: Neighbours<'_>) -> bool {
        let states = || [windows.previous, windows.this, windows.next].into_iter().flatten();
        if !states().any(|state| state.dropped) {
            return false;
        }
        // What lies between enough numbers at both ends of a window does matter when another number, also one of a
        // neighbouring window, takes some of their sum away.
        let sum_is_open =
            matches!(self.keep, Keep::Sum(_)) && states().any(|state| is_signed(state) || state.len() >= MAX_KEPT);
        !self.exact || sum_is_open
    }

    fn timespan(&self) -> i64 {
        self.definition.timespan.micros()
    }

    /// The state a contribution at this time goes to.
    pub(crate) fn key(&self, correlation: usize, group: GroupKey, time: Timestamp) -> StateKey {
        StateKey {
            correlation,
            group,
            window: self.window_of(time),
        }
    }
}

fn is_signed(state: &WindowState) -> bool {
    state.entries.iter().any(|(_, entry)| entry.values.sum() < 0.0)
}

fn question(definition: &Correlation) -> Question {
    match &definition.condition {
        Condition::Rules(expr) if definition.kind == CorrelationKind::TemporalOrdered => {
            Question::Ordered(Goal::Rules(expr.clone()))
        }
        Condition::Rules(expr) => Question::Rules(expr.clone()),
        Condition::Bounds { .. } if definition.kind == CorrelationKind::TemporalOrdered => {
            Question::Ordered(Goal::Length(least(definition)))
        }
        Condition::Bounds { bounds, percentile, .. } => {
            let measure = Measure::of(definition.kind, *percentile);
            let only_grows = matches!(
                measure,
                Measure::Events | Measure::DistinctValues | Measure::DistinctRules | Measure::Sum
            );
            if only_grows && bounds.iter().all(|bound| is_lower(bound.op)) {
                Question::Sliding(measure, bounds.clone())
            } else {
                Question::Closed(measure, bounds.clone())
            }
        }
    }
}

/// The smallest count from 1 on that is above all lower bounds.
fn least(definition: &Correlation) -> usize {
    let Condition::Bounds { bounds, .. } = &definition.condition else {
        return 1;
    };
    let holds = |count: u32| {
        let mut lower = bounds.iter().filter(|bound| is_lower(bound.op));
        lower.all(|bound| bound.holds(f64::from(count)))
    };
    let least = (1..=crate::correlation::parse::MAX_COUNT + 1).find(|count| holds(*count));
    least
        .and_then(|count| usize::try_from(count).ok())
        .unwrap_or(usize::MAX)
}

/// The count from which on a larger one makes no difference.
fn decisive(definition: &Correlation) -> usize {
    let Condition::Bounds { bounds, .. } = &definition.condition else {
        return 1;
    };
    let (mut most, least) = (0, least(definition));
    for bound in bounds
        .iter()
        .filter(|bound| !is_lower(bound.op) || bound.op == BoundOp::Gt)
    {
        // The parser takes whole numbers up to 10,000.
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a whole number from 0 to 10,000"
        )]
        let value = bound.value as usize;
        most = most.max(value + 1);
    }
    most.max(least)
}

fn keep(definition: &Correlation, question: &Question, inner: u64) -> (Keep, bool) {
    let rules = definition.rules.len();
    let over_correlations = inner != 0;
    match question {
        Question::Sliding(Measure::Sum, bounds) | Question::Closed(Measure::Sum, bounds) => {
            let limit = bounds.iter().map(|bound| bound.value).fold(f64::MIN, f64::max);
            (Keep::Sum(limit), !over_correlations)
        }
        Question::Closed(Measure::Mean | Measure::Median | Measure::Percentile(_) | Measure::Share, _) => {
            (Keep::Sample, false)
        }
        // Of two, the first must have one before the other's last in the window, or the other's first must come soon
        // enough after one of the window before. That decides whether there is an alert; one in between that would date
        // it earlier may be left out.
        Question::Ordered(goal) if rules == 2 && goal.is_all_of(rules) => {
            (Keep::ends_of_events(rules, inner), inner == 0)
        }
        _ if over_correlations => (Keep::all_of(rules), false),
        Question::Sliding(Measure::Events, _) | Question::Closed(Measure::Events, _) => {
            (Keep::ends(decisive(definition)), true)
        }
        Question::Sliding(Measure::DistinctValues, _) | Question::Closed(Measure::DistinctValues, _) => {
            (Keep::values(decisive(definition)), true)
        }
        Question::Rules(expr) if expr.unwanted() != 0 => (Keep::all_of(rules), false),
        Question::Ordered(_) => (Keep::all_of(rules), false),
        Question::Sliding(..) | Question::Closed(..) | Question::Rules(_) => (Keep::per_rule(1), true),
    }
}
