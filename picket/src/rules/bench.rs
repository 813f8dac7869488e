//! `picket rules bench`: how fast rules are on given events.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use model::Event;
use serde_json::json;
use sigma::{RuleSet, Scratch};

use super::{events, files};
use crate::table::{counted, thousands};

/// Shortest time a run is measured over.
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
    let began = Instant::now();
    let objects = events::objects(&text)?;
    let events: Vec<Event> = objects.iter().map(events::as_it_is).collect();
    let read = began.elapsed();
    if events.is_empty() || set.is_empty() {
        bail!(
            "expected at least one rule and one event, got {} and {}",
            set.len(),
            events.len()
        );
    }
    let hits = count(&set, &events);
    let mut rates: Vec<f64> = Vec::with_capacity(RUNS);
    for _ in 0..RUNS {
        rates.push(rate(&set, &events, usize::from(args.threads))?);
    }
    rates.sort_by(f64::total_cmp);
    let median = rates.get(RUNS / 2).copied().unwrap_or_default();
    let reading = events.len() as f64 / read.as_secs_f64();
    let refused = parsed.all_errors().count();
    if args.json {
        let report = json!({
            "rules": set.len(), "refused": refused, "events": events.len(), "hits": hits, "threads": args.threads,
            "compile_ms": compile.as_secs_f64() * 1e3, "read_events_per_second": reading,
            "events_per_second": median, "nanoseconds_per_event": 1e9 / median, "runs": rates,
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
        println!("reading JSON   {:>12} events/s", thousands(reading as usize));
        println!(
            "evaluating     {:>12} events/s   {:.0} ns an event   {} (median of {RUNS} runs)",
            thousands(median as usize),
            1e9 / median,
            counted(usize::from(args.threads), "thread")
        );
    }
    Ok(ExitCode::SUCCESS)
}

fn count(set: &RuleSet, events: &[Event]) -> usize {
    let (mut scratch, mut hits) = (Scratch::new(), Vec::new());
    for event in events {
        set.evaluate(event, &mut scratch, &mut hits);
    }
    hits.len()
}

/// Events a second of all threads together; each goes over all events.
fn rate(set: &RuleSet, events: &[Event], threads: usize) -> anyhow::Result<f64> {
    let began = Instant::now();
    let evaluated: usize = std::thread::scope(|scope| {
        let running: Vec<_> = (0..threads)
            .map(|_| {
                scope.spawn(|| {
                    let (mut scratch, mut hits, mut rounds) = (Scratch::new(), Vec::new(), 0);
                    while rounds == 0 || began.elapsed() < AT_LEAST / RUNS as u32 {
                        for event in events {
                            hits.clear();
                            set.evaluate(event, &mut scratch, &mut hits);
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
