//! An accepted connection.

use std::fmt;
use std::future::Future as _;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::extract::connect_info::Connected as AxumConnected;
use axum::serve::IncomingStream;
use identity::Peer;
use rustls::pki_types::CertificateDer;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Sleep;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tonic::transport::server::Connected;

use super::TlsListener;

/// Who is connected from where. In tonic requests it is an extension; in axum extract `ConnectInfo<ConnectionInfo>`.
#[derive(Clone, Debug)]
pub struct ConnectionInfo {
    /// Address of the other end.
    pub remote: SocketAddr,
    /// Address of this end.
    pub local: SocketAddr,
    /// Who it is, when a client certificate was presented.
    pub peer: Option<Arc<Peer>>,
    /// The client certificate, verified in the handshake.
    pub certificate: Option<Arc<CertificateDer<'static>>>,
}

/// A TLS connection that counts against its listener's limit while it lives.
pub struct TlsStream {
    inner: tokio_rustls::server::TlsStream<TcpStream>,
    info: ConnectionInfo,
    /// Ends the connection whatever it is doing.
    kill: Pin<Box<WaitForCancellationFutureOwned>>,
    /// Runs until the first byte arrives: a client that says nothing must not hold a place.
    first_byte: Option<Pin<Box<Sleep>>>,
    _permit: OwnedSemaphorePermit,
}

impl TlsStream {
    pub(super) fn new(
        inner: tokio_rustls::server::TlsStream<TcpStream>,
        remote: SocketAddr,
        permit: OwnedSemaphorePermit,
        kill: CancellationToken,
        first_byte: Duration,
    ) -> io::Result<Self> {
        let (tcp, session) = inner.get_ref();
        let certificate = session.peer_certificates().and_then(|chain| chain.first()).cloned();
        let peer = certificate
            .as_ref()
            .map(Peer::from_certificate)
            .transpose()
            .map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e))?;
        let info = ConnectionInfo {
            remote,
            local: tcp.local_addr()?,
            peer: peer.map(Arc::new),
            certificate: certificate.map(Arc::new),
        };
        Ok(Self {
            inner,
            info,
            kill: Box::pin(kill.cancelled_owned()),
            first_byte: Some(Box::pin(tokio::time::sleep(first_byte))),
            _permit: permit,
        })
    }

    /// Who is connected from where.
    #[must_use]
    pub fn info(&self) -> &ConnectionInfo {
        &self.info
    }
}

impl fmt::Debug for TlsStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsStream")
            .field("info", &self.info)
            .finish_non_exhaustive()
    }
}

impl AsyncRead for TlsStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.kill.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        let before = buf.filled().len();
        let polled = Pin::new(&mut this.inner).poll_read(cx, buf);
        if let Some(sleep) = &mut this.first_byte {
            if buf.filled().len() > before {
                this.first_byte = None;
            } else if polled.is_pending() && sleep.as_mut().poll(cx).is_ready() {
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
        }
        polled
    }
}

impl AsyncWrite for TlsStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().inner).poll_write(cx, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().inner).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }
}

impl Connected for TlsStream {
    type ConnectInfo = ConnectionInfo;

    fn connect_info(&self) -> ConnectionInfo {
        self.info.clone()
    }
}

impl AxumConnected<IncomingStream<'_, TlsListener>> for ConnectionInfo {
    fn connect_info(stream: IncomingStream<'_, TlsListener>) -> Self {
        stream.io().info.clone()
    }
}
