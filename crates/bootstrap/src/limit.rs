//! Rate limits by key: agent, user, API key.

use std::hash::Hash;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use governor::clock::{Clock as _, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use tokio_util::sync::CancellationToken;

/// How often keys that have not been seen for a while are forgotten.
const FORGET_EVERY: Duration = Duration::from_secs(10);

/// A rate for every key of its own: a burst at once, then so many a second. Clones share the state.
pub struct KeyedLimiter<K: Clone + Hash + Eq> {
    limiter: Arc<DefaultKeyedRateLimiter<K>>,
    clock: DefaultClock,
    burst: NonZeroU32,
}

impl<K: Clone + Hash + Eq> Clone for KeyedLimiter<K> {
    fn clone(&self) -> Self {
        Self {
            limiter: Arc::clone(&self.limiter),
            clock: self.clock.clone(),
            burst: self.burst,
        }
    }
}

impl<K: Clone + Hash + Eq + Send + Sync + 'static> KeyedLimiter<K> {
    /// Allows `burst` units at once and `per_second` units a second for each key.
    #[must_use]
    pub fn new(per_second: NonZeroU32, burst: NonZeroU32) -> Self {
        Self {
            limiter: Arc::new(RateLimiter::keyed(Quota::per_second(per_second).allow_burst(burst))),
            clock: DefaultClock::default(),
            burst,
        }
    }

    /// Takes one unit.
    ///
    /// # Errors
    /// How long to wait before trying again, when none is left. Nothing is taken then.
    pub fn check(&self, key: &K) -> Result<(), Duration> {
        self.limiter
            .check_key(key)
            .map_err(|not_until| not_until.wait_time_from(self.clock.now()))
    }

    /// Takes `units` at once. More than the burst count as the whole burst, so that a large request is slowed down
    /// and not refused for ever.
    ///
    /// # Errors
    /// How long to wait before trying again, when there are not enough. Nothing is taken then.
    pub fn check_n(&self, key: &K, units: NonZeroU32) -> Result<(), Duration> {
        match self.limiter.check_key_n(key, units.min(self.burst)) {
            Ok(Ok(())) => Ok(()),
            Ok(Err(not_until)) => Err(not_until.wait_time_from(self.clock.now())),
            Err(_) => Err(Duration::from_secs(1)),
        }
    }

    /// Number of keys that are remembered.
    #[must_use]
    pub fn len(&self) -> usize {
        self.limiter.len()
    }

    /// Whether no key is remembered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.limiter.is_empty()
    }

    /// Forgets keys whose allowance is full again, which changes no answer.
    pub fn forget_idle(&self) {
        self.limiter.retain_recent();
        self.limiter.shrink_to_fit();
    }

    /// Forgets idle keys every ten seconds until shutdown; spawn it as a task, or the state grows with every key ever
    /// seen.
    ///
    /// # Errors
    /// Never; the result is what [`Tasks::spawn`](crate::Tasks::spawn) takes.
    pub async fn forget_idle_until(self, shutdown: CancellationToken) -> anyhow::Result<()> {
        let mut timer = tokio::time::interval(FORGET_EVERY);
        loop {
            tokio::select! {
                _ = timer.tick() => self.forget_idle(),
                () = shutdown.cancelled() => return Ok(()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(n: u32) -> NonZeroU32 {
        NonZeroU32::new(n).unwrap()
    }

    #[test]
    fn each_key_has_its_own_allowance_and_is_told_how_long_to_wait() {
        let limiter = KeyedLimiter::new(number(1), number(2));
        assert_eq!(limiter.check(&"a"), Ok(()));
        assert_eq!(limiter.check(&"a"), Ok(()));
        let wait = limiter.check(&"a").unwrap_err();
        assert!(wait > Duration::ZERO && wait <= Duration::from_secs(1), "{wait:?}");
        assert_eq!(limiter.check(&"b"), Ok(()));
    }

    #[test]
    fn more_than_the_burst_takes_the_whole_burst() {
        let limiter = KeyedLimiter::new(number(1), number(10));
        assert_eq!(limiter.check_n(&"a", number(1_000_000)), Ok(()));
        assert!(limiter.check(&"a").is_err());
    }

    #[test]
    fn keys_with_a_full_allowance_are_forgotten() {
        let limiter = KeyedLimiter::new(number(1), number(1));
        let fast = KeyedLimiter::new(NonZeroU32::MAX, number(1));
        for key in 0..100 {
            assert_eq!(limiter.check(&key), Ok(()));
            assert_eq!(fast.check(&key), Ok(()));
        }
        limiter.forget_idle();
        fast.forget_idle();
        assert_eq!(limiter.len(), 100);
        assert!(fast.is_empty());
    }
}
