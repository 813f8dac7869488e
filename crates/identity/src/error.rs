//! What can go wrong with certificates and keys.

use std::io;
use std::path::{Path, PathBuf};

/// A certificate, key or authority could not be made, read or used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file system refused.
    #[error("{action} {}", path.display())]
    Io {
        /// Verb, such as `read`.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It would have overwritten an authority, or a part of one.
    #[error("{} exists; an authority is never overwritten, move it away first", .0.display())]
    Exists(PathBuf),
    /// A file does not hold what it should.
    #[error("{}: expected {expected}, got {got}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What it should hold.
        expected: &'static str,
        /// What it holds.
        got: String,
    },
    /// A certificate cannot be taken.
    #[error("certificate: expected {expected}, got {got}")]
    Certificate {
        /// What it should be.
        expected: &'static str,
        /// What it is.
        got: String,
    },
    /// A certificate signing request cannot be taken.
    #[error("certificate signing request: expected {expected}, got {got}")]
    Request {
        /// What it should be.
        expected: &'static str,
        /// What it is.
        got: String,
    },
    /// A parameter is out of range.
    #[error("{name}: expected {expected}, got {got:?}")]
    Parameter {
        /// Name of the parameter.
        name: &'static str,
        /// What is allowed.
        expected: &'static str,
        /// What was given.
        got: String,
    },
    /// Making or signing a certificate failed.
    #[error("sign the certificate")]
    Sign(#[from] rcgen::Error),
    /// TLS does not take the certificate, key or authority.
    #[error("set up TLS")]
    Tls(#[from] rustls::Error),
    /// A receipt could not be signed or does not carry its collector's signature.
    #[error("receipt: {0}")]
    Receipt(&'static str),
    /// A block could not be signed or does not carry its collector's signature.
    #[error("block: {0}")]
    Seal(&'static str),
    /// The system's random number generator failed.
    #[error("the system gave no random bytes")]
    Random,
}

impl Error {
    pub(crate) fn io(action: &'static str, path: &Path, source: io::Error) -> Self {
        Self::Io {
            action,
            path: path.to_owned(),
            source,
        }
    }

    pub(crate) fn file(path: &Path, expected: &'static str, got: impl Into<String>) -> Self {
        Self::File {
            path: path.to_owned(),
            expected,
            got: got.into(),
        }
    }

    pub(crate) fn certificate(expected: &'static str, got: impl Into<String>) -> Self {
        Self::Certificate {
            expected,
            got: got.into(),
        }
    }
}
