//! Puts the agent together.

use std::sync::Arc;

use anyhow::Context as _;
use bootstrap::{Context, ServiceConfig as _};
use model::{AgentId, Timestamp};
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::credentials::Paths;
use crate::link::Link;
use crate::lock::Lock;
use crate::pipeline::Pipeline;
use crate::sensors::event_log::EventLogs;
use crate::sensors::file::Follower;
use crate::sensors::journald::{Journal, Leash};
use crate::sensors::pihole::PiHole;
use crate::sensors::{self, Sink};
use crate::spool::{self, Spool};
use crate::status::{self, Board};
use crate::uplink::{Parts, Uplink};

/// A started agent.
#[derive(Clone, Debug)]
pub struct Running {
    /// Who it is.
    pub agent_id: AgentId,
    /// Where it sends to.
    pub collectors: Vec<String>,
}

/// Starts the agent; it runs on the context's tasks until the context is shut down. Events that are in the sensors'
/// hands then are brought to the spool, and what the collector takes within three seconds is still sent.
///
/// # Errors
/// When the configuration is invalid, the host is not enrolled, another agent runs on the data directory, or the spool
/// cannot be opened.
pub async fn start(config: Config, ctx: Context) -> anyhow::Result<Running> {
    config.validate()?;
    let paths = Paths::new(&config.data_dir);
    let (_, agent_id) = paths.load()?;
    let lock = Lock::take(&paths.lock())?;
    let collectors = collectors(&config, &paths)?;
    let (dir, options) = (paths.spool(), config.spool_options());
    let (spool, writer) = tokio::task::spawn_blocking(move || spool::open(&dir, options, rand::random()))
        .await?
        .with_context(|| format!("open the spool {}", paths.spool().display()))?;
    let checkpoints = writer.checkpoints().clone();
    let link = Arc::new(Link::new(spool.durable_next(), spool.first_unacknowledged()));
    let board = Board::new(agent_id, Timestamp::now());
    let (sink, input) = sensors::queue();
    let stop = ctx.shutdown.clone();
    let drained = CancellationToken::new();

    let uplink = Uplink::new(Parts {
        paths: paths.clone(),
        collectors: collectors.clone(),
        spool: Arc::clone(&spool),
        spool_limit: config.spool.max_bytes,
        link: Arc::clone(&link),
        sink: sink.clone(),
        board: Arc::clone(&board),
        stop: stop.clone(),
        drained: drained.clone(),
    })?;
    let pipeline = Pipeline::new(input, writer, config.batch_limits(), Arc::clone(&link), stop.clone());
    ctx.tasks.spawn("pipeline", async move {
        let _drained = drained.drop_guard();
        tokio::task::spawn_blocking(move || pipeline.run()).await?
    });
    ctx.tasks.spawn(
        "given-up",
        sensors::given_up::tell(Arc::clone(&spool), sink.clone(), ctx.shutdown.clone()),
    );
    start_sensors(&config, &ctx, checkpoints, sink, &spool, &board)?;
    let ended = CancellationToken::new();
    let ends = ended.clone().drop_guard();
    ctx.tasks.spawn("uplink", async move {
        let _ends = ends;
        uplink.run().await
    });
    let published = publish(config.clone(), paths, Arc::clone(&spool), link, board, ended);
    ctx.tasks.spawn("status", async move {
        // Until the last event is sent and that is written down, nobody else may have the directory.
        let _lock = lock;
        published.await
    });
    tracing::info!(
        agent_id = %agent_id,
        epoch = format!("{:016x}", spool.epoch()),
        waiting = spool.depth().events,
        collectors = collectors.join(","),
        "agent started"
    );
    Ok(Running { agent_id, collectors })
}

fn collectors(config: &Config, paths: &Paths) -> anyhow::Result<Vec<String>> {
    if !config.collectors.is_empty() {
        return Ok(config.collectors.clone());
    }
    let known = paths
        .load_enrolment()?
        .map(|enrolment| enrolment.collectors)
        .unwrap_or_default();
    anyhow::ensure!(
        !known.is_empty(),
        "collectors: expected at least one HOST:PORT, as the enrolment names none either"
    );
    Ok(known)
}

fn start_sensors(
    config: &Config,
    ctx: &Context,
    checkpoints: spool::Checkpoints,
    sink: Sink,
    spool: &Arc<Spool>,
    board: &Arc<Board>,
) -> anyhow::Result<()> {
    if let Some(settings) = config.journal() {
        let publish = {
            let board = Arc::clone(board);
            Box::new(move |status| board.journald(status))
        };
        let journal = Journal::new(
            settings,
            checkpoints.cursor.clone(),
            sink.clone(),
            Arc::clone(spool),
            publish,
        );
        let (leash, stop) = (Leash::default(), ctx.shutdown.clone());
        let held = leash.clone();
        ctx.tasks.spawn("journald", async move {
            let stopped = stop.clone();
            let mut thread = tokio::task::spawn_blocking(move || journal.run(&stopped, &held));
            tokio::select! {
                result = &mut thread => return Ok(result?),
                () = stop.cancelled() => {}
            }
            leash.pull();
            Ok(thread.await?)
        });
    }
    if let Some(settings) = config.pihole() {
        let sensor = PiHole::new(settings, &checkpoints, sink.clone());
        let stop = ctx.shutdown.clone();
        ctx.tasks.spawn("pihole", async move {
            Ok(tokio::task::spawn_blocking(move || sensor.run(&stop)).await?)
        });
    }
    if let Some(settings) = config.event_logs()? {
        let sensor = EventLogs::new(settings, &checkpoints, sink.clone());
        let stop = ctx.shutdown.clone();
        ctx.tasks.spawn("event-logs", async move {
            Ok(tokio::task::spawn_blocking(move || sensor.run(&stop)).await?)
        });
    }
    let groups = config.groups()?;
    if !groups.is_empty() {
        let publish = {
            let board = Arc::clone(board);
            Box::new(move |files| board.files(files))
        };
        let follower = Follower::new(groups, config.limits(), &checkpoints, sink, publish);
        let stop = ctx.shutdown.clone();
        ctx.tasks.spawn("files", async move {
            Ok(tokio::task::spawn_blocking(move || follower.run(&stop)).await?)
        });
    }
    Ok(())
}

/// Writes the status now and then, and once more when the uplink has `ended`.
async fn publish(
    config: Config,
    paths: Paths,
    spool: Arc<Spool>,
    link: Arc<Link>,
    board: Arc<Board>,
    ended: CancellationToken,
) -> anyhow::Result<()> {
    let mut failing = false;
    loop {
        let running = !ended.is_cancelled();
        let status = board.snapshot(&spool, &link, config.spool.max_bytes, running, Timestamp::now());
        match status::write(&paths.status(), &status) {
            Ok(()) => failing = false,
            Err(error) if !failing => {
                failing = true;
                tracing::warn!(error = format!("{error:#}"), "status cannot be written");
            }
            Err(_) => {}
        }
        if !running {
            return Ok(());
        }
        tokio::select! {
            () = tokio::time::sleep(status::INTERVAL) => {}
            () = ended.cancelled() => {}
        }
    }
}
