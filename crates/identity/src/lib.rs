//! Who is who: certificates of nodes and agents, the internal certificate authority, revocation, and the TLS
//! configurations that enforce them.
//!
//! A certificate names its holder in one URI subject alternative name, `spiffe://picket/<tenant>/<role>/<id>`. Host
//! names and addresses identify nobody: a peer is accepted when its chain ends in our authority, its certificate is
//! neither expired nor revoked, and its role is the expected one.

pub mod ca;
mod client;
mod enrolment;
mod error;
mod files;
mod loaded;
mod peer;
pub mod receipt;
mod refusal;
mod revocation;
pub mod seal;
mod serial;
mod server;
mod signatory;
mod spiffe;
mod tls;
mod x509;

pub use ca::{CertInfo, CertificateAuthority, Issued};
pub use client::client_config;
pub use enrolment::enrolment_client_config;
pub use error::Error;
pub use files::{TlsFiles, write_private, write_public};
pub use loaded::Identity;
pub use peer::Peer;
pub use refusal::describe_tls_error;
pub use revocation::RevocationList;
pub use serial::{ParseSerialError, Serial};
pub use server::{ClientAuth, server_config};
pub use signatory::{Authorities, Signatory};
pub use spiffe::{ParseSpiffeIdError, SpiffeId};
pub use x509::{KeyPem, certificate_pem, fingerprint, new_key_and_csr, parse_fingerprint};
