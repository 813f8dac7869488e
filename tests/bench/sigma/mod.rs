//! `bench sigma`: events per second of the Sigma engine, beside `rsigma-eval` in the same run.
//!
//! Both engines get the same rules and the same JSON lines, parse each line themselves, and say which rules match. Rounds
//! alternate between them, so that whatever else the machine does hits both. The peer is only there when this program
//! was built with the feature `peers`, which `cargo xtask bench sigma` does.

mod compare;
pub(crate) mod input;
mod ours;
#[cfg(feature = "peers")]
mod peer;
#[cfg(not(feature = "peers"))]
#[path = "no_peer.rs"]
mod peer;
mod threads;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use block::Block;
use nix::time::{ClockId, clock_gettime};

use crate::report::{machine, median, resident_mib};
use ours::Ours;
use peer::Peer;
use sigma::Scratch;
use threads::Threads;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Directory or file with Sigma rules, such as `rules` of a SigmaHQ checkout; several may be given
    #[arg(long, required = true, value_name = "PATH")]
    rules: Vec<PathBuf>,
    /// Events as JSON lines, plain or gzip; several files are measured one after the other
    #[arg(long, required = true, value_name = "FILE")]
    events: Vec<PathBuf>,
    /// Only rules of this logsource product, such as `windows`
    #[arg(long)]
    product: Option<String>,
    /// Rounds; the middle one counts
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Most events of a file
    #[arg(long, default_value_t = usize::MAX)]
    limit: usize,
    /// Most events the peer is given in a round; it is slower, and its rate does not depend on how many they are
    #[arg(long, default_value_t = usize::MAX)]
    peer_limit: usize,
    /// Compare the detections of both engines event by event instead of measuring. The argument maps Windows logsources
    /// to channels and event ids, as JSON
    #[arg(long, value_name = "MAP")]
    compare: Option<PathBuf>,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let texts = input::rule_texts(&args.rules)?;
    let before = own_resident_mib();
    let (ours, loading) = Ours::load(&texts, args.product.as_deref())?;
    println!("machine               {}", machine());
    println!(
        "rules                 {} loaded, {} refused; parse {:.0} ms, compile {:.0} ms, {:.0} MiB resident",
        ours.len(),
        loading.refused.len(),
        millis(loading.parse),
        millis(loading.compile),
        own_resident_mib() - before,
    );
    for refused in &loading.refused {
        println!("refused               {refused}");
    }
    println!(
        "reload of one rule    {:.2} ms (middle of {})",
        millis(ours.reload()?),
        ours::RELOADS
    );
    let start = Instant::now();
    let peer = Peer::load(&texts, args.product.as_deref())?;
    if let Some(peer) = &peer {
        println!(
            "peer                  rsigma-eval 0.23: {} rules, parse and compile {:.0} ms",
            peer.len(),
            millis(start.elapsed())
        );
    }
    for path in &args.events {
        let lines = input::lines(path, args.limit)?;
        if lines.is_empty() {
            bail!("{}: expected events, got an empty file", path.display());
        }
        let bytes: usize = lines.iter().map(Vec::len).sum();
        println!(
            "\nevents                {}: {} lines, {} bytes each",
            path.file_name().unwrap_or_default().display(),
            lines.len(),
            bytes / lines.len()
        );
        match (&args.compare, &peer) {
            (None, _) => measure(args, &ours, &lines, peer.as_ref())?,
            (Some(map), Some(peer)) => compare::run(&ours, peer, &compare::Logsources::read(map)?, &lines)?,
            (Some(_), None) => bail!("--compare: expected a build with the feature `peers`"),
        }
    }
    println!(
        "\nresident at the end   {:.0} MiB (events and both engines)",
        own_resident_mib()
    );
    Ok(())
}

fn measure(args: &Args, ours: &Ours, lines: &[Vec<u8>], peer: Option<&Peer>) -> anyhow::Result<()> {
    let events = input::events(lines)?;
    let bodies = input::blocks(&events)?;
    let blocks = bodies
        .iter()
        .map(|body| Block::open(body))
        .collect::<Result<Vec<_>, _>>()?;
    let columns = blocks.iter().map(ours::columns).collect::<anyhow::Result<Vec<_>>>()?;
    let mut rates = Rates::default();
    let few = lines.get(..args.peer_limit.min(lines.len())).unwrap_or_default();
    // As in a detector, each thread keeps what it learnt about kinds of events, here from round to round.
    let [mut json, mut decoded, mut from_blocks, mut from_columns] = std::array::from_fn(|_| Scratch::new());
    let mut threads = [Scratch::new(), Scratch::new()];
    for _ in 0..args.rounds.max(1) {
        if let Some(peer) = peer {
            rates.peer.push(rate(few.len(), || {
                peer.run(few);
            }));
        }
        let mut hits = 0;
        rates.json.push(rate(lines.len(), || hits = ours.run(lines, &mut json)));
        rates.hits = hits;
        rates.decoded.push(rate(events.len(), || {
            ours.run_events(&events, &mut decoded);
        }));
        let (mut stored, mut by_column) = (Ok(0), Ok(0));
        rates.stored.push(rate(events.len(), || {
            stored = ours.run_blocks(&bodies, &mut from_blocks)
        }));
        let mut run_columns = || {
            let hits = columns
                .iter()
                .map(|columns| ours.run_columns(columns, &mut from_columns));
            by_column = hits.sum();
        };
        if rates.columns.is_empty() {
            // Decodes.
            run_columns();
        }
        rates.columns.push(rate(events.len(), run_columns));
        let (stored, by_column) = (stored?, by_column?);
        ensure!(
            (stored, by_column) == (hits, hits),
            "JSON matched {hits} times, blocks {stored}, columns {by_column}"
        );
        rates.threads.measure(lines, &mut threads, |portion, scratch| {
            ours.run(portion, scratch);
        });
    }
    rates.print();
    Ok(())
}

/// Events per second of each round.
#[derive(Default)]
struct Rates {
    json: Vec<f64>,
    decoded: Vec<f64>,
    /// Blocks, opened and decoded as far as rules ask.
    stored: Vec<f64>,
    /// Columns decoded before.
    columns: Vec<f64>,
    threads: Threads,
    peer: Vec<f64>,
    hits: usize,
}

impl Rates {
    fn print(&self) {
        let json = median(&self.json);
        let row = |name: &str, rates: &[f64], beside: &str, by: f64| {
            let (low, high) = threads::range(rates);
            let middle = median(rates);
            println!(
                "{name:<21} {middle:>9.0} events/s [{low:.0} - {high:.0}], {:.2} us each, {:.2}x {beside}",
                1e6 / middle,
                middle / by
            );
        };
        println!("matches               {}", self.hits);
        if self.peer.is_empty() {
            row("ours, JSON, 1 core", &self.json, "itself", json);
        } else {
            row("rsigma, JSON, 1 core", &self.peer, "itself", median(&self.peer));
            row("ours, JSON, 1 core", &self.json, "rsigma", median(&self.peer));
        }
        row("ours, decoded", &self.decoded, "ours from JSON", json);
        row("ours, blocks", &self.stored, "ours from JSON", json);
        row("ours, columns", &self.columns, "ours from JSON", json);
        self.threads.print();
    }
}

/// Events per second of this thread's CPU time: what one core does, also while others use the machine.
pub(crate) fn rate(count: usize, work: impl FnOnce()) -> f64 {
    let start = cpu_time();
    work();
    count as f64 / (cpu_time() - start).max(1e-9)
}

/// CPU seconds of this thread so far.
fn cpu_time() -> f64 {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map_or(0.0, |time| Duration::from(time).as_secs_f64())
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

fn own_resident_mib() -> f64 {
    i32::try_from(std::process::id()).map_or(0.0, resident_mib)
}

/// Names what could not be read.
fn read(path: &std::path::Path) -> anyhow::Result<Vec<u8>> {
    std::fs::read(path).with_context(|| format!("read {}", path.display()))
}
