//! The rules of all tenants, compiled and with what their alerts say prepared.

use std::sync::Arc;

use model::alert::{AlertRule, Attack};
use model::rule::StoredRule;
use model::{Level, Tenant};
use rustc_hash::FxHashMap;
use sigma::{RuleError, RuleSet};

/// Every tenant's rules. Immutable: a change makes a new one.
#[derive(Debug, Default)]
pub(crate) struct Compiled {
    tenants: FxHashMap<Tenant, TenantRules>,
}

/// One tenant's rules.
#[derive(Debug)]
pub(crate) struct TenantRules {
    /// The rules.
    pub(crate) set: RuleSet,
    /// What an alert says about each, at the same positions.
    pub(crate) headings: Vec<Heading>,
}

/// The part of an alert that depends on the rule alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Heading {
    pub(crate) rule: AlertRule,
    pub(crate) level: Level,
    pub(crate) attack: Attack,
}

impl Compiled {
    /// Compiles stored rules; those that are not usable are left out and named.
    pub(crate) fn new(stored: &[StoredRule]) -> (Self, Vec<RuleError>) {
        let mut errors = Vec::new();
        let mut by_tenant: FxHashMap<Tenant, Vec<sigma::Rule>> = FxHashMap::default();
        for stored in stored {
            for parsed in sigma::parse_rules(&stored.path, &stored.yaml) {
                match parsed {
                    Ok(rule) => by_tenant.entry(stored.tenant.clone()).or_default().push(rule),
                    Err(error) => errors.push(error),
                }
            }
        }
        let mut tenants = FxHashMap::default();
        for (tenant, rules) in by_tenant {
            let (set, refused) = RuleSet::compile(rules);
            errors.extend(refused);
            let headings = set.rules().iter().map(heading).collect();
            tenants.insert(tenant, TenantRules { set, headings });
        }
        (Self { tenants }, errors)
    }

    /// How many rules are in use.
    pub(crate) fn len(&self) -> usize {
        self.tenants.values().map(|rules| rules.set.len()).sum()
    }

    /// The rules of a tenant; `None` when it has none.
    pub(crate) fn tenant(&self, tenant: &Tenant) -> Option<&TenantRules> {
        self.tenants.get(tenant)
    }
}

/// Rules swapped by one task and read by all.
pub(crate) type Shared = Arc<arc_swap::ArcSwap<Compiled>>;

fn heading(rule: &sigma::Rule) -> Heading {
    Heading {
        rule: AlertRule {
            id: rule.id.clone(),
            title: rule.title.clone(),
            description: rule.description.clone(),
            revision: rule.revision.clone(),
            tags: rule.tags.clone(),
        },
        level: rule.level,
        attack: Attack::from_tags(&rule.tags),
    }
}
