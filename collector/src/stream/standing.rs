//! Whether a stream is its endpoint's only one. Pure.
//!
//! An endpoint that reconnects leaves its old connection behind, and a network may hide for a while that it is dead. So a
//! second stream alone proves nothing; that the older one is used after the newer one began, or outlives every dead
//! connection, does.

use std::time::Duration;
use tokio::time::Instant;

/// Messages that were on their way when the endpoint reconnected arrive within this time.
const LATE: Duration = Duration::from_secs(2);

/// What is known of a stream's place among its endpoint's streams.
#[derive(Debug)]
pub(super) struct Standing {
    outlives: Duration,
    followed_at: Option<Instant>,
    flagged: bool,
}

impl Standing {
    /// `outlives`: after what time a connection that died unnoticed would have been closed.
    pub(super) fn new(outlives: Duration) -> Self {
        Self {
            outlives,
            followed_at: None,
            flagged: false,
        }
    }

    /// Notes whether the stream is the endpoint's latest. True when that shows, for the first time, that two endpoints
    /// share an identity.
    pub(super) fn is_latest(&mut self, latest: bool, now: Instant) -> bool {
        if latest {
            self.followed_at = None;
            return false;
        }
        let followed_at = *self.followed_at.get_or_insert(now);
        self.flag(now.duration_since(followed_at) >= self.outlives)
    }

    /// Notes that a message came. True as for [`Self::is_latest`].
    pub(super) fn message(&mut self, now: Instant) -> bool {
        let late = self.followed_at.is_some_and(|at| now.duration_since(at) > LATE);
        self.flag(late)
    }

    fn flag(&mut self, duplicate: bool) -> bool {
        let first = duplicate && !self.flagged;
        self.flagged |= duplicate;
        first
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reconnect_is_no_duplicate_and_a_clone_is() {
        let start = Instant::now();
        let at = |secs| start + Duration::from_secs(secs);
        let mut standing = Standing::new(Duration::from_secs(45));
        assert!(!standing.message(at(0)));
        assert!(!standing.is_latest(false, at(1)));
        assert!(!standing.message(at(2)), "it may have been on its way");
        assert!(standing.message(at(9)));
        assert!(!standing.message(at(10)), "said once");

        let mut idle = Standing::new(Duration::from_secs(45));
        assert!(!idle.is_latest(false, at(1)));
        assert!(!idle.is_latest(false, at(45)));
        assert!(idle.is_latest(false, at(46)));

        let mut latest_again = Standing::new(Duration::from_secs(45));
        assert!(!latest_again.is_latest(false, at(1)));
        assert!(!latest_again.is_latest(true, at(2)));
        assert!(!latest_again.message(at(100)));
    }
}
