//! Credentials that were proven a moment ago, under a keyed hash: what is kept cannot be turned back into them.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use rand::RngCore as _;
use secrecy::ExposeSecret as _;

use super::{Caller, Credentials};

/// Most credentials that are remembered at once.
const MAX_ENTRIES: usize = 4096;

/// Stands for credentials.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Mark([u8; 32]);

#[derive(Debug)]
struct Entry {
    caller: Caller,
    until: Instant,
}

/// The memory.
pub(crate) struct Verified {
    key: [u8; 32],
    entries: Mutex<HashMap<Mark, Entry>>,
    generation: AtomicU64,
}

impl std::fmt::Debug for Verified {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Verified")
    }
}

impl Default for Verified {
    fn default() -> Self {
        let mut key = [0; 32];
        rand::rng().fill_bytes(&mut key);
        Self {
            key,
            entries: Mutex::default(),
            generation: AtomicU64::new(0),
        }
    }
}

impl Verified {
    pub(crate) fn mark(&self, credentials: &Credentials) -> Mark {
        let mut hasher = blake3::Hasher::new_keyed(&self.key);
        let parts: [&[u8]; 3] = match credentials {
            Credentials::Basic { name, password } => [b"basic", name.as_bytes(), password.expose_secret().as_bytes()],
            Credentials::Bearer(token) => [b"bearer", b"", token.expose_secret().as_bytes()],
            Credentials::ApiKey(key) => [b"key", b"", key.expose_secret().as_bytes()],
        };
        for part in parts {
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part);
        }
        Mark(*hasher.finalize().as_bytes())
    }

    /// Who proved these credentials, if that was not too long ago.
    pub(crate) fn get(&self, mark: &Mark, now: Instant) -> Option<Caller> {
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries
            .get(mark)
            .filter(|entry| now < entry.until)
            .map(|entry| entry.caller.clone())
    }

    /// Counts the calls of [`Self::clear`]: taken before credentials are looked up, it keeps what was found from being
    /// remembered when a change happened meanwhile.
    pub(crate) fn generation(&self) -> u64 {
        self.generation.load(Ordering::SeqCst)
    }

    pub(crate) fn put(&self, mark: Mark, caller: Caller, until: Instant, generation: u64) {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        if self.generation() != generation {
            return;
        }
        if entries.len() >= MAX_ENTRIES {
            let now = Instant::now();
            entries.retain(|_, entry| now < entry.until);
        }
        if entries.len() >= MAX_ENTRIES {
            entries.clear();
        }
        entries.insert(mark, Entry { caller, until });
    }

    pub(crate) fn clear(&self) {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        self.generation.fetch_add(1, Ordering::SeqCst);
        entries.clear();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use model::{AccessRole, Tenant};

    use super::*;
    use crate::auth::Actor;

    fn caller(name: &str) -> Caller {
        Caller {
            tenant: Tenant::default(),
            actor: Actor::User { name: name.to_owned() },
            role: AccessRole::Viewer,
        }
    }

    fn basic(name: &str, password: &str) -> Credentials {
        Credentials::Basic {
            name: name.to_owned(),
            password: password.to_owned().into(),
        }
    }

    #[test]
    fn only_the_same_credentials_are_found_and_only_for_a_while() {
        let verified = Verified::default();
        let now = Instant::now();
        let until = now + Duration::from_secs(1);
        let mark = verified.mark(&basic("ana", "secret"));
        verified.put(mark, caller("ana"), until, verified.generation());
        assert_eq!(verified.get(&mark, now), Some(caller("ana")));
        assert_eq!(verified.get(&mark, until), None);
        assert_eq!(verified.get(&verified.mark(&basic("anas", "ecret")), now), None);
        let key = Credentials::ApiKey("secret".to_owned().into());
        assert_ne!(
            verified.mark(&key),
            verified.mark(&Credentials::Bearer("secret".to_owned().into()))
        );
        assert_ne!(
            verified.mark(&key),
            Verified::default().mark(&key),
            "each process has its own key"
        );
    }

    #[test]
    fn a_change_forgets_all_and_what_was_looked_up_before_it() {
        let verified = Verified::default();
        let until = Instant::now() + Duration::from_secs(60);
        let before = verified.generation();
        let mark = verified.mark(&basic("ana", "secret"));
        verified.put(mark, caller("ana"), until, before);
        verified.clear();
        assert_eq!(verified.get(&mark, Instant::now()), None);
        verified.put(mark, caller("ana"), until, before);
        assert_eq!(verified.get(&mark, Instant::now()), None);
    }

    #[test]
    fn memory_is_bounded() {
        let verified = Verified::default();
        let until = Instant::now() + Duration::from_secs(60);
        for n in 0..2 * MAX_ENTRIES {
            let mark = verified.mark(&basic("ana", &n.to_string()));
            verified.put(mark, caller("ana"), until, verified.generation());
        }
        assert!(verified.entries.lock().unwrap().len() <= MAX_ENTRIES);
    }
}
