//! Running, switching and removing feeds.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use reqwest::Method;
use serde_json::{Value, json};

use super::{NameArgs, path_of, show};
use crate::client::{Connection, Rest};

/// Time between two looks at a feed that runs.
const LOOK: Duration = Duration::from_millis(300);
/// What a feed is shown with and is not part of its setting.
const ADDED: [&str; 4] = ["status", "created_at", "updated_at", "updated_by"];

#[derive(clap::Args)]
pub(crate) struct RemoveArgs {
    /// Name of the feed
    name: String,
    /// Leave its indicators; they match until they end by themselves
    #[arg(long)]
    keep_indicators: bool,
    #[command(flatten)]
    connection: Connection,
}

#[derive(clap::Args)]
pub(crate) struct RunArgs {
    /// Name of the feed
    name: String,
    /// Wait for the run to end and show how it went; exits with 1 when it failed
    #[arg(long)]
    wait: bool,
    /// How long to wait
    #[arg(long, value_name = "TIME", default_value = "30m", value_parser = crate::durations::parse_ttl)]
    timeout: Duration,
    #[command(flatten)]
    connection: Connection,
}

pub(super) async fn remove(args: &RemoveArgs) -> anyhow::Result<ExitCode> {
    let rest = args.connection.target()?.rest()?;
    let path = format!("{}?keep_indicators={}", path_of(&args.name), args.keep_indicators);
    let answer = rest.send(Method::DELETE, &path, None).await?;
    let removed = answer["indicators_removed"].as_u64().unwrap_or_default();
    println!("feed {} removed, with {removed} indicators", args.name);
    Ok(ExitCode::SUCCESS)
}

pub(super) async fn run(args: &RunArgs) -> anyhow::Result<ExitCode> {
    let rest = args.connection.target()?.rest()?;
    let path = path_of(&args.name);
    let before = rest.send(Method::GET, &path, None).await?;
    rest.send(Method::POST, &format!("{path}/run"), Some(&json!({})))
        .await?;
    if !args.wait {
        println!("feed {} runs", args.name);
        return Ok(ExitCode::SUCCESS);
    }
    let feed = ended(&rest, &path, &before["status"]["last_run"], args.timeout).await?;
    show::print(&feed);
    Ok(if feed["status"]["state"] == "failed" {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

/// The feed once a run has ended that began after `last_run`.
async fn ended(rest: &Rest, path: &str, last_run: &Value, timeout: Duration) -> anyhow::Result<Value> {
    let until = Instant::now() + timeout;
    loop {
        let feed = rest.send(Method::GET, path, None).await?;
        let status = &feed["status"];
        if status["state"] != "running" && status["last_run"] != *last_run && !status["last_run"].is_null() {
            return Ok(feed);
        }
        if Instant::now() >= until {
            bail!("the run has not ended yet; see `picket feeds show`");
        }
        tokio::time::sleep(LOOK).await;
    }
}

pub(super) async fn enable(args: &NameArgs, enabled: bool) -> anyhow::Result<ExitCode> {
    let rest = args.connection.target()?.rest()?;
    let path = path_of(&args.name);
    let mut feed = rest.send(Method::GET, &path, None).await?;
    let spec = feed.as_object_mut().context("read the feed")?;
    for field in ADDED {
        spec.remove(field);
    }
    spec.insert("enabled".to_owned(), json!(enabled));
    rest.send(Method::PUT, &path, Some(&feed)).await?;
    println!("feed {} {}", args.name, if enabled { "enabled" } else { "disabled" });
    Ok(ExitCode::SUCCESS)
}
