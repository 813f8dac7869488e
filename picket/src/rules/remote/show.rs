//! `picket rules show`: one rule, as it is deployed.

use std::process::ExitCode;

use model::Timestamp;

use super::{deployed, list};
use crate::client::Connection;
use crate::table::{Style, printable};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Id of the rule
    id: String,
    /// One JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: Connection,
}

pub(crate) async fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let rule = deployed::get(&args.connection.target()?, &args.id).await?;
    if args.json {
        println!("{}", list::to_json(&rule));
        return Ok(ExitCode::SUCCESS);
    }
    let style = Style::stdout();
    let state = if rule.enabled { "enabled" } else { "disabled" };
    let at = Timestamp(rule.updated_at_micros).to_utc().format("%Y-%m-%d %H:%M:%S");
    // As comments, so that the output is a rule file.
    let mut head = vec![
        format!("{} {}, revision {}, {state}", rule.kind, rule.id, rule.revision),
        format!(
            "from {} ({}), last changed {at} by {}",
            rule.path, rule.origin, rule.updated_by
        ),
    ];
    if !rule.note.is_empty() {
        head.push(format!("note: {}", rule.note));
    }
    for line in head {
        println!("{}", style.dim(&format!("# {}", printable(&line))));
    }
    if !rule.error.is_empty() {
        println!("{}", style.red(&format!("# not usable: {}", printable(&rule.error))));
    }
    for line in rule.yaml.trim_matches('\n').lines() {
        println!("{}", printable(line));
    }
    Ok(ExitCode::SUCCESS)
}
