//! `picket hunt`: looks for indicators in events that are stored already.

use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail};
use indicatif::{ProgressBar, ProgressStyle};
use model::Timestamp;
use model::indicator::IndicatorType;
use serde_json::{Value, json};

use crate::client::{Connection, Rest, encoded};
use crate::table::{Cell, Style, Table, Tone};

/// Time between two looks at how a hunt stands.
const LOOK: Duration = Duration::from_millis(500);
/// Indicators of one hunt; more of them become several.
const CHUNK: usize = 1000;
/// Matches fetched at once.
const PAGE: usize = 500;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// What to look for: TYPE:VALUE, or a value whose form tells its type; may be given more than once. It need not be a
    /// stored indicator
    #[arg(long = "indicator", value_name = "INDICATOR", required_unless_present_any = ["feed", "file"])]
    indicators: Vec<String>,
    /// All indicators of this feed
    #[arg(long, value_name = "NAME", conflicts_with_all = ["indicators", "file"])]
    feed: Option<String>,
    /// A file with one indicator a line
    #[arg(long)]
    file: Option<PathBuf>,
    /// Events at this time or later, RFC 3339
    #[arg(long, value_name = "TIME")]
    from: Option<Timestamp>,
    /// Events before this time, RFC 3339
    #[arg(long, value_name = "TIME")]
    to: Option<Timestamp>,
    /// Make alerts of matches; they are marked retroactive, and nothing alerts twice
    #[arg(long)]
    alert: bool,
    /// One JSON object for each match, a line each
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: Connection,
}

pub(crate) async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let mut values = Vec::new();
    for text in &args.indicators {
        match IndicatorType::parse_typed(text) {
            Ok(value) => values.push(value),
            Err(error) => bail!("{text}: {error}"),
        }
    }
    if let Some(path) = &args.file {
        values.extend(super::read::file(path)?);
        if values.is_empty() {
            bail!("{}: expected at least one indicator", path.display());
        }
    }
    let common = json!({ "from": args.from, "to": args.to, "alert": args.alert });
    let mut bodies = Vec::new();
    let body = |name: &str, what: Value| {
        let mut body = common.clone();
        if let Some(body) = body.as_object_mut() {
            body.insert(name.to_owned(), what);
        }
        body
    };
    match &args.feed {
        Some(feed) => bodies.push(body("feed", json!(feed))),
        None => {
            for chunk in values.chunks(CHUNK) {
                let texts: Vec<String> = chunk.iter().map(|(kind, value)| format!("{kind}:{value}")).collect();
                bodies.push(body("indicators", json!(texts)));
            }
        }
    }
    let rest = args.connection.target()?.rest()?;
    let mut total = Totals::default();
    for body in bodies {
        let started = rest.post("/ti/hunts", &body).await?;
        let id = started["id"].as_str().context("read the id of the hunt")?.to_owned();
        let hunt = follow(&rest, &id).await?;
        show(&rest, &id, args.json).await?;
        total.add(&hunt);
        if let Some(error) = hunt["error"].as_str() {
            bail!("the hunt failed: {error}");
        }
        if hunt["state"] == "cancelled" {
            bail!("the hunt was cancelled");
        }
    }
    eprintln!("{}", total.line(args.alert));
    Ok(ExitCode::SUCCESS)
}

#[derive(Default)]
struct Totals {
    matches: u64,
    alerts: u64,
    seen: u64,
    read: u64,
}

impl Totals {
    fn add(&mut self, hunt: &Value) {
        let count = |field: &str| hunt["progress"][field].as_u64().unwrap_or_default();
        self.matches += count("matches");
        self.alerts += count("alerts");
        self.seen += count("blocks_seen");
        self.read += count("blocks_read");
    }

    fn line(&self, alert: bool) -> String {
        let mut line = format!(
            "{} matches; {} blocks looked at, {} of them read",
            self.matches, self.seen, self.read
        );
        if alert {
            line.push_str(&format!("; {} new alerts", self.alerts));
        }
        line
    }
}

/// Waits until the hunt is over, with a bar where somebody watches.
async fn follow(rest: &Rest, id: &str) -> anyhow::Result<Value> {
    let bar = if std::io::stderr().is_terminal() {
        let style = ProgressStyle::with_template("{msg} [{bar:40}] {pos}/{len} blocks {elapsed}")
            .unwrap_or_else(|_| ProgressStyle::default_bar());
        ProgressBar::new(0).with_style(style)
    } else {
        ProgressBar::hidden()
    };
    loop {
        let hunt = rest.get(&format!("/ti/hunts/{}", encoded(id))).await?;
        let state = hunt["state"].as_str().unwrap_or_default().to_owned();
        bar.set_message(state.clone());
        bar.set_length(hunt["progress"]["blocks"].as_u64().unwrap_or_default());
        bar.set_position(hunt["progress"]["blocks_seen"].as_u64().unwrap_or_default());
        if matches!(state.as_str(), "done" | "failed" | "cancelled") {
            bar.finish_and_clear();
            return Ok(hunt);
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Prints what was found.
async fn show(rest: &Rest, id: &str, as_json: bool) -> anyhow::Result<()> {
    let mut cursor = String::new();
    loop {
        let path = format!("/ti/hunts/{}/matches?limit={PAGE}{cursor}", encoded(id));
        let page = rest.get(&path).await?;
        let items = page["items"].as_array().cloned().unwrap_or_default();
        if as_json {
            items.iter().for_each(|item| println!("{item}"));
        } else if !items.is_empty() {
            print!("{}", table(&items).render(Style::stdout()));
        }
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={}", encoded(next)),
            None => return Ok(()),
        }
    }
}

fn table(items: &[Value]) -> Table {
    let mut table = Table::new(&["TIME", "INDICATOR", "HOST", "FIELD", "SOURCE", "MESSAGE"]);
    for item in items {
        let text = |field: &str| item[field].as_str().unwrap_or_default().to_owned();
        let time: String = text("@timestamp").chars().take(19).collect();
        let message: String = text("message").chars().take(80).collect();
        let source = if text("feed").is_empty() {
            text("source")
        } else {
            text("feed")
        };
        table.row([
            Cell::from(time.replace('T', " ")),
            Cell::new(format!("{}:{}", text("type"), text("value")), Tone::Bad),
            Cell::from(text("host")),
            Cell::from(text("field")),
            Cell::from(source),
            Cell::new(message, Tone::Quiet),
        ]);
    }
    table
}
