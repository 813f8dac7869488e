//! Certificates that are refused although they have not expired.

use std::collections::HashSet;
use std::sync::Arc;

use arc_swap::ArcSwap;

use crate::serial::Serial;

/// Serial numbers of revoked certificates. Clones share one list: replacing it takes effect for the next handshake of
/// every TLS configuration made with it.
#[derive(Clone, Debug, Default)]
pub struct RevocationList(Arc<ArcSwap<HashSet<Serial>>>);

impl RevocationList {
    /// Replaces the list.
    pub fn set(&self, serials: HashSet<Serial>) {
        self.0.store(Arc::new(serials));
    }

    /// Whether the certificate was revoked.
    #[must_use]
    pub fn contains(&self, serial: &Serial) -> bool {
        self.0.load().contains(serial)
    }

    /// How many are on the list.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.load().len()
    }

    /// Whether nothing is revoked.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.load().is_empty()
    }
}
