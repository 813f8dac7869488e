//! `bench parsers`: events per second of each log format on one core, beside the `grok` crate for five of them.
//!
//! Lines are those the formats are tested with, each parsed to a whole event with all that is derived from its fields. A
//! format is measured twice: with its log type given, and told by content alone. Rounds go through all formats in turn, so
//! that whatever else the machine does hits all of them. The peer is only there when this program was built with the
//! feature `peers`, which `cargo xtask bench parsers` does. Memory comes from the services' allocator.
#![allow(clippy::print_stdout, reason = "a command line tool talks to its user")]

mod lines;
#[cfg(feature = "peers")]
mod peer;
#[cfg(not(feature = "peers"))]
#[path = "no_peer.rs"]
mod peer;
#[allow(dead_code, reason = "shared with the other drivers, which use the rest")]
#[path = "../report.rs"]
mod report;

use std::hint::black_box;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::ensure;
use clap::Parser as _;
use model::Timestamp;
use nix::time::{ClockId, clock_gettime};
use parsers::{Body, RawRecord, parse};

use lines::Sample;
use peer::Peer;
use report::{machine, median};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// What the median format shall reach, in events per second of one core.
const MEDIAN: f64 = 700_000.0;
/// What each format shall reach.
const LEAST: f64 = 100_000.0;
/// CPU time of one measurement; long enough for the clock, short enough for many rounds.
const SLICE: Duration = Duration::from_millis(20);

#[derive(clap::Parser)]
#[command(name = "cargo xtask bench parsers", about = "Measure the parsers on this machine")]
struct Args {
    /// Directory with FORMAT.log files, one line an event
    #[arg(long, default_value = "crates/parsers/tests/lines", value_name = "DIRECTORY")]
    lines: PathBuf,
    /// Only these formats; several may be given
    #[arg(long, value_name = "NAME")]
    format: Vec<String>,
    /// Rounds; the middle one counts
    #[arg(long, default_value_t = 9)]
    rounds: usize,
    /// Read the lines of the formats over and over for this many seconds, for a profiler, instead of measuring
    #[arg(long, value_name = "SECONDS")]
    spin: Option<u64>,
    /// With `--spin`, read them by content alone
    #[arg(long, requires = "spin")]
    by_content: bool,
    /// The driver's own name, as `cargo xtask bench` passes it on
    #[arg(hide = true)]
    driver: Option<String>,
}

/// One format, and what its rounds gave.
struct Row {
    sample: Sample,
    peer: Option<Peer>,
    told: Vec<f64>,
    detected: Vec<f64>,
    beside: Vec<f64>,
    ratios: Vec<f64>,
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let samples = lines::read(&args.lines, &args.format)?;
    ensure!(
        !samples.is_empty(),
        "{}: expected FORMAT.log files",
        args.lines.display()
    );
    if let Some(seconds) = args.spin {
        spin(&samples, Duration::from_secs(seconds), args.by_content);
        return Ok(());
    }
    let mut rows = samples
        .into_iter()
        .map(|sample| {
            Ok(Row {
                peer: Peer::of(&sample.name)?,
                sample,
                told: Vec::new(),
                detected: Vec::new(),
                beside: Vec::new(),
                ratios: Vec::new(),
            })
        })
        .collect::<anyhow::Result<Vec<_>>>()?;
    for _ in 0..args.rounds.max(1) {
        for row in &mut rows {
            row.round();
        }
    }
    print(&rows);
    Ok(())
}

impl Row {
    fn round(&mut self) {
        let lines = &self.sample.lines;
        let told = rate(lines, |line| parse_line(line, Some(&self.sample.name)));
        self.told.push(told);
        self.detected.push(rate(lines, |line| parse_line(line, None)));
        if let Some(peer) = &self.peer {
            let beside = rate(lines, |line| {
                black_box(peer.read(line));
            });
            self.beside.push(beside);
            self.ratios.push(told / beside);
        }
    }
}

fn parse_line(line: &str, log_type: Option<&str>) {
    let parsed = parse(&RawRecord {
        body: Body::Line(line.as_bytes()),
        origin_kind: "file",
        origin_name: "/var/log/some.log",
        log_type,
        observed: OBSERVED,
        truncated_bytes: 0,
        header: None,
    });
    black_box(&parsed);
}

/// 2026-11-21T12:00:00Z, shortly after the times of the lines.
const OBSERVED: Timestamp = Timestamp(1_795_262_400_000_000);

/// Events per second of this thread's CPU time.
fn rate(lines: &[String], mut work: impl FnMut(&str)) -> f64 {
    let (mut count, start) = (0_usize, cpu_time());
    loop {
        for line in lines {
            work(black_box(line));
        }
        count += lines.len();
        let spent = cpu_time() - start;
        if spent >= SLICE {
            return count as f64 / spent.as_secs_f64();
        }
    }
}

fn spin(samples: &[Sample], time: Duration, by_content: bool) {
    let start = cpu_time();
    while cpu_time() - start < time {
        for sample in samples {
            let log_type = (!by_content).then_some(sample.name.as_str());
            for line in &sample.lines {
                parse_line(line, log_type);
            }
        }
    }
}

fn cpu_time() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map_or(Duration::ZERO, Duration::from)
}

fn print(rows: &[Row]) {
    println!("machine               {}", machine());
    println!(
        "format                lines  bytes   told, events/s    us   by content, events/s  grok, events/s   ratio"
    );
    let mut below = Vec::new();
    for row in rows {
        let (told, detected) = (median(&row.told), median(&row.detected));
        let bytes: usize = row.sample.lines.iter().map(String::len).sum();
        let peer = row.peer.as_ref().map_or_else(String::new, |peer| {
            format!(
                "  {:>14.0}  {:>5.1}x  {}",
                median(&row.beside),
                median(&row.ratios),
                peer.share(&row.sample.lines)
            )
        });
        println!(
            "{:<21} {:>5}  {:>5}  {told:>15.0}  {:>5.2}  {detected:>20.0}{peer}",
            row.sample.name,
            row.sample.lines.len(),
            bytes / row.sample.lines.len(),
            1e6 / told,
        );
        if told.min(detected) < LEAST {
            below.push(row.sample.name.as_str());
        }
    }
    let medians = |rates: fn(&Row) -> &[f64]| median(&rows.iter().map(|row| median(rates(row))).collect::<Vec<_>>());
    verdict("median format, told", medians(|row| &row.told));
    verdict("median, by content", medians(|row| &row.detected));
    if below.is_empty() {
        println!("below {LEAST:.0}/s        none");
    } else {
        println!("below {LEAST:.0}/s        {} FAILS", below.join(", "));
    }
}

fn verdict(name: &str, rate: f64) {
    let fails = if rate < MEDIAN { "FAILS" } else { "holds" };
    println!("{name:<21} {rate:>9.0} events/s, target {MEDIAN:.0}: {fails}");
}
