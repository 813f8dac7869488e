//! How long to wait before the next attempt.

use std::time::Duration;

const FIRST: Duration = Duration::from_millis(200);
const MOST: Duration = Duration::from_secs(30);
/// After a refusal trying again soon is of no use; somebody has to act first.
const REFUSED: Duration = Duration::from_secs(30);

/// Exponential, with jitter, so that agents that lost their collector at once do not come back at once.
#[derive(Debug)]
pub(super) struct Backoff {
    next: Duration,
}

impl Backoff {
    pub(super) fn new() -> Self {
        Self { next: FIRST }
    }

    /// After a connection that worked.
    pub(super) fn reset(&mut self) {
        self.next = FIRST;
    }

    /// The next wait: between half of the current step and all of it.
    pub(super) fn wait(&mut self) -> Duration {
        let step = self.next;
        self.next = (step * 2).min(MOST);
        step.mul_f64(rand::random_range(0.5..=1.0))
    }

    /// The wait after a refusal: 30 to 60 seconds.
    pub(super) fn refused() -> Duration {
        REFUSED.mul_f64(rand::random_range(1.0..=2.0))
    }
}

/// `duration` and up to a quarter more.
pub(super) fn jittered(duration: Duration) -> Duration {
    duration.mul_f64(rand::random_range(1.0..=1.25))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_the_limit_and_start_over() {
        let mut backoff = Backoff::new();
        for expected in [200, 400, 800, 1600, 3200, 6400, 12_800, 25_600, 30_000, 30_000] {
            let wait = backoff.wait();
            let step = Duration::from_millis(expected);
            assert!(wait >= step / 2 && wait <= step, "{wait:?} for {step:?}");
        }
        backoff.reset();
        assert!(backoff.wait() <= FIRST);
        assert!(Backoff::refused() >= REFUSED);
    }
}
