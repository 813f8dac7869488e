//! Why a TLS handshake was refused, in an operator's words.
#![allow(
    clippy::wildcard_enum_match_arm,
    reason = "TLS has many ways to fail that need no words of their own"
)]

use std::error::Error as StdError;
use std::io::ErrorKind;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use model::node::Role;
use rustls::{AlertDescription, CertificateError, OtherError};

use crate::serial::Serial;
use crate::spiffe::SpiffeId;

/// Reasons that TLS itself has no word for.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("the certificate names no Picket peer: {0}")]
    NoName(String),
    #[error("the peer is {got}, expected the role {expected}")]
    Role { got: SpiffeId, expected: Role },
    #[error("the server's CA has fingerprint {got}, expected {expected}")]
    Pin { got: String, expected: String },
    #[error("the server presented no CA certificate to compare with the fingerprint {expected}")]
    NoCa { expected: String },
}

impl From<Refusal> for rustls::Error {
    fn from(refusal: Refusal) -> Self {
        Self::Other(OtherError(std::sync::Arc::new(refusal)))
    }
}

/// One line that says why a connection attempt failed, for a person: looks through the causes of an I/O error for
/// what TLS said and who said it.
#[must_use]
pub fn describe_tls_error(error: &(dyn StdError + 'static)) -> String {
    let mut current = Some(error);
    let mut last = error.to_string();
    while let Some(e) = current {
        if let Some(tls) = e.downcast_ref::<rustls::Error>() {
            return describe(tls);
        }
        last = e.to_string();
        let io = e.downcast_ref::<std::io::Error>();
        // An I/O error's source is the source of what it wraps, which would be skipped.
        current = match io.and_then(std::io::Error::get_ref) {
            Some(inner) => Some(inner),
            None => e.source(),
        };
        if io.is_some_and(|io| io.kind() == ErrorKind::UnexpectedEof)
            && !current.is_some_and(|e| e.is::<rustls::Error>())
        {
            // What it wraps tells developers where to read about it.
            return "the peer closed the connection".to_owned();
        }
    }
    last
}

fn describe(error: &rustls::Error) -> String {
    match error {
        rustls::Error::AlertReceived(alert) => describe_alert(*alert),
        rustls::Error::InvalidCertificate(reason) => describe_certificate_error(reason),
        rustls::Error::NoCertificatesPresented => "the peer presented no certificate".to_owned(),
        rustls::Error::Other(other) => other.0.to_string(),
        other => other.to_string(),
    }
}

fn describe_alert(alert: AlertDescription) -> String {
    let reason = match alert {
        AlertDescription::CertificateRevoked => "it is revoked",
        AlertDescription::CertificateExpired => "it is expired or not yet valid",
        AlertDescription::UnknownCA => "it was issued by another authority",
        AlertDescription::CertificateRequired => return "the peer requires a certificate and none was sent".to_owned(),
        AlertDescription::BadCertificate
        | AlertDescription::CertificateUnknown
        | AlertDescription::AccessDenied
        | AlertDescription::UnsupportedCertificate => "it is not acceptable there, see the peer's log",
        other => return format!("the peer ended the TLS handshake: {other:?}"),
    };
    format!("the peer refused this certificate: {reason}")
}

fn describe_certificate_error(reason: &CertificateError) -> String {
    match reason {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "the peer's certificate is expired".to_owned()
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "the peer's certificate is not yet valid, is a clock wrong?".to_owned()
        }
        CertificateError::Revoked => "the peer's certificate is revoked".to_owned(),
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            "the peer's certificate was issued by another authority".to_owned()
        }
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            "the peer's certificate is not made for this end of a connection".to_owned()
        }
        other => format!("the peer's certificate is not acceptable: {other}"),
    }
}

/// Log lines about refused peers a second; anybody who reaches the port can cause them.
const LOG_LIMIT: u32 = 5;

struct Window {
    started: Instant,
    logged: u32,
    suppressed: u64,
}

static WINDOW: Mutex<Option<Window>> = Mutex::new(None);

/// WARNs about a refused client certificate, at most [`LOG_LIMIT`] times a second.
pub(crate) fn log_refused(error: &rustls::Error, id: Option<&SpiffeId>, serial: Option<&Serial>) {
    let Some(suppressed) = admit_log_line(Instant::now()) else {
        return;
    };
    let unknown = String::from("unknown");
    tracing::warn!(
        reason = %describe(error),
        spiffe_id = %id.map_or_else(|| unknown.clone(), ToString::to_string),
        serial = %serial.map_or_else(|| unknown.clone(), ToString::to_string),
        suppressed,
        "refused client certificate"
    );
}

/// `Some(lines suppressed before)` when a line may be written.
fn admit_log_line(now: Instant) -> Option<u64> {
    let mut guard = WINDOW.lock().unwrap_or_else(PoisonError::into_inner);
    let window = guard.get_or_insert(Window {
        started: now,
        logged: 0,
        suppressed: 0,
    });
    if now.duration_since(window.started) >= Duration::from_secs(1) {
        window.started = now;
        window.logged = 0;
    }
    if window.logged >= LOG_LIMIT {
        window.suppressed += 1;
        return None;
    }
    window.logged += 1;
    Some(std::mem::take(&mut window.suppressed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_that_just_goes_is_said_to_have_gone() {
        let gone = std::io::Error::new(ErrorKind::UnexpectedEof, "no close_notify: https://docs.example/eof");
        let outer = std::io::Error::other(gone);
        assert_eq!(describe_tls_error(&outer), "the peer closed the connection");
        let revoked = rustls::Error::AlertReceived(AlertDescription::CertificateRevoked);
        let outer = std::io::Error::new(ErrorKind::UnexpectedEof, revoked);
        assert!(describe_tls_error(&outer).contains("it is revoked"));
    }
}
