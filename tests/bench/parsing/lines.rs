//! The lines of each format.

use std::path::Path;

use anyhow::{Context as _, ensure};

/// The lines of one format.
pub(super) struct Sample {
    pub(super) name: String,
    pub(super) lines: Vec<String>,
}

/// All `FORMAT.log` of a directory, or those named, by name.
pub(super) fn read(directory: &Path, wanted: &[String]) -> anyhow::Result<Vec<Sample>> {
    let entries = std::fs::read_dir(directory).with_context(|| format!("read {}", directory.display()))?;
    let mut samples = Vec::new();
    for entry in entries {
        let path = entry?.path();
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let is_log = path.extension().is_some_and(|extension| extension == "log");
        if !is_log || !wanted.is_empty() && !wanted.contains(&name) {
            continue;
        }
        let text = std::fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
        let lines: Vec<String> = text.lines().map(str::to_owned).collect();
        ensure!(!lines.is_empty(), "{}: expected lines, got none", path.display());
        samples.push(Sample { name, lines });
    }
    samples.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(samples)
}
