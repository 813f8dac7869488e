//! The first connection of a machine that has no certificate yet.

use std::sync::Arc;

use model::node::Role;
use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme, version};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

use crate::client::verify_role;
use crate::error::Error;
use crate::refusal::Refusal;
use crate::revocation::RevocationList;
use crate::tls::{ALPN, provider};
use crate::x509;

/// TLS 1.3 to a collector for enrolling, without a client certificate. The server must present the authority with this
/// fingerprint (`sha256:<64 hex digits>`) and a certificate of a collector that was issued by it.
///
/// # Errors
/// When the text is no fingerprint.
pub fn enrolment_client_config(ca_fingerprint: &str) -> Result<Arc<ClientConfig>, Error> {
    let verifier = Pinned {
        fingerprint: x509::parse_fingerprint(ca_fingerprint)?,
        provider: provider(),
    };
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&version::TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    config.alpn_protocols = ALPN.map(<[u8]>::to_vec).to_vec();
    config.resumption = Resumption::disabled();
    Ok(Arc::new(config))
}

#[derive(Debug)]
struct Pinned {
    fingerprint: String,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let Some(last) = intermediates.last() else {
            return Err(Refusal::NoCa {
                expected: self.fingerprint.clone(),
            }
            .into());
        };
        let Some(authority) = intermediates.iter().find(|c| x509::fingerprint(c) == self.fingerprint) else {
            return Err(Refusal::Pin {
                got: x509::fingerprint(last),
                expected: self.fingerprint.clone(),
            }
            .into());
        };
        let mut roots = RootCertStore::empty();
        roots.add(authority.clone().into_owned())?;
        // Who enrols knows no revocations yet; its first real connection checks them.
        let revoked = RevocationList::default();
        verify_role(
            end_entity,
            intermediates,
            &roots,
            Role::Collector,
            &revoked,
            now,
            &self.provider,
        )
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
