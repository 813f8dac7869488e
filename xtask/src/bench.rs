//! `cargo xtask bench`: builds in release and hands over to the drivers in `tests`.

use std::process::Command;

use crate::command;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// `backtest`, `ingest`, `intel`, `latency`, `memory`, `parsers`, `search`, `sigma` or `store`, and that driver's own flags; `--help` lists them
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, required = true)]
    rest: Vec<String>,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    // Peers take minutes to build, and each serves one benchmark alone.
    let (features, driver): (&[&str], _) = match args.rest.first().map(String::as_str) {
        Some("parsers") => (
            &["--package", "bench_parsers", "--features", "bench_parsers/peers"],
            "bench_parsers",
        ),
        Some("sigma") => (&["--workspace", "--features", "tests/peers"], "bench"),
        _ => (&["--workspace"], "bench"),
    };
    let build = [&["build", "--release", "--bins"], features].concat();
    command::cargo(&build)?;
    let mut driver = Command::new(command::target_dir().join("release").join(driver));
    driver.args(&args.rest).current_dir(command::root());
    command::run(driver)
}
