//! Accounting for the numbers of one epoch. Pure.

use std::collections::BTreeMap;

use model::chain::{self, Link};
use model::{Epoch, Timestamp};
use storage::deliveries::{Delivery, Refused};

use crate::report::{EpochReport, Gap, MAX_LISTED, Problem, Span};

/// A stored batch, or a part of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Its first number.
    pub first_seq: u64,
    /// Events that were stored.
    pub count: u32,
    /// Those of them that retention has removed since.
    pub expired: u32,
    /// The batch's hash.
    pub hash: [u8; 32],
    /// What that was computed from, where there is such a thing.
    pub link: Option<Link>,
    /// Where it is.
    pub block: String,
}

impl Piece {
    /// Numbers of the batch it is of.
    fn batch(&self) -> (u64, u64) {
        match &self.link {
            Some(link) => (link.first_seq, link.end()),
            None => (self.first_seq, self.first_seq.saturating_add(u64::from(self.count))),
        }
    }
}

/// Runs of numbers, each with a name, as explanations of gaps.
#[derive(Clone, Debug, Default)]
pub struct Spans(BTreeMap<u64, (u64, String)>);

impl Spans {
    /// Adds `[first, end)`.
    pub fn add(&mut self, first: u64, end: u64, reason: &str) {
        if end > first {
            let known = self.0.entry(first).or_insert_with(|| (end, reason.to_owned()));
            if known.0 < end {
                *known = (end, reason.to_owned());
            }
        }
    }

    /// Cuts `[first, end)` into runs with a name and without.
    fn explain(&self, first: u64, end: u64, mut found: impl FnMut(u64, u64, Option<&str>)) {
        if first >= end {
            return;
        }
        let mut at = first;
        for (from, (to, reason)) in self.0.range(..end) {
            let (from, to) = ((*from).max(at), (*to).min(end));
            if to <= from {
                continue;
            }
            if from > at {
                found(at, from, None);
            }
            found(from, to, Some(reason));
            at = to;
        }
        if at < end {
            found(at, end, None);
        }
    }
}

/// What may be missing because it is no longer kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expired {
    /// The beginning: the day on which the epoch began is not kept any more.
    pub beginning: bool,
    /// What is behind batches that were made before this time: it may have been removed, and be forgotten by now.
    pub before: Timestamp,
}

/// Accounts for every number of an epoch. `pieces` may come in any order.
#[must_use]
pub fn account(
    epoch: Epoch,
    mut pieces: Vec<Piece>,
    delivery: Option<&Delivery>,
    expired: Expired,
) -> (EpochReport, Vec<Problem>) {
    pieces.sort_by(|a, b| (a.batch().0, a.first_seq, &a.block).cmp(&(b.batch().0, b.first_seq, &b.block)));
    let mut books = Books::open(epoch, delivery, expired);
    let mut rest = pieces.as_slice();
    while let Some(first) = rest.first() {
        let same = rest
            .iter()
            .take_while(|piece| piece.batch() == first.batch() && piece.hash == first.hash)
            .count();
        let (batch, behind) = rest.split_at(same);
        books.batch(first, batch);
        rest = behind;
    }
    books.close()
}

/// What was refused, by the first number of the batch and how many it has.
fn refused_by_batch(delivery: Option<&Delivery>) -> BTreeMap<(u64, u32), Vec<&Refused>> {
    let mut batches: BTreeMap<_, Vec<&Refused>> = BTreeMap::new();
    for refused in delivery.into_iter().flat_map(|delivery| &delivery.refused) {
        let of = batches.entry((refused.first_seq, refused.count)).or_default();
        of.push(refused);
    }
    batches
}

struct Books<'a> {
    report: EpochReport,
    problems: Vec<Problem>,
    delivery: Option<&'a Delivery>,
    reasons: Spans,
    /// Numbers below are acknowledged.
    acknowledged: u64,
    /// One past the last number that was looked at, and the hash of the batch that ended there.
    at: u64,
    last_hash: Option<[u8; 32]>,
    expired: Expired,
}

impl<'a> Books<'a> {
    fn open(epoch: Epoch, delivery: Option<&'a Delivery>, expired: Expired) -> Self {
        let mut reasons = Spans::default();
        for ((first_seq, count), refused) in refused_by_batch(delivery) {
            let sum: u64 = refused.iter().map(|refused| u64::from(refused.events)).sum();
            if sum < u64::from(count) {
                // The others are stored, so the batch is there to be compared with.
                continue;
            }
            let end = first_seq.saturating_add(u64::from(count));
            let mut at = first_seq;
            // Which of its events had which reason is not on record, only how many.
            for refused in refused {
                let next = at.saturating_add(u64::from(refused.events)).min(end);
                reasons.add(at, next, &refused.reason);
                at = next;
            }
        }
        for given_up in delivery.into_iter().flat_map(|delivery| &delivery.given_up) {
            let end = given_up.first_seq.saturating_add(given_up.count);
            reasons.add(given_up.first_seq, end, &given_up.reason);
        }
        Self {
            report: EpochReport {
                epoch: epoch.to_string(),
                first_at: delivery.map(|delivery| delivery.first_at.to_string()),
                repeated_batches: delivery.map_or(0, |delivery| delivery.repeated_batches),
                repeated_events: delivery.map_or(0, |delivery| delivery.repeated_events),
                ..EpochReport::default()
            },
            problems: Vec::new(),
            delivery,
            reasons,
            acknowledged: delivery
                .and_then(|delivery| delivery.receipt.as_ref())
                .map_or(0, |receipt| receipt.next_seq),
            at: 0,
            last_hash: None,
            expired,
        }
    }

    fn problem(&mut self, piece: &Piece, what: impl Into<String>) {
        self.problems.push(Problem {
            epoch: Some(self.report.epoch.clone()),
            first_seq: Some(piece.batch().0),
            block: Some(piece.block.clone()),
            what: what.into(),
        });
    }

    fn batch(&mut self, first: &Piece, pieces: &[Piece]) {
        let (start, end) = first.batch();
        let events: u64 = pieces.iter().map(|piece| u64::from(piece.count)).sum();
        let expired: u64 = pieces.iter().map(|piece| u64::from(piece.expired)).sum();
        self.report.batches += 1;
        self.report.events += events.saturating_sub(expired);
        if let Some(link) = &first.link {
            if pieces.iter().any(|piece| piece.link.as_ref() != Some(link)) {
                self.problem(first, "parts of the batch say different things about it");
            }
            if link.hash() != first.hash {
                self.problem(first, "the batch's hash is not that of what is stored about it");
            }
            let outside = |piece: &&Piece| !(start..end).contains(&piece.first_seq);
            if let Some(piece) = pieces.iter().find(outside) {
                self.problem(piece, "a part lies outside its batch");
            }
        }
        if start < self.at {
            self.problem(first, "the batch has numbers that another one has too");
        } else {
            self.gap(start, first.link.as_ref().map(|link| link.created_at));
        }
        self.follows(first);
        self.missing(first, start, end, events);
        if expired > 0 {
            self.list_gap(start, expired, "expired");
        }
        let full = self.report.stored.len() >= MAX_LISTED;
        match self.report.stored.last_mut() {
            _ if expired > 0 && expired == events => {}
            Some(last) if last.first_seq + last.count >= start => {
                last.count = last.count.max(end.saturating_sub(last.first_seq));
            }
            _ if full => {}
            _ => self.report.stored.push(Span {
                first_seq: start,
                count: end - start,
            }),
        }
        self.at = self.at.max(end);
        self.last_hash = Some(first.hash);
    }

    /// Whether the batch follows from the one before it, where that one is there.
    fn follows(&mut self, first: &Piece) {
        let Some(link) = &first.link else { return };
        let before = match self.last_hash {
            Some(hash) if self.at == link.first_seq => hash,
            None if link.first_seq == 0 => chain::START,
            _ => return,
        };
        if link.previous_hash != before {
            self.problem(first, "the batch does not follow from the one before it");
        }
    }

    /// Events of a batch that are not there though its numbers are.
    fn missing(&mut self, first: &Piece, start: u64, end: u64, events: u64) {
        let numbers = end - start;
        if events > numbers {
            self.problem(first, format!("{events} events are stored of {numbers}"));
        }
        let mut left = numbers.saturating_sub(events);
        if left == 0 {
            return;
        }
        for refused in self.delivery.into_iter().flat_map(|delivery| &delivery.refused) {
            let explained = u64::from(refused.events).min(left);
            if refused.first_seq == start && explained > 0 {
                self.list_gap(start, explained, &refused.reason);
                left -= explained;
            }
        }
        if left > 0 {
            self.unexplained(start, left);
        }
    }

    /// Accounts for the numbers from where we are to `end`, where a batch begins that was made at `made`.
    fn gap(&mut self, end: u64, made: Option<Timestamp>) {
        let is_old = made.is_some_and(|made| made < self.expired.before);
        let mut runs = Vec::new();
        self.reasons.explain(self.at, end, |from, to, reason| {
            runs.push((from, to, reason.map(str::to_owned)));
        });
        for (from, to, reason) in runs {
            match reason {
                Some(reason) => self.list_gap(from, to - from, &reason),
                None if is_old || (self.expired.beginning && self.last_hash.is_none()) => {
                    self.list_gap(from, to - from, "expired");
                }
                None => {
                    let acknowledged = to.min(self.acknowledged.max(from));
                    if acknowledged > from {
                        self.unexplained(from, acknowledged - from);
                    }
                    if to > acknowledged {
                        self.list_gap(acknowledged, to - acknowledged, "open");
                    }
                }
            }
        }
    }

    fn unexplained(&mut self, first_seq: u64, count: u64) {
        self.list_gap(first_seq, count, "unexplained");
        self.problems.push(Problem {
            epoch: Some(self.report.epoch.clone()),
            first_seq: Some(first_seq),
            block: None,
            what: format!("{count} events are missing, and nothing says why"),
        });
    }

    fn list_gap(&mut self, first_seq: u64, count: u64, reason: &str) {
        if self.report.gaps.len() < MAX_LISTED {
            self.report.gaps.push(Gap {
                first_seq,
                count,
                reason: reason.to_owned(),
            });
        }
    }

    fn close(mut self) -> (EpochReport, Vec<Problem>) {
        let end = self.acknowledged.max(self.at);
        self.gap(end, None);
        (self.report, self.problems)
    }
}

#[cfg(test)]
mod tests;
