//! Looking for who is silent.

use std::collections::BTreeSet;
use std::time::Duration;

use model::{AgentId, AlertId, NodeId, Tenant, Timestamp};
use storage::duties::{self, Duty};
use storage::silences::{self, Silence};
use storage::{Error, Store, agents, alerts, heard};
use tokio_util::sync::CancellationToken;

use super::alert;
use super::config::{LONGEST, SilenceConfig};

/// Endpoints, sources and silences that are looked at in one pass.
const MAX: u32 = 10_000;

/// Looks, and tells.
pub(crate) struct Watcher {
    pub(crate) store: Store,
    pub(crate) node: NodeId,
    pub(crate) config: SilenceConfig,
}

impl Watcher {
    /// Looks every few seconds until `shutdown`.
    pub(crate) async fn run(self, shutdown: CancellationToken) -> anyhow::Result<()> {
        let mut tick = tokio::time::interval(Duration::from_secs(self.config.check_secs));
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut failing = false;
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return Ok(()),
                _ = tick.tick() => {}
            }
            let passed = tokio::select! {
                () = shutdown.cancelled() => return Ok(()),
                passed = self.turn() => passed,
            };
            match passed {
                Ok(()) => failing = false,
                Err(error) if !std::mem::replace(&mut failing, true) => {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "cannot look for who is silent, trying again"
                    );
                }
                Err(_) => {}
            }
        }
    }

    async fn turn(&self) -> Result<(), Error> {
        let Some(held) = duties::take(&self.store, Duty::Silence, self.node.as_str()).await? else {
            return Ok(());
        };
        let passed = self.pass().await;
        // Otherwise it ends by itself.
        let _ = held.release().await;
        passed
    }

    async fn pass(&self) -> Result<(), Error> {
        let now = self.store.now().await?;
        let known = silences::list(&self.store, MAX).await?;
        let ids: BTreeSet<AlertId> = known.iter().map(|silence| silence.alert.clone()).collect();
        let silent = self.silent_agents(now, &ids).await?;
        self.silent_sources(now, &ids, &silent).await?;
        for silence in known {
            self.look_again(&silence).await?;
        }
        Ok(())
    }

    /// Tells of endpoints; answers with all that are silent.
    async fn silent_agents(
        &self,
        now: Timestamp,
        known: &BTreeSet<AlertId>,
    ) -> Result<BTreeSet<(Tenant, AgentId)>, Error> {
        let mut silent = BTreeSet::new();
        if self.config.agent_secs == 0 {
            return Ok(silent);
        }
        let (after, before) = (earlier(now, LONGEST), earlier(now, self.config.agent_secs));
        for agent in agents::last_seen_between(&self.store, after, before, MAX).await? {
            let Some(since) = agent.last_seen_at else { continue };
            silent.insert((agent.tenant.clone(), agent.id));
            let silence = named(agent.tenant, agent.id, None, since);
            let allowed = self.config.agent_secs.saturating_mul(1000);
            self.tell(&silence, known, Some(&agent.host.hostname), allowed, now)
                .await?;
        }
        Ok(silent)
    }

    /// Tells of sources of endpoints that are not silent themselves.
    async fn silent_sources(
        &self,
        now: Timestamp,
        known: &BTreeSet<AlertId>,
        silent: &BTreeSet<(Tenant, AgentId)>,
    ) -> Result<(), Error> {
        let Some(shortest) = self.config.shortest() else {
            return Ok(());
        };
        for source in heard::quiet_since(&self.store, earlier(now, shortest), MAX).await? {
            let quiet = u64::try_from(now.as_millis().saturating_sub(source.last_at.as_millis())).unwrap_or(0);
            let Some(allowed) = self.config.allowed_millis(&source).filter(|allowed| quiet > *allowed) else {
                continue;
            };
            if silent.contains(&(source.tenant.clone(), source.agent)) {
                continue;
            }
            let silence = named(source.tenant, source.agent, Some(source.origin), source.last_at);
            self.tell(&silence, known, None, allowed, now).await?;
        }
        Ok(())
    }

    async fn tell(
        &self,
        silence: &Silence,
        known: &BTreeSet<AlertId>,
        host: Option<&str>,
        allowed_millis: u64,
        now: Timestamp,
    ) -> Result<(), Error> {
        if known.contains(&silence.alert) {
            return Ok(());
        }
        let host = match host {
            Some(host) => host.to_owned(),
            None => match agents::get(&self.store, &silence.tenant, silence.agent).await? {
                Some(agent) if agent.revoked_at.is_none() => agent.host.hostname,
                // Nobody expects anything of it.
                _ => return Ok(()),
            },
        };
        let told = alert::begun(silence, &host, allowed_millis, now);
        tracing::info!(agent.id = %silence.agent, since = %silence.since, title = told.rule.title, "silent");
        alerts::put_versioned(&self.store, &[(told, 1)]).await?;
        metrics::counter!("picket_detector_silences_total").increment(1);
        silences::begin(&self.store, silence).await
    }

    /// Completes the alert about a silence that is over.
    async fn look_again(&self, silence: &Silence) -> Result<(), Error> {
        let last = match &silence.origin {
            None => {
                let agent = agents::get(&self.store, &silence.tenant, silence.agent).await?;
                agent
                    .filter(|agent| agent.revoked_at.is_none())
                    .and_then(|agent| agent.last_seen_at)
            }
            Some(origin) => heard::last(&self.store, &silence.tenant, silence.agent, origin).await?,
        };
        match last {
            Some(last) if last > silence.since => {
                if let Some(told) = alerts::get(&self.store, &silence.tenant, &silence.alert).await? {
                    alerts::put_versioned(&self.store, &[(alert::ended(told, last), 2)]).await?;
                }
                tracing::info!(agent.id = %silence.agent, since = %silence.since, "heard again");
                silences::end(&self.store, &silence.alert).await
            }
            Some(_) => Ok(()),
            // It is revoked or forgotten.
            None => silences::end(&self.store, &silence.alert).await,
        }
    }
}

fn named(tenant: Tenant, agent: AgentId, origin: Option<heard::Origin>, since: Timestamp) -> Silence {
    let mut silence = Silence {
        alert: AlertId::single(
            &tenant,
            "",
            &model::EventId {
                source: model::SourceId::agent(agent),
                epoch: model::Epoch(0),
                seq: 0,
            },
        ),
        tenant,
        agent,
        origin,
        since,
    };
    silence.alert = alert::id(&silence);
    silence
}

fn earlier(now: Timestamp, secs: u64) -> Timestamp {
    let micros = i64::try_from(secs).unwrap_or(i64::MAX).saturating_mul(1_000_000);
    Timestamp(now.0.saturating_sub(micros))
}
