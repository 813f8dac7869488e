//! The accepting end.

use std::sync::Arc;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, ServerConfig, SignatureScheme, version};
use rustls_pki_types::{CertificateDer, UnixTime};

use crate::error::Error;
use crate::loaded::Identity;
use crate::refusal::{Refusal, log_refused};
use crate::revocation::RevocationList;
use crate::tls::{ALPN, provider};
use crate::x509;

/// Whether clients must show a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientAuth {
    /// Only peers with a valid certificate get through the handshake.
    Required,
    /// A certificate may be absent, but one that is presented must be valid.
    Optional,
    /// Clients are not asked: the public port, where they identify themselves in the request. Takes TLS 1.2 too.
    None,
}

/// TLS for a listening socket, offering HTTP/2 and HTTP/1.1. Between Picket's own processes (any `auth` but
/// [`ClientAuth::None`]) it is TLS 1.3 without session resumption, so that every connection is checked against the
/// revocation list.
///
/// Client certificates that are expired, foreign, revoked or nameless are refused in the handshake and logged as WARN
/// with the reason, the name and the serial number.
///
/// # Errors
/// When TLS does not take the certificate and key.
pub fn server_config(
    identity: &Identity,
    auth: ClientAuth,
    revoked: &RevocationList,
) -> Result<Arc<ServerConfig>, Error> {
    let builder = ServerConfig::builder_with_provider(provider());
    let builder = match auth {
        ClientAuth::Required | ClientAuth::Optional => builder.with_protocol_versions(&[&version::TLS13])?,
        ClientAuth::None => builder.with_protocol_versions(&[&version::TLS13, &version::TLS12])?,
    };
    let builder = match auth {
        ClientAuth::Required | ClientAuth::Optional => {
            let verifier = AgainstRevocation::new(identity, auth == ClientAuth::Required, revoked)?;
            builder.with_client_cert_verifier(Arc::new(verifier))
        }
        ClientAuth::None => builder.with_no_client_auth(),
    };
    let mut config = builder.with_single_cert(identity.chain().to_vec(), identity.key_der())?;
    config.alpn_protocols = ALPN.map(<[u8]>::to_vec).to_vec();
    if auth != ClientAuth::None {
        // A resumed session would skip the certificate check.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
    }
    Ok(Arc::new(config))
}

/// Chain to our authority, then the name, then the revocation list.
#[derive(Debug)]
struct AgainstRevocation {
    chain: Arc<dyn ClientCertVerifier>,
    required: bool,
    revoked: RevocationList,
}

impl AgainstRevocation {
    fn new(identity: &Identity, required: bool, revoked: &RevocationList) -> Result<Self, Error> {
        let chain = WebPkiClientVerifier::builder_with_provider(identity.roots(), provider())
            .build()
            .map_err(|e| rustls::Error::General(e.to_string()))?;
        Ok(Self {
            chain,
            required,
            revoked: revoked.clone(),
        })
    }
}

impl ClientCertVerifier for AgainstRevocation {
    fn client_auth_mandatory(&self) -> bool {
        self.required
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.chain.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        // Before the chain is verified this is only what the client claims, good enough for a log line.
        let facts = x509::read_facts(end_entity);
        let verified = match self.chain.verify_client_cert(end_entity, intermediates, now) {
            Err(error) => Err(error),
            Ok(verified) => match &facts {
                Err(error) => Err(Refusal::NoName(error.to_string()).into()),
                Ok(facts) if self.revoked.contains(&facts.serial) => {
                    Err(rustls::Error::InvalidCertificate(CertificateError::Revoked))
                }
                Ok(_) => Ok(verified),
            },
        };
        if let Err(error) = &verified {
            let facts = facts.as_ref().ok();
            log_refused(error, facts.map(|f| &f.id), facts.map(|f| &f.serial));
        }
        verified
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.chain.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.chain.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.chain.supported_verify_schemes()
    }
}
