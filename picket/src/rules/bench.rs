//! `picket rules bench`: how fast rules are on given events, and which are slow.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use model::{Event, Timestamp};
use serde_json::{Map, Value, json};
use sigma::{Profile, Rule, RuleProfile, RuleSet, Scratch};

use super::{events, files};
use crate::table::{Cell, Style, Table, Tone, counted, shortened, thousands};

/// Shortest time all runs of a kind are measured over.
const AT_LEAST: Duration = Duration::from_secs(2);
/// Runs; the median counts.
const RUNS: usize = 5;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// The rules
    #[arg(long, required = true, value_name = "DIR")]
    rules: Vec<PathBuf>,
    /// JSON events, one a line; `-` reads standard input
    #[arg(long, value_name = "FILE")]
    events: PathBuf,
    /// Threads that evaluate at once
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=256), value_name = "N")]
    threads: u16,
    /// Show the N rules that take the most time
    #[arg(long, default_value_t = 10, value_name = "N")]
    top: usize,
    /// One JSON object
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let mut parsed = files::collect(&args.rules)?.parse();
    let began = Instant::now();
    let set = parsed.compile();
    let compile = began.elapsed();
    let text = events::read(&args.events)?;
    let objects = events::objects(&text)?;
    let events: Vec<Event> = objects.iter().map(events::as_it_is).collect();
    let lines: Vec<Vec<u8>> = objects.iter().map(line).collect::<anyhow::Result<_>>()?;
    drop(objects);
    if events.is_empty() || set.is_empty() {
        bail!(
            "expected at least one rule and one event, got {} and {}",
            set.len(),
            events.len()
        );
    }
    let hits = count(&set, &lines)?;
    let threads = usize::from(args.threads);
    let (mut json_rates, mut rates) = (Vec::with_capacity(RUNS), Vec::with_capacity(RUNS));
    for _ in 0..RUNS {
        json_rates.push(rate(&lines, threads, |line, scratch, hits| {
            // All were read when hits were counted.
            let _ = set.evaluate_json(line, Timestamp(0), scratch, hits);
        })?);
        rates.push(rate(&events, threads, |event, scratch, hits| {
            set.evaluate(event, scratch, hits);
        })?);
    }
    let (from_json, decoded) = (median(&mut json_rates), median(&mut rates));
    let profile = profiled(&set, &lines);
    let slowest = slowest(&set, &profile, args.top);
    let refused = parsed.all_errors().count();
    if args.json {
        let report = json!({
            "rules": set.len(), "refused": refused, "events": events.len(), "hits": hits, "threads": args.threads,
            "compile_ms": compile.as_secs_f64() * 1e3, "json_events_per_second": from_json,
            "nanoseconds_per_json_event": 1e9 / from_json, "json_runs": json_rates, "events_per_second": decoded,
            "nanoseconds_per_event": 1e9 / decoded, "runs": rates,
            "slowest": slowest.iter().map(|(rule, profiled)| to_json(rule, profiled, &profile)).collect::<Vec<_>>(),
        });
        println!("{report}");
    } else {
        println!(
            "{} ({refused} refused) compiled in {:.0} ms; {} with {}",
            counted(set.len(), "rule"),
            compile.as_secs_f64() * 1e3,
            counted(events.len(), "event"),
            counted(hits, "hit")
        );
        for (what, rate) in [("from JSON", from_json), ("decoded", decoded)] {
            println!(
                "{what:<12} {:>12} events/s   {:.0} ns an event   {} (median of {RUNS} runs)",
                thousands(rate as usize),
                1e9 / rate,
                counted(threads, "thread")
            );
        }
        if !slowest.is_empty() {
            print!("\n{}", table(&slowest, &profile).render(Style::stdout()));
        }
        let unseen = profile.rules.iter().filter(|rule| rule.seen == 0).count();
        if unseen > 0 {
            println!(
                "{} for other logsources than those of these events",
                counted(unseen, "rule")
            );
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// An event as a line of JSON, a Windows event without its wrapping.
fn line(object: &Map<String, Value>) -> anyhow::Result<Vec<u8>> {
    let flat = parsers::event_log::flatten(object);
    serde_json::to_vec(flat.as_ref().unwrap_or(object)).context("write an event as JSON")
}

fn count(set: &RuleSet, lines: &[Vec<u8>]) -> anyhow::Result<usize> {
    let (mut scratch, mut hits) = (Scratch::new(), Vec::new());
    for line in lines {
        set.evaluate_json(line, Timestamp(0), &mut scratch, &mut hits)
            .context("read an event")?;
    }
    Ok(hits.len())
}

fn median(rates: &mut [f64]) -> f64 {
    rates.sort_by(f64::total_cmp);
    rates.get(rates.len() / 2).copied().unwrap_or_default()
}

/// Events a second of all threads together; each goes over all events.
fn rate<E: Sync>(
    events: &[E],
    threads: usize,
    evaluate: impl Fn(&E, &mut Scratch, &mut Vec<usize>) + Sync,
) -> anyhow::Result<f64> {
    let began = Instant::now();
    let evaluated: usize = std::thread::scope(|scope| {
        let running: Vec<_> = (0..threads)
            .map(|_| {
                scope.spawn(|| {
                    let (mut scratch, mut hits, mut rounds) = (Scratch::new(), Vec::new(), 0);
                    while rounds == 0 || began.elapsed() < AT_LEAST / RUNS as u32 {
                        for event in events {
                            hits.clear();
                            evaluate(event, &mut scratch, &mut hits);
                        }
                        rounds += 1;
                    }
                    rounds * events.len()
                })
            })
            .collect();
        running
            .into_iter()
            .map(|thread| thread.join().ok())
            .sum::<Option<usize>>()
    })
    .context("a thread ended early")?;
    Ok(evaluated as f64 / began.elapsed().as_secs_f64())
}

/// What each rule takes, every evaluation timed. A first round fills the memory of the engine and is not counted.
fn profiled(set: &RuleSet, lines: &[Vec<u8>]) -> Profile {
    let (mut scratch, mut hits) = (Scratch::new(), Vec::new());
    scratch.start_profile(1);
    for _ in 0..2 {
        let _ = set.take_profile(&mut scratch);
        for line in lines {
            hits.clear();
            let _ = set.evaluate_json(line, Timestamp(0), &mut scratch, &mut hits);
        }
    }
    set.take_profile(&mut scratch)
}

/// The rules that take the most time.
fn slowest<'a>(set: &'a RuleSet, profile: &'a Profile, top: usize) -> Vec<(&'a Rule, &'a RuleProfile)> {
    let mut rules: Vec<_> = set
        .rules()
        .iter()
        .zip(&profile.rules)
        .filter(|(_, profiled)| profiled.candidates > 0)
        .collect();
    rules.sort_by_key(|(_, profiled)| std::cmp::Reverse(profiled.nanoseconds));
    rules.truncate(top);
    rules
}

fn per_event(number: u64, profile: &Profile) -> f64 {
    number as f64 / profile.events.max(1) as f64
}

fn to_json(rule: &Rule, profiled: &RuleProfile, profile: &Profile) -> Value {
    json!({
        "id": rule.id, "title": rule.title, "path": rule.path,
        "nanoseconds_per_event": per_event(profiled.nanoseconds, profile),
        "candidate_rate": per_event(profiled.candidates, profile), "seen": profiled.seen,
        "candidates": profiled.candidates, "hits": profiled.hits,
    })
}

fn table(slowest: &[(&Rule, &RuleProfile)], profile: &Profile) -> Table {
    let mut table =
        Table::new(&["NS/EVENT", "NS/CANDIDATE", "CANDIDATES", "HITS", "TITLE", "FILE"]).right(&[0, 1, 2, 3]);
    for (rule, profiled) in slowest {
        table.row([
            format!("{:.1}", per_event(profiled.nanoseconds, profile)).into(),
            format!("{:.0}", profiled.nanoseconds as f64 / profiled.candidates.max(1) as f64).into(),
            thousands(profiled.candidates).into(),
            thousands(profiled.hits).into(),
            shortened(&rule.title, 60).into(),
            Cell::new(rule.path.clone(), Tone::Quiet),
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slowest_rules_are_those_that_had_to_be_evaluated() {
        let rule = |id: &str, field: &str| {
            let yaml = format!(
                "title: {id}\nid: {id}\nlogsource: {{product: linux}}\ndetection:\n  s: {{{field}|contains: \
                 abc}}\n  condition: s\n"
            );
            sigma::parse_rules("r.yml", &yaml).remove(0).unwrap()
        };
        let (set, errors) = RuleSet::compile(vec![rule("hit", "message"), rule("idle", "other")]);
        assert!(errors.is_empty());
        let lines = vec![br#"{"message": "xabcx"}"#.to_vec(), br#"{"message": "y"}"#.to_vec()];
        assert_eq!(count(&set, &lines).unwrap(), 1);
        let profile = profiled(&set, &lines);
        assert_eq!(profile.events, 2);
        let slowest = slowest(&set, &profile, 5);
        assert_eq!(slowest.len(), 1);
        assert_eq!((slowest[0].0.id.as_str(), slowest[0].1.hits), ("hit", 1));
    }
}
