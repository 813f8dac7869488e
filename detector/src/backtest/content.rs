//! What is deployed: rules, correlations, filters, pipelines, exceptions and suppressions of a tenant.

use anyhow::Context as _;
use model::Tenant;
use model::exception::{Exception, Suppression};
use model::rule::{RuleKind, StoredRule};
use sigma::{Catalog, Correlation, Document, Filter, Rule};
use storage::{Store, exceptions, rules, suppressions};

/// Enabled content of a tenant, and what tunes it.
#[derive(Debug, Default)]
pub struct Deployed {
    /// Enabled rules that can be used.
    pub rules: Vec<Rule>,
    /// Likewise.
    pub correlations: Vec<Correlation>,
    /// Likewise.
    pub filters: Vec<Filter>,
    /// Path and text of each.
    pub pipelines: Vec<(String, String)>,
    /// Also those that are over.
    pub exceptions: Vec<Exception>,
    /// At most one for each rule.
    pub suppressions: Vec<Suppression>,
}

impl Deployed {
    /// Reads all of it. What cannot be used by detectors is not used here either.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn read(store: &Store, tenant: &Tenant) -> anyhow::Result<Self> {
        let mut deployed = Self {
            exceptions: exceptions::list(store, tenant, None)
                .await
                .context("read the exceptions")?,
            suppressions: suppressions::list(store, tenant)
                .await
                .context("read the suppressions")?,
            ..Self::default()
        };
        let stored = rules::list(store, tenant).await.context("read the rules")?;
        for rule in stored.into_iter().filter(|rule| rule.enabled && rule.error.is_none()) {
            deployed.add(rule);
        }
        Ok(deployed)
    }

    fn add(&mut self, stored: StoredRule) {
        if stored.kind == RuleKind::Pipeline {
            self.pipelines.push((stored.path, stored.yaml));
            return;
        }
        for document in sigma::parse_documents(&stored.path, &stored.yaml).into_iter().flatten() {
            match document {
                Document::Rule(rule) => self.rules.push(rule),
                Document::Correlation(correlation) => self.correlations.push(correlation),
                Document::Filter(filter) => self.filters.push(filter),
            }
        }
    }

    /// What logsources and fields mean here.
    pub(super) fn catalog(&self) -> anyhow::Result<Catalog> {
        Catalog::with_pipelines(&self.pipelines).map_err(|errors| {
            let told: Vec<String> = errors.iter().map(ToString::to_string).collect();
            anyhow::anyhow!("the deployed pipelines cannot be used: {}", told.join("; "))
        })
    }

    /// What the given correlations are over and is not given, by id or name, also what those are over in turn.
    pub(super) fn complete(&self, rules: &mut Vec<Rule>, correlations: &mut Vec<Correlation>) {
        let mut wanted: Vec<String> = correlations.iter().flat_map(|found| found.rules.clone()).collect();
        while let Some(reference) = wanted.pop() {
            let is = |id: &str, name: Option<&str>| id == reference || name == Some(&reference);
            let known = rules.iter().any(|rule| is(&rule.id, rule.name.as_deref()))
                || correlations.iter().any(|found| is(&found.id, found.name.as_deref()));
            if known {
                continue;
            }
            if let Some(rule) = self.rules.iter().find(|rule| is(&rule.id, rule.name.as_deref())) {
                rules.push(rule.clone());
            } else if let Some(found) = self
                .correlations
                .iter()
                .find(|found| is(&found.id, found.name.as_deref()))
            {
                wanted.extend(found.rules.iter().cloned());
                correlations.push(found.clone());
            }
        }
    }

    /// The suppression of a rule.
    pub(super) fn suppression_of(&self, rule_id: &str) -> Option<&Suppression> {
        self.suppressions
            .iter()
            .find(|suppression| suppression.rule_id == rule_id)
    }
}
