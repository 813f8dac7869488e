//! `cargo xtask test`: one command for everything that is tested, cheapest first.

use crate::{command, tidy};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Leave out the stories over real processes
    #[arg(long)]
    fast: bool,
    /// Passed on to `cargo test`, such as a test's name
    #[arg(trailing_var_arg = true)]
    rest: Vec<String>,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    command::cargo(&["fmt", "--all", "--check"])?;
    tidy::run()?;
    command::cargo(&["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"])?;
    // Stories start the binaries as processes.
    command::cargo(&["build", "--workspace", "--bins"])?;
    // Lets clocks jump in the chaos story.
    command::cargo(&["build", "-p", "wallclock"])?;
    let mut test = vec!["test", "--workspace", "--no-fail-fast"];
    if args.fast {
        test.extend(["--exclude", "tests"]);
    }
    test.extend(args.rest.iter().map(String::as_str));
    command::cargo(&test)?;
    eprintln!("\neverything passed");
    Ok(())
}
