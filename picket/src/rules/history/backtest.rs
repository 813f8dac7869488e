//! `picket rules backtest`: what rules would have done with stored events.

use std::collections::BTreeMap;
use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::bail;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use model::Timestamp;
use serde_json::json;
use sigma::{Correlation, Rule};

use super::blocks::Span;
use super::content::Deployed;
use super::replay::{Part, Plan, Total};
use super::report;
use super::tally::Tally;
use crate::client::Connection;
use crate::database::Database;
use crate::durations::parse_ttl;
use crate::rules::files;
use crate::table::{Style, counted, printable, thousands};

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
    let parsed = files::collect(&args.rule)?.parse();
    let told: Vec<String> = parsed.all_errors().map(ToString::to_string).collect();
    if !told.is_empty() {
        bail!("{}", told.join("\n"));
    }
    let store = args.database.store(&args.connection).await?;
    let tenant = &args.database.tenant;
    let deployed = Deployed::read(&store, tenant).await?;
    let catalog = deployed.catalog()?;
    let titles: BTreeMap<String, String> = parsed
        .metadata()
        .map(|metadata| (metadata.id.clone(), metadata.title.clone()))
        .collect();
    let plan = |mut rules: Vec<Rule>, mut correlations: Vec<Correlation>, filters| {
        deployed.complete(&mut rules, &mut correlations);
        Plan::new(tenant, rules, correlations, filters, &deployed, &catalog)
    };
    let (new, errors) = plan(parsed.rules.clone(), parsed.correlations.clone(), &parsed.filters);
    if let Some(error) = errors.first() {
        bail!("{error}");
    }
    let old = args.diff.then(|| {
        let rules = deployed.rules.iter().filter(|rule| titles.contains_key(&rule.id));
        let correlations = deployed
            .correlations
            .iter()
            .filter(|found| titles.contains_key(&found.id));
        plan(rules.cloned().collect(), correlations.cloned().collect(), &[]).0
    });
    let plans = Arc::new((new, old));
    let span = Span {
        tenant: tenant.clone(),
        from: args.from,
        to: args.to,
    };
    let bar = progress(span.count(&store).await?, args.json);
    let began = Instant::now();
    let (mut new, mut old) = (Total::default(), Total::default());
    let shared = plans.clone();
    let work = move |events: &[model::Event]| -> (Part, Option<Part>) {
        let (new, old) = &*shared;
        (new.evaluate(events), old.as_ref().map(|old| old.evaluate(events)))
    };
    let take = |(part, other): (Part, Option<Part>)| {
        bar.inc(part.events);
        new.add(part);
        if let Some(other) = other {
            old.add(other);
        }
        true
    };
    span.read(&store, usize::from(args.threads), work, take).await?;
    bar.finish_and_clear();
    let tally = new.tally(&plans.0, args.samples);
    let before = plans.1.as_ref().map(|plan| old.tally(plan, args.samples));
    tell(args, &plans.0, &new, &tally, before.as_ref(), &titles, began.elapsed());
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

fn tell(
    args: &Args,
    plan: &Plan,
    total: &Total,
    tally: &Tally,
    before: Option<&Tally>,
    titles: &BTreeMap<String, String>,
    took: Duration,
) {
    let (rules, correlations) = plan.len();
    let nanos = total.spent.as_nanos() as f64 / (total.events.max(1)) as f64;
    let differs = before.map(|before| (tally.without(before), before.without(tally)));
    if args.json {
        let mut report = json!({
            "rules": rules, "correlations": correlations, "events": total.events, "hits": total.hits,
            "excepted": total.excepted, "seconds": took.as_secs_f64(), "nanoseconds_per_event": nanos,
            "result": tally,
        });
        if let (Some(before), Some((only_new, only_old))) = (before, differs) {
            report["deployed"] = json!(before);
            report["only_new"] = json!(only_new);
            report["only_deployed"] = json!(only_old);
        }
        println!("{report}");
        return;
    }
    let style = Style::stdout();
    print!("{}", report::text(tally, titles, style));
    let number = |count: u64| thousands(usize::try_from(count).unwrap_or(usize::MAX));
    println!(
        "{} of {} and {} on {} events: {} hits, {} excepted",
        style.bold(&format!("{} alerts", number(tally.alerts))),
        counted(rules, "rule"),
        counted(correlations, "correlation"),
        number(total.events),
        number(total.hits),
        number(total.excepted),
    );
    println!(
        "{:.1} s, {:.0} ns an event in the engine; nothing was stored",
        took.as_secs_f64(),
        nanos
    );
    if let (Some(before), Some((only_new, only_old))) = (before, differs) {
        let told = |count: Option<u64>| count.map_or_else(|| "too many to tell".to_owned(), number);
        println!(
            "deployed: {} alerts; {} only with the new version, {} only with the deployed one",
            number(before.alerts),
            style.green(&told(only_new)),
            style.red(&told(only_old)),
        );
    }
    if total.events == 0 {
        println!(
            "{}",
            printable("there are no stored events in this time: look at --from and --to")
        );
    }
}
