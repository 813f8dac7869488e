//! One Sigma rule: its metadata and its detection.

use std::collections::HashSet;

use model::Level;

use crate::detection::{self, Detection};
use crate::error::{Fault, RuleError};
use crate::yaml::{self, Document, Kind, Node};

/// Most documents in one file.
const MAX_DOCUMENTS: usize = 10_000;
/// Longest title in characters.
const MAX_TITLE_CHARS: usize = 256;
/// Longest id in bytes.
const MAX_ID_LENGTH: usize = 128;

/// Which events a rule is about.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct LogSource {
    /// Kind of activity, such as `process_creation`.
    pub category: Option<String>,
    /// Where it comes from, such as `linux`.
    pub product: Option<String>,
    /// The log, such as `sshd`.
    pub service: Option<String>,
}

/// How mature its author says a rule is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Ready for production.
    Stable,
    /// Nearly.
    Test,
    /// Expect false positives.
    Experimental,
    /// Superseded.
    Deprecated,
    /// Cannot be used as it is.
    Unsupported,
}

impl Status {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Stable,
        Self::Test,
        Self::Experimental,
        Self::Deprecated,
        Self::Unsupported,
    ];

    /// Sigma's word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stable => "stable",
            Self::Test => "test",
            Self::Experimental => "experimental",
            Self::Deprecated => "deprecated",
            Self::Unsupported => "unsupported",
        }
    }
}

/// One rule, parsed and checked.
#[derive(Clone, Debug)]
pub struct Rule {
    /// Identity across revisions: 1-128 characters of `[A-Za-z0-9_.-]`, usually a UUID.
    pub id: String,
    /// What it detects, in a line.
    pub title: String,
    /// Name by which other documents refer to it.
    pub name: Option<String>,
    /// What it detects, at length; may be empty.
    pub description: String,
    /// How bad a match is; medium when the rule does not say.
    pub level: Level,
    /// How mature it is, when it says.
    pub status: Option<Status>,
    /// Namespaced tags, such as `attack.t1110`.
    pub tags: Vec<String>,
    /// Who wrote it; may be empty.
    pub author: String,
    /// Where to read more.
    pub references: Vec<String>,
    /// What else could cause a match.
    pub false_positives: Vec<String>,
    /// Fields worth showing with a match.
    pub fields: Vec<String>,
    /// Which events it is about.
    pub logsource: LogSource,
    /// Every other top-level key, as written.
    pub custom: serde_json::Map<String, serde_json::Value>,
    /// The document as written.
    pub yaml: String,
    /// First 16 hex digits of the BLAKE3 hash of `yaml`.
    pub revision: String,
    /// Path of the file as the caller named it.
    pub path: String,
    /// Lines of the file before the document.
    pub lines_before: usize,
    /// What must hold, apart from the logsource.
    pub detection: Detection,
}

/// Parses a stream of YAML documents: one result for each that has content, in order. A bad document does not affect
/// the others. `path` only appears in rules and errors; nothing is read.
#[must_use]
pub fn parse_rules(path: &str, yaml: &str) -> Vec<Result<Rule, RuleError>> {
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
        .map(|document| parse_document(path, document).map_err(|fault| fault.at(path, document.lines_before)))
        .collect()
}

fn parse_document(path: &str, document: Document<'_>) -> Result<Rule, Fault> {
    let root = yaml::parse(document.text)?;
    let Some(entries) = root.as_map() else {
        return Err(Fault::of(
            &root,
            "document",
            format!("expected a map, got {}", root.kind_name()),
        ));
    };
    refuse_other_kinds(entries)?;
    let metadata = Metadata {
        entries,
        line: root.line,
    };
    let id = metadata.required("id")?;
    let id_is_valid = (1..=MAX_ID_LENGTH).contains(&id.len())
        && id
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'));
    if !id_is_valid {
        let reason = format!("expected 1 to {MAX_ID_LENGTH} characters of A-Z, a-z, 0-9, `_`, `.` and `-`");
        return Err(metadata.fault("id", reason));
    }
    let title = metadata.required("title")?;
    if title.trim().is_empty() || title.chars().count() > MAX_TITLE_CHARS {
        return Err(metadata.fault("title", format!("expected 1 to {MAX_TITLE_CHARS} characters")));
    }
    let level = metadata.text("level")?.map_or(Ok(Level::default()), |text| {
        text.parse()
            .map_err(|error: model::level::ParseLevelError| metadata.fault("level", error.to_string()))
    })?;
    let status = metadata
        .text("status")?
        .map(|text| status(&text).map_err(|reason| metadata.fault("status", reason)));
    let section = metadata
        .get("detection")
        .ok_or_else(|| metadata.fault("detection", "expected searches and a condition, got nothing"))?;
    Ok(Rule {
        id,
        title,
        name: metadata.text("name")?,
        description: metadata.text("description")?.unwrap_or_default(),
        level,
        status: status.transpose()?,
        tags: metadata.texts("tags")?,
        author: metadata.text("author")?.unwrap_or_default(),
        references: metadata.texts("references")?,
        false_positives: metadata.texts("falsepositives")?,
        fields: metadata.texts("fields")?,
        logsource: logsource(&metadata)?,
        custom: metadata.custom(),
        yaml: document.text.to_owned(),
        revision: blake3::hash(document.text.as_bytes())
            .to_hex()
            .chars()
            .take(16)
            .collect(),
        path: path.to_owned(),
        lines_before: document.lines_before,
        detection: detection::parse(section)?,
    })
}

fn refuse_other_kinds(entries: &[(String, Node)]) -> Result<(), Fault> {
    for (name, node) in entries {
        let reason = match name.as_str() {
            "correlation" => "expected a detection rule: correlation rules are not supported yet",
            "filter" => "expected a detection rule: filters are not supported yet",
            "action" => "expected a document of its own: `action` collections are not part of Sigma 2",
            _ => continue,
        };
        return Err(Fault::of(node, name.clone(), reason));
    }
    Ok(())
}

fn status(text: &str) -> Result<Status, String> {
    Status::ALL
        .into_iter()
        .find(|status| status.as_str() == text)
        .ok_or_else(|| {
            let words = Status::ALL.map(Status::as_str).join(", ");
            format!("expected one of {words}, got `{text}`")
        })
}

fn logsource(metadata: &Metadata<'_>) -> Result<LogSource, Fault> {
    let Some(node) = metadata.get("logsource") else {
        return Err(metadata.fault("logsource", "expected category, product or service, got nothing"));
    };
    let Some(entries) = node.as_map() else {
        return Err(metadata.fault("logsource", format!("expected a map, got {}", node.kind_name())));
    };
    let part = |name: &str| -> Result<Option<String>, Fault> {
        let Some((_, node)) = entries.iter().find(|(key, _)| key == name) else {
            return Ok(None);
        };
        let is_word = |text: &str| {
            !text.is_empty()
                && text.len() <= MAX_ID_LENGTH
                && text
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-'))
        };
        match &node.kind {
            Kind::Null => Ok(None),
            Kind::Str(text) if is_word(text) => Ok(Some(text.to_ascii_lowercase())),
            Kind::Bool(_) | Kind::Int(_) | Kind::Float(_) | Kind::Str(_) | Kind::List(_) | Kind::Map(_) => {
                let reason = "expected a word of a-z, 0-9, `_`, `.` and `-`";
                Err(Fault::of(node, format!("logsource.{name}"), reason))
            }
        }
    };
    let logsource = LogSource {
        category: part("category")?,
        product: part("product")?,
        service: part("service")?,
    };
    if logsource == LogSource::default() {
        return Err(metadata.fault("logsource", "expected at least one of category, product and service"));
    }
    Ok(logsource)
}

/// Top-level keys that have a place in [`Rule`] or are known and not kept.
const KNOWN_KEYS: [&str; 21] = [
    "title",
    "id",
    "name",
    "related",
    "taxonomy",
    "status",
    "description",
    "license",
    "author",
    "references",
    "date",
    "modified",
    "level",
    "tags",
    "fields",
    "falsepositives",
    "scope",
    "logsource",
    "detection",
    "correlation",
    "filter",
];

struct Metadata<'a> {
    entries: &'a [(String, Node)],
    line: usize,
}

impl<'a> Metadata<'a> {
    fn get(&self, name: &str) -> Option<&'a Node> {
        self.entries.iter().find(|(key, _)| key == name).map(|(_, node)| node)
    }

    fn fault(&self, name: &str, reason: impl Into<String>) -> Fault {
        Fault::new(self.get(name).map_or(self.line, |node| node.line), name, reason)
    }

    fn text(&self, name: &str) -> Result<Option<String>, Fault> {
        let Some(node) = self.get(name) else {
            return Ok(None);
        };
        match node.scalar_text() {
            Some(text) => Ok(Some(text)),
            None if matches!(node.kind, Kind::Null) => Ok(None),
            None => Err(self.fault(name, format!("expected text, got {}", node.kind_name()))),
        }
    }

    fn required(&self, name: &str) -> Result<String, Fault> {
        self.text(name)?
            .ok_or_else(|| self.fault(name, "expected text, got nothing"))
    }

    fn texts(&self, name: &str) -> Result<Vec<String>, Fault> {
        let Some(node) = self.get(name) else {
            return Ok(Vec::new());
        };
        let items = node.as_list().unwrap_or(std::slice::from_ref(node));
        let mut seen = HashSet::new();
        let mut texts = Vec::new();
        for item in items {
            match item.scalar_text() {
                Some(text) if seen.insert(text.clone()) => texts.push(text),
                Some(_) => {}
                None if matches!(item.kind, Kind::Null) => {}
                None => return Err(self.fault(name, format!("expected a list of texts, got {}", item.kind_name()))),
            }
        }
        Ok(texts)
    }

    fn custom(&self) -> serde_json::Map<String, serde_json::Value> {
        self.entries
            .iter()
            .filter(|(name, _)| !KNOWN_KEYS.contains(&name.as_str()))
            .map(|(name, node)| (name.clone(), node.to_json()))
            .collect()
    }
}
