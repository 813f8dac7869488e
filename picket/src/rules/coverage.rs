//! `picket rules coverage`: which ATT&CK techniques rules look for.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use model::Level;
use model::alert::Attack;
use proto::query::v1::ListRulesRequest;
use serde_json::{Value, json};
use sigma::Metadata;

use super::files;
use super::layer::{self, Scored};
use super::remote::deployed;
use crate::client::Connection;
use crate::table::{Cell, Style, Table, Tone, counted};

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
    /// With --deployed: days looked back for data, today included
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..=400), value_name = "N")]
    days: u32,
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
    connection: Connection,
}

/// A rule as far as coverage goes.
#[derive(Clone, Debug)]
struct Covering {
    id: String,
    title: String,
    level: Level,
    tags: Vec<String>,
}

impl Covering {
    fn of(metadata: &Metadata) -> Self {
        Self {
            id: metadata.id.clone(),
            title: metadata.title.clone(),
            level: metadata.level,
            tags: metadata.tags.clone(),
        }
    }
}

/// Rules by technique and by tactic.
#[derive(Debug, Default)]
struct Coverage<'a> {
    techniques: BTreeMap<String, Vec<&'a Covering>>,
    tactics: BTreeMap<String, (BTreeSet<String>, usize)>,
    untagged: usize,
}

pub(crate) async fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let (rules, errors, seen) = if args.deployed {
        let (rules, seen) = of_deployed(args).await?;
        (rules, 0, Some(seen))
    } else {
        let parsed = files::collect(&args.rules)?.parse();
        let rules = parsed.metadata().map(Covering::of);
        // A filter takes away; it covers nothing.
        let rules: Vec<Covering> = rules.take(parsed.rules.len() + parsed.correlations.len()).collect();
        (rules, parsed.all_errors().count(), None)
    };
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
        if let Some(seen) = &seen {
            for member in ["days", "techniques", "blind", "uncounted"] {
                report[member] = seen[member].clone();
            }
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
        if let Some(seen) = &seen {
            print!("{}", told_blind(seen, rules.len(), Style::stdout()));
        }
        if let Some(path) = &args.navigator {
            println!("layer written to {}", path.display());
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The rules and correlations in use, and what the system says of those that see no data.
async fn of_deployed(args: &Args) -> anyhow::Result<(Vec<Covering>, Value)> {
    let target = args.connection.target()?;
    let seen = target
        .rest()?
        .get(&format!("/rules/coverage?days={}", args.days))
        .await?;
    let rules = deployed::list(&target, ListRulesRequest::default()).await?;
    let rules = rules
        .into_iter()
        .filter(|rule| rule.enabled && rule.error.is_empty() && matches!(rule.kind.as_str(), "rule" | "correlation"));
    let rules = rules.map(|rule| Covering {
        level: rule.level.parse().unwrap_or(Level::Informational),
        id: rule.id,
        title: rule.title,
        tags: rule.tags,
    });
    Ok((rules.collect(), seen))
}

fn told_blind(seen: &Value, rules: usize, style: Style) -> String {
    let blind = seen["blind"].as_array().map(Vec::as_slice).unwrap_or_default();
    let mut by_reason: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    for rule in blind {
        let text = |member: &str| rule[member].as_str().unwrap_or_default();
        let about = if text("kind") == "correlation" {
            "correlation"
        } else {
            text("logsource")
        };
        *by_reason.entry((about, text("reason"))).or_default() += 1;
    }
    let mut rows: Vec<_> = by_reason.into_iter().collect();
    rows.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let mut table = Table::new(&["BLIND", "LOGSOURCE", "WHY"]).right(&[0]);
    for ((about, reason), count) in rows.iter().take(MAX_BLIND) {
        table.row([count.to_string().into(), (*about).into(), (*reason).into()]);
    }
    let mut text = String::new();
    if !blind.is_empty() {
        text.push_str(&format!("\n{}", table.render(style)));
    }
    if rows.len() > MAX_BLIND {
        text.push_str(&format!("… {} more (--json has all)\n", rows.len() - MAX_BLIND));
    }
    let number = |member: &str| usize::try_from(seen[member].as_u64().unwrap_or(0)).unwrap_or(usize::MAX);
    let uncounted = number("uncounted");
    text.push_str(&format!(
        "{} of {} could find nothing in {}{}\n",
        style.yellow(&counted(blind.len(), "rule")),
        rules,
        counted(number("days"), "day"),
        if uncounted == 0 {
            String::new()
        } else {
            format!("; {uncounted} too new to tell")
        }
    ));
    text
}

fn cover(rules: &[Covering]) -> Coverage<'_> {
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
