//! Detection content as it is stored: rules, correlations, filters and pipelines.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::id::Tenant;
use crate::level::Level;
use crate::time::Timestamp;

/// What kind of document it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RuleKind {
    /// A Sigma rule: looks at one event.
    #[default]
    Rule,
    /// A Sigma correlation: looks at what rules and other correlations found.
    Correlation,
    /// A Sigma filter: narrows rules.
    Filter,
    /// A processing pipeline: says how rules name events and fields.
    Pipeline,
}

impl RuleKind {
    /// Every kind.
    pub const ALL: [Self; 4] = [Self::Rule, Self::Correlation, Self::Filter, Self::Pipeline];

    /// Lower-case name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Rule => "rule",
            Self::Correlation => "correlation",
            Self::Filter => "filter",
            Self::Pipeline => "pipeline",
        }
    }
}

impl fmt::Display for RuleKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The text names no kind of document.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected rule, correlation, filter or pipeline, got {0:?}")]
pub struct ParseRuleKindError(String);

impl FromStr for RuleKind {
    type Err = ParseRuleKindError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.as_str() == text)
            .ok_or_else(|| ParseRuleKindError(text.chars().take(80).collect()))
    }
}

/// Where a document comes from, and so who may change it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RuleOrigin {
    /// A detector's rules directory; only its file changes it.
    #[default]
    Dir,
    /// Imported by a person or program; only they change it.
    Api,
}

impl RuleOrigin {
    /// Lower-case name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Dir => "dir",
            Self::Api => "api",
        }
    }
}

impl fmt::Display for RuleOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why an enabled document is not in use, or not as a whole.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleProblem {
    /// Line of its file, from 1, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
    /// The field at fault.
    pub field: String,
    /// What was expected.
    pub reason: String,
}

impl fmt::Display for RuleProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(line) = self.line {
            write!(f, "line {line}: ")?;
        }
        write!(f, "{}: {}", self.field, self.reason)
    }
}

/// A document in the `rules` collection: the text is the truth, everything else is derived from it or says how it is
/// used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredRule {
    /// Sigma `id`; of a pipeline, `pipeline:` and the name of its file without ending.
    pub id: String,
    /// Whose it is.
    pub tenant: Tenant,
    /// What it is.
    pub kind: RuleKind,
    /// Sigma `title`, for lists.
    pub title: String,
    /// The YAML document as written.
    pub yaml: String,
    /// Hash of `yaml`: 16 hex digits.
    pub revision: String,
    /// Path of its file: relative to the rules directory, or as it was given with the import.
    pub path: String,
    /// Where it comes from.
    pub origin: RuleOrigin,
    /// Sigma `level`; `None` where the kind has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub level: Option<Level>,
    /// Sigma tags as they are.
    #[serde(default)]
    pub tags: Vec<String>,
    /// Sigma `logsource` as `product/category/service`, parts that are not given left empty; empty where the kind has
    /// none.
    #[serde(default)]
    pub logsource: String,
    /// Disabled documents are kept and not used.
    pub enabled: bool,
    /// It is disabled because no living detector has its file.
    #[serde(default)]
    pub vanished: bool,
    /// Why it was enabled or disabled last, in the words of who did it.
    #[serde(default)]
    pub note: String,
    /// When this revision was stored, or it was enabled or disabled.
    pub updated_at: Timestamp,
    /// Who did that, as the audit log names them.
    #[serde(default)]
    pub updated_by: String,
    /// Why it is not in use though it is enabled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<RuleProblem>,
}

/// One revision of a document, in the collection `rule_versions`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleVersion {
    /// Which document.
    pub id: String,
    /// Whose it is.
    pub tenant: Tenant,
    /// Hash of `yaml`.
    pub revision: String,
    /// The text.
    pub yaml: String,
    /// When it was put in place last.
    pub at: Timestamp,
    /// By whom, as the audit log names them.
    pub by: String,
}

#[cfg(test)]
mod tests {
    use super::RuleKind;

    #[test]
    fn kinds_round_trip_through_text() {
        for kind in RuleKind::ALL {
            assert_eq!(kind.to_string().parse(), Ok(kind));
        }
        assert!("alias".parse::<RuleKind>().is_err());
    }
}
