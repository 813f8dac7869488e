//! `picket intel` and `picket hunt`: threat intelligence, and traces of it in stored events.

mod add;
pub(crate) mod hunt;
mod list;
mod lookup;
mod read;
mod remove;
mod stats;

use std::process::ExitCode;

#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// Show indicators, those added last first
    List(list::Args),
    /// Add indicators
    Add(add::Args),
    /// Remove indicators
    Remove(remove::Args),
    /// Count indicators by type, feed and source
    Stats(stats::Args),
    /// Show indicators that would match a value
    Lookup(lookup::Args),
}

pub(crate) async fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::List(args) => list::run(args).await,
        Command::Add(args) => add::run(args).await,
        Command::Remove(args) => remove::run(args).await,
        Command::Stats(args) => stats::run(args).await,
        Command::Lookup(args) => lookup::run(args).await,
    }
}
