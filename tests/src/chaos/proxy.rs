//! The network between an endpoint and a collector: it can be cut, and it can stop carrying anything.

use std::sync::Arc;

use anyhow::Context as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Passes connections on. Ends when dropped.
pub(super) struct Proxy {
    /// Where to connect.
    pub(super) addr: String,
    state: Arc<State>,
    task: JoinHandle<()>,
}

struct State {
    target: String,
    /// Connections of an earlier generation are cut.
    generation: watch::Sender<u64>,
    stalled: watch::Sender<bool>,
}

impl Proxy {
    /// Listens on a free port of the loopback and connects to `target`.
    ///
    /// # Errors
    /// When there is no port.
    #[allow(clippy::disallowed_methods, reason = "a driver needs no service life")]
    pub(super) async fn start(target: &str) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.context("bind a proxy")?;
        let addr = listener.local_addr().context("read the proxy's address")?.to_string();
        let state = Arc::new(State {
            target: target.to_owned(),
            generation: watch::channel(0).0,
            stalled: watch::channel(false).0,
        });
        let shared = Arc::clone(&state);
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(Arc::clone(&shared).carry(client));
            }
        });
        Ok(Self { addr, state, task })
    }

    /// Cuts every connection.
    pub(super) fn cut(&self) {
        self.state.generation.send_modify(|generation| *generation += 1);
    }

    /// Carries nothing, or again everything.
    pub(super) fn stall(&self, stalled: bool) {
        self.state.stalled.send_replace(stalled);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
        self.cut();
    }
}

impl State {
    async fn carry(self: Arc<Self>, client: TcpStream) {
        let mut cut = self.generation.subscribe();
        let Ok(server) = TcpStream::connect(&self.target).await else {
            return;
        };
        let (mut from_client, mut to_client) = client.into_split();
        let (mut from_server, mut to_server) = server.into_split();
        tokio::select! {
            _ = cut.changed() => {}
            () = self.copy(&mut from_client, &mut to_server) => {}
            () = self.copy(&mut from_server, &mut to_client) => {}
        }
    }

    async fn copy(
        &self,
        from: &mut (impl tokio::io::AsyncRead + Unpin),
        to: &mut (impl tokio::io::AsyncWrite + Unpin),
    ) {
        let mut stalled = self.stalled.subscribe();
        let mut buffer = vec![0; 16 << 10];
        loop {
            let read = from.read(&mut buffer).await.unwrap_or(0);
            if read == 0 || stalled.wait_for(|stalled| !stalled).await.is_err() {
                return;
            }
            let Some(read) = buffer.get(..read) else { return };
            if to.write_all(read).await.is_err() {
                return;
            }
        }
    }
}
