//! `cargo xtask`: the project's own chores. `test` runs everything that is tested, `bench` measures.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command line tool talks to its user"
)]

mod bench;
mod chaos;
mod command;
mod test;
mod tidy;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "The project's own chores")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run everything that is tested: format, tidy, lints, unit and property tests, rule tests, stories
    Test(test::Args),
    /// Check what the compiler does not: layers, file sizes, links, leftovers
    Tidy,
    /// Measure, as ratios within one run; see docs/benchmarks.md
    Bench(bench::Args),
    /// Let things fail at random while agents write, and see that nothing is lost
    Chaos(chaos::Args),
    /// Check licences, bans and sources with cargo-deny, where it is installed
    Deny,
}

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Test(args) => test::run(&args),
        Command::Tidy => tidy::run(),
        Command::Bench(args) => bench::run(&args),
        Command::Chaos(args) => chaos::run(&args),
        Command::Deny => command::cargo(&["deny", "check", "licenses", "bans", "sources"]),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
