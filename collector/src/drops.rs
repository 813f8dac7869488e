//! What endpoints say they had to give up, recorded and counted once.

use std::sync::Arc;

use model::{AgentId, Epoch, Tenant};
use proto::ingest::v1::{Drop, DropReason, DropReport};
use storage::Store;
use storage::agents::{DropTotal, record_drops};
use tokio::sync::Semaphore;

/// Most entries taken of one report.
const MAX_ENTRIES: usize = 100;

/// Records one endpoint's reports, one at a time. A report that comes while another is being recorded is passed over: it
/// will be repeated.
#[derive(Debug)]
pub(crate) struct Recorder {
    store: Store,
    tenant: Tenant,
    agent: AgentId,
    busy: Arc<Semaphore>,
}

impl Recorder {
    pub(crate) fn new(store: Store, tenant: Tenant, agent: AgentId) -> Self {
        Self {
            store,
            tenant,
            agent,
            busy: Arc::new(Semaphore::new(1)),
        }
    }

    pub(crate) fn record(&self, report: DropReport) {
        let Ok(permit) = Arc::clone(&self.busy).try_acquire_owned() else {
            return;
        };
        let (store, tenant, agent) = (self.store.clone(), self.tenant.clone(), self.agent);
        tokio::spawn(async move {
            for entry in report.drops.iter().take(MAX_ENTRIES) {
                let total = total(entry);
                match record_drops(&store, &tenant, agent, &total).await {
                    Ok(0) => {}
                    Ok(grown) => {
                        metrics::counter!("picket_collector_events_dropped_total", "reason" => metric(total.reason))
                            .increment(grown);
                        tracing::warn!(agent.id = %agent, reason = total.reason, events = grown, total = total.total,
                            "agent gave up events");
                    }
                    Err(error) => {
                        tracing::debug!(agent.id = %agent, error = &error as &dyn std::error::Error,
                            "cannot record what the agent gave up, it will say so again");
                        break;
                    }
                }
            }
            drop(permit);
        });
    }
}

fn total(entry: &Drop) -> DropTotal {
    DropTotal {
        reason: match entry.reason() {
            DropReason::Unspecified => "unspecified",
            DropReason::SpoolFull => "spool_full",
            DropReason::SensorOverflow => "sensor_overflow",
            DropReason::SpoolCorrupt => "spool_corrupt",
        },
        epoch: Epoch(entry.epoch),
        total: entry.total.max(entry.count),
    }
}

fn metric(reason: &'static str) -> &'static str {
    match reason {
        "spool_full" => "agent_spool_full",
        "sensor_overflow" => "agent_sensor_overflow",
        "spool_corrupt" => "agent_spool_corrupt",
        _ => "agent_unspecified",
    }
}
