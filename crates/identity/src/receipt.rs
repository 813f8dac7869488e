//! A collector's signed word that events are stored.
//!
//! ECDSA P-256 over SHA-256, ASN.1, over `"picket-receipt-v1\0" || agent id (16 bytes) || epoch || next_seq ||
//! issued_at`, the integers 8 bytes each, little-endian.

use model::{AgentId, Epoch};
use ring::signature::{ECDSA_P256_SHA256_ASN1, UnparsedPublicKey};
use rustls::SignatureScheme;
use rustls_pki_types::CertificateDer;

use crate::error::Error;
use crate::loaded::Identity;
use crate::x509;

const CONTEXT: &[u8; 18] = b"picket-receipt-v1\0";

/// Signs that every event of the agent's epoch below `next_seq` is stored or accounted for.
///
/// # Errors
/// When the system gives no random bytes, or the identity's key is not a P-256 key.
pub fn sign(
    identity: &Identity,
    agent: AgentId,
    epoch: Epoch,
    next_seq: u64,
    issued_at_micros: i64,
) -> Result<Vec<u8>, Error> {
    let signer = identity
        .certified_key()
        .key
        .choose_scheme(&[SignatureScheme::ECDSA_NISTP256_SHA256])
        .ok_or(Error::Receipt("this identity's key is not a P-256 key"))?;
    Ok(signer.sign(&message(agent, epoch, next_seq, issued_at_micros))?)
}

/// Checks a receipt against the certificate of the collector it came from.
///
/// # Errors
/// [`Error::Receipt`] when the signature is not by that certificate's key over exactly these values.
pub fn verify(
    peer_cert: &CertificateDer<'_>,
    agent: AgentId,
    epoch: Epoch,
    next_seq: u64,
    issued_at_micros: i64,
    signature: &[u8],
) -> Result<(), Error> {
    let parsed = x509::parse(peer_cert)?;
    UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, &parsed.public_key().subject_public_key.data)
        .verify(&message(agent, epoch, next_seq, issued_at_micros), signature)
        .map_err(|_| Error::Receipt("the signature is not the collector's"))
}

fn message(agent: AgentId, epoch: Epoch, next_seq: u64, issued_at_micros: i64) -> Vec<u8> {
    let mut message = Vec::with_capacity(CONTEXT.len() + 16 + 24);
    message.extend_from_slice(CONTEXT);
    message.extend_from_slice(agent.0.as_bytes());
    message.extend_from_slice(&epoch.0.to_le_bytes());
    message.extend_from_slice(&next_seq.to_le_bytes());
    message.extend_from_slice(&issued_at_micros.to_le_bytes());
    message
}
