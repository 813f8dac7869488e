//! Rule files below directories, and the rules in them.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use sigma::{Catalog, Correlation, Document, Filter, Metadata, Rule, RuleError, RuleSet, parse_documents};

/// Largest file that is read, in bytes.
const MAX_BYTES: u64 = 16 << 20;
/// Folders of a SigmaHQ checkout that hold rules to be deployed.
const CHECKOUT: [&str; 3] = ["rules", "rules-threat-hunting", "rules-emerging-threats"];

/// A file and its text.
#[derive(Clone, Debug)]
pub(crate) struct RuleFile {
    /// As it is reached from here.
    pub path: PathBuf,
    /// Relative to the directory that was named; the file's own name when it was named itself.
    pub name: String,
    pub text: String,
}

/// What was found below some paths.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// By path.
    pub files: Vec<RuleFile>,
    /// Files that could not be read.
    pub unreadable: Vec<RuleError>,
    /// What to tell about the choice.
    pub notes: Vec<String>,
}

/// The rule files below `paths`, without tests. A path that is a file is taken whatever its name.
///
/// # Errors
/// When a path does not exist or a directory cannot be listed.
pub(crate) fn collect(paths: &[PathBuf]) -> anyhow::Result<Found> {
    let mut found = Found::default();
    for path in paths {
        if path.is_dir() {
            let roots = roots(path, &mut found.notes);
            let mut files = Vec::new();
            for root in roots {
                walk(&root, &mut files)?;
            }
            files.sort();
            for file in files {
                let name = file.strip_prefix(path).unwrap_or(&file).to_string_lossy().into_owned();
                found.read(file, name);
            }
        } else if path.exists() {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            found.read(path.clone(), name);
        } else {
            bail!("{}: there is no such file or directory", path.display());
        }
    }
    Ok(found)
}

impl Found {
    fn read(&mut self, path: PathBuf, name: String) {
        match read(&path) {
            Ok(text) => self.files.push(RuleFile { path, name, text }),
            Err(error) => self.unreadable.push(RuleError {
                path: path.to_string_lossy().into_owned(),
                line: None,
                column: None,
                field: "file".to_owned(),
                reason: format!("{error:#}"),
            }),
        }
    }

    /// What is in the files, and what is wrong with the others. Paths are as reached from here.
    pub(crate) fn parse(&self) -> Parsed {
        let mut parsed = Parsed {
            other_errors: self.unreadable.clone(),
            ..Parsed::default()
        };
        for file in &self.files {
            let path = file.path.to_string_lossy();
            if file.is_pipeline() {
                parsed.pipelines.push((path.into_owned(), file.text.clone()));
                continue;
            }
            for document in parse_documents(&path, &file.text) {
                match document {
                    Ok(Document::Rule(rule)) => parsed.rules.push(rule),
                    Ok(Document::Correlation(correlation)) => parsed.correlations.push(correlation),
                    Ok(Document::Filter(filter)) => parsed.filters.push(filter),
                    Err(error) => parsed.errors.push(error),
                }
            }
        }
        parsed
    }
}

/// What files hold.
#[derive(Debug, Default)]
pub(crate) struct Parsed {
    pub rules: Vec<Rule>,
    pub correlations: Vec<Correlation>,
    pub filters: Vec<Filter>,
    /// Path and text of each.
    pub pipelines: Vec<(String, String)>,
    /// What is wrong with documents.
    pub errors: Vec<RuleError>,
    /// What is wrong with anything else: files that are not readable, pipelines.
    pub other_errors: Vec<RuleError>,
}

impl Parsed {
    /// How many documents could be read.
    pub(crate) fn len(&self) -> usize {
        self.rules.len() + self.correlations.len() + self.filters.len() + self.pipelines.len()
    }

    /// What every rule, correlation and filter says about itself.
    pub(crate) fn metadata(&self) -> impl Iterator<Item = &Metadata> {
        let rules = self.rules.iter().map(|rule| &*rule.metadata);
        let correlations = self.correlations.iter().map(|correlation| &correlation.metadata);
        rules
            .chain(correlations)
            .chain(self.filters.iter().map(|filter| &filter.metadata))
    }

    /// What logsources and fields mean under the pipelines. Those that are wrong join the other errors, and none is used.
    pub(crate) fn catalog(&mut self) -> Catalog {
        let made = Catalog::with_pipelines(&self.pipelines);
        made.or_else(|errors| {
            self.other_errors.extend(errors);
            Catalog::with_pipelines(&[])
        })
        .unwrap_or_default()
    }

    /// Everything that is wrong.
    pub(crate) fn all_errors(&self) -> impl Iterator<Item = &RuleError> {
        self.other_errors.iter().chain(&self.errors)
    }

    /// Compiles the rules together, under the pipelines and less the filters. What cannot be used joins the errors.
    pub(crate) fn compile(&mut self) -> RuleSet {
        let catalog = self.catalog();
        let (set, refused) = RuleSet::compile_with(std::mem::take(&mut self.rules), &catalog, &self.filters);
        self.errors.extend(refused);
        set
    }
}

impl RuleFile {
    /// Processing pipelines lie in a folder of that name.
    pub(crate) fn is_pipeline(&self) -> bool {
        let folder = self.path.parent();
        folder.is_some_and(|folder| folder.components().any(|part| part.as_os_str() == "pipelines"))
    }
}

/// Of a SigmaHQ checkout, the folders whose rules are meant to be used as they are; else the directory itself.
fn roots(path: &Path, notes: &mut Vec<String>) -> Vec<PathBuf> {
    let folders: Vec<PathBuf> = CHECKOUT
        .iter()
        .map(|folder| path.join(folder))
        .filter(|folder| folder.is_dir())
        .collect();
    if folders.len() < 2 {
        return vec![path.to_owned()];
    }
    notes.push(format!(
        "{} is a SigmaHQ checkout: its {} are taken; name another folder of it to take that",
        path.display(),
        CHECKOUT.join(", ")
    ));
    folders
}

fn walk(dir: &Path, files: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    for entry in fs::read_dir(dir).with_context(|| format!("list {}", dir.display()))? {
        let entry = entry.with_context(|| format!("list {}", dir.display()))?;
        let (path, name) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
        let kind = entry
            .file_type()
            .with_context(|| format!("look at {}", path.display()))?;
        if name.starts_with('.') {
            continue;
        }
        // A link to a directory could lead in circles.
        if kind.is_dir() {
            walk(&path, files)?;
        } else if is_rule_file(&name) && path.is_file() {
            files.push(path);
        }
    }
    Ok(())
}

fn is_rule_file(name: &str) -> bool {
    let stem = name.strip_suffix(".yml").or_else(|| name.strip_suffix(".yaml"));
    stem.is_some_and(|stem| !stem.ends_with(".test"))
}

/// A file's text, when it is text and not too large.
pub(crate) fn read(path: &Path) -> anyhow::Result<String> {
    let size = fs::metadata(path).context("read the file")?.len();
    if size > MAX_BYTES {
        bail!("expected at most {MAX_BYTES} bytes, got {size}");
    }
    let bytes = fs::read(path).context("read the file")?;
    String::from_utf8(bytes).map_err(|_| anyhow::anyhow!("expected UTF-8 text"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(found: &Found, dir: &Path) -> Vec<String> {
        let name = |file: &RuleFile| file.path.strip_prefix(dir).unwrap().to_string_lossy().into_owned();
        found.files.iter().map(name).collect()
    }

    #[test]
    fn tests_hidden_files_and_other_kinds_are_left_out() {
        let temp = tempfile::tempdir().unwrap();
        let dir = temp.path();
        fs::create_dir_all(dir.join("a/.git")).unwrap();
        for name in [
            "a/x.yml",
            "a/x.test.yml",
            "a/y.yaml",
            "a/z.json",
            "a/.git/w.yml",
            "b.yml",
        ] {
            fs::write(dir.join(name), "title: t").unwrap();
        }
        fs::write(dir.join("c.yml"), [0xff, 0xfe]).unwrap();
        let found = collect(&[dir.to_owned()]).unwrap();
        let names = names(&found, temp.path());
        assert_eq!(names, ["a/x.yml", "a/y.yaml", "b.yml"]);
        assert!(found.unreadable[0].reason.contains("UTF-8"));
        assert!(collect(&[dir.join("none")]).is_err());
    }

    #[test]
    fn of_a_checkout_only_what_is_meant_for_use_is_taken() {
        let temp = tempfile::tempdir().unwrap();
        for folder in ["rules", "rules-emerging-threats", "deprecated", "tests"] {
            fs::create_dir(temp.path().join(folder)).unwrap();
            fs::write(temp.path().join(folder).join("r.yml"), "title: t").unwrap();
        }
        let found = collect(&[temp.path().to_owned()]).unwrap();
        let names = names(&found, temp.path());
        assert_eq!(names, ["rules/r.yml", "rules-emerging-threats/r.yml"]);
        assert_eq!(found.notes.len(), 1);
    }
}
