//! How fast senders may send.

use std::hash::Hash;
use std::num::NonZeroU32;
use std::time::Duration;

use governor::clock::{Clock as _, DefaultClock};
use governor::state::keyed::DefaultKeyedStateStore;
use governor::{Quota, RateLimiter};

use crate::batch::MAX_UNCOMPRESSED;
use crate::config::{Enrolment, Ingest};

type Keyed<K> = RateLimiter<K, DefaultKeyedStateStore<K>, DefaultClock>;

/// One bucket for each key.
struct Buckets<K: Hash + Eq + Clone> {
    limiter: Keyed<K>,
    burst: NonZeroU32,
}

impl<K: Hash + Eq + Clone> Buckets<K> {
    fn new(quota: Quota) -> Self {
        Self {
            limiter: RateLimiter::keyed(quota),
            burst: quota.burst_size(),
        }
    }

    /// Takes `n` from the key's bucket, or says how long to wait until it holds that much. More than a bucket can hold
    /// counts as a full one.
    fn take(&self, key: &K, n: u32) -> Result<(), Duration> {
        let Some(n) = NonZeroU32::new(n.min(self.burst.get())) else {
            return Ok(());
        };
        match self.limiter.check_key_n(key, n) {
            Ok(Ok(())) | Err(_) => Ok(()),
            Ok(Err(not_until)) => Err(not_until.wait_time_from(DefaultClock::default().now())),
        }
    }

    fn forget_full(&self) {
        self.limiter.retain_recent();
        self.limiter.shrink_to_fit();
    }
}

fn per_second(rate: u32, at_least_burst: u32) -> Quota {
    let rate = NonZeroU32::new(rate).unwrap_or(NonZeroU32::MIN);
    let burst = rate.max(NonZeroU32::new(at_least_burst).unwrap_or(NonZeroU32::MIN));
    Quota::per_second(rate).allow_burst(burst)
}

/// What each source of events may send, over all its streams to this collector.
pub(crate) struct IngestLimits {
    events: Buckets<model::SourceId>,
    bytes: Buckets<model::SourceId>,
}

impl IngestLimits {
    pub(crate) fn new(config: &Ingest) -> Self {
        Self {
            events: Buckets::new(per_second(config.agent_events_per_second, crate::batch::MAX_RECORDS)),
            bytes: Buckets::new(per_second(
                config.agent_bytes_per_second,
                u32::try_from(MAX_UNCOMPRESSED).unwrap_or(u32::MAX),
            )),
        }
    }

    /// Takes a batch from the source's allowance, or says how long to wait.
    pub(crate) fn take(&self, source: model::SourceId, events: u32, bytes: u64) -> Result<(), Duration> {
        self.events.take(&source, events)?;
        self.bytes.take(&source, u32::try_from(bytes).unwrap_or(u32::MAX))
    }

    /// Forgets sources that have not sent for a while. To be called now and then, or they would be kept for ever.
    pub(crate) fn forget_idle(&self) {
        self.events.forget_full();
        self.bytes.forget_full();
    }
}

/// Renewals of one endpoint within a minute. The shortest certificates there are need two.
const RENEWALS_PER_MINUTE: NonZeroU32 = NonZeroU32::MIN.saturating_add(9);

/// How often one address may try to enrol, and one endpoint to renew.
pub(crate) struct EnrolmentLimits {
    enrolments: Buckets<std::net::IpAddr>,
    renewals: Buckets<model::AgentId>,
}

impl EnrolmentLimits {
    pub(crate) fn new(config: &Enrolment) -> Self {
        let rate = NonZeroU32::new(config.attempts_per_minute).unwrap_or(NonZeroU32::MIN);
        Self {
            enrolments: Buckets::new(Quota::per_minute(rate)),
            renewals: Buckets::new(Quota::per_minute(RENEWALS_PER_MINUTE)),
        }
    }

    pub(crate) fn take(&self, addr: std::net::IpAddr) -> Result<(), Duration> {
        self.enrolments.take(&addr, 1)
    }

    pub(crate) fn take_renewal(&self, agent: model::AgentId) -> Result<(), Duration> {
        self.renewals.take(&agent, 1)
    }

    pub(crate) fn forget_idle(&self) {
        self.enrolments.forget_full();
        self.renewals.forget_full();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_source_has_its_own_allowance_and_is_told_how_long_to_wait() {
        let limits = IngestLimits::new(&Ingest {
            agent_events_per_second: 10,
            ..Ingest::default()
        });
        let (a, b) = (model::SourceId::named("t", "a"), model::SourceId::named("t", "b"));
        assert_eq!(limits.take(a, 10_000, 0), Ok(()));
        let wait = limits.take(a, 100, 0).unwrap_err();
        assert!(
            wait > Duration::from_secs(5) && wait <= Duration::from_secs(10),
            "{wait:?}"
        );
        assert_eq!(limits.take(b, 100, 0), Ok(()));
    }

    #[test]
    fn more_than_a_bucket_holds_is_not_refused_for_ever() {
        let buckets = Buckets::new(per_second(1, 1));
        assert_eq!(buckets.take(&1, 1000), Ok(()));
        assert!(buckets.take(&1, 1).is_err());
    }
}
