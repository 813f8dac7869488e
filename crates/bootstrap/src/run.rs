//! The life of a service's process.

mod args;

use std::ffi::OsString;
use std::fmt::Display;
use std::future::Future;
use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::config::{ConfigError, LogConfig};
use crate::context::{Context, Running};
use crate::{logging, metrics};

use args::{Args, Command};

/// How long the first signal lets a service finish what it has in hand.
pub const DRAIN_GRACE: Duration = Duration::from_secs(30);

/// Exit code for a configuration or command line that cannot be used (`EX_USAGE`).
const EXIT_CONFIG: u8 = 64;
/// Exit code after the second signal.
const EXIT_INTERRUPTED: i32 = 130;

/// The configuration of a service.
pub trait ServiceConfig: Serialize + DeserializeOwned + Default + Send + 'static {
    /// What to log and how.
    fn log(&self) -> &LogConfig;

    /// Checks what types cannot say: ranges, files that belong together.
    ///
    /// # Errors
    /// Names the key, what is allowed and what was found.
    fn validate(&self) -> Result<(), ConfigError>;

    /// Name of this node, for its log lines.
    fn node(&self) -> Option<&str> {
        None
    }
}

/// Runs a service from its command line (without the program's name) to its exit code.
///
/// Flags: `--config FILE`, `--set section.key=value`, `--check-config`, `--print-config`, `--help`, `--version`. Exit
/// codes: 0 after an orderly end, 64 when the configuration or command line cannot be used (before any socket opens),
/// 1 when the service could not start or a task failed, 130 after a second signal.
///
/// SIGTERM and SIGINT drain with [`DRAIN_GRACE`]; a second one ends the process at once.
pub fn run_service<C, F, Fut>(name: &'static str, args: impl Iterator<Item = OsString>, start: F) -> ExitCode
where
    C: ServiceConfig,
    F: FnOnce(C, Context) -> Fut,
    Fut: Future<Output = anyhow::Result<Running>>,
{
    // First, so that nothing that is counted is lost.
    let recorder = metrics::install();
    crate::install_crypto();
    let args = match Args::parse(args) {
        Ok(args) => args,
        Err(error) => return refuse(name, &error),
    };
    match args.command {
        Command::Help => return say(&args::help(name)),
        Command::Version => return say(&format!("{name} {}", env!("CARGO_PKG_VERSION"))),
        Command::Run | Command::CheckConfig | Command::PrintConfig => {}
    }
    let config: C = match load(name, &args) {
        Ok(config) => config,
        Err(error) => return refuse(name, &error),
    };
    match args.command {
        Command::CheckConfig => return say("configuration is valid"),
        Command::PrintConfig => return print_config(name, &config),
        Command::Run | Command::Help | Command::Version => {}
    }
    logging::init_node(config.log(), name, config.node());
    // Honours TOKIO_WORKER_THREADS.
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_name(name)
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!(%error, "cannot start the runtime");
            return ExitCode::FAILURE;
        }
    };
    let result = runtime.block_on(async {
        let ctx = Context::new();
        ctx.tasks
            .spawn("metrics-upkeep", metrics::upkeep(recorder, ctx.shutdown.clone()));
        live(name, config, ctx, start).await
    });
    // What is left are tasks of libraries. Taking the runtime down under them makes some panic; the process ends anyway.
    std::mem::forget(runtime);
    match result {
        Ok(()) => {
            tracing::info!("stopped");
            ExitCode::SUCCESS
        }
        Err(error) => {
            tracing::error!(error = %format_args!("{error:#}"), "stopped with a failure");
            ExitCode::FAILURE
        }
    }
}

async fn live<C, F, Fut>(name: &'static str, config: C, ctx: Context, start: F) -> anyhow::Result<()>
where
    C: ServiceConfig,
    F: FnOnce(C, Context) -> Fut,
    Fut: Future<Output = anyhow::Result<Running>>,
{
    let mut signals = Signals::new()?;
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        pid = std::process::id(),
        "starting {name}"
    );
    let started = tokio::select! {
        started = start(config, ctx.clone()) => Some(started),
        signal = signals.next() => {
            tracing::info!(signal, "stopping before the start was finished");
            None
        }
    };
    let failure = match started {
        Some(Ok(running)) => {
            tracing::info!(addr = %running.addr, "listening");
            if let Some(addr) = running.admin_addr {
                tracing::info!(%addr, "listening for health and metrics");
            }
            tokio::select! {
                signal = signals.next() => tracing::info!(signal, grace_secs = DRAIN_GRACE.as_secs(), "stopping"),
                () = ctx.shutdown.cancelled() => tracing::info!("stopping because a task asked for it"),
            }
            None
        }
        Some(Err(error)) => Some(error.context(format!("start {name}"))),
        None => None,
    };
    let drained = tokio::select! {
        drained = ctx.drain(DRAIN_GRACE) => drained,
        signal = signals.next() => exit_now(signal),
    };
    failure.map_or(drained, Err)
}

#[allow(
    clippy::disallowed_methods,
    reason = "the operator asked a second time: whatever hangs in draining must not be waited for"
)]
fn exit_now(signal: &'static str) -> ! {
    tracing::warn!(signal, "second signal, stopping without draining");
    std::process::exit(EXIT_INTERRUPTED)
}

struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.interrupt.recv() => "SIGINT",
            _ = self.terminate.recv() => "SIGTERM",
        }
    }
}

fn load<C: ServiceConfig>(name: &str, args: &Args) -> Result<C, ConfigError> {
    let prefix = format!("PICKET_{}", name.to_ascii_uppercase().replace('-', "_"));
    let config: C = crate::config::load_from(args.config.as_deref(), &prefix, std::env::vars_os(), &args.overrides)?;
    let checked = config.log().validate().and_then(|()| config.validate());
    checked.map_err(|error| {
        let origin = error
            .key()
            .and_then(|key| origin(key, args.config.as_deref(), &prefix, &args.overrides));
        error.with_origin(origin)
    })?;
    Ok(config)
}

fn origin(key: &str, file: Option<&Path>, prefix: &str, overrides: &[(String, String)]) -> Option<String> {
    let layers = crate::config::Layers::read(file, prefix, std::env::vars_os(), overrides).ok()?;
    let path: Vec<String> = key.split('.').map(str::to_owned).collect();
    layers.origin(&path)
}

fn print_config<C: ServiceConfig>(name: &str, config: &C) -> ExitCode {
    match toml::to_string_pretty(config) {
        Ok(text) => say(text.trim_end()),
        Err(error) => refuse(name, &format!("cannot print the configuration: {error}")),
    }
}

fn say(text: &str) -> ExitCode {
    match writeln!(std::io::stdout(), "{text}") {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn refuse(name: &str, error: &dyn Display) -> ExitCode {
    let _ = writeln!(std::io::stderr(), "{name}: {error}");
    ExitCode::from(EXIT_CONFIG)
}
