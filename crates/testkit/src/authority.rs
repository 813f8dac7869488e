//! A certificate authority for one test, and certificates it issues.

use std::path::{Path, PathBuf};
use std::time::Duration;

use identity::{CertificateAuthority, Identity, SpiffeId, TlsFiles, write_private, write_public};
use model::node::Role;
use model::{Tenant, Timestamp};
use tempfile::TempDir;

/// Names every certificate of [`Authority`] is valid for.
const NAMES: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

/// A fresh authority in a directory of its own, which goes with it.
pub struct Authority {
    dir: TempDir,
    ca: CertificateAuthority,
}

impl Authority {
    /// Makes one.
    ///
    /// # Panics
    /// When its files cannot be written.
    #[must_use]
    pub fn new() -> Self {
        let dir = tempfile::tempdir().expect("make a directory for the authority");
        let ca = CertificateAuthority::init(dir.path()).expect("make an authority");
        Self { dir, ca }
    }

    /// The authority itself.
    #[must_use]
    pub fn ca(&self) -> &CertificateAuthority {
        &self.ca
    }

    /// Directory with `ca.crt`, `ca.key` and what was issued.
    #[must_use]
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// The authority's certificate.
    #[must_use]
    pub fn cert_file(&self) -> PathBuf {
        self.dir.path().join("ca.crt")
    }

    /// The authority's key.
    #[must_use]
    pub fn key_file(&self) -> PathBuf {
        self.dir.path().join("ca.key")
    }

    /// Files of a certificate for `role` and `id` that is valid for a day from now on.
    ///
    /// # Panics
    /// When `id` is no valid name.
    #[must_use]
    pub fn issue(&self, role: Role, id: &str) -> TlsFiles {
        self.issue_for(role, id, Duration::from_secs(86_400), Timestamp::now())
    }

    /// Files of a certificate that is valid for `ttl` from `now` on.
    ///
    /// # Panics
    /// When `id` is no valid name or `ttl` is out of bounds.
    #[must_use]
    pub fn issue_for(&self, role: Role, id: &str, ttl: Duration, now: Timestamp) -> TlsFiles {
        let spiffe = SpiffeId::new(Tenant::default(), role, id).expect("a valid name");
        let issued = self
            .ca
            .issue(&spiffe, &NAMES.map(str::to_owned), ttl, now)
            .expect("issue");
        let stem = format!("{role}-{id}-{}", issued.info.serial);
        let files = TlsFiles {
            cert_file: self.dir.path().join(format!("{stem}.pem")),
            key_file: self.dir.path().join(format!("{stem}.key")),
            ca_file: self.cert_file(),
        };
        write_public(&files.cert_file, issued.chain_pem.as_bytes()).expect("write a certificate");
        write_private(&files.key_file, issued.key_pem.as_bytes()).expect("write a key");
        files
    }

    /// A loaded identity, valid for a day from now on.
    ///
    /// # Panics
    /// When `id` is no valid name.
    #[must_use]
    pub fn identity(&self, role: Role, id: &str) -> Identity {
        Identity::load(&self.issue(role, id)).expect("load an identity")
    }
}

impl Default for Authority {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identities_are_of_the_role_asked_for() {
        let authority = Authority::new();
        let identity = authority.identity(Role::Detector, "detector-9");
        assert_eq!(identity.id().to_string(), "spiffe://picket/default/detector/detector-9");
    }
}
