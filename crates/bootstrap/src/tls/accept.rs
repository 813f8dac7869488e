//! The accept loop.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use arc_swap::ArcSwap;
use futures_util::Stream;
use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use super::stream::TlsStream;

/// Handshaken connections that wait for the server to take them.
const READY_CAPACITY: usize = 64;
/// Pause after the system could not accept, mostly because it is out of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);
/// The same complaint about connections is logged at most this often.
const COMPLAIN_EVERY: Duration = Duration::from_secs(30);

/// Bounds on connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AcceptLimits {
    /// Connections at once, those in the handshake included. More are closed at once, so that the client can try
    /// another node.
    pub max_connections: usize,
    /// How long a handshake may take, and then how long the client may be silent before its first byte.
    pub handshake_timeout: Duration,
}

impl Default for AcceptLimits {
    fn default() -> Self {
        Self {
            max_connections: 10_000,
            handshake_timeout: Duration::from_secs(10),
        }
    }
}

/// Accepts TLS connections, many handshakes at once, so that a slow one delays nobody. The configuration is read for
/// every connection and can be swapped at any time.
///
/// It is a `Stream` for tonic's `serve_with_incoming` and a `Listener` for `axum::serve`. Dropping it closes the
/// socket; connections that were handed out live on.
pub struct TlsListener {
    ready: mpsc::Receiver<TlsStream>,
    addr: SocketAddr,
    accept: AbortHandle,
}

impl TlsListener {
    /// Starts accepting on the current runtime.
    ///
    /// # Errors
    /// When the socket has no address.
    pub fn new(listener: TcpListener, tls: Arc<ArcSwap<ServerConfig>>, limits: AcceptLimits) -> io::Result<Self> {
        Self::with_kill(listener, tls, limits, CancellationToken::new())
    }

    /// As [`TlsListener::new`]; cancelling `kill` breaks every connection that was accepted.
    pub(crate) fn with_kill(
        listener: TcpListener,
        tls: Arc<ArcSwap<ServerConfig>>,
        limits: AcceptLimits,
        kill: CancellationToken,
    ) -> io::Result<Self> {
        let addr = listener.local_addr()?;
        let (sender, ready) = mpsc::channel(READY_CAPACITY);
        let accept_loop = AcceptLoop {
            listener,
            tls,
            limits,
            kill,
            places: Arc::new(Semaphore::new(limits.max_connections.min(Semaphore::MAX_PERMITS))),
            ready: sender,
            complained: None,
        };
        let accept = tokio::spawn(accept_loop.run()).abort_handle();
        Ok(Self { ready, addr, accept })
    }

    /// Address it listens on.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.addr
    }
}

impl Drop for TlsListener {
    fn drop(&mut self) {
        self.accept.abort();
    }
}

impl Stream for TlsListener {
    type Item = io::Result<TlsStream>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.get_mut().ready.poll_recv(cx).map(|stream| stream.map(Ok))
    }
}

impl axum::serve::Listener for TlsListener {
    type Io = TlsStream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        match self.ready.recv().await {
            Some(stream) => {
                let remote = stream.info().remote;
                (stream, remote)
            }
            // The loop ends only with this value or with the runtime.
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        Ok(self.addr)
    }
}

struct AcceptLoop {
    listener: TcpListener,
    tls: Arc<ArcSwap<ServerConfig>>,
    limits: AcceptLimits,
    kill: CancellationToken,
    places: Arc<Semaphore>,
    ready: mpsc::Sender<TlsStream>,
    complained: Option<Instant>,
}

impl AcceptLoop {
    async fn run(mut self) {
        // Handshakes end with the loop.
        let mut handshakes = JoinSet::new();
        loop {
            tokio::select! {
                accepted = self.listener.accept() => match accepted {
                    Ok((tcp, remote)) => {
                        if let Some(handshake) = self.begin(tcp, remote) {
                            handshakes.spawn(handshake);
                        }
                    }
                    Err(error) => self.pause_after(&error).await,
                },
                Some(_) = handshakes.join_next() => {}
            }
        }
    }

    fn begin(&mut self, tcp: TcpStream, remote: SocketAddr) -> Option<impl Future<Output = ()> + Send + 'static> {
        let Ok(permit) = Arc::clone(&self.places).try_acquire_owned() else {
            metrics::counter!("picket_tls_connections_refused_total", "reason" => "limit").increment(1);
            if self.may_complain() {
                tracing::warn!(%remote, limit = self.limits.max_connections, "connection limit reached, closing new connections");
            }
            return None;
        };
        let acceptor = TlsAcceptor::from(self.tls.load_full());
        let (timeout, ready, kill) = (self.limits.handshake_timeout, self.ready.clone(), self.kill.clone());
        Some(async move {
            let _ = tcp.set_nodelay(true);
            let reason = match tokio::time::timeout(timeout, acceptor.accept(tcp)).await {
                Ok(Ok(tls)) => match TlsStream::new(tls, remote, permit, kill, timeout) {
                    Ok(stream) => {
                        let _ = ready.send(stream).await;
                        return;
                    }
                    Err(error) => {
                        tracing::debug!(%remote, %error, "connection is unusable");
                        "unusable"
                    }
                },
                Ok(Err(error)) => {
                    // Refused certificates were logged by the verifier, with the name in them.
                    tracing::debug!(%remote, error = identity::describe_tls_error(&error), "handshake failed");
                    "handshake"
                }
                Err(_) => {
                    tracing::debug!(%remote, "handshake took too long");
                    "timeout"
                }
            };
            metrics::counter!("picket_tls_connections_refused_total", "reason" => reason).increment(1);
        })
    }

    async fn pause_after(&mut self, error: &io::Error) {
        // These concern one connection that has gone already, not the socket.
        if matches!(
            error.kind(),
            io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionRefused
        ) {
            return;
        }
        metrics::counter!("picket_tls_connections_refused_total", "reason" => "system").increment(1);
        if self.may_complain() {
            tracing::warn!(%error, "cannot accept connections");
        }
        tokio::time::sleep(ACCEPT_PAUSE).await;
    }

    fn may_complain(&mut self) -> bool {
        let now = Instant::now();
        if self
            .complained
            .is_some_and(|at| now.duration_since(at) < COMPLAIN_EVERY)
        {
            return false;
        }
        self.complained = Some(now);
        true
    }
}
