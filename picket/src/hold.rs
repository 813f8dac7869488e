//! `picket hold`: what retention must leave alone.

use std::process::ExitCode;

use anyhow::{Context as _, anyhow, bail};
use model::{EventId, SourceId, Timestamp};
use serde_json::json;
use storage::audit::{self, NewEntry};
use storage::holds::{self, Hold, NewHold, Scope};

use crate::database::Common;
use crate::table::{Cell, Style, Table};

#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// Keep events whatever their age, until the hold is released
    Add(Box<AddArgs>),
    /// Show holds
    List(ListArgs),
    /// Let go what a hold keeps
    Release(ReleaseArgs),
}

#[derive(clap::Args)]
pub(crate) struct AddArgs {
    /// Why, for whoever finds the hold later
    #[arg(long)]
    reason: String,
    /// Id of an event; may be repeated
    #[arg(long = "event", value_name = "ID")]
    events: Vec<EventId>,
    /// An agent or other source by its id; may be repeated
    #[arg(long = "agent", value_name = "ID")]
    agents: Vec<SourceId>,
    /// With --agent: only events at this time or later, as RFC 3339
    #[arg(long, value_name = "TIME", requires = "agents")]
    from: Option<Timestamp>,
    /// With --agent: only events until this time, as RFC 3339
    #[arg(long, value_name = "TIME", requires = "agents")]
    to: Option<Timestamp>,
    /// A block as YYYYMMDD/ID; may be repeated
    #[arg(long = "block", value_name = "BLOCK")]
    blocks: Vec<String>,
    /// The incident it is for. A second hold for one incident widens the first
    #[arg(long, value_name = "ID")]
    incident: Option<String>,
    #[command(flatten)]
    common: Common,
}

#[derive(clap::Args)]
pub(crate) struct ListArgs {
    /// Also those that were released
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    common: Common,
}

#[derive(clap::Args)]
pub(crate) struct ReleaseArgs {
    /// Id of the hold, or with --incident of the incident
    id: String,
    /// The id is that of an incident
    #[arg(long)]
    incident: bool,
    #[command(flatten)]
    common: Common,
}

/// Who does it, for the audit log. Whoever has the database's password is believed.
pub(crate) fn actor() -> String {
    let user = std::env::var("SUDO_USER").or_else(|_| std::env::var("USER"));
    let user = user
        .ok()
        .filter(|user| !user.is_empty() && !user.contains(char::is_control));
    format!("user:{}", user.unwrap_or_else(|| "unknown".to_owned()))
}

pub(crate) async fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Add(args) => add(*args).await,
        Command::List(args) => list(args).await,
        Command::Release(args) => release(args).await,
    }
}

async fn add(args: AddArgs) -> anyhow::Result<ExitCode> {
    let store = args.common.store().await?;
    let new = NewHold {
        tenant: args.common.database.tenant.clone(),
        reason: args.reason,
        by: actor(),
        scope: Scope {
            incident: args.incident,
            blocks: args.blocks,
            events: args.events,
            sources: args.agents,
            from: args.from,
            to: args.to,
        },
    };
    let entry = NewEntry {
        tenant: new.tenant.clone(),
        actor: new.by.clone(),
        action: "hold.add".to_owned(),
        object: new.scope.incident.clone().unwrap_or_default(),
        detail: json!({ "reason": new.reason, "scope": new.scope }),
    };
    // First the log: a change without its line would be worse than a line without its change.
    audit::append(&store, entry).await.context("write the audit log")?;
    let placed = holds::place(&store, new).await.context("place the hold")?;
    if args.common.json {
        println!("{}", json!({ "hold": placed.hold, "blocks": placed.blocks }));
    } else {
        println!("hold {} keeps {} blocks", placed.hold.id, placed.blocks);
    }
    Ok(ExitCode::SUCCESS)
}

async fn list(args: ListArgs) -> anyhow::Result<ExitCode> {
    let store = args.common.store().await?;
    let found = holds::list(&store, &args.common.database.tenant, args.all)
        .await
        .context("read the holds")?;
    let mut rows = Vec::new();
    for hold in found {
        let blocks = if hold.released_at.is_some() {
            0
        } else {
            holds::count_blocks(&store, &hold).await?
        };
        rows.push((hold, blocks));
    }
    if args.common.json {
        let holds: Vec<_> = rows
            .iter()
            .map(|(hold, blocks)| json!({ "hold": hold, "blocks": blocks }))
            .collect();
        println!("{}", json!(holds));
        return Ok(ExitCode::SUCCESS);
    }
    let mut table = Table::new(&["ID", "PLACED", "BY", "BLOCKS", "COVERS", "REASON"]);
    for (hold, blocks) in rows {
        let blocks = match hold.released_at {
            Some(at) => format!("released {at}"),
            None => blocks.to_string(),
        };
        let covers = covers(&hold);
        table.row([hold.id, hold.at.to_string(), hold.by, blocks, covers, hold.reason].map(Cell::from));
    }
    print!("{}", table.render(Style::stdout()));
    Ok(ExitCode::SUCCESS)
}

fn covers(hold: &Hold) -> String {
    let scope = &hold.scope;
    let mut parts = Vec::new();
    if let Some(incident) = &scope.incident {
        parts.push(format!("incident {incident}"));
    }
    for (count, what) in [
        (scope.events.len(), "events"),
        (scope.sources.len(), "sources"),
        (scope.blocks.len(), "blocks"),
    ] {
        if count > 0 {
            parts.push(format!("{count} {what}"));
        }
    }
    parts.join(", ")
}

async fn release(args: ReleaseArgs) -> anyhow::Result<ExitCode> {
    let store = args.common.store().await?;
    let (tenant, by) = (&args.common.database.tenant, actor());
    let id = if args.incident {
        let hold = holds::of_incident(&store, tenant, &args.id)
            .await
            .context("read the holds")?;
        hold.ok_or_else(|| anyhow!("incident {} has no hold", args.id))?.id
    } else {
        args.id
    };
    let entry = NewEntry {
        tenant: tenant.clone(),
        actor: by.clone(),
        action: "hold.release".to_owned(),
        object: id.clone(),
        detail: json!({}),
    };
    audit::append(&store, entry).await.context("write the audit log")?;
    let released = holds::release(&store, tenant, &id, &by)
        .await
        .context("release the hold")?;
    let Some(released) = released else {
        bail!("there is no hold {id} in force");
    };
    if args.common.json {
        println!("{}", json!({ "hold": released.hold, "blocks": released.blocks }));
    } else {
        println!("hold {id} kept {} blocks, and keeps them no longer", released.blocks);
    }
    Ok(ExitCode::SUCCESS)
}
