//! What the detector counts. Names are listed in `docs/reference/detector.md`.

use std::time::Duration;

use metrics::{counter, gauge, histogram};
use proto::detection::v1::SubmitOutcome;
use sigma::correlation::Lost;

use crate::pipeline::evaluate::Outcome;
use crate::pipeline::queue::Way;

/// How the work on a block ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BlockEnd {
    /// Evaluated and marked.
    Done,
    /// Evaluated; somebody else had marked it.
    DoneBefore,
    /// Marked with an error.
    NotEvaluable,
    /// The partition belongs to another detector.
    NotOwned,
    /// Left pending because something failed.
    Retried,
}

impl BlockEnd {
    fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::DoneBefore => "done_before",
            Self::NotEvaluable => "not_evaluable",
            Self::NotOwned => "not_owned",
            Self::Retried => "retried",
        }
    }
}

pub(crate) fn block(way: Way, end: BlockEnd) {
    let way = match way {
        Way::Fast => "fast",
        Way::Truth => "truth",
    };
    counter!("picket_detector_blocks_total", "path" => way, "end" => end.as_str()).increment(1);
}

pub(crate) fn evaluated(outcome: &Outcome) {
    counter!("picket_detector_events_evaluated_total").increment(outcome.events as u64);
    counter!("picket_detector_matches_total", "by" => "rule").increment(outcome.rule_alerts as u64);
    counter!("picket_detector_matches_total", "by" => "indicator").increment(outcome.indicator_alerts as u64);
    if outcome.excepted > 0 {
        counter!("picket_detector_matches_dropped_total", "reason" => "exception").increment(outcome.excepted as u64);
    }
    if outcome.dropped_hits > 0 {
        counter!("picket_detector_matches_dropped_total", "reason" => "too_many_indicators_in_event")
            .increment(outcome.dropped_hits as u64);
    }
}

pub(crate) fn alerts(new: usize) {
    counter!("picket_detector_alerts_stored_total").increment(new as u64);
}

pub(crate) fn correlation_alerts(new: usize) {
    counter!("picket_detector_correlation_alerts_total").increment(new as u64);
}

/// A limit was hit that can make a correlation's numbers too low.
pub(crate) fn correlation_overflowed() {
    counter!("picket_detector_correlation_overflows_total").increment(1);
}

/// Memory that states of windows take.
pub(crate) fn correlation_memory(bytes: usize) {
    #[allow(clippy::cast_precision_loss, reason = "far below 2^53")]
    gauge!("picket_detector_correlation_memory_bytes").set(bytes as f64);
}

/// Findings that the database refused.
pub(crate) fn correlation_lost() {
    counter!("picket_detector_correlation_findings_dropped_total", "reason" => "refused_by_database").increment(1);
}

/// What correlations could not use of events that their rules matched.
pub(crate) fn correlation_unused(lost: &Lost) {
    for (reason, count) in [
        ("no_group", lost.no_group),
        ("no_value", lost.no_value),
        ("too_many_values", lost.cut),
    ] {
        if count > 0 {
            counter!("picket_detector_correlation_events_unused_total", "reason" => reason).increment(count as u64);
        }
    }
}

pub(crate) fn alert_lost() {
    counter!("picket_detector_alerts_dropped_total", "reason" => "refused_by_database").increment(1);
}

pub(crate) fn submitted(outcome: SubmitOutcome) {
    let outcome = match outcome {
        SubmitOutcome::Unspecified => "unspecified",
        SubmitOutcome::Accepted => "accepted",
        SubmitOutcome::NotOwner => "not_owner",
        SubmitOutcome::Busy => "busy",
    };
    counter!("picket_detector_blocks_submitted_total", "outcome" => outcome).increment(1);
}

/// A hunt this node worked on ended.
pub(crate) fn hunt(end: &'static str) {
    counter!("picket_detector_hunts_total", "end" => end).increment(1);
}

pub(crate) fn hunt_block_unreadable() {
    counter!("picket_detector_hunt_blocks_dropped_total", "reason" => "unreadable").increment(1);
}

pub(crate) fn rule_refused() {
    counter!("picket_detector_rules_refused_total").increment(1);
}

pub(crate) fn rule_errors_in_files(count: usize) {
    gauge!("picket_detector_rule_errors", "where" => "files").set(count as f64);
}

pub(crate) fn rule_errors_in_store(count: usize) {
    gauge!("picket_detector_rule_errors", "where" => "store").set(count as f64);
}

pub(crate) fn rules_in_use(count: usize) {
    gauge!("picket_detector_rules").set(count as f64);
}

/// From the moment a change was seen until it was in use.
pub(crate) fn rules_reloaded(took: Duration) {
    histogram!("picket_detector_rules_reload_seconds").record(took.as_secs_f64());
}

pub(crate) fn rules_over_budget(count: usize) {
    gauge!("picket_detector_rules_over_budget").set(count as f64);
}

pub(crate) fn indicators_in_use(count: usize) {
    gauge!("picket_detector_indicators").set(count as f64);
}

pub(crate) fn partitions_owned(count: usize) {
    gauge!("picket_detector_partitions_owned").set(count as f64);
}

/// Age of the oldest block of an owned partition that the fast path did not bring.
pub(crate) fn lag(oldest: Duration) {
    gauge!("picket_detector_lag_seconds").set(oldest.as_secs_f64());
}

/// How a run of a feed ended.
pub(crate) fn feed_run(state: model::feed::FeedState) {
    counter!("picket_detector_feed_runs_total", "outcome" => state.as_str()).increment(1);
}

pub(crate) fn feed_entries(outcome: &'static str, count: u64) {
    if count > 0 {
        counter!("picket_detector_feed_entries_total", "outcome" => outcome).increment(count);
    }
}

/// The reasons are those of the parsers and of the guard, a fixed set.
pub(crate) fn feed_refused(reason: &str, count: u64) {
    counter!("picket_detector_feed_refused_total", "reason" => reason.to_owned()).increment(count);
}

pub(crate) fn feed_bytes(count: u64) {
    counter!("picket_detector_feed_bytes_total").increment(count);
}
