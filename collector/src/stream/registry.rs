//! The streams that are open on this collector, by endpoint.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use model::AgentId;
use tokio::sync::Notify;
use uuid::Uuid;

/// Which streams are open.
#[derive(Clone, Debug, Default)]
pub(crate) struct Registry(Arc<Mutex<HashMap<AgentId, Vec<OpenStream>>>>);

type OpenStream = (Uuid, Arc<Notify>);

/// An open stream; closes with its drop.
#[derive(Debug)]
pub(crate) struct Registered {
    registry: Registry,
    agent: AgentId,
    stream: Uuid,
    /// Told when another stream of the same endpoint opens.
    pub(crate) followed: Arc<Notify>,
}

impl Registry {
    /// Adds a stream and tells the others of the same endpoint.
    pub(crate) fn add(&self, agent: AgentId, stream: Uuid) -> Registered {
        let followed = Arc::new(Notify::new());
        let mut streams = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let open = streams.entry(agent).or_default();
        open.iter().for_each(|(_, other)| other.notify_one());
        open.push((stream, Arc::clone(&followed)));
        drop(streams);
        metrics::gauge!("picket_collector_streams_open").increment(1.0);
        Registered {
            registry: self.clone(),
            agent,
            stream,
            followed,
        }
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        let mut streams = self.registry.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(open) = streams.get_mut(&self.agent) {
            open.retain(|(stream, _)| *stream != self.stream);
            if open.is_empty() {
                streams.remove(&self.agent);
            }
        }
        metrics::gauge!("picket_collector_streams_open").decrement(1.0);
    }
}
