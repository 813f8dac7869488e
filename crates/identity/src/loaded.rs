//! An identity in memory.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use model::Timestamp;
use rustls::RootCertStore;
use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::server::ParsedCertificate;
use rustls::sign::CertifiedKey;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, UnixTime};

use crate::error::Error;
use crate::files::{self, TlsFiles};
use crate::spiffe::SpiffeId;
use crate::tls::provider;
use crate::x509::{self, Facts};

/// This process's certificate and key, and the authorities it trusts. Cheap to clone; load it again when the files
/// were renewed.
#[derive(Clone)]
pub struct Identity(Arc<Inner>);

struct Inner {
    facts: Facts,
    key_der: PrivateKeyDer<'static>,
    certified: CertifiedKey,
    roots: Arc<RootCertStore>,
    ca_fingerprint: String,
}

impl Identity {
    /// Loads certificate, key and authorities and checks that they belong together. An expired certificate loads, so
    /// that its holder can say so or renew it; peers refuse it.
    ///
    /// # Errors
    /// When a file is missing or broken, the key is not the certificate's, the certificate names no Picket peer, or it
    /// was not issued by an authority in `ca_file`.
    pub fn load(paths: &TlsFiles) -> Result<Self, Error> {
        let mut chain = files::read_certificates(&paths.cert_file)?;
        let authorities = files::read_certificates(&paths.ca_file)?;
        let key_der = files::read_key(&paths.key_file)?;
        let facts = x509::read_facts(&chain[0])
            .map_err(|e| Error::file(&paths.cert_file, "a certificate issued by Picket", e.to_string()))?;
        let mut roots = RootCertStore::empty();
        for authority in &authorities {
            roots
                .add(authority.clone())
                .map_err(|e| Error::file(&paths.ca_file, "certificates of authorities", e.to_string()))?;
        }
        check_issued(&chain, &roots, facts.not_before).map_err(|e| {
            Error::file(
                &paths.cert_file,
                "a certificate issued by an authority in ca_file",
                e.to_string(),
            )
        })?;
        let authority = find_authority(&chain, &authorities)?;
        let ca_fingerprint = x509::fingerprint(authority);
        // Enrolling agents compare the authority they are shown with their pin, so it is always presented.
        if !chain.contains(authority) {
            chain.push(authority.clone());
        }
        let certified = CertifiedKey::from_der(chain, key_der.clone_key(), &provider())
            .map_err(|e| Error::file(&paths.key_file, "the private key of cert_file", e.to_string()))?;
        Ok(Self(Arc::new(Inner {
            facts,
            key_der,
            certified,
            roots: Arc::new(roots),
            ca_fingerprint,
        })))
    }

    /// Who this process is.
    #[must_use]
    pub fn id(&self) -> &SpiffeId {
        &self.0.facts.id
    }

    /// Serial number of the certificate.
    #[must_use]
    pub fn serial(&self) -> &crate::Serial {
        &self.0.facts.serial
    }

    /// When the certificate ends.
    #[must_use]
    pub fn not_after(&self) -> Timestamp {
        self.0.facts.not_after
    }

    /// When to renew it: at two thirds of its life.
    #[must_use]
    pub fn renew_at(&self) -> Timestamp {
        let (start, end) = (self.0.facts.not_before.0, self.0.facts.not_after.0);
        let life = Duration::from_micros(u64::try_from(end.saturating_sub(start)).unwrap_or(0));
        let two_thirds = i64::try_from((life * 2 / 3).as_micros()).unwrap_or(i64::MAX);
        Timestamp(start.saturating_add(two_thirds))
    }

    /// `sha256:<64 hex digits>` of the certificate of the authority that issued this one.
    #[must_use]
    pub fn ca_fingerprint(&self) -> &str {
        &self.0.ca_fingerprint
    }

    /// The certificates that are presented, the own one first and the authority's last.
    #[must_use]
    pub fn chain(&self) -> &[CertificateDer<'static>] {
        &self.0.certified.cert
    }

    pub(crate) fn certified_key(&self) -> &CertifiedKey {
        &self.0.certified
    }

    pub(crate) fn key_der(&self) -> PrivateKeyDer<'static> {
        self.0.key_der.clone_key()
    }

    pub(crate) fn roots(&self) -> Arc<RootCertStore> {
        Arc::clone(&self.0.roots)
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity")
            .field("id", &self.0.facts.id)
            .field("serial", &self.0.facts.serial)
            .field("not_after", &self.0.facts.not_after)
            .finish_non_exhaustive()
    }
}

/// Checks the chain's signatures at the time it became valid, whatever the clock says.
pub(crate) fn check_issued(
    chain: &[CertificateDer<'static>],
    roots: &RootCertStore,
    not_before: Timestamp,
) -> Result<(), rustls::Error> {
    let leaf = ParsedCertificate::try_from(&chain[0])?;
    let at = UnixTime::since_unix_epoch(Duration::from_secs(u64::try_from(not_before.as_secs()).unwrap_or(0)));
    let algorithms = provider().signature_verification_algorithms.all;
    match verify_server_cert_signed_by_trust_anchor(&leaf, roots, &chain[1..], at, algorithms) {
        // An agent's certificate is for clients only; the issuer is checked all the same.
        Err(rustls::Error::InvalidCertificate(
            rustls::CertificateError::InvalidPurpose | rustls::CertificateError::InvalidPurposeContext { .. },
        )) => rustls::server::WebPkiClientVerifier::builder_with_provider(Arc::new(roots.clone()), provider())
            .build()
            .map_err(|e| rustls::Error::General(e.to_string()))?
            .verify_client_cert(&chain[0], &chain[1..], at)
            .map(|_| ()),
        result => result,
    }
}

/// The trusted authority at the end of the chain.
fn find_authority<'a>(
    chain: &[CertificateDer<'static>],
    authorities: &'a [CertificateDer<'static>],
) -> Result<&'a CertificateDer<'static>, Error> {
    for certificate in chain.iter().rev() {
        let parsed = x509::parse(certificate)?;
        for authority in authorities {
            let candidate = x509::parse(authority)?;
            if candidate.subject() == parsed.issuer() && parsed.verify_signature(Some(candidate.public_key())).is_ok() {
                return Ok(authority);
            }
        }
    }
    Err(Error::certificate(
        "one issued by a trusted authority",
        "another issuer",
    ))
}
