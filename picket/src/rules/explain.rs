//! `picket rules explain`: why a rule matches an event, or what is missing.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use model::Event;
use sigma::{Catalog, Explanation, Rule};

use super::{events, files, render};
use crate::table::Style;

/// Most events explained in one go.
const MAX_EVENTS: usize = 100;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// A rule file
    #[arg(long, value_name = "FILE")]
    rule: PathBuf,
    /// A file with events: log lines, JSON, exported events or alerts; `-` reads standard input
    #[arg(long, value_name = "FILE")]
    event: PathBuf,
    /// Parser for log lines, such as sshd
    #[arg(long, value_name = "TYPE")]
    log_type: Option<String>,
    /// Take JSON objects as they are, without the parsers
    #[arg(long)]
    as_is: bool,
    /// One JSON object for each rule and event
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let rules = rules(&args.rule)?;
    let events = events(&args)?;
    let mut matched = 0;
    for (number, event) in events.iter().enumerate() {
        for rule in &rules {
            let found = sigma::explain(rule, Catalog::builtin(), event).context("explain the rule")?;
            matched += usize::from(found.matched);
            show(&found, args.json, (events.len() > 1).then_some(number + 1))?;
        }
    }
    Ok(if matched > 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn show(found: &Explanation, as_json: bool, number: Option<usize>) -> anyhow::Result<()> {
    if as_json {
        println!("{}", serde_json::to_string(found).context("write JSON")?);
        return Ok(());
    }
    if let Some(number) = number {
        println!("event {number}:");
    }
    print!("{}", render::explanation(found, Style::stdout()));
    Ok(())
}

fn rules(path: &Path) -> anyhow::Result<Vec<Rule>> {
    let text = files::read(path).with_context(|| path.display().to_string())?;
    sigma::parse_rules(&path.to_string_lossy(), &text)
        .into_iter()
        .map(|rule| rule.map_err(anyhow::Error::from))
        .collect()
}

fn events(args: &Args) -> anyhow::Result<Vec<Event>> {
    let text = events::read(&args.event)?;
    let found = if args.as_is {
        events::objects(&text)?.iter().map(events::as_it_is).collect()
    } else {
        events::parse(&text, args.log_type.as_deref())?
    };
    if found.is_empty() {
        bail!("{}: expected an event, got nothing", args.event.display());
    }
    if found.len() > MAX_EVENTS {
        bail!(
            "{}: expected at most {MAX_EVENTS} events, got {}",
            args.event.display(),
            found.len()
        );
    }
    Ok(found)
}
