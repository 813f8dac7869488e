//! `picket intel stats`.

use std::process::ExitCode;

use crate::client::Connection;
use crate::table::{Cell, Style, Table};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// One JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: Connection,
}

pub(super) async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let stats = args.connection.target()?.rest()?.get("/ti/iocs/stats").await?;
    if args.json {
        println!("{stats}");
        return Ok(ExitCode::SUCCESS);
    }
    let mut table = Table::new(&["TYPE", "FEED", "SOURCE", "COUNT"]).right(&[3]);
    for group in stats["groups"].as_array().into_iter().flatten() {
        let text = |field: &str| group[field].as_str().unwrap_or_default().to_owned();
        table.row([
            Cell::from(text("type")),
            Cell::from(text("feed")),
            Cell::from(text("source")),
            Cell::from(group["count"].as_u64().unwrap_or_default().to_string()),
        ]);
    }
    print!("{}", table.render(Style::stdout()));
    println!("{} indicators", stats["total"].as_u64().unwrap_or_default());
    Ok(ExitCode::SUCCESS)
}
