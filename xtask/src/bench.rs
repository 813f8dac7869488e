//! `cargo xtask bench`: builds in release and hands over to the drivers in `tests`.

use std::process::Command;

use crate::command;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// `ingest`, `latency` or `memory`, and that driver's own flags; `--help` lists them
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, required = true)]
    rest: Vec<String>,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    command::cargo(&["build", "--release", "--workspace", "--bins"])?;
    let mut driver = Command::new(command::target_dir().join("release").join("bench"));
    driver.args(&args.rest).current_dir(command::root());
    command::run(driver)
}
