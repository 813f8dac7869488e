//! The internal certificate authority.

use std::fs;
use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use model::Timestamp;
use model::node::Role;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, SanType, SerialNumber,
};
use rustls_pki_types::{CertificateDer, CertificateSigningRequestDer};
use time::OffsetDateTime;
use zeroize::Zeroizing;

use crate::error::Error;
use crate::files;
use crate::serial::Serial;
use crate::spiffe::SpiffeId;
use crate::x509::{self, KeyPem};

/// How long an authority's own certificate is valid.
const CA_LIFE: Duration = Duration::from_secs(10 * 365 * 24 * 3600);
/// Certificates are valid from a little before they are made, for peers whose clock is behind: five minutes, and no more
/// than a tenth of their life, or a short-lived one would be due for renewal when it is issued.
const BACKDATE: Duration = Duration::from_secs(5 * 60);
/// Shortest life of a certificate.
const MIN_TTL: Duration = Duration::from_secs(1);
/// Largest certificate signing request that is looked at, in bytes.
const MAX_REQUEST_BYTES: usize = 16 * 1024;

/// Signs certificates with the key of the installation.
pub struct CertificateAuthority {
    issuer: Issuer<'static, KeyPair>,
    certificate: CertificateDer<'static>,
    not_after: Timestamp,
}

/// A certificate and its key, as files hold them.
#[derive(Debug)]
pub struct Issued {
    /// The certificate followed by the authority's, PEM.
    pub chain_pem: String,
    /// The private key, PEM.
    pub key_pem: KeyPem,
    /// What was issued.
    pub info: CertInfo,
}

/// What to remember about an issued certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertInfo {
    /// Who it speaks for.
    pub id: SpiffeId,
    /// Its number, by which it is revoked.
    pub serial: Serial,
    /// First second it is valid in.
    pub not_before: Timestamp,
    /// Last second it is valid in.
    pub not_after: Timestamp,
}

impl CertificateAuthority {
    /// Makes a new authority in `dir`: `ca.crt` and `ca.key` (0600), P-256, valid for ten years. Makes the directory
    /// (0700) when it is missing.
    ///
    /// # Errors
    /// [`Error::Exists`] when there is a file of either name; nothing is ever overwritten.
    pub fn init(dir: &Path) -> Result<Self, Error> {
        make_directory(dir)?;
        let (cert_path, key_path) = (dir.join("ca.crt"), dir.join("ca.key"));
        for path in [&cert_path, &key_path] {
            if path.symlink_metadata().is_ok() {
                return Err(Error::Exists(path.clone()));
            }
        }
        let key = KeyPair::generate()?;
        let serial = Serial::random()?;
        let now = Timestamp::now();
        let mut params = CertificateParams::default();
        params.not_before = to_time(minus(now, BACKDATE))?;
        params.not_after = to_time(plus(now, CA_LIFE))?;
        params.serial_number = Some(SerialNumber::from_slice(serial.as_bytes()));
        params.distinguished_name = DistinguishedName::new();
        // Two installations' authorities must differ in name too, or a verifier could try the wrong one.
        params
            .distinguished_name
            .push(DnType::CommonName, format!("Picket CA {}", &serial.to_string()[..8]));
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let certificate = params.self_signed(&key)?;
        let key_pem = Zeroizing::new(key.serialize_pem());
        files::create(&key_path, key_pem.as_bytes(), 0o600)?;
        files::create(&cert_path, certificate.pem().as_bytes(), 0o644)?;
        Self::open(&cert_path, &key_path)
    }

    /// Opens an authority from its files.
    ///
    /// # Errors
    /// When a file is missing or broken, the certificate is no authority's, or the key belongs to another one.
    pub fn open(cert: &Path, key: &Path) -> Result<Self, Error> {
        const EXPECTED_KEY: &str = "the private key of the authority";
        let certificate = files::read_certificates(cert)?.swap_remove(0);
        let key_der = files::read_key(key)?;
        let key_pair = KeyPair::try_from(&key_der).map_err(|e| Error::file(key, EXPECTED_KEY, e.to_string()))?;
        let not_after = {
            let parsed = x509::parse(&certificate)?;
            if !parsed.is_ca() {
                return Err(Error::file(
                    cert,
                    "an authority's certificate",
                    "a certificate that may not sign",
                ));
            }
            if parsed.public_key().subject_public_key.data.as_ref() != key_pair.public_key_raw() {
                return Err(Error::file(
                    key,
                    EXPECTED_KEY,
                    format!("another key than that of {}", cert.display()),
                ));
            }
            Timestamp(parsed.validity().not_after.timestamp().saturating_mul(1_000_000))
        };
        Ok(Self {
            issuer: Issuer::from_ca_cert_der(&certificate, key_pair)?,
            certificate,
            not_after,
        })
    }

    /// `sha256:<64 hex digits>` of the authority's certificate, for pinning at enrolment.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        x509::fingerprint(&self.certificate)
    }

    /// The authority's certificate.
    #[must_use]
    pub fn certificate(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    /// The authority's certificate as PEM, what peers need to trust it.
    #[must_use]
    pub fn certificate_pem(&self) -> String {
        to_pem(std::slice::from_ref(&self.certificate))
    }

    /// Makes a key and a certificate for it. `dns_or_ip` are the names under which programs that know no SPIFFE (a
    /// browser, curl) will reach the holder; between Picket's own processes they do not matter.
    ///
    /// The life ends with the authority's own at the latest.
    ///
    /// # Errors
    /// When a name is no DNS name, the life is shorter than a second, or the authority is expired.
    pub fn issue(&self, id: &SpiffeId, dns_or_ip: &[String], ttl: Duration, now: Timestamp) -> Result<Issued, Error> {
        let key = KeyPair::generate()?;
        let (mut params, info) = self.params(id, ttl, now)?;
        for name in dns_or_ip {
            params.subject_alt_names.push(parse_name(name)?);
        }
        let certificate = params.signed_by(&key, &self.issuer)?;
        Ok(Issued {
            chain_pem: to_pem(&[certificate.der().clone(), self.certificate.clone()]),
            key_pem: Zeroizing::new(key.serialize_pem()),
            info,
        })
    }

    /// Signs a certificate for the public key in a request that proves possession of the key. Nothing else in the
    /// request is used. Returns the certificate followed by the authority's.
    ///
    /// # Errors
    /// [`Error::Request`] when the request is too large, broken, not signed by its key or not of a P-256 key.
    pub fn sign_csr(
        &self,
        csr_der: &[u8],
        id: &SpiffeId,
        ttl: Duration,
        now: Timestamp,
    ) -> Result<(Vec<CertificateDer<'static>>, CertInfo), Error> {
        let refuse = |expected, got: String| Error::Request { expected, got };
        if csr_der.len() > MAX_REQUEST_BYTES {
            return Err(refuse("at most 16 KiB", format!("{} bytes", csr_der.len())));
        }
        let mut request = CertificateSigningRequestParams::from_der(&CertificateSigningRequestDer::from(csr_der))
            .map_err(|e| refuse("a PKCS #10 request signed by its own key", e.to_string()))?;
        if rcgen::PublicKeyData::algorithm(&request.public_key) != &PKCS_ECDSA_P256_SHA256 {
            return Err(refuse("a P-256 key", "another kind of key".to_owned()));
        }
        let (params, info) = self.params(id, ttl, now)?;
        request.params = params;
        let certificate = request.signed_by(&self.issuer)?;
        Ok((vec![certificate.into(), self.certificate.clone()], info))
    }

    fn params(&self, id: &SpiffeId, ttl: Duration, now: Timestamp) -> Result<(CertificateParams, CertInfo), Error> {
        if ttl < MIN_TTL {
            return Err(Error::Parameter {
                name: "ttl",
                expected: "at least one second",
                got: format!("{ttl:?}"),
            });
        }
        if now >= self.not_after {
            return Err(Error::certificate(
                "an authority that is not expired",
                format!("one until {}", self.not_after),
            ));
        }
        let info = CertInfo {
            id: id.clone(),
            serial: Serial::random()?,
            not_before: whole_secs(minus(now, BACKDATE.min(ttl / 10))),
            not_after: whole_secs(plus(now, ttl).min(self.not_after)),
        };
        let mut params = CertificateParams::default();
        params.not_before = to_time(info.not_before)?;
        params.not_after = to_time(info.not_after)?;
        params.serial_number = Some(SerialNumber::from_slice(info.serial.as_bytes()));
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, id.id.clone());
        params.subject_alt_names = vec![SanType::URI(id.to_string().try_into()?)];
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = match id.role {
            Role::Collector | Role::Detector | Role::Responder | Role::Gateway => {
                vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth]
            }
            Role::Agent | Role::Operator => vec![ExtendedKeyUsagePurpose::ClientAuth],
        };
        params.use_authority_key_identifier_extension = true;
        Ok((params, info))
    }
}

fn make_directory(dir: &Path) -> Result<(), Error> {
    use std::os::unix::fs::DirBuilderExt as _;
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .map_err(|e| Error::io("create directory", dir, e))
}

fn parse_name(name: &str) -> Result<SanType, Error> {
    if let Ok(ip) = name.parse::<IpAddr>() {
        return Ok(SanType::IpAddress(ip));
    }
    let refuse = || Error::Parameter {
        name: "dns_or_ip",
        expected: "an IP address or a DNS name",
        got: name.chars().take(255).collect(),
    };
    rustls_pki_types::DnsName::try_from(name).map_err(|_| refuse())?;
    Ok(SanType::DnsName(name.to_owned().try_into().map_err(|_| refuse())?))
}

/// Certificates as PEM text, in order.
fn to_pem(certificates: &[CertificateDer<'_>]) -> String {
    certificates
        .iter()
        .map(|certificate| x509::certificate_pem(certificate))
        .collect()
}

fn plus(time: Timestamp, by: Duration) -> Timestamp {
    Timestamp(time.0.saturating_add(i64::try_from(by.as_micros()).unwrap_or(i64::MAX)))
}

fn minus(time: Timestamp, by: Duration) -> Timestamp {
    Timestamp(time.0.saturating_sub(i64::try_from(by.as_micros()).unwrap_or(i64::MAX)))
}

/// X.509 knows no fractions.
fn whole_secs(time: Timestamp) -> Timestamp {
    Timestamp(time.as_secs().saturating_mul(1_000_000))
}

fn to_time(time: Timestamp) -> Result<OffsetDateTime, Error> {
    let refuse = || Error::Parameter {
        name: "now",
        expected: "a time between the years 1950 and 9999",
        got: time.to_string(),
    };
    let time = OffsetDateTime::from_unix_timestamp(time.as_secs()).map_err(|_| refuse())?;
    if (1950..=9999).contains(&time.year()) {
        Ok(time)
    } else {
        Err(refuse())
    }
}
