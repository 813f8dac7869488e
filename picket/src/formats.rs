//! `picket parsers`: log formats that operators describe in TOML.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use model::Timestamp;
use parsers::custom::CustomParser;

use crate::table::{counted, printable};

#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// Run the tests that parsers hold
    Test(TestArgs),
}

#[derive(clap::Args)]
pub(crate) struct TestArgs {
    /// Files with a parser each
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
}

pub(crate) fn run(command: &Command) -> anyhow::Result<ExitCode> {
    let Command::Test(args) = command;
    let (mut tests, mut failed) = (0, 0);
    let now = Timestamp::now();
    for file in &args.files {
        let shown = file.display();
        let text = std::fs::read_to_string(file).with_context(|| format!("read {shown}"))?;
        let trials = CustomParser::from_toml(&text).and_then(|parser| parser.try_out(now));
        let trials = trials.with_context(|| format!("use {shown}"))?;
        tests += trials.len();
        for trial in trials.iter().filter(|trial| !trial.mistakes.is_empty()) {
            failed += 1;
            println!("{shown}: {}", printable(&trial.line));
            for mistake in &trial.mistakes {
                println!("  {}", printable(mistake));
            }
        }
    }
    println!(
        "{} in {}: {failed} failed",
        counted(tests, "test"),
        counted(args.files.len(), "parser")
    );
    Ok(if failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
