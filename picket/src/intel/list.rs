//! `picket intel list`, and how indicators read.

use std::process::ExitCode;

use model::indicator::IndicatorType;
use serde_json::{Value, json};

use crate::client::{Connection, encoded};
use crate::table::{Cell, Style, Table, Tone};

/// Indicators fetched at once.
const PAGE: u64 = 5000;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Only of this type: ip, domain, url, md5, sha1, sha256 or email
    #[arg(long = "type", value_name = "TYPE")]
    kind: Option<IndicatorType>,
    /// Only of this source
    #[arg(long)]
    source: Option<String>,
    /// Only of this feed
    #[arg(long)]
    feed: Option<String>,
    /// Only with this tag
    #[arg(long)]
    tag: Option<String>,
    /// Only with at least this confidence, 0 to 100
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u8).range(0..=100))]
    min_confidence: Option<u8>,
    /// How many
    #[arg(long, default_value_t = 50)]
    limit: u64,
    /// One JSON object a line
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: Connection,
}

pub(super) async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let rest = args.connection.target()?.rest()?;
    let mut query = String::new();
    let kind = args.kind.map(|kind| kind.to_string());
    let confidence = args.min_confidence.map(|number| number.to_string());
    for (name, value) in [
        ("type", &kind),
        ("source", &args.source),
        ("feed", &args.feed),
        ("tag", &args.tag),
        ("min_confidence", &confidence),
    ] {
        if let Some(value) = value {
            query.push_str(&format!("&{name}={}", encoded(value)));
        }
    }
    let mut left = args.limit;
    let mut cursor = String::new();
    let mut all = Vec::new();
    while left > 0 {
        let page = rest
            .get(&format!("/ti/iocs?limit={}{query}{cursor}", left.min(PAGE)))
            .await?;
        let items = page["items"].as_array().cloned().unwrap_or_default();
        left = left.saturating_sub(items.len() as u64);
        if args.json {
            items.iter().for_each(|item| println!("{item}"));
        } else {
            all.extend(items);
        }
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={}", encoded(next)),
            None => break,
        }
    }
    if !args.json {
        print(&all);
    }
    Ok(ExitCode::SUCCESS)
}

/// Prints indicators as a table.
pub(super) fn print(indicators: &[Value]) {
    if indicators.is_empty() {
        eprintln!("no indicators");
        return;
    }
    let mut table = Table::new(&[
        "TYPE", "VALUE", "CONF", "FEED", "SOURCE", "TLP", "TAGS", "UNTIL", "NOTE",
    ])
    .right(&[2]);
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    for one in indicators {
        let tags = one["tags"].as_array().cloned().unwrap_or_default();
        let tags: Vec<&str> = tags.iter().filter_map(Value::as_str).collect();
        let until = text(&one["valid_until"]).chars().take(10).collect::<String>();
        let note: String = text(&one["note"]).chars().take(60).collect();
        table.row([
            Cell::from(text(&one["type"])),
            Cell::from(text(&one["value"])),
            Cell::from(one["confidence"].as_u64().unwrap_or_default().to_string()),
            Cell::from(text(&one["feed"])),
            Cell::from(text(&one["source"])),
            Cell::from(text(&one["tlp"])),
            Cell::from(tags.join(",")),
            Cell::from(until),
            Cell::new(note, Tone::Quiet),
        ]);
    }
    print!("{}", table.render(Style::stdout()));
}

/// The body of a request that adds these, with what they have in common.
pub(super) fn bodies(values: &[(IndicatorType, String)], common: &Value) -> Vec<Value> {
    values
        .iter()
        .map(|(kind, value)| {
            let mut body = common.clone();
            if let Some(body) = body.as_object_mut() {
                body.insert("type".to_owned(), json!(kind.as_str()));
                body.insert("value".to_owned(), json!(value));
            }
            body
        })
        .collect()
}
