//! The state of one window: the set of its contributions.

use model::Timestamp;
use serde::{Deserialize, Serialize};

use crate::correlation::contribution::{Contribution, Origin};
use crate::correlation::entries::Entries;
use crate::correlation::keep::Keep;
use crate::correlation::packed;
use crate::pattern::fold;

/// Most former triggers that are remembered.
const MAX_FORMER: usize = 16;

/// What is known of one group of events in one window. Merging is commutative, associative and idempotent, so any
/// number of writers may merge in any order, each what it saw, as often as it likes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct WindowState {
    /// Readable values of the group-by fields.
    pub group: Vec<String>,
    #[serde(with = "packed")]
    pub(crate) entries: Entries,
    /// Whether contributions were left out because there were more than are needed or more than fit.
    pub(crate) dropped: bool,
    /// How often the set changed since the state was made: the later of two copies of one state has the higher number.
    #[serde(default)]
    pub changes: u64,
    /// What was made of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub announced: Option<Announced>,
}

/// The last verdict on a window that was acted upon. Kept beside the contributions, so that it is changed by the same
/// kind of write and no two writers can disagree about it for long.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Announced {
    /// How much was known: the sum of [`WindowState::changes`] of the windows that were looked at.
    pub version: u64,
    /// What was found; `None` when it was taken back.
    pub finding: Option<Finding>,
    /// Triggers of earlier verdicts, which correlations over this one must forget.
    #[serde(default)]
    pub former: Vec<Timestamp>,
}

/// Why a condition holds. A pure function of the contributions that are kept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// When it began to hold: the time of the earliest contribution with which it does. For conditions that are judged
    /// when the window is closed: the time of the window's last contribution.
    pub trigger: Timestamp,
    /// The contribution at that time.
    pub trigger_origin: Origin,
    /// Time of the earliest contribution that counted.
    pub first: Timestamp,
    /// How many contributions counted.
    pub count: u64,
    /// Whether there are more of them than that.
    pub at_least: bool,
    /// The number that met the condition: of events, of different values or rules, or the field's sum, mean, ...
    #[serde(with = "exact")]
    pub value: f64,
    /// Positions of the rules that matched.
    pub rules: Vec<usize>,
    /// Some of those that counted: the first ten and the last ten.
    pub sample: Vec<Origin>,
    /// Some of the different values, at most ten, in alphabetical order; none when the correlation counts no values.
    pub values: Vec<String>,
    /// Whether a limit was hit that can make the verdict wrong.
    pub overflowed: bool,
}

/// Numbers as text, which is read back as the very same number. JSON's own are not: a parser may be off by the last bit,
/// and a finding that differs from the one announced would be announced again and again.
mod exact {
    use serde::{Deserialize as _, Deserializer, Serializer, de};

    pub(super) fn serialize<S: Serializer>(number: &f64, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(number)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse()
            .map_err(|_| de::Error::custom(format_args!("expected a number as text, got {text:?}")))
    }
}

/// What is to be said of a window.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// It can only be said once event time has passed this.
    Open {
        /// When to judge again.
        due: Timestamp,
    },
    /// The condition does not hold.
    Nothing {
        /// Whether a limit was hit that can make the verdict wrong.
        overflowed: bool,
    },
    /// The condition holds.
    Holds(Finding),
}

impl Verdict {
    /// Whether a limit was hit that can make the verdict wrong.
    #[must_use]
    pub fn overflowed(&self) -> bool {
        match self {
            Self::Open { .. } => false,
            Self::Nothing { overflowed } => *overflowed,
            Self::Holds(finding) => finding.overflowed,
        }
    }
}

impl WindowState {
    /// How many contributions are kept.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether nothing contributed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The state of these contributions alone, not bounded.
    pub(crate) fn gathered(contributions: Vec<Contribution>) -> Self {
        let mut state = Self::default();
        for contribution in &contributions {
            state.take_group(&contribution.group);
        }
        let entries = contributions.into_iter().map(|given| (given.origin, given.entry));
        state.entries = Entries::gathered(entries.collect());
        state
    }

    /// Bounds the state after [`Self::gathered`].
    pub(crate) fn bound(&mut self, keep: &Keep) {
        self.dropped |= keep.thin(&mut self.entries);
    }

    /// Takes in everything another state of the same window has, and bounds the result. Says whether that changed
    /// anything.
    pub(crate) fn merge(&mut self, other: &Self, keep: &Keep) -> bool {
        let (mut changed, mut added) = (false, Vec::new());
        for (origin, entry) in other.entries.iter() {
            if let Some(known) = self.entries.get_mut(origin) {
                changed |= known.merge(entry);
            } else {
                self.entries.add(origin, entry);
                added.push(origin);
            }
        }
        let dropped = self.dropped;
        self.dropped |= other.dropped | keep.thin(&mut self.entries);
        changed |= dropped != self.dropped || added.into_iter().any(|origin| self.entries.contains(origin));
        changed |= self.take_group(&other.group);
        self.changes = self.changes.max(other.changes) + u64::from(changed);
        if let Some(theirs) = &other.announced {
            let newer = self.announced.as_ref().is_none_or(|ours| ours.version < theirs.version);
            if newer {
                self.announced = Some(theirs.clone());
            }
        }
        changed
    }

    /// Of values that differ in case only, the smallest is shown: whoever comes first must not matter. Folded ones come
    /// last, since they are all that is known of another correlation's group.
    fn take_group(&mut self, group: &[String]) -> bool {
        let is_folded = |group: &[String]| group.iter().all(|value| fold(value) == *value);
        let replaces = self.group != group
            && !group.is_empty()
            && (self.group.is_empty() || (is_folded(group), group) < (is_folded(&self.group), self.group.as_slice()));
        if replaces {
            self.group = group.to_vec();
        }
        replaces
    }

    /// Notes a verdict reached with `version` ([`Compiled::version`](crate::correlation::Compiled::version)). Says
    /// whether anything changed, so that the state must be written and the alert made, changed or taken back.
    pub fn announce(&mut self, version: u64, verdict: &Verdict) -> bool {
        let next = self.announcing(version, verdict);
        let is_changed = next.is_some();
        self.announced = next.or(self.announced.take());
        is_changed
    }

    /// What [`Self::announce`] would change the announcement to, if it would.
    #[must_use]
    pub fn announcing(&self, version: u64, verdict: &Verdict) -> Option<Announced> {
        let finding = match verdict {
            Verdict::Open { .. } => return None,
            Verdict::Nothing { .. } => None,
            Verdict::Holds(finding) => Some(finding),
        };
        let Some(announced) = &self.announced else {
            let finding = finding?.clone();
            return Some(Announced {
                version,
                finding: Some(finding),
                former: Vec::new(),
            });
        };
        if version < announced.version || announced.finding.as_ref() == finding {
            return None;
        }
        let mut announced = announced.clone();
        announced.version = version;
        let trigger = finding.map(|finding| finding.trigger);
        let former = std::mem::replace(&mut announced.finding, finding.cloned());
        announced.former.extend(former.map(|finding| finding.trigger));
        announced.former.retain(|time| Some(*time) != trigger);
        announced.former.sort_unstable();
        announced.former.dedup();
        let excess = announced.former.len().saturating_sub(MAX_FORMER);
        announced.former.drain(..excess);
        Some(announced)
    }
}
