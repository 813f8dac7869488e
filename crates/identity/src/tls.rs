//! What all TLS configurations share.

use std::sync::Arc;

use rustls::crypto::{CryptoProvider, ring};

/// Protocols offered, best first.
pub(crate) const ALPN: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// The one provider of cryptography, whatever the process installed as its default.
pub(crate) fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}
