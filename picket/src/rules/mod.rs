//! `picket rules`: detection rules as code. What works on files alone is in files of its own; what talks to a running
//! system is in `remote/`.

mod bench;
mod check;
mod coverage;
mod diff;
mod events;
mod explain;
mod files;
mod junit;
mod layer;
mod lint;
mod render;
mod samples;
mod test;

use std::process::ExitCode;

#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// Look for mistakes in rule files
    Lint(lint::Args),
    /// Run the tests beside rules (NAME.test.yml)
    Test(test::Args),
    /// Check that every rule fires on its regression sample
    Check(check::Args),
    /// Say why a rule matches an event, or what is missing
    Explain(explain::Args),
    /// Measure how fast rules are
    Bench(bench::Args),
    /// Compare two sets of rules by what they mean
    Diff(diff::Args),
    /// Show which ATT&CK techniques rules cover
    Coverage(coverage::Args),
}

pub(crate) async fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Lint(args) => lint::run(&args),
        Command::Test(args) => test::run(&args),
        Command::Check(args) => check::run(&args),
        Command::Explain(args) => explain::run(args).await,
        Command::Bench(args) => bench::run(&args),
        Command::Diff(args) => diff::run(&args),
        Command::Coverage(args) => coverage::run(&args),
    }
}
