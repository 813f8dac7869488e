//! The connecting end.

use std::sync::Arc;

use model::node::Role;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, verify_server_cert_signed_by_trust_anchor};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme, version};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

use crate::error::Error;
use crate::loaded::Identity;
use crate::refusal::Refusal;
use crate::revocation::RevocationList;
use crate::tls::{ALPN, provider};
use crate::x509;

/// TLS 1.3 to another Picket process, presenting the own certificate. The server's must chain to our authority, not be
/// revoked and carry the role `expect`; under which host name or address it was reached does not matter.
///
/// # Errors
/// When TLS does not take the certificate and key.
pub fn client_config(identity: &Identity, expect: Role, revoked: &RevocationList) -> Result<Arc<ClientConfig>, Error> {
    let verifier = OfRole {
        roots: identity.roots(),
        expect,
        revoked: revoked.clone(),
        provider: provider(),
    };
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&version::TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_client_auth_cert(identity.chain().to_vec(), identity.key_der())?;
    config.alpn_protocols = ALPN.map(<[u8]>::to_vec).to_vec();
    config.resumption = Resumption::disabled();
    Ok(Arc::new(config))
}

#[derive(Debug)]
struct OfRole {
    roots: Arc<RootCertStore>,
    expect: Role,
    revoked: RevocationList,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for OfRole {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        verify_role(
            end_entity,
            intermediates,
            &self.roots,
            self.expect,
            &self.revoked,
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

/// Chain, name, role, revocation.
pub(crate) fn verify_role(
    end_entity: &CertificateDer<'_>,
    intermediates: &[CertificateDer<'_>],
    roots: &RootCertStore,
    expect: Role,
    revoked: &RevocationList,
    now: UnixTime,
    provider: &CryptoProvider,
) -> Result<ServerCertVerified, rustls::Error> {
    let leaf = ParsedCertificate::try_from(end_entity)?;
    let algorithms = provider.signature_verification_algorithms.all;
    verify_server_cert_signed_by_trust_anchor(&leaf, roots, intermediates, now, algorithms)?;
    let facts = x509::read_facts(end_entity).map_err(|e| Refusal::NoName(e.to_string()))?;
    if facts.id.role != expect {
        return Err(Refusal::Role {
            got: facts.id,
            expected: expect,
        }
        .into());
    }
    if revoked.contains(&facts.serial) {
        return Err(rustls::Error::InvalidCertificate(CertificateError::Revoked));
    }
    Ok(ServerCertVerified::assertion())
}
