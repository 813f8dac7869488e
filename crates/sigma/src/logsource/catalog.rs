//! The catalog: from a rule's logsource and field names to what an event is asked.

use std::sync::{Arc, LazyLock};

use rustc_hash::FxHashMap;

use super::gate;
use crate::alias;
use crate::ast::{Expr, Field};
use crate::error::RuleError;
use crate::rule::Rule;

/// What logsources and field names mean. Immutable; share it.
#[derive(Debug)]
pub struct Catalog {
    others: FxHashMap<&'static str, Arc<[Arc<str>]>>,
}

/// A rule as it is asked of events: fields have all their names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolved {
    /// Which events the rule sees. Rules of one logsource have equal gates.
    pub gate: Arc<Expr>,
    /// What must hold of such an event.
    pub detection: Expr,
}

impl Catalog {
    /// What Picket knows by itself.
    #[must_use]
    pub fn builtin() -> &'static Self {
        static BUILTIN: LazyLock<Catalog> = LazyLock::new(|| Catalog {
            others: alias::ALIASES
                .iter()
                .map(|(name, others)| (*name, others.iter().copied().map(Arc::from).collect()))
                .collect(),
        });
        &BUILTIN
    }

    /// The rule's logsource as a question to an event, and its detection with every name a field can have.
    ///
    /// # Errors
    ///
    /// When the rule cannot be asked, with the place in its file.
    pub fn resolve(&self, rule: &Rule) -> Result<Resolved, RuleError> {
        let mut rename = |field: &Field| self.field(field);
        Ok(Resolved {
            gate: Arc::new(gate(&rule.logsource).with_fields(&mut rename)),
            detection: rule.detection.with_fields(&mut rename),
        })
    }

    fn field(&self, field: &Field) -> Field {
        let name = field.name.replace(' ', "");
        Field {
            name: field.name.clone(),
            others: self.others.get(name.as_str()).cloned().unwrap_or_default(),
        }
    }
}
