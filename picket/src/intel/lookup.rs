//! `picket intel lookup`.

use std::process::ExitCode;

use serde_json::Value;

use crate::client::{Connection, encoded};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// An address, domain, URL, hash or e-mail address, in any usual form
    value: String,
    /// One JSON object a line
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: Connection,
}

/// Fails when there are none, so that scripts can ask.
pub(super) async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let rest = args.connection.target()?.rest()?;
    let found = rest
        .get(&format!("/ti/iocs/lookup?value={}", encoded(&args.value)))
        .await?;
    let items: Vec<Value> = found["items"].as_array().cloned().unwrap_or_default();
    if args.json {
        items.iter().for_each(|item| println!("{item}"));
    } else {
        super::list::print(&items);
    }
    Ok(if items.is_empty() {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}
