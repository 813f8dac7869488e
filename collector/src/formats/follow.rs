//! From MongoDB into memory, soon after any change.
//!
//! A batch is read with the parsers of the moment it came in; exchanging them costs no event.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use model::Tenant;
use parsers::custom::CustomParser;
use storage::parsers::{self as stored, Stamp, StoredParser};
use storage::{Error, Store};
use tokio_util::sync::CancellationToken;

/// Time between two looks.
const LOOK: Duration = Duration::from_millis(500);

type Parsers = Arc<[Arc<CustomParser>]>;

/// The parsers in use, by tenant; cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct Own(Arc<ArcSwap<HashMap<Tenant, Parsers>>>);

impl fmt::Debug for Own {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Own")
    }
}

impl Own {
    /// A tenant's parsers, by name.
    pub(crate) fn of(&self, tenant: &Tenant) -> Parsers {
        self.0.load().get(tenant).cloned().unwrap_or_default()
    }
}

/// Compiles what is stored when it changes.
pub(crate) struct Follower {
    store: Store,
    own: Own,
    seen: Vec<Stamp>,
    compiled: HashMap<Stamp, Arc<CustomParser>>,
    reported: HashSet<Stamp>,
}

impl Follower {
    pub(crate) fn new(store: Store, own: Own) -> Self {
        Self {
            store,
            own,
            seen: Vec::new(),
            compiled: HashMap::new(),
            reported: HashSet::new(),
        }
    }

    /// Looks twice a second until `shutdown`. While the database is away the last parsers stay in use.
    pub(crate) async fn run(mut self, shutdown: CancellationToken) -> anyhow::Result<()> {
        let mut failing = false;
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return Ok(()),
                () = tokio::time::sleep(LOOK) => {}
            }
            match self.look().await {
                Ok(()) => failing = false,
                Err(error) => {
                    if !failing && !error.is_retryable() {
                        tracing::warn!(
                            error = &error as &dyn std::error::Error,
                            "parsers not refreshed, trying again"
                        );
                    }
                    failing = true;
                }
            }
        }
    }

    /// Takes over what is stored, if it changed.
    ///
    /// # Errors
    /// When the database is away.
    pub(crate) async fn look(&mut self) -> Result<(), Error> {
        if stored::stamps(&self.store).await? == self.seen {
            return Ok(());
        }
        let parsers = stored::all(&self.store).await?;
        let known = std::mem::take(&mut self.compiled);
        let building = tokio::task::spawn_blocking(move || build(parsers, &known));
        let Ok(built) = building.await else {
            tracing::error!("compiling parsers panicked, those before stay in use");
            return Ok(());
        };
        for (stamp, reason) in &built.unusable {
            if self.reported.insert(stamp.clone()) {
                tracing::warn!(
                    parser.name = stamp.1,
                    parser.revision = stamp.2,
                    reason,
                    "stored parser not usable"
                );
            }
        }
        let count: usize = built.by_tenant.values().map(|parsers| parsers.len()).sum();
        tracing::info!(parsers.count = count, "own parsers in use");
        metrics::gauge!("picket_collector_parsers").set(count as f64);
        metrics::gauge!("picket_collector_parsers_unusable").set(built.unusable.len() as f64);
        self.own.0.store(Arc::new(built.by_tenant));
        self.compiled = built.compiled;
        self.seen = built.seen;
        Ok(())
    }
}

#[derive(Default)]
struct Built {
    seen: Vec<Stamp>,
    by_tenant: HashMap<Tenant, Parsers>,
    compiled: HashMap<Stamp, Arc<CustomParser>>,
    unusable: Vec<(Stamp, String)>,
}

fn build(parsers: Vec<StoredParser>, known: &HashMap<Stamp, Arc<CustomParser>>) -> Built {
    let mut built = Built::default();
    let mut by_tenant: HashMap<Tenant, Vec<Arc<CustomParser>>> = HashMap::new();
    for parser in parsers {
        let stamp = (parser.tenant.clone(), parser.name, parser.revision);
        let compiled = match known.get(&stamp) {
            Some(compiled) => Ok(Arc::clone(compiled)),
            None => CustomParser::from_toml(&parser.text).map(Arc::new),
        };
        match compiled {
            Ok(compiled) => {
                by_tenant.entry(parser.tenant).or_default().push(Arc::clone(&compiled));
                built.compiled.insert(stamp.clone(), compiled);
            }
            Err(error) => built.unusable.push((stamp.clone(), error.to_string())),
        }
        built.seen.push(stamp);
    }
    let shared = by_tenant.into_iter().map(|(tenant, parsers)| (tenant, parsers.into()));
    built.by_tenant = shared.collect();
    built
}

#[cfg(test)]
mod tests {
    use model::Timestamp;

    use super::*;

    #[test]
    fn a_parser_that_cannot_be_used_costs_only_itself() {
        let parser = |name: &str, text: &str| StoredParser {
            tenant: Tenant::default(),
            name: name.to_owned(),
            dataset: "a.b".to_owned(),
            text: text.to_owned(),
            revision: 1,
            by: "user:ann".to_owned(),
            at: Timestamp(0),
        };
        let good = "name = \"good\"\ndataset = \"a.b\"\n";
        let built = build(vec![parser("bad", "name ="), parser("good", good)], &HashMap::new());
        assert_eq!(built.by_tenant[&Tenant::default()].len(), 1);
        assert_eq!(built.unusable.len(), 1);
        assert_eq!(built.seen.len(), 2);
        // What did not change is not compiled again.
        let again = build(vec![parser("good", good)], &built.compiled);
        let stamp = (Tenant::default(), "good".to_owned(), 1);
        assert!(Arc::ptr_eq(&again.compiled[&stamp], &built.compiled[&stamp]));
    }
}
