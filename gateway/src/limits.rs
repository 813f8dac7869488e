//! Request rates: a budget for each identity, and one for each address that has not shown any.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::time::Duration;

use governor::clock::{Clock as _, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use model::Tenant;
use proto::{ErrorCode, ServiceError};

use crate::auth::{Actor, Caller};
use crate::config::RateLimitConfig;

/// Budgets kept at once before idle ones are dropped ahead of time.
const MAX_BUDGETS: usize = 50_000;
/// How often idle budgets are dropped.
const SWEEP_EVERY: Duration = Duration::from_secs(30);

/// Takes from budgets.
#[derive(Debug)]
pub struct Limits {
    identities: Option<DefaultKeyedRateLimiter<(Tenant, Actor)>>,
    addresses: Option<DefaultKeyedRateLimiter<IpAddr>>,
    clock: DefaultClock,
}

fn quota(per_second: u32, burst: u32) -> Option<Quota> {
    Some(Quota::per_second(NonZeroU32::new(per_second)?).allow_burst(NonZeroU32::new(burst)?))
}

impl Limits {
    /// A rate of zero switches that limit off.
    #[must_use]
    pub fn new(config: &RateLimitConfig) -> Self {
        Self {
            identities: quota(config.requests_per_second, config.burst).map(RateLimiter::keyed),
            addresses: quota(config.anonymous_requests_per_second, config.anonymous_burst).map(RateLimiter::keyed),
            clock: DefaultClock::default(),
        }
    }

    /// Takes one request from the budget of an identity.
    ///
    /// # Errors
    /// [`ErrorCode::RateLimited`] with the time until the next one is allowed.
    pub fn take(&self, caller: &Caller) -> Result<(), ServiceError> {
        let key = (caller.tenant.clone(), caller.actor.clone());
        match &self.identities {
            Some(limiter) => self.check(limiter, &key, "identity"),
            None => Ok(()),
        }
    }

    /// Takes one request from the budget of an address. IPv6 addresses share one per /64, the smallest network that is
    /// handed out.
    ///
    /// # Errors
    /// [`ErrorCode::RateLimited`] with the time until the next one is allowed.
    pub fn take_anonymous(&self, address: IpAddr) -> Result<(), ServiceError> {
        match &self.addresses {
            Some(limiter) => self.check(limiter, &network(address), "address"),
            None => Ok(()),
        }
    }

    fn check<K: std::hash::Hash + Eq + Clone>(
        &self,
        limiter: &DefaultKeyedRateLimiter<K>,
        key: &K,
        kind: &'static str,
    ) -> Result<(), ServiceError> {
        let Err(not_until) = limiter.check_key(key) else {
            return Ok(());
        };
        if limiter.len() > MAX_BUDGETS {
            limiter.retain_recent();
        }
        metrics::counter!("picket_gateway_requests_limited_total", "reason" => kind).increment(1);
        let wait = not_until.wait_time_from(self.clock.now());
        Err(ServiceError::new(ErrorCode::RateLimited, "too many requests; slow down").with_retry_after(wait))
    }

    /// Drops idle budgets for as long as it is polled.
    pub async fn sweep(&self) {
        let mut ticks = tokio::time::interval(SWEEP_EVERY);
        loop {
            ticks.tick().await;
            if let Some(limiter) = &self.identities {
                limiter.retain_recent();
                limiter.shrink_to_fit();
            }
            if let Some(limiter) = &self.addresses {
                limiter.retain_recent();
                limiter.shrink_to_fit();
            }
        }
    }
}

fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        v4 @ IpAddr::V4(_) => v4,
        IpAddr::V6(v6) => {
            let bits = u128::from(v6) & !u128::from(u64::MAX);
            IpAddr::V6(bits.into())
        }
    }
}

#[cfg(test)]
mod tests {
    use model::AccessRole;

    use super::*;

    fn caller(name: &str) -> Caller {
        Caller {
            tenant: Tenant::default(),
            actor: Actor::User { name: name.to_owned() },
            role: AccessRole::Viewer,
        }
    }

    #[test]
    fn each_identity_and_each_network_has_its_own_budget() {
        let limits = Limits::new(&RateLimitConfig {
            requests_per_second: 1,
            burst: 2,
            anonymous_requests_per_second: 1,
            anonymous_burst: 1,
        });
        assert!(limits.take(&caller("ana")).is_ok());
        assert!(limits.take(&caller("ana")).is_ok());
        let error = limits.take(&caller("ana")).unwrap_err();
        assert_eq!(error.code, ErrorCode::RateLimited);
        assert!(error.retry_after.unwrap() <= Duration::from_secs(1));
        assert!(limits.take(&caller("ben")).is_ok());

        let take = |text: &str| limits.take_anonymous(text.parse().unwrap());
        assert!(take("2001:db8::1").is_ok());
        assert!(take("2001:db8::2").is_err());
        assert!(take("2001:db8:0:1::2").is_ok());
        assert!(take("10.0.0.1").is_ok());
        assert!(take("::ffff:10.0.0.1").is_err());
    }

    #[test]
    fn zero_switches_a_limit_off() {
        let limits = Limits::new(&RateLimitConfig {
            requests_per_second: 0,
            burst: 0,
            anonymous_requests_per_second: 0,
            anonymous_burst: 0,
        });
        for _ in 0..1000 {
            assert!(limits.take(&caller("ana")).is_ok());
            assert!(limits.take_anonymous(IpAddr::from([127, 0, 0, 1])).is_ok());
        }
    }
}
