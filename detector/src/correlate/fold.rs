//! Alerts that become part of one: which events it stands for, counted exactly once.

use std::collections::BTreeSet;

use model::alert::Alert;
use model::{AlertId, EventId, Tenant, Timestamp};
use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};
use storage::alerts::{self, Put, SuppressedCount};
use storage::suppressed::{self, About, Write};

use super::findings::Folded;
use super::settle::{SettleError, Settler};
use crate::metrics;
use crate::pipeline::evaluate::Shared;

/// Most events one alert tells apart; with more, its count says "at least".
const MAX_EVENTS: usize = 10_000;
/// Tries to write a state before the work is left for later.
const MAX_ROUNDS: usize = 40;

/// The events of one suppressing alert.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Span {
    /// Hashes of their ids.
    events: BTreeSet<i64>,
    /// There are more.
    at_least: bool,
}

impl Span {
    fn take(&mut self, ids: &[EventId]) -> bool {
        let mut is_changed = false;
        for id in ids {
            let hash = hash(id);
            if self.events.contains(&hash) {
                continue;
            }
            if self.events.len() < MAX_EVENTS {
                self.events.insert(hash);
                is_changed = true;
            } else if !self.at_least {
                self.at_least = true;
                is_changed = true;
            }
        }
        is_changed
    }
}

fn hash(id: &EventId) -> i64 {
    let hash = blake3::hash(id.to_string().as_bytes());
    let mut word = [0; 8];
    for (to, from) in word.iter_mut().zip(hash.as_bytes()) {
        *to = *from;
    }
    i64::from_le_bytes(word)
}

impl Settler {
    /// Counts alerts in the ones that stand for them, which are made where they are missing. Doing it again changes
    /// nothing.
    pub(crate) async fn fold(&self, tenant: &Tenant, folded: &FxHashMap<AlertId, Folded>) -> Result<(), SettleError> {
        let mut open: Vec<(&AlertId, &Folded)> = folded.iter().collect();
        let mut counts = Vec::new();
        for _ in 0..MAX_ROUNDS {
            if open.is_empty() {
                return self.put(tenant, folded, &counts).await;
            }
            let keys: Vec<String> = open.iter().map(|(id, _)| id.to_string()).collect();
            let mut known = suppressed::read::<Span>(&self.store, &keys).await?;
            let mut changed = Vec::new();
            for (key, (id, folded)) in keys.iter().zip(open) {
                let (version, mut span) = match known.remove(key) {
                    Some(stored) => (stored.version, stored.state.unwrap_or_default()),
                    None => (0, Span::default()),
                };
                if span.take(&folded.ids) {
                    changed.push((key, id, folded, version, span));
                } else {
                    counts.push(count(id, &span));
                }
            }
            let now = Timestamp::now();
            let writes: Vec<Write<'_, Span>> = changed
                .iter()
                .map(|(key, _, folded, version, span)| Write {
                    key,
                    expected: *version,
                    about: About {
                        tenant: tenant.clone(),
                        rule_id: folded.heading.rule.id.clone(),
                        revision: folded.heading.rule.revision.clone(),
                        from: folded.fold.suppression.from.as_secs(),
                    },
                    state: span,
                    expires: Timestamp(folded.fold.suppression.to.0.max(now.0).saturating_add(self.lateness)),
                })
                .collect();
            let is_written = suppressed::write(&self.store, &writes).await?;
            open = Vec::new();
            for ((_, id, folded, _, span), is_written) in changed.iter().zip(is_written) {
                if is_written {
                    counts.push(count(id, span));
                } else {
                    open.push((*id, *folded));
                }
            }
        }
        Err(SettleError::Contended)
    }

    async fn put(
        &self,
        tenant: &Tenant,
        folded: &FxHashMap<AlertId, Folded>,
        counts: &[SuppressedCount],
    ) -> Result<(), SettleError> {
        let processed_at = Timestamp::from_millis(Timestamp::now().as_millis());
        let made: Vec<Alert> = folded
            .values()
            .map(|folded| build(tenant, folded, processed_at))
            .collect();
        let put = alerts::put_earliest(&self.store, &made).await?;
        metrics::alerts(put.iter().filter(|put| **put == Put::Inserted).count());
        alerts::count_suppressed(&self.store, counts).await?;
        Ok(())
    }
}

fn count(id: &AlertId, span: &Span) -> SuppressedCount {
    SuppressedCount {
        id: id.clone(),
        count: (span.events.len() as u64).saturating_sub(1),
        at_least: span.at_least,
    }
}

fn build(tenant: &Tenant, folded: &Folded, processed_at: Timestamp) -> Alert {
    let Folded {
        fold,
        heading,
        earliest,
        ..
    } = folded;
    let shared = Shared::of(earliest);
    Alert {
        id: fold.id.clone(),
        tenant: tenant.clone(),
        timestamp: earliest.timestamp,
        rule_id: heading.rule.id.clone(),
        rule: heading.rule.clone(),
        level: heading.level,
        severity: heading.level.severity().number(),
        attack: heading.attack.clone(),
        agent: shared.agent,
        ips: shared.ips,
        indicator: None,
        correlation: None,
        suppression: Some(fold.suppression.clone()),
        retroactive: false,
        event_id: earliest.id,
        event: shared.event,
        risk_score: heading.level.risk_score().to_owned(),
        processed_at,
    }
}
