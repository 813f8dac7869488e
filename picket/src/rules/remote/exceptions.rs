//! `picket exceptions`: what rules do not alert on, by whom, why and until when.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use model::Timestamp;
use serde_json::{Map, Value, json};

use crate::client::{Connection, encoded};
use crate::durations::parse_ttl;
use crate::table::{Cell, Style, Table, Tone, counted};

#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// Show exceptions
    List(ListArgs),
    /// Add an exception
    Add(AddArgs),
    /// Remove exceptions
    Remove(RemoveArgs),
}

#[derive(clap::Args)]
pub(crate) struct ListArgs {
    /// Only this rule's; `*` for those of all rules
    #[arg(long, value_name = "ID")]
    rule: Option<String>,
    /// One JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: Connection,
}

#[derive(clap::Args)]
pub(crate) struct AddArgs {
    /// Id of the rule or correlation; `*` for all
    #[arg(long, value_name = "ID")]
    rule: String,
    /// A field, with modifiers, and its value; all must match. Given twice for one field: either value
    #[arg(long = "where", value_name = "FIELD=VALUE", required_unless_present_any = ["selection", "query"])]
    fields: Vec<String>,
    /// A Sigma selection as JSON instead
    #[arg(long, value_name = "JSON", conflicts_with = "fields")]
    selection: Option<String>,
    /// The events in the language of `picket search` instead, such as 'host.name:build-* AND source.ip:10.0.0.0/8'
    #[arg(long, value_name = "QUERY", conflicts_with_all = ["fields", "selection"])]
    query: Option<String>,
    /// Why this is no finding
    #[arg(long)]
    reason: String,
    /// How long it holds from now on, such as 7d; for ever when not given
    #[arg(long = "for", value_name = "DURATION", value_parser = parse_ttl)]
    duration: Option<Duration>,
    /// One JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: Connection,
}

#[derive(clap::Args)]
pub(crate) struct RemoveArgs {
    /// Ids of exceptions
    #[arg(required = true, value_name = "ID")]
    ids: Vec<String>,
    #[command(flatten)]
    connection: Connection,
}

pub(crate) async fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::List(args) => list(&args).await,
        Command::Add(args) => add(&args).await,
        Command::Remove(args) => remove(&args).await,
    }
}

async fn list(args: &ListArgs) -> anyhow::Result<ExitCode> {
    let rest = args.connection.target()?.rest()?;
    let query = args
        .rule
        .as_ref()
        .map(|rule| format!("?rule_id={}", encoded(rule)))
        .unwrap_or_default();
    let answer = rest.get(&format!("/rules/exceptions{query}")).await?;
    if args.json {
        println!("{answer}");
        return Ok(ExitCode::SUCCESS);
    }
    let items = answer["items"].as_array().context("read the gateway's answer")?;
    let now = Timestamp::now();
    let mut table = Table::new(&["ID", "RULE", "WHERE", "UNTIL", "BY", "REASON"]);
    for item in items {
        let text = |name: &str| item[name].as_str().unwrap_or_default().to_owned();
        let until = match item["expires_at"].as_str() {
            None => Cell::from("for ever"),
            Some(at) => {
                let ended = at.parse::<Timestamp>().is_ok_and(|at| at <= now);
                let shown = at.get(..16).unwrap_or(at).replace('T', " ");
                if ended {
                    Cell::new(format!("{shown} (over)"), Tone::Quiet)
                } else {
                    shown.into()
                }
            }
        };
        table.row([
            text("id").into(),
            text("rule_id").into(),
            match item["query"].as_str() {
                Some(query) => query.into(),
                None => shown_selection(&item["selection"]).into(),
            },
            until,
            text("author").into(),
            text("reason").into(),
        ]);
    }
    if !items.is_empty() {
        print!("{}", table.render(Style::stdout()));
    }
    println!("{}", counted(items.len(), "exception"));
    Ok(ExitCode::SUCCESS)
}

fn shown_selection(selection: &Value) -> String {
    let Some(fields) = selection.as_object() else {
        return selection.to_string();
    };
    let shown = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let parts: Vec<String> = fields
        .iter()
        .map(|(field, value)| match value.as_array() {
            Some(values) => format!("{field}={}", values.iter().map(shown).collect::<Vec<_>>().join(" or ")),
            None => format!("{field}={}", shown(value)),
        })
        .collect();
    parts.join(", ")
}

async fn add(args: &AddArgs) -> anyhow::Result<ExitCode> {
    let mut body = json!({ "rule_id": args.rule, "reason": args.reason });
    match (&args.query, &args.selection) {
        (Some(query), _) => {
            // Nearer than the gateway's answer: it can point at the character.
            query::Query::parse(query).map_err(|error| anyhow!("--query: {error}\n{}", error.caret(query)))?;
            body["query"] = Value::from(query.as_str());
        }
        (None, Some(text)) => {
            body["selection"] = serde_json::from_str(text).context("--selection: expected a JSON object")?;
        }
        (None, None) => body["selection"] = Value::Object(selection(&args.fields)?),
    }
    if let Some(duration) = args.duration {
        let micros = i64::try_from(duration.as_micros()).unwrap_or(i64::MAX);
        body["expires_at"] = Value::from(Timestamp(Timestamp::now().0.saturating_add(micros)).to_string());
    }
    let rest = args.connection.target()?.rest()?;
    let made = rest.post("/rules/exceptions", &body).await?;
    if args.json {
        println!("{made}");
    } else {
        println!("added exception {}", made["id"].as_str().unwrap_or_default());
        match made["expires_at"].as_str() {
            Some(at) => println!("it holds for events until {at}"),
            None => println!("it holds for ever; --for 30d would have set an end"),
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn selection(fields: &[String]) -> anyhow::Result<Map<String, Value>> {
    let mut selection: Map<String, Value> = Map::new();
    for field in fields {
        let Some((name, value)) = field.split_once('=').filter(|(name, _)| !name.is_empty()) else {
            bail!("--where: expected FIELD=VALUE, got {field:?}");
        };
        let value = Value::from(value);
        match selection.get_mut(name) {
            Some(Value::Array(values)) => values.push(value),
            Some(known) => {
                let first = std::mem::take(known);
                *known = Value::Array(vec![first, value]);
            }
            None => {
                selection.insert(name.to_owned(), value);
            }
        }
    }
    Ok(selection)
}

async fn remove(args: &RemoveArgs) -> anyhow::Result<ExitCode> {
    let rest = args.connection.target()?.rest()?;
    for id in &args.ids {
        rest.delete(&format!("/rules/exceptions/{}", encoded(id))).await?;
        println!("removed exception {id}");
    }
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_given_twice_means_either_value() {
        let given = ["host.name=a", "user.name|startswith=svc=", "host.name=b"].map(str::to_owned);
        let found = Value::Object(selection(&given).unwrap());
        assert_eq!(found, json!({"host.name": ["a", "b"], "user.name|startswith": "svc="}));
        assert_eq!(shown_selection(&found), "host.name=a or b, user.name|startswith=svc=");
        assert!(selection(&["=x".to_owned()]).is_err());
    }
}
