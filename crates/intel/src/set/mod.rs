//! Millions of indicators in memory: exact, small, and changed without being built anew.
//!
//! A tenant's values lie in 256 shards, chosen by the value's hash. A set is cloned by sharing its shards; a change copies
//! the one shard it is in, so a reader's snapshot stays as it was and costs nothing. Values are kept as bytes (addresses
//! and hashes as numbers, the rest as text) and compared whole, so an answer is never a guess. What sources have in
//! common (source, feed, tags, TLP, note) is kept once.

mod filters;
mod hits;
mod key;
mod said;
mod shard;
mod tenant;

use std::sync::Arc;

use model::Tenant;
use model::indicator::Indicator;
use rustc_hash::FxHashMap;

pub use hits::{Find, Hit, Hits, MAX_HITS};
pub use tenant::{Found, TenantSet};

/// Every tenant's indicators. Cloning shares them.
#[derive(Clone, Debug, Default)]
pub struct IndicatorSet {
    tenants: FxHashMap<Tenant, Arc<TenantSet>>,
}

impl IndicatorSet {
    /// Adds an indicator, or replaces what the same feed and source said about the value. Whether it is one more.
    pub fn put(&mut self, indicator: &Indicator) -> bool {
        let set = match self.tenants.get_mut(&indicator.tenant) {
            Some(set) => set,
            None => self.tenants.entry(indicator.tenant.clone()).or_default(),
        };
        Arc::make_mut(set).put(indicator)
    }

    /// Forgets what the feed and source of `indicator` say about its value; whether they said anything.
    pub fn remove(&mut self, indicator: &Indicator) -> bool {
        let Some(set) = self.tenants.get_mut(&indicator.tenant) else {
            return false;
        };
        let is_removed = Arc::make_mut(set).remove(indicator);
        if set.is_empty() {
            self.tenants.remove(&indicator.tenant);
        }
        is_removed
    }

    /// Whether this very indicator is in the set.
    #[must_use]
    pub fn contains(&self, indicator: &Indicator) -> bool {
        self.tenants
            .get(&indicator.tenant)
            .is_some_and(|set| set.contains(indicator))
    }

    /// How many indicators there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.tenants.values().map(|set| set.len()).sum()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.tenants.is_empty()
    }

    /// The indicators of a tenant; `None` when there are none.
    #[must_use]
    pub fn tenant(&self, tenant: &Tenant) -> Option<&Arc<TenantSet>> {
        self.tenants.get(tenant)
    }

    /// Gives back memory that was taken to grow into; for after many changes.
    pub fn shrink(&mut self) {
        for set in self.tenants.values_mut() {
            Arc::make_mut(set).shrink();
        }
    }
}

#[cfg(test)]
mod tests;
