//! What the compiler does not check: which crate may know which, how large a file may be, what may not be left behind.

mod files;
mod layers;
mod links;

use std::process::Command;

use anyhow::{Context as _, bail};

use crate::command::root;

/// Runs every check and lists all findings before it fails.
pub(crate) fn run() -> anyhow::Result<()> {
    eprintln!("\n$ tidy");
    let files = tracked_files()?;
    let mut findings = layers::check()?;
    findings.extend(files::check(&files)?);
    findings.extend(links::check(&files)?);
    for finding in &findings {
        eprintln!("tidy: {finding}");
    }
    if !findings.is_empty() {
        bail!("tidy found {} thing(s)", findings.len());
    }
    eprintln!("tidy: {} files in order", files.len());
    Ok(())
}

/// Paths, relative to the root, of the files that are or would be committed.
fn tracked_files() -> anyhow::Result<Vec<String>> {
    let output = Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard"])
        .current_dir(root())
        .output()
        .context("run git ls-files")?;
    if !output.status.success() {
        bail!(
            "git ls-files failed: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    let listed = String::from_utf8(output.stdout).context("read git's list of files")?;
    Ok(listed
        .lines()
        .filter(|path| root().join(path).is_file())
        .map(str::to_owned)
        .collect())
}
