//! The catalog: from a rule to what an event is asked.

use std::sync::{Arc, LazyLock, PoisonError, RwLock};

use rustc_hash::FxHashMap;

use super::view::{self, View};
use crate::ast::{Expr, Field};
use crate::detection::{Detection, Question, Search};
use crate::error::{Fault, RuleError};
use crate::pipeline::{self, Alternatives, Events, Pipeline, ProcessingItem, Run, Transformation};
use crate::rule::{LogSource, Rule};

/// Most files of pipelines.
const MAX_FILES: usize = 1_000;
/// Most logsources that are remembered.
const MAX_VIEWS: usize = 4_096;

/// What Picket knows by itself, by path.
const BUILTIN: [(&str, &str); 6] = [
    ("builtin/windows.yml", include_str!("windows.yml")),
    ("builtin/unix.yml", include_str!("unix.yml")),
    ("builtin/network.yml", include_str!("network.yml")),
    ("builtin/cloud.yml", include_str!("cloud.yml")),
    ("builtin/applications.yml", include_str!("applications.yml")),
    ("builtin/fields.yml", include_str!("fields.yml")),
];

/// What logsources and field names mean, and what pipelines make of rules. Share it: it only remembers what it was
/// asked.
#[derive(Debug)]
pub struct Catalog {
    steps: Vec<ProcessingItem>,
    vars: FxHashMap<String, Vec<String>>,
    events: Vec<Events>,
    alternatives: Vec<Alternatives>,
    views: RwLock<FxHashMap<Key, Arc<View>>>,
}

/// The parts of a logsource, and whether a pipeline added a condition.
type Key = ([Option<String>; 3], bool);

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

impl Default for Catalog {
    /// What Picket knows by itself.
    fn default() -> Self {
        Self::of(builtin_pipelines(), Vec::new())
    }
}

impl Catalog {
    /// What Picket knows by itself.
    #[must_use]
    pub fn builtin() -> &'static Self {
        static BUILTIN: LazyLock<Catalog> = LazyLock::new(Catalog::default);
        &BUILTIN
    }

    /// What Picket knows by itself and users' pipelines: path and text of each file. They are applied by their
    /// `priority`, then by path.
    ///
    /// # Errors
    ///
    /// Every file that is not understood, with the place.
    pub fn with_pipelines(files: &[(String, String)]) -> Result<Self, Vec<RuleError>> {
        if files.len() > MAX_FILES {
            let reason = format!("expected at most {MAX_FILES} pipelines, got {}", files.len());
            return Err(vec![Fault::new(0, "pipelines", reason).at("", 0)]);
        }
        let (mut pipelines, mut errors) = (Vec::new(), Vec::new());
        for (path, text) in files {
            match pipeline::parse(path, text) {
                Ok(pipeline) => pipelines.push(pipeline),
                Err(error) => errors.push(error),
            }
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        pipelines.sort_by(|left, right| (left.priority, &left.path).cmp(&(right.priority, &right.path)));
        Ok(Self::of(builtin_pipelines(), pipelines))
    }

    fn of(builtin: Vec<Pipeline>, users: Vec<Pipeline>) -> Self {
        let mut catalog = Self {
            steps: Vec::new(),
            vars: FxHashMap::default(),
            events: Vec::new(),
            alternatives: Vec::new(),
            views: RwLock::default(),
        };
        // Events of users come last, so that they can replace; names of fields first, so that they go before.
        let mut later = Vec::new();
        for (is_builtin, pipeline) in builtin
            .into_iter()
            .map(|p| (true, p))
            .chain(users.into_iter().map(|p| (false, p)))
        {
            catalog.vars.extend(pipeline.vars);
            for item in pipeline.items {
                if let Transformation::Events(events) = item.transformation {
                    catalog.events.push(events);
                } else if let Transformation::Alternatives(alternatives) = item.transformation {
                    if is_builtin {
                        later.push(alternatives);
                    } else {
                        catalog.alternatives.push(alternatives);
                    }
                } else {
                    catalog.steps.push(item);
                }
            }
        }
        catalog.alternatives.extend(later);
        catalog
    }

    /// The rule with pipelines applied and every name a field can have, still as a tree: for explanations.
    ///
    /// # Errors
    ///
    /// When a pipeline refuses the rule.
    pub fn apply(&self, rule: &Rule) -> Result<Applied, RuleError> {
        let (mut detection, view) = if self.steps.is_empty() {
            (Detection::clone(&rule.detection), self.view(&rule.logsource, false))
        } else {
            let mut run = Run::new(rule, &self.vars);
            let fault = |reason| Fault::new(0, "pipeline", reason).at(&rule.path, rule.lines_before);
            run.steps(&self.steps).map_err(fault)?;
            let view = self.view(&run.logsource, run.has_condition);
            (run.detection, view)
        };
        for search in &mut detection.searches {
            search.body.items_mut(&mut |item| {
                if let Some(field) = &mut item.field {
                    *field = view.field(field);
                }
                for value in &mut item.values {
                    if let Question::FieldRef(reference) = &mut value.question {
                        reference.field = view.field(&reference.field);
                    }
                }
            });
        }
        Ok(Applied {
            gate: view.gate.clone(),
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

    /// A field as rules of a logsource name it, with every other name it can have.
    #[must_use]
    pub fn field(&self, logsource: &LogSource, name: &str) -> Field {
        self.view(logsource, false).field(&Field::named(name))
    }

    /// A field that is named outside of a rule's detection but looked up in its events, such as what a correlation
    /// groups by: renamed as the rule's own fields are. Of several names a pipeline gives it, each is tried.
    #[must_use]
    pub fn field_of(&self, rule: &Rule, name: &str) -> Field {
        if self.steps.is_empty() {
            return self.field(&rule.logsource, name);
        }
        let asked = rule.detection.searches.len();
        let mut rule = rule.clone();
        rule.detection.searches.push(Search::of_field(name));
        let mut run = Run::new(&rule, &self.vars);
        // A rule that a pipeline refuses has no events; the name does not matter then.
        let _ = run.steps(&self.steps);
        let view = self.view(&run.logsource, run.has_condition);
        let mut names: Vec<Arc<str>> = Vec::new();
        if let Some(search) = run.detection.searches.get(asked) {
            search.body.items(&mut |item| {
                let field = item.field.as_ref().map(|field| view.field(field));
                names.extend(
                    field
                        .iter()
                        .flat_map(|field| [&field.name].into_iter().chain(field.others.iter()).cloned()),
                );
            });
        }
        let mut names = names.into_iter();
        match names.next() {
            None => view.field(&Field::named(name)),
            Some(name) => Field {
                name,
                others: names.collect(),
            },
        }
    }

    /// Whether it is known which events belong to a logsource. Rules of any other see the events that name it.
    #[must_use]
    pub fn knows(&self, logsource: &LogSource) -> bool {
        view::is_known(logsource, &self.events)
    }

    fn view(&self, logsource: &LogSource, has_condition: bool) -> Arc<View> {
        let key = (logsource.parts().map(|part| part.map(str::to_owned)), has_condition);
        // What is remembered is whole at any time, so it can be used even if a thread died holding the lock.
        let known = self
            .views
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&key)
            .cloned();
        if let Some(known) = known {
            return known;
        }
        let view = Arc::new(View::new(logsource, has_condition, &self.events, &self.alternatives));
        let mut views = self.views.write().unwrap_or_else(PoisonError::into_inner);
        if views.len() >= MAX_VIEWS {
            views.clear();
        }
        views.entry(key).or_insert(view).clone()
    }
}

/// The embedded files, read once. That they are understood is tested.
fn builtin_pipelines() -> Vec<Pipeline> {
    static PIPELINES: LazyLock<Vec<Pipeline>> = LazyLock::new(|| {
        BUILTIN
            .iter()
            .filter_map(|(path, text)| pipeline::parse(path, text).ok())
            .collect()
    });
    PIPELINES.clone()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_embedded_files_are_understood() {
        for (path, text) in BUILTIN {
            if let Err(error) = pipeline::parse(path, text) {
                panic!("{error}");
            }
        }
    }
}
