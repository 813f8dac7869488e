//! From contributions to alerts: merge, judge, announce, go on with what alerts contribute in turn.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use model::{AlertId, Event, EventId, Tenant, Timestamp};
use rustc_hash::{FxHashMap, FxHashSet};
use sigma::correlation::{Announced, Compiled, Contribution, Correlations, Neighbours, Origin, StateKey, Verdict};
use storage::alerts::Put;
use storage::windows::{self, About, LogKey, Segment};
use storage::{Store, alerts, blocks};

use super::alert::{Parts, build};
use super::body::Body;
use super::memory::{self, Group, Memory, Place};
use crate::metrics;
use crate::rules::compiled::{Compiled as Rules, TenantRules};

/// Tries to write before the work is left for later.
const MAX_ROUNDS: u32 = 40;
/// Longest chain of correlations over correlations.
const MAX_CHAIN: usize = 64;
/// How long a window of the past is left alone after something came in for it, before it is judged.
const QUIET: i64 = 3_000_000;
/// How often a limit that is hit is logged for one rule.
const ANNOUNCE: Duration = Duration::from_secs(3600);
/// Longest segment in bytes, but for the last group in it.
const MAX_SEGMENT: usize = 4 << 20;
/// Pause after others were faster, times the number of the try.
const BACK_OFF: Duration = Duration::from_millis(2);

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
    announced: FxHashMap<String, Instant>,
    memory: Memory,
    /// The rules that were used last.
    rules: Option<Arc<Rules>>,
}

/// What the work is done with.
#[derive(Clone, Copy)]
pub(crate) struct With<'a> {
    pub(crate) rules: &'a TenantRules,
    pub(crate) tenant: &'a Tenant,
    /// Events that are at hand.
    pub(crate) events: &'a FxHashMap<EventId, Event>,
}

/// One go at settling: what it is done with, and the logs that were asked for so far.
struct Session<'a> {
    with: With<'a>,
    keys: FxHashMap<Place, LogKey>,
}

type Gathered = FxHashMap<StateKey, Body>;

impl<'a> Session<'a> {
    fn compiled(&self, correlation: usize) -> Option<&'a Compiled> {
        self.with.rules.correlations.get(correlation)
    }

    fn about(&self, place: Place) -> Option<About> {
        let metadata = &self.compiled(place.correlation)?.definition().metadata;
        Some(About {
            tenant: self.with.tenant.clone(),
            rule_id: metadata.id.clone(),
            revision: metadata.revision.clone(),
            window: place.window,
            share: place.share,
        })
    }

    fn log(&mut self, place: Place) -> Option<LogKey> {
        if let Some(key) = self.keys.get(&place) {
            return Some(*key);
        }
        let key = self.about(place)?.key();
        self.keys.insert(place, key);
        Some(key)
    }
}

impl Settler {
    /// Nothing is known yet.
    pub(crate) fn new(store: Store, lateness: i64) -> Self {
        Self {
            store,
            lateness,
            announced: FxHashMap::default(),
            memory: Memory::default(),
            rules: None,
        }
    }

    /// Says which rules the next work is done with.
    pub(crate) fn use_rules(&mut self, rules: &Arc<Rules>) {
        if !self.rules.as_ref().is_some_and(|known| Arc::ptr_eq(known, rules)) {
            self.memory.unsettle();
            self.rules = Some(Arc::clone(rules));
        }
    }

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
        let mut session = Session {
            with,
            keys: FxHashMap::default(),
        };
        self.settle(&mut session, gathered, BTreeSet::new()).await
    }

    /// Judges windows whose time has come.
    pub(crate) async fn judge_due(&mut self, with: With<'_>, places: &[Place]) -> Result<(), SettleError> {
        let mut session = Session {
            with,
            keys: FxHashMap::default(),
        };
        self.refresh(&mut session, places.iter().copied()).await?;
        let mut candidates = BTreeSet::new();
        for place in places {
            let log = session.log(*place).and_then(|key| self.memory.log(key));
            candidates.extend(
                log.into_iter()
                    .flat_map(|log| log.groups.keys())
                    .map(|group| place.key(*group)),
            );
        }
        self.settle(&mut session, Gathered::default(), candidates).await
    }

    async fn settle(
        &mut self,
        session: &mut Session<'_>,
        mut gathered: Gathered,
        mut candidates: BTreeSet<StateKey>,
    ) -> Result<(), SettleError> {
        let mut done = Vec::new();
        for _ in 0..MAX_CHAIN {
            if gathered.is_empty() && candidates.is_empty() {
                for (key, version) in done {
                    if let Some(log) = session.log(Place::of(&key)) {
                        self.memory.settle(log, key.group, version);
                    }
                }
                self.tidy().await;
                return Ok(());
            }
            let fresh = self.merge(session, &gathered).await?;
            self.arm(session, &gathered).await?;
            for key in gathered.keys() {
                let Some(compiled) = session.compiled(key.correlation) else {
                    continue;
                };
                for window in compiled.judged_with(key.window) {
                    if compiled.due(window).is_none() {
                        candidates.insert(StateKey { window, ..*key });
                    }
                }
            }
            candidates.retain(|key| !self.is_settled(session, key));
            let judged = self.judge(session, std::mem::take(&mut candidates), fresh).await?;
            self.alert(session, &judged).await?;
            gathered = self.chained(session, &judged);
            done.extend(judged);
        }
        Err(SettleError::Contended)
    }

    /// Adds what was gathered to the logs, where it is not there yet. Answers with the logs that were looked at since.
    async fn merge(&mut self, session: &mut Session<'_>, gathered: &Gathered) -> Result<FxHashSet<Place>, SettleError> {
        let mut open: BTreeMap<Place, Vec<(&StateKey, &Body)>> = BTreeMap::new();
        for (key, body) in gathered {
            open.entry(Place::of(key)).or_default().push((key, body));
        }
        let mut fresh = FxHashSet::default();
        for round in 0..MAX_ROUNDS {
            if open.is_empty() {
                return Ok(fresh);
            }
            let unknown: Vec<Place> = open
                .keys()
                .copied()
                .filter(|place| !self.is_known(session, *place))
                .collect();
            self.refresh(session, unknown.into_iter()).await?;
            let mut additions = Vec::new();
            for (place, gathered) in &open {
                let changed = self.changed(session, gathered);
                if !changed.is_empty() {
                    additions.push((*place, changed));
                }
            }
            let added = self.add(session, additions).await?;
            // Only once more is known of a log than was added is it certain that this was the next segment.
            let again = self.refresh(session, added.keys().copied()).await?;
            fresh.extend(added.keys());
            open.retain(|place, _| again.contains(place) || added.get(place) == Some(&false));
            if !open.is_empty() {
                tokio::time::sleep(BACK_OFF * round).await;
            }
        }
        Err(SettleError::Contended)
    }

    /// What these states become with what was gathered, if that changes them; and what was gathered.
    fn changed<'g>(
        &self,
        session: &mut Session<'_>,
        gathered: &[(&'g StateKey, &'g Body)],
    ) -> Vec<(StateKey, Body, std::borrow::Cow<'g, Body>)> {
        let mut changed = Vec::new();
        for (key, body) in gathered {
            let Some(compiled) = session.compiled(key.correlation) else {
                continue;
            };
            let known = self.group(session, key);
            let mut merged = known.map(|known| known.body.clone()).unwrap_or_default();
            if merged.merge(body, compiled) {
                changed.push((**key, merged, std::borrow::Cow::Borrowed(*body)));
            }
        }
        changed
    }

    /// Adds segments: for each group what it becomes, and what is written. Says of each log that was written to whether
    /// all is there now.
    async fn add(
        &mut self,
        session: &mut Session<'_>,
        additions: Vec<(Place, Vec<(StateKey, Body, std::borrow::Cow<'_, Body>)>)>,
    ) -> Result<FxHashMap<Place, bool>, SettleError> {
        let now = Timestamp::now();
        let (mut segments, mut pending) = (Vec::new(), Vec::new());
        for (place, changed) in additions {
            let (Some(key), Some(compiled)) = (session.log(place), session.compiled(place.correlation)) else {
                continue;
            };
            let kept = Timestamp(now.0.saturating_add(self.lateness));
            let expires = compiled.expires(place.window, self.lateness).max(kept);
            let (mut body, mut bodies, count) = (memory::empty(), Vec::new(), changed.len());
            for (key, merged, written) in changed {
                if body.len() > MAX_SEGMENT {
                    break;
                }
                memory::pack_group(&key.group, &written, &mut body);
                bodies.push((key.group, merged));
            }
            let is_whole = bodies.len() == count;
            pending.push((place, key, bodies, body.len(), expires, is_whole));
            segments.push(Segment {
                key,
                number: self.memory.log(key).map_or(0, |log| log.number).saturating_add(1),
                body,
                expires,
            });
        }
        let mut outcome = FxHashMap::default();
        if segments.is_empty() {
            return Ok(outcome);
        }
        let is_added = windows::append(&self.store, segments).await?;
        for ((place, key, bodies, bytes, expires, is_whole), is_added) in pending.into_iter().zip(is_added) {
            if is_added {
                self.memory.added(key, bodies, bytes, expires);
            }
            outcome.insert(place, is_added && is_whole);
        }
        Ok(outcome)
    }

    /// Reads what others added to logs. Answers with those of which something else was known than is there.
    async fn refresh(
        &mut self,
        session: &mut Session<'_>,
        places: impl Iterator<Item = Place>,
    ) -> Result<FxHashSet<Place>, SettleError> {
        let mut known = Vec::new();
        let mut by_key = FxHashMap::default();
        for place in places {
            if let Some(key) = session.log(place) {
                known.push((key, self.memory.log(key).map_or(0, |log| log.number)));
                by_key.insert(key, place);
                self.memory.touch(key);
            }
        }
        let mut replaced = FxHashSet::default();
        if known.is_empty() {
            return Ok(replaced);
        }
        let newer = windows::newer(&self.store, &known).await?;
        known.retain(|(key, _)| newer.contains(key));
        if known.is_empty() {
            return Ok(replaced);
        }
        for (key, rest) in windows::read(&self.store, &known).await? {
            let Some(place) = by_key.get(&key) else { continue };
            if let Some(compiled) = session.compiled(place.correlation)
                && self.memory.take(key, rest, compiled)
            {
                replaced.insert(*place);
            }
        }
        Ok(replaced)
    }

    fn is_known(&self, session: &mut Session<'_>, place: Place) -> bool {
        session.log(place).is_some_and(|key| self.memory.log(key).is_some())
    }

    fn group(&self, session: &mut Session<'_>, key: &StateKey) -> Option<&Group> {
        let log = session.log(Place::of(key))?;
        self.memory.log(log)?.groups.get(&key.group)
    }

    fn neighbours(&self, session: &mut Session<'_>, key: &StateKey) -> Neighbours<'_> {
        let mut state = |window: Option<i64>| {
            let key = StateKey {
                window: window?,
                ..*key
            };
            self.group(session, &key).map(|known| &known.body.window)
        };
        Neighbours {
            previous: state(key.window.checked_sub(1)),
            this: state(Some(key.window)),
            next: state(key.window.checked_add(1)),
        }
    }

    /// Whether nothing came to a window since it was judged, or there is none.
    fn is_settled(&self, session: &mut Session<'_>, key: &StateKey) -> bool {
        let Some(compiled) = session.compiled(key.correlation) else {
            return true;
        };
        let Some(known) = self.group(session, key) else {
            return true;
        };
        known.settled > 0 && known.settled == compiled.version(key.window, self.neighbours(session, key))
    }

    /// Sees to it that windows which cannot be judged yet are judged when they can.
    async fn arm(&self, session: &mut Session<'_>, gathered: &Gathered) -> Result<(), SettleError> {
        let now = Timestamp::now();
        let mut due: BTreeMap<Place, Timestamp> = BTreeMap::new();
        for key in gathered.keys() {
            let Some(compiled) = session.compiled(key.correlation) else {
                continue;
            };
            for window in compiled.judged_with(key.window) {
                if let Some(at) = compiled.due(window) {
                    let at = at.max(Timestamp(now.0.saturating_add(QUIET)));
                    due.insert(Place::of(&StateKey { window, ..*key }), at);
                }
            }
        }
        let due: Vec<(About, Timestamp)> = due
            .into_iter()
            .filter_map(|(place, at)| Some((session.about(place)?, at)))
            .collect();
        if !due.is_empty() {
            let kept = Timestamp(now.0.saturating_add(self.lateness));
            windows::arm(&self.store, &due, kept).await?;
        }
        Ok(())
    }

    /// Judges windows from what is there now and notes the verdicts. Answers with those that were judged and how much
    /// was known of them. `fresh` are the logs that were looked at a moment ago, after everything else was added.
    async fn judge(
        &mut self,
        session: &mut Session<'_>,
        candidates: BTreeSet<StateKey>,
        mut fresh: FxHashSet<Place>,
    ) -> Result<Vec<(StateKey, u64)>, SettleError> {
        let now = Timestamp::now();
        let mut judged = Vec::new();
        let mut open: Vec<StateKey> = candidates.into_iter().collect();
        for round in 0..MAX_ROUNDS {
            if open.is_empty() {
                return Ok(judged);
            }
            let mut needed = FxHashSet::default();
            for key in &open {
                if let Some(compiled) = session.compiled(key.correlation) {
                    let windows = compiled.needed_for(key.window);
                    needed.extend(windows.map(|window| Place::of(&StateKey { window, ..*key })));
                }
            }
            self.refresh(session, needed.difference(&fresh).copied()).await?;
            fresh.clear();
            let mut additions: BTreeMap<Place, Vec<_>> = BTreeMap::new();
            let mut again = Vec::new();
            for key in open {
                let Some(compiled) = session.compiled(key.correlation) else {
                    continue;
                };
                let windows = self.neighbours(session, &key);
                let Some(this) = windows.this else { continue };
                let version = compiled.version(key.window, windows);
                let verdict = compiled.judge(key.window, windows, now);
                let announced = this.announcing(version, &verdict);
                if verdict.overflowed() {
                    self.announce_limit(compiled);
                }
                if let Some(announced) = announced {
                    let announcement = self.announcement(session, &key, announced);
                    additions.entry(Place::of(&key)).or_default().extend(announcement);
                    again.push(key);
                } else if !matches!(verdict, Verdict::Open { .. }) {
                    judged.push((key, version));
                }
            }
            self.add(session, additions.into_iter().collect()).await?;
            // Whether added or not: a neighbour may have changed since it was read, by somebody who found nothing to
            // take back yet. It ends when a fresh look says the same as what is stored.
            open = again;
            if round > 2 {
                tokio::time::sleep(BACK_OFF * round).await;
            }
        }
        Err(SettleError::Contended)
    }

    fn announcement(
        &self,
        session: &mut Session<'_>,
        key: &StateKey,
        announced: Announced,
    ) -> Option<(StateKey, Body, std::borrow::Cow<'static, Body>)> {
        let mut merged = self.group(session, key)?.body.clone();
        merged.window.announced = Some(announced.clone());
        Some((*key, merged, std::borrow::Cow::Owned(Body::announcement(announced))))
    }

    /// Makes, changes or takes back the alerts that follow from windows.
    async fn alert(&mut self, session: &mut Session<'_>, judged: &[(StateKey, u64)]) -> Result<(), SettleError> {
        let mut open: Vec<StateKey> = judged.iter().map(|(key, _)| *key).collect();
        open.retain(|key| {
            session
                .compiled(key.correlation)
                .is_some_and(|compiled| !compiled.is_silenced())
        });
        for _ in 0..MAX_ROUNDS {
            open.retain(|key| self.announced_version(session, key) > 0);
            if open.is_empty() {
                return Ok(());
            }
            let changed = self.write_alerts(session, &open).await?;
            // Whoever took a verdict back meanwhile may not have seen the alert that was only just made.
            self.refresh(session, changed.iter().map(|(key, _)| Place::of(key)))
                .await?;
            open = changed
                .into_iter()
                .filter(|(key, version)| self.announced_version(session, key) > *version)
                .map(|(key, _)| key)
                .collect();
        }
        Err(SettleError::Contended)
    }

    /// How much was known when the window's last verdict was announced; 0 when none was.
    fn announced_version(&self, session: &mut Session<'_>, key: &StateKey) -> u64 {
        let known = self.group(session, key);
        let announced = known.and_then(|known| known.body.window.announced.as_ref());
        announced.map_or(0, |announced| announced.version)
    }

    /// Writes alerts and answers with the windows whose alerts were made or changed, and the versions.
    async fn write_alerts(
        &self,
        session: &mut Session<'_>,
        open: &[StateKey],
    ) -> Result<Vec<(StateKey, u64)>, SettleError> {
        let with = session.with;
        let processed_at = Timestamp::from_millis(Timestamp::now().as_millis());
        let (mut made, mut keys, mut retracted) = (Vec::new(), Vec::new(), Vec::new());
        let id = |key: &StateKey| {
            let compiled = with.rules.correlations.get(key.correlation)?;
            Some(compiled.alert_id(with.tenant, &key.group, key.window))
        };
        let ids: Vec<AlertId> = open.iter().filter_map(id).collect();
        let there = alerts::versions(&self.store, &ids).await?;
        for key in open {
            let (Some(compiled), Some(id)) = (with.rules.correlations.get(key.correlation), id(key)) else {
                continue;
            };
            let Some(body) = self.group(session, key).map(|known| &known.body) else {
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
            keys.push((*key, announced.version));
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

    /// What the alerts of these windows contribute to other correlations.
    fn chained(&self, session: &mut Session<'_>, judged: &[(StateKey, u64)]) -> Gathered {
        let With { rules, tenant, .. } = session.with;
        let mut contributions = Vec::new();
        let mut inner: FxHashMap<AlertId, &Body> = FxHashMap::default();
        for (key, _) in judged {
            let Some(known) = self.group(session, key) else {
                continue;
            };
            let before = contributions.len();
            rules
                .correlations
                .chained(key, &known.body.window, tenant, &mut contributions);
            if contributions.len() > before
                && let Some(compiled) = rules.correlations.get(key.correlation)
            {
                inner.insert(compiled.alert_id(tenant, &key.group, key.window), &known.body);
            }
        }
        gather(&rules.correlations, contributions, |body, origin| {
            if let Origin::Alert(id) = origin
                && let Some(inner) = inner.get(id)
            {
                body.see_alert(id.clone(), inner);
            }
        })
    }

    /// Sums up long logs and forgets what was not used for long. What fails here is done another time.
    async fn tidy(&mut self) {
        while let Some(checkpoint) = self.memory.next_checkpoint() {
            let put = windows::put_checkpoint(&self.store, checkpoint);
            if let Err(error) = put.await {
                tracing::debug!(%error, "log of a window not summed up");
            }
        }
        metrics::correlation_memory(self.memory.trim());
    }

    /// An event that is not at hand. One whose block is not readable is as good as gone.
    async fn stored_event(&self, tenant: &Tenant, id: &EventId) -> Result<Option<Event>, storage::Error> {
        match blocks::event(&self.store, tenant, id).await {
            Err(error) if error.is_retryable() => Err(error),
            Err(_) => Ok(None),
            found => found,
        }
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
    let mut gathered = Gathered::default();
    for contribution in &contributions {
        see(gathered.entry(contribution.key).or_default(), &contribution.origin);
    }
    for (key, window) in correlations.gather(contributions) {
        gathered.entry(key).or_default().window = window;
    }
    gathered
}
