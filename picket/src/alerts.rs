//! `picket alerts list`, and how an alert reads on one line.

use std::io::IsTerminal as _;
use std::process::ExitCode;

use model::Timestamp;
use proto::query::v1::{Alert, ListAlertsRequest};

use crate::client::{Connection, grpc_error};

#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// Show stored alerts, newest first
    List(Args),
}

#[derive(clap::Args)]
pub(crate) struct Args {
    /// How many, 1 to 1,000
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1000))]
    limit: u32,
    /// Only this agent's
    #[arg(long, value_name = "ID|NAME", default_value = "", hide_default_value = true)]
    agent_id: String,
    /// Only those with this address in the event
    #[arg(long, default_value = "", hide_default_value = true)]
    ip: String,
    /// Only this rule's
    #[arg(long, value_name = "ID", default_value = "", hide_default_value = true)]
    rule_id: String,
    /// Leave out alerts below this level
    #[arg(long, value_name = "LEVEL")]
    min_level: Option<model::Level>,
    /// One JSON object a line
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: Connection,
}

pub(crate) async fn run(command: Command) -> anyhow::Result<ExitCode> {
    let Command::List(args) = command;
    let request = ListAlertsRequest {
        limit: args.limit,
        agent_id: args.agent_id,
        ip: args.ip,
        min_level: args.min_level.map(|level| level.to_string()).unwrap_or_default(),
        rule_id: args.rule_id,
    };
    let mut client = args.connection.target()?.query().await?;
    let answer = client.list_alerts(request).await.map_err(grpc_error)?.into_inner();
    let color = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    for alert in &answer.alerts {
        if args.json {
            println!("{}", alert.json);
        } else {
            println!("{}", human_line(alert, color));
        }
    }
    if answer.alerts.is_empty() && !args.json {
        eprintln!("no alerts");
    }
    Ok(ExitCode::SUCCESS)
}

/// Time, level, title, host, who and where from.
pub(crate) fn human_line(alert: &Alert, color: bool) -> String {
    let time = Timestamp(alert.timestamp_micros).to_utc().format("%Y-%m-%d %H:%M:%S");
    let level = format!("{:<13}", alert.level);
    let level = match (color, alert.level.as_str()) {
        (true, "critical") => format!("\x1b[1;31m{level}\x1b[0m"),
        (true, "high") => format!("\x1b[31m{level}\x1b[0m"),
        (true, "medium") => format!("\x1b[33m{level}\x1b[0m"),
        _ => level,
    };
    let event: serde_json::Value = serde_json::from_str(&alert.json).unwrap_or_default();
    let event = &event["event"];
    let text = |value: &serde_json::Value| value.as_str().map(printable).filter(|text| !text.is_empty());
    let host = text(&event["host"]["name"]).unwrap_or_else(|| printable(&alert.agent_name));
    let mut line = format!("{time}  {level} {}  host={host}", printable(&alert.title));
    for (label, value) in [
        ("user", text(&event["user"]["name"])),
        ("from", text(&event["source"]["ip"])),
    ] {
        if let Some(value) = value {
            line.push_str(&format!(" {label}={value}"));
        }
    }
    line.push_str(&format!("  {}", alert.id));
    if is_retracted(alert) {
        line.push_str("  RETRACTED");
    }
    line
}

/// Whether it is a correlation's and events that came later took it back.
pub(crate) fn is_retracted(alert: &Alert) -> bool {
    let alert: serde_json::Value = serde_json::from_str(&alert.json).unwrap_or_default();
    alert["correlation"]["retracted"] == true
}

/// Event content is an attacker's to choose: nothing of it may steer the terminal.
fn printable(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .take(200)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_tells_what_where_and_who_and_cannot_steer_the_terminal() {
        let alert = Alert {
            id: "ab".to_owned(),
            title: "SSH failed password".to_owned(),
            level: "low".to_owned(),
            json: r#"{"event":{"host":{"name":"web"},"user":{"name":"ro\u001b[2Jot"},"source":{"ip":"203.0.113.7"}}}"#
                .to_owned(),
            ..Alert::default()
        };
        let line = human_line(&alert, false);
        assert!(
            line.contains("low") && line.contains("host=web") && line.contains("from=203.0.113.7"),
            "{line}"
        );
        assert!(!line.contains('\x1b') && !line.ends_with("RETRACTED"), "{line}");
        let taken_back = Alert {
            json: r#"{"correlation":{"retracted":true}}"#.to_owned(),
            ..alert
        };
        assert!(human_line(&taken_back, false).ends_with("ab  RETRACTED"));
    }
}
