//! `picket rules`: detection rules as code. What works on files alone is in files of its own; what talks to a running
//! system is in `remote/`.

mod bench;
mod check;
mod coverage;
mod diff;
mod events;
mod explain;
mod files;
mod history;
mod junit;
mod layer;
mod lint;
mod remote;
mod render;
mod render_correlation;
mod samples;
mod test;

pub(crate) use remote::{exceptions, suppressions};

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
    /// Show what the rules of a running system cost
    Cost(remote::cost::Args),
    /// Say what rules would have done with stored events
    Backtest(history::Args),
    /// Store rules in a running system
    Import(remote::import::Args),
    /// Show the rules of a running system
    List(remote::list::Args),
    /// Show one rule
    Show(remote::show::Args),
    /// Show what a rule was before
    Versions(remote::versions::Args),
    /// Switch rules on
    Enable(remote::change::EnableArgs),
    /// Switch rules off; they stay stored
    Disable(remote::change::EnableArgs),
    /// Delete imported rules; their versions stay
    Delete(remote::change::DeleteArgs),
}

pub(crate) async fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Lint(args) => lint::run(&args),
        Command::Test(args) => test::run(&args),
        Command::Check(args) => check::run(&args),
        Command::Explain(args) => explain::run(args).await,
        Command::Bench(args) => bench::run(&args),
        Command::Diff(args) => diff::run(&args).await,
        Command::Coverage(args) => coverage::run(&args).await,
        Command::Cost(args) => remote::cost::run(&args).await,
        Command::Backtest(args) => history::run(&args).await,
        Command::Import(args) => remote::import::run(args).await,
        Command::List(args) => remote::list::run(&args).await,
        Command::Show(args) => remote::show::run(&args).await,
        Command::Versions(args) => remote::versions::run(&args).await,
        Command::Enable(args) => remote::change::switch(args, true).await,
        Command::Disable(args) => remote::change::switch(args, false).await,
        Command::Delete(args) => remote::change::delete(args).await,
    }
}
