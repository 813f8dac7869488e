//! `picket retention status`: how long events are kept, and what was removed.

use std::process::ExitCode;

use anyhow::Context as _;
use model::retention::Keep;
use serde_json::json;
use storage::keeping;

use crate::database::Common;

#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// Show how long events are kept, what was removed, what is held, and what was merged
    Status(Common),
}

pub(crate) async fn run(command: Command) -> anyhow::Result<ExitCode> {
    let Command::Status(args) = command;
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
