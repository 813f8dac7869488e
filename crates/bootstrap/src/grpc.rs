//! gRPC servers and clients as all services use them.
//!
//! Message size limits are a property of each generated server: services set
//! `max_decoding_message_size(limits.max_message_bytes)` and `max_encoding_message_size(..)` on theirs.

mod client;
mod health;
mod peer;
mod serve;
mod services;

pub use client::{Connection, PeerCertificate, connect, connect_lazy, connect_tls};
pub use health::health_and_reflection;
pub use peer::{connection, peer, require_role};
pub(crate) use serve::serve_routes;
pub use serve::{Limits, serve};
pub use services::{Services, routes};
