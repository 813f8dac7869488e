//! Parsers in files and directories.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use parsers::custom::MAX_FILE;

/// Deepest directory that is looked into.
const MAX_DEPTH: usize = 16;

/// A parser's text.
pub(super) fn read(path: &Path) -> anyhow::Result<String> {
    let shown = path.display();
    let size = fs::metadata(path).with_context(|| format!("read {shown}"))?.len();
    if size > MAX_FILE as u64 {
        bail!("{shown}: expected at most {MAX_FILE} bytes, got {size}");
    }
    fs::read_to_string(path).with_context(|| format!("read {shown}"))
}

/// The files below `paths`: those named, whatever they are called, and `.toml` files of directories, in order.
pub(super) fn collect(paths: &[PathBuf]) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for path in paths {
        if path.is_dir() {
            let mut found = Vec::new();
            walk(path, 0, &mut found)?;
            found.sort();
            files.extend(found);
        } else if path.exists() {
            files.push(path.clone());
        } else {
            bail!("{}: there is no such file or directory", path.display());
        }
    }
    if files.is_empty() {
        bail!("expected at least one .toml file");
    }
    Ok(files)
}

fn walk(dir: &Path, depth: usize, files: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    if depth > MAX_DEPTH {
        bail!(
            "{}: expected at most {MAX_DEPTH} directories in each other",
            dir.display()
        );
    }
    let listing = || format!("list {}", dir.display());
    for entry in fs::read_dir(dir).with_context(listing)? {
        let entry = entry.with_context(listing)?;
        let (path, name) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
        // A link to a directory could lead in circles.
        if entry.file_type().with_context(listing)?.is_dir() {
            if !name.starts_with('.') {
                walk(&path, depth + 1, files)?;
            }
        } else if name.ends_with(".toml") && path.is_file() {
            files.push(path);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_give_their_parsers_and_files_themselves() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["b.toml", "sub/a.toml", "notes.md", ".git/c.toml"] {
            let path = dir.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        let found = collect(&[dir.path().to_owned(), dir.path().join("notes.md")]).unwrap();
        let names: Vec<_> = found
            .iter()
            .map(|path| path.strip_prefix(dir.path()).unwrap().to_str().unwrap())
            .collect();
        assert_eq!(names, ["b.toml", "sub/a.toml", "notes.md"]);
        assert!(collect(&[dir.path().join("none")]).is_err());
    }
}
