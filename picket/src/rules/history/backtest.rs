//! `picket rules backtest`: what rules would have done with stored events.

use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use detector::backtest::{self, Outcome, Question};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use model::Timestamp;

use super::report;
use crate::client::Connection;
use crate::database::Database;
use crate::durations::parse_ttl;
use crate::rules::files;
use crate::table::{Style, counted, thousands};

/// Reads the events in this process: detectors do none of the work, and nothing is written.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Files and directories with rules and correlations
    #[arg(long, required = true, value_name = "FILE")]
    rule: Vec<PathBuf>,
    /// Events at this time or later, RFC 3339; or how long ago, such as 7d
    #[arg(long, value_name = "TIME", value_parser = time)]
    from: Option<Timestamp>,
    /// Events before this time
    #[arg(long, value_name = "TIME", value_parser = time)]
    to: Option<Timestamp>,
    /// Compare with the deployed versions of the same rules
    #[arg(long)]
    diff: bool,
    /// Alerts shown
    #[arg(long, default_value_t = 10, value_name = "N")]
    samples: usize,
    /// Threads that evaluate at once
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=256), value_name = "N")]
    threads: u16,
    /// One JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    database: Database,
    #[command(flatten)]
    connection: Connection,
}

/// A time, or how long before now.
fn time(text: &str) -> Result<Timestamp, String> {
    if let Ok(time) = text.parse::<Timestamp>() {
        return Ok(time);
    }
    let ago = parse_ttl(text).map_err(|_| {
        format!("expected an RFC 3339 time such as 2026-01-31T12:00:00Z, or how long ago such as 7d, got {text:?}")
    })?;
    let micros = i64::try_from(ago.as_micros()).unwrap_or(i64::MAX);
    Ok(Timestamp(Timestamp::now().0.saturating_sub(micros)))
}

pub(crate) async fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let found = files::collect(&args.rule)?;
    if let Some(error) = found.unreadable.first() {
        bail!("{error}");
    }
    let store = args.database.store(&args.connection).await?;
    let question = Question {
        tenant: args.database.tenant.clone(),
        from: args.from,
        to: args.to,
        files: found
            .files
            .iter()
            .map(|file| (file.path.to_string_lossy().into_owned(), file.text.clone()))
            .collect(),
        diff: args.diff,
        samples: args.samples,
        threads: usize::from(args.threads),
    };
    let bar = progress(0, args.json);
    let began = Instant::now();
    let outcome = backtest::run(&store, &question, |events, total| {
        bar.set_length(total);
        bar.set_position(events);
        true
    });
    let outcome = outcome.await?;
    bar.finish_and_clear();
    tell(&outcome, args.json, began.elapsed())?;
    Ok(ExitCode::SUCCESS)
}

fn progress(events: u64, as_json: bool) -> ProgressBar {
    let shown = !as_json && std::io::stderr().is_terminal();
    let target = if shown {
        ProgressDrawTarget::stderr()
    } else {
        ProgressDrawTarget::hidden()
    };
    let bar = ProgressBar::with_draw_target(Some(events), target);
    if let Ok(style) = ProgressStyle::with_template("{bar:40} {human_pos} of {human_len} events, {eta} left") {
        bar.set_style(style);
    }
    bar
}

fn tell(outcome: &Outcome, as_json: bool, took: Duration) -> anyhow::Result<()> {
    if as_json {
        println!("{}", serde_json::to_string(outcome).context("write JSON")?);
        return Ok(());
    }
    let style = Style::stdout();
    print!("{}", report::text(&outcome.result, &outcome.titles, style));
    println!(
        "{} of {} and {} on {} events: {} hits, {} excepted",
        style.bold(&format!("{} alerts", thousands(outcome.result.alerts))),
        counted(outcome.rules, "rule"),
        counted(outcome.correlations, "correlation"),
        thousands(outcome.events),
        thousands(outcome.hits),
        thousands(outcome.excepted),
    );
    println!(
        "{:.1} s, {:.0} ns an event to decode and evaluate; nothing was stored",
        took.as_secs_f64(),
        outcome.nanoseconds_per_event
    );
    if let Some(before) = &outcome.deployed {
        let told = |count: Option<u64>| count.map_or_else(|| "too many to tell".to_owned(), thousands);
        println!(
            "deployed: {} alerts; {} only with the new version, {} only with the deployed one",
            thousands(before.alerts),
            style.green(&told(outcome.only_new)),
            style.red(&told(outcome.only_deployed)),
        );
    }
    for limit in &outcome.limits {
        println!("{} {limit}", style.yellow("not all is counted:"));
    }
    if outcome.events == 0 {
        println!("there are no stored events in this time: look at --from and --to");
    }
    Ok(())
}
