//! Putting it together.

use std::ffi::OsString;
use std::process::ExitCode;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ::intel::{Guard, IndicatorSet};
use anyhow::{Context as _, bail};
use arc_swap::ArcSwap;
use bootstrap::grpc::Limits;
use bootstrap::{Context, Running, grpc, tls};
use identity::{ClientAuth, Identity, RevocationList, Serial};
use model::node::{Node, Role};
use model::{NodeId, Timestamp};
use proto::detection::v1::detection_service_server::DetectionServiceServer;
use proto::detection::v1::indicator_service_server::IndicatorServiceServer;
use proto::intel::v1::feed_service_server::FeedServiceServer;
use proto::intel::v1::hunt_service_server::HuntServiceServer;
use proto::rules::v1::rule_service_server::RuleServiceServer;
use rustc_hash::FxHashSet;
use storage::{Store, certificates, nodes};
use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;

use crate::Config;
use crate::backtest::service::Turns;
use crate::correlate::due::DueWindows;
use crate::correlate::memory;
use crate::correlate::settle::Settler;
use crate::correlate::stage::{self, Stage};
use crate::feeds::Scheduler;
use crate::feeds::service::Feeds;
use crate::hunt;
use crate::hunt::service::Hunts;
use crate::intel;
use crate::intel::service::Indicators;
use crate::partitions::{Keeper, Ownership};
use crate::pipeline::queue::Queue;
use crate::pipeline::submit::Submissions;
use crate::pipeline::truth::TruthPath;
use crate::pipeline::worker::Workers;
use crate::rules::cache::ParsedRules;
use crate::rules::compiled::Compiled;
use crate::rules::import::Importer;
use crate::rules::usage::{self, Budget, Usage};
use crate::rules::{self};
use crate::silence;

/// Pause between two tries to reach the database at the start.
const RETRY: Duration = Duration::from_millis(500);

/// Runs a detector as a process of its own, with the arguments of this process.
#[must_use]
pub fn main() -> ExitCode {
    main_with(std::env::args_os().skip(1))
}

/// Runs a detector as a process of its own, with arguments as on a command line, without the program's name.
#[must_use]
pub fn main_with(args: impl Iterator<Item = OsString>) -> ExitCode {
    bootstrap::run_service("detector", args, start)
}

/// Starts a detector. When it returns, rules and indicators are loaded and the gRPC server accepts connections.
/// Everything it does ends when the context's shutdown is requested.
///
/// # Errors
/// When the certificate is not a detector's of this name, or an address cannot be bound.
pub async fn start(config: Config, ctx: Context) -> anyhow::Result<Running> {
    let started_at = Timestamp::now();
    let node: NodeId = config.node.parse().context("read node")?;
    let identity = load_identity(&config)?;
    let store = Store::connect(config.mongodb.uri.expose(), &config.mongodb.database, "picket-detector")
        .await
        .context("read mongodb.uri")?;
    let listener = tls::bind_for(config.grpc.addr, "grpc.addr").await?;
    let addr = listener.local_addr().context("read the bound address")?;
    let (ready, is_ready) = watch::channel(false);
    let admin_addr = bootstrap::admin::serve(config.admin.addr, ctx.clone(), is_ready).await?;

    let content = Content::load(&config, &node, &store, &ctx.shutdown).await?;
    let revoked = follow_revocations(&store, &ctx);
    let server_tls = identity::server_config(&identity, ClientAuth::Required, &revoked).context("set up TLS")?;

    let ownership = Arc::new(Ownership::default());
    let (queue, jobs) = Queue::new();
    let submissions = Submissions {
        queue: queue.clone(),
        ownership: Arc::clone(&ownership),
    };
    let limits = Limits::default();
    let detection = DetectionServiceServer::new(submissions).max_decoding_message_size(limits.max_message_bytes);
    let indicators = IndicatorServiceServer::new(Indicators {
        store: store.clone(),
        guard: load_guard(Guard::for_people(), &config)?,
    })
    .max_decoding_message_size(limits.max_message_bytes);
    let feeds =
        FeedServiceServer::new(Feeds { store: store.clone() }).max_decoding_message_size(limits.max_message_bytes);
    let rule_service = RuleServiceServer::new(rules::service::Rules {
        store: store.clone(),
        cache: content.parsed.clone(),
        rules: Arc::clone(&content.rules),
        backtests: Turns::default(),
    })
    .max_decoding_message_size(limits.max_message_bytes);
    let hunts =
        HuntServiceServer::new(Hunts { store: store.clone() }).max_decoding_message_size(limits.max_message_bytes);
    let services = grpc::routes()
        .add_service(detection)
        .add_service(indicators)
        .add_service(feeds)
        .add_service(hunts)
        .add_service(rule_service);
    let tls = Arc::new(ArcSwap::new(server_tls));
    ctx.tasks.spawn(
        "grpc server",
        grpc::serve(listener, Arc::clone(&tls), services, limits, ctx.shutdown.clone()),
    );
    let files = config.tls.clone();
    let renewals = tls::follow_files(files, tls, ClientAuth::Required, revoked, ctx.shutdown.clone());
    ctx.tasks.spawn("certificate", renewals);

    let usage = Arc::new(Usage::default());
    let usage_writer = usage::Writer {
        store: store.clone(),
        node: node.clone(),
        usage: Arc::clone(&usage),
        budget: Budget {
            nanos: config.rules.cost_budget_nanos,
            disables: config.rules.disable_over_budget,
        },
        flagged: FxHashSet::default(),
    };
    ctx.tasks
        .spawn("rule statistics", usage_writer.run(ctx.shutdown.clone()));
    let settler = Settler::new(store.clone(), config.correlation.lateness_micros(), memory::MAX_WEIGHT);
    let (stage, settling) = Stage::start(settler);
    ctx.tasks.spawn("correlation", settling);
    let due = DueWindows {
        store: store.clone(),
        stage: stage.clone(),
        rules: Arc::clone(&content.rules),
        ownership: Arc::clone(&ownership),
    };
    ctx.tasks.spawn("correlation windows", due.run(ctx.shutdown.clone()));
    let workers = Arc::new(Workers {
        store: store.clone(),
        node: node.clone(),
        ownership: Arc::clone(&ownership),
        rules: Arc::clone(&content.rules),
        indicators: Arc::clone(&content.indicators),
        intel: Arc::new(config.intel.clone()),
        usage,
        stage,
        cores: Arc::new(Semaphore::new(cores())),
        settling: Semaphore::new(stage::MAX_TOGETHER),
        scratches: Mutex::default(),
        away: false.into(),
    });
    let hunting = hunt::Runner {
        store: store.clone(),
        node: node.clone(),
        rules: Arc::clone(&content.rules),
        intel: Arc::clone(&workers.intel),
        cores: Arc::clone(&workers.cores),
    };
    ctx.tasks.spawn("hunts", hunting.run(ctx.shutdown.clone()));
    // Cancelled when no block is in work any more, however the workers end.
    let drained = CancellationToken::new();
    let drain_guard = drained.clone().drop_guard();
    let shutdown = ctx.shutdown.clone();
    ctx.tasks.spawn("workers", async move {
        let _guard = drain_guard;
        workers.run(jobs, shutdown).await
    });
    let keeper = Keeper {
        store: store.clone(),
        node: node.clone(),
        ownership: Arc::clone(&ownership),
    };
    ctx.tasks.spawn("leases", keeper.run(ctx.shutdown.clone(), drained));
    let truth = TruthPath {
        store: store.clone(),
        queue,
        ownership,
    };
    ctx.tasks.spawn("truth path", truth.run(ctx.shutdown.clone()));
    content.keep_fresh(&ctx);
    let watcher = silence::Watcher {
        store: store.clone(),
        node: node.clone(),
        config: config.silence.clone(),
    };
    ctx.tasks.spawn("silence", watcher.run(ctx.shutdown.clone()));
    if config.feeds.enabled {
        let scheduler = Scheduler::new(store.clone(), node.clone(), &config.feeds, ctx.shutdown.clone());
        ctx.tasks.spawn("feeds", scheduler.run());
    }

    let advertised = if config.grpc.advertise.is_empty() {
        addr.to_string()
    } else {
        config.grpc.advertise
    };
    let registered = Node {
        id: node,
        role: Role::Detector,
        addr: advertised,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        started_at,
        heartbeat_at: started_at,
        rules_at: None,
    };
    let beating = nodes::register_and_beat(store, registered, ctx.shutdown.clone());
    ctx.tasks.spawn("heartbeat", async move {
        beating.await;
        Ok(())
    });
    ready.send_replace(true);
    Ok(Running {
        addr,
        admin_addr: Some(admin_addr),
    })
}

/// The guard with the operator's list, if there is one.
fn load_guard(guard: Guard, config: &Config) -> anyhow::Result<Guard> {
    let file = &config.intel.guard_file;
    if file.as_os_str().is_empty() {
        return Ok(guard);
    }
    let text = std::fs::read_to_string(file).with_context(|| format!("read intel.guard_file {}", file.display()))?;
    guard
        .with_file(&text)
        .with_context(|| format!("read intel.guard_file {}", file.display()))
}

/// Blocks evaluated at a time.
fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

fn load_identity(config: &Config) -> anyhow::Result<Identity> {
    let identity = Identity::load(&config.tls).context("load the node's certificate")?;
    let id = identity.id();
    if id.role != Role::Detector || id.id != config.node {
        bail!(
            "tls.cert_file: expected the certificate of detector {}, got that of {id}",
            config.node
        );
    }
    Ok(identity)
}

fn follow_revocations(store: &Store, ctx: &Context) -> RevocationList {
    let revoked = RevocationList::default();
    let list = revoked.clone();
    let apply = move |serials: Vec<String>| {
        let serials = serials.iter().filter_map(|serial| serial.parse::<Serial>().ok());
        list.set(serials.collect());
    };
    let following = certificates::follow_revocations(store.clone(), apply, ctx.shutdown.clone());
    ctx.tasks.spawn("revocations", async move {
        following.await;
        Ok(())
    });
    revoked
}

/// Rules and indicators, and what keeps them fresh.
struct Content {
    rules: Arc<ArcSwap<Compiled>>,
    parsed: ParsedRules,
    indicators: Arc<ArcSwap<IndicatorSet>>,
    importer: Option<Importer>,
    rule_follower: rules::follow::Follower,
    indicator_follower: intel::follow::Follower,
}

impl Content {
    /// Loads everything once, waiting for the database as long as it takes.
    async fn load(config: &Config, node: &NodeId, store: &Store, shutdown: &CancellationToken) -> anyhow::Result<Self> {
        let rules: Arc<ArcSwap<Compiled>> = Arc::default();
        let indicators: Arc<ArcSwap<IndicatorSet>> = Arc::default();
        let parsed = ParsedRules::default();
        let has_directory = !config.rules.dir.as_os_str().is_empty();
        let mut content = Self {
            importer: has_directory.then(|| {
                let dir = config.rules.dir.clone();
                Importer::new(
                    store.clone(),
                    node.clone(),
                    config.rules.tenant.clone(),
                    dir,
                    parsed.clone(),
                )
            }),
            rule_follower: rules::follow::Follower::new(
                store.clone(),
                node.clone(),
                Arc::clone(&rules),
                parsed.clone(),
            ),
            indicator_follower: intel::follow::Follower::new(store.clone(), Arc::clone(&indicators)),
            rules,
            parsed,
            indicators,
        };
        let mut is_logged = false;
        loop {
            let error = match content.try_load(store).await {
                Ok(()) => return Ok(content),
                Err(error) if error.is_retryable() => error,
                Err(error) => return Err(error).context("prepare the database"),
            };
            if !is_logged {
                tracing::warn!(error = &error as &dyn std::error::Error, "waiting for the database");
                is_logged = true;
            }
            tokio::select! {
                () = shutdown.cancelled() => bail!("stopped while waiting for the database"),
                () = tokio::time::sleep(RETRY) => {}
            }
        }
    }

    async fn try_load(&mut self, store: &Store) -> Result<(), storage::Error> {
        store.ensure_indexes().await?;
        if let Some(importer) = &mut self.importer {
            importer.look().await?;
        }
        self.rule_follower.look().await?;
        self.indicator_follower.look().await
    }

    fn keep_fresh(self, ctx: &Context) {
        if let Some(importer) = self.importer {
            ctx.tasks.spawn("rule import", importer.run(ctx.shutdown.clone()));
        }
        ctx.tasks.spawn("rules", self.rule_follower.run(ctx.shutdown.clone()));
        ctx.tasks
            .spawn("indicators", self.indicator_follower.run(ctx.shutdown.clone()));
    }
}
