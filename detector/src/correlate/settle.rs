//! From contributions to alerts: merge, judge, announce, go on with what alerts contribute in turn.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::{Duration, Instant};

use model::{AlertId, Event, EventId, Tenant, Timestamp};
use rustc_hash::FxHashMap;
use sigma::correlation::{Compiled, Contribution, Correlations, Neighbours, Origin, StateKey, Verdict};
use storage::alerts::Put;
use storage::states::{self, About, Kind, Write};
use storage::{Store, alerts, blocks};

use super::alert::{Parts, build};
use super::body::Body;
use crate::metrics;
use crate::rules::compiled::TenantRules;

/// Tries to write a state before the work is left for later.
const MAX_ROUNDS: usize = 40;
/// Longest chain of correlations over correlations.
const MAX_CHAIN: usize = 64;
/// How long a window of the past is left alone after something came in for it, before it is judged.
const QUIET: i64 = 3_000_000;
/// How often a limit that is hit is logged for one rule.
const ANNOUNCE: Duration = Duration::from_secs(3600);

/// Why findings were not settled.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SettleError {
    /// The database failed.
    #[error(transparent)]
    Storage(#[from] storage::Error),
    /// Others kept changing the same states.
    #[error("states of windows changed too often")]
    Contended,
}

/// Settles findings against what is stored.
pub(crate) struct Settler {
    pub(crate) store: Store,
    /// How late events may come, in microseconds: how long states are kept.
    pub(crate) lateness: i64,
    /// When each rule's limits were logged last.
    pub(crate) announced: FxHashMap<String, Instant>,
}

/// What the work is done with.
#[derive(Clone, Copy)]
pub(crate) struct With<'a> {
    pub(crate) rules: &'a TenantRules,
    pub(crate) tenant: &'a Tenant,
    /// Events that are at hand.
    pub(crate) events: &'a FxHashMap<EventId, Event>,
}

/// A state as it is in the database now, as far as is known.
#[derive(Clone, Debug, Default)]
struct Known {
    version: i64,
    body: Body,
}

type Gathered = BTreeMap<StateKey, Body>;

impl Settler {
    /// Takes contributions in, and does all that follows from them. Doing it again changes nothing.
    pub(crate) async fn contribute(
        &mut self,
        with: With<'_>,
        contributions: Vec<Contribution>,
    ) -> Result<(), SettleError> {
        let gathered = gather(&with.rules.correlations, contributions, |body, origin| {
            if let Origin::Event(id) = origin
                && let Some(event) = with.events.get(id)
            {
                body.see(event);
            }
        });
        self.settle(with, gathered, BTreeSet::new()).await
    }

    /// Judges windows whose time has come.
    pub(crate) async fn judge_due(&mut self, with: With<'_>, keys: BTreeSet<StateKey>) -> Result<(), SettleError> {
        self.settle(with, Gathered::new(), keys).await
    }

    async fn settle(
        &mut self,
        with: With<'_>,
        mut gathered: Gathered,
        mut judged: BTreeSet<StateKey>,
    ) -> Result<(), SettleError> {
        let correlations = &with.rules.correlations;
        for _ in 0..MAX_CHAIN {
            if gathered.is_empty() && judged.is_empty() {
                return Ok(());
            }
            self.merge(with, &gathered).await?;
            self.arm(with, &gathered).await?;
            for key in gathered.keys() {
                let Some(compiled) = correlations.get(key.correlation) else {
                    continue;
                };
                for window in compiled.judged_with(key.window) {
                    if compiled.due(window).is_none() {
                        judged.insert(StateKey { window, ..key.clone() });
                    }
                }
            }
            let known = self.judge(with, &judged).await?;
            self.alert(with, known.clone()).await?;
            gathered = chained(with, &known);
            judged.clear();
        }
        Err(SettleError::Contended)
    }

    /// Merges what was gathered into what is stored.
    async fn merge(&self, with: With<'_>, gathered: &Gathered) -> Result<(), SettleError> {
        let mut open: Vec<(&StateKey, &Body)> = gathered.iter().collect();
        for _ in 0..MAX_ROUNDS {
            if open.is_empty() {
                return Ok(());
            }
            let known = self.read(with, open.iter().map(|(key, _)| *key)).await?;
            let mut changed: Vec<(&StateKey, &Body, Known)> = Vec::new();
            for (key, body) in open {
                let Some(compiled) = with.rules.correlations.get(key.correlation) else {
                    continue;
                };
                let mut known = known.get(key).cloned().unwrap_or_default();
                if known.body.merge(body, compiled) {
                    changed.push((key, body, known));
                }
            }
            let is_written = {
                let states = changed.iter().map(|(key, _, known)| (*key, known));
                self.write(with, states).await?
            };
            open = changed
                .into_iter()
                .zip(is_written)
                .filter(|(_, is_written)| !is_written)
                .map(|((key, body, _), _)| (key, body))
                .collect();
        }
        Err(SettleError::Contended)
    }

    /// Sees to it that windows which cannot be judged yet are judged when they can.
    async fn arm(&self, with: With<'_>, gathered: &Gathered) -> Result<(), SettleError> {
        let now = Timestamp::now();
        let mut due: BTreeMap<String, Timestamp> = BTreeMap::new();
        for key in gathered.keys() {
            let Some(compiled) = with.rules.correlations.get(key.correlation) else {
                continue;
            };
            for window in compiled.judged_with(key.window) {
                if let Some(at) = compiled.due(window) {
                    let id = compiled.alert_id(with.tenant, &key.group, window);
                    due.insert(id.to_string(), at.max(Timestamp(now.0.saturating_add(QUIET))));
                }
            }
        }
        let due: Vec<(String, Timestamp)> = due.into_iter().collect();
        if !due.is_empty() {
            states::arm(&self.store, Kind::Correlations, &due).await?;
        }
        Ok(())
    }

    /// Judges windows from what is stored now and notes the verdicts. Answers with the states of these windows.
    async fn judge(
        &mut self,
        with: With<'_>,
        keys: &BTreeSet<StateKey>,
    ) -> Result<BTreeMap<StateKey, Body>, SettleError> {
        let correlations = &with.rules.correlations;
        let now = Timestamp::now();
        let mut judged = BTreeMap::new();
        let mut open: Vec<&StateKey> = keys.iter().collect();
        for _ in 0..MAX_ROUNDS {
            if open.is_empty() {
                return Ok(judged);
            }
            let mut needed = BTreeSet::new();
            for key in &open {
                if let Some(compiled) = correlations.get(key.correlation) {
                    for window in compiled.needed_for(key.window) {
                        needed.insert(StateKey {
                            window,
                            ..(*key).clone()
                        });
                    }
                }
            }
            let known = self.read(with, needed.iter()).await?;
            let mut changed: Vec<(&StateKey, Known)> = Vec::new();
            for key in open {
                let Some(compiled) = correlations.get(key.correlation) else {
                    continue;
                };
                let state = |window: Option<i64>| {
                    let window = window?;
                    let known = known.get(&StateKey { window, ..key.clone() });
                    known.map(|known| &known.body.window)
                };
                let windows = Neighbours {
                    previous: state(key.window.checked_sub(1)),
                    this: state(Some(key.window)),
                    next: state(key.window.checked_add(1)),
                };
                let Some(mut this) = known.get(key).cloned() else {
                    continue;
                };
                let verdict = compiled.judge(key.window, windows, now);
                if verdict.overflowed() {
                    self.announce_limit(compiled);
                }
                if this
                    .body
                    .window
                    .announce(compiled.version(key.window, windows), &verdict)
                {
                    changed.push((key, this));
                } else if !matches!(verdict, Verdict::Open { .. }) {
                    judged.insert(key.clone(), this.body);
                }
            }
            let states = changed.iter().map(|(key, known)| (*key, known));
            self.write(with, states).await?;
            // Whether written or not: a neighbour may have changed since it was read, by somebody who found nothing to
            // take back yet. It ends when a fresh look says the same as what is stored.
            open = changed.into_iter().map(|(key, _)| key).collect();
        }
        Err(SettleError::Contended)
    }

    /// Makes, changes or takes back the alerts that follow from states.
    async fn alert(&self, with: With<'_>, mut judged: BTreeMap<StateKey, Body>) -> Result<(), SettleError> {
        for _ in 0..MAX_ROUNDS {
            judged.retain(|key, body| {
                let compiled = with.rules.correlations.get(key.correlation);
                body.window.announced.is_some() && compiled.is_some_and(|compiled| !compiled.is_silenced())
            });
            if judged.is_empty() {
                return Ok(());
            }
            let changed = self.write_alerts(with, &judged).await?;
            // Whoever took a verdict back meanwhile may not have seen the alert that was only just made.
            let again = self.read(with, changed.iter()).await?;
            judged = again
                .into_iter()
                .filter(|(key, known)| {
                    let version = |body: &Body| body.window.announced.as_ref().map(|announced| announced.version);
                    judged
                        .get(key)
                        .is_some_and(|before| version(before) < version(&known.body))
                })
                .map(|(key, known)| (key, known.body))
                .collect();
        }
        Err(SettleError::Contended)
    }

    /// Writes alerts and answers with the windows whose alerts were made or changed.
    async fn write_alerts(
        &self,
        with: With<'_>,
        judged: &BTreeMap<StateKey, Body>,
    ) -> Result<Vec<StateKey>, SettleError> {
        let processed_at = Timestamp::from_millis(Timestamp::now().as_millis());
        let (mut made, mut keys, mut retracted) = (Vec::new(), Vec::new(), Vec::new());
        let id = |key: &StateKey| {
            let compiled = with.rules.correlations.get(key.correlation)?;
            Some(compiled.alert_id(with.tenant, &key.group, key.window))
        };
        let ids: Vec<AlertId> = judged.keys().filter_map(id).collect();
        let there = alerts::versions(&self.store, &ids).await?;
        for (key, body) in judged {
            let (Some(compiled), Some(id)) = (with.rules.correlations.get(key.correlation), id(key)) else {
                continue;
            };
            let Some(announced) = &body.window.announced else {
                continue;
            };
            // Most windows that something comes in for have their alert.
            if there.get(&id).is_some_and(|version| *version >= announced.version) {
                continue;
            }
            let Some(finding) = &announced.finding else {
                retracted.push((id, announced.version));
                continue;
            };
            let Some(heading) = with.rules.correlation_headings.get(key.correlation) else {
                continue;
            };
            let found;
            let event = match body.root() {
                None => None,
                Some(id) => match with.events.get(&id) {
                    Some(event) => Some(event),
                    None => {
                        found = self.stored_event(with.tenant, &id).await?;
                        found.as_ref()
                    }
                },
            };
            let parts = Parts {
                tenant: with.tenant,
                key,
                compiled,
                heading,
                body,
                finding,
                event,
                processed_at,
            };
            made.push((build(&parts), announced.version));
            keys.push(key.clone());
        }
        if !retracted.is_empty() {
            alerts::retract(&self.store, &retracted).await?;
        }
        let put = alerts::put_versioned(&self.store, &made).await?;
        let new = put.iter().filter(|put| **put == Put::Inserted).count();
        metrics::alerts(new);
        metrics::correlation_alerts(new);
        let changed = keys.into_iter().zip(put).filter(|(_, put)| *put != Put::Unchanged);
        Ok(changed.map(|(key, _)| key).collect())
    }

    /// An event that is not at hand. One whose block is not readable is as good as gone.
    async fn stored_event(&self, tenant: &Tenant, id: &EventId) -> Result<Option<Event>, storage::Error> {
        match blocks::event(&self.store, tenant, id).await {
            Err(error) if error.is_retryable() => Err(error),
            Err(_) => Ok(None),
            found => found,
        }
    }

    async fn read<'k>(
        &self,
        with: With<'_>,
        keys: impl Iterator<Item = &'k StateKey>,
    ) -> Result<BTreeMap<StateKey, Known>, SettleError> {
        let mut ids: HashMap<String, &StateKey> = HashMap::new();
        for key in keys {
            if let Some(compiled) = with.rules.correlations.get(key.correlation) {
                let id: AlertId = compiled.alert_id(with.tenant, &key.group, key.window);
                ids.insert(id.to_string(), key);
            }
        }
        if ids.is_empty() {
            return Ok(BTreeMap::new());
        }
        let names: Vec<String> = ids.keys().cloned().collect();
        let found = states::read::<Body>(&self.store, Kind::Correlations, &names).await?;
        Ok(found
            .into_iter()
            .filter_map(|(id, stored)| {
                let known = Known {
                    version: stored.version,
                    body: stored.state.unwrap_or_default(),
                };
                Some(((*ids.get(&id)?).clone(), known))
            })
            .collect())
    }

    async fn write<'k>(
        &self,
        with: With<'_>,
        states: impl Iterator<Item = (&'k StateKey, &'k Known)>,
    ) -> Result<Vec<bool>, SettleError> {
        let now = Timestamp::now();
        let mut prepared = Vec::new();
        for (key, known) in states {
            let Some(compiled) = with.rules.correlations.get(key.correlation) else {
                continue;
            };
            let id = compiled.alert_id(with.tenant, &key.group, key.window).to_string();
            prepared.push((id, key, known, compiled));
        }
        let writes: Vec<Write<'_, Body>> = prepared
            .iter()
            .map(|(id, key, known, compiled)| {
                let metadata = &compiled.definition().metadata;
                let kept = now.0.saturating_add(self.lateness);
                Write {
                    key: id,
                    expected: known.version,
                    about: About {
                        tenant: with.tenant.clone(),
                        rule_id: metadata.id.clone(),
                        revision: metadata.revision.clone(),
                        group: key.group.as_str().to_owned(),
                        window: key.window,
                    },
                    state: &known.body,
                    due: None,
                    expires: compiled.expires(key.window, self.lateness).max(Timestamp(kept)),
                }
            })
            .collect();
        if writes.is_empty() {
            return Ok(Vec::new());
        }
        Ok(states::write(&self.store, Kind::Correlations, &writes).await?)
    }

    fn announce_limit(&mut self, compiled: &Compiled) {
        metrics::correlation_overflowed();
        let metadata = &compiled.definition().metadata;
        let last = self.announced.get(&metadata.id);
        if last.is_none_or(|last| last.elapsed() >= ANNOUNCE) {
            self.announced.insert(metadata.id.clone(), Instant::now());
            tracing::warn!(
                rule.id = metadata.id,
                "correlation has more events in a window than are kept, its numbers may be too low"
            );
        }
    }
}

fn gather(
    correlations: &Correlations,
    contributions: Vec<Contribution>,
    mut see: impl FnMut(&mut Body, &Origin),
) -> Gathered {
    let mut seen: BTreeMap<StateKey, Body> = BTreeMap::new();
    for contribution in &contributions {
        see(seen.entry(contribution.key.clone()).or_default(), &contribution.origin);
    }
    for (key, window) in correlations.gather(contributions) {
        seen.entry(key).or_default().window = window;
    }
    seen
}

/// What the alerts of these windows contribute to other correlations.
fn chained(with: With<'_>, judged: &BTreeMap<StateKey, Body>) -> Gathered {
    let correlations = &with.rules.correlations;
    let mut contributions = Vec::new();
    let mut inner: HashMap<AlertId, &Body> = HashMap::new();
    for (key, body) in judged {
        let before = contributions.len();
        correlations.chained(key, &body.window, with.tenant, &mut contributions);
        if contributions.len() > before
            && let Some(compiled) = correlations.get(key.correlation)
        {
            inner.insert(compiled.alert_id(with.tenant, &key.group, key.window), body);
        }
    }
    gather(correlations, contributions, |body, origin| {
        if let Origin::Alert(id) = origin
            && let Some(inner) = inner.get(id)
        {
            body.see_alert(id.clone(), inner);
        }
    })
}
