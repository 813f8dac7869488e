//! `cargo xtask chaos`: random faults for as long as one likes, then the accounts.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command line tool talks to its user"
)]

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use tests::chaos::{Plan, run};

#[derive(Parser)]
#[command(
    name = "cargo xtask chaos",
    about = "Let things fail at random, and see that nothing is lost"
)]
struct Args {
    /// For how long things fail
    #[arg(long, default_value_t = 1.0)]
    minutes: f64,
    /// Decides what fails when
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Lines a second that each of the three endpoints writes
    #[arg(long, default_value_t = 200)]
    lines: u64,
    /// Members of MongoDB's replica set; with 3, a primary that steps down or dies has another one elected
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=7))]
    members: u16,
}

#[tokio::main]
#[allow(clippy::disallowed_methods, reason = "a driver needs no service life")]
async fn main() -> ExitCode {
    let args = Args::parse();
    let plan = Plan {
        lasts: Duration::from_secs_f64(args.minutes.clamp(0.0, 10_000.0) * 60.0),
        seed: args.seed,
        lines_per_second: args.lines,
        members: usize::from(args.members),
    };
    match run(plan, |what| println!("{what}")).await {
        Ok(summary) => {
            println!("\n{} faults with seed {}", summary.total(), args.seed);
            for (kind, count) in &summary.faults {
                println!("  {count:>5} {kind}");
            }
            println!("{} lines, each stored once", summary.lines);
            println!("{} alerts, each there once", summary.alerts);
            println!("{} agents' deliveries proved", summary.agents);
            println!("{:.1} s until everything was settled", summary.settled.as_secs_f64());
            for left_out in &summary.left_out {
                println!("not done: {left_out}");
            }
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
