//! What is known of an event's addresses beside the event: whether they are public, and where databases that the operator
//! gave place them ([`database`]); and who started its process ([`ancestry`]). Added once, before the event is stored, so that rules, searches and exports see it.
//!
//! A field the source set itself stays. Nothing here can fail an event: what cannot be looked up is left out.

mod ancestry;
mod database;
mod scope;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use bootstrap::Context;
use model::{Event, Fields, Value};

use crate::config::Enrich as Settings;
use crate::normalize::Normalized;
use ancestry::Processes;
use database::Database;

/// The ends of a conversation whose addresses are looked up.
const SIDES: [&str; 4] = ["source", "destination", "client", "server"];
/// Where these are.
const ADDRESSES: [&str; 4] = ["source.ip", "destination.ip", "client.ip", "server.ip"];

/// Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Enricher {
    /// Whether `SIDE.ip_scope` is set.
    scope: bool,
    databases: Arc<ArcSwap<Vec<Arc<Database>>>>,
    /// Whether processes are told who started them.
    processes: Option<Arc<Processes>>,
}

impl Enricher {
    /// Reads the databases.
    ///
    /// # Errors
    /// When one cannot be read or is none.
    pub(crate) fn open(settings: &Settings) -> anyhow::Result<Self> {
        let databases = settings
            .databases
            .iter()
            .map(|path| Database::open(path).map(Arc::new))
            .collect::<anyhow::Result<Vec<_>>>()?;
        Ok(Self {
            scope: settings.address_scope,
            databases: Arc::new(ArcSwap::from_pointee(databases)),
            processes: settings.process_parents.then(Arc::default),
        })
    }

    /// Reads databases again whose files were replaced, until the node stops. One that cannot be read stays as it was.
    pub(crate) fn watch(&self, settings: &Settings, ctx: &Context) {
        if settings.databases.is_empty() {
            return;
        }
        let (databases, paths) = (Arc::clone(&self.databases), settings.databases.clone());
        let (every, stop) = (Duration::from_secs(settings.reload_secs), ctx.shutdown.clone());
        ctx.tasks.spawn("enrich", async move {
            loop {
                tokio::select! {
                    () = tokio::time::sleep(every) => {}
                    () = stop.cancelled() => return Ok(()),
                }
                let known = databases.load_full();
                let paths = paths.clone();
                let fresh = tokio::task::spawn_blocking(move || again(&paths, &known)).await?;
                if let Some(fresh) = fresh {
                    databases.store(Arc::new(fresh));
                }
            }
        });
    }

    /// Adds what is known to all events of a batch.
    pub(crate) fn batch(&self, normalized: &mut Normalized) {
        let databases = self.databases.load();
        if !self.scope && databases.is_empty() && self.processes.is_none() {
            return;
        }
        for part in &mut normalized.parts {
            if let Some(processes) = &self.processes {
                part.weight += processes.add(part.key.source, part.events.iter_mut());
            }
            for event in &mut part.events {
                part.weight += self.event(event, &databases);
            }
        }
    }

    /// How much was added to the event's weight.
    fn event(&self, event: &mut Event, databases: &[Arc<Database>]) -> usize {
        let mut weight = 0;
        for (side, ip) in SIDES.into_iter().zip(event.fields.positions(&ADDRESSES)) {
            let ip = ip.and_then(|ip| event.fields.at(ip)).and_then(|(_, ip)| ip.as_str());
            let Some(ip) = ip.and_then(|ip| ip.parse().ok()) else {
                continue;
            };
            let scope = scope::of(ip);
            if self.scope {
                weight += add(&mut event.fields, format!("{side}.ip_scope"), Value::from(scope.name()));
            }
            if scope == scope::Scope::Public {
                for database in databases {
                    for (name, value) in database.look_up(ip) {
                        weight += add(&mut event.fields, format!("{side}.{name}"), value);
                    }
                }
            }
        }
        weight
    }
}

/// Databases anew where files changed; `None` when none did.
fn again(paths: &[PathBuf], known: &[Arc<Database>]) -> Option<Vec<Arc<Database>>> {
    let mut changed = false;
    let fresh = paths
        .iter()
        .zip(known)
        .map(|(path, known)| {
            if known.is_current(path) {
                return Arc::clone(known);
            }
            match Database::open(path) {
                Ok(database) => {
                    tracing::info!(path = %path.display(), "address database read again");
                    changed = true;
                    Arc::new(database)
                }
                Err(error) => {
                    tracing::warn!(path = %path.display(), error = format!("{error:#}"), "address database cannot be read, the one before is used");
                    Arc::clone(known)
                }
            }
        })
        .collect();
    changed.then_some(fresh)
}

/// Adds a field that is not there yet. Answers its weight, if it was added.
fn add(fields: &mut Fields, name: String, value: Value) -> usize {
    let weight = block::weight_of_field(&name, &value);
    if fields.get(&name).is_none() && fields.insert(name, value) {
        weight
    } else {
        0
    }
}

#[cfg(test)]
mod tests;
