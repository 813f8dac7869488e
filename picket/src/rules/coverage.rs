//! `picket rules coverage`: which ATT&CK techniques rules look for.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use model::alert::Attack;
use serde_json::json;
use sigma::Metadata;

use super::files;
use super::layer::{self, Scored};
use crate::table::{Cell, Style, Table, Tone, counted};

/// Most rules named in a Navigator comment.
const MAX_NAMED: usize = 20;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// The rules
    #[arg(long, required = true, value_name = "DIR")]
    rules: Vec<PathBuf>,
    /// Write an ATT&CK Navigator layer
    #[arg(long, value_name = "FILE")]
    navigator: Option<PathBuf>,
    /// List every technique
    #[arg(long)]
    techniques: bool,
    /// One JSON object
    #[arg(long)]
    json: bool,
}

/// Rules by technique and by tactic.
#[derive(Debug, Default)]
struct Coverage<'a> {
    techniques: BTreeMap<String, Vec<&'a Metadata>>,
    tactics: BTreeMap<String, (BTreeSet<String>, usize)>,
    untagged: usize,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let parsed = files::collect(&args.rules)?.parse();
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
        let report = json!({
            "rules": rules.len(), "refused": errors, "untagged": coverage.untagged, "techniques": techniques,
        });
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
        if let Some(path) = &args.navigator {
            println!("layer written to {}", path.display());
        }
    }
    Ok(ExitCode::SUCCESS)
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
