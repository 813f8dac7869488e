//! A collector's signature over a stored block.
//!
//! ECDSA P-256 over SHA-256, ASN.1, over `"picket-block-v1\0" || digest`.

use ring::signature::{ECDSA_P256_SHA256_ASN1, UnparsedPublicKey};
use rustls::SignatureScheme;
use rustls_pki_types::CertificateDer;

use crate::error::Error;
use crate::loaded::Identity;
use crate::x509;

const CONTEXT: &[u8; 16] = b"picket-block-v1\0";

/// Signs the digest of a block.
///
/// # Errors
/// When the system gives no random bytes, or the identity's key is not a P-256 key.
pub fn sign(identity: &Identity, digest: &[u8; 32]) -> Result<Vec<u8>, Error> {
    let signer = identity
        .certified_key()
        .key
        .choose_scheme(&[SignatureScheme::ECDSA_NISTP256_SHA256])
        .ok_or(Error::Seal("this identity's key is not a P-256 key"))?;
    Ok(signer.sign(&message(digest))?)
}

/// Checks a signature over the digest of a block.
///
/// # Errors
/// [`Error::Seal`] when it is not by that certificate's key over this digest.
pub fn verify(certificate: &CertificateDer<'_>, digest: &[u8; 32], signature: &[u8]) -> Result<(), Error> {
    let parsed = x509::parse(certificate)?;
    UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, &parsed.public_key().subject_public_key.data)
        .verify(&message(digest), signature)
        .map_err(|_| Error::Seal("the signature is not over what is stored"))
}

fn message(digest: &[u8; 32]) -> Vec<u8> {
    [CONTEXT.as_slice(), digest].concat()
}
