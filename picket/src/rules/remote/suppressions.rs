//! `picket suppressions`: how alerts of a rule that are alike are folded into one.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use serde_json::json;

use crate::client::{Connection, encoded};
use crate::durations::parse_ttl;
use crate::table::{Style, Table, counted};

#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// Show suppressions
    List(ListArgs),
    /// Set the suppression of a rule
    Set(SetArgs),
    /// Remove suppressions
    Remove(RemoveArgs),
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
pub(crate) struct SetArgs {
    /// Id of the rule
    #[arg(long, value_name = "ID")]
    rule: String,
    /// A field by whose values alerts are told apart; none: they are all alike
    #[arg(long, value_name = "FIELD")]
    by: Vec<String>,
    /// For how long alerts are folded into one, such as 1h
    #[arg(long = "for", value_name = "DURATION", value_parser = parse_ttl)]
    duration: Duration,
    /// Why
    #[arg(long, default_value = "", hide_default_value = true)]
    reason: String,
    /// One JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: Connection,
}

#[derive(clap::Args)]
pub(crate) struct RemoveArgs {
    /// Ids of rules
    #[arg(required = true, value_name = "ID")]
    rules: Vec<String>,
    #[command(flatten)]
    connection: Connection,
}

pub(crate) async fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::List(args) => list(&args).await,
        Command::Set(args) => set(&args).await,
        Command::Remove(args) => remove(&args).await,
    }
}

async fn list(args: &ListArgs) -> anyhow::Result<ExitCode> {
    let answer = args.connection.target()?.rest()?.get("/rules/suppressions").await?;
    if args.json {
        println!("{answer}");
        return Ok(ExitCode::SUCCESS);
    }
    let items = answer["items"].as_array().context("read the gateway's answer")?;
    let mut table = Table::new(&["RULE", "ONE ALERT FOR EACH", "FOR", "BY", "REASON"]);
    for item in items {
        let text = |name: &str| item[name].as_str().unwrap_or_default().to_owned();
        let fields: Vec<&str> = item["fields"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|field| field.as_str())
            .collect();
        let fields = if fields.is_empty() {
            "rule".to_owned()
        } else {
            fields.join(", ")
        };
        let seconds = item["seconds"].as_u64().unwrap_or_default();
        table.row([
            text("rule_id").into(),
            fields.into(),
            duration(seconds).into(),
            text("author").into(),
            text("reason").into(),
        ]);
    }
    if !items.is_empty() {
        print!("{}", table.render(Style::stdout()));
    }
    println!("{}", counted(items.len(), "suppression"));
    Ok(ExitCode::SUCCESS)
}

/// In the largest unit it is whole in.
fn duration(seconds: u64) -> String {
    for (unit, name) in [(86_400, "d"), (3600, "h"), (60, "m")] {
        if seconds >= unit && seconds.is_multiple_of(unit) {
            return format!("{}{name}", seconds / unit);
        }
    }
    format!("{seconds}s")
}

async fn set(args: &SetArgs) -> anyhow::Result<ExitCode> {
    let body = json!({ "fields": args.by, "seconds": args.duration.as_secs(), "reason": args.reason });
    let rest = args.connection.target()?.rest()?;
    let stored = rest
        .put(&format!("/rules/suppressions/{}", encoded(&args.rule)), &body)
        .await?;
    if args.json {
        println!("{stored}");
    } else {
        let each = if args.by.is_empty() {
            "in all".to_owned()
        } else {
            format!("for each {}", args.by.join(", "))
        };
        println!(
            "rule {} makes one alert {each} within {}; further events are counted on it",
            args.rule,
            duration(args.duration.as_secs())
        );
    }
    Ok(ExitCode::SUCCESS)
}

async fn remove(args: &RemoveArgs) -> anyhow::Result<ExitCode> {
    let rest = args.connection.target()?.rest()?;
    for rule in &args.rules {
        rest.delete(&format!("/rules/suppressions/{}", encoded(rule))).await?;
        println!("removed the suppression of rule {rule}");
    }
    Ok(ExitCode::SUCCESS)
}
