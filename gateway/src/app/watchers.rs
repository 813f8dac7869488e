//! Who is watching: each watcher keeps a change stream open, so their number is bounded.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use proto::{ErrorCode, ServiceError};

use crate::auth::Caller;

/// Counts watchers.
#[derive(Clone, Debug)]
pub struct Watchers {
    counts: Arc<Mutex<HashMap<String, u32>>>,
    per_identity: u32,
    total: u32,
}

/// A watcher's place; given back when dropped.
#[derive(Debug)]
pub struct Place {
    watchers: Watchers,
    identity: String,
}

impl Watchers {
    /// At most `per_identity` for each identity and `total` for all.
    #[must_use]
    pub fn new(per_identity: u32, total: u32) -> Self {
        Self {
            counts: Arc::default(),
            per_identity,
            total,
        }
    }

    /// Takes a place.
    ///
    /// # Errors
    /// [`ErrorCode::RateLimited`] when there is none left.
    pub fn enter(&self, caller: &Caller) -> Result<Place, ServiceError> {
        let identity = format!("{}/{}", caller.tenant, caller.actor);
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let all: u32 = counts.values().sum();
        let own = counts.get(&identity).copied().unwrap_or(0);
        if own >= self.per_identity || all >= self.total {
            let limit = if own >= self.per_identity {
                format!("at most {} watches at once for each identity", self.per_identity)
            } else {
                format!("at most {} watches at once", self.total)
            };
            return Err(ServiceError::new(ErrorCode::RateLimited, limit));
        }
        counts.insert(identity.clone(), own + 1);
        metrics::gauge!("picket_gateway_watchers").set(f64::from(all + 1));
        Ok(Place {
            watchers: self.clone(),
            identity,
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self.watchers.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&self.identity) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                counts.remove(&self.identity);
            }
        }
        metrics::gauge!("picket_gateway_watchers").set(f64::from(counts.values().sum::<u32>()));
    }
}

#[cfg(test)]
mod tests {
    use model::{AccessRole, Tenant};

    use super::*;
    use crate::auth::Actor;

    #[test]
    fn places_are_bounded_and_given_back() {
        let caller = |name: &str| Caller {
            tenant: Tenant::default(),
            actor: Actor::User { name: name.to_owned() },
            role: AccessRole::Viewer,
        };
        let watchers = Watchers::new(2, 3);
        let first = watchers.enter(&caller("ana")).unwrap();
        let _second = watchers.enter(&caller("ana")).unwrap();
        assert!(watchers.enter(&caller("ana")).is_err(), "per identity");
        let _third = watchers.enter(&caller("ben")).unwrap();
        assert!(watchers.enter(&caller("cay")).is_err(), "in total");
        drop(first);
        assert!(watchers.enter(&caller("ana")).is_ok());
    }
}
