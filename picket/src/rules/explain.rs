//! `picket rules explain`: why a rule matches an event, or what is missing. Files are explained here; what is stored in a
//! running system, there.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use model::Event;
use proto::rules::v1::ExplainRuleRequest;
use proto::rules::v1::explain_rule_request::{Event as WireEvent, Rule as WireRule};
use serde_json::Value;
use sigma::{Catalog, Correlation, CorrelationExplanation, Document, Explanation, Filter, Rule};

use super::{events, files, render, render_correlation};
use crate::client::{Connection, RuleClient, encoded, grpc_error};
use crate::table::Style;

/// Most events explained in one go.
const MAX_EVENTS: usize = 100;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// A file with rules, or with correlations and the rules they are over, or the id of a deployed rule or correlation
    #[arg(long, value_name = "FILE|ID", required_unless_present = "alert")]
    rule: Option<String>,
    /// A file with events (log lines, JSON, exported events or alerts), `-` for standard input, or the id of a stored
    /// event
    #[arg(long, value_name = "FILE|ID|-", required_unless_present = "alert")]
    event: Option<String>,
    /// Id of a stored alert: its rule and its event; of a correlation's, which events made it
    #[arg(long, value_name = "ID", conflicts_with_all = ["rule", "event"])]
    alert: Option<String>,
    /// Parser for log lines, such as sshd
    #[arg(long, value_name = "TYPE")]
    log_type: Option<String>,
    /// A processing pipeline for a rule file
    #[arg(long = "pipeline", value_name = "FILE")]
    pipelines: Vec<PathBuf>,
    /// Filters for a rule file
    #[arg(long = "filter", value_name = "FILE|DIR")]
    filters: Vec<PathBuf>,
    /// Take JSON objects as they are, without the parsers
    #[arg(long)]
    as_is: bool,
    /// One JSON object for each rule and event
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: Connection,
}

/// A rule, here or there.
enum GivenRule {
    File {
        rules: Vec<Rule>,
        correlations: Vec<Correlation>,
        text: String,
    },
    Id(String),
}

/// Events, here or there.
enum GivenEvents {
    File(Vec<Event>),
    Id(String),
}

/// What a rule, a correlation or an alert is explained with.
enum Explained {
    Rule(Box<Explanation>),
    Correlation(Box<CorrelationExplanation>),
    Alert(Value),
}

impl Explained {
    fn read(json: Value) -> anyhow::Result<Self> {
        let read = if json.get("contributes").is_some() {
            serde_json::from_value(json).map(|found| Self::Correlation(Box::new(found)))
        } else if json.get("alert_id").is_some() {
            Ok(Self::Alert(json))
        } else {
            serde_json::from_value(json).map(|found| Self::Rule(Box::new(found)))
        };
        read.context("read the gateway's explanation")
    }

    fn matched(&self) -> bool {
        match self {
            Self::Rule(found) => found.matched,
            Self::Correlation(found) => found.contributes,
            Self::Alert(_) => true,
        }
    }
}

pub(crate) async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let explained = match (&args.alert, &args.rule, &args.event) {
        (Some(alert), _, _) => vec![of_alert(&args, alert).await?],
        (None, Some(rule), Some(event)) => {
            let (rule, events) = (given_rule(rule)?, given_events(&args, event)?);
            of_event(&args, rule, events).await?
        }
        (None, _, _) => bail!("expected --rule and --event, or --alert"),
    };
    let several = explained.len() > 1;
    for (number, found) in explained.iter().enumerate() {
        show(found, args.json, several.then_some(number + 1))?;
    }
    let matched = explained.iter().any(Explained::matched);
    Ok(if matched { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn of_event(args: &Args, rule: GivenRule, events: GivenEvents) -> anyhow::Result<Vec<Explained>> {
    match (rule, events) {
        // Correlations without rules are over deployed ones.
        (
            GivenRule::File {
                rules, correlations, ..
            },
            GivenEvents::File(events),
        ) if !rules.is_empty() => {
            let (catalog, filters) = (catalog(&args.pipelines)?, filters(&args.filters)?);
            if correlations.is_empty() {
                here(&rules, &events, &catalog, &filters)
            } else {
                here_correlated(&correlations, &rules, &events, &catalog, &filters)
            }
        }
        (_, _) if !args.pipelines.is_empty() || !args.filters.is_empty() => {
            bail!("--pipeline and --filter are for files; a running system takes its own")
        }
        (rule, events) => there(args, rule, events).await,
    }
}

fn here(rules: &[Rule], events: &[Event], catalog: &Catalog, filters: &[Filter]) -> anyhow::Result<Vec<Explained>> {
    let mut explained = Vec::new();
    for event in events {
        for rule in rules {
            let found = sigma::explain_with(rule, catalog, filters, event).context("explain the rule")?;
            explained.push(Explained::Rule(Box::new(found)));
        }
    }
    Ok(explained)
}

fn here_correlated(
    correlations: &[Correlation],
    rules: &[Rule],
    events: &[Event],
    catalog: &Catalog,
    filters: &[Filter],
) -> anyhow::Result<Vec<Explained>> {
    let mut explained = Vec::new();
    for event in events {
        for correlation in correlations {
            let (id, all) = (&correlation.id, correlations.to_vec());
            let found = sigma::explain_correlation(id, all, rules, catalog, filters, event);
            let found = found.context("explain the correlation")?;
            explained.push(Explained::Correlation(Box::new(found)));
        }
    }
    Ok(explained)
}

fn catalog(paths: &[PathBuf]) -> anyhow::Result<Catalog> {
    let mut pipelines = Vec::with_capacity(paths.len());
    for path in paths {
        let text = files::read(path).with_context(|| path.display().to_string())?;
        pipelines.push((path.to_string_lossy().into_owned(), text));
    }
    Catalog::with_pipelines(&pipelines).map_err(|errors| {
        let told: Vec<String> = errors.iter().map(ToString::to_string).collect();
        anyhow::anyhow!("{}", told.join("\n"))
    })
}

fn filters(paths: &[PathBuf]) -> anyhow::Result<Vec<Filter>> {
    if paths.is_empty() {
        return Ok(Vec::new());
    }
    let parsed = files::collect(paths)?.parse();
    if let Some(error) = parsed.all_errors().next() {
        bail!("--filter: {error}");
    }
    if parsed.filters.is_empty() {
        bail!("--filter: expected filters, found none");
    }
    Ok(parsed.filters)
}

async fn there(args: &Args, rule: GivenRule, events: GivenEvents) -> anyhow::Result<Vec<Explained>> {
    let rule = match rule {
        GivenRule::Id(id) => WireRule::RuleId(id),
        GivenRule::File { text, .. } => WireRule::RuleYaml(text),
    };
    let events = match events {
        GivenEvents::Id(id) => vec![WireEvent::EventId(id)],
        GivenEvents::File(events) => events
            .iter()
            .map(|event| WireEvent::EventJson(event.to_json().to_string()))
            .collect(),
    };
    let mut client = args.connection.target()?.rules().await?;
    let mut explained = Vec::with_capacity(events.len());
    for event in events {
        explained.push(ask(&mut client, rule.clone(), event).await?);
    }
    Ok(explained)
}

async fn ask(client: &mut RuleClient, rule: WireRule, event: WireEvent) -> anyhow::Result<Explained> {
    let request = ExplainRuleRequest {
        tenant: String::new(),
        rule: Some(rule),
        event: Some(event),
    };
    let answer = client.explain_rule(request).await.map_err(grpc_error)?.into_inner();
    let json = serde_json::from_str(&answer.explanation_json).context("read the gateway's explanation")?;
    Explained::read(json)
}

async fn of_alert(args: &Args, id: &str) -> anyhow::Result<Explained> {
    let rest = args.connection.target()?.rest()?;
    Explained::read(rest.get(&format!("/alerts/{}/explain", encoded(id))).await?)
}

fn show(found: &Explained, as_json: bool, number: Option<usize>) -> anyhow::Result<()> {
    if as_json {
        let line = match found {
            Explained::Rule(found) => serde_json::to_string(found),
            Explained::Correlation(found) => serde_json::to_string(found),
            Explained::Alert(found) => serde_json::to_string(found),
        };
        println!("{}", line.context("write JSON")?);
        return Ok(());
    }
    if let Some(number) = number {
        println!("{number}:");
    }
    let style = Style::stdout();
    let text = match found {
        Explained::Rule(found) => render::explanation(found, style),
        Explained::Correlation(found) => render_correlation::contribution(found, style),
        Explained::Alert(found) => render_correlation::alert(found, style),
    };
    print!("{text}");
    Ok(())
}

/// Whether a name that is no file could be an id.
fn is_id(text: &str) -> bool {
    !text.contains(['/', '\\'])
        && ![".yml", ".yaml", ".json", ".jsonl", ".log", ".txt"]
            .iter()
            .any(|end| text.ends_with(end))
}

fn given_rule(text: &str) -> anyhow::Result<GivenRule> {
    let path = Path::new(text);
    if !path.exists() && is_id(text) {
        return Ok(GivenRule::Id(text.to_owned()));
    }
    let yaml = files::read(path).with_context(|| path.display().to_string())?;
    let (mut rules, mut correlations) = (Vec::new(), Vec::new());
    for document in sigma::parse_documents(text, &yaml) {
        match document? {
            Document::Rule(rule) => rules.push(rule),
            Document::Correlation(correlation) => correlations.push(correlation),
            Document::Filter(_) => bail!("{text}: expected rules and correlations, got a filter; see --filter"),
        }
    }
    Ok(GivenRule::File {
        rules,
        correlations,
        text: yaml,
    })
}

fn given_events(args: &Args, text: &str) -> anyhow::Result<GivenEvents> {
    let path = Path::new(text);
    if text != "-" && !path.exists() && is_id(text) {
        return Ok(GivenEvents::Id(text.to_owned()));
    }
    let content = events::read(path)?;
    let found = if args.as_is {
        events::objects(&content)?.iter().map(events::as_it_is).collect()
    } else {
        events::parse(&content, args.log_type.as_deref())?
    };
    if found.is_empty() {
        bail!("{text}: expected an event, got nothing");
    }
    if found.len() > MAX_EVENTS {
        bail!("{text}: expected at most {MAX_EVENTS} events, got {}", found.len());
    }
    Ok(GivenEvents::File(found))
}
