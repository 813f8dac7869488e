//! Whoever signed something once, and whether it may have: checked against the authority long after the fact.

use std::path::Path;

use model::node::Role;
use model::{AgentId, Epoch, Timestamp};
use rustls::RootCertStore;
use rustls_pki_types::CertificateDer;

use crate::error::Error;
use crate::loaded::check_issued;
use crate::serial::Serial;
use crate::spiffe::SpiffeId;
use crate::x509::{self, Facts};
use crate::{files, receipt, seal};

/// The authorities whose certificates count.
#[derive(Clone, Debug)]
pub struct Authorities(RootCertStore);

impl Authorities {
    /// Loads the certificates in a PEM file.
    ///
    /// # Errors
    /// When it is missing, or holds something else.
    pub fn load(path: &Path) -> Result<Self, Error> {
        let mut roots = RootCertStore::empty();
        for authority in files::read_certificates(path)? {
            roots
                .add(authority)
                .map_err(|error| Error::file(path, "certificates of authorities", error.to_string()))?;
        }
        Ok(Self(roots))
    }
}

/// A collector's certificate that the authority issued, whether or not it is still valid.
#[derive(Clone, Debug)]
pub struct Signatory {
    certificate: CertificateDer<'static>,
    facts: Facts,
}

impl Signatory {
    /// Takes a certificate, followed by those between it and the authority's.
    ///
    /// # Errors
    /// When it is not issued by one of the authorities, or is not a collector's.
    pub fn open(chain: Vec<Vec<u8>>, authorities: &Authorities) -> Result<Self, Error> {
        let chain: Vec<CertificateDer<'static>> = chain.into_iter().map(CertificateDer::from).collect();
        let Some(certificate) = chain.first().cloned() else {
            return Err(Error::certificate("a certificate", "none"));
        };
        let facts = x509::read_facts(&certificate)?;
        check_issued(&chain, &authorities.0, facts.not_before)
            .map_err(|error| Error::certificate("one issued by our authority", error.to_string()))?;
        if facts.id.role != Role::Collector {
            return Err(Error::certificate("a collector's", format!("that of {}", facts.id)));
        }
        Ok(Self { certificate, facts })
    }

    /// Its name.
    #[must_use]
    pub fn id(&self) -> &SpiffeId {
        &self.facts.id
    }

    /// Its serial number.
    #[must_use]
    pub fn serial(&self) -> &Serial {
        &self.facts.serial
    }

    /// Whether the certificate was valid at that time.
    #[must_use]
    pub fn was_valid(&self, at: Timestamp) -> bool {
        (self.facts.not_before..=self.facts.not_after).contains(&at)
    }

    /// Checks a receipt.
    ///
    /// # Errors
    /// As [`receipt::verify`].
    pub fn check_receipt(
        &self,
        agent: AgentId,
        epoch: Epoch,
        next_seq: u64,
        issued_at: Timestamp,
        signature: &[u8],
    ) -> Result<(), Error> {
        receipt::verify(&self.certificate, agent, epoch, next_seq, issued_at.0, signature)
    }

    /// Checks the signature over a block.
    ///
    /// # Errors
    /// As [`seal::verify`].
    pub fn check_block(&self, digest: &[u8; 32], signature: &[u8]) -> Result<(), Error> {
        seal::verify(&self.certificate, digest, signature)
    }
}
