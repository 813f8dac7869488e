//! Slows down guessing: too many failures of one name from one address, and that address has to wait.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Failures within [`WINDOW`] after which further tries are refused.
const ALLOWED_FAILURES: u32 = 5;
/// Failures of one address under any name.
const ALLOWED_FAILURES_PER_ADDRESS: u32 = 30;
/// Failures older than this are forgotten; so long a refusal lasts at most.
const WINDOW: Duration = Duration::from_secs(60);
/// Pairs that are remembered at most. Beyond it the oldest are forgotten, so that memory stays bounded.
const MAX_ENTRIES: usize = 20_000;

#[derive(Clone, Copy, Debug)]
struct Failures {
    count: u32,
    since: Instant,
}

/// Counts failed logins. Keys and tokens, which have no name, are counted for each address under the empty name and apart
/// from the others: a forgotten script with an old key must not keep people on the same address from signing in.
#[derive(Debug, Default)]
pub(super) struct Throttle {
    failures: Mutex<HashMap<(Option<String>, IpAddr), Failures>>,
}

impl Throttle {
    /// How long this name has to wait on this address; `None` when it may try.
    #[must_use]
    pub(super) fn wait(&self, name: &str, address: IpAddr, now: Instant) -> Option<Duration> {
        let failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        let refused = |key: &(Option<String>, IpAddr), allowed: u32| {
            let entry = failures.get(key)?;
            let age = now.saturating_duration_since(entry.since);
            (entry.count >= allowed && age < WINDOW).then(|| WINDOW - age)
        };
        let own = (Some(name.to_owned()), address);
        if name.is_empty() {
            return refused(&own, ALLOWED_FAILURES_PER_ADDRESS);
        }
        refused(&own, ALLOWED_FAILURES).max(refused(&(None, address), ALLOWED_FAILURES_PER_ADDRESS))
    }

    /// Notes a failure.
    pub(super) fn fail(&self, name: &str, address: IpAddr, now: Instant) {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        if failures.len() + 2 > MAX_ENTRIES {
            failures.retain(|_, entry| now.saturating_duration_since(entry.since) < WINDOW);
        }
        if failures.len() + 2 > MAX_ENTRIES {
            forget_oldest_half(&mut failures);
        }
        let own = (Some(name.to_owned()), address);
        let of_address = (!name.is_empty()).then_some((None, address));
        for key in [Some(own), of_address].into_iter().flatten() {
            let entry = failures.entry(key).or_insert(Failures { count: 0, since: now });
            if now.saturating_duration_since(entry.since) >= WINDOW {
                *entry = Failures { count: 0, since: now };
            }
            entry.count = entry.count.saturating_add(1);
        }
    }

    /// Forgets a name's failures after it got it right.
    pub(super) fn succeed(&self, name: &str, address: IpAddr) {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        failures.remove(&(Some(name.to_owned()), address));
    }
}

fn forget_oldest_half(failures: &mut HashMap<(Option<String>, IpAddr), Failures>) {
    let mut ages: Vec<Instant> = failures.values().map(|entry| entry.since).collect();
    let middle = ages.len() / 2;
    let (_, median, _) = ages.select_nth_unstable(middle);
    let median = *median;
    failures.retain(|_, entry| entry.since > median);
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOME: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);
    const AWAY: IpAddr = IpAddr::V6(std::net::Ipv6Addr::LOCALHOST);

    #[test]
    fn five_failures_close_the_door_for_a_minute_and_for_that_pair_only() {
        let throttle = Throttle::default();
        let start = Instant::now();
        for n in 0..ALLOWED_FAILURES {
            assert_eq!(throttle.wait("ana", HOME, start), None, "try {n}");
            throttle.fail("ana", HOME, start);
        }
        let later = start + Duration::from_secs(20);
        assert_eq!(throttle.wait("ana", HOME, later), Some(Duration::from_secs(40)));
        assert_eq!(throttle.wait("ben", HOME, later), None);
        assert_eq!(throttle.wait("ana", AWAY, later), None);
        assert_eq!(throttle.wait("ana", HOME, start + WINDOW), None);
    }

    #[test]
    fn many_names_from_one_address_close_it_too() {
        let throttle = Throttle::default();
        let now = Instant::now();
        for n in 0..ALLOWED_FAILURES_PER_ADDRESS {
            throttle.fail(&format!("user{n}"), HOME, now);
        }
        assert!(throttle.wait("somebody", HOME, now).is_some());
        assert!(throttle.wait("somebody", AWAY, now).is_none());
    }

    #[test]
    fn failures_without_a_name_hold_up_nobody_else() {
        let throttle = Throttle::default();
        let now = Instant::now();
        for n in 0..ALLOWED_FAILURES_PER_ADDRESS {
            assert_eq!(throttle.wait("", HOME, now), None, "try {n}");
            throttle.fail("", HOME, now);
        }
        assert!(throttle.wait("", HOME, now).is_some());
        assert_eq!(throttle.wait("ana", HOME, now), None);
    }

    #[test]
    fn success_forgets_and_memory_is_bounded() {
        let throttle = Throttle::default();
        let now = Instant::now();
        for _ in 0..ALLOWED_FAILURES {
            throttle.fail("ana", HOME, now);
        }
        throttle.succeed("ana", HOME);
        assert_eq!(throttle.wait("ana", HOME, now), None);
        for n in 0..2 * MAX_ENTRIES {
            throttle.fail(&n.to_string(), AWAY, now + Duration::from_millis(n as u64));
        }
        assert!(throttle.failures.lock().unwrap().len() <= MAX_ENTRIES);
    }
}
