//! Documents of detection content, parsed: what is in files, in imports and in MongoDB.

use std::sync::Arc;

use model::Tenant;
use model::Timestamp;
use model::rule::{RuleKind, RuleOrigin, StoredRule};
use sigma::{Document, DocumentKind, LogSource, RuleError};

/// Folder whose files are processing pipelines.
const PIPELINES: &str = "pipelines";
/// What the id of a pipeline begins with. No Sigma id has a colon.
const PIPELINE_ID: &str = "pipeline:";
/// Longest name of a pipeline's file, in bytes.
const MAX_PIPELINE_NAME: usize = 100;

/// One document.
#[derive(Clone, Debug)]
pub(crate) enum Parsed {
    /// A rule, correlation or filter.
    Document(Arc<Document>),
    /// A processing pipeline.
    Pipeline(Arc<Pipeline>),
}

/// A processing pipeline: checked when the catalog is made of all of them.
#[derive(Clone, Debug)]
pub(crate) struct Pipeline {
    pub(crate) id: String,
    pub(crate) title: String,
    pub(crate) path: String,
    pub(crate) yaml: String,
    pub(crate) revision: String,
}

impl Parsed {
    pub(crate) fn id(&self) -> &str {
        match self {
            Self::Document(document) => document.id(),
            Self::Pipeline(pipeline) => &pipeline.id,
        }
    }

    pub(crate) fn title(&self) -> &str {
        match self {
            Self::Document(document) => document.title(),
            Self::Pipeline(pipeline) => &pipeline.title,
        }
    }

    pub(crate) fn path(&self) -> &str {
        match self {
            Self::Document(document) => &document.metadata().path,
            Self::Pipeline(pipeline) => &pipeline.path,
        }
    }

    pub(crate) fn revision(&self) -> &str {
        match self {
            Self::Document(document) => document.revision(),
            Self::Pipeline(pipeline) => &pipeline.revision,
        }
    }

    pub(crate) fn kind(&self) -> RuleKind {
        match self {
            Self::Document(document) => match document.kind() {
                DocumentKind::Rule => RuleKind::Rule,
                DocumentKind::Correlation => RuleKind::Correlation,
                DocumentKind::Filter => RuleKind::Filter,
            },
            Self::Pipeline(_) => RuleKind::Pipeline,
        }
    }

    /// As it is stored when `by` puts it in place.
    pub(crate) fn to_stored(&self, tenant: &Tenant, origin: RuleOrigin, by: &str) -> StoredRule {
        let (level, tags, logsource, yaml) = match self {
            Self::Document(document) => {
                let metadata = document.metadata();
                let level = (document.kind() != DocumentKind::Filter).then_some(metadata.level);
                let logsource = match &**document {
                    Document::Rule(rule) => in_one_line(&rule.logsource),
                    Document::Filter(filter) => in_one_line(filter.logsource()),
                    Document::Correlation(_) => String::new(),
                };
                (level, metadata.tags.clone(), logsource, metadata.yaml.clone())
            }
            Self::Pipeline(pipeline) => (None, Vec::new(), String::new(), pipeline.yaml.clone()),
        };
        StoredRule {
            id: self.id().to_owned(),
            tenant: tenant.clone(),
            kind: self.kind(),
            title: self.title().to_owned(),
            yaml,
            revision: self.revision().to_owned(),
            path: self.path().to_owned(),
            origin,
            level,
            tags,
            logsource,
            enabled: true,
            vanished: false,
            note: String::new(),
            updated_at: Timestamp(0),
            updated_by: by.to_owned(),
            error: None,
        }
    }
}

fn in_one_line(logsource: &LogSource) -> String {
    let part = |part: &Option<String>| part.clone().unwrap_or_default();
    format!(
        "{}/{}/{}",
        part(&logsource.product),
        part(&logsource.category),
        part(&logsource.service)
    )
}

/// Whether a file is a pipeline: it lies in a folder `pipelines`.
pub(crate) fn is_pipeline(path: &str) -> bool {
    let mut folders = path.split(['/', '\\']);
    folders.next_back();
    folders.any(|folder| folder == PIPELINES)
}

/// Parses a file: one result for each document, in order.
pub(crate) fn parse(path: &str, text: &str) -> Vec<Result<Parsed, RuleError>> {
    if is_pipeline(path) {
        return vec![pipeline(path, text).map(|pipeline| Parsed::Pipeline(Arc::new(pipeline)))];
    }
    sigma::parse_documents(path, text)
        .into_iter()
        .map(|document| document.map(|document| Parsed::Document(Arc::new(document))))
        .collect()
}

/// Parses a stored document.
pub(crate) fn parse_stored(stored: &StoredRule) -> Result<Parsed, RuleError> {
    if stored.kind == RuleKind::Pipeline {
        return Ok(Parsed::Pipeline(Arc::new(Pipeline {
            id: stored.id.clone(),
            title: stored.title.clone(),
            path: stored.path.clone(),
            yaml: stored.yaml.clone(),
            revision: stored.revision.clone(),
        })));
    }
    let mut documents = sigma::parse_documents(&stored.path, &stored.yaml).into_iter();
    match (documents.next(), documents.next()) {
        (Some(document), None) => document.map(|document| Parsed::Document(Arc::new(document))),
        _ => Err(file_error(&stored.path, "expected one document")),
    }
}

fn pipeline(path: &str, text: &str) -> Result<Pipeline, RuleError> {
    let file = path.rsplit(['/', '\\']).next().unwrap_or(path);
    let name = file
        .strip_suffix(".yml")
        .or_else(|| file.strip_suffix(".yaml"))
        .unwrap_or(file);
    let is_name = name
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'));
    if name.is_empty() || name.len() > MAX_PIPELINE_NAME || !is_name {
        let reason =
            format!("expected a file name of 1 to {MAX_PIPELINE_NAME} characters A-Z, a-z, 0-9, `_`, `.` or `-`");
        return Err(file_error(path, reason));
    }
    Ok(Pipeline {
        id: format!("{PIPELINE_ID}{name}"),
        title: name.to_owned(),
        path: path.to_owned(),
        yaml: text.to_owned(),
        revision: blake3::hash(text.as_bytes()).to_hex().chars().take(16).collect(),
    })
}

/// A fault of a whole file.
pub(crate) fn file_error(path: &str, reason: impl Into<String>) -> RuleError {
    refusal(path, "file", reason)
}

/// A fault whose place in the file is not known.
pub(crate) fn refusal(path: &str, field: &str, reason: impl Into<String>) -> RuleError {
    RuleError {
        path: path.to_owned(),
        line: None,
        column: None,
        field: field.to_owned(),
        reason: reason.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_below_pipelines_are_pipelines() {
        assert!(is_pipeline("pipelines/a.yml") && is_pipeline("x/pipelines/deep/a.yml"));
        assert!(!is_pipeline("pipelines.yml") && !is_pipeline("linux/pipelines"));
        let parsed = parse("pipelines/sysmon.yml", "name: x").remove(0).unwrap();
        assert_eq!((parsed.id(), parsed.kind()), ("pipeline:sysmon", RuleKind::Pipeline));
        assert!(parse("pipelines/a b.yml", "").remove(0).is_err());
    }

    #[test]
    fn what_is_stored_parses_to_the_same() {
        let yaml = "title: T\nid: t\nlogsource: {product: linux, service: sshd}\nlevel: high\ntags: [attack.t1110]\n\
                    detection: {s: {a: b}, condition: s}\n";
        let parsed = parse("a.yml", yaml).remove(0).unwrap();
        let stored = parsed.to_stored(&Tenant::default(), RuleOrigin::Api, "user:ann");
        assert_eq!(stored.logsource, "linux//sshd");
        assert_eq!(stored.tags, ["attack.t1110"]);
        let again = parse_stored(&stored).unwrap();
        assert_eq!((again.id(), again.revision()), (parsed.id(), parsed.revision()));
    }
}
