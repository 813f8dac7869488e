//! A backtest as people read it.

use std::collections::BTreeMap;

use detector::backtest::Tally;
use serde_json::Value;

use crate::table::{Cell, Style, Table, Tone, counted, printable, shortened, thousands};

/// Most rows of a table.
const MAX_ROWS: usize = 15;

/// What rules would have done.
pub(super) fn text(tally: &Tally, titles: &BTreeMap<String, String>, style: Style) -> String {
    let mut text = String::new();
    let title = |id: &str| titles.get(id).cloned().unwrap_or_else(|| id.to_owned());
    if tally.by_rule.len() > 1 {
        text.push_str(&table("RULE", &tally.by_rule, &title, style));
        text.push('\n');
    }
    if !tally.by_host.is_empty() {
        text.push_str(&table("HOST", &tally.by_host, &str::to_owned, style));
        text.push('\n');
        text.push_str(&days(&tally.by_day, style));
    }
    if !tally.samples.is_empty() {
        text.push_str(&format!("\n{}\n", style.bold("the earliest")));
        for sample in &tally.samples {
            let time = sample.time.get(..19).unwrap_or(&sample.time).replace('T', " ");
            text.push_str(&format!(
                "  {time}  {}  {}\n",
                printable(&sample.host),
                printable(&shortened(&shown(&sample.shown), 120))
            ));
        }
    }
    text
}

fn shown(value: &Value) -> String {
    value["message"]
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

fn table(name: &'static str, counts: &BTreeMap<String, u64>, title: &dyn Fn(&str) -> String, style: Style) -> String {
    let mut rows: Vec<(&String, &u64)> = counts.iter().collect();
    rows.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
    let mut table = Table::new(&["ALERTS", name]).right(&[0]);
    for (key, count) in rows.iter().take(MAX_ROWS) {
        table.row([thousands(**count).into(), shortened(&title(key), 80).into()]);
    }
    if rows.len() > MAX_ROWS {
        let rest: u64 = rows.iter().skip(MAX_ROWS).map(|(_, count)| **count).sum();
        let more = format!("{} more", counted(rows.len() - MAX_ROWS, "row"));
        table.row([thousands(rest).into(), Cell::new(more, Tone::Quiet)]);
    }
    table.render(style)
}

/// A bar for each day.
fn days(counts: &BTreeMap<String, u64>, style: Style) -> String {
    let most = counts.values().copied().max().unwrap_or(1).max(1);
    let mut table = Table::new(&["ALERTS", "DAY", ""]).right(&[0]);
    for (day, count) in counts {
        let bar = "█".repeat(usize::try_from((count * 40).div_ceil(most)).unwrap_or_default());
        table.row([
            thousands(*count).into(),
            day.clone().into(),
            Cell::new(bar, Tone::Quiet),
        ]);
    }
    table.render(style)
}
