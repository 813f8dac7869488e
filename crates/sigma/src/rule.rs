//! One Sigma rule: its metadata and its detection.

use std::ops::Deref;

use crate::detection::{self, Detection};
use crate::error::Fault;
use crate::metadata::{Entries, MAX_ID_LENGTH, Metadata};
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
}

/// One rule, parsed and checked.
#[derive(Clone, Debug)]
pub struct Rule {
    /// What it says about itself; also there as the rule's own fields.
    pub metadata: Metadata,
    /// Which events it is about.
    pub logsource: LogSource,
    /// What must hold, apart from the logsource.
    pub detection: Detection,
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
        metadata,
        logsource: logsource(top)?,
        detection: detection::parse(section)?,
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
    let logsource = LogSource {
        category: part("category")?,
        product: part("product")?,
        service: part("service")?,
    };
    if logsource == LogSource::default() {
        return Err(top.fault("logsource", "expected at least one of category, product and service"));
    }
    Ok(logsource)
}
