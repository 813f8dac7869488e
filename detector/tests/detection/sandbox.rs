//! A database, a certificate authority and a rules directory of a test's own.

use std::path::PathBuf;
use std::time::Duration;

use bootstrap::{Context, Running};
use detector::Config;
use identity::RevocationList;
use model::alert::Alert;
use model::node::Role;
use model::{BatchKey, Epoch, Event, EventId, Fields, NodeId, Partition, SourceId, Tenant, Timestamp};
use proto::detection::v1::SubmitBlockRequest;
use storage::alerts::AlertFilter;
use storage::blocks::{BlockBatch, Day, Inserted, NewBlock};
use storage::{Store, alerts, blocks};
use testkit::{Authority, TestDatabase};
use tonic::transport::Channel;

/// How long anything may take at most.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) const FAILED_LOGIN: &str = "id: failed-login\ntitle: Failed login\nlevel: high\ntags: [attack.t1110]\n\
    logsource: {product: linux}\ndetection:\n  s: {event.action: ssh_login, event.outcome: failure}\n  condition: s\n";

pub(crate) struct Sandbox {
    pub(crate) store: Store,
    uri: String,
    database: String,
    /// Dropped with the sandbox, unless the whole server is the test's own.
    _shared: Option<TestDatabase>,
    authority: Authority,
    rules: tempfile::TempDir,
}

pub(crate) struct Detector {
    pub(crate) addr: String,
    ctx: Context,
}

impl Sandbox {
    pub(crate) async fn new() -> Self {
        let shared = testkit::mongo().await;
        let (uri, database) = (shared.uri().to_owned(), shared.name().to_owned());
        Self {
            _shared: Some(shared),
            ..Self::on(&uri, &database).await
        }
    }

    /// On a server of the test's own.
    pub(crate) async fn on(uri: &str, database: &str) -> Self {
        let store = Store::connect(uri, database, "detector-tests").await.unwrap();
        store.ensure_indexes().await.unwrap();
        let sandbox = Self {
            store,
            uri: uri.to_owned(),
            database: database.to_owned(),
            _shared: None,
            authority: Authority::new(),
            rules: tempfile::tempdir().unwrap(),
        };
        sandbox.write_rule("failed-login.yml", FAILED_LOGIN);
        sandbox
    }

    pub(crate) fn write_rule(&self, name: &str, yaml: &str) {
        std::fs::write(self.rule_path(name), yaml).unwrap();
    }

    pub(crate) fn rule_path(&self, name: &str) -> PathBuf {
        self.rules.path().join(name)
    }

    pub(crate) async fn start(&self, name: &str) -> Detector {
        self.start_with(name, self.rules.path()).await
    }

    /// With a rules directory of its own.
    pub(crate) async fn start_with(&self, name: &str, rules: &std::path::Path) -> Detector {
        let rules = rules.to_owned();
        self.start_changed(name, |config| config.rules.dir = rules).await
    }

    /// With a configuration of its own.
    pub(crate) async fn start_changed(&self, name: &str, change: impl FnOnce(&mut Config)) -> Detector {
        let mut config = Config {
            node: name.to_owned(),
            tls: self.authority.issue(Role::Detector, name),
            ..Config::default()
        };
        config.mongodb.uri = self.uri.as_str().into();
        config.mongodb.database.clone_from(&self.database);
        config.rules.dir = self.rules.path().to_owned();
        change(&mut config);
        let ctx = Context::new();
        let Running { addr, .. } = detector::start(config, ctx.clone()).await.unwrap();
        Detector {
            addr: addr.to_string(),
            ctx,
        }
    }

    /// A connection as a peer of some role.
    pub(crate) async fn connect(&self, detector: &Detector, role: Role) -> Channel {
        let identity = self.authority.identity(role, &peer_name(role));
        bootstrap::grpc::connect(&detector.addr, &identity, Role::Detector, &RevocationList::default())
            .await
            .unwrap()
    }

    /// Stores a block of events of one source, as a collector would.
    pub(crate) async fn store_block(&self, events: &[Event]) -> Stored {
        let tenant = Tenant::default();
        let first = events[0].id;
        let encoded = block::encode(events).unwrap();
        let partition = Partition::of(&tenant, &first.source);
        let batch = BlockBatch {
            key: BatchKey {
                tenant: tenant.clone(),
                source: first.source,
                epoch: first.epoch,
                first_seq: first.seq,
            },
            count: u32::try_from(events.len()).unwrap(),
            hash: [0; 32],
            link: None,
        };
        self.store_body(partition, batch, encoded.bytes).await
    }

    pub(crate) async fn store_body(&self, partition: Partition, batch: BlockBatch, body: Vec<u8>) -> Stored {
        let now = self.store.now().await.unwrap();
        let day = Day::of_batch(now, now);
        let new = NewBlock {
            tenant: Tenant::default(),
            partition,
            day,
            min: now,
            max: now,
            events: batch.count,
            batches: vec![batch],
            ips: None,
            minutes: None,
            token_filter: Vec::new(),
            body: body.clone(),
            node: "collector-1".parse().unwrap(),
            at: now,
        };
        let Inserted::Stored(id) = blocks::insert(&self.store, &new).await.unwrap() else {
            panic!("stored before");
        };
        Stored {
            request: SubmitBlockRequest {
                tenant: "default".to_owned(),
                day: day.number(),
                block_id: id.as_bytes().to_vec(),
                partition: partition.number().into(),
                block: body.into(),
            },
        }
    }

    /// Makes every block pending again, as after a detector that died before it could mark them done.
    pub(crate) async fn reopen(&self) {
        for day in blocks::list_days(&self.store).await.unwrap() {
            blocks::reopen(&self.store, &Tenant::default(), day).await.unwrap();
        }
    }

    pub(crate) async fn alerts(&self) -> Vec<Alert> {
        let filter = AlertFilter {
            limit: 1000,
            ..AlertFilter::default()
        };
        alerts::list(&self.store, &filter).await.unwrap()
    }

    /// Waits until no block is pending, then returns the alerts.
    pub(crate) async fn settle(&self) -> Vec<Alert> {
        eventually("no block is pending", async || {
            blocks::pending_stats(&self.store).await.unwrap().count == 0
        })
        .await;
        self.alerts().await
    }
}

pub(crate) struct Stored {
    /// What the collector that stored it would send.
    pub(crate) request: SubmitBlockRequest,
}

impl Detector {
    pub(crate) async fn stop(self) {
        self.ctx.shutdown.cancel();
        self.ctx.drain(PATIENCE).await.unwrap();
    }
}

/// A source whose events are in a partition.
pub(crate) fn source_in(partition: Partition) -> SourceId {
    (0..)
        .map(|n| SourceId::named("test", &n.to_string()))
        .find(|source| Partition::of(&Tenant::default(), source) == partition)
        .unwrap()
}

pub(crate) fn event(source: SourceId, seq: u64, outcome: &'static str) -> Event {
    let mut fields = Fields::new();
    for (name, value) in [
        ("message", "Failed password for root from 203.0.113.7 port 22 ssh2"),
        ("host.os.type", "linux"),
        ("host.name", "web-1"),
        ("event.action", "ssh_login"),
        ("event.outcome", outcome),
        ("source.ip", "203.0.113.7"),
    ] {
        fields.insert(name, value);
    }
    Event {
        id: EventId {
            source,
            epoch: Epoch(1),
            seq,
        },
        timestamp: Timestamp(1_700_000_000_000_000),
        fields,
    }
}

pub(crate) fn name(text: &str) -> NodeId {
    text.parse().unwrap()
}

/// Agents are named by UUIDs.
fn peer_name(role: Role) -> String {
    if role == Role::Agent {
        "0191d3f0-0000-7000-8000-000000000001".to_owned()
    } else {
        "peer".to_owned()
    }
}

/// Waits until a condition holds.
pub(crate) async fn eventually(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    testkit::poll_until(PATIENCE, what, async || holds().await.then_some(())).await;
}
