//! What rules cost, counted on a sample of blocks, and what they meet, noted of all blocks, added up in MongoDB.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use model::{NodeId, Tenant, Timestamp};
use rustc_hash::{FxHashMap, FxHashSet};
use sigma::{Profile, Seen};
use storage::rule_stats::{self, RuleUse};
use storage::{Store, audit, rules};
use tokio_util::sync::CancellationToken;

use super::compiled::TenantRules;
use crate::metrics;

/// Least time between two blocks of a tenant that are counted: a busy detector counts few of its blocks.
const PAUSE: Duration = Duration::from_millis(100);
/// Time between two writes.
const FLUSH: Duration = Duration::from_secs(5);
/// Longest time a write may take at the end.
const LAST_FLUSH: Duration = Duration::from_secs(2);
/// Events a rule must have been counted on before its cost says anything.
const LEAST_EVENTS: u64 = 100_000;
/// One of so many evaluations is timed.
pub(crate) const TIMED: u32 = 32;

/// What rules may cost.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Budget {
    /// Nanoseconds per event; 0: as much as they like.
    pub(crate) nanos: u64,
    /// Whether rules that cost more are disabled.
    pub(crate) disables: bool,
}

/// Counts, shared by all workers.
#[derive(Debug, Default)]
pub(crate) struct Usage(Mutex<FxHashMap<Tenant, Counted>>);

#[derive(Debug, Default)]
struct Counted {
    at: Option<Instant>,
    /// Not written yet.
    fresh: BTreeMap<String, RuleUse>,
    /// Events and nanoseconds by rule and revision since this detector started.
    cost: FxHashMap<(String, String), (u64, u64)>,
}

/// What is to be written of a tenant.
struct Taken {
    tenant: Tenant,
    fresh: BTreeMap<String, RuleUse>,
    over: Vec<OverBudget>,
}

/// A rule that costs more than it may.
struct OverBudget {
    id: String,
    revision: String,
    /// Nanoseconds per event.
    nanos: u64,
}

impl Usage {
    /// Whether a block of this tenant is to be counted.
    pub(crate) fn is_wanted(&self, tenant: &Tenant) -> bool {
        let mut counts = self.lock();
        let counted = counts.entry(tenant.clone()).or_default();
        let is_wanted = counted.at.is_none_or(|at| at.elapsed() >= PAUSE);
        if is_wanted {
            counted.at = Some(Instant::now());
        }
        is_wanted
    }

    /// Adds what evaluating a block came to.
    pub(crate) fn add(&self, tenant: &Tenant, rules: &TenantRules, profile: &Profile) {
        if profile.events == 0 {
            return;
        }
        let mut counts = self.lock();
        let counted = counts.entry(tenant.clone()).or_default();
        for (rule, profiled) in rules.rules.iter().zip(&profile.rules) {
            let heading = &rule.heading.rule;
            let used = counted.fresh.entry(heading.id.clone()).or_default();
            used.events += profile.events;
            used.seen += profiled.seen;
            used.candidates += profiled.candidates;
            used.hits += profiled.hits;
            used.nanos += profiled.nanoseconds;
            used.met |= profiled.seen > 0;
            for (field, count) in &profiled.fields {
                if !used.asked.contains(&**field) {
                    used.asked.insert(field.to_string());
                }
                if *count > 0 && !used.present.contains(&**field) {
                    used.present.insert(field.to_string());
                }
            }
            let key = (heading.id.clone(), heading.revision.clone());
            let cost = counted.cost.entry(key).or_default();
            cost.0 += profile.events;
            cost.1 += profiled.nanoseconds;
        }
    }

    /// Notes what rules met that this detector has not met today.
    pub(crate) fn note(&self, tenant: &Tenant, rules: &TenantRules, seen: &[Seen]) {
        if seen.is_empty() {
            return;
        }
        let mut counts = self.lock();
        let counted = counts.entry(tenant.clone()).or_default();
        for one in seen {
            let Some(rule) = rules.rules.get(one.rule) else {
                continue;
            };
            let used = counted.fresh.entry(rule.heading.rule.id.clone()).or_default();
            used.met = true;
            used.present.extend(one.fields.iter().map(ToString::to_string));
        }
    }

    /// Takes back what could not be written: counts are lost, but what was met is not told again on this day.
    fn put_back(&self, tenant: &Tenant, fresh: BTreeMap<String, RuleUse>) {
        let mut counts = self.lock();
        let counted = counts.entry(tenant.clone()).or_default();
        for (id, used) in fresh {
            if used.met || !used.present.is_empty() {
                let kept = RuleUse {
                    met: true,
                    present: used.present,
                    ..RuleUse::default()
                };
                counted.fresh.entry(id).or_default().add(&kept);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, FxHashMap<Tenant, Counted>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is not written yet, and which rules cost more than `budget`, with nanoseconds per event.
    fn take(&self, budget: Budget) -> Vec<Taken> {
        let mut taken = Vec::new();
        for (tenant, counted) in self.lock().iter_mut() {
            let over: Vec<OverBudget> = counted
                .cost
                .iter()
                .filter(|(_, (events, _))| budget.nanos > 0 && *events >= LEAST_EVENTS)
                .map(|((id, revision), (events, nanos))| OverBudget {
                    id: id.clone(),
                    revision: revision.clone(),
                    nanos: nanos / (*events).max(1),
                })
                .filter(|over| over.nanos > budget.nanos)
                .collect();
            let mut fresh = std::mem::take(&mut counted.fresh);
            for over in &over {
                if let Some(used) = fresh.get_mut(&over.id) {
                    used.over_budget = true;
                }
            }
            if !fresh.is_empty() {
                taken.push(Taken {
                    tenant: tenant.clone(),
                    fresh,
                    over,
                });
            }
        }
        taken
    }
}

/// Writes counts.
pub(crate) struct Writer {
    pub(crate) store: Store,
    pub(crate) node: NodeId,
    pub(crate) usage: Arc<Usage>,
    pub(crate) budget: Budget,
    /// Rules and revisions whose cost was logged.
    pub(crate) flagged: FxHashSet<(Tenant, String, String)>,
}

impl Writer {
    /// Writes every few seconds until `shutdown`, and once more then. Counts of a time when the database is away are
    /// lost; what rules met is written when it is back.
    pub(crate) async fn run(mut self, shutdown: CancellationToken) -> anyhow::Result<()> {
        loop {
            let is_last = tokio::select! {
                () = shutdown.cancelled() => true,
                () = tokio::time::sleep(FLUSH) => false,
            };
            if is_last {
                let _ = tokio::time::timeout(LAST_FLUSH, self.write()).await;
                return Ok(());
            }
            if let Err(error) = self.write().await {
                tracing::debug!(error = &error as &dyn std::error::Error, "counts of rules not written");
            }
        }
    }

    async fn write(&mut self) -> Result<(), storage::Error> {
        let now = Timestamp::now();
        let mut over_budget = 0;
        let mut outcome = Ok(());
        for taken in self.usage.take(self.budget) {
            over_budget += taken.over.len();
            let added = rule_stats::add(&self.store, &taken.tenant, now, &taken.fresh).await;
            if let Err(error) = added {
                self.usage.put_back(&taken.tenant, taken.fresh);
                outcome = Err(error);
                continue;
            }
            for over in taken.over {
                self.flag(&taken.tenant, over).await?;
            }
        }
        metrics::rules_over_budget(over_budget);
        outcome
    }

    async fn flag(&mut self, tenant: &Tenant, over: OverBudget) -> Result<(), storage::Error> {
        let OverBudget { id, revision, nanos } = over;
        let key = (tenant.clone(), id.clone(), revision);
        if self.flagged.contains(&key) {
            return Ok(());
        }
        let budget = self.budget.nanos;
        tracing::warn!(
            rule.id = id,
            nanos_per_event = nanos,
            rules.cost_budget_nanos = budget,
            rule.disabled = self.budget.disables,
            "rule costs more than its budget"
        );
        if self.budget.disables {
            let actor = format!("node:{}", self.node);
            let note = format!("disabled as it costs {nanos} ns per event; the budget is {budget} ns");
            rules::set_enabled(&self.store, tenant, &id, false, &actor, &note).await?;
            let entry = audit::NewEntry {
                tenant: tenant.clone(),
                actor,
                action: "rules.disable".to_owned(),
                object: "1 rules".to_owned(),
                detail: serde_json::json!({ "ids": [id], "note": note }),
            };
            audit::append(&self.store, entry).await?;
        }
        self.flagged.insert(key);
        Ok(())
    }
}
