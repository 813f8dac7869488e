//! What is questionable about rules beyond what refuses them: missing metadata, conditions that cannot do what they
//! seem to, values that are slower or broader than they need to be.
//!
//! Every finding has a code; `docs/reference/rules.md` has the table.

mod codes;
mod condition;
mod detection;
mod metadata;
mod regexes;

use std::fmt;

use rustc_hash::FxHashMap;

pub use codes::{CODES, Code};

use crate::document::{Document, parse_documents};
use crate::error::RuleError;
use crate::logsource::Catalog;
use crate::yaml::{self, Node};

/// How much a finding matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// The rule is not used.
    Error,
    /// The rule probably does not do what its author wants, or others cannot work with it.
    Warning,
    /// It could be better.
    Info,
}

impl Severity {
    /// A word for it: `error`, `warning` or `info`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Info => "info",
        }
    }
}

/// One finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lint {
    /// Path of the file as the caller named it.
    pub path: String,
    /// Line in the file, counted from 1, when it is known.
    pub line: Option<usize>,
    /// Column in that line in characters, counted from 1, when it is known.
    pub column: Option<usize>,
    /// What kind of finding, such as `unused_search`.
    pub code: &'static str,
    /// How much it matters.
    pub severity: Severity,
    /// What in the document it is about, such as `detection.selection`; empty for the file as a whole.
    pub field: String,
    /// What was found.
    pub message: String,
    /// What to do about it.
    pub hint: &'static str,
}

impl fmt::Display for Lint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.path)?;
        if let Some(line) = self.line {
            write!(f, "{line}:")?;
            if let Some(column) = self.column {
                write!(f, "{column}:")?;
            }
        }
        write!(f, " {} [{}]", self.severity.as_str(), self.code)?;
        if !self.field.is_empty() {
            write!(f, " {}:", self.field)?;
        }
        write!(f, " {}", self.message)
    }
}

/// Findings of one file, refusals among them, by the built-in catalog.
#[must_use]
pub fn lint(path: &str, yaml: &str) -> Vec<Lint> {
    Linter::new(Catalog::builtin()).file(path, yaml)
}

/// Lints files one after the other and remembers what must be unique among them.
#[derive(Debug)]
pub struct Linter<'a> {
    catalog: &'a Catalog,
    /// Where ids, names and titles were seen first.
    seen: FxHashMap<(&'static str, String), String>,
}

impl<'a> Linter<'a> {
    /// A linter that has seen nothing yet.
    #[must_use]
    pub fn new(catalog: &'a Catalog) -> Self {
        Self {
            catalog,
            seen: FxHashMap::default(),
        }
    }

    /// Findings of one file, by line.
    #[must_use]
    pub fn file(&mut self, path: &str, yaml: &str) -> Vec<Lint> {
        let mut found = Findings::new(path, 0);
        metadata::file_name(path, &mut found);
        let mut all = found.lints;
        // Both cut the stream at the same places, so results and documents go together.
        let texts = yaml::split_documents(yaml);
        for (position, result) in parse_documents(path, yaml).into_iter().enumerate() {
            let text = texts.get(position);
            let mut found = Findings::new(path, text.map_or(0, |text| text.lines_before));
            match result {
                Err(error) => found.refused(error),
                Ok(document) => {
                    if let Some(root) = text.and_then(|text| yaml::parse(text.text).ok()) {
                        self.document(&document, &root, &mut found);
                    }
                }
            }
            all.extend(found.lints);
        }
        all.sort_by_key(|lint| (lint.line, lint.column));
        all
    }

    fn document(&mut self, document: &Document, root: &Node, found: &mut Findings<'_>) {
        self.unique(document, root, found);
        metadata::check(document, root, found);
        let Document::Rule(rule) = document else {
            return;
        };
        metadata::logsource(rule, root, self.catalog, found);
        if let Err(error) = self.catalog.resolve(rule) {
            found.refused(error);
        }
        detection::check(&rule.detection, found);
        condition::check(&rule.detection, found);
    }

    fn unique(&mut self, document: &Document, root: &Node, found: &mut Findings<'_>) {
        let name = document.metadata().name.clone();
        let parts = [
            ("id", &codes::DUPLICATE_ID, Some(document.id().to_owned())),
            ("name", &codes::DUPLICATE_NAME, name),
            ("title", &codes::DUPLICATE_TITLE, Some(document.title().to_owned())),
        ];
        for (key, code, value) in parts {
            let Some(value) = value else { continue };
            let here = found.place(member(root, key).map_or(0, |node| node.line));
            if let Some(first) = self.seen.get(&(key, value.clone())) {
                let message = format!("expected a {key} of its own, got that of {first}");
                found.at(code, member(root, key), key, message);
            } else {
                self.seen.insert((key, value), here);
            }
        }
    }
}

/// The value of a key.
fn member<'a>(node: &'a Node, name: &str) -> Option<&'a Node> {
    let entries = node.as_map()?;
    entries.iter().find(|(key, _)| key == name).map(|(_, value)| value)
}

/// Findings of one document.
struct Findings<'a> {
    path: &'a str,
    lines_before: usize,
    lints: Vec<Lint>,
}

impl<'a> Findings<'a> {
    fn new(path: &'a str, lines_before: usize) -> Self {
        Self {
            path,
            lines_before,
            lints: Vec::new(),
        }
    }

    fn place(&self, line: usize) -> String {
        if line == 0 {
            self.path.to_owned()
        } else {
            format!("{}:{}", self.path, line + self.lines_before)
        }
    }

    fn refused(&mut self, error: RuleError) {
        self.lints.push(Lint {
            path: error.path,
            line: error.line,
            column: error.column,
            code: codes::REFUSED.name,
            severity: codes::REFUSED.severity,
            field: error.field,
            message: error.reason,
            hint: codes::REFUSED.hint,
        });
    }

    /// A finding about a node, or about the document when there is none.
    fn at(&mut self, code: &'static Code, node: Option<&Node>, field: impl Into<String>, message: impl Into<String>) {
        let (line, column) = node.map_or((0, 0), |node| (node.line, node.column));
        self.found(code, line, column, field, message);
    }

    /// A finding about the key of an entry.
    fn at_key(&mut self, code: &'static Code, node: &Node, field: impl Into<String>, message: impl Into<String>) {
        let (line, column) = node.key;
        self.found(code, line, column, field, message);
    }

    fn found(
        &mut self,
        code: &'static Code,
        line: usize,
        column: usize,
        field: impl Into<String>,
        message: impl Into<String>,
    ) {
        self.lints.push(Lint {
            path: self.path.to_owned(),
            line: Some(self.lines_before + line.max(1)),
            column: (line > 0 && column > 0).then_some(column),
            code: code.name,
            severity: code.severity,
            field: field.into(),
            message: message.into(),
            hint: code.hint,
        });
    }
}
