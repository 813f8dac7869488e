//! The database's clock, which all nodes share, without asking it every time.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use model::Timestamp;
use storage::Store;
use tokio_util::sync::CancellationToken;

const REFRESH: Duration = Duration::from_secs(30);

/// This machine's clock, corrected by how far the database's is ahead of it. Clones share the correction.
#[derive(Clone, Debug, Default)]
pub(crate) struct Clock {
    ahead_micros: Arc<AtomicI64>,
}

impl Clock {
    /// The database's time, as far as it is known.
    pub(crate) fn now(&self) -> Timestamp {
        Timestamp(
            Timestamp::now()
                .0
                .saturating_add(self.ahead_micros.load(Ordering::Relaxed)),
        )
    }

    /// Compares the clocks now and then, until `shutdown`. While the database is away the last comparison stays.
    pub(crate) async fn follow(self, store: Store, shutdown: CancellationToken) -> anyhow::Result<()> {
        let mut interval = tokio::time::interval(REFRESH);
        interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return Ok(()),
                _ = interval.tick() => {}
            }
            let asked = Timestamp::now().0;
            if let Ok(theirs) = store.now().await {
                let answered = Timestamp::now().0;
                let middle = asked + (answered - asked) / 2;
                self.ahead_micros
                    .store(theirs.0.saturating_sub(middle), Ordering::Relaxed);
            }
        }
    }
}
