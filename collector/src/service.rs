//! Putting the parts together.

use std::collections::HashSet;
use std::ffi::OsString;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use arc_swap::ArcSwap;
use bootstrap::{Context, Running};
use identity::{CertificateAuthority, ClientAuth, Identity, RevocationList};
use model::Timestamp;
use model::node::{Load, Node, Role};
use proto::agent::v1::agent_admin_service_server::AgentAdminServiceServer;
use proto::agent::v1::enrolment_service_server::EnrolmentServiceServer;
use proto::formats::v1::parser_service_server::ParserServiceServer;
use proto::ingest::v1::ingest_service_server::IngestServiceServer;
use storage::blocks::Writer;
use storage::{Store, certificates, nodes};
use tokio::sync::watch;

use crate::clock::Clock;
use crate::config::{Config, Enrolment};
use crate::enrich::Enricher;
use crate::formats::{Follower, Own};
use crate::forward::{self, Channels, Forwarder};
use crate::intake::Intake;
use crate::keeping::Keeper;
use crate::limits::{EnrolmentLimits, IngestLimits};
use crate::load::Gauges;
use crate::memory::Memory;
use crate::merge::{Merger, Write};
use crate::{admin, enrol, formats, signing, stream, syslog};

/// Time between two rounds of forgetting who has not sent for a while.
const FORGET: Duration = Duration::from_secs(60);
/// Shortest and longest pause between two tries to reach the database at the start; each try takes seconds itself.
const FIRST_RETRY: Duration = Duration::from_millis(100);
const LAST_RETRY: Duration = Duration::from_secs(2);

/// Runs a collector from the process's command line.
pub fn main() -> ExitCode {
    main_with(std::env::args_os().skip(1))
}

/// Runs a collector from a command line without the program's name.
pub fn main_with(args: impl Iterator<Item = OsString>) -> ExitCode {
    bootstrap::run_service("collector", args, start)
}

/// Starts a collector. It runs until the context is drained.
///
/// # Errors
/// When its files cannot be read, its addresses are taken or the database does not answer.
pub async fn start(config: Config, ctx: Context) -> anyhow::Result<Running> {
    let identity = Identity::load(&config.tls).context("load the node's certificate")?;
    let authority = open_authority(&config.enrolment)?;
    let enricher = Enricher::open(&config.enrich)?;
    enricher.watch(&config.enrich, &ctx);
    let listener = bootstrap::tls::bind_for(config.grpc.addr, "grpc.addr").await?;
    let addr = listener.local_addr().context("read the listening address")?;
    let syslog = syslog::bind(&config.syslog).await?;
    let (ready, is_ready) = watch::channel(false);
    let admin_addr = bootstrap::admin::serve(config.admin.addr, ctx.clone(), is_ready).await?;

    let store = Store::connect(
        config.mongodb.uri.expose(),
        &config.mongodb.database,
        config.node.as_str(),
    )
    .await
    .context("connect to MongoDB")?;
    let clock = Clock::default();
    let revoked = RevocationList::default();
    // Before the first handshake, so that nobody slips in.
    revoked.set(parse_serials(
        await_database(&store).await.context("prepare the database")?,
    ));
    // Before anything is signed with a time.
    clock.ask(&store).await;
    signing::publish(&store, &config.node, &identity)
        .await
        .context("store the certificate that signs receipts")?;
    let tls = identity::server_config(&identity, ClientAuth::Optional, &revoked).context("set up TLS")?;
    let tls = Arc::new(ArcSwap::new(tls));
    let signer = Arc::new(ArcSwap::from_pointee(identity.clone()));
    let detectors = Arc::new(Channels::new(identity, revoked.clone()));

    let (forwarder, stored_blocks) = Forwarder::new();
    let gauges = Gauges::default();
    let memory = Memory::new(config.ingest.memory_bytes);
    let writer = Writer::new(store.clone()).sealed_by(signing::sealer(Arc::clone(&signer)));
    let keeper = Keeper::new(&config, store.clone(), writer.clone(), ctx.shutdown.clone());
    let write = Write {
        writer,
        node: config.node.clone(),
        clock: clock.clone(),
        forwarder,
        gauges: gauges.clone(),
    };
    let linger = Duration::from_millis(config.ingest.linger_millis);
    let (merger, merging) = Merger::new(write, linger, clock.clone(), ctx.shutdown.clone());
    let own = Own::default();
    let mut follower = Follower::new(store.clone(), own.clone());
    // Before the first event, so that none is read without them.
    follower.look().await.context("read the stored parsers")?;
    let intake = Intake::new(merger, enricher, own);
    let ingest_limits = Arc::new(IngestLimits::new(&config.ingest));
    let enrolment_limits = Arc::new(EnrolmentLimits::new(&config.enrolment));

    let shared = Arc::new(stream::Shared {
        store: store.clone(),
        node: config.node.clone(),
        identity: Arc::clone(&signer),
        revoked: revoked.clone(),
        intake: intake.clone(),
        clock: clock.clone(),
        limits: Arc::clone(&ingest_limits),
        memory: memory.clone(),
        gauges: gauges.clone(),
        config: config.ingest.clone(),
        shutdown: ctx.shutdown.clone(),
        streams: stream::Registry::default(),
    });
    let enrolment = enrol::Service(Arc::new(enrol::Shared {
        store: store.clone(),
        authority,
        clock: clock.clone(),
        ttl: Duration::from_secs(config.enrolment.agent_ttl_secs),
        limits: Arc::clone(&enrolment_limits),
    }));
    let administration = admin::Service {
        store: store.clone(),
        clock: clock.clone(),
    };
    let limits = bootstrap::grpc::Limits::default();
    let services = bootstrap::grpc::routes()
        .add_service(
            IngestServiceServer::new(stream::Service(shared))
                .max_decoding_message_size(limits.max_message_bytes)
                .max_encoding_message_size(limits.max_message_bytes),
        )
        .add_service(EnrolmentServiceServer::new(enrolment).max_decoding_message_size(MAX_SMALL_MESSAGE))
        .add_service(AgentAdminServiceServer::new(administration).max_decoding_message_size(MAX_SMALL_MESSAGE))
        .add_service(
            ParserServiceServer::new(formats::Service { store: store.clone() })
                .max_decoding_message_size(2 * MAX_SMALL_MESSAGE),
        );

    let tasks = &ctx.tasks;
    tasks.spawn("merge", merging);
    tasks.spawn("parsers", follower.run(ctx.shutdown.clone()));
    if config.compaction.enabled {
        tasks.spawn("compaction", keeper.clone().compact());
    }
    tasks.spawn("retention", keeper.retain());
    tasks.spawn(
        "forward",
        forward::run(
            stored_blocks,
            store.clone(),
            Arc::clone(&detectors),
            ctx.shutdown.clone(),
        ),
    );
    let (renewed, publishing) = signing::publisher(store.clone(), config.node.clone());
    tasks.spawn("signers", publishing);
    let (served, revocations) = (Arc::clone(&tls), revoked.clone());
    let renew = move |identity: Identity| {
        match identity::server_config(&identity, ClientAuth::Optional, &revocations) {
            Ok(config) => served.store(config),
            Err(error) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "renewed certificate is unusable, keeping the old one"
                );
                return;
            }
        }
        signer.store(Arc::new(identity.clone()));
        if renewed.try_send(identity.clone()).is_err() {
            tracing::warn!(
                "renewed certificate is not stored, receipts signed with it cannot be checked until this node starts again"
            );
        }
        detectors.renew(identity);
    };
    tasks.spawn(
        "certificate",
        bootstrap::tls::follow_identity(config.tls.clone(), renew, ctx.shutdown.clone()),
    );
    let window = u64::from(config.ingest.window);
    let complete = move |load: &mut Load| {
        load.window = window;
        (load.memory_bytes, load.memory_limit_bytes) = memory.use_and_limit();
    };
    tasks.spawn(
        "load",
        gauges.note(store.clone(), config.node.clone(), complete, ctx.shutdown.clone()),
    );
    tasks.spawn("clock", clock.clone().follow(store.clone(), ctx.shutdown.clone()));
    tasks.spawn("revocations", follow_revocations(store.clone(), revoked, &ctx));
    tasks.spawn("forget", forget(ingest_limits, enrolment_limits, ctx.clone()));
    syslog::spawn(syslog, &config.syslog, intake, clock, &ctx)?;
    tasks.spawn(
        "grpc",
        bootstrap::grpc::serve(listener, tls, services, limits, ctx.shutdown.clone()),
    );
    let node = node(&config, addr);
    let shutdown = ctx.shutdown.clone();
    tasks.spawn("heartbeat", async move {
        nodes::register_and_beat(store, node, shutdown).await;
        Ok(())
    });
    // Nobody listens any more only when the process ends.
    let _ = ready.send(true);
    keep(ready, &ctx);
    Ok(Running {
        addr,
        admin_addr: Some(admin_addr),
    })
}

/// Largest message of the services that take no events, in bytes.
const MAX_SMALL_MESSAGE: usize = 256 << 10;

/// Prepares the database and reads which certificates are revoked, waiting for the database as long as it takes.
async fn await_database(store: &Store) -> Result<Vec<String>, storage::Error> {
    let mut wait = FIRST_RETRY;
    loop {
        let prepared = async {
            store.ensure_indexes().await?;
            certificates::revoked(store).await
        };
        let error = match prepared.await {
            Ok(revoked) => return Ok(revoked),
            Err(error) if error.is_retryable() => error,
            Err(error) => return Err(error),
        };
        if wait == FIRST_RETRY {
            tracing::warn!(error = &error as &dyn std::error::Error, "waiting for the database");
        }
        tokio::time::sleep(wait).await;
        wait = (wait * 2).min(LAST_RETRY);
    }
}

fn open_authority(config: &Enrolment) -> anyhow::Result<Option<CertificateAuthority>> {
    match (&config.ca_cert_file, &config.ca_key_file) {
        (Some(certificate), Some(key)) => CertificateAuthority::open(certificate, key)
            .context("open the certificate authority")
            .map(Some),
        _ => Ok(None),
    }
}

fn node(config: &Config, addr: std::net::SocketAddr) -> Node {
    let now = Timestamp::now();
    Node {
        id: config.node.clone(),
        role: Role::Collector,
        addr: if config.grpc.advertise.is_empty() {
            addr.to_string()
        } else {
            config.grpc.advertise.clone()
        },
        version: env!("CARGO_PKG_VERSION").to_owned(),
        started_at: now,
        heartbeat_at: now,
        rules_at: None,
    }
}

fn parse_serials(serials: Vec<String>) -> HashSet<identity::Serial> {
    serials.iter().filter_map(|serial| serial.parse().ok()).collect()
}

fn follow_revocations(
    store: Store,
    revoked: RevocationList,
    ctx: &Context,
) -> impl Future<Output = anyhow::Result<()>> + Send + 'static {
    let shutdown = ctx.shutdown.clone();
    async move {
        let apply = move |serials: Vec<String>| revoked.set(parse_serials(serials));
        certificates::follow_revocations(store, apply, shutdown).await;
        Ok(())
    }
}

async fn forget(ingest: Arc<IngestLimits>, enrolment: Arc<EnrolmentLimits>, ctx: Context) -> anyhow::Result<()> {
    let mut tick = tokio::time::interval(FORGET);
    loop {
        tokio::select! {
            () = ctx.shutdown.cancelled() => return Ok(()),
            _ = tick.tick() => {
                ingest.forget_idle();
                enrolment.forget_idle();
            }
        }
    }
}

/// Readiness lasts as long as its sender.
fn keep(ready: watch::Sender<bool>, ctx: &Context) {
    let shutdown = ctx.shutdown.clone();
    ctx.tasks.spawn("readiness", async move {
        shutdown.cancelled().await;
        let _ = ready.send(false);
        Ok(())
    });
}
