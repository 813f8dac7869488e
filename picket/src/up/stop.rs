//! Ctrl-C and SIGTERM: the first stops in order, the second at once.

use anyhow::Context as _;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Whether the operator wants an end.
#[derive(Clone, Debug)]
pub(crate) struct Stop {
    asked: CancellationToken,
    urgent: CancellationToken,
}

impl Stop {
    /// Listens for signals from now on.
    pub(super) fn on_signals() -> anyhow::Result<Self> {
        let mut interrupt = signal(SignalKind::interrupt()).context("listen for SIGINT")?;
        let mut terminate = signal(SignalKind::terminate()).context("listen for SIGTERM")?;
        let stop = Self {
            asked: CancellationToken::new(),
            urgent: CancellationToken::new(),
        };
        let told = stop.clone();
        tokio::spawn(async move {
            for token in [told.asked, told.urgent] {
                tokio::select! {
                    _ = interrupt.recv() => {}
                    _ = terminate.recv() => {}
                }
                token.cancel();
            }
        });
        Ok(stop)
    }

    /// Resolves with the first signal.
    pub(super) async fn asked(&self) {
        self.asked.cancelled().await;
    }

    pub(super) fn is_asked(&self) -> bool {
        self.asked.is_cancelled()
    }

    /// Resolves with the second signal.
    pub(super) async fn urgent(&self) {
        self.urgent.cancelled().await;
    }

    pub(super) fn is_urgent(&self) -> bool {
        self.urgent.is_cancelled()
    }
}
