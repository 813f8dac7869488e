//! The server's life.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use arc_swap::ArcSwap;
use http::Request;
use rustls::ServerConfig;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;
use tonic::transport::Server;
use tonic::transport::server::TcpConnectInfo;
use tower::ServiceBuilder;

use super::health;
use super::services::Services;
use crate::tls::{AcceptLimits, ConnectionInfo, TlsListener};

/// How long broken connections get to be dropped.
const KILL_GRACE: Duration = Duration::from_secs(1);
/// Frames the peer reset that may wait to be accepted, before the connection is closed as an attack.
const MAX_PENDING_RESETS: usize = 20;

/// Bounds of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Largest message, in bytes. Not enforced here: services pass it to their generated servers.
    pub max_message_bytes: usize,
    /// Calls at once on one connection; more wait on the client's side.
    pub max_concurrent_streams: u32,
    /// How long a call may take until its response begins: the whole of a unary call, but not the life of a stream,
    /// whose response begins when the handler returns it. A shorter deadline of the client's holds.
    pub request_timeout: Duration,
    /// Connections at once; more are closed at once.
    pub max_connections: usize,
    /// How long a TLS handshake may take.
    pub handshake_timeout: Duration,
    /// After this long without traffic the peer is pinged.
    pub keepalive_interval: Duration,
    /// A peer that does not answer a ping within this is disconnected.
    pub keepalive_timeout: Duration,
    /// Age at which a connection is asked to end, so that clients spread over new nodes. `None`: never.
    pub max_connection_age: Option<Duration>,
    /// Bytes of one stream that may be under way unread.
    pub stream_window_bytes: u32,
    /// Bytes of all streams of a connection that may be under way unread.
    pub connection_window_bytes: u32,
    /// Largest block of request headers, in bytes.
    pub max_header_bytes: u32,
    /// How long running calls may go on after shutdown begins.
    pub drain_grace: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_message_bytes: 8 * 1024 * 1024,
            max_concurrent_streams: 256,
            request_timeout: Duration::from_secs(30),
            max_connections: 10_000,
            handshake_timeout: Duration::from_secs(10),
            keepalive_interval: Duration::from_secs(20),
            keepalive_timeout: Duration::from_secs(10),
            max_connection_age: None,
            stream_window_bytes: 4 * 1024 * 1024,
            connection_window_bytes: 8 * 1024 * 1024,
            max_header_bytes: 16 * 1024,
            drain_grace: Duration::from_secs(25),
        }
    }
}

/// Serves gRPC over TLS until shutdown, with health and reflection beside the given services.
///
/// On shutdown it reports "not serving", closes the socket, asks every connection to end (GOAWAY) and gives running
/// calls [`Limits::drain_grace`]; then it breaks what is left. Handlers of long streams should end theirs when
/// `shutdown` is cancelled.
///
/// Handlers find the caller with [`peer`](super::peer) and [`require_role`](super::require_role).
///
/// # Errors
/// When the socket fails for good.
pub async fn serve(
    listener: TcpListener,
    tls: Arc<ArcSwap<ServerConfig>>,
    services: impl Into<Services>,
    limits: Limits,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    let services: Services = services.into();
    let names = services.names.clone();
    let (reporter, services) = health::add_to(services).await?;
    let stop = CancellationToken::new();
    let announce = async {
        shutdown.cancelled().await;
        health::set_stopping(&reporter, &names).await;
        stop.cancel();
        std::future::pending::<()>().await;
    };
    tokio::select! {
        result = serve_routes(listener, tls, services.routes, limits, false, stop.clone()) => result,
        () = announce => Ok(()),
    }
}

/// The part that REST and gRPC servers share.
pub(crate) async fn serve_routes(
    listener: TcpListener,
    tls: Arc<ArcSwap<ServerConfig>>,
    routes: Routes,
    limits: Limits,
    http1: bool,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    let kill = CancellationToken::new();
    // Whatever way this ends, no connection outlives it.
    let _kill_on_drop = kill.clone().drop_guard();
    let accept = AcceptLimits {
        max_connections: limits.max_connections,
        handshake_timeout: limits.handshake_timeout,
    };
    let incoming = TlsListener::with_kill(listener, tls, accept, kill.clone()).context("read the listening address")?;
    let mut server = Server::builder()
        .accept_http1(http1)
        .max_concurrent_streams(limits.max_concurrent_streams)
        .initial_stream_window_size(limits.stream_window_bytes)
        .initial_connection_window_size(limits.connection_window_bytes)
        .http2_keepalive_interval(Some(limits.keepalive_interval))
        .http2_keepalive_timeout(Some(limits.keepalive_timeout))
        .http2_max_pending_accept_reset_streams(Some(MAX_PENDING_RESETS))
        .http2_max_header_list_size(limits.max_header_bytes);
    if !http1 {
        // Its answer is a gRPC status, which a REST client would not understand.
        server = server.timeout(limits.request_timeout);
    }
    if let Some(age) = limits.max_connection_age {
        server = server.max_connection_age(age);
    }
    let serve = server
        .layer(ServiceBuilder::new().map_request(add_caller).into_inner())
        .add_routes(routes)
        .serve_with_incoming_shutdown(incoming, shutdown.clone().cancelled_owned());
    let mut serve = std::pin::pin!(serve);
    let too_late = async {
        shutdown.cancelled().await;
        tokio::time::sleep(limits.drain_grace).await;
    };
    tokio::select! {
        result = &mut serve => return result.context("serve connections"),
        () = too_late => {}
    }
    tracing::warn!(
        grace_secs = limits.drain_grace.as_secs(),
        "breaking connections that did not end in time"
    );
    kill.cancel();
    match tokio::time::timeout(KILL_GRACE, serve).await {
        Ok(result) => result.context("serve connections"),
        Err(_) => Ok(()),
    }
}

/// Puts who calls into the request's extensions, where handlers and tonic look for it.
fn add_caller<B>(mut request: Request<B>) -> Request<B> {
    if let Some(info) = request.extensions().get::<ConnectionInfo>().cloned() {
        let extensions = request.extensions_mut();
        extensions.insert(TcpConnectInfo {
            local_addr: Some(info.local),
            remote_addr: Some(info.remote),
        });
        if let Some(peer) = info.peer {
            extensions.insert(identity::Peer::clone(&peer));
        }
    }
    request
}
