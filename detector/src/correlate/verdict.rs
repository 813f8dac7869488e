//! Verdicts on windows, and the alerts that follow from them.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use model::{AlertId, Event, EventId, Tenant, Timestamp};
use rustc_hash::FxHashSet;
use sigma::correlation::{Announced, StateKey, Verdict};
use storage::alerts::Put;
use storage::{alerts, blocks};

use super::alert::{Parts, build};
use super::body::Body;
use super::log::{Addition, Session};
use super::memory::Place;
use super::settle::{BACK_OFF, MAX_ROUNDS, SettleError, Settler};
use crate::metrics;

impl Settler {
    /// Judges windows from what is there now and notes the verdicts. Answers with those that were judged and how much
    /// was known of them. `fresh` are the logs that were looked at a moment ago, after everything else was added.
    pub(super) async fn judge(
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
            if round == 0 {
                // Not before: what others added may matter to windows of which nothing was known.
                open.retain(|key| !self.is_settled(session, key));
            }
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
    ) -> Option<Addition<'static>> {
        let mut merged = self.group(session, key)?.body.clone();
        merged.window.announced = Some(announced.clone());
        Some((*key, merged, Cow::Owned(Body::announcement(announced))))
    }

    /// Makes, changes or takes back the alerts that follow from windows.
    pub(super) async fn alert(
        &mut self,
        session: &mut Session<'_>,
        judged: &[(StateKey, u64)],
    ) -> Result<(), SettleError> {
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

    /// An event that is not at hand. One whose block is not readable is as good as gone.
    async fn stored_event(&self, tenant: &Tenant, id: &EventId) -> Result<Option<Event>, storage::Error> {
        match blocks::event(&self.store, tenant, id).await {
            Err(error) if error.is_retryable() => Err(error),
            Err(_) => Ok(None),
            found => found,
        }
    }
}
