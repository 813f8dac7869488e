//! Which crate may depend on which. The table is the architecture; `ARCHITECTURE.md` explains it.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, bail};
use serde_json::Value;

use crate::command::cargo_command;

/// Each crate of the workspace, and the crates of the workspace it may use in its product code.
const MAY_USE: [(&str, &[&str]); 25] = [
    ("model", &[]),
    ("block", &["model", "intel"]),
    ("intel", &["model"]),
    ("parsers", &["model"]),
    ("records", &[]),
    ("sigma", &["model"]),
    ("feeds", &["model"]),
    ("query", &["model", "block", "intel"]),
    ("proto", &["model"]),
    ("identity", &["model"]),
    ("storage", &["model", "block", "query"]),
    ("proof", &["model", "block", "identity", "storage"]),
    ("bootstrap", &["model", "proto", "identity"]),
    ("mongod", &[]),
    (
        "testkit",
        &["model", "proto", "identity", "storage", "mongod", "bootstrap"],
    ),
    ("agentd", &["model", "proto", "identity", "bootstrap", "records"]),
    (
        "collector",
        &["model", "proto", "identity", "bootstrap", "storage", "block", "parsers"],
    ),
    (
        "detector",
        &[
            "model",
            "proto",
            "identity",
            "bootstrap",
            "storage",
            "block",
            "query",
            "sigma",
            "intel",
            "feeds",
        ],
    ),
    ("responder", &["model", "proto", "identity", "bootstrap", "storage"]),
    (
        "gateway",
        &[
            "model",
            "proto",
            "identity",
            "bootstrap",
            "storage",
            "block",
            "query",
            "intel",
            "proof",
        ],
    ),
    (
        "picket",
        &[
            "model",
            "proto",
            "identity",
            "bootstrap",
            "storage",
            "query",
            "proof",
            "sigma",
            "parsers",
            "records",
            "mongod",
            "agentd",
            "collector",
            "detector",
            "feeds",
            "responder",
            "gateway",
        ],
    ),
    (
        "tests",
        &[
            "model",
            "proto",
            "identity",
            "storage",
            "mongod",
            "testkit",
            "parsers",
            "sigma",
            "intel",
            "block",
            "query",
            "bootstrap",
            "detector",
            "gateway",
        ],
    ),
    ("bench_parsers", &["model", "parsers"]),
    ("wallclock", &[]),
    ("xtask", &[]),
];

/// Crates that only some may use directly: outside crate, who may, why.
const GUARDED: [(&str, &[&str], &str); 3] = [
    (
        "mongodb",
        &["storage", "mongod", "tests"],
        "queries live beside their indexes in storage",
    ),
    ("rcgen", &["identity"], "certificates are made in one place"),
    (
        "metrics-exporter-prometheus",
        &["bootstrap"],
        "one recorder per process",
    ),
];

/// Crates that stay pure: no runtime, no network, no database.
const PURE: [&str; 7] = ["model", "block", "query", "intel", "parsers", "sigma", "feeds"];
const IMPURE: [&str; 6] = ["tokio", "mongodb", "tonic", "reqwest", "axum", "hyper"];

pub(super) fn check() -> anyhow::Result<Vec<String>> {
    let output = cargo_command(&["metadata", "--no-deps", "--format-version", "1", "--offline"])
        .output()
        .context("run cargo metadata")?;
    if !output.status.success() {
        bail!(
            "cargo metadata failed: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    let metadata: Value = serde_json::from_slice(&output.stdout).context("read cargo metadata")?;
    Ok(findings(&dependencies(&metadata)))
}

/// Package → (dependency, is it for tests only).
fn dependencies(metadata: &Value) -> BTreeMap<String, BTreeSet<(String, bool)>> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    list(&metadata["packages"])
        .iter()
        .map(|package| {
            let dependencies = list(&package["dependencies"])
                .iter()
                .map(|dependency| (text(&dependency["name"]), dependency["kind"] == "dev"))
                .collect();
            (text(&package["name"]), dependencies)
        })
        .collect()
}

fn findings(packages: &BTreeMap<String, BTreeSet<(String, bool)>>) -> Vec<String> {
    let mut findings = Vec::new();
    for (package, dependencies) in packages {
        let Some((_, allowed)) = MAY_USE.iter().find(|(name, _)| name == package) else {
            findings.push(format!(
                "{package}: has no row in the layer table (xtask/src/tidy/layers.rs)"
            ));
            continue;
        };
        for (dependency, test_only) in dependencies {
            if *test_only {
                continue;
            }
            if packages.contains_key(dependency) && !allowed.contains(&dependency.as_str()) {
                findings.push(format!("{package}: must not depend on {dependency}"));
            }
            if PURE.contains(&package.as_str()) && IMPURE.contains(&dependency.as_str()) {
                findings.push(format!("{package}: is pure and must not depend on {dependency}"));
            }
            for (guarded, users, why) in GUARDED {
                if dependency == guarded && !users.contains(&package.as_str()) {
                    findings.push(format!("{package}: must not depend on {dependency}: {why}"));
                }
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::{check, findings};

    #[test]
    fn the_workspace_keeps_its_layers() {
        assert_eq!(check().unwrap(), Vec::<String>::new());
    }

    #[test]
    fn a_breach_is_named() {
        let packages: BTreeMap<String, BTreeSet<(String, bool)>> = [
            ("gateway", vec![("detector", false)]),
            ("detector", vec![("gateway", true), ("mongodb", false)]),
            ("sigma", vec![("tokio", false)]),
            ("newcomer", vec![]),
        ]
        .into_iter()
        .map(|(name, list)| {
            (
                name.to_owned(),
                list.into_iter().map(|(name, dev)| (name.to_owned(), dev)).collect(),
            )
        })
        .collect();
        let found = findings(&packages);
        assert_eq!(found.len(), 4, "{found:?}");
        assert!(
            found
                .iter()
                .any(|finding| finding == "gateway: must not depend on detector")
        );
    }
}
