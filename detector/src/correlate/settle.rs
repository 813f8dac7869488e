//! From contributions to alerts: merge, judge, announce, go on with what alerts contribute in turn.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use model::{AlertId, Event, EventId, Tenant, Timestamp};
use rustc_hash::FxHashMap;
use sigma::correlation::{Compiled, Contribution, Correlations, Origin, StateKey};
use storage::Store;
use storage::windows::{self, About};

use super::body::Body;
use super::log::Session;
use super::memory::{Memory, Place};
use crate::metrics;
use crate::rules::compiled::{Compiled as Rules, TenantRules};

/// Tries to write before the work is left for later.
pub(super) const MAX_ROUNDS: u32 = 40;
/// Longest chain of correlations over correlations.
const MAX_CHAIN: usize = 64;
/// How long a window of the past is left alone after something came in for it, before it is judged.
const QUIET: i64 = 3_000_000;
/// How often a limit that is hit is logged for one rule.
const ANNOUNCE: Duration = Duration::from_secs(3600);
/// Pause after others were faster, times the number of the try.
pub(super) const BACK_OFF: Duration = Duration::from_millis(2);

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
    pub(super) memory: Memory,
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

pub(super) type Gathered = FxHashMap<StateKey, Body>;

impl Settler {
    /// Nothing is known yet. About `max_memory` bytes are taken for what is.
    pub(crate) fn new(store: Store, lateness: i64, max_memory: usize) -> Self {
        Self {
            store,
            lateness,
            announced: FxHashMap::default(),
            memory: Memory::new(max_memory),
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
        let settled = self.settle(&mut Session::new(with), gathered, BTreeSet::new()).await;
        self.tidy().await;
        settled
    }

    /// Judges windows whose time has come.
    pub(crate) async fn judge_due(&mut self, with: With<'_>, places: &[Place]) -> Result<(), SettleError> {
        let settled = self.settle_due(with, places).await;
        self.tidy().await;
        settled
    }

    async fn settle_due(&mut self, with: With<'_>, places: &[Place]) -> Result<(), SettleError> {
        let mut session = Session::new(with);
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
            let judged = self.judge(session, std::mem::take(&mut candidates), fresh).await?;
            self.alert(session, &judged).await?;
            gathered = self.chained(session, &judged);
            done.extend(judged);
        }
        Err(SettleError::Contended)
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

    /// Sums up long logs and forgets what was not used for long, also where settling failed: what was added until then is
    /// remembered. What fails here is done another time.
    async fn tidy(&mut self) {
        while let Some(checkpoint) = self.memory.next_checkpoint() {
            let put = windows::put_checkpoint(&self.store, checkpoint);
            if let Err(error) = put.await {
                tracing::debug!(%error, "log of a window not summed up");
            }
        }
        metrics::correlation_memory(self.memory.trim());
    }

    pub(super) fn announce_limit(&mut self, compiled: &Compiled) {
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
