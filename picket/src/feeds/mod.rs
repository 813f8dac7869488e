//! `picket feeds`: feeds of threat intelligence, set up and looked after.

mod add;
mod change;
mod preview;
mod show;
mod spec;

use std::process::ExitCode;

use crate::client::Connection;

#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// Show all feeds and how they go
    List(ListArgs),
    /// Show one feed
    Show(OneArgs),
    /// Set a feed up, or change the one of that name
    Add(add::Args),
    /// Remove a feed and its indicators
    Remove(change::RemoveArgs),
    /// Make a feed run now
    Run(change::RunArgs),
    /// Let a feed run again
    Enable(NameArgs),
    /// Keep a feed from running; its indicators stay
    Disable(NameArgs),
    /// Read a feed here and show what it would bring; needs no running system
    Preview(preview::Args),
}

#[derive(clap::Args)]
pub(crate) struct ListArgs {
    /// JSON, one feed a line
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: Connection,
}

#[derive(clap::Args)]
pub(crate) struct OneArgs {
    /// Name of the feed
    name: String,
    /// JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: Connection,
}

#[derive(clap::Args)]
pub(crate) struct NameArgs {
    /// Name of the feed
    name: String,
    #[command(flatten)]
    connection: Connection,
}

pub(crate) async fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::List(args) => show::list(&args).await,
        Command::Show(args) => show::one(&args).await,
        Command::Add(args) => add::run(&args).await,
        Command::Remove(args) => change::remove(&args).await,
        Command::Run(args) => change::run(&args).await,
        Command::Enable(args) => change::enable(&args, true).await,
        Command::Disable(args) => change::enable(&args, false).await,
        Command::Preview(args) => preview::run(&args).await,
    }
}

/// Address of a feed in REST. Names need no escaping; anything else is escaped so that it is refused as a name.
fn path_of(name: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    let escaped: String = name
        .bytes()
        .map(|byte| {
            if plain(byte) {
                char::from(byte).to_string()
            } else {
                format!("%{byte:02X}")
            }
        })
        .collect();
    format!("/ti/feeds/{escaped}")
}
