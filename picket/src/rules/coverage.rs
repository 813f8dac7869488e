//! `picket rules coverage`: which ATT&CK techniques rules look for.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use detector::backtest::{Blind, Deployed, Span, find_blind};
use model::Timestamp;
use model::alert::Attack;
use serde_json::json;
use sigma::Metadata;

use super::files::{self, Parsed};
use super::layer::{self, Scored};
use crate::client::Connection;
use crate::database::Database;
use crate::durations::parse_ttl;
use crate::table::{Cell, Style, Table, Tone, counted, thousands};

/// Most rules named in a Navigator comment.
const MAX_NAMED: usize = 20;
/// Most kinds of blindness told.
const MAX_BLIND: usize = 25;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// The rules
    #[arg(long, required_unless_present = "deployed", value_name = "DIR")]
    rules: Vec<PathBuf>,
    /// The enabled rules of a running system instead, and which of them see no data
    #[arg(long, conflicts_with = "rules")]
    deployed: bool,
    /// With --deployed: how far to look back for data
    #[arg(long, default_value = "7d", value_name = "DURATION", value_parser = parse_ttl)]
    since: Duration,
    /// With --deployed: the latest so many events are looked at
    #[arg(long, default_value_t = 1_000_000, value_name = "N")]
    max_events: u64,
    /// Write an ATT&CK Navigator layer
    #[arg(long, value_name = "FILE")]
    navigator: Option<PathBuf>,
    /// List every technique
    #[arg(long)]
    techniques: bool,
    /// One JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    database: Database,
    #[command(flatten)]
    connection: Connection,
}

/// Rules by technique and by tactic.
#[derive(Debug, Default)]
struct Coverage<'a> {
    techniques: BTreeMap<String, Vec<&'a Metadata>>,
    tactics: BTreeMap<String, (BTreeSet<String>, usize)>,
    untagged: usize,
}

pub(crate) async fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let (parsed, blind) = if args.deployed {
        let (parsed, blind, events) = deployed(args).await?;
        (parsed, Some((blind, events)))
    } else {
        (files::collect(&args.rules)?.parse(), None)
    };
    let errors = parsed.all_errors().count();
    // A filter takes away; it covers nothing.
    let rules: Vec<&Metadata> = parsed
        .metadata()
        .take(parsed.rules.len() + parsed.correlations.len())
        .collect();
    let coverage = cover(&rules);
    if let Some(path) = &args.navigator {
        let description = format!("{} of Picket", counted(rules.len(), "rule"));
        let layer = layer::document("Picket rules", &description, &coverage.scored());
        let text = serde_json::to_string_pretty(&layer).context("write JSON")?;
        std::fs::write(path, text).with_context(|| format!("write {}", path.display()))?;
    }
    if args.json {
        let techniques: Vec<_> = coverage
            .techniques
            .iter()
            .map(|(technique, rules)| {
                let ids: Vec<&str> = rules.iter().map(|rule| rule.id.as_str()).collect();
                json!({ "technique": technique, "rules": ids })
            })
            .collect();
        let mut report = json!({
            "rules": rules.len(), "refused": errors, "untagged": coverage.untagged, "techniques": techniques,
        });
        if let Some((blind, events)) = &blind {
            report["events"] = json!(events);
            report["blind"] = json!(blind);
        }
        println!("{report}");
    } else {
        print!("{}", coverage.render(args.techniques, Style::stdout()));
        println!(
            "{} cover {}; {} without a technique{}",
            counted(rules.len(), "rule"),
            counted(coverage.techniques.len(), "technique"),
            coverage.untagged,
            if errors == 0 {
                String::new()
            } else {
                format!("; {} refused (picket rules lint says why)", errors)
            }
        );
        if let Some((blind, events)) = &blind {
            tell_blind(blind, *events, parsed.rules.len());
        }
        if let Some(path) = &args.navigator {
            println!("layer written to {}", path.display());
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn deployed(args: &Args) -> anyhow::Result<(Parsed, Vec<Blind>, u64)> {
    let store = args.database.store(&args.connection).await?;
    let tenant = &args.database.tenant;
    let deployed = Deployed::read(&store, tenant).await?;
    let since = i64::try_from(args.since.as_micros()).unwrap_or(i64::MAX);
    let span = Span {
        tenant: tenant.clone(),
        from: Some(Timestamp(Timestamp::now().0.saturating_sub(since))),
        to: None,
    };
    let (blind, events) = find_blind(&store, &deployed, &span, args.max_events).await?;
    let parsed = Parsed {
        rules: deployed.rules,
        correlations: deployed.correlations,
        filters: deployed.filters,
        ..Parsed::default()
    };
    Ok((parsed, blind, events))
}

fn tell_blind(blind: &[Blind], events: u64, rules: usize) {
    let style = Style::stdout();
    let mut by_reason: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    for rule in blind {
        *by_reason.entry((&rule.logsource, &rule.reason)).or_default() += 1;
    }
    let mut rows: Vec<_> = by_reason.into_iter().collect();
    rows.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let mut table = Table::new(&["BLIND", "LOGSOURCE", "WHY"]).right(&[0]);
    for ((logsource, reason), count) in rows.iter().take(MAX_BLIND) {
        table.row([count.to_string().into(), (*logsource).into(), (*reason).into()]);
    }
    if !blind.is_empty() {
        print!("\n{}", table.render(style));
    }
    if rows.len() > MAX_BLIND {
        println!("… {} more (--json has all)", rows.len() - MAX_BLIND);
    }
    println!(
        "{} of {} see none of the latest {} events",
        style.yellow(&counted(blind.len(), "rule")),
        counted(rules, "rule"),
        thousands(usize::try_from(events).unwrap_or(usize::MAX))
    );
}

fn cover<'a>(rules: &[&'a Metadata]) -> Coverage<'a> {
    let mut coverage = Coverage::default();
    for rule in rules {
        let attack = Attack::from_tags(&rule.tags);
        coverage.untagged += usize::from(attack.techniques.is_empty());
        for technique in &attack.techniques {
            coverage.techniques.entry(technique.clone()).or_default().push(rule);
        }
        for tactic in attack.tactics {
            let (techniques, count) = coverage.tactics.entry(tactic).or_default();
            techniques.extend(attack.techniques.iter().cloned());
            *count += 1;
        }
    }
    coverage
}

impl Coverage<'_> {
    fn scored(&self) -> Vec<Scored> {
        self.techniques
            .iter()
            .map(|(technique, rules)| {
                let mut titles: Vec<&str> = rules.iter().take(MAX_NAMED).map(|rule| rule.title.as_str()).collect();
                if rules.len() > MAX_NAMED {
                    titles.push("…");
                }
                Scored {
                    technique: technique.clone(),
                    rules: rules.len(),
                    comment: titles.join("; "),
                }
            })
            .collect()
    }

    fn render(&self, techniques: bool, style: Style) -> String {
        if techniques {
            let mut table = Table::new(&["TECHNIQUE", "RULES", "BY LEVEL"]).right(&[1]);
            for (technique, rules) in &self.techniques {
                let mut levels: BTreeMap<_, usize> = BTreeMap::new();
                for rule in rules {
                    *levels.entry(std::cmp::Reverse(rule.level)).or_default() += 1;
                }
                let levels: Vec<String> = levels
                    .iter()
                    .map(|(level, count)| format!("{count} {}", level.0))
                    .collect();
                table.row([
                    technique.clone().into(),
                    rules.len().to_string().into(),
                    Cell::new(levels.join(", "), Tone::Quiet),
                ]);
            }
            return table.render(style);
        }
        let mut table = Table::new(&["TACTIC", "TECHNIQUES", "RULES"]).right(&[1, 2]);
        for (tactic, (techniques, rules)) in &self.tactics {
            table.row([
                tactic.clone().into(),
                techniques.len().to_string().into(),
                rules.to_string().into(),
            ]);
        }
        table.render(style)
    }
}
