//! Taking entries over: defaults, guard, batches, and what is new or gone.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use feeds::{Entry, Item, Kind, Refused};
use intel::{Guard, GuardFileError};
use model::Timestamp;
use model::feed::{FeedCounts, FeedSpec, FeedStatus, MAX_REASONS};
use model::indicator::{DEFAULT_CONFIDENCE, Indicator, IndicatorType};
use storage::Store;
use storage::feeds::{self as records, Claim};
use storage::hunts::{self, NewHunt};
use storage::indicators::{self, Selector};

use super::error::Error;
use super::sink::Sink;
use crate::metrics;

/// Indicators stored at once.
const BATCH: usize = 1000;
/// Time between two notes of how far a run is.
const NOTE: Duration = Duration::from_secs(2);
/// Longest reason that is kept, in characters.
const MAX_REASON_CHARS: usize = 300;
const DAY_MICROS: i64 = 86_400_000_000;

/// What a spec makes of an entry, without a database.
pub(crate) struct Intake<'a> {
    spec: &'a FeedSpec,
    guard: Guard,
    now: Timestamp,
    pub(crate) counts: FeedCounts,
    pub(crate) reasons: Vec<String>,
    /// The body ended before its end.
    pub(crate) is_cut_off: bool,
}

/// What became of an item.
pub(crate) enum Taken {
    /// To be stored.
    Put(Indicator),
    /// To be removed, if it is there.
    Gone(IndicatorType, String, String),
    /// Counted.
    Nothing,
}

impl<'a> Intake<'a> {
    pub(crate) fn new(spec: &'a FeedSpec, now: Timestamp) -> Result<Self, GuardFileError> {
        let allowed: String = spec.options.allow.iter().map(|value| format!("!{value}\n")).collect();
        Ok(Self {
            spec,
            guard: Guard::strict().with_file(&allowed)?,
            now,
            counts: FeedCounts::default(),
            reasons: Vec::new(),
            is_cut_off: false,
        })
    }

    /// `part` says so, when the feed has parts.
    pub(crate) fn take(&mut self, item: Item, part: Option<&str>, tenant: &model::Tenant) -> Taken {
        match item {
            Item::Entry(entry) => self.entry(entry, part, tenant),
            Item::Withdrawn(entry) => {
                self.counts.skipped += 1;
                let source = self.source(&entry, part);
                Taken::Gone(entry.kind, entry.value, source)
            }
            Item::Skipped(_) => {
                self.counts.skipped += 1;
                Taken::Nothing
            }
            Item::Refused(refused) => {
                self.refused(&refused);
                Taken::Nothing
            }
        }
    }

    /// Counts a refusal that is not an item's.
    pub(crate) fn refuse(&mut self, class: &str, reason: &str) {
        *self.counts.refused.entry(class.to_owned()).or_default() += 1;
        if self.reasons.len() < MAX_REASONS {
            self.reasons.push(reason.chars().take(MAX_REASON_CHARS).collect());
        }
    }

    fn refused(&mut self, refused: &Refused) {
        self.is_cut_off |= refused.place == "end";
        self.refuse(refused.class.as_str(), &refused.to_string());
    }

    fn source(&self, entry: &Entry, part: Option<&str>) -> String {
        match part {
            Some(part) => part.to_owned(),
            None if entry.origin.is_empty() => self.spec.name.clone(),
            None => entry.origin.clone(),
        }
    }

    fn entry(&mut self, entry: Entry, part: Option<&str>, tenant: &model::Tenant) -> Taken {
        let options = &self.spec.options;
        let source = self.source(&entry, part);
        let confidence = entry.confidence.or(options.confidence).unwrap_or(DEFAULT_CONFIDENCE);
        let is_over = entry.valid_until.is_some_and(|until| until < self.now);
        if is_over || options.min_confidence.is_some_and(|least| confidence < least) {
            self.counts.skipped += 1;
            return Taken::Gone(entry.kind, entry.value, source);
        }
        if let Err(refusal) = self.guard.check(entry.kind, &entry.value) {
            let reason = format!("{} {}: {refusal}", entry.kind, entry.value);
            self.refuse(refusal.reason(), &reason);
            return Taken::Gone(entry.kind, entry.value, source);
        }
        let mut tags = entry.tags;
        for tag in &options.tags {
            if !tags.contains(tag) {
                tags.truncate(model::indicator::MAX_TAGS - 1);
                tags.push(tag.clone());
            }
        }
        let indicator = Indicator {
            tenant: tenant.clone(),
            kind: entry.kind,
            value: entry.value,
            source,
            feed: self.spec.name.clone(),
            confidence,
            tags,
            tlp: entry.tlp.or(options.tlp),
            note: entry.note,
            reference: entry.reference,
            created_at: self.now,
            valid_from: entry.valid_from,
            valid_until: entry.valid_until.or_else(|| end_after(self.now, options.ttl_days?)),
        };
        match indicator.check() {
            Ok(()) => Taken::Put(indicator),
            Err(error) => {
                self.refuse("malformed", &format!("{} {}: {error}", indicator.kind, indicator.value));
                Taken::Nothing
            }
        }
    }

    /// Whether so little of the feed could be read that what is missing from it says nothing.
    pub(crate) fn is_doubtful(&self) -> bool {
        let malformed = self.counts.refused.get("malformed").copied().unwrap_or_default();
        malformed > self.counts.seen + self.counts.skipped
    }
}

/// So many days from `now`, in steps of an eighth of them: an end that moved with every run would make every run change
/// every indicator.
fn end_after(now: Timestamp, days: u32) -> Option<Timestamp> {
    let ttl = i64::from(days).checked_mul(DAY_MICROS)?;
    let step = ttl / 8;
    let end = now.0.checked_add(ttl)?;
    Some(Timestamp(end.div_euclid(step).checked_add(1)?.checked_mul(step)?))
}

/// Takes a feed over into the database.
pub(crate) struct Taking<'a> {
    store: &'a Store,
    claim: &'a Claim,
    intake: Intake<'a>,
    /// Names this run in what it stores.
    run: String,
    batches: u64,
    part: Option<String>,
    pending: Vec<Indicator>,
    gone: Vec<(IndicatorType, String, String)>,
    status: FeedStatus,
    noted: Instant,
}

impl<'a> Taking<'a> {
    pub(crate) fn new(
        store: &'a Store,
        claim: &'a Claim,
        status: FeedStatus,
        run: String,
        now: Timestamp,
    ) -> Result<Self, Error> {
        let intake =
            Intake::new(&claim.feed.spec, now).map_err(|error| Error::failed(format!("options.allow: {error}")))?;
        Ok(Self {
            store,
            claim,
            intake,
            run,
            batches: 0,
            part: None,
            pending: Vec::with_capacity(BATCH),
            gone: Vec::new(),
            status,
            noted: Instant::now(),
        })
    }

    /// Stores what is left, removes what is missing and looks for what is new in stored events, if that is wanted.
    pub(crate) async fn finish(&mut self, is_whole: bool) -> Result<(), Error> {
        self.flush().await?;
        let spec = &self.claim.feed.spec;
        let counts = &self.intake.counts;
        if self.intake.is_cut_off {
            return Err(self.failed("the content is cut off"));
        }
        if counts.seen == 0 && counts.skipped == 0 && counts.refused.get("malformed").is_some_and(|n| *n > 0) {
            return Err(self.failed("nothing in it could be read"));
        }
        if spec.options.delete_missing && is_whole && spec.kind.is_one_body() {
            if self.intake.is_doubtful() {
                let reason = "nothing removed: most of the content could not be read";
                self.intake.refuse("not_removed", reason);
            } else {
                let tenant = &self.claim.feed.tenant;
                let removed = indicators::remove_unseen(self.store, tenant, &spec.name, &self.run).await?;
                self.count_removed(removed);
            }
        }
        self.hunt().await
    }

    /// Has stored events looked through for what is new, of an earlier run that did not come to its end too.
    async fn hunt(&mut self) -> Result<(), Error> {
        let Some(since) = self.status.hunt_since else {
            return Ok(());
        };
        if self.intake.counts.new > 0 || since < self.intake.now {
            let feed = &self.claim.feed;
            let hunt = NewHunt::of_feed(feed.tenant.clone(), &feed.spec.name, since, &feed.updated_by);
            hunts::enqueue(self.store, &hunt).await?;
        }
        self.status.hunt_since = None;
        Ok(())
    }

    fn failed(&self, what: &str) -> Error {
        match self.intake.reasons.first() {
            Some(reason) => Error::failed(format!("{what}: {reason}")),
            None => Error::failed(what),
        }
    }

    /// What was found, so far or at the end.
    pub(crate) fn into_status(mut self) -> FeedStatus {
        self.fill_status();
        self.status
    }

    fn fill_status(&mut self) {
        self.status.counts = self.intake.counts.clone();
        self.status.reasons.clone_from(&self.intake.reasons);
    }

    fn count_removed(&mut self, removed: u64) {
        self.intake.counts.removed += removed;
        metrics::feed_entries("removed", removed);
    }

    /// Names what this batch stores. Where an object may come again with other values, each batch has a name of its own:
    /// what an earlier version said is what its batch said.
    fn run_of_batch(&self) -> String {
        if self.claim.feed.spec.kind == Kind::Taxii {
            format!("{}.{}", self.run, self.batches)
        } else {
            self.run.clone()
        }
    }

    async fn flush(&mut self) -> Result<(), Error> {
        if self.pending.is_empty() && self.gone.is_empty() {
            return Ok(());
        }
        self.batches += 1;
        let tenant = &self.claim.feed.tenant;
        let spec = &self.claim.feed.spec;
        let run = self.run_of_batch();
        let pending = std::mem::take(&mut self.pending);
        if !pending.is_empty() {
            if spec.options.hunt && self.status.hunt_since.is_none() {
                // Before anything is stored: what a run that dies has stored is not new to the next.
                self.status.hunt_since = Some(self.intake.now);
                self.note().await?;
            }
            let new = indicators::upsert_in_run(self.store, &pending, Some(&run)).await?;
            self.intake.counts.seen += pending.len() as u64;
            self.intake.counts.new += new.len() as u64;
            metrics::feed_entries("seen", pending.len() as u64);
            metrics::feed_entries("new", new.len() as u64);
            if matches!(spec.kind, Kind::Stix | Kind::Taxii) {
                let mut sources: Vec<&str> = pending.iter().map(|indicator| indicator.source.as_str()).collect();
                sources.dedup();
                let removed = indicators::remove_unseen_of(self.store, tenant, &spec.name, &sources, &run).await?;
                self.count_removed(removed);
            }
        }
        self.remove_gone().await?;
        if self.noted.elapsed() >= NOTE {
            self.note().await?;
        }
        Ok(())
    }

    async fn remove_gone(&mut self) -> Result<(), Error> {
        let gone = std::mem::take(&mut self.gone);
        if !gone.is_empty() {
            let feed = &self.claim.feed;
            let removed = indicators::remove_said(self.store, &feed.tenant, &feed.spec.name, &gone).await?;
            self.count_removed(removed);
        }
        Ok(())
    }

    async fn note(&mut self) -> Result<(), Error> {
        self.fill_status();
        self.noted = Instant::now();
        if records::progress(self.store, self.claim, &self.status).await? {
            Ok(())
        } else {
            Err(Error::Lost)
        }
    }

    fn put(&mut self, indicator: Indicator) {
        let is_same = |kind: IndicatorType, value: &str, source: &str| {
            kind == indicator.kind && value == indicator.value && source == indicator.source
        };
        // The later of two things said about one value holds.
        if !self.gone.is_empty() {
            self.gone.retain(|(kind, value, source)| !is_same(*kind, value, source));
        }
        let is_new_object = self.pending.last().is_none_or(|last| last.source != indicator.source);
        if is_new_object && self.claim.feed.spec.kind == Kind::Taxii {
            self.pending.retain(|earlier| earlier.source != indicator.source);
        }
        self.pending.push(indicator);
    }

    /// Whether what is pending can be stored: an object's values belong into one batch.
    fn is_due(&self, next: Option<&Item>) -> bool {
        if self.pending.len() + self.gone.len() < BATCH {
            return false;
        }
        match (self.pending.last(), next) {
            (Some(last), Some(Item::Entry(entry))) if !entry.origin.is_empty() => {
                last.source != entry.origin || self.pending.len() > 20 * BATCH
            }
            _ => true,
        }
    }
}

impl Sink for Taking<'_> {
    async fn take(&mut self, items: &mut Vec<Item>) -> Result<(), Error> {
        for item in items.drain(..) {
            if self.is_due(Some(&item)) {
                self.flush().await?;
            }
            match self.intake.take(item, self.part.as_deref(), &self.claim.feed.tenant) {
                Taken::Put(indicator) => self.put(indicator),
                Taken::Gone(kind, value, source) => {
                    self.pending
                        .retain(|earlier| earlier.source != source || earlier.kind != kind || earlier.value != value);
                    self.gone.push((kind, value, source));
                }
                Taken::Nothing => {}
            }
        }
        Ok(())
    }

    async fn parts(&self) -> Result<HashMap<String, i64>, Error> {
        let Claim { feed, .. } = self.claim;
        Ok(records::parts(self.store, &feed.tenant, &feed.spec.name).await?)
    }

    fn begin_part(&mut self, part: &str) {
        self.part = Some(part.to_owned());
    }

    async fn end_part(&mut self, part: &str, version: i64) -> Result<(), Error> {
        self.flush().await?;
        let Claim { feed, .. } = self.claim;
        let (tenant, name) = (&feed.tenant, &feed.spec.name);
        let removed = indicators::remove_unseen_of(self.store, tenant, name, &[part], &self.run).await?;
        self.count_removed(removed);
        records::put_part(self.store, tenant, name, part, version).await?;
        self.part = None;
        Ok(())
    }

    fn fail_part(&mut self, part: &str, reason: String) {
        self.part = None;
        self.intake.refuse("event", &format!("{part}: {reason}"));
    }

    async fn remove_part(&mut self, part: &str) -> Result<(), Error> {
        let Claim { feed, .. } = self.claim;
        let selector = Selector {
            values: Vec::new(),
            source: Some(part.to_owned()),
            feed: Some(feed.spec.name.clone()),
        };
        let removed = indicators::remove(self.store, &feed.tenant, &selector).await?;
        self.count_removed(removed);
        records::delete_part(self.store, &feed.tenant, &feed.spec.name, part).await?;
        Ok(())
    }

    async fn added_up_to(&mut self, cursor: String) -> Result<(), Error> {
        self.flush().await?;
        self.status.added_after = Some(cursor);
        self.note().await
    }
}
