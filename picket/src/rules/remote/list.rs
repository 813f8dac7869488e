//! `picket rules list`: the rules of a running system.

use std::process::ExitCode;

use model::Timestamp;
use proto::query::v1::{ListRulesRequest, Rule};
use serde_json::{Value, json};

use super::deployed;
use crate::client::Connection;
use crate::table::{Cell, Style, Table, Tone, counted, shortened};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Only enabled ones
    #[arg(long, conflicts_with = "disabled")]
    enabled: bool,
    /// Only disabled ones
    #[arg(long)]
    disabled: bool,
    /// Only those that are enabled and cannot be used
    #[arg(long)]
    error: bool,
    /// rule, correlation, filter or pipeline
    #[arg(long, default_value = "", hide_default_value = true)]
    kind: String,
    /// Leave out rules below this level
    #[arg(long, value_name = "LEVEL")]
    min_level: Option<model::Level>,
    /// With this tag, such as attack.t1110
    #[arg(long, default_value = "", hide_default_value = true)]
    tag: String,
    /// With this text in product/category/service, such as windows
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    logsource: String,
    /// Only with this text in title, id or path
    #[arg(value_name = "TEXT", default_value = "", hide_default_value = true)]
    text: String,
    /// One JSON object a line
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: Connection,
}

pub(crate) async fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let request = ListRulesRequest {
        enabled: (args.enabled || args.disabled).then_some(args.enabled),
        has_error: args.error.then_some(true),
        kind: args.kind.clone(),
        min_level: args.min_level.map(|level| level.to_string()).unwrap_or_default(),
        tag: args.tag.clone(),
        logsource: args.logsource.clone(),
        text: args.text.clone(),
        ..ListRulesRequest::default()
    };
    let mut rules = deployed::list(&args.connection.target()?, request).await?;
    if args.json {
        for rule in &rules {
            println!("{}", to_json(rule));
        }
        return Ok(ExitCode::SUCCESS);
    }
    rules.sort_by(|left, right| (&left.logsource, &left.title).cmp(&(&right.logsource, &right.title)));
    let mut table = Table::new(&["STATE", "LEVEL", "KIND", "LOGSOURCE", "TITLE", "ID"]);
    for rule in &rules {
        table.row([
            state(rule),
            level(&rule.level),
            rule.kind.clone().into(),
            logsource(&rule.logsource).into(),
            shortened(&rule.title, 70).into(),
            Cell::new(rule.id.clone(), Tone::Quiet),
        ]);
    }
    if !rules.is_empty() {
        print!("{}", table.render(Style::stdout()));
    }
    let enabled = rules.iter().filter(|rule| rule.enabled).count();
    let broken = rules.iter().filter(|rule| !rule.error.is_empty()).count();
    let mut summary = format!("{}, {enabled} enabled", counted(rules.len(), "rule"));
    if broken > 0 {
        summary.push_str(&format!(
            ", {broken} of them not usable (picket rules show ID says why)"
        ));
    }
    println!("{summary}");
    Ok(ExitCode::SUCCESS)
}

pub(super) fn state(rule: &Rule) -> Cell {
    match (rule.enabled, rule.error.is_empty()) {
        (true, true) => Cell::new("on", Tone::Good),
        (true, false) => Cell::new("ERROR", Tone::Bad),
        (false, _) => Cell::new("off", Tone::Quiet),
    }
}

pub(super) fn level(level: &str) -> Cell {
    let tone = match level {
        "critical" | "high" => Tone::Bad,
        "medium" => Tone::Warning,
        _ => Tone::Plain,
    };
    Cell::new(if level.is_empty() { "-" } else { level }, tone)
}

/// The parts that are given.
fn logsource(text: &str) -> String {
    let parts: Vec<&str> = text.split('/').filter(|part| !part.is_empty()).collect();
    if parts.is_empty() {
        "-".to_owned()
    } else {
        parts.join("/")
    }
}

pub(super) fn to_json(rule: &Rule) -> Value {
    let mut value = json!({
        "id": rule.id, "kind": rule.kind, "title": rule.title, "level": rule.level, "logsource": rule.logsource,
        "tags": rule.tags, "enabled": rule.enabled, "note": rule.note, "error": rule.error, "origin": rule.origin,
        "path": rule.path, "revision": rule.revision, "updated_at": Timestamp(rule.updated_at_micros).to_string(),
        "updated_by": rule.updated_by,
    });
    if !rule.yaml.is_empty() {
        value["yaml"] = Value::from(rule.yaml.as_str());
    }
    value
}
