//! What a service is given and what it gives back.

use std::net::SocketAddr;
use std::time::Duration;

use metrics_exporter_prometheus::PrometheusHandle;
use tokio_util::sync::CancellationToken;

use crate::metrics;
use crate::tasks::Tasks;

/// What a service needs from its process. Clones belong to the same service.
#[derive(Clone)]
pub struct Context {
    /// Cancelled when the service should stop: stop taking work, finish what is in hand, end.
    pub shutdown: CancellationToken,
    /// Where long tasks are spawned.
    pub tasks: Tasks,
    metrics: PrometheusHandle,
}

/// A started service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Running {
    /// Where the service is reached.
    pub addr: SocketAddr,
    /// Where its health and metrics are, when it serves them.
    pub admin_addr: Option<SocketAddr>,
}

impl Context {
    /// A context of its own, for tests and for several services in one process. Installs the metrics recorder and the
    /// TLS provider, which the process has once.
    #[must_use]
    pub fn new() -> Self {
        crate::install_crypto();
        let shutdown = CancellationToken::new();
        Self {
            tasks: Tasks::new(shutdown.clone()),
            shutdown,
            metrics: metrics::install(),
        }
    }

    /// The process's metrics.
    #[must_use]
    pub fn metrics(&self) -> &PrometheusHandle {
        &self.metrics
    }

    /// Stops the service: cancels `shutdown`, waits up to `grace` for its tasks, aborts what is left.
    ///
    /// # Errors
    /// When a task failed, panicked or had to be aborted.
    pub async fn drain(self, grace: Duration) -> anyhow::Result<()> {
        self.shutdown.cancel();
        self.tasks.finish(grace).await
    }
}

impl Default for Context {
    fn default() -> Self {
        Self::new()
    }
}
