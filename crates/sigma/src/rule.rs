//! One Sigma rule: its metadata and its detection.

use std::collections::BTreeMap;
use std::ops::Deref;

use model::Level;

use crate::detection::{self, Detection};
use crate::error::Fault;
use crate::metadata::{Entries, MAX_ID_LENGTH, Metadata, Status};
use crate::shared::Shared;
use crate::yaml::{self, Kind};

/// Which events a rule is about.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct LogSource {
    /// Kind of activity, such as `process_creation`.
    pub category: Option<String>,
    /// Where it comes from, such as `linux`.
    pub product: Option<String>,
    /// The log, such as `sshd`.
    pub service: Option<String>,
    /// What must be configured for there to be such events: prose for people.
    pub definition: Option<String>,
    /// Every other key, as text. They decide nothing.
    pub custom: BTreeMap<String, String>,
}

impl LogSource {
    /// Category, product and service, which decide.
    pub(crate) fn parts(&self) -> [Option<&str>; 3] {
        [
            self.category.as_deref(),
            self.product.as_deref(),
            self.service.as_deref(),
        ]
    }

    /// Whether every part that is given is the other's.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        let pairs = self.parts().into_iter().zip(other.parts());
        pairs.into_iter().all(|(own, other)| own.is_none() || own == other)
    }
}

/// What a rule says about itself under one name.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Attribute {
    Text(String),
    Texts(Vec<String>),
    /// A word with a place in an order.
    Rank {
        own: usize,
        ranks: Vec<&'static str>,
    },
}

/// One rule, parsed and checked.
#[derive(Clone, Debug)]
pub struct Rule {
    /// What it says about itself; also there as the rule's own fields.
    pub metadata: Shared<Metadata>,
    /// Which events it is about.
    pub logsource: LogSource,
    /// What must hold, apart from the logsource.
    pub detection: Shared<Detection>,
}

impl Rule {
    /// What the rule says under a name of its metadata or any other top-level key.
    pub(crate) fn attribute(&self, name: &str) -> Option<Attribute> {
        let text = |text: &Option<String>| text.clone().map(Attribute::Text);
        let texts = |texts: &Vec<String>| Some(Attribute::Texts(texts.clone()));
        match name {
            "id" => Some(Attribute::Text(self.id.clone())),
            "title" => Some(Attribute::Text(self.title.clone())),
            "name" => text(&self.name),
            "description" => Some(Attribute::Text(self.description.clone())),
            "author" => Some(Attribute::Text(self.author.clone())),
            "taxonomy" => Some(Attribute::Text(
                self.taxonomy.clone().unwrap_or_else(|| "sigma".to_owned()),
            )),
            "license" => text(&self.license),
            "date" => text(&self.date),
            "modified" => text(&self.modified),
            "tags" => texts(&self.tags),
            "references" => texts(&self.references),
            "falsepositives" => texts(&self.false_positives),
            "fields" => texts(&self.fields),
            "scope" => texts(&self.scope),
            "level" => {
                let ranks: Vec<&'static str> = Level::ALL.iter().map(|level| level.as_str()).collect();
                let own = ranks.iter().position(|rank| *rank == self.level.as_str())?;
                Some(Attribute::Rank { own, ranks })
            }
            "status" => {
                // From what cannot be used to what can be relied on.
                let ranks: Vec<&'static str> = Status::ALL.iter().rev().map(|status| status.as_str()).collect();
                let status = self.status?;
                let own = ranks.iter().position(|rank| *rank == status.as_str())?;
                Some(Attribute::Rank { own, ranks })
            }
            _ => match self.custom.get(name)? {
                serde_json::Value::String(text) => Some(Attribute::Text(text.clone())),
                serde_json::Value::Array(items) => Some(Attribute::Texts(
                    items
                        .iter()
                        .map(|item| item.as_str().map_or_else(|| item.to_string(), str::to_owned))
                        .collect(),
                )),
                serde_json::Value::Object(_) => None,
                other @ (serde_json::Value::Null | serde_json::Value::Bool(_) | serde_json::Value::Number(_)) => {
                    Some(Attribute::Text(other.to_string()))
                }
            },
        }
    }
}

impl Deref for Rule {
    type Target = Metadata;

    fn deref(&self) -> &Metadata {
        &self.metadata
    }
}

pub(crate) fn parse(path: &str, document: yaml::Document<'_>, top: &Entries<'_>) -> Result<Rule, Fault> {
    let metadata = top.metadata(path, document)?;
    let section = top
        .get("detection")
        .ok_or_else(|| top.fault("detection", "expected searches and a condition, got nothing"))?;
    Ok(Rule {
        metadata: metadata.into(),
        logsource: logsource(top)?,
        detection: detection::parse(section)?.into(),
    })
}

/// The `logsource` section.
pub(crate) fn logsource(top: &Entries<'_>) -> Result<LogSource, Fault> {
    let Some(node) = top.get("logsource") else {
        return Err(top.fault("logsource", "expected category, product or service, got nothing"));
    };
    let Some(entries) = node.as_map() else {
        return Err(top.fault("logsource", format!("expected a map, got {}", node.kind_name())));
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
    let known = ["category", "product", "service", "definition"];
    let logsource = LogSource {
        category: part("category")?,
        product: part("product")?,
        service: part("service")?,
        definition: entries
            .iter()
            .find(|(key, _)| key == "definition")
            .and_then(|(_, node)| node.scalar_text()),
        custom: entries
            .iter()
            .filter(|(key, _)| !known.contains(&key.as_str()))
            .filter_map(|(key, node)| Some((key.clone(), node.scalar_text()?)))
            .collect(),
    };
    if logsource.parts() == [None; 3] {
        return Err(top.fault("logsource", "expected at least one of category, product and service"));
    }
    Ok(logsource)
}
