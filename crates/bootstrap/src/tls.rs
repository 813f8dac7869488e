//! TLS sockets: listening, accepting, and following renewed certificate files.

mod accept;
mod follow;
mod stream;

use std::io;
use std::net::SocketAddr;

use anyhow::anyhow;
use tokio::net::{TcpListener, TcpSocket};

pub use accept::{AcceptLimits, TlsListener};
pub use follow::{follow_files, follow_identity};
pub use stream::{ConnectionInfo, TlsStream};

/// Connections the kernel holds until they are accepted.
const BACKLOG: u32 = 1024;

/// Makes ring the process's default provider of cryptography. Further calls change nothing.
pub fn install_crypto() {
    // An error says that a default is installed already.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// Listens on an address; port 0 takes a free one.
///
/// # Errors
/// Says which address is taken, or why it cannot be listened on, and what to change.
#[allow(
    clippy::unused_async,
    reason = "registers with the runtime, so it must be called within one"
)]
pub async fn bind(addr: SocketAddr) -> anyhow::Result<TcpListener> {
    listen(addr).map_err(|e| explain(addr, "another address or port", &e))
}

/// Like [`bind`], naming the setting that holds the address in the error, such as `grpc.addr`.
///
/// # Errors
/// As [`bind`].
#[allow(
    clippy::unused_async,
    reason = "registers with the runtime, so it must be called within one"
)]
pub async fn bind_for(addr: SocketAddr, setting: &str) -> anyhow::Result<TcpListener> {
    listen(addr).map_err(|e| explain(addr, &format!("another {setting}"), &e))
}

fn listen(addr: SocketAddr) -> io::Result<TcpListener> {
    let socket = if addr.is_ipv4() {
        TcpSocket::new_v4()
    } else {
        TcpSocket::new_v6()
    }?;
    // A restart must not wait for the old connections' TIME_WAIT.
    socket.set_reuseaddr(true)?;
    socket.bind(addr)?;
    socket.listen(BACKLOG)
}

#[allow(
    clippy::wildcard_enum_match_arm,
    reason = "the system has many ways to refuse, three of them have a remedy"
)]
fn explain(addr: SocketAddr, change: &str, error: &io::Error) -> anyhow::Error {
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            anyhow!("listen on {addr}: the port is taken by another program; stop it or configure {change}")
        }
        io::ErrorKind::AddrNotAvailable => {
            anyhow!("listen on {addr}: this machine does not have the address; configure {change}")
        }
        io::ErrorKind::PermissionDenied => {
            anyhow!("listen on {addr}: not permitted, ports below 1024 need privileges; configure {change}")
        }
        _ => anyhow!("listen on {addr}: {error}; configure {change}"),
    }
}
