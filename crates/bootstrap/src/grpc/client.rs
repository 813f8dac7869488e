//! Connecting to another node.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll};
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use arc_swap::ArcSwapOption;
use http::Uri;
use hyper_util::rt::TokioIo;
use identity::{Identity, RevocationList};
use model::node::Role;
use rustls::ClientConfig;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::io::AsyncBufReadExt as _;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tonic::transport::{Channel, Endpoint};
use tower::Service;

/// How long name lookup, TCP and TLS may take together.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long the server may take to send its first byte after the handshake.
const ACCEPTED_TIMEOUT: Duration = Duration::from_secs(2);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(20);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(10);
const STREAM_WINDOW_BYTES: u32 = 4 * 1024 * 1024;
const CONNECTION_WINDOW_BYTES: u32 = 8 * 1024 * 1024;

/// Connects to a node over mutual TLS. The channel connects again by itself when the connection breaks; calls fail
/// with UNAVAILABLE meanwhile.
///
/// # Errors
/// Says why in one line: unreachable, refused by either side's certificate check, or another role than expected.
pub async fn connect(
    addr: &str,
    identity: &Identity,
    expect: Role,
    revoked: &RevocationList,
) -> anyhow::Result<Channel> {
    let tls = identity::client_config(identity, expect, revoked).context("set up TLS")?;
    let connection = connect_tls(addr, tls)
        .await
        .with_context(|| format!("connect to {expect}"))?;
    Ok(connection.channel)
}

/// Like [`connect`], but connects with the first call, and reports there what goes wrong.
#[must_use]
pub fn connect_lazy(addr: &str, identity: &Identity, expect: Role, revoked: &RevocationList) -> Channel {
    let tls = identity::client_config(identity, expect, revoked)
        .map_err(|e| format!("set up TLS: {:#}", anyhow::Error::from(e)));
    endpoint().connect_with_connector_lazy(Dialer::new(addr, tls))
}

/// A connection whose other end can be looked at.
#[derive(Clone, Debug)]
pub struct Connection {
    /// For making clients.
    pub channel: Channel,
    /// What the server presented.
    pub peer: PeerCertificate,
}

/// The server's certificate of the newest connection of a channel.
#[derive(Clone, Debug, Default)]
pub struct PeerCertificate(Arc<ArcSwapOption<CertificateDer<'static>>>);

impl PeerCertificate {
    /// The certificate; `None` before the first connection.
    #[must_use]
    pub fn get(&self) -> Option<Arc<CertificateDer<'static>>> {
        self.0.load_full()
    }
}

/// Connects to `HOST:PORT` with a TLS configuration of the caller's, such as one for enrolling.
///
/// # Errors
/// Says why in one line, as [`connect`].
pub async fn connect_tls(addr: &str, tls: Arc<ClientConfig>) -> anyhow::Result<Connection> {
    let dialer = Dialer::new(addr, Ok(tls));
    let peer = dialer.peer.clone();
    let channel = endpoint()
        .connect_with_connector(dialer)
        .await
        .map_err(|e| anyhow!("{}", identity::describe_tls_error(&e)))?;
    Ok(Connection { channel, peer })
}

fn endpoint() -> Endpoint {
    // The dialer knows where to connect to and does TLS itself; tonic must see neither.
    Endpoint::from_static("http://picket")
        .http2_keep_alive_interval(KEEPALIVE_INTERVAL)
        .keep_alive_timeout(KEEPALIVE_TIMEOUT)
        .keep_alive_while_idle(true)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
}

/// Makes the connections of a channel.
#[derive(Clone)]
struct Dialer {
    addr: Arc<str>,
    tls: Result<Arc<ClientConfig>, String>,
    peer: PeerCertificate,
}

impl Dialer {
    fn new(addr: &str, tls: Result<Arc<ClientConfig>, String>) -> Self {
        Self {
            addr: addr.into(),
            tls,
            peer: PeerCertificate::default(),
        }
    }

    async fn dial(self) -> io::Result<TokioIo<TlsStream<TcpStream>>> {
        let tls = self.tls.map_err(io::Error::other)?;
        let stream = tokio::time::timeout(CONNECT_TIMEOUT, dial(&self.addr, tls))
            .await
            .unwrap_or_else(|_| Err(io::Error::new(io::ErrorKind::TimedOut, "no answer in time")))
            .map_err(|e| {
                let reason = identity::describe_tls_error(&e);
                io::Error::new(e.kind(), format!("{}: {reason}", self.addr))
            })?;
        let certificate = stream
            .get_ref()
            .1
            .peer_certificates()
            .and_then(|chain| chain.first())
            .cloned();
        self.peer.0.store(certificate.map(Arc::new));
        Ok(TokioIo::new(stream))
    }
}

impl Service<Uri> for Dialer {
    type Response = TokioIo<TlsStream<TcpStream>>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, _cx: &mut TaskContext<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _uri: Uri) -> Self::Future {
        Box::pin(self.clone().dial())
    }
}

async fn dial(addr: &str, tls: Arc<ClientConfig>) -> io::Result<TlsStream<TcpStream>> {
    let tcp = TcpStream::connect(addr).await?;
    tcp.set_nodelay(true)?;
    let mut stream = TlsConnector::from(tls).connect(server_name(addr), tcp).await?;
    // In TLS 1.3 the client is done before the server has looked at its certificate. An HTTP/2 server speaks first, so
    // its first byte says that it was accepted; without waiting for it a refusal would show up as a broken pipe in
    // some later call. A server that does speak second is not held against it.
    match tokio::time::timeout(ACCEPTED_TIMEOUT, stream.fill_buf()).await {
        Ok(Ok([])) => Err(io::Error::new(
            io::ErrorKind::ConnectionAborted,
            "the peer closed the connection after the handshake",
        )),
        Ok(Err(error)) => Err(error),
        Ok(Ok(_)) | Err(_) => Ok(stream),
    }
}

/// The name for the handshake; nobody verifies it.
fn server_name(addr: &str) -> ServerName<'static> {
    let host = addr
        .rsplit_once(':')
        .map_or(addr, |(host, _)| host)
        .trim_matches(['[', ']']);
    ServerName::try_from(host.to_owned())
        .unwrap_or_else(|_| ServerName::IpAddress(std::net::IpAddr::from([127, 0, 0, 1]).into()))
}
