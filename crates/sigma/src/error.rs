//! Why a rule was refused.

use std::fmt;

use crate::yaml::Node;

/// One reason a document is not usable as a rule. Displayed as `path:line:column: field: reason`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct RuleError {
    /// Path of the file as the caller named it.
    pub path: String,
    /// Line in the file, counted from 1, when it is known.
    pub line: Option<usize>,
    /// Column in that line in characters, counted from 1, when it is known.
    pub column: Option<usize>,
    /// What in the document is wrong, such as `detection.selection.CommandLine|foo`.
    pub field: String,
    /// What was expected and what was there.
    pub reason: String,
}

impl fmt::Display for RuleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.path)?;
        if let Some(line) = self.line {
            write!(f, "{line}:")?;
            if let Some(column) = self.column {
                write!(f, "{column}:")?;
            }
        }
        write!(f, " {}: {}", self.field, self.reason)
    }
}

/// A refusal before it is known which file it belongs to.
#[derive(Clone, Debug)]
pub(crate) struct Fault {
    /// Line within the document, counted from 1; 0 when unknown.
    pub(crate) line: usize,
    /// Column within the line, counted from 1; 0 when unknown.
    pub(crate) column: usize,
    pub(crate) field: String,
    pub(crate) reason: String,
}

impl Fault {
    pub(crate) fn new(line: usize, field: impl Into<String>, reason: impl Into<String>) -> Self {
        Self {
            line,
            column: 0,
            field: field.into(),
            reason: reason.into(),
        }
    }

    /// A refusal of what a node says.
    pub(crate) fn of(node: &Node, field: impl Into<String>, reason: impl Into<String>) -> Self {
        Self {
            column: node.column,
            ..Self::new(node.line, field, reason)
        }
    }

    /// A refusal of the key of a map's entry.
    pub(crate) fn of_key(entry: &Node, field: impl Into<String>, reason: impl Into<String>) -> Self {
        let (line, column) = entry.key;
        if line == 0 {
            return Self::of(entry, field, reason);
        }
        Self {
            column,
            ..Self::new(line, field, reason)
        }
    }

    /// The error for a document that starts after `lines_before` lines of the file.
    pub(crate) fn at(self, path: &str, lines_before: usize) -> RuleError {
        RuleError {
            path: path.to_owned(),
            line: (self.line > 0).then_some(self.line + lines_before),
            column: (self.line > 0 && self.column > 0).then_some(self.column),
            field: self.field,
            reason: self.reason,
        }
    }
}

/// Why a line is not an event.
#[derive(Debug, thiserror::Error)]
#[error("expected a JSON object")]
pub struct LineError(#[from] serde_json::Error);
