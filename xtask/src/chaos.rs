//! `cargo xtask chaos`: builds, and hands over to the driver in `tests`.

use std::process::Command;

use crate::command;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Build for speed
    #[arg(long)]
    release: bool,
    /// The driver's own flags: --minutes, --seed, --lines, --members; `--help` after `--` lists them
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    rest: Vec<String>,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let mut build = vec!["build", "--workspace", "--bins"];
    let profile = if args.release {
        build.push("--release");
        "release"
    } else {
        "debug"
    };
    command::cargo(&build)?;
    // What lets clocks jump is a library.
    build.retain(|arg| !matches!(*arg, "--workspace" | "--bins"));
    build.extend(["-p", "wallclock"]);
    command::cargo(&build)?;
    let mut driver = Command::new(command::target_dir().join(profile).join("chaos"));
    driver.args(&args.rest).current_dir(command::root());
    command::run(driver)
}
