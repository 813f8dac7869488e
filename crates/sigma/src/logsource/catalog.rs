//! The catalog: from a rule's logsource and field names to what an event is asked.

use std::sync::{Arc, LazyLock};

use rustc_hash::FxHashMap;

use super::gate;
use crate::alias;
use crate::ast::{Expr, Field};
use crate::detection::{Detection, Question};
use crate::error::{Fault, RuleError};
use crate::rule::Rule;

/// What logsources and field names mean. Immutable; share it.
#[derive(Debug)]
pub struct Catalog {
    others: FxHashMap<&'static str, Arc<[Arc<str>]>>,
}

/// A rule as it is asked of events: pipelines applied, fields with all their names.
#[derive(Clone, Debug, PartialEq)]
pub struct Applied {
    /// Which events the rule sees. Rules of one logsource have equal gates.
    pub gate: Arc<Expr>,
    /// What must hold of such an event, as a tree with the rule's names.
    pub detection: Detection,
}

/// [`Applied`] as expressions.
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

    /// The rule with pipelines applied and every name a field can have, still as a tree: for explanations.
    ///
    /// # Errors
    ///
    /// When a pipeline refuses the rule.
    pub fn apply(&self, rule: &Rule) -> Result<Applied, RuleError> {
        let mut detection = rule.detection.clone();
        for search in &mut detection.searches {
            search.body.items_mut(&mut |item| {
                if let Some(field) = &mut item.field {
                    *field = self.field(field);
                }
                for value in &mut item.values {
                    if let Question::FieldRef(reference) = &mut value.question {
                        reference.field = self.field(&reference.field);
                    }
                }
            });
        }
        Ok(Applied {
            gate: Arc::new(gate(&rule.logsource).with_fields(&mut |field| self.field(field))),
            detection,
        })
    }

    /// The rule's logsource as a question to an event, and its detection with every name a field can have.
    ///
    /// # Errors
    ///
    /// When a pipeline refuses the rule or a placeholder is not resolved, with the place in the rule's file.
    pub fn resolve(&self, rule: &Rule) -> Result<Resolved, RuleError> {
        let applied = self.apply(rule)?;
        let fault = |fault: Fault| fault.at(&rule.path, rule.lines_before);
        Ok(Resolved {
            gate: applied.gate,
            detection: applied.detection.expr().map_err(fault)?,
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
