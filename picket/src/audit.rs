//! `picket audit`: who changed what, and whether the log is whole.

use std::process::ExitCode;

use anyhow::Context as _;
use model::Tenant;
use serde_json::json;
use storage::Store;

use crate::client::Connection;
use crate::data_dir::UpFile;

#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// Walk the hash chain; exits with 1 when it is broken
    Verify(Args),
    /// Show the newest entries
    List(ListArgs),
}

/// The log is read from the database itself: asking a server that may have been tampered with would prove little.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Whose log
    #[arg(long, default_value = "default")]
    tenant: Tenant,
    /// The database [default: the one of the running `picket up`]
    #[arg(long, env = "PICKET_MONGODB_URI", hide_env_values = true, value_name = "URI")]
    mongodb_uri: Option<String>,
    /// Name of the database
    #[arg(long, default_value = "picket")]
    database: String,
    /// JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: Connection,
}

#[derive(clap::Args)]
pub(crate) struct ListArgs {
    /// How many, 1 to 1,000
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1000))]
    limit: u32,
    #[command(flatten)]
    args: Args,
}

impl Args {
    async fn store(&self) -> anyhow::Result<Store> {
        let uri = match &self.mongodb_uri {
            Some(uri) => uri.clone(),
            None => {
                let data = self.connection.data_dir()?;
                UpFile::read(&data)
                    .context("no database: start `picket up`, or give --mongodb-uri")?
                    .mongodb_uri
            }
        };
        Store::connect(&uri, &self.database, "picket")
            .await
            .context("open the database")
    }
}

pub(crate) async fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Verify(args) => verify(&args).await,
        Command::List(args) => list(&args).await,
    }
}

async fn verify(args: &Args) -> anyhow::Result<ExitCode> {
    let store = args.store().await?;
    let result = storage::audit::verify(&store, &args.tenant)
        .await
        .context("read the audit log")?;
    if args.json {
        println!("{}", serde_json::to_string(&result).context("write JSON")?);
    } else {
        println!("{} entries are in order", result.verified);
        if let Some((seq, hash)) = &result.last {
            println!("last: entry {seq}, {hash}");
            println!("Note it elsewhere: only that shows whether the newest entries were cut off later.");
        }
        if let Some(broken) = &result.broken {
            println!("BROKEN at entry {}: {}", broken.seq, broken.reason);
        }
    }
    Ok(if result.broken.is_none() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

async fn list(args: &ListArgs) -> anyhow::Result<ExitCode> {
    let store = args.args.store().await?;
    let entries = storage::audit::list(&store, &args.args.tenant, args.limit)
        .await
        .context("read the audit log")?;
    for entry in entries {
        if args.args.json {
            let detail: serde_json::Value = serde_json::from_str(&entry.detail).unwrap_or_default();
            println!(
                "{}",
                json!({
                    "seq": entry.seq, "at": entry.at.to_string(), "actor": entry.actor, "action": entry.action,
                    "object": entry.object, "detail": detail, "hash": entry.hash,
                })
            );
        } else {
            println!(
                "{:>6}  {}  {:<24} {:<24} {}",
                entry.seq, entry.at, entry.actor, entry.action, entry.object
            );
        }
    }
    Ok(ExitCode::SUCCESS)
}
