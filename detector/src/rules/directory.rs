//! Reading rule files from a directory.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use sigma::RuleError;

use super::parsed::{Parsed, file_error, parse, refusal};

/// Largest rule file in bytes.
const MAX_FILE_BYTES: u64 = 4 << 20;
/// Most rule files.
const MAX_FILES: usize = 50_000;
/// Deepest folder below the rules directory; a link that leads back up ends here.
const MAX_DEPTH: usize = 16;

/// Which files there are and when they changed: equal listings mean equal rules.
pub(crate) type Listing = BTreeMap<PathBuf, (Option<SystemTime>, u64)>;

/// What the directory holds.
#[derive(Debug, Default)]
pub(crate) struct Contents {
    /// Readable documents, each id once.
    pub(crate) documents: Vec<Parsed>,
    /// Everything that is not usable. A rule whose file has an error keeps its last good revision.
    pub(crate) errors: Vec<RuleError>,
}

/// Lists rule files: `*.yml` and `*.yaml` at any depth, without tests (`*.test.yml`) and names that start with a dot.
/// Links are followed, as mounted configuration consists of them.
///
/// # Errors
/// When a folder cannot be read or there are more than 50,000 files.
pub(crate) fn list(root: &Path) -> io::Result<Listing> {
    let mut listing = Listing::new();
    walk(root, 0, &mut listing)?;
    Ok(listing)
}

fn walk(folder: &Path, depth: usize, listing: &mut Listing) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else {
            continue;
        };
        if name.starts_with('.') {
            continue;
        }
        // Gone since it was listed, or a link to nowhere.
        let Ok(metadata) = fs::metadata(&path) else { continue };
        if metadata.is_dir() {
            if depth < MAX_DEPTH {
                walk(&path, depth + 1, listing)?;
            }
        } else if metadata.is_file() && is_rule_file(name) {
            if listing.len() >= MAX_FILES {
                return Err(io::Error::other(format!("expected at most {MAX_FILES} rule files")));
            }
            listing.insert(path, (metadata.modified().ok(), metadata.len()));
        }
    }
    Ok(())
}

fn is_rule_file(name: &str) -> bool {
    let Some(stem) = name.strip_suffix(".yml").or_else(|| name.strip_suffix(".yaml")) else {
        return false;
    };
    !stem.is_empty() && !stem.ends_with(".test")
}

/// Reads and parses the files of a listing, in order of their paths. Paths in rules and errors are relative to `root`.
pub(crate) fn read(root: &Path, listing: &Listing) -> Contents {
    let mut contents = Contents::default();
    let mut ids = std::collections::HashMap::new();
    for path in listing.keys() {
        let shown = path.strip_prefix(root).unwrap_or(path).to_string_lossy().into_owned();
        let text = match read_file(path) {
            Ok(text) => text,
            Err(error) => {
                contents
                    .errors
                    .push(file_error(&shown, format!("expected a readable file ({error})")));
                continue;
            }
        };
        for parsed in parse(&shown, &text) {
            match parsed {
                Ok(parsed) => match ids.get(parsed.id()) {
                    None => {
                        ids.insert(parsed.id().to_owned(), shown.clone());
                        contents.documents.push(parsed);
                    }
                    Some(first) => {
                        let reason = format!("expected an id of its own, got {} of {first}", parsed.id());
                        contents.errors.push(refusal(&shown, "id", reason));
                    }
                },
                Err(error) => contents.errors.push(error),
            }
        }
    }
    contents
}

fn read_file(path: &Path) -> io::Result<String> {
    let mut bytes = Vec::new();
    // The size is bounded here and not by the listing: the file may have grown, or be no file by now.
    fs::File::open(path)?.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(io::Error::other(format!("more than {MAX_FILE_BYTES} bytes")));
    }
    String::from_utf8(bytes).map_err(|_| io::Error::other("not UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(id: &str) -> String {
        format!("id: {id}\ntitle: T\nlogsource: {{product: linux}}\ndetection:\n  s: {{a: b}}\n  condition: s\n")
    }

    #[test]
    fn rules_are_found_at_any_depth_and_bad_ones_are_named() {
        let root = tempfile::tempdir().unwrap();
        let at = |path: &str| root.path().join(path);
        fs::create_dir_all(at("linux/deep")).unwrap();
        fs::create_dir_all(at(".git")).unwrap();
        fs::write(at("linux/deep/a.yml"), rule("a")).unwrap();
        fs::write(at("b.yaml"), format!("{}---\n{}", rule("b"), rule("c"))).unwrap();
        fs::write(at("a.test.yml"), "not a rule").unwrap();
        fs::write(at("README.md"), "no").unwrap();
        fs::write(at(".git/x.yml"), rule("x")).unwrap();
        fs::write(at("z-again.yml"), rule("a")).unwrap();
        fs::write(at("z-bad.yml"), "title: [").unwrap();
        fs::write(at("z-binary.yml"), [0xff, 0xfe]).unwrap();
        std::os::unix::fs::symlink(root.path(), at("loop")).unwrap();

        let listing = list(root.path()).unwrap();
        let contents = read(
            root.path(),
            &listing
                .iter()
                .filter(|(path, _)| !path.starts_with(at("loop")))
                .map(|(path, state)| (path.clone(), *state))
                .collect(),
        );
        let ids: Vec<&str> = contents.documents.iter().map(Parsed::id).collect();
        assert_eq!(ids, ["b", "c", "a"]);
        let errors: Vec<String> = contents.errors.iter().map(ToString::to_string).collect();
        assert_eq!(errors.len(), 3, "{errors:?}");
        assert!(
            errors[0].starts_with("z-again.yml: id: expected an id of its own"),
            "{errors:?}"
        );
        assert!(errors[1].starts_with("z-bad.yml"), "{errors:?}");
        assert!(errors[2].starts_with("z-binary.yml: file: "), "{errors:?}");
    }

    #[test]
    fn a_missing_directory_is_an_error_and_not_an_empty_one() {
        assert!(list(Path::new("/nonexistent/rules")).is_err());
    }
}
