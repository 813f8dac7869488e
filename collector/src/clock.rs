//! The database's clock, which all nodes share, without asking it every time.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use model::Timestamp;
use storage::Store;
use tokio_util::sync::CancellationToken;

const REFRESH: Duration = Duration::from_secs(30);
/// An answer that took longer says too little about when it was given.
const SLOW: Duration = Duration::from_secs(2);

/// The database's time, carried on by a clock of this machine that only ever runs forwards: whoever sets this machine's wall
/// clock changes nothing. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Clock(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    started: Instant,
    /// The time at `started`, in microseconds.
    start_micros: AtomicI64,
}

impl Default for Clock {
    /// Begins with this machine's time.
    fn default() -> Self {
        Self(Arc::new(Inner {
            started: Instant::now(),
            start_micros: AtomicI64::new(Timestamp::now().0),
        }))
    }
}

impl Clock {
    /// The database's time, as far as it is known.
    pub(crate) fn now(&self) -> Timestamp {
        self.at(Instant::now())
    }

    fn at(&self, moment: Instant) -> Timestamp {
        let start = self.0.start_micros.load(Ordering::Relaxed);
        Timestamp(start.saturating_add(self.since_start(moment)))
    }

    fn since_start(&self, moment: Instant) -> i64 {
        let since = moment.saturating_duration_since(self.0.started);
        i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
    }

    /// Notes that it was `theirs` at some time between two moments.
    fn set(&self, theirs: Timestamp, asked: Instant, answered: Instant) {
        let middle = asked + answered.saturating_duration_since(asked) / 2;
        let start = theirs.0.saturating_sub(self.since_start(middle));
        self.0.start_micros.store(start, Ordering::Relaxed);
    }

    /// Asks the database. While it is away, or is slow, what was known stays.
    pub(crate) async fn ask(&self, store: &Store) {
        let asked = Instant::now();
        if let Ok(theirs) = store.now().await
            && asked.elapsed() < SLOW
        {
            self.set(theirs, asked, Instant::now());
        }
    }

    /// Asks the database now and then, until `shutdown`.
    pub(crate) async fn follow(self, store: Store, shutdown: CancellationToken) -> anyhow::Result<()> {
        let mut interval = tokio::time::interval(REFRESH);
        interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return Ok(()),
                _ = interval.tick() => {}
            }
            self.ask(&store).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_databases_time_goes_on_without_this_machines_wall_clock() {
        let clock = Clock::default();
        let asked = Instant::now();
        let answered = asked + Duration::from_millis(10);
        let theirs = Timestamp(1_000_000_000);
        clock.set(theirs, asked, answered);
        let middle = asked + Duration::from_millis(5);
        assert_eq!(clock.at(middle), theirs);
        assert_eq!(clock.at(middle + Duration::from_secs(7)), Timestamp(1_007_000_000));
        assert!(
            clock.now() < Timestamp(2_000_000_000),
            "the wall clock is decades ahead"
        );
    }
}
