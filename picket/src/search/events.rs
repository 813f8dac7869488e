//! Events as a table or as a file.

use std::io::Write as _;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use reqwest::Method;
use serde_json::Value;

use super::{Args, Format, tell_partial};
use crate::client::{Rest, encoded, problem_detail, trouble};
use crate::table::{Cell, Style, Table, Tone, shortened};

/// Events in a table when nobody says how many.
const DEFAULT_LIMIT: u64 = 50;
/// Most events the server gives at once.
const PAGE: u64 = 1000;
/// Most characters of a message in a table.
const MESSAGE: usize = 110;
/// Longest export.
const EXPORT: Duration = Duration::from_secs(7 * 86_400);

pub(super) async fn table(rest: &Rest, args: &Args, parameters: &str) -> anyhow::Result<()> {
    let mut left = args.limit.unwrap_or(DEFAULT_LIMIT);
    let mut cursor = String::new();
    let mut table = Table::new(&["TIME", "HOST", "ACTION", "USER", "FROM", "MESSAGE"]);
    let mut shown = 0_usize;
    while left > 0 {
        let page = rest
            .get(&format!("/events?limit={}{parameters}{cursor}", left.min(PAGE)))
            .await?;
        let items = page["items"].as_array().cloned().unwrap_or_default();
        for event in &items {
            table.row(row(event));
        }
        shown += items.len();
        left = left.saturating_sub(items.len() as u64);
        if page["partial"]["unread_until"].is_null() {
            // Where only time or bytes ran out, the next page goes on.
            tell_partial(&page);
        }
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={}", encoded(next)),
            None => break,
        }
    }
    if shown == 0 {
        eprintln!("no events");
        return Ok(());
    }
    print!("{}", table.render(Style::stdout()));
    Ok(())
}

fn row(event: &Value) -> [Cell; 6] {
    let text = |pointer: &str| match event.pointer(pointer) {
        Some(Value::String(text)) => text.clone(),
        None | Some(Value::Null) => String::new(),
        Some(other) => other.to_string(),
    };
    let time: String = text("/@timestamp").chars().take("2026-01-31T12:00:00".len()).collect();
    let tone = if text("/event/outcome") == "failure" {
        Tone::Warning
    } else {
        Tone::Plain
    };
    [
        Cell::from(time.replace('T', " ")),
        Cell::from(text("/host/name")),
        Cell::new(text("/event/action"), tone),
        Cell::from(text("/user/name")),
        Cell::from(text("/source/ip")),
        Cell::from(shortened(&text("/message"), MESSAGE)),
    ]
}

pub(super) async fn export(rest: &Rest, args: &Args, parameters: &str) -> anyhow::Result<()> {
    let format = match args.format() {
        Format::Table | Format::Json => "jsonl",
        Format::Csv => "csv",
        Format::Ocsf => "ocsf",
    };
    let mut path = format!("/events/export?format={format}{parameters}");
    if let Some(limit) = args.limit {
        path.push_str(&format!("&limit={limit}"));
    }
    if !args.fields.is_empty() {
        path.push_str(&format!("&fields={}", encoded(&args.fields.join(","))));
    }
    let mut response = rest
        .request(Method::GET, &path)
        .timeout(EXPORT)
        .send()
        .await
        .map_err(|error| anyhow!("reach the gateway: {}", trouble(&error)))?;
    let status = response.status();
    if !status.is_success() {
        let text = response.text().await.context("read the gateway's answer")?;
        bail!("the gateway answered {status}: {}", problem_detail(&text));
    }
    let mut out = std::io::stdout().lock();
    while let Some(piece) = response.chunk().await.map_err(|error| {
        anyhow!(
            "the export broke off, what was written is not complete: {}",
            trouble(&error)
        )
    })? {
        out.write_all(&piece).context("write the events")?;
    }
    out.flush().context("write the events")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_tells_what_happened_and_cannot_steer_the_terminal() {
        let event = serde_json::json!({
            "@timestamp": "2026-01-31T12:00:00.123456Z", "message": "bad\u{1b}[2J", "event": {"action": "ssh_login"},
            "host": {"name": "web"}, "user": {"name": ["a", "b"]},
        });
        let mut table = Table::new(&["TIME", "HOST", "ACTION", "USER", "FROM", "MESSAGE"]);
        table.row(row(&event));
        let text = table.render(Style::default());
        assert!(
            text.contains("2026-01-31 12:00:00  web   ssh_login  [\"a\",\"b\"]"),
            "{text}"
        );
        assert!(!text.contains('\x1b'));
    }
}
