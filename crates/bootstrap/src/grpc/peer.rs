//! Who calls.

use model::node::Role;
use tonic::{Request, Status};

use crate::tls::ConnectionInfo;

/// The caller, by its certificate.
///
/// # Errors
/// UNAUTHENTICATED when it presented none.
#[allow(clippy::result_large_err, reason = "a handler returns exactly this status")]
pub fn peer<T>(request: &Request<T>) -> Result<identity::Peer, Status> {
    request
        .extensions()
        .get::<identity::Peer>()
        .cloned()
        .ok_or_else(|| Status::unauthenticated("this call needs a client certificate issued by Picket's authority"))
}

/// The caller, when its role is one of those allowed.
///
/// # Errors
/// UNAUTHENTICATED when it presented no certificate; PERMISSION_DENIED, naming both roles, when it has another one.
#[allow(clippy::result_large_err, reason = "a handler returns exactly this status")]
pub fn require_role<T>(request: &Request<T>, allowed: &[Role]) -> Result<identity::Peer, Status> {
    let peer = peer(request)?;
    if allowed.contains(&peer.id.role) {
        return Ok(peer);
    }
    let allowed: Vec<&str> = allowed.iter().map(|role| role.as_str()).collect();
    Err(Status::permission_denied(format!(
        "this call is for the role {}, the caller is {} with the role {}",
        allowed.join(" or "),
        peer.id,
        peer.id.role
    )))
}

/// From where the call comes and with which certificate, when the server is one of [`serve`](super::serve).
#[must_use]
pub fn connection<T>(request: &Request<T>) -> Option<&ConnectionInfo> {
    request.extensions().get::<ConnectionInfo>()
}
