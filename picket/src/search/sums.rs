//! Sums over events.

use anyhow::bail;
use serde_json::Value;

use super::{Args, Format, tell_partial};
use crate::client::{Rest, encoded};
use crate::table::{Cell, Style, Table, Tone, counted, thousands};

/// Longest bar, in characters.
const BAR: u64 = 50;

pub(super) async fn histogram(rest: &Rest, args: &Args, parameters: &str) -> anyhow::Result<()> {
    let interval = args
        .interval
        .as_deref()
        .map(|text| format!("&interval={}", encoded(text)));
    let path = format!("/events/histogram?{}{parameters}", interval.unwrap_or_default());
    let answer = rest.get(&tidy(&path)).await?;
    let buckets = answer["buckets"].as_array().cloned().unwrap_or_default();
    let count = |bucket: &Value| bucket["count"].as_u64().unwrap_or_default();
    match args.format() {
        Format::Json => println!("{answer}"),
        Format::Csv => {
            println!("time,count");
            for bucket in &buckets {
                println!("{},{}", bucket["time"].as_str().unwrap_or_default(), count(bucket));
            }
        }
        Format::Ocsf => bail!("--format: expected table, json or csv for a histogram"),
        Format::Table => {
            let most = buckets.iter().map(count).max().unwrap_or_default().max(1);
            let mut table = Table::new(&["TIME", "EVENTS", ""]).right(&[1]);
            for bucket in &buckets {
                let time = bucket["time"]
                    .as_str()
                    .unwrap_or_default()
                    .get(..19)
                    .unwrap_or_default();
                let length = (count(bucket) * BAR).div_ceil(most);
                table.row([
                    Cell::from(time.replace('T', " ")),
                    Cell::from(thousands(count(bucket))),
                    Cell::new("█".repeat(usize::try_from(length).unwrap_or_default()), Tone::Good),
                ]);
            }
            print!("{}", table.render(Style::stdout()));
            let total = answer["total"].as_u64().unwrap_or_default();
            eprintln!("{}", counted(total, "event"));
        }
    }
    tell_partial(&answer);
    Ok(())
}

pub(super) async fn top(rest: &Rest, args: &Args, field: &str, parameters: &str) -> anyhow::Result<()> {
    let limit = args.limit.map(|limit| format!("&limit={limit}")).unwrap_or_default();
    let answer = rest
        .get(&format!("/events/top?field={}{limit}{parameters}", encoded(field)))
        .await?;
    let values = answer["values"].as_array().cloned().unwrap_or_default();
    let of = |value: &Value| {
        (
            value["value"].as_str().unwrap_or_default().to_owned(),
            value["count"].as_u64().unwrap_or_default(),
        )
    };
    match args.format() {
        Format::Json => println!("{answer}"),
        Format::Csv => {
            println!("value,count");
            for (value, count) in values.iter().map(of) {
                println!("\"{}\",{count}", value.replace('"', "\"\""));
            }
        }
        Format::Ocsf => bail!("--format: expected table, json or csv for the most frequent values"),
        Format::Table => {
            let mut table = Table::new(&["EVENTS", "VALUE"]).right(&[0]);
            for (value, count) in values.iter().map(of) {
                table.row([Cell::from(thousands(count)), Cell::from(value)]);
            }
            print!("{}", table.render(Style::stdout()));
            let sum = |name: &str| thousands(answer[name].as_u64().unwrap_or_default());
            let about = if answer["approximate"] == true { "about " } else { "" };
            eprintln!(
                "{about}{} distinct values in {} events, {} without the field",
                sum("distinct"),
                sum("total"),
                sum("missing")
            );
        }
    }
    tell_partial(&answer);
    Ok(())
}

pub(super) async fn count(rest: &Rest, args: &Args, parameters: &str) -> anyhow::Result<()> {
    let answer = rest.get(&format!("/events?count=exact&limit=1{parameters}")).await?;
    let total = answer["total"].as_u64().unwrap_or_default();
    match args.format() {
        Format::Json => println!(
            "{}",
            serde_json::json!({ "total": total, "partial": answer["partial"] })
        ),
        Format::Table | Format::Csv | Format::Ocsf => println!("{total}"),
    }
    tell_partial(&answer);
    Ok(())
}

/// Without the `&` behind the `?`.
fn tidy(path: &str) -> String {
    path.replacen("?&", "?", 1)
}
