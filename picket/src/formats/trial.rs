//! `picket parsers test`: what a parser's own tests say, without a running system.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::anyhow;
use model::Timestamp;
use parsers::custom::CustomParser;

use super::files;
use crate::table::{counted, printable};

pub(super) fn run(paths: &[PathBuf]) -> anyhow::Result<ExitCode> {
    let (mut tests, mut failed) = (0, 0);
    let now = Timestamp::now();
    for file in paths {
        let shown = file.display();
        let text = files::read(file)?;
        let trials = CustomParser::from_toml(&text).and_then(|parser| parser.try_out(now));
        let trials = trials.map_err(|error| anyhow!("{shown}: {error}"))?;
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
        counted(paths.len(), "parser")
    );
    Ok(if failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
