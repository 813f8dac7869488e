//! Links between the documents: a link to a file that is not there is a finding.

use std::fs;
use std::path::Path;

use anyhow::Context as _;

use crate::command::root;

pub(super) fn check(files: &[String]) -> anyhow::Result<Vec<String>> {
    let mut findings = Vec::new();
    for path in files.iter().filter(|path| path.ends_with(".md")) {
        let text = fs::read_to_string(root().join(path)).with_context(|| format!("read {path}"))?;
        let folder = Path::new(path).parent().unwrap_or(Path::new(""));
        for target in targets(&text) {
            if !root().join(folder).join(target).exists() {
                findings.push(format!("{path}: links to {target}, which does not exist"));
            }
        }
    }
    Ok(findings)
}

/// Targets of `[text](target)` that are files of ours, without their anchors.
fn targets(text: &str) -> impl Iterator<Item = &str> {
    text.split("](").skip(1).filter_map(|rest| {
        let target = rest.split(')').next()?;
        let file = target.split('#').next().unwrap_or_default();
        (!file.is_empty() && !file.contains("://") && !file.contains(char::is_whitespace)).then_some(file)
    })
}

#[cfg(test)]
mod tests {
    use super::targets;

    #[test]
    fn only_links_to_files_count() {
        let text = "[a](docs/a.md#part) [b](https://example.org/x) [c](#here) `x[0](y z)`";
        assert_eq!(targets(text).collect::<Vec<_>>(), ["docs/a.md"]);
    }
}
