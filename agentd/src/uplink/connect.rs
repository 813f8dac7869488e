//! One TLS connection to a collector, with the certificate it presented: receipts are checked against that.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use hyper_util::rt::TokioIo;
use identity::describe_tls_error;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tonic::transport::{Channel, Endpoint};
use tower::service_fn;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(20);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(20);

/// A connection that was made once and is not made again by itself.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) channel: Channel,
    /// The collector's own certificate.
    pub(crate) peer: CertificateDer<'static>,
    /// What the connection died of, in TLS's words.
    pub(crate) trouble: Trouble,
}

/// Why a connection could not be made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectError {
    #[error("cannot reach {addr}: {reason}")]
    Unreachable { addr: String, reason: String },
    #[error("TLS with {addr} failed: {reason}")]
    Tls { addr: String, reason: String },
}

/// The last error of a connection. With TLS 1.3 a server refuses a client certificate after the client takes the
/// handshake for finished, so it is not the handshake that fails but whatever comes next.
#[derive(Clone, Debug, Default)]
pub(crate) struct Trouble(Arc<Mutex<Option<String>>>);

impl Trouble {
    pub(crate) fn get(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn note(&self, error: &io::Error) {
        let mut slot = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        slot.get_or_insert_with(|| describe_tls_error(error));
    }
}

/// Connects to `addr` (`HOST:PORT`).
pub(crate) async fn connect(addr: &str, tls: Arc<ClientConfig>) -> Result<Connection, ConnectError> {
    let unreachable = |reason: String| ConnectError::Unreachable {
        addr: addr.to_owned(),
        reason,
    };
    let tls_failed = |reason: String| ConnectError::Tls {
        addr: addr.to_owned(),
        reason,
    };
    let timed_out = || format!("no answer within {} s", CONNECT_TIMEOUT.as_secs());
    let tcp = tokio::time::timeout(CONNECT_TIMEOUT, TcpStream::connect(addr))
        .await
        .map_err(|_| unreachable(timed_out()))?
        .map_err(|error| unreachable(error.to_string()))?;
    // Batches are whole writes; waiting for more of them only adds latency.
    tcp.set_nodelay(true).map_err(|error| unreachable(error.to_string()))?;
    let handshake = TlsConnector::from(tls).connect(server_name(addr), tcp);
    let stream = tokio::time::timeout(CONNECT_TIMEOUT, handshake)
        .await
        .map_err(|_| tls_failed(timed_out()))?
        .map_err(|error| tls_failed(describe_tls_error(&error)))?;
    let peer = stream
        .get_ref()
        .1
        .peer_certificates()
        .and_then(|chain| chain.first())
        .map(|certificate| certificate.clone().into_owned())
        .ok_or_else(|| tls_failed(String::from("the collector presented no certificate")))?;
    let trouble = Trouble::default();
    let mut once = Some(Observed {
        stream,
        trouble: trouble.clone(),
    });
    let connector = service_fn(move |_| {
        let stream = once.take().map(TokioIo::new);
        async move { stream.ok_or_else(|| io::Error::from(io::ErrorKind::NotConnected)) }
    });
    let channel = Endpoint::from_static("http://collector")
        .http2_keep_alive_interval(KEEPALIVE_INTERVAL)
        .keep_alive_timeout(KEEPALIVE_TIMEOUT)
        .keep_alive_while_idle(true)
        .connect_with_connector(connector)
        .await
        .map_err(|error| tls_failed(trouble.get().unwrap_or_else(|| describe_tls_error(&error))))?;
    Ok(Connection { channel, peer, trouble })
}

/// The name is sent along and not checked: a collector is known by its role, not by its address.
fn server_name(addr: &str) -> ServerName<'static> {
    let host = addr
        .rsplit_once(':')
        .map_or(addr, |(host, _)| host)
        .trim_matches(['[', ']']);
    ServerName::try_from(host.to_owned()).unwrap_or(ServerName::IpAddress(std::net::Ipv4Addr::LOCALHOST.into()))
}

/// Notes the error that ends the stream.
struct Observed {
    stream: TlsStream<TcpStream>,
    trouble: Trouble,
}

impl Observed {
    fn note<T>(&self, result: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if let Poll::Ready(Err(error)) = &result {
            self.trouble.note(error);
        }
        result
    }
}

impl AsyncRead for Observed {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let result = Pin::new(&mut self.stream).poll_read(cx, buffer);
        self.note(result)
    }
}

impl AsyncWrite for Observed {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
