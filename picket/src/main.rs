//! `picket`: the operator's one binary.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command line tool talks to its user"
)]

mod agent;
mod alerts;
mod archive;
mod audit;
mod ca;
mod client;
mod data_dir;
mod database;
mod durations;
mod enrol;
mod feeds;
mod formats;
mod hold;
mod intel;
mod node;
mod packed;
mod retention;
mod rules;
mod search;
mod send;
mod status;
mod table;
mod up;
mod watch;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Parser)]
#[command(
    name = "picket",
    version,
    about = "Security monitoring and response",
    max_term_width = 110
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Start a whole system on this machine and keep it running
    Up(Box<up::Args>),
    /// Follow what happens as it happens
    #[command(subcommand)]
    Watch(watch::Command),
    /// Look at stored alerts
    #[command(subcommand)]
    Alerts(alerts::Command),
    /// Work with detection rules
    #[command(subcommand)]
    Rules(rules::Command),
    /// Work with log formats of your own
    #[command(subcommand)]
    Parsers(formats::Command),
    /// Keep rules from alerting on what is no finding
    #[command(subcommand)]
    Exceptions(rules::exceptions::Command),
    /// Fold alerts of a rule that are alike into one
    #[command(subcommand)]
    Suppressions(rules::suppressions::Command),
    /// Manage feeds of threat intelligence
    #[command(subcommand)]
    Feeds(Box<feeds::Command>),
    /// Work with indicators of threat intelligence
    #[command(subcommand)]
    Intel(intel::Command),
    /// Look for indicators in events that are stored already
    Hunt(Box<intel::hunt::Args>),
    /// Find stored events
    Search(Box<search::Args>),
    /// Ship a log file as events
    Send(send::Args),
    /// Show nodes, backlog and rates
    Status(status::Args),
    /// Keep events whatever their age
    #[command(subcommand)]
    Hold(hold::Command),
    /// How long events are kept
    #[command(subcommand)]
    Retention(retention::Command),
    /// Write stored events of past days to files
    Archive(Box<archive::Args>),
    /// Bring archived events back
    Restore(Box<archive::RestoreArgs>),
    /// Let endpoints in
    #[command(subcommand)]
    Enrol(enrol::Command),
    /// Manage the certificate authority
    #[command(subcommand)]
    Ca(ca::Command),
    /// Run one node in this process
    Node(node::Args),
    /// See what an agent delivered, or run the endpoint agent: the same as the program agentd
    Agent(agent::Args),
    /// Look at the audit log
    #[command(subcommand)]
    Audit(audit::Command),
}

/// What runs in this process's own runtime.
enum Task {
    Command(Box<Command>),
    Delivery(Box<agent::DeliveryArgs>),
}

fn main() -> ExitCode {
    let command = Cli::parse().command;
    // Services bring their own runtime.
    if let Command::Node(args) = command {
        return node::run(args);
    }
    // The signal also comes when a peer closes a connection, which these must survive.
    let survives = matches!(command, Command::Up(_) | Command::Watch(_) | Command::Send(_));
    let task = if let Command::Agent(args) = command {
        match args.chosen() {
            agent::Chosen::Agentd(args) => return node::run_agent(args),
            agent::Chosen::Delivery(args) => Task::Delivery(args),
        }
    } else {
        Task::Command(Box::new(command))
    };
    if !survives {
        end_quietly_when_nobody_reads();
    }
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: start the runtime: {error}");
            return ExitCode::FAILURE;
        }
    };
    let result = runtime.block_on(async {
        let command = match task {
            Task::Command(command) => *command,
            Task::Delivery(args) => return agent::delivery(*args).await,
        };
        match command {
            Command::Up(args) => up::run(*args).await,
            Command::Watch(command) => watch::run(command).await,
            Command::Alerts(command) => alerts::run(command).await,
            Command::Rules(command) => rules::run(command).await,
            Command::Parsers(command) => formats::run(command).await,
            Command::Exceptions(command) => rules::exceptions::run(command).await,
            Command::Suppressions(command) => rules::suppressions::run(command).await,
            Command::Feeds(command) => feeds::run(*command).await,
            Command::Intel(command) => intel::run(command).await,
            Command::Hunt(args) => intel::hunt::run(*args).await,
            Command::Search(args) => search::run(*args).await,
            Command::Send(args) => send::run(args).await,
            Command::Status(args) => status::run(args).await,
            Command::Hold(command) => hold::run(command).await,
            Command::Retention(command) => retention::run(command).await,
            Command::Archive(args) => archive::run(*args).await,
            Command::Restore(args) => archive::run_restore(*args).await,
            Command::Enrol(command) => enrol::run(command).await,
            Command::Ca(command) => ca::run(command).await,
            Command::Audit(command) => audit::run(command).await,
            Command::Node(_) | Command::Agent(_) => Ok(ExitCode::FAILURE),
        }
    });
    // Taking the runtime down under tasks of libraries makes some panic; the process ends anyway.
    std::mem::forget(runtime);
    match result {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Lets `picket alerts list | head` end as other tools do, by SIGPIPE, where writing would fail otherwise.
#[allow(
    unsafe_code,
    reason = "changing what a signal does is unsafe in general; the default action runs no code of ours"
)]
fn end_quietly_when_nobody_reads() {
    use nix::sys::signal::{SigHandler, Signal, signal};
    // SAFETY: no handler is installed, and no other thread has been started.
    let _ = unsafe { signal(Signal::SIGPIPE, SigHandler::SigDfl) };
}
