//! Correlations over events in memory: for tests of rules and for running rules over the past.

use std::collections::{BTreeMap, BTreeSet};

use model::{AlertId, Event, Tenant, Timestamp};
use rustc_hash::FxHashMap;

use crate::correlation::compile::Correlations;
use crate::correlation::contribution::{Contribution, GroupKey, StateKey};
use crate::correlation::fields::Lost;
use crate::correlation::judge::Neighbours;
use crate::correlation::state::{Finding, Verdict, WindowState};

/// States of windows by their names.
pub type States = BTreeMap<StateKey, WindowState>;

/// What an alert of a correlation says.
#[derive(Clone, Debug, PartialEq)]
pub struct CorrelationAlert {
    /// Derived from tenant, correlation, revision, group and window.
    pub id: AlertId,
    /// Position of the correlation in [`Correlations::all`].
    pub correlation: usize,
    /// Readable values of the group-by fields.
    pub group: Vec<String>,
    /// Which group that is.
    pub group_key: GroupKey,
    /// Number of the window.
    pub window: i64,
    /// Why.
    pub finding: Finding,
}

impl Correlations {
    /// Gathers contributions by the state they go to, each bounded. What is gathered of a block is then merged into
    /// the stored states, once for each.
    #[must_use]
    pub fn gather(&self, contributions: impl IntoIterator<Item = Contribution>) -> States {
        let mut gathered: FxHashMap<StateKey, Vec<Contribution>> = FxHashMap::default();
        for contribution in contributions {
            gathered.entry(contribution.key).or_default().push(contribution);
        }
        let states = gathered.into_iter().map(|(key, contributions)| {
            let mut state = WindowState::gathered(contributions);
            if let Some(compiled) = self.get(key.correlation) {
                compiled.bound(&mut state);
            }
            (key, state)
        });
        states.collect()
    }
}

/// Windows kept in memory. The alerts are a pure function of the set of contributions and of how far time has come,
/// whatever the order.
#[derive(Clone, Debug)]
pub struct Windows<'c> {
    correlations: &'c Correlations,
    tenant: Tenant,
    states: States,
    /// Windows to judge.
    dirty: BTreeSet<StateKey>,
    /// Windows to judge when time has come so far.
    waiting: BTreeSet<(Timestamp, StateKey)>,
    now: Timestamp,
}

impl<'c> Windows<'c> {
    /// None yet; time has not begun.
    #[must_use]
    pub fn new(correlations: &'c Correlations, tenant: Tenant) -> Self {
        Self {
            correlations,
            tenant,
            states: States::new(),
            dirty: BTreeSet::new(),
            waiting: BTreeSet::new(),
            now: Timestamp(i64::MIN),
        }
    }

    /// Takes in an event that the rule at this position matched.
    pub fn observe(&mut self, rule: usize, event: &Event) -> Lost {
        let mut contributions = Vec::new();
        let lost = self.correlations.contributions(rule, event, &mut contributions);
        self.add(contributions);
        lost
    }

    /// Takes in contributions.
    pub fn add(&mut self, contributions: impl IntoIterator<Item = Contribution>) {
        let gathered = self.correlations.gather(contributions);
        self.merge(&gathered);
    }

    /// Takes in states that were gathered elsewhere.
    pub fn merge(&mut self, states: &States) {
        for (key, theirs) in states {
            let Some(compiled) = self.correlations.get(key.correlation) else {
                continue;
            };
            let ours = self.states.entry(*key).or_default();
            if compiled.merge(ours, theirs) {
                for window in compiled.judged_with(key.window) {
                    self.dirty.insert(StateKey { window, ..*key });
                }
            }
        }
    }

    /// The states.
    #[must_use]
    pub fn states(&self) -> &States {
        &self.states
    }

    /// Lets event time come as far as `now`; it never goes back. Judges what there is to judge.
    pub fn advance(&mut self, now: Timestamp) {
        self.now = self.now.max(now);
        while let Some((due, key)) = self.waiting.pop_first() {
            if due > self.now {
                self.waiting.insert((due, key));
                break;
            }
            self.dirty.insert(key);
        }
        // Inner correlations have lower positions, so what they give to others is judged after them.
        while let Some(key) = self.dirty.pop_first() {
            self.judge(&key);
        }
    }

    /// Lets all time pass: nothing more will come.
    pub fn finish(&mut self) {
        self.advance(Timestamp(i64::MAX));
    }

    /// Forgets windows that are over for events that come up to `lateness` microseconds late, with their alerts, which
    /// are returned.
    pub fn evict(&mut self, lateness: i64) -> Vec<CorrelationAlert> {
        let correlations = self.correlations;
        let now = self.now;
        let is_over = |key: &StateKey| {
            let compiled = correlations.get(key.correlation);
            compiled.is_none_or(|compiled| compiled.expires(key.window, lateness) < now)
        };
        let over: Vec<StateKey> = self.states.keys().filter(|key| is_over(key)).cloned().collect();
        let alerts = over.iter().filter_map(|key| self.alert(key)).collect();
        for key in over {
            self.states.remove(&key);
        }
        alerts
    }

    /// What is found as of the last [`Self::advance`], by time and id. Correlations that only serve others are left
    /// out.
    #[must_use]
    pub fn alerts(&self) -> Vec<CorrelationAlert> {
        let mut alerts: Vec<CorrelationAlert> = self.states.keys().filter_map(|key| self.alert(key)).collect();
        alerts.sort_by(|left, right| (left.finding.trigger, &left.id).cmp(&(right.finding.trigger, &right.id)));
        alerts
    }

    fn alert(&self, key: &StateKey) -> Option<CorrelationAlert> {
        let compiled = self.correlations.get(key.correlation)?;
        let state = self.states.get(key)?;
        let finding = state.announced.as_ref()?.finding.clone()?;
        (!compiled.is_silenced()).then(|| CorrelationAlert {
            id: compiled.alert_id(&self.tenant, &key.group, key.window),
            correlation: key.correlation,
            group: state.group.clone(),
            group_key: key.group,
            window: key.window,
            finding,
        })
    }

    fn judge(&mut self, key: &StateKey) {
        let Some(compiled) = self.correlations.get(key.correlation) else {
            return;
        };
        let state = |window: Option<i64>| {
            let window = window?;
            self.states.get(&StateKey { window, ..*key })
        };
        let windows = Neighbours {
            previous: state(key.window.checked_sub(1)),
            this: state(Some(key.window)),
            next: state(key.window.checked_add(1)),
        };
        let version = compiled.version(key.window, windows);
        let verdict = compiled.judge(key.window, windows, self.now);
        if let Verdict::Open { due } = verdict {
            self.waiting.insert((due, *key));
        }
        let Some(state) = self.states.get_mut(key) else { return };
        if state.announce(version, &verdict) {
            let mut contributions = Vec::new();
            self.correlations.chained(key, state, &self.tenant, &mut contributions);
            self.add(contributions);
        }
    }
}
