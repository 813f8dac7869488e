//! Setting a feed up.

use std::process::ExitCode;

use anyhow::Context as _;
use reqwest::Method;

use super::path_of;
use super::spec::{ScheduleArgs, SpecArgs};
use crate::client::Connection;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Name of the feed [default: the preset's]
    name: Option<String>,
    #[command(flatten)]
    spec: Box<SpecArgs>,
    #[command(flatten)]
    schedule: ScheduleArgs,
    #[command(flatten)]
    connection: Connection,
}

pub(super) async fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let spec = args.spec.spec(args.name.as_deref(), Some(&args.schedule))?;
    spec.check()?;
    let body = serde_json::to_value(&spec).context("write the feed as JSON")?;
    let rest = args.connection.target()?.rest()?;
    let answer = rest.send(Method::PUT, &path_of(&spec.name), Some(&body)).await?;
    let outcome = answer["outcome"].as_str().unwrap_or("stored");
    println!("feed {} {outcome}", spec.name);
    if spec.enabled && outcome != "unchanged" {
        println!("It runs now; see how it goes with `picket feeds show {}`.", spec.name);
    }
    Ok(ExitCode::SUCCESS)
}
