//! A stream of messages a connection.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::codec::FramedRead;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::framing::Framing;
use super::sources::Sources;

/// How long a sender is held back before its messages are dropped.
const PATIENCE: Duration = Duration::from_secs(10);
/// Pause after the system refused a connection, such as for lack of file descriptors.
const REFUSED: Duration = Duration::from_millis(100);

pub(super) async fn accept(
    listener: TcpListener,
    sources: Arc<Sources>,
    max_connections: usize,
    idle: Duration,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    let free = Arc::new(Semaphore::new(max_connections));
    let connections = TaskTracker::new();
    loop {
        let accepted = tokio::select! {
            () = shutdown.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        let (stream, from) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "accepting a syslog connection failed");
                tokio::time::sleep(REFUSED).await;
                continue;
            }
        };
        let Ok(permit) = Arc::clone(&free).try_acquire_owned() else {
            metrics::counter!("picket_collector_syslog_connections_refused_total").increment(1);
            tracing::warn!(client.ip = %from.ip(), max_connections, "too many syslog connections");
            continue;
        };
        let sources = Arc::clone(&sources);
        let shutdown = shutdown.clone();
        connections.spawn(async move {
            tokio::select! {
                () = shutdown.cancelled() => {}
                () = read(stream, from.ip().to_canonical(), &sources, idle) => {}
            }
            drop(permit);
        });
    }
    connections.close();
    connections.wait().await;
    Ok(())
}

async fn read(stream: TcpStream, from: std::net::IpAddr, sources: &Sources, idle: Duration) {
    let mut frames = FramedRead::new(stream, Framing::default());
    loop {
        match tokio::time::timeout(idle, frames.next()).await {
            Ok(Some(Ok(frame))) => sources.offer_patiently(from, frame, PATIENCE).await,
            Ok(Some(Err(error))) => {
                tracing::debug!(client.ip = %from, %error, "syslog connection broke");
                return;
            }
            Ok(None) => return,
            Err(_) => {
                tracing::debug!(client.ip = %from, "closing a silent syslog connection");
                return;
            }
        }
    }
}
