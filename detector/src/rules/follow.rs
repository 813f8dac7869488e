//! From MongoDB into memory, at once after any change.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use model::node::Role;
use model::rule::{RuleProblem, StoredRule};
use model::{NodeId, Tenant, Timestamp};
use rustc_hash::FxHashMap;
use sigma::RuleError;
use storage::rules::{self, Version};
use storage::{Error, Store, exceptions, nodes, suppressions};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::cache::ParsedRules;
use super::compiled::{Compiled, Content, Problems, Shared, TenantRules};
use crate::metrics;

/// Time between two looks when the database says nothing.
const LOOK: Duration = Duration::from_millis(500);

/// Recompiles when stored content changes.
pub(crate) struct Follower {
    store: Store,
    node: NodeId,
    shared: Shared,
    cache: ParsedRules,
    changed: Arc<Notify>,
    seen: Option<Version>,
    compiled: Option<Fingerprint>,
    reported: HashSet<String>,
}

/// What is compiled: equal ones mean equal content.
#[derive(Debug, PartialEq)]
struct Fingerprint {
    /// Tenant, id, revision.
    rules: Vec<(Tenant, String, String)>,
    exceptions: Vec<model::exception::Exception>,
    suppressions: Vec<model::exception::Suppression>,
}

/// What compiling everything came to.
struct Built {
    compiled: Compiled,
    /// By tenant.
    problems: FxHashMap<Tenant, Problems>,
}

impl Follower {
    pub(crate) fn new(store: Store, node: NodeId, shared: Shared, cache: ParsedRules) -> Self {
        Self {
            store,
            node,
            shared,
            cache,
            changed: Arc::new(Notify::new()),
            seen: None,
            compiled: None,
            reported: HashSet::new(),
        }
    }

    /// Looks whenever the database says that content changed, and twice a second in any case, until `shutdown`. While
    /// the database is away the last content stays in use.
    pub(crate) async fn run(mut self, shutdown: CancellationToken) -> anyhow::Result<()> {
        let (store, changed, stop) = (self.store.clone(), Arc::clone(&self.changed), shutdown.clone());
        let waking = tokio::spawn(async move { rules::wake_on_change(store, &changed, stop).await });
        let mut failing = false;
        loop {
            tokio::select! {
                () = shutdown.cancelled() => break,
                () = self.changed.notified() => {}
                () = tokio::time::sleep(LOOK) => {}
            }
            match self.look().await {
                Ok(()) => failing = false,
                Err(error) => {
                    if !failing {
                        tracing::warn!(
                            error = &error as &dyn std::error::Error,
                            "rules not refreshed, trying again"
                        );
                    }
                    failing = true;
                }
            }
        }
        waking.abort();
        Ok(())
    }

    /// Compiles the stored content if it may have changed.
    ///
    /// # Errors
    /// When the database is away.
    pub(crate) async fn look(&mut self) -> Result<(), Error> {
        let version = rules::version(&self.store).await?;
        if self.seen.as_ref().is_some_and(|seen| seen.covers(&version)) {
            return Ok(());
        }
        let began = Instant::now();
        let stored = rules::enabled(&self.store).await?;
        let fingerprint = Fingerprint {
            rules: stored
                .iter()
                .map(|rule| (rule.tenant.clone(), rule.id.clone(), rule.revision.clone()))
                .collect(),
            exceptions: exceptions::all(&self.store).await?,
            suppressions: suppressions::all(&self.store).await?,
        };
        let read_at = version.read_at();
        if self.compiled.as_ref() == Some(&fingerprint) {
            self.seen = Some(version);
            return self.tell(read_at).await;
        }
        let (cache, before) = (self.cache.clone(), self.shared.load_full());
        let building = tokio::task::spawn_blocking(move || {
            let built = build(&stored, &fingerprint, &cache, &before);
            (built, stored, fingerprint)
        });
        self.seen = Some(version);
        let Ok((built, stored, fingerprint)) = building.await else {
            tracing::error!("compiling rules panicked, the rules before stay in use");
            return Ok(());
        };
        self.compiled = Some(fingerprint);
        let mut is_kept = false;
        if built.compiled.len() == 0 && !stored.is_empty() && self.shared.load().len() > 0 {
            tracing::error!(
                rules.stored = stored.len(),
                "no stored rule is usable, the rules before stay in use"
            );
            is_kept = true;
        }
        if !is_kept {
            let count = built.compiled.len();
            self.shared.store(Arc::new(built.compiled));
            metrics::rules_in_use(count);
            metrics::rules_reloaded(began.elapsed());
            tracing::info!(
                rules.count = count,
                elapsed_ms = began.elapsed().as_millis() as u64,
                "rules in use"
            );
        }
        if !is_kept {
            self.tell(read_at).await?;
        }
        self.report(&stored, &built.problems).await
    }

    /// Lets whoever changed something see that it is in use.
    async fn tell(&self, read_at: Timestamp) -> Result<(), Error> {
        nodes::note_rules(&self.store, Role::Detector, &self.node, read_at).await
    }

    /// Each problem is logged once and kept with its rule.
    async fn report(&mut self, stored: &[StoredRule], problems: &FxHashMap<Tenant, Problems>) -> Result<(), Error> {
        metrics::rule_errors_in_store(problems.values().map(FxHashMap::len).sum());
        let mut current = HashSet::new();
        let mut changed = Vec::new();
        for rule in stored {
            let error = problems.get(&rule.tenant).and_then(|problems| problems.get(&rule.id));
            let problem = error.map(problem);
            if let Some(problem) = &problem {
                let text = format!("{}: {problem}", rule.path);
                if !self.reported.contains(&text) {
                    tracing::warn!(rule.id = rule.id, error = text, "stored rule not usable");
                }
                current.insert(text);
            }
            if problem != rule.error {
                changed.push((rule, problem));
            }
        }
        self.reported = current;
        rules::set_problems(&self.store, &changed).await
    }
}

fn problem(error: &RuleError) -> RuleProblem {
    RuleProblem {
        line: error.line.and_then(|line| u32::try_from(line).ok()),
        field: error.field.clone(),
        reason: error.reason.clone(),
    }
}

fn build(stored: &[StoredRule], fingerprint: &Fingerprint, cache: &ParsedRules, before: &Compiled) -> Built {
    let mut contents: FxHashMap<Tenant, Content> = FxHashMap::default();
    let mut problems: FxHashMap<Tenant, Problems> = FxHashMap::default();
    cache.retain(stored);
    for rule in stored {
        match cache.get(rule) {
            Ok(parsed) => contents.entry(rule.tenant.clone()).or_default().documents.push(parsed),
            Err(error) => {
                let problems = problems.entry(rule.tenant.clone()).or_default();
                problems.insert(rule.id.clone(), error);
            }
        }
    }
    for exception in &fingerprint.exceptions {
        let content = contents.entry(exception.tenant.clone()).or_default();
        content.exceptions.push(exception.clone());
    }
    for suppression in &fingerprint.suppressions {
        let content = contents.entry(suppression.tenant.clone()).or_default();
        content.suppressions.push(suppression.clone());
    }
    let mut tenants = FxHashMap::default();
    for (tenant, content) in contents {
        let (rules, found) = TenantRules::compile(&content, before.tenant(&tenant));
        problems.entry(tenant.clone()).or_default().extend(found);
        tenants.insert(tenant, rules);
    }
    Built {
        compiled: Compiled::new(tenants),
        problems,
    }
}

#[cfg(test)]
impl Compiled {
    /// Compiles stored documents as the follower does.
    pub(crate) fn of(stored: &[StoredRule]) -> (Self, Vec<String>) {
        let fingerprint = Fingerprint {
            rules: Vec::new(),
            exceptions: Vec::new(),
            suppressions: Vec::new(),
        };
        let built = build(stored, &fingerprint, &ParsedRules::default(), &Compiled::default());
        let errors = built
            .problems
            .into_values()
            .flatten()
            .map(|(id, error)| format!("{id}: {error}"));
        (built.compiled, errors.collect())
    }
}
