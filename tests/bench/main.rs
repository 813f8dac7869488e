//! Benchmark drivers: whole processes, real sockets, a real MongoDB, and always a ratio within one run.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command line tool talks to its user"
)]

mod backtest;
mod baseline;
mod forwarders;
mod ingest;
mod intel;
mod latency;
mod memory;
mod report;
mod search;
mod sigma;
mod store;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// What the services have. Beside a peer, which would have it too, the system's is what most programs run with.
#[cfg(not(feature = "peers"))]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Parser)]
#[command(name = "cargo xtask bench", about = "Measure Picket on this machine")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Stored blocks through rules: by column, as backtests do it, beside event by event
    Backtest(backtest::Args),
    /// Events per second from a followed file to durable and detected, beside plain insert_many into the same mongod
    Ingest(ingest::Args),
    /// A million indicators in memory: bytes, lookups and changes, beside a plain map
    Intel(intel::Args),
    /// Time from a line in a followed file to its alert on the Watch stream
    Latency(latency::Args),
    /// Resident memory of agentd, idle and at 5,000 events/s
    Memory(memory::Args),
    /// An analyst's five questions to stored blocks, beside the same events in a plain indexed collection
    Search(search::Args),
    /// Events per second of the Sigma engine on one core, beside rsigma-eval
    Sigma(sigma::Args),
    /// Storing events as blocks, beside plain insert_many into the same mongod; bytes on disk, and looking through them
    Store(store::Args),
}

#[tokio::main]
#[allow(clippy::disallowed_methods, reason = "a driver needs no service life")]
async fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Backtest(args) => backtest::run(&args),
        Command::Ingest(args) => ingest::run(&args).await,
        Command::Intel(args) => intel::run(&args).await,
        Command::Latency(args) => latency::run(&args).await,
        Command::Memory(args) => memory::run(&args).await,
        Command::Search(args) => search::run(args).await,
        Command::Sigma(args) => sigma::run(&args),
        Command::Store(args) => store::run(args).await,
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
