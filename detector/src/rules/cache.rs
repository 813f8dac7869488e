//! Documents that were parsed before: most of them are the same every time content changes.

use std::sync::{Arc, Mutex, PoisonError};

use model::Tenant;
use model::rule::{RuleKind, StoredRule};
use rustc_hash::{FxHashMap, FxHashSet};
use sigma::RuleError;

use super::parsed::{Parsed, parse_stored};

type Key = (Tenant, String);
type Entry = (String, String, RuleKind, Result<Parsed, RuleError>);

/// Parsed documents by tenant and id. Cheap to clone; clones share.
#[derive(Clone, Debug, Default)]
pub(crate) struct ParsedRules(Arc<Mutex<FxHashMap<Key, Entry>>>);

impl ParsedRules {
    /// The parsed form of a stored document.
    pub(crate) fn get(&self, stored: &StoredRule) -> Result<Parsed, RuleError> {
        let key = (stored.tenant.clone(), stored.id.clone());
        let is_same = |entry: &Entry| {
            (entry.0.as_str(), entry.1.as_str(), entry.2) == (&stored.revision, &stored.path, stored.kind)
        };
        if let Some(entry) = self.lock().get(&key).filter(|entry| is_same(entry)) {
            return entry.3.clone();
        }
        let parsed = parse_stored(stored);
        let entry = (
            stored.revision.clone(),
            stored.path.clone(),
            stored.kind,
            parsed.clone(),
        );
        self.lock().insert(key, entry);
        parsed
    }

    /// Forgets what is not among these.
    pub(crate) fn retain<'a>(&self, stored: impl IntoIterator<Item = &'a StoredRule>) {
        let keys: FxHashSet<(&str, &str)> = stored
            .into_iter()
            .map(|rule| (rule.tenant.as_str(), rule.id.as_str()))
            .collect();
        self.lock()
            .retain(|(tenant, id), _| keys.contains(&(tenant.as_str(), id.as_str())));
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, FxHashMap<Key, Entry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
