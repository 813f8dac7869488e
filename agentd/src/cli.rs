//! The command line.

use std::ffi::OsString;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use bootstrap::config::{Sources, load};
use bootstrap::{ConfigError, Context, LogConfig, Secret, ServiceConfig as _, logging};
use clap::{Args, Parser, Subcommand};
use model::Timestamp;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::config::{Config, ENV_PREFIX};
use crate::credentials::Paths;
use crate::{agent, enrol, status};

/// Exit code for a configuration or command line that cannot be used (`EX_USAGE`).
const EXIT_CONFIG: u8 = 64;
/// Exit code after the second signal.
const EXIT_INTERRUPTED: i32 = 130;
/// How long the parts of the agent get to finish. Sending what is left has its own, shorter limit within.
const DRAIN_GRACE: Duration = Duration::from_secs(15);
const RUNTIME_GRACE: Duration = Duration::from_secs(2);

/// Picket's agent: follows logs on this host and brings them to a collector.
#[derive(Debug, Parser)]
#[command(name = "agentd", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the agent until it is told to stop
    Run(ConfigArgs),
    /// Give this host an identity
    Enrol(EnrolArgs),
    /// Show what the agent on this host is doing
    Status(StatusArgs),
    /// Check the configuration and exit
    CheckConfig(ConfigArgs),
}

#[derive(Debug, Args)]
struct ConfigArgs {
    /// Configuration file (TOML)
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Set one key, such as spool.max_bytes=500000000; has the last word
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = parse_set)]
    overrides: Vec<(String, String)>,
}

#[derive(Debug, Args)]
struct EnrolArgs {
    /// HOST:PORT of a collector
    #[arg(long, value_name = "HOST:PORT")]
    server: String,
    /// Enrolment token; better given by --token-file or the environment, which other users cannot see
    #[arg(long, env = "PICKET_ENROL_TOKEN", hide_env_values = true, value_name = "TOKEN")]
    token: Option<String>,
    /// File that holds the enrolment token
    #[arg(long, value_name = "FILE", conflicts_with = "token")]
    token_file: Option<PathBuf>,
    /// Fingerprint of the CA the collector must belong to, as `picket ca` prints it
    #[arg(long, value_name = "sha256:HEX")]
    ca_fingerprint: String,
    /// Where the identity goes; overrides the configuration
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Replace an identity that is there
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    config: ConfigArgs,
}

#[derive(Debug, Args)]
struct StatusArgs {
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Data directory of the agent; overrides the configuration
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    #[command(flatten)]
    config: ConfigArgs,
}

/// Runs a command line, without the program's name. Exit codes: 0 success, 1 failed (`status`: the agent does not run),
/// 64 unusable configuration or arguments, 130 ended by a second signal.
pub fn main_with(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let args = std::iter::once(OsString::from("agentd")).chain(args);
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(error) => {
            let failed = error.use_stderr();
            // Nobody is left to tell when the terminal is gone.
            let _ = error.print();
            return if failed {
                ExitCode::from(EXIT_CONFIG)
            } else {
                ExitCode::SUCCESS
            };
        }
    };
    let result = match cli.command {
        Command::Run(args) => run(&args),
        Command::Enrol(args) => run_enrol(args),
        Command::Status(args) => show_status(&args),
        Command::CheckConfig(args) => load_config(&args)
            .map_err(anyhow::Error::from)
            .and_then(|_| say("configuration is valid"))
            .map(|()| ExitCode::SUCCESS),
    };
    result.unwrap_or_else(|error| {
        let _ = writeln!(std::io::stderr(), "agentd: {error:#}");
        let misused = error.chain().any(|cause| cause.is::<ConfigError>());
        if misused {
            ExitCode::from(EXIT_CONFIG)
        } else {
            ExitCode::FAILURE
        }
    })
}

fn parse_set(text: &str) -> Result<(String, String), String> {
    text.split_once('=')
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .ok_or_else(|| format!("expected KEY=VALUE, got {text:?}"))
}

fn load_config(args: &ConfigArgs) -> Result<Config, ConfigError> {
    let config: Config = load(&Sources {
        file: args.config.clone(),
        env_prefix: ENV_PREFIX,
        overrides: args.overrides.clone(),
    })?;
    config.validate()?;
    Ok(config)
}

fn run(args: &ConfigArgs) -> anyhow::Result<ExitCode> {
    let config = load_config(args)?;
    logging::init(&config.log, "agentd");
    let runtime = runtime()?;
    let result = runtime.block_on(live(config));
    runtime.shutdown_timeout(RUNTIME_GRACE);
    match result {
        Ok(()) => {
            tracing::info!("stopped");
            Ok(ExitCode::SUCCESS)
        }
        Err(error) => {
            tracing::error!(error = format!("{error:#}"), "stopped with a failure");
            Ok(ExitCode::FAILURE)
        }
    }
}

async fn live(config: Config) -> anyhow::Result<()> {
    let ctx = Context::new();
    let mut signals = Signals::new()?;
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        pid = std::process::id(),
        "starting agentd"
    );
    let failure = match agent::start(config, ctx.clone()).await {
        Ok(_) => {
            tokio::select! {
                signal = signals.next() => tracing::info!(signal, "stopping"),
                () = ctx.shutdown.cancelled() => tracing::info!("stopping because a task ended"),
            }
            None
        }
        Err(error) => Some(error.context("start the agent")),
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
    fn new() -> anyhow::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt()).context("listen for SIGINT")?,
            terminate: signal(SignalKind::terminate()).context("listen for SIGTERM")?,
        })
    }

    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.interrupt.recv() => "SIGINT",
            _ = self.terminate.recv() => "SIGTERM",
        }
    }
}

fn run_enrol(args: EnrolArgs) -> anyhow::Result<ExitCode> {
    let data_dir = match args.data_dir {
        Some(dir) => dir,
        None => load_config(&args.config)?.data_dir,
    };
    let token = match (args.token, args.token_file) {
        (Some(token), _) => Secret::from(token),
        (None, Some(file)) => enrol::token_from_file(&file)?,
        (None, None) => {
            return Err(ConfigError::Argument(String::from(
                "expected a token: --token-file FILE, --token TOKEN or PICKET_ENROL_TOKEN",
            ))
            .into());
        }
    };
    let quiet = LogConfig {
        level: String::from("warn"),
        ..LogConfig::default()
    };
    logging::init(&quiet, "agentd");
    let request = enrol::Request {
        server: args.server,
        token,
        ca_fingerprint: args.ca_fingerprint,
        data_dir,
        force: args.force,
    };
    let enrolment = runtime()?.block_on(enrol::enrol(&request))?;
    say(&format!(
        "enrolled as agent {} of tenant {}, group {}\nidentity in {}",
        enrolment.agent_id,
        enrolment.tenant,
        enrolment.group,
        request.data_dir.display()
    ))?;
    Ok(ExitCode::SUCCESS)
}

fn show_status(args: &StatusArgs) -> anyhow::Result<ExitCode> {
    let data_dir = match &args.data_dir {
        Some(dir) => dir.clone(),
        None => load_config(&args.config)?.data_dir,
    };
    let status = status::read(&Paths::new(&data_dir).status())?;
    let now = Timestamp::now();
    let alive = status.is_alive(now);
    if args.json {
        let mut json = serde_json::to_value(&status).context("print the status")?;
        if let Some(object) = json.as_object_mut() {
            object.insert(String::from("alive"), alive.into());
        }
        say(&serde_json::to_string_pretty(&json).context("print the status")?)?;
    } else {
        say(status.to_text(now).trim_end())?;
    }
    Ok(if alive { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// One thread: the agent has one connection, and everything else it does is blocking work on threads of its own.
fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .thread_name("agentd")
        .build()
        .context("start the runtime")
}

fn say(text: &str) -> anyhow::Result<()> {
    writeln!(std::io::stdout(), "{text}").context("write to stdout")
}
