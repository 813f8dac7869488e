//! Our engine under measurement.

use std::hint::black_box;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use block::{Block, ByColumn};
use detector::backtest::{columns_of, find_matches};
use model::{Event, Timestamp};
use sigma::{Catalog, Rule, RuleError, RuleSet, Scratch};

use crate::report::median;

/// How often a reload is timed.
pub(super) const RELOADS: usize = 21;

/// The rule set under measurement.
pub(super) struct Ours {
    set: RuleSet,
}

/// What loading took and left out.
pub(super) struct Loading {
    pub(super) parse: Duration,
    pub(super) compile: Duration,
    pub(super) refused: Vec<RuleError>,
}

impl Ours {
    pub(super) fn load(texts: &[(String, String)], product: Option<&str>) -> anyhow::Result<(Self, Loading)> {
        let start = Instant::now();
        let mut rules: Vec<Rule> = Vec::new();
        let mut refused = Vec::new();
        for (path, text) in texts {
            for parsed in sigma::parse_rules(path, text) {
                match parsed {
                    Ok(rule) => rules.push(rule),
                    Err(error) => refused.push(error),
                }
            }
        }
        let parse = start.elapsed();
        rules.retain(|rule| product.is_none() || rule.logsource.product.as_deref() == product);
        if rules.is_empty() {
            bail!("--rules: expected rules, got none");
        }
        let start = Instant::now();
        let (set, errors) = RuleSet::compile(rules);
        let compile = start.elapsed();
        refused.extend(errors);
        let loading = Loading {
            parse,
            compile,
            refused,
        };
        Ok((Self { set }, loading))
    }

    pub(super) fn len(&self) -> usize {
        self.set.len()
    }

    /// Middle time of exchanging one rule of the set.
    pub(super) fn reload(&self) -> anyhow::Result<Duration> {
        let mut times = Vec::new();
        let step = (self.set.len() / RELOADS).max(1);
        for rule in self.set.rules().iter().step_by(step).take(RELOADS) {
            let yaml = format!("{}\n# edited\n", rule.yaml.trim_end());
            let start = Instant::now();
            let edited: Result<Vec<Rule>, RuleError> = sigma::parse_rules(&rule.path, &yaml).into_iter().collect();
            let edited = edited.context("parse an edited rule")?;
            let (next, errors) = self.set.updated(edited, &[], Catalog::builtin(), &[]);
            times.push(start.elapsed().as_secs_f64());
            if let Some(error) = errors.first() {
                bail!("reload of {}: {error}", rule.path);
            }
            black_box(next);
        }
        Ok(Duration::from_secs_f64(median(&times)))
    }

    /// Matches each line, and says how many matches there were.
    pub(super) fn run(&self, lines: &[Vec<u8>], scratch: &mut Scratch) -> usize {
        let mut count = 0;
        let lines = lines.iter().map(Vec::as_slice);
        self.set.evaluate_lines(lines, Timestamp(0), scratch, |_, hits| {
            count += hits.map_or(0, <[usize]>::len);
        });
        count
    }

    /// Matches each event, and says how many matches there were.
    pub(super) fn run_events(&self, events: &[Event], scratch: &mut Scratch) -> usize {
        let (mut hits, mut count) = (Vec::new(), 0);
        for event in events {
            hits.clear();
            self.set.evaluate(event, scratch, &mut hits);
            count += hits.len();
        }
        count
    }

    /// Matches the events of each block by column, as detectors do it, and says how many matches there were. The columns
    /// that rules ask for are decoded by this.
    pub(super) fn run_blocks(&self, bodies: &[Vec<u8>], scratch: &mut Scratch) -> anyhow::Result<usize> {
        let mut count = 0;
        for body in bodies {
            let block = Block::open(body)?;
            count += self.run_columns(&columns(&block)?, scratch)?;
        }
        Ok(count)
    }

    /// The same for one block's columns; those that were asked for before are decoded already.
    pub(super) fn run_columns(&self, columns: &ByColumn<'_, '_>, scratch: &mut Scratch) -> anyhow::Result<usize> {
        let found = find_matches(&self.set, columns, |_| true, scratch)?.context("a block has too many matches")?;
        Ok(found.matches().map(<[u32]>::len).sum())
    }

    /// The rules that match a line.
    pub(super) fn matches(&self, line: &[u8], scratch: &mut Scratch) -> anyhow::Result<Vec<&Rule>> {
        let mut hits = Vec::new();
        self.set.evaluate_json(line, Timestamp(0), scratch, &mut hits)?;
        Ok(hits.iter().filter_map(|hit| self.set.rules().get(*hit)).collect())
    }

    /// The rule with an id.
    pub(super) fn rule(&self, id: &str) -> Option<&Rule> {
        self.set.rules().iter().find(|rule| rule.id == id)
    }
}

/// A block's columns.
pub(super) fn columns<'b, 'a>(block: &'b Block<'a>) -> anyhow::Result<ByColumn<'b, 'a>> {
    columns_of(block)?.context("a block has fields without a column")
}
