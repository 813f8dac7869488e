//! The process's metrics recorder.

use std::sync::OnceLock;
use std::time::Duration;

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tokio_util::sync::CancellationToken;

/// How often histograms are folded, so that they do not grow between scrapes.
const UPKEEP_EVERY: Duration = Duration::from_secs(5);

/// Upper bounds of the buckets of metrics named `*_seconds`.
const SECONDS: [f64; 14] = [
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0,
];

static HANDLE: OnceLock<PrometheusHandle> = OnceLock::new();

/// Installs the recorder; further calls return the same one. What was counted before the first call is lost.
pub fn install() -> PrometheusHandle {
    HANDLE
        .get_or_init(|| {
            let builder = PrometheusBuilder::new();
            let builder = builder
                .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS)
                // Only an empty list of buckets is refused.
                .unwrap_or_else(|_| PrometheusBuilder::new());
            let recorder = builder.build_recorder();
            let handle = recorder.handle();
            if ::metrics::set_global_recorder(recorder).is_err() {
                tracing::warn!("another metrics recorder is installed, /metrics stays empty");
            }
            handle
        })
        .clone()
}

/// Keeps the recorder small until shutdown.
pub(crate) async fn upkeep(handle: PrometheusHandle, shutdown: CancellationToken) -> anyhow::Result<()> {
    let mut timer = tokio::time::interval(UPKEEP_EVERY);
    loop {
        tokio::select! {
            _ = timer.tick() => handle.run_upkeep(),
            () = shutdown.cancelled() => return Ok(()),
        }
    }
}
