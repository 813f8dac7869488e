//! `picket intel remove`.

use std::process::ExitCode;

use anyhow::bail;
use model::indicator::IndicatorType;

use crate::client::{Connection, encoded};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Indicators: TYPE:VALUE, or a value whose form tells its type
    #[arg(value_name = "INDICATOR", required_unless_present_any = ["source", "feed"])]
    indicators: Vec<String>,
    /// Only what this source said; without indicators, all of it
    #[arg(long)]
    source: Option<String>,
    /// Only what this feed said; without indicators, all of it
    #[arg(long)]
    feed: Option<String>,
    #[command(flatten)]
    connection: Connection,
}

pub(super) async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let mut narrow = String::new();
    for (name, value) in [("source", &args.source), ("feed", &args.feed)] {
        if let Some(value) = value {
            narrow.push_str(&format!("&{name}={}", encoded(value)));
        }
    }
    let mut queries = Vec::new();
    for text in &args.indicators {
        match IndicatorType::parse_typed(text) {
            Ok((kind, value)) => queries.push(format!("type={kind}&value={}{narrow}", encoded(&value))),
            Err(error) => bail!("{text}: {error}"),
        }
    }
    if queries.is_empty() {
        queries.push(narrow.trim_start_matches('&').to_owned());
    }
    let rest = args.connection.target()?.rest()?;
    let mut removed = 0;
    for query in queries {
        let answer = rest.delete_for(&format!("/ti/iocs?{query}")).await?;
        removed += answer["deleted"].as_u64().unwrap_or_default();
    }
    println!("{removed} indicators removed");
    Ok(if removed > 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
