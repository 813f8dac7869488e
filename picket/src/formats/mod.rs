//! `picket parsers`: log formats that operators describe in TOML.

mod files;
mod remote;
mod trial;

use std::path::PathBuf;
use std::process::ExitCode;

use crate::client::Connection;

#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// Run the tests that parsers hold
    Test(TestArgs),
    /// Store parsers, or replace those of the same name; collectors use them within a second
    Import(ImportArgs),
    /// Show stored parsers
    List(ListArgs),
    /// Show a stored parser, or every text it has had
    Show(ShowArgs),
    /// Remove stored parsers
    Remove(RemoveArgs),
}

#[derive(clap::Args)]
pub(crate) struct TestArgs {
    /// Files with a parser each
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
}

#[derive(clap::Args)]
pub(crate) struct ImportArgs {
    /// Files with a parser each, or directories with `.toml` files
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Say what would come of it, and store nothing
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    connection: Connection,
}

#[derive(clap::Args)]
pub(crate) struct ListArgs {
    /// One JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: Connection,
}

#[derive(clap::Args)]
pub(crate) struct ShowArgs {
    /// Name of the parser
    name: String,
    /// Every text it has had, by whom
    #[arg(long)]
    versions: bool,
    /// One JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: Connection,
}

#[derive(clap::Args)]
pub(crate) struct RemoveArgs {
    /// Names of parsers
    #[arg(required = true, value_name = "NAME")]
    names: Vec<String>,
    #[command(flatten)]
    connection: Connection,
}

pub(crate) async fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Test(args) => trial::run(&args.files),
        Command::Import(args) => remote::import(&args).await,
        Command::List(args) => remote::list(&args).await,
        Command::Show(args) => remote::show(&args).await,
        Command::Remove(args) => remote::remove(&args).await,
    }
}
