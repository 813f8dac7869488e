//! Where the binaries under test are.

use std::path::PathBuf;

use anyhow::{Context as _, bail};

/// A binary of the workspace, beside the one that is running: tests run in `target/<profile>/deps`, the benchmark driver
/// in `target/<profile>`.
///
/// # Errors
/// When it has not been built.
pub fn binary(name: &str) -> anyhow::Result<PathBuf> {
    let here = std::env::current_exe().context("find our own path")?;
    for folder in here.ancestors().skip(1).take(2) {
        let candidate = folder.join(name);
        if candidate.is_file() {
            return Ok(candidate);
        }
    }
    bail!("{name} is not built: run `cargo build --workspace --bins`, or `cargo xtask test`, which does")
}
