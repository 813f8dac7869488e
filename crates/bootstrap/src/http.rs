//! HTTP servers for people and programs: REST and gRPC on one port.

use std::sync::Arc;

use arc_swap::ArcSwap;
use axum::Router;
use rustls::ServerConfig;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;

use crate::grpc::{self, Limits};

/// Serves a router over TLS with HTTP/1.1 and HTTP/2 until shutdown, with the same bounds and the same orderly end as
/// [`grpc::serve`], and with a limit on how long request headers may take. Health and reflection are added by merging
/// [`grpc::health_and_reflection`] into the router.
///
/// Requests carry [`ConnectionInfo`](crate::tls::ConnectionInfo) as an extension. `limits.request_timeout` is not
/// enforced here: a router has layers for that, which answer in its own format.
///
/// # Errors
/// When the socket fails for good.
pub async fn serve(
    listener: TcpListener,
    tls: Arc<ArcSwap<ServerConfig>>,
    router: Router,
    limits: Limits,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    grpc::serve_routes(listener, tls, Routes::from(router), limits, true, shutdown).await
}
