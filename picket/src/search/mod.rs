//! `picket search`: stored events, in the language of `docs/reference/search.md`.

mod events;
mod sums;

use std::process::ExitCode;

use query::Query;
use serde_json::Value;

use crate::client::{Connection, encoded};

/// How events and sums are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// Aligned columns
    Table,
    /// One JSON object a line
    #[value(alias = "jsonl")]
    Json,
    /// Comma-separated values
    Csv,
    /// One JSON object a line, as the Open Cybersecurity Schema Framework has it
    Ocsf,
}

#[derive(clap::Args)]
pub(crate) struct Args {
    /// What to look for, such as: failed source.ip:10.0.0.0/8 NOT user.name:root; all events when left out
    #[arg(value_name = "QUERY")]
    query: Vec<String>,
    /// Only events at this time or later: RFC 3339, a day, or before now as in now-1h or 24h
    #[arg(long, value_name = "TIME", value_parser = time)]
    from: Option<String>,
    /// Only events before this time
    #[arg(long, value_name = "TIME", value_parser = time)]
    to: Option<String>,
    /// Only this agent's
    #[arg(long, value_name = "ID|NAME")]
    agent_id: Option<String>,
    /// Only those with this address somewhere
    #[arg(long)]
    ip: Option<std::net::IpAddr>,
    /// Only those of hosts with this system, such as linux
    #[arg(long, value_name = "NAME")]
    os_type: Option<String>,
    /// How many events or values [default: 50 events in tables, all otherwise; 10 values]
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    limit: Option<u64>,
    /// How to write it
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
    /// The same as --format json
    #[arg(long, conflicts_with = "format")]
    json: bool,
    /// Columns of --format csv
    #[arg(long, value_name = "NAME,NAME", value_delimiter = ',')]
    fields: Vec<String>,
    /// How many events there were when, of the last 24 hours without --from
    #[arg(long, conflicts_with_all = ["top", "count"])]
    histogram: bool,
    /// Length of an interval of the histogram, such as 1m; chosen by the span when left out
    #[arg(long, value_name = "SPAN", requires = "histogram")]
    interval: Option<String>,
    /// The most frequent values of a field, of the last 24 hours without --from
    #[arg(long, value_name = "FIELD", conflicts_with = "count")]
    top: Option<String>,
    /// How many events there are
    #[arg(long)]
    count: bool,
    #[command(flatten)]
    connection: Connection,
}

/// Checked here so that a mistake costs no request; sent as it is, so that the server's clock counts.
fn time(text: &str) -> Result<String, String> {
    query::parse_moment(text).map(|_| text.to_owned())
}

impl Args {
    fn format(&self) -> Format {
        if self.json { Format::Json } else { self.format }
    }

    /// The parameters all requests have, each with `&` in front.
    fn parameters(&self, query: &str) -> String {
        let ip = self.ip.map(|ip| ip.to_string());
        let given = [
            ("q", (!query.trim().is_empty()).then_some(query)),
            ("from", self.from.as_deref()),
            ("to", self.to.as_deref()),
            ("agent_id", self.agent_id.as_deref()),
            ("ip", ip.as_deref()),
            ("os_type", self.os_type.as_deref()),
        ];
        let given = given.into_iter().filter_map(|(name, value)| Some((name, value?)));
        given
            .map(|(name, value)| format!("&{name}={}", encoded(value)))
            .collect()
    }
}

pub(crate) async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let query = args.query.join(" ");
    if let Err(error) = Query::parse(&query) {
        eprintln!("error: {error}\n\n{}", error.caret(&query));
        return Ok(ExitCode::from(2));
    }
    let parameters = args.parameters(&query);
    let rest = args.connection.target()?.rest()?;
    if args.histogram {
        sums::histogram(&rest, &args, &parameters).await?;
    } else if let Some(field) = &args.top {
        sums::top(&rest, &args, field, &parameters).await?;
    } else if args.count {
        sums::count(&rest, &args, &parameters).await?;
    } else if args.format() == Format::Table {
        events::table(&rest, &args, &parameters).await?;
    } else {
        events::export(&rest, &args, &parameters).await?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Tells what an answer lacks.
fn tell_partial(answer: &Value) {
    let Some(partial) = answer["partial"].as_object() else {
        return;
    };
    let why = match partial.get("reason").and_then(Value::as_str) {
        Some("time") => "the search took as long as it may",
        Some("bytes") => "the search read as much as it may",
        _ => "some blocks are damaged",
    };
    match partial.get("unread_until").and_then(Value::as_str) {
        Some(until) => eprintln!("note: {why}; events up to {until} were not all looked at"),
        None => eprintln!("note: {why}; their events are missing"),
    }
}
