//! The other end of a connection.

use model::Timestamp;
use rustls_pki_types::CertificateDer;

use crate::error::Error;
use crate::serial::Serial;
use crate::spiffe::SpiffeId;
use crate::x509;

/// Who is on the other end, from the certificate it proved to hold the key of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Its name.
    pub id: SpiffeId,
    /// Serial number of its certificate.
    pub serial: Serial,
    /// When its certificate ends.
    pub not_after: Timestamp,
}

impl Peer {
    /// Reads the holder's name. Verifies nothing: pass only certificates that TLS accepted.
    ///
    /// # Errors
    /// When the certificate cannot be parsed or does not carry exactly one Picket name.
    pub fn from_certificate(certificate: &CertificateDer<'_>) -> Result<Self, Error> {
        let facts = x509::read_facts(certificate)?;
        Ok(Self {
            id: facts.id,
            serial: facts.serial,
            not_after: facts.not_after,
        })
    }
}
