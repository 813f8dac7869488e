//! Doing hunts, one after the other, without getting in the way of live detection.

use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use intel::{IndicatorSet, TenantSet};
use model::indicator::Indicator;
use model::{NodeId, Tenant, Timestamp};
use storage::blocks::{self, BlockId, Day, Span};
use storage::hunts::{self, Claimed, MAX_MATCHES, Quarry, Step};
use storage::indicators::{self, Filter};
use storage::{Store, alerts};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::prefilter::Prefilter;
use super::scan::{Finding, Hunted};
use crate::intel::alerting::IntelConfig;
use crate::metrics;
use crate::pipeline::evaluate::{Evaluator, Working};
use crate::rules::compiled::Compiled;

/// Time between two looks for a hunt.
const LOOK: Duration = Duration::from_secs(1);
/// How long a hunt is kept without a sign of life.
const LEASE: Duration = Duration::from_secs(15);
/// Time between two signs of life.
const NOTE: Duration = Duration::from_secs(2);
/// Blocks whose terms are read at once.
const TERMS: u32 = 128;
/// Pause while live detection uses all cores, and how often.
const YIELD: Duration = Duration::from_millis(20);
const MOST_YIELDS: usize = 100;
/// Indicators of a feed read at once.
const PAGE: u32 = 10_000;
/// Alerts stored at once.
const ALERTS: usize = 500;
/// What ad-hoc values are said to come from.
const AD_HOC: &str = "hunt";

/// Claims hunts and does them.
pub(crate) struct Runner {
    pub(crate) store: Store,
    pub(crate) node: NodeId,
    pub(crate) rules: Arc<ArcSwap<Compiled>>,
    pub(crate) intel: Arc<IntelConfig>,
    /// Permits nobody holds are cores that live detection does not use.
    pub(crate) cores: Arc<Semaphore>,
}

/// How work on a hunt ended.
enum End {
    /// All blocks were looked at.
    Done,
    /// It is somebody else's, or was cancelled.
    Lost,
    /// This process stops.
    Stopped,
}

/// What is hunted, ready to be looked for.
struct Prepared {
    set: Arc<TenantSet>,
    prefilter: Prefilter,
}

impl Runner {
    /// Works until `shutdown`; a hunt that is not finished then is given back.
    pub(crate) async fn run(self, shutdown: CancellationToken) -> anyhow::Result<()> {
        let mut failing = false;
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return Ok(()),
                () = tokio::time::sleep(LOOK) => {}
            }
            match self.look(&shutdown).await {
                Ok(()) => failing = false,
                Err(error) => {
                    if !failing {
                        tracing::warn!(
                            error = &error as &dyn std::error::Error,
                            "hunting interrupted, trying again"
                        );
                    }
                    failing = true;
                }
            }
        }
    }

    async fn look(&self, shutdown: &CancellationToken) -> Result<(), storage::Error> {
        let Some(claimed) = hunts::claim(&self.store, &self.node, LEASE).await? else {
            return Ok(());
        };
        let id = claimed.hunt.id.clone();
        tracing::info!(hunt.id = id, resumed = claimed.position.is_some(), "hunt begins");
        match self.hunt(claimed, shutdown).await {
            Ok(End::Done) => {
                hunts::finish(&self.store, &self.node, &id, None).await?;
                metrics::hunt("done");
                tracing::info!(hunt.id = id, "hunt done");
                Ok(())
            }
            Ok(End::Lost) => {
                metrics::hunt("lost");
                tracing::info!(hunt.id = id, "hunt left");
                Ok(())
            }
            Ok(End::Stopped) => hunts::give_back(&self.store, &self.node, &id).await,
            // Its lease ends by itself, and then it goes on.
            Err(error) if error.is_retryable() => Err(error),
            Err(error) => {
                metrics::hunt("failed");
                tracing::error!(hunt.id = id, error = &error as &dyn std::error::Error, "hunt failed");
                let reason = error.to_string();
                hunts::finish(&self.store, &self.node, &id, Some(&reason)).await
            }
        }
    }

    async fn hunt(&self, claimed: Claimed, shutdown: &CancellationToken) -> Result<End, storage::Error> {
        let Claimed { hunt, position } = claimed;
        let prepared = self.prepare(&hunt.tenant, &hunt.quarry).await?;
        let span = Span {
            from: hunt.from,
            to: hunt.to,
        };
        let mut days = blocks::list_days(&self.store).await?;
        if position.is_none() {
            let mut count = 0;
            for day in &days {
                count += blocks::count_blocks(&self.store, &hunt.tenant, *day, span).await?;
            }
            hunts::set_blocks(&self.store, &self.node, &hunt.id, count).await?;
        }
        if let Some((reached, _)) = position {
            // Newest first; days that came since are live detection's.
            days.retain(|day| *day <= reached);
        }
        let mut walk = Walk {
            runner: self,
            hunt: &hunt,
            span,
            prepared: &prepared,
            step: Step::default(),
            found: hunt.progress.matches,
            noted: Instant::now(),
            memory: Some(Working::default()),
        };
        for day in days {
            let after = position.filter(|(reached, _)| *reached == day).map(|(_, block)| block);
            match walk.day(day, after, shutdown).await? {
                None => {}
                Some(end) => return Ok(end),
            }
        }
        Ok(if walk.note().await? { End::Done } else { End::Lost })
    }

    /// Reads what is hunted. Traces from before an indicator was known are the point, so its `valid_from` does not count.
    async fn prepare(&self, tenant: &Tenant, quarry: &Quarry) -> Result<Prepared, storage::Error> {
        let mut set = IndicatorSet::default();
        let mut prefilter = Prefilter::default();
        let mut add = |mut indicator: Indicator| {
            indicator.valid_from = None;
            if set.put(&indicator) {
                prefilter.add(&indicator);
            }
        };
        match quarry {
            Quarry::Indicators(values) => {
                let known = indicators::lookup(&self.store, tenant, values).await?;
                for (kind, value) in values {
                    if !known.iter().any(|known| known.kind == *kind && known.value == *value)
                        && let Ok(ad_hoc) = Indicator::new(tenant.clone(), *kind, value, AD_HOC, Timestamp(0))
                    {
                        add(ad_hoc);
                    }
                }
                known.into_iter().for_each(&mut add);
            }
            Quarry::Feed { name, added_since } => {
                let mut filter = Filter {
                    tenant: tenant.clone(),
                    feed: Some(name.clone()),
                    added_since: *added_since,
                    ..Filter::default()
                };
                loop {
                    let page = indicators::list(&self.store, &filter, PAGE).await?;
                    let Some((_, last)) = page.last() else { break };
                    filter.after = Some(*last);
                    page.into_iter().for_each(|(indicator, _)| add(indicator));
                }
            }
        }
        Ok(Prepared {
            set: set.tenant(tenant).cloned().unwrap_or_default(),
            prefilter,
        })
    }
}

/// A hunt on its way through the blocks.
struct Walk<'a> {
    runner: &'a Runner,
    hunt: &'a hunts::Hunt,
    span: Span,
    prepared: &'a Prepared,
    /// Done since it was last noted.
    step: Step,
    /// Matches so far.
    found: u64,
    noted: Instant,
    memory: Option<Working>,
}

impl Walk<'_> {
    async fn day(
        &mut self,
        day: Day,
        mut after: Option<BlockId>,
        shutdown: &CancellationToken,
    ) -> Result<Option<End>, storage::Error> {
        if self.prepared.set.is_empty() {
            return Ok(None);
        }
        loop {
            let terms = blocks::terms(&self.runner.store, &self.hunt.tenant, day, self.span, after, TERMS).await?;
            let Some(last) = terms.last() else { return Ok(None) };
            after = Some(last.id);
            for terms in &terms {
                if shutdown.is_cancelled() {
                    self.note().await?;
                    return Ok(Some(End::Stopped));
                }
                if self.prepared.prefilter.may_match(&self.prepared.set, terms) {
                    self.give_way().await;
                    self.block(day, terms.id).await?;
                }
                self.step.blocks_seen += 1;
                self.step.position = Some((day, terms.id));
                if self.noted.elapsed() >= NOTE && !self.note().await? {
                    return Ok(Some(End::Lost));
                }
            }
        }
    }

    /// Waits while live detection has work for every core.
    async fn give_way(&self) {
        for _ in 0..MOST_YIELDS {
            if self.runner.cores.available_permits() > 0 {
                return;
            }
            tokio::time::sleep(YIELD).await;
        }
    }

    async fn block(&mut self, day: Day, id: BlockId) -> Result<(), storage::Error> {
        // Retention may have removed it meanwhile.
        let Some(stored) = blocks::get(&self.runner.store, day, id).await? else {
            return Ok(());
        };
        let evaluator = Evaluator {
            rules: self.runner.rules.load_full(),
            indicators: Arc::default(),
            intel: Arc::clone(&self.runner.intel),
        };
        let set = Arc::clone(&self.prepared.set);
        let (tenant, span, alert) = (self.hunt.tenant.clone(), self.span, self.hunt.alert);
        let mut work = self.memory.take().unwrap_or_default();
        let scanned = tokio::task::spawn_blocking(move || {
            let hunted = Hunted {
                tenant: &tenant,
                set: &set,
                span,
                alert,
                evaluator: &evaluator,
                processed_at: Timestamp::from_millis(Timestamp::now().as_millis()),
            };
            let finding = hunted.block(&stored.body, &mut work);
            (work, finding)
        })
        .await;
        let finding = match scanned {
            Ok((work, finding)) => {
                self.memory = Some(work);
                finding.map_err(|error| error.to_string())
            }
            Err(error) => Err(error.to_string()),
        };
        match finding {
            Ok(finding) => self.keep(finding).await,
            Err(error) => {
                metrics::hunt_block_unreadable();
                tracing::warn!(hunt.id = self.hunt.id, block.id = %id, block.day = %day, error, "block not readable, hunt goes on");
                Ok(())
            }
        }
    }

    async fn keep(&mut self, finding: Finding) -> Result<(), storage::Error> {
        self.step.blocks_read += 1;
        self.step.events += finding.events as u64;
        if finding.matches.is_empty() {
            return Ok(());
        }
        for alerts in finding.alerts.chunks(ALERTS) {
            let new = alerts::insert(&self.runner.store, alerts).await?;
            self.step.alerts += new as u64;
            metrics::alerts(new);
        }
        let room = usize::try_from(MAX_MATCHES.saturating_sub(self.found)).unwrap_or(0);
        let kept = finding
            .matches
            .get(..room.min(finding.matches.len()))
            .unwrap_or_default();
        for some in kept.chunks(1000) {
            hunts::add_matches(&self.runner.store, &self.hunt.tenant, &self.hunt.id, some).await?;
        }
        self.found += finding.matches.len() as u64;
        self.step.matches += finding.matches.len() as u64;
        Ok(())
    }

    /// Notes the step, and says whether the hunt is still ours.
    async fn note(&mut self) -> Result<bool, storage::Error> {
        let step = std::mem::take(&mut self.step);
        self.noted = Instant::now();
        hunts::renew(&self.runner.store, &self.runner.node, &self.hunt.id, &step, LEASE).await
    }
}
