//! `picket archive` and `picket restore`: blocks as files that outlive their database.

mod file;
mod manifest;
mod restore;
mod write;

use std::process::ExitCode;

use anyhow::Context as _;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use model::Tenant;
use storage::Store;
use storage::blocks::Day;
use storage::duties::{self, Duty, Held};

use crate::client::Connection;
use crate::database::Database;
use crate::hold::actor;

pub(crate) use restore::Args as RestoreArgs;

/// What the archive's directory keeps beside blocks: proofs of delivery.
const COMPANIONS: [&str; 2] = ["signers", "deliveries"];
/// How long a command waits until a collector has ended what it does to blocks.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(120);

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Archive the days before this one, which is YYYYMMDD or YYYY-MM-DD (UTC)
    #[arg(long, value_name = "DAY", value_parser = parse_day)]
    before: Day,
    /// Where to; made if it is not there. Run again, it goes on where it stopped
    #[arg(long, value_name = "DIR")]
    to: std::path::PathBuf,
    /// Only this tenant [default: all]
    #[arg(long, value_name = "TENANT")]
    only: Option<Tenant>,
    /// Remove from the database what was read back from the files whole. What is held stays
    #[arg(long)]
    delete: bool,
    /// One JSON object at the end
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    database: Database,
    #[command(flatten)]
    connection: Connection,
}

/// Archives.
pub(crate) async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let store = args.database.store(&args.connection).await?;
    let mut duty = Both::take(&store).await?;
    let done = write::archive(&store, &args, &mut duty).await;
    duty.release().await?;
    done
}

/// Restores.
pub(crate) async fn run_restore(args: RestoreArgs) -> anyhow::Result<ExitCode> {
    restore::run(args).await
}

fn parse_day(text: &str) -> Result<Day, String> {
    Day::parse(&text.replace('-', "")).ok_or_else(|| format!("expected YYYYMMDD or YYYY-MM-DD, got {text:?}"))
}

/// Nobody else changes stored blocks meanwhile.
struct Both {
    retention: Held,
    compaction: Held,
}

impl Both {
    async fn take(store: &Store) -> anyhow::Result<Self> {
        // A name of its own: two archives at once are not one that died.
        let owner = format!("{}/{}", actor(), uuid::Uuid::new_v4());
        let busy =
            "a collector, or another archive or restore, has been at the blocks for two minutes; try again later";
        let retention = duties::take_soon(store, Duty::Retention, &owner, PATIENCE)
            .await?
            .context(busy)?;
        let compaction = match duties::take_soon(store, Duty::Compaction, &owner, PATIENCE).await {
            Ok(Some(compaction)) => compaction,
            Ok(None) | Err(_) => {
                retention.release().await?;
                anyhow::bail!(busy);
            }
        };
        Ok(Self { retention, compaction })
    }

    /// To be called now and then.
    async fn keep(&mut self) -> anyhow::Result<()> {
        let kept = self.retention.keep().await? && self.compaction.keep().await?;
        anyhow::ensure!(
            kept,
            "this took the database too long, and somebody else is at the blocks: start again, it goes on"
        );
        Ok(())
    }

    async fn release(self) -> anyhow::Result<()> {
        self.retention.release().await?;
        self.compaction.release().await?;
        Ok(())
    }
}

fn progress(total: u64, quiet: bool) -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:30} {human_pos}/{human_len} blocks {per_sec} {eta} {msg}");
    let target = if quiet {
        ProgressDrawTarget::hidden()
    } else {
        ProgressDrawTarget::stderr()
    };
    let bar = ProgressBar::with_draw_target(Some(total), target);
    match style {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}
