//! Documents: what a file of rules holds. Each is a rule, a correlation over rules, or a filter on rules.

use crate::correlation::{self, Correlation};
use crate::error::{Fault, RuleError};
use crate::filter::{self, Filter};
use crate::metadata::{Entries, Metadata};
use crate::rule::{self, Rule};
use crate::simple;
use crate::yaml::{self, Node};

/// Most documents in one file.
const MAX_DOCUMENTS: usize = 10_000;

/// One document of a file.
#[derive(Clone, Debug)]
#[allow(
    clippy::large_enum_variant,
    reason = "most documents are rules, and each is moved once to where it stays"
)]
pub enum Document {
    /// Finds single events.
    Rule(Rule),
    /// Finds sets of events that rules found.
    Correlation(Correlation),
    /// Takes events away from rules.
    Filter(Filter),
}

/// What a document is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DocumentKind {
    /// See [`Document::Rule`].
    Rule,
    /// See [`Document::Correlation`].
    Correlation,
    /// See [`Document::Filter`].
    Filter,
}

impl DocumentKind {
    /// A word for it: `rule`, `correlation` or `filter`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Rule => "rule",
            Self::Correlation => "correlation",
            Self::Filter => "filter",
        }
    }
}

impl Document {
    /// What it is.
    #[must_use]
    pub fn kind(&self) -> DocumentKind {
        match self {
            Self::Rule(_) => DocumentKind::Rule,
            Self::Correlation(_) => DocumentKind::Correlation,
            Self::Filter(_) => DocumentKind::Filter,
        }
    }

    /// What it says about itself.
    #[must_use]
    pub fn metadata(&self) -> &Metadata {
        match self {
            Self::Rule(rule) => &rule.metadata,
            Self::Correlation(correlation) => &correlation.metadata,
            Self::Filter(filter) => &filter.metadata,
        }
    }

    /// Identity across revisions.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.metadata().id
    }

    /// What it is about, in a line.
    #[must_use]
    pub fn title(&self) -> &str {
        &self.metadata().title
    }

    /// The document as written.
    #[must_use]
    pub fn yaml(&self) -> &str {
        &self.metadata().yaml
    }

    /// First 16 hex digits of the BLAKE3 hash of its text.
    #[must_use]
    pub fn revision(&self) -> &str {
        &self.metadata().revision
    }
}

/// Parses a stream of YAML documents: one result for each that has content, in order. A bad document does not affect
/// the others. `path` only appears in documents and errors; nothing is read.
#[must_use]
pub fn parse_documents(path: &str, yaml: &str) -> Vec<Result<Document, RuleError>> {
    let documents = yaml::split_documents(yaml);
    if documents.len() > MAX_DOCUMENTS {
        let reason = format!("expected at most {MAX_DOCUMENTS} documents, got {}", documents.len());
        return vec![Err(Fault::new(0, "file", reason).at(path, 0))];
    }
    if documents.is_empty() {
        return vec![Err(
            Fault::new(0, "file", "expected a rule, got an empty document").at(path, 0)
        )];
    }
    documents
        .into_iter()
        .flat_map(|document| {
            let parsed = parse_document(path, document);
            parsed
                .into_iter()
                .map(move |one| one.map_err(|fault| fault.at(path, document.lines_before)))
        })
        .collect()
}

/// Like [`parse_documents`], for callers that only take rules: documents of another kind are refused.
#[must_use]
pub fn parse_rules(path: &str, yaml: &str) -> Vec<Result<Rule, RuleError>> {
    parse_documents(path, yaml)
        .into_iter()
        .map(|document| match document? {
            Document::Rule(rule) => Ok(rule),
            Document::Correlation(correlation) => Err(correlation
                .metadata
                .refusal("correlation", "expected a detection rule, got a correlation")),
            Document::Filter(filter) => Err(filter
                .metadata
                .refusal("filter", "expected a detection rule, got a filter")),
        })
        .collect()
}

/// What a document holds: one thing, or the rules of a list in the simple format.
fn parse_document(path: &str, document: yaml::Document<'_>) -> Vec<Result<Document, Fault>> {
    let root = match yaml::parse(document.text) {
        Ok(root) => root,
        Err(fault) => return vec![Err(fault)],
    };
    match simple::parse(path, document, &root) {
        Some(rules) => rules.into_iter().map(|rule| rule.map(Document::Rule)).collect(),
        None => vec![parse_sigma(path, document, &root)],
    }
}

fn parse_sigma(path: &str, document: yaml::Document<'_>, root: &Node) -> Result<Document, Fault> {
    let Some(entries) = root.as_map() else {
        return Err(Fault::of(
            root,
            "document",
            format!("expected a map, got {}", root.kind_name()),
        ));
    };
    let mut top = Entries {
        entries,
        line: root.line,
        kind: None,
    };
    if let Some(node) = top.get("action") {
        let reason = "expected a document of its own: `action` collections are not part of Sigma 2";
        return Err(Fault::of(node, "action", reason));
    }
    let sections: Vec<&str> = ["detection", "correlation", "filter"]
        .into_iter()
        .filter(|section| top.get(section).is_some())
        .collect();
    match sections.as_slice() {
        [] | ["detection"] => {
            top.kind = Some("rule");
            rule::parse(path, document, &top).map(Document::Rule)
        }
        ["correlation"] => {
            top.kind = Some("correlation");
            correlation::parse(path, document, &top).map(Document::Correlation)
        }
        ["filter"] => {
            top.kind = Some("filter");
            filter::parse(path, document, &top).map(Document::Filter)
        }
        [.., second] => {
            let reason = format!(
                "expected one of detection, correlation and filter, got {}",
                sections.join(" and ")
            );
            Err(top.fault(second, reason))
        }
    }
}
