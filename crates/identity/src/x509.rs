//! Reading what Picket needs out of certificates, and making keys.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use model::Timestamp;
use rcgen::{CertificateParams, DistinguishedName, KeyPair};
use ring::digest;
use rustls_pki_types::CertificateDer;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer as _, X509Certificate};
use zeroize::Zeroizing;

use crate::error::Error;
use crate::serial::Serial;
use crate::spiffe::SpiffeId;

/// A private key as PEM text; wiped from memory when dropped.
pub type KeyPem = Zeroizing<String>;

/// Makes a P-256 key and a certificate signing request (DER) for it. The request names nobody: the authority decides
/// who its key speaks for.
///
/// # Errors
/// When the system gives no random bytes.
pub fn new_key_and_csr() -> Result<(KeyPem, Vec<u8>), Error> {
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    let request = params.serialize_request(&key)?;
    Ok((Zeroizing::new(key.serialize_pem()), request.der().to_vec()))
}

/// `sha256:` and the 64 hex digits of the SHA-256 of the certificate (DER).
#[must_use]
pub fn fingerprint(certificate: &CertificateDer<'_>) -> String {
    format!("sha256:{}", hex(digest::digest(&digest::SHA256, certificate).as_ref()))
}

/// Checks and normalizes a fingerprint a person typed: `sha256:` and 64 hex digits, upper case, colons and spaces
/// between bytes allowed.
///
/// # Errors
/// When it is no such fingerprint.
pub fn parse_fingerprint(text: &str) -> Result<String, Error> {
    let error = || Error::Parameter {
        name: "fingerprint",
        expected: "sha256: followed by 64 hex digits",
        got: text.chars().take(120).collect(),
    };
    let (algorithm, digits) = text.trim().split_once(':').ok_or_else(error)?;
    let digits: String = digits.chars().filter(|c| *c != ':' && *c != ' ').collect();
    if !algorithm.eq_ignore_ascii_case("sha256") || digits.len() != 64 || !digits.bytes().all(|b| b.is_ascii_hexdigit())
    {
        return Err(error());
    }
    Ok(format!("sha256:{}", digits.to_ascii_lowercase()))
}

/// The certificate as PEM text.
#[must_use]
pub fn certificate_pem(certificate: &CertificateDer<'_>) -> String {
    let encoded = BASE64.encode(certificate);
    let mut pem = String::with_capacity(encoded.len() + encoded.len() / 64 + 60);
    pem.push_str("-----BEGIN CERTIFICATE-----\n");
    for (index, c) in encoded.chars().enumerate() {
        if index > 0 && index % 64 == 0 {
            pem.push('\n');
        }
        pem.push(c);
    }
    pem.push_str("\n-----END CERTIFICATE-----\n");
    pem
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
}

/// What a certificate says about its holder.
#[derive(Clone, Debug)]
pub(crate) struct Facts {
    pub(crate) id: SpiffeId,
    pub(crate) serial: Serial,
    pub(crate) not_before: Timestamp,
    pub(crate) not_after: Timestamp,
}

pub(crate) fn parse<'a>(certificate: &'a CertificateDer<'_>) -> Result<X509Certificate<'a>, Error> {
    let (rest, parsed) =
        X509Certificate::from_der(certificate).map_err(|e| Error::certificate("a DER certificate", e.to_string()))?;
    if rest.is_empty() {
        Ok(parsed)
    } else {
        Err(Error::certificate(
            "a DER certificate",
            format!("{} bytes behind it", rest.len()),
        ))
    }
}

/// Reads the holder. Does not verify anything: the chain is TLS's business.
pub(crate) fn read_facts(certificate: &CertificateDer<'_>) -> Result<Facts, Error> {
    let parsed = parse(certificate)?;
    let names = parsed
        .subject_alternative_name()
        .map_err(|e| Error::certificate("one list of subject alternative names", e.to_string()))?;
    let mut uris = names
        .iter()
        .flat_map(|names| &names.value.general_names)
        .filter_map(|name| {
            if let GeneralName::URI(uri) = name {
                Some(*uri)
            } else {
                None
            }
        });
    let (Some(uri), None) = (uris.next(), uris.next()) else {
        return Err(Error::certificate(
            "exactly one URI subject alternative name",
            "none or several",
        ));
    };
    let id = uri
        .parse()
        .map_err(|e: crate::ParseSpiffeIdError| Error::certificate("a Picket name as URI", e.to_string()))?;
    let serial = read_serial(&parsed)?;
    let validity = parsed.validity();
    Ok(Facts {
        id,
        serial,
        not_before: from_secs(validity.not_before.timestamp()),
        not_after: from_secs(validity.not_after.timestamp()),
    })
}

pub(crate) fn read_serial(parsed: &X509Certificate<'_>) -> Result<Serial, Error> {
    Serial::from_bytes(parsed.raw_serial())
        .ok_or_else(|| Error::certificate("a serial number of 1 to 20 bytes", parsed.raw_serial_as_string()))
}

fn from_secs(secs: i64) -> Timestamp {
    Timestamp(secs.saturating_mul(1_000_000))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_bytes_are_refused_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            prop_assert!(read_facts(&CertificateDer::from(bytes)).is_err());
        }
    }

    #[test]
    fn fingerprints_are_normalized_or_refused() {
        let digits = "ab".repeat(32);
        let expected = format!("sha256:{digits}");
        assert_eq!(parse_fingerprint(&expected).unwrap(), expected);
        assert_eq!(
            parse_fingerprint(&format!(" SHA256:{} ", "AB:".repeat(32))).unwrap(),
            expected
        );
        for text in [
            "",
            "sha256:",
            "sha256:abc",
            &digits,
            &format!("md5:{digits}"),
            &format!("sha256:{digits}00"),
        ] {
            assert!(
                parse_fingerprint(text)
                    .unwrap_err()
                    .to_string()
                    .contains("64 hex digits"),
                "{text}"
            );
        }
    }
}
