//! A collector with a database and an authority of its own.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use ::identity::{CertInfo, Identity, RevocationList, SpiffeId, TlsFiles};
use bootstrap::Context;
use collector::Config;
use model::agent::Agent;
use model::node::Role;
use model::{AgentId, Event, SourceId, Tenant, Timestamp};
use storage::Store;
use storage::blocks::{self, FoundBlock, ScanQuery};
use testkit::{Authority, TestDatabase};
use tonic::transport::Channel;

pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) struct Sandbox {
    pub(crate) authority: Authority,
    pub(crate) store: Store,
    uri: String,
    database: String,
    /// Dropped with the sandbox.
    _database: Option<TestDatabase>,
}

pub(crate) struct Collector {
    pub(crate) addr: SocketAddr,
    pub(crate) ctx: Context,
    pub(crate) files: TlsFiles,
}

impl Collector {
    pub(crate) async fn stop(self) {
        self.ctx.drain(PATIENCE).await.unwrap();
    }
}

impl Sandbox {
    pub(crate) async fn new() -> Self {
        bootstrap::install_crypto();
        let database = testkit::mongo().await;
        Self {
            authority: Authority::new(),
            store: database.store_with_indexes().await,
            uri: database.uri().to_owned(),
            database: database.name().to_owned(),
            _database: Some(database),
        }
    }

    /// On a MongoDB of the test's own.
    pub(crate) async fn on(uri: &str) -> Self {
        bootstrap::install_crypto();
        let store = Store::connect(uri, "picket", "tests").await.unwrap();
        store.ensure_indexes().await.unwrap();
        Self {
            authority: Authority::new(),
            store,
            uri: uri.to_owned(),
            database: "picket".to_owned(),
            _database: None,
        }
    }

    pub(crate) async fn collector(&self) -> Collector {
        self.collector_with("collector-1", |_| {}).await
    }

    pub(crate) async fn collector_with(&self, name: &str, change: impl FnOnce(&mut Config)) -> Collector {
        let files = self.authority.issue(Role::Collector, name);
        let mut config = Config {
            node: name.parse().unwrap(),
            tls: files.clone(),
            ..Config::default()
        };
        config.mongodb.uri = self.uri.as_str().into();
        config.mongodb.database = self.database.clone();
        config.grpc.addr = "127.0.0.1:0".parse().unwrap();
        config.enrolment.ca_cert_file = Some(self.authority.cert_file());
        config.enrolment.ca_key_file = Some(self.authority.key_file());
        change(&mut config);
        let ctx = Context::new();
        let running = collector::start(config, ctx.clone()).await.unwrap();
        Collector {
            addr: running.addr,
            ctx,
            files,
        }
    }

    /// An enrolled agent's identity.
    pub(crate) async fn agent(&self) -> (AgentId, Identity) {
        let id = AgentId(uuid::Uuid::new_v4());
        let agent = Agent {
            id,
            tenant: Tenant::default(),
            group: "default".to_owned(),
            host: model::agent::HostInfo::default(),
            enrolled_at: Timestamp::now(),
            last_seen_at: None,
            revoked_at: None,
            duplicate_seen_at: None,
            dropped: BTreeMap::new(),
            backlog: None,
        };
        storage::agents::insert(&self.store, &agent).await.unwrap();
        let identity = self.authority.identity(Role::Agent, &id.to_string());
        let info = CertInfo {
            id: SpiffeId::new(Tenant::default(), Role::Agent, id.to_string()).unwrap(),
            serial: identity.serial().clone(),
            not_before: Timestamp::now(),
            not_after: identity.not_after(),
        };
        storage::certificates::record(&self.store, &certificate(&info))
            .await
            .unwrap();
        (id, identity)
    }

    pub(crate) async fn connect(&self, collector: &Collector, identity: &Identity) -> Channel {
        bootstrap::grpc::connect(
            &collector.addr.to_string(),
            identity,
            Role::Collector,
            &RevocationList::default(),
        )
        .await
        .unwrap()
    }

    pub(crate) async fn blocks(&self) -> Vec<FoundBlock> {
        use futures_util::TryStreamExt as _;
        blocks::scan(&self.store, ScanQuery::default())
            .try_collect()
            .await
            .unwrap()
    }

    /// Everything stored of a source, by number.
    pub(crate) async fn events(&self, source: SourceId) -> Vec<Event> {
        let mut events: Vec<Event> = Vec::new();
        for stored in self.blocks().await {
            let block = stored.body.open().unwrap();
            assert_eq!(block.len(), stored.events as usize);
            events.extend(
                block
                    .events()
                    .unwrap()
                    .into_iter()
                    .filter(|event| event.id.source == source),
            );
        }
        events.sort_by_key(|event| (event.id.epoch, event.id.seq));
        events
    }

    pub(crate) async fn messages(&self, source: SourceId) -> Vec<String> {
        let events = self.events(source).await;
        events
            .iter()
            .map(|event| event.fields.str(model::ecs::MESSAGE).unwrap_or_default().to_owned())
            .collect()
    }
}

pub(crate) fn certificate(info: &CertInfo) -> storage::certificates::Certificate {
    storage::certificates::Certificate {
        serial: info.serial.to_string(),
        tenant: info.id.tenant.clone(),
        spiffe: info.id.to_string(),
        role: info.id.role,
        subject: info.id.id.clone(),
        not_before: info.not_before,
        not_after: info.not_after,
        issued_at: Timestamp::now(),
        revoked_at: None,
        reason: None,
    }
}
