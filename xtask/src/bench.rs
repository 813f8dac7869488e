//! `cargo xtask bench`: builds in release and hands over to the drivers in `tests`.

use std::process::Command;

use crate::command;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// `backtest`, `ingest`, `intel`, `latency`, `memory`, `search`, `sigma` or `store`, and that driver's own flags; `--help` lists them
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, required = true)]
    rest: Vec<String>,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let mut build = vec!["build", "--release", "--workspace", "--bins"];
    // The peer takes minutes to build and serves this one benchmark.
    if args.rest.first().is_some_and(|driver| driver == "sigma") {
        build.extend(["--features", "tests/peers"]);
    }
    command::cargo(&build)?;
    let mut driver = Command::new(command::target_dir().join("release").join("bench"));
    driver.args(&args.rest).current_dir(command::root());
    command::run(driver)
}
