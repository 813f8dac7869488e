//! `picket rules cost`: what the rules of a running system cost, as its detectors count it.

use std::process::ExitCode;

use serde_json::Value;

use super::list::level;
use crate::client::Connection;
use crate::table::{Cell, Style, Table, Tone, counted, shortened, thousands};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Days looked back, today included
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..=400), value_name = "N")]
    days: u32,
    /// Show the N dearest rules; those over their budget are shown in any case
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=5000), value_name = "N")]
    top: u32,
    /// One JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: Connection,
}

pub(crate) async fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let rest = args.connection.target()?.rest()?;
    let path = format!("/rules/cost?days={}&limit={}", args.days, args.top);
    let cost = rest.get(&path).await?;
    if args.json {
        println!("{cost}");
    } else {
        print!("{}", render(&cost, Style::stdout()));
    }
    Ok(ExitCode::SUCCESS)
}

fn render(cost: &Value, style: Style) -> String {
    let number = |value: &Value| thousands(value.as_u64().unwrap_or(0));
    let count = |value: &Value| usize::try_from(value.as_u64().unwrap_or(0)).unwrap_or(usize::MAX);
    let share = |value: &Value| value.as_f64().unwrap_or(0.0) * 100.0;
    let nanoseconds = |value: &Value| format!("{:.1}", value.as_f64().unwrap_or(0.0));
    let rules = cost["rules"].as_array().map(Vec::as_slice).unwrap_or_default();
    if rules.is_empty() {
        return "no rule was counted in this time; detectors write what they count every few seconds while events come \
                in\n"
            .to_owned();
    }
    let header = [
        "NS/EVENT",
        "SHARE",
        "CANDIDATES",
        "HITS",
        "EVENTS",
        "STATE",
        "LEVEL",
        "TITLE",
        "ID",
    ];
    let mut table = Table::new(&header).right(&[0, 1, 2, 3, 4]);
    for rule in rules {
        let state = match (rule["over_budget"] == true, rule["enabled"] == true) {
            (true, true) => Cell::new("OVER BUDGET", Tone::Bad),
            (true, false) => Cell::new("OVER BUDGET, off", Tone::Bad),
            (false, true) => Cell::new("on", Tone::Good),
            (false, false) => Cell::new("off", Tone::Quiet),
        };
        table.row([
            nanoseconds(&rule["nanoseconds_per_event"]).into(),
            format!("{:.1} %", share(&rule["share"])).into(),
            format!("{:.3} %", share(&rule["candidate_rate"])).into(),
            number(&rule["hits"]).into(),
            number(&rule["events"]).into(),
            state,
            level(rule["level"].as_str().unwrap_or_default()),
            shortened(rule["title"].as_str().unwrap_or_default(), 60).into(),
            Cell::new(rule["id"].as_str().unwrap_or_default(), Tone::Quiet),
        ]);
    }
    let mut text = table.render(style);
    let over = count(&cost["over_budget"]);
    let flagged = format!("{over} over budget");
    text.push_str(&format!(
        "{} cost {} ns an event together; {}\n",
        counted(count(&cost["counted"]), "rule"),
        nanoseconds(&cost["nanoseconds_per_event"]),
        if over == 0 { flagged } else { style.red(&flagged) }
    ));
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_rule_over_its_budget_is_flagged() {
        let cost = json!({
            "counted": 2, "over_budget": 1, "nanoseconds_per_event": 10.0,
            "rules": [
                {"id": "a", "title": "A", "level": "low", "enabled": true, "nanoseconds_per_event": 9.0, "share": 0.9,
                 "events": 1000, "candidate_rate": 0.5, "hits": 3, "over_budget": true},
                {"id": "b", "title": "B", "enabled": false, "nanoseconds_per_event": 1.0, "share": 0.1,
                 "events": 1000, "candidate_rate": 0.0, "hits": 0, "over_budget": false},
            ],
        });
        let text = render(&cost, Style::default());
        let lines: Vec<&str> = text.lines().collect();
        assert!(
            lines[1].contains("OVER BUDGET") && lines[1].contains("90.0 %"),
            "{text}"
        );
        assert!(lines[2].contains("off") && !lines[2].contains("OVER"), "{text}");
        assert_eq!(lines[3], "2 rules cost 10.0 ns an event together; 1 over budget");
        assert!(render(&json!({"rules": []}), Style::default()).starts_with("no rule"));
    }
}
