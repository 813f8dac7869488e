//! One run of a feed.

use std::time::{Duration, Instant};

use model::feed::{FeedState, FeedStatus};
use model::{NodeId, Timestamp};
use rand::Rng as _;
use storage::Store;
use storage::feeds::{self as records, Claim};
use tokio_util::sync::CancellationToken;

use super::error::Error;
use super::fetch::{Limits, Origin, Validators};
use super::read::{Meter, Reading, read};
use super::secret::Places;
use super::store::Taking;
use crate::metrics;

/// How long a lease lasts without being renewed.
pub(super) const TTL: Duration = Duration::from_secs(10);
/// Time between two renewals.
const RENEW: Duration = Duration::from_secs(3);
/// Pause after the first failure; doubles from failure to failure.
const FIRST_PAUSE: Duration = Duration::from_secs(60);
const DAY_MICROS: i64 = 86_400_000_000;

/// What every run of this detector needs.
#[derive(Clone, Debug)]
pub(super) struct Runner {
    pub(super) store: Store,
    pub(super) node: NodeId,
    pub(super) places: Places,
    pub(super) limits: Limits,
    pub(super) timeout: Duration,
    pub(super) shutdown: CancellationToken,
}

/// How a run ended.
enum End {
    Read(Reading),
    Failed(Error),
    /// This detector stops; another one goes on.
    Stopped,
}

impl Runner {
    /// Runs a feed and notes how it went.
    pub(super) async fn run(self, claim: Claim) {
        let name = claim.feed.spec.name.clone();
        let began = Instant::now();
        let now = Timestamp::now();
        let mut status = claim.feed.status.clone();
        status.last_run = Some(now);
        let mut meter = Meter::new(self.limits_of(&claim));
        let (end, mut status) = self.read(&claim, status, now, &mut meter).await;
        status.duration_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        status.bytes = meter.used();
        metrics::feed_bytes(meter.used());
        for (reason, count) in &status.counts.refused {
            if !matches!(end, End::Read(Reading::Unchanged)) {
                metrics::feed_refused(reason, *count);
            }
        }
        let next_in = match &end {
            End::Stopped => Duration::ZERO,
            End::Failed(Error::Lost) => {
                tracing::info!(
                    feed = name,
                    "run of a feed given up, it is somebody else's or set up differently"
                );
                return self.give_back(&claim, &status, Duration::ZERO).await;
            }
            End::Failed(error) => self.failed(&claim, &mut status, error),
            End::Read(reading) => succeeded(&claim, &mut status, reading),
        };
        if !matches!(end, End::Stopped) {
            metrics::feed_run(status.state);
        }
        self.give_back(&claim, &status, next_in).await;
    }

    fn limits_of(&self, claim: &Claim) -> Limits {
        let asked = claim.feed.spec.options.max_mib.map(|mib| u64::from(mib) * 1024 * 1024);
        Limits {
            max_bytes: asked.unwrap_or(u64::MAX).min(self.limits.max_bytes),
            ..self.limits
        }
    }

    async fn read(&self, claim: &Claim, status: FeedStatus, now: Timestamp, meter: &mut Meter) -> (End, FeedStatus) {
        let before = status.clone();
        let mut had = Validators {
            etag: status.etag.clone(),
            last_modified: status.last_modified.clone(),
        };
        if must_read_again(claim, &status, now) {
            had = Validators::default();
        }
        let added_after = status.added_after.clone();
        let run = uuid::Uuid::now_v7().simple().to_string();
        let opened = Origin::of(&claim.feed.spec, &self.places, self.limits_of(claim))
            .and_then(|origin| Ok((origin, Taking::new(&self.store, claim, status, run, now)?)));
        let (origin, mut taking) = match opened {
            Ok(opened) => opened,
            Err(error) => return (End::Failed(error), before),
        };
        let reading = tokio::select! {
            reading = read(&claim.feed.spec, &origin, &had, added_after.as_deref(), meter, &mut taking) => reading,
            () = self.keep(claim) => Err(Error::Lost),
            () = tokio::time::sleep(self.timeout) => {
                let message = format!("expected a run of at most {} s", self.timeout.as_secs());
                Err(Error::failed(message))
            }
            () = self.shutdown.cancelled() => return (End::Stopped, keep_counts(before, taking.into_status())),
        };
        match reading {
            Ok(Reading::Unchanged) => {
                let status = keep_counts(before, taking.into_status());
                (End::Read(Reading::Unchanged), status)
            }
            Ok(reading) => {
                let is_whole = matches!(reading, Reading::Whole(_));
                let ended = taking.finish(is_whole).await;
                let status = taking.into_status();
                match ended {
                    Ok(()) => (End::Read(reading), status),
                    Err(error) => (End::Failed(error), keep_counts(before, status)),
                }
            }
            Err(error) => (End::Failed(error), keep_counts(before, taking.into_status())),
        }
    }

    /// Keeps the lease; completes when it is lost.
    async fn keep(&self, claim: &Claim) {
        let mut until = Instant::now() + TTL;
        loop {
            tokio::time::sleep(RENEW).await;
            let asked = Instant::now();
            match records::renew(&self.store, claim, TTL).await {
                Ok(true) => until = asked + TTL,
                Ok(false) => return,
                Err(error) => {
                    tracing::debug!(%error, "lease of a feed not renewed");
                    if asked >= until {
                        return;
                    }
                }
            }
        }
    }

    fn failed(&self, claim: &Claim, status: &mut FeedStatus, error: &Error) -> Duration {
        status.state = FeedState::Failed;
        status.failures = status.failures.saturating_add(1);
        status.error = Some(error.message());
        let doublings = status.failures.saturating_sub(1).min(16);
        let pause = FIRST_PAUSE.saturating_mul(1 << doublings);
        let pause = pause.min(Duration::from_secs(claim.feed.spec.interval_secs));
        let pause = jittered(pause).max(error.retry_after().unwrap_or_default());
        tracing::warn!(
            feed = claim.feed.spec.name,
            tenant = %claim.feed.tenant,
            error = error.message(),
            failures = status.failures,
            retry_in_secs = pause.as_secs(),
            "feed not read"
        );
        pause
    }

    async fn give_back(&self, claim: &Claim, status: &FeedStatus, next_in: Duration) {
        if let Err(error) = records::finish(&self.store, claim, status, next_in).await {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                node = %self.node,
                feed = claim.feed.spec.name,
                "end of a run not noted, it will be done again"
            );
        }
    }
}

fn succeeded(claim: &Claim, status: &mut FeedStatus, reading: &Reading) -> Duration {
    let now = Some(Timestamp::now());
    status.failures = 0;
    status.error = None;
    status.last_success = now;
    status.state = FeedState::Ok;
    match reading {
        Reading::Unchanged => status.state = FeedState::Unchanged,
        Reading::Whole(validators) => {
            status.last_read = now;
            status.etag.clone_from(&validators.etag);
            status.last_modified.clone_from(&validators.last_modified);
        }
        Reading::Partly => (status.etag, status.last_modified) = (None, None),
    }
    let counts = &status.counts;
    tracing::info!(
        feed = claim.feed.spec.name,
        tenant = %claim.feed.tenant,
        state = status.state.as_str(),
        seen = counts.seen,
        new = counts.new,
        removed = counts.removed,
        refused = counts.refused.values().sum::<u64>(),
        bytes = status.bytes,
        "feed read"
    );
    jittered(Duration::from_secs(claim.feed.spec.interval_secs))
}

/// What entries without an end of their own are given one by is having been seen: a feed that did not change for long
/// has to be seen again before they end.
fn must_read_again(claim: &Claim, status: &FeedStatus, now: Timestamp) -> bool {
    let (Some(days), Some(last)) = (claim.feed.spec.options.ttl_days, status.last_read) else {
        return false;
    };
    now.0.saturating_sub(last.0) > i64::from(days).saturating_mul(DAY_MICROS) / 4
}

/// What a run without an end says of the one before it, but for how far it came.
fn keep_counts(before: FeedStatus, run: FeedStatus) -> FeedStatus {
    FeedStatus {
        added_after: run.added_after,
        hunt_since: run.hunt_since,
        ..before
    }
}

/// A tenth more or less, so that detectors and feeds do not march in step.
fn jittered(duration: Duration) -> Duration {
    duration.mul_f64(rand::rng().random_range(0.9..=1.1))
}
