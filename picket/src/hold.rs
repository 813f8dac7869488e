//! `picket hold`: what retention must leave alone. It asks the gateway, or works on the database when it is given one.

use std::process::ExitCode;

use anyhow::{Context as _, anyhow};
use model::{EventId, SourceId, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use storage::Store;
use storage::audit::{self, NewEntry};
use storage::holds::{self, Hold, NewHold, Scope};

use crate::client::{Rest, encoded};
use crate::database::Common;
use crate::table::{Cell, Style, Table, counted};

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

/// A hold as it is shown, and as the gateway answers.
#[derive(Serialize, Deserialize)]
struct Shown {
    id: String,
    reason: String,
    by: String,
    at: String,
    scope: Scope,
    blocks: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    released_by: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    released_at: Option<String>,
}

impl Shown {
    fn new(hold: Hold, blocks: u64) -> Self {
        Self {
            id: hold.id,
            reason: hold.reason,
            by: hold.by,
            at: hold.at.to_string(),
            scope: hold.scope,
            blocks,
            released_by: hold.released_by,
            released_at: hold.released_at.map(|at| at.to_string()),
        }
    }

    fn read(answer: Value) -> anyhow::Result<Self> {
        serde_json::from_value(answer).context("read the gateway's answer")
    }
}

/// Who changes holds.
enum Way {
    Gateway(Rest),
    Database(Store),
}

impl Way {
    async fn of(common: &Common) -> anyhow::Result<Self> {
        if common.database.mongodb_uri.is_some() {
            return Ok(Self::Database(common.store().await?));
        }
        Ok(Self::Gateway(common.connection.target()?.rest()?))
    }
}

async fn add(args: AddArgs) -> anyhow::Result<ExitCode> {
    let scope = Scope {
        incident: args.incident,
        blocks: args.blocks,
        events: args.events,
        sources: args.agents,
        from: args.from,
        to: args.to,
    };
    let placed = match Way::of(&args.common).await? {
        Way::Gateway(rest) => {
            let mut body = json!(scope);
            body["reason"] = args.reason.into();
            Shown::read(rest.post("/holds", &body).await?)?
        }
        Way::Database(store) => {
            let new = NewHold {
                tenant: args.common.database.tenant.clone(),
                reason: args.reason,
                by: actor(),
                scope,
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
            Shown::new(placed.hold, placed.blocks)
        }
    };
    if args.common.json {
        println!("{}", json!(placed));
    } else {
        println!("hold {} keeps {}", placed.id, counted(placed.blocks, "block"));
    }
    Ok(ExitCode::SUCCESS)
}

async fn list(args: ListArgs) -> anyhow::Result<ExitCode> {
    let found: Vec<Shown> = match Way::of(&args.common).await? {
        Way::Gateway(rest) => {
            let mut answer = rest.get(&format!("/holds?released={}", args.all)).await?;
            serde_json::from_value(answer["items"].take()).context("read the gateway's answer")?
        }
        Way::Database(store) => {
            let tenant = &args.common.database.tenant;
            let holds = holds::list(&store, tenant, args.all).await.context("read the holds")?;
            let counts = holds::count_all(&store, tenant).await.context("count what they hold")?;
            let shown = holds.into_iter().map(|hold| {
                let blocks = counts.get(&hold.id).copied().unwrap_or(0);
                Shown::new(hold, blocks)
            });
            shown.collect()
        }
    };
    if args.common.json {
        println!("{}", json!(found));
        return Ok(ExitCode::SUCCESS);
    }
    let mut table = Table::new(&["ID", "PLACED", "BY", "BLOCKS", "COVERS", "REASON"]);
    for hold in found {
        let blocks = match &hold.released_at {
            Some(at) => format!("released {at}"),
            None => hold.blocks.to_string(),
        };
        let covers = covers(&hold.scope);
        table.row([hold.id, hold.at, hold.by, blocks, covers, hold.reason].map(Cell::from));
    }
    print!("{}", table.render(Style::stdout()));
    Ok(ExitCode::SUCCESS)
}

fn covers(scope: &Scope) -> String {
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
    let none = || anyhow!("incident {} has no hold", args.id);
    let released = match Way::of(&args.common).await? {
        Way::Gateway(rest) => {
            let id = if args.incident {
                let found = rest.get(&format!("/holds?incident={}", encoded(&args.id))).await?;
                found["items"][0]["id"].as_str().ok_or_else(none)?.to_owned()
            } else {
                args.id.clone()
            };
            Shown::read(rest.delete_for(&format!("/holds/{}", encoded(&id))).await?)?
        }
        Way::Database(store) => {
            let (tenant, by) = (&args.common.database.tenant, actor());
            let id = if args.incident {
                let hold = holds::of_incident(&store, tenant, &args.id).await;
                hold.context("read the holds")?.ok_or_else(none)?.id
            } else {
                args.id.clone()
            };
            let entry = NewEntry {
                tenant: tenant.clone(),
                actor: by.clone(),
                action: "hold.release".to_owned(),
                object: id.clone(),
                detail: json!({}),
            };
            audit::append(&store, entry).await.context("write the audit log")?;
            let released = holds::release(&store, tenant, &id, &by).await;
            let released = released
                .context("release the hold")?
                .ok_or_else(|| anyhow!("there is no hold {id} in force"))?;
            Shown::new(released.hold, released.blocks)
        }
    };
    if args.common.json {
        println!("{}", json!(released));
    } else {
        println!(
            "hold {} kept {}, and keeps nothing any more",
            released.id,
            counted(released.blocks, "block")
        );
    }
    Ok(ExitCode::SUCCESS)
}
