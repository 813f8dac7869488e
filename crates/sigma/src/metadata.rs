//! What all documents say about themselves: who they are, how bad a match is, where to read more.

use std::collections::HashSet;

use model::Level;

use crate::error::{Fault, RuleError};
use crate::yaml::{self, Kind, Node};

/// Longest title in characters.
const MAX_TITLE_CHARS: usize = 256;
/// Longest id or name in bytes.
pub(crate) const MAX_ID_LENGTH: usize = 128;

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

/// A document another one has to do with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Related {
    /// Its id.
    pub id: String,
    /// What it has to do with it.
    pub kind: RelatedKind,
}

/// How a document relates to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RelatedKind {
    /// It was made from the other.
    Derived,
    /// It takes the other's place.
    Obsolete,
    /// The other became part of it.
    Merged,
    /// It is the other under a new id.
    Renamed,
    /// It finds something of the same kind.
    Similar,
}

impl RelatedKind {
    /// All of them; each with its word in files.
    pub const ALL: [(&'static str, Self); 5] = [
        ("derived", Self::Derived),
        ("obsolete", Self::Obsolete),
        ("merged", Self::Merged),
        ("renamed", Self::Renamed),
        ("similar", Self::Similar),
    ];
}

/// What a document says about itself.
#[derive(Clone, Debug, Default)]
pub struct Metadata {
    /// Identity across revisions: 1-128 characters of `[A-Za-z0-9_.-]`, usually a UUID.
    pub id: String,
    /// What it is about, in a line.
    pub title: String,
    /// Name by which other documents refer to it.
    pub name: Option<String>,
    /// What it is about, at length; may be empty.
    pub description: String,
    /// How bad a match is; medium when the document does not say.
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
    /// Other documents this one has to do with.
    pub related: Vec<Related>,
    /// Whose field names it uses; `sigma` when it does not say.
    pub taxonomy: Option<String>,
    /// Licence as an SPDX identifier.
    pub license: Option<String>,
    /// Day it was written, `YYYY-MM-DD`.
    pub date: Option<String>,
    /// Day it was last changed, `YYYY-MM-DD`.
    pub modified: Option<String>,
    /// What it is meant for, such as `server`.
    pub scope: Vec<String>,
    /// Every other top-level key, as written.
    pub custom: serde_json::Map<String, serde_json::Value>,
    /// The document as written.
    pub yaml: String,
    /// First 16 hex digits of the BLAKE3 hash of `yaml`.
    pub revision: String,
    /// Path of the file as the caller named it.
    pub path: String,
    /// How many lines of the file come before the document.
    pub lines_before: usize,
}

impl Metadata {
    /// Whether other documents mean this one by `reference`: its id or its name.
    #[must_use]
    pub fn is_meant_by(&self, reference: &str) -> bool {
        self.id == reference || self.name.as_deref() == Some(reference)
    }

    /// The error that names this document's file.
    #[must_use]
    pub fn refusal(&self, field: &str, reason: impl Into<String>) -> RuleError {
        let line = if self.lines_before > 0 {
            self.lines_before + 1
        } else {
            0
        };
        Fault::new(line, field, reason).at(&self.path, 0)
    }
}

/// Top-level keys that have a place in [`Metadata`] or in a kind of document, or are known and not kept.
pub(crate) const KNOWN_KEYS: [&str; 21] = [
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

/// The top level of a document.
pub(crate) struct Entries<'a> {
    pub(crate) entries: &'a [(String, Node)],
    pub(crate) line: usize,
    /// What the id is derived from when the document has none: its kind. `None` when an id is required.
    pub(crate) kind: Option<&'static str>,
}

impl<'a> Entries<'a> {
    /// Everything that is said at the top level.
    pub(crate) fn metadata(&self, path: &str, document: yaml::Document<'_>) -> Result<Metadata, Fault> {
        let title = self.title()?;
        let level = self.text("level")?.map_or(Ok(Level::default()), |text| {
            text.parse()
                .map_err(|error: model::level::ParseLevelError| self.fault("level", error.to_string()))
        })?;
        let status = self
            .text("status")?
            .map(|text| status(&text).map_err(|reason| self.fault("status", reason)));
        let name = self.text("name")?;
        Ok(Metadata {
            id: self.id(name.as_deref(), &title)?,
            title,
            name,
            description: self.text("description")?.unwrap_or_default(),
            level,
            status: status.transpose()?,
            tags: self.texts("tags")?,
            author: self.text("author")?.unwrap_or_default(),
            references: self.texts("references")?,
            false_positives: self.texts("falsepositives")?,
            fields: self.texts("fields")?,
            related: self.related()?,
            taxonomy: self.text("taxonomy")?,
            license: self.text("license")?,
            date: self.text("date")?,
            modified: self.text("modified")?,
            scope: self.texts("scope")?,
            custom: self.custom(),
            yaml: document.text.to_owned(),
            revision: blake3::hash(document.text.as_bytes())
                .to_hex()
                .chars()
                .take(16)
                .collect(),
            path: path.to_owned(),
            lines_before: document.lines_before,
        })
    }

    fn id(&self, name: Option<&str>, title: &str) -> Result<String, Fault> {
        let id = match (self.text("id")?, self.kind) {
            (Some(id), _) => id,
            (None, Some(kind)) => derived_id(kind, name.unwrap_or(title)),
            (None, None) => return Err(self.fault("id", "expected text, got nothing")),
        };
        if is_id(&id) {
            return Ok(id);
        }
        let reason = format!("expected 1 to {MAX_ID_LENGTH} characters of A-Z, a-z, 0-9, `_`, `.` and `-`");
        Err(self.fault("id", reason))
    }

    fn title(&self) -> Result<String, Fault> {
        let title = self.required("title")?;
        if title.trim().is_empty() || title.chars().count() > MAX_TITLE_CHARS {
            return Err(self.fault("title", format!("expected 1 to {MAX_TITLE_CHARS} characters")));
        }
        Ok(title)
    }

    pub(crate) fn get(&self, name: &str) -> Option<&'a Node> {
        self.entries.iter().find(|(key, _)| key == name).map(|(_, node)| node)
    }

    pub(crate) fn fault(&self, name: &str, reason: impl Into<String>) -> Fault {
        match self.get(name) {
            Some(node) => Fault::of(node, name, reason),
            None => Fault::new(self.line, name, reason),
        }
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

    fn related(&self) -> Result<Vec<Related>, Fault> {
        let Some(node) = self.get("related").filter(|node| !matches!(node.kind, Kind::Null)) else {
            return Ok(Vec::new());
        };
        let words = || RelatedKind::ALL.map(|(word, _)| word).join(", ");
        let Some(items) = node.as_list() else {
            return Err(self.fault(
                "related",
                format!("expected a list of id and type, got {}", node.kind_name()),
            ));
        };
        items
            .iter()
            .map(|item| {
                let part = |name: &str| {
                    let entry = item.as_map()?.iter().find(|(key, _)| key == name);
                    entry.and_then(|(_, node)| node.scalar_text())
                };
                let (Some(id), Some(word)) = (part("id"), part("type")) else {
                    return Err(Fault::of(item, "related", "expected a map of id and type"));
                };
                let kind = RelatedKind::ALL.into_iter().find(|(known, _)| *known == word);
                let kind = kind.ok_or_else(|| {
                    Fault::of(
                        item,
                        "related.type",
                        format!("expected one of {}, got `{word}`", words()),
                    )
                })?;
                Ok(Related { id, kind: kind.1 })
            })
            .collect()
    }

    fn custom(&self) -> serde_json::Map<String, serde_json::Value> {
        self.entries
            .iter()
            .filter(|(name, _)| !KNOWN_KEYS.contains(&name.as_str()))
            .map(|(name, node)| (name.clone(), node.to_json()))
            .collect()
    }
}

/// Whether a text can be an id.
pub(crate) fn is_id(text: &str) -> bool {
    (1..=MAX_ID_LENGTH).contains(&text.len())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'))
}

/// The id of a document that gives none: the same for the same kind and name, in the form of a UUID.
fn derived_id(kind: &str, name: &str) -> String {
    let hex = blake3::hash(format!("{kind}\0{name}").as_bytes()).to_hex();
    let part = |from: usize, to: usize| hex.get(from..to).unwrap_or_default();
    [part(0, 8), part(8, 12), part(12, 16), part(16, 20), part(20, 32)].join("-")
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
