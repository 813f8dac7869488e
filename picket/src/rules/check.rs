//! `picket rules check`: every rule fires on its regression sample.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::process::ExitCode;

use serde::Serialize;
use serde_json::json;
use sigma::{RuleSet, Scratch};

use super::samples::{self, Sample};
use super::{events, files};
use crate::table::{Cell, Style, Table, Tone, counted, printable, shortened};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Samples: SigmaHQ's regression_data, or a directory with manifest.json
    #[arg(long, value_name = "DIR")]
    samples: PathBuf,
    /// The rules
    #[arg(long, required = true, value_name = "DIR")]
    rules: Vec<PathBuf>,
    /// Show every sample, not only those that fail
    #[arg(long)]
    all: bool,
    /// One JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Verdict {
    Fires,
    TooSeldom,
    NoRule,
    Unreadable,
}

#[derive(Debug, Serialize)]
struct Result {
    rule_id: String,
    title: String,
    layout: String,
    path: String,
    verdict: Verdict,
    events: usize,
    hits: usize,
    expected: usize,
    #[serde(skip_serializing_if = "String::is_empty")]
    reason: String,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let found = samples::find(&args.samples)?;
    let mut parsed = files::collect(&args.rules)?.parse();
    let set = parsed.compile();
    let errors = parsed.all_errors().count();
    let positions: HashMap<String, usize> = set
        .rules()
        .iter()
        .enumerate()
        .map(|(position, rule)| (rule.id.clone(), position))
        .collect();
    let mut scratch = Scratch::new();
    let results: Vec<Result> = found
        .samples
        .iter()
        .map(|sample| check(sample, &set, &positions, &mut scratch))
        .collect();
    let failed = results.iter().filter(|result| result.verdict != Verdict::Fires).count();
    if args.json {
        let skipped: Vec<_> = found
            .skipped
            .iter()
            .map(|(path, reason)| json!({ "path": path, "reason": reason }))
            .collect();
        let report = json!({
            "rules": set.len(), "refused": errors, "samples": results.len(), "failed": failed,
            "results": results, "skipped": skipped,
        });
        println!("{report}");
    } else {
        report(&results, &found.skipped, args.all);
        println!("{} loaded, {} refused", counted(set.len(), "rule"), errors);
    }
    Ok(if failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn check(sample: &Sample, set: &RuleSet, positions: &HashMap<String, usize>, scratch: &mut Scratch) -> Result {
    let mut result = Result {
        rule_id: sample.rule_id.clone(),
        title: sample.title.clone(),
        layout: sample.layout.clone(),
        path: sample.path.display().to_string(),
        verdict: Verdict::NoRule,
        events: 0,
        hits: 0,
        expected: sample.match_count.unwrap_or(1),
        reason: String::new(),
    };
    let objects = events::read(&sample.path).and_then(|text| events::objects(&text));
    let objects = match objects {
        Ok(objects) => objects,
        Err(error) => {
            result.verdict = Verdict::Unreadable;
            result.reason = format!("{error:#}");
            return result;
        }
    };
    result.events = objects.len();
    let Some(position) = positions.get(&sample.rule_id) else {
        "no rule of this id was loaded".clone_into(&mut result.reason);
        return result;
    };
    let mut hits = Vec::new();
    for object in &objects {
        hits.clear();
        set.evaluate(&events::as_it_is(object), scratch, &mut hits);
        result.hits += usize::from(hits.contains(position));
    }
    result.verdict = if result.hits >= result.expected {
        Verdict::Fires
    } else {
        Verdict::TooSeldom
    };
    result
}

fn report(results: &[Result], skipped: &[(String, String)], all: bool) {
    let style = Style::stdout();
    let mut table = Table::new(&["RESULT", "RULE", "TITLE", "SAMPLE", "EVENTS", "HITS", "EXPECTED"]).right(&[4, 5, 6]);
    let mut shown = 0;
    for result in results.iter().filter(|result| all || result.verdict != Verdict::Fires) {
        let (word, tone) = match result.verdict {
            Verdict::Fires => ("fires", Tone::Good),
            Verdict::TooSeldom => ("TOO SELDOM", Tone::Bad),
            Verdict::NoRule => ("NO RULE", Tone::Warning),
            Verdict::Unreadable => ("UNREADABLE", Tone::Bad),
        };
        shown += 1;
        table.row([
            Cell::new(word, tone),
            result.rule_id.clone().into(),
            shortened(&result.title, 60).into(),
            result.layout.clone().into(),
            result.events.to_string().into(),
            result.hits.to_string().into(),
            result.expected.to_string().into(),
        ]);
    }
    if shown > 0 {
        print!("{}", table.render(style));
    }
    for (path, reason) in skipped {
        println!("{} {}: {}", style.yellow("skipped"), printable(path), printable(reason));
    }
    let mut layouts: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    for result in results {
        let (fired, total) = layouts.entry(&result.layout).or_default();
        *fired += usize::from(result.verdict == Verdict::Fires);
        *total += 1;
    }
    for (layout, (fired, total)) in layouts {
        let line = format!("{layout}: {fired} of {total} samples make their rule fire");
        println!(
            "{}",
            if fired == total {
                style.green(&line)
            } else {
                style.red(&line)
            }
        );
    }
}
