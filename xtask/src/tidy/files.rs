//! Sizes of files and things that are not to be left in them.

use std::fs;

use anyhow::Context as _;

use crate::command::root;

/// Lines a source file may have.
const MAX_LINES: usize = 800;

/// Written in two parts so that this list does not find itself.
const LEFTOVERS: [(&str, &str); 6] = [
    ("todo", "!("),
    ("unimpl", "emented!("),
    ("#[ign", "ore"),
    ("FIX", "ME"),
    ("XX", "X:"),
    ("dbg", "!("),
];

pub(super) fn check(files: &[String]) -> anyhow::Result<Vec<String>> {
    let mut findings = Vec::new();
    for path in files {
        if path.ends_with(".rs") {
            let text = fs::read_to_string(root().join(path)).with_context(|| format!("read {path}"))?;
            findings.extend(source(path, &text));
        } else if path.ends_with("Cargo.toml") && path != "Cargo.toml" && path != "fuzz/Cargo.toml" {
            let text = fs::read_to_string(root().join(path)).with_context(|| format!("read {path}"))?;
            if !text.contains("[lints]\nworkspace = true") {
                findings.push(format!("{path}: does not inherit the workspace's lints"));
            }
        }
    }
    Ok(findings)
}

fn source(path: &str, text: &str) -> Vec<String> {
    let mut findings = Vec::new();
    let lines = text.lines().count();
    if lines > MAX_LINES {
        findings.push(format!(
            "{path}: {lines} lines, more than {MAX_LINES}; split it by idea"
        ));
    }
    if !text.starts_with("//!") && !text.starts_with("#!") && !path.contains("/fuzz/") {
        findings.push(format!("{path}: does not begin with what the file is about (//!)"));
    }
    for (number, line) in text.lines().enumerate() {
        for (head, tail) in LEFTOVERS {
            if line.contains(&format!("{head}{tail}")) {
                findings.push(format!("{path}:{}: {head}{tail} left behind", number + 1));
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::source;

    #[test]
    fn leftovers_long_files_and_missing_headers_are_found() {
        assert!(source("a.rs", "//! A file.\nfn main() {}\n").is_empty());
        assert_eq!(source("a.rs", "fn main() {}\n").len(), 1);
        assert_eq!(source("a.rs", &format!("//! A file.\n{}", "\n".repeat(800))).len(), 1);
        assert_eq!(
            source("a.rs", concat!("//! A file.\nfn f() { to", "do!() }\n")).len(),
            1
        );
    }
}
