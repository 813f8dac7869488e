//! `picket retention`: how long events are kept, and what was removed.

use std::collections::BTreeMap;
use std::process::ExitCode;

use anyhow::Context as _;
use model::retention::Keep;
use serde_json::{Value, json};
use storage::keeping;

use crate::client::{Connection, Rest};
use crate::database::Common;

#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// Show how long events are kept, what was removed, what is held, and what was merged
    Status(Common),
    /// Show how long events are kept, as the gateway tells
    Show(SetArgs),
    /// Set how long events are kept, instead of what collectors are configured with
    Set(Box<NewArgs>),
    /// Have what collectors are configured with hold again
    Unset(SetArgs),
}

#[derive(clap::Args)]
pub(crate) struct SetArgs {
    /// JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: Connection,
}

#[derive(clap::Args)]
pub(crate) struct NewArgs {
    /// Days events are kept whose class is not named: 1 to 36500
    #[arg(long)]
    days: u32,
    /// Days of a class, such as web=14; may be repeated
    #[arg(long = "class", value_name = "CLASS=DAYS", value_parser = class)]
    classes: Vec<(String, u32)>,
    #[command(flatten)]
    common: SetArgs,
}

fn class(text: &str) -> Result<(String, u32), String> {
    let parsed = text
        .split_once('=')
        .and_then(|(class, days)| Some((class.to_owned(), days.parse().ok()?)));
    parsed.ok_or_else(|| format!("expected CLASS=DAYS, got {text:?}"))
}

pub(crate) async fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Status(args) => status(args).await,
        Command::Show(args) => {
            let shown = rest(&args)?.get("/retention").await?;
            show(&args, &shown)
        }
        Command::Set(args) => {
            let classes: BTreeMap<String, u32> = args.classes.into_iter().collect();
            let body = json!({ "days": args.days, "classes": classes });
            let set = rest(&args.common)?.put("/retention", &body).await?;
            show(&args.common, &set)
        }
        Command::Unset(args) => {
            let rest = rest(&args)?;
            rest.delete("/retention").await?;
            show(&args, &rest.get("/retention").await?)
        }
    }
}

fn rest(args: &SetArgs) -> anyhow::Result<Rest> {
    args.connection.target()?.rest()
}

fn show(args: &SetArgs, retention: &Value) -> anyhow::Result<ExitCode> {
    if args.json {
        println!("{retention}");
        return Ok(ExitCode::SUCCESS);
    }
    match retention["days"].as_u64() {
        Some(days) => println!("{:<24} {days} days", "(all others)"),
        None => println!("not known before the first pass"),
    }
    for (class, days) in retention["classes"].as_object().into_iter().flatten() {
        println!("{class:<24} {days} days");
    }
    match (retention["set_by"].as_str(), retention["set_at"].as_str()) {
        (Some(by), Some(at)) => println!("\nset        {at} by {by}"),
        _ => println!("\nas collectors are configured"),
    }
    if let Some(at) = retention["last_at"].as_str() {
        println!("last pass  {at}");
    }
    Ok(ExitCode::SUCCESS)
}

async fn status(args: Common) -> anyhow::Result<ExitCode> {
    let store = args.store().await?;
    let retention = keeping::retention(&store).await.context("read how retention stands")?;
    let compaction = keeping::compaction(&store)
        .await
        .context("read how compaction stands")?;
    if args.json {
        println!("{}", json!({ "retention": retention, "compaction": compaction }));
        return Ok(ExitCode::SUCCESS);
    }
    match &retention {
        None => println!("retention  no pass yet"),
        Some(state) => {
            println!("{:<24} {:<24} DAYS", "TENANT", "CLASS");
            print_keep("(all others)", &state.policy.default);
            for (tenant, keep) in &state.policy.tenants {
                print_keep(tenant, keep);
            }
            println!("\nlast pass  {} by {}", state.last_at, state.last_by);
            for (name, removed) in [("last", state.last), ("total", state.total)] {
                println!(
                    "{name:<10} {} days dropped, {} blocks removed, {} blocks trimmed by {} events",
                    removed.days_dropped, removed.blocks_removed, removed.blocks_trimmed, removed.events_trimmed
                );
            }
            println!("held       {} blocks", state.held);
        }
    }
    match &compaction {
        None => println!("merged     nothing yet"),
        Some(state) => println!(
            "merged     {} blocks of {} events into {}, {} bytes into {}, until {}",
            state.total.blocks_before,
            state.total.events,
            state.total.blocks_after,
            state.total.bytes_before,
            state.total.bytes_after,
            state.last_at
        ),
    }
    Ok(ExitCode::SUCCESS)
}

fn print_keep(tenant: &str, keep: &Keep) {
    println!("{tenant:<24} {:<24} {}", "(all others)", keep.days);
    for (class, days) in &keep.classes {
        println!("{tenant:<24} {class:<24} {days}");
    }
}
