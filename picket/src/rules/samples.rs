//! Regression samples: events on which a rule must fire, in two layouts.
//!
//! - A directory with `manifest.json`, `[{"rule_id", "title", "rule_path", "match_count", "n"}]`, and for each rule
//!   `<rule id>.flat.jsonl` and `<rule id>.nested.jsonl`, or one of them.
//! - SigmaHQ's own: `info.yml` files in folders below, with the samples beside them. Events in `.evtx` are taken from the
//!   `.json` beside it; without one they are told as skipped.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use serde::Deserialize;

/// Deepest folder below the samples.
const MAX_DEPTH: usize = 16;

/// One file of events and what its rule must do on them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sample {
    pub rule_id: String,
    pub title: String,
    /// `flat`, `nested`, `json`, …
    pub layout: String,
    pub path: PathBuf,
    /// How often the rule must fire; at least once when nothing is said.
    pub match_count: Option<usize>,
}

/// What is below a directory.
#[derive(Debug, Default)]
pub(crate) struct Samples {
    pub samples: Vec<Sample>,
    /// What could not be used: where and why.
    pub skipped: Vec<(String, String)>,
}

#[derive(Deserialize)]
struct ManifestEntry {
    rule_id: String,
    #[serde(default)]
    title: String,
    #[serde(default)]
    match_count: Option<usize>,
}

#[derive(Deserialize)]
struct Info {
    #[serde(default)]
    rule_metadata: Vec<InfoRule>,
    #[serde(default)]
    regression_tests_info: Vec<InfoTest>,
}

#[derive(Deserialize)]
struct InfoRule {
    id: String,
    #[serde(default)]
    title: String,
}

#[derive(Deserialize)]
struct InfoTest {
    #[serde(rename = "type")]
    kind: String,
    path: String,
    #[serde(default)]
    match_count: Option<usize>,
}

/// Finds the samples below `dir`.
///
/// # Errors
/// When there are none, or the manifest cannot be read.
pub(crate) fn find(dir: &Path) -> anyhow::Result<Samples> {
    let manifest = dir.join("manifest.json");
    let mut found = Samples::default();
    if manifest.is_file() {
        from_manifest(dir, &manifest, &mut found)?;
    } else {
        walk(dir, 0, &mut found)?;
    }
    if found.samples.is_empty() && found.skipped.is_empty() {
        bail!(
            "{}: expected manifest.json with samples beside it, or SigmaHQ's regression_data with info.yml files",
            dir.display()
        );
    }
    Ok(found)
}

fn from_manifest(dir: &Path, manifest: &Path, found: &mut Samples) -> anyhow::Result<()> {
    let text = fs::read_to_string(manifest).with_context(|| format!("read {}", manifest.display()))?;
    let entries: Vec<ManifestEntry> =
        serde_json::from_str(&text).with_context(|| format!("read {}", manifest.display()))?;
    for entry in entries {
        let before = found.samples.len();
        for layout in ["flat", "nested"] {
            let path = dir.join(format!("{}.{layout}.jsonl", entry.rule_id));
            if path.is_file() {
                found.samples.push(Sample {
                    rule_id: entry.rule_id.clone(),
                    title: entry.title.clone(),
                    layout: layout.to_owned(),
                    path,
                    match_count: entry.match_count,
                });
            }
        }
        if found.samples.len() == before {
            found
                .skipped
                .push((entry.rule_id, "its .jsonl is not there".to_owned()));
        }
    }
    Ok(())
}

fn walk(dir: &Path, depth: usize, found: &mut Samples) -> anyhow::Result<()> {
    if depth > MAX_DEPTH {
        return Ok(());
    }
    let mut entries: Vec<PathBuf> = fs::read_dir(dir)
        .with_context(|| format!("list {}", dir.display()))?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<_, _>>()
        .with_context(|| format!("list {}", dir.display()))?;
    entries.sort();
    for path in entries {
        if path.is_dir() && !path.is_symlink() {
            walk(&path, depth + 1, found)?;
        } else if path.file_name().is_some_and(|name| name == "info.yml") {
            let outcome = from_info(&path, found);
            if let Err(error) = outcome {
                found.skipped.push((path.display().to_string(), format!("{error:#}")));
            }
        }
    }
    Ok(())
}

fn from_info(path: &Path, found: &mut Samples) -> anyhow::Result<()> {
    let text = fs::read_to_string(path).context("read the file")?;
    let info: Info = serde_saphyr::from_str(&text).map_err(|error| anyhow::anyhow!("{}", error.without_snippet()))?;
    let Some(rule) = info.rule_metadata.first() else {
        bail!("rule_metadata: expected a rule");
    };
    let folder = path.parent().unwrap_or(Path::new("."));
    for test in info.regression_tests_info {
        // Paths are written from the checkout's root; the samples lie beside the file.
        let name = Path::new(&test.path).file_name().unwrap_or_default();
        let mut sample = folder.join(name);
        if test.kind == "evtx" {
            sample.set_extension("json");
        }
        if sample.is_file() {
            found.samples.push(Sample {
                rule_id: rule.id.clone(),
                title: rule.title.clone(),
                layout: test.kind,
                path: sample,
                match_count: test.match_count,
            });
        } else {
            let reason = if test.kind == "evtx" {
                "evtx files are not read, and there is no .json beside it"
            } else {
                "there is no such file"
            };
            found
                .skipped
                .push((folder.join(name).display().to_string(), reason.to_owned()));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checkouts_samples_are_found_beside_their_info() {
        let temp = tempfile::tempdir().unwrap();
        let dir = temp.path().join("regression_data/rules/windows/a");
        fs::create_dir_all(&dir).unwrap();
        let info = "id: x\nrule_metadata:\n  - id: r1\n    title: T\nregression_tests_info:\n  - name: P\n    type: evtx\n    \
                    provider: S\n    match_count: 2\n    path: regression_data/rules/windows/a/r1.evtx\n  - type: json\n    \
                    path: regression_data/rules/windows/a/none.json\n";
        fs::write(dir.join("info.yml"), info).unwrap();
        fs::write(dir.join("r1.json"), "{}").unwrap();
        let found = find(temp.path()).unwrap();
        assert_eq!(found.samples.len(), 1);
        assert_eq!(found.samples[0].match_count, Some(2));
        assert_eq!(found.samples[0].path, dir.join("r1.json"));
        assert_eq!(found.skipped.len(), 1);
        assert!(find(&dir.join("../..").join("windows/a/nothing")).is_err());
    }
}
