//! From the rules directory into MongoDB, at the start and whenever a file changes.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::path::PathBuf;
use std::time::Duration;

use model::node::Role;
use model::rule::{RuleOrigin, StoredRule};
use model::{NodeId, Tenant};
use storage::rules::{self, Put};
use storage::{Store, audit, nodes, rule_versions};
use tokio_util::sync::CancellationToken;

use super::cache::ParsedRules;
use super::check::check;
use super::directory::{self, Contents, Listing};
use super::parsed::Parsed;
use crate::metrics;

/// Time between two looks at the directory.
const LOOK: Duration = Duration::from_secs(1);
/// Most rule ids an audit entry lists.
const MAX_LISTED: usize = 1000;

/// Keeps the rules of one tenant in MongoDB as they are in a directory. All detectors should have the same directory.
/// While they differ, a rule is in use as long as a living detector has a file of it, in the revision that was imported
/// last.
pub(crate) struct Importer {
    pub(crate) store: Store,
    pub(crate) node: NodeId,
    pub(crate) tenant: Tenant,
    pub(crate) root: PathBuf,
    cache: ParsedRules,
    imported: Option<Listing>,
    /// Ids of the rules of the last import.
    present: HashSet<String>,
    reported: HashSet<String>,
    unreadable: bool,
}

#[derive(Debug, Default)]
struct Changes {
    added: BTreeSet<String>,
    changed: BTreeSet<String>,
    disabled: BTreeSet<String>,
}

impl Importer {
    pub(crate) fn new(store: Store, node: NodeId, tenant: Tenant, root: PathBuf, cache: ParsedRules) -> Self {
        Self {
            store,
            node,
            tenant,
            root,
            cache,
            imported: None,
            present: HashSet::new(),
            reported: HashSet::new(),
            unreadable: false,
        }
    }

    /// Looks every second until `shutdown`.
    pub(crate) async fn run(mut self, shutdown: CancellationToken) -> anyhow::Result<()> {
        let mut failing = false;
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return Ok(()),
                () = tokio::time::sleep(LOOK) => {}
            }
            match self.look().await {
                Ok(()) => failing = false,
                Err(error) => {
                    if !failing {
                        tracing::warn!(
                            error = &error as &dyn std::error::Error,
                            "rules not imported, trying again"
                        );
                    }
                    failing = true;
                }
            }
        }
    }

    /// Imports the directory if it changed since the last import. A directory that cannot be read changes nothing.
    ///
    /// # Errors
    /// When the database is away; the next look starts over.
    pub(crate) async fn look(&mut self) -> Result<(), storage::Error> {
        let Some(listing) = self.list().await else {
            return Ok(());
        };
        if self.imported.as_ref() == Some(&listing) && !self.is_any_vanished().await? {
            return Ok(());
        }
        let root = self.root.clone();
        let to_read = listing.clone();
        let Ok(contents) = tokio::task::spawn_blocking(move || directory::read(&root, &to_read)).await else {
            tracing::error!(rules.dir = %self.root.display(), "reading rule files panicked");
            self.imported = Some(listing);
            return Ok(());
        };
        let stored = rules::list(&self.store, &self.tenant).await?;
        let Some((contents, stored)) = self.check(contents, stored).await else {
            self.imported = Some(listing);
            return Ok(());
        };
        self.report(&contents);
        let changes = self.store_all(&contents, stored).await?;
        self.record(&changes, contents.documents.len()).await?;
        self.present = contents.documents.iter().map(|parsed| parsed.id().to_owned()).collect();
        self.imported = Some(listing);
        Ok(())
    }

    /// Takes out what is not usable together with the rest of the content.
    async fn check(&self, contents: Contents, stored: Vec<StoredRule>) -> Option<(Contents, Vec<StoredRule>)> {
        let cache = self.cache.clone();
        let checking = tokio::task::spawn_blocking(move || {
            let checked = check(&contents.documents, RuleOrigin::Dir, &stored, &cache);
            let mut usable = Contents {
                errors: contents.errors,
                ..Contents::default()
            };
            for (parsed, refusal) in contents.documents.into_iter().zip(checked.refusals) {
                match refusal {
                    None => usable.documents.push(parsed),
                    Some(error) => usable.errors.push(error),
                }
            }
            (usable, stored)
        });
        match checking.await {
            Ok(checked) => Some(checked),
            Err(error) => {
                tracing::error!(%error, "checking rule files panicked, stored rules stay");
                None
            }
        }
    }

    /// Whether another detector disabled a rule that is in this one's directory, as one does that starts before it knows
    /// of this one.
    async fn is_any_vanished(&self) -> Result<bool, storage::Error> {
        let vanished = rules::vanished(&self.store, &self.tenant).await?;
        Ok(vanished.iter().any(|id| self.present.contains(id)))
    }

    async fn list(&mut self) -> Option<Listing> {
        let root = self.root.clone();
        let listed = tokio::task::spawn_blocking(move || directory::list(&root)).await;
        let problem = match listed {
            Ok(Ok(listing)) => {
                self.unreadable = false;
                return Some(listing);
            }
            Ok(Err(error)) => error.to_string(),
            Err(error) => error.to_string(),
        };
        if !self.unreadable {
            tracing::warn!(rules.dir = %self.root.display(), error = problem, "rules directory not readable, stored rules stay");
            self.unreadable = true;
        }
        None
    }

    /// Each problem is logged once, however often the directory is read.
    fn report(&mut self, contents: &Contents) {
        metrics::rule_errors_in_files(contents.errors.len());
        let current: HashSet<String> = contents.errors.iter().map(ToString::to_string).collect();
        for error in &contents.errors {
            let text = error.to_string();
            if !self.reported.contains(&text) {
                metrics::rule_refused();
                tracing::warn!(rule.path = error.path, error = text, "rule not usable");
            }
        }
        self.reported = current;
    }

    async fn store_all(&self, contents: &Contents, stored: Vec<StoredRule>) -> Result<Changes, storage::Error> {
        let stored: HashMap<String, StoredRule> = stored.into_iter().map(|rule| (rule.id.clone(), rule)).collect();
        let by = format!("node:{}", self.node);
        let to_put: Vec<StoredRule> = contents
            .documents
            .iter()
            .filter(|parsed| {
                stored.get(parsed.id()).is_none_or(|known| {
                    // A disabled one may have been disabled because its file was gone: only the database knows.
                    known.revision != parsed.revision()
                        || known.path != parsed.path()
                        || known.kind != parsed.kind()
                        || known.vanished
                })
            })
            .map(|parsed| parsed.to_stored(&self.tenant, RuleOrigin::Dir, &by))
            .collect();
        rule_versions::record(&self.store, &to_put).await?;
        let put = rules::put_all(&self.store, &to_put).await?;
        let mut changes = Changes::default();
        for (rule, put) in to_put.into_iter().zip(put) {
            match put {
                Put::Added => changes.added.insert(rule.id),
                Put::Changed => changes.changed.insert(rule.id),
                Put::Unchanged => false,
            };
        }
        let ids: Vec<&str> = contents.documents.iter().map(Parsed::id).collect();
        rules::claim(&self.store, &self.tenant, &self.node, &ids).await?;
        let present: HashSet<&str> = contents.documents.iter().map(Parsed::id).collect();
        let with_errors: HashSet<&str> = contents.errors.iter().map(|error| error.path.as_str()).collect();
        let is_gone = |rule: &&StoredRule| {
            rule.origin == RuleOrigin::Dir
                && rule.enabled
                && !present.contains(rule.id.as_str())
                && !with_errors.contains(rule.path.as_str())
        };
        let gone: Vec<&StoredRule> = stored.values().filter(is_gone).collect();
        if gone.is_empty() {
            return Ok(changes);
        }
        let live = nodes::live(&self.store, Some(Role::Detector)).await?;
        let live: Vec<NodeId> = live.into_iter().map(|node| node.id).collect();
        for rule in gone {
            if rules::vanish(&self.store, &self.tenant, &rule.id, &self.node, &live).await? {
                changes.disabled.insert(rule.id.clone());
            }
        }
        Ok(changes)
    }

    async fn record(&self, changes: &Changes, total: usize) -> Result<(), storage::Error> {
        let (added, changed, disabled) = (changes.added.len(), changes.changed.len(), changes.disabled.len());
        if added + changed + disabled == 0 {
            return Ok(());
        }
        tracing::info!(rules.total = total, added, changed, disabled, "rules imported");
        let first = |ids: &BTreeSet<String>| ids.iter().take(MAX_LISTED).cloned().collect::<Vec<_>>();
        let entry = audit::NewEntry {
            tenant: self.tenant.clone(),
            actor: format!("node:{}", self.node),
            action: "rules.import".to_owned(),
            object: self.root.display().to_string(),
            detail: serde_json::json!({
                "added": { "count": added, "ids": first(&changes.added) },
                "changed": { "count": changed, "ids": first(&changes.changed) },
                "disabled": { "count": disabled, "ids": first(&changes.disabled) },
            }),
        };
        audit::append(&self.store, entry).await
    }
}
