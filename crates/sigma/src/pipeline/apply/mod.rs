//! One rule on its way through the pipelines.

mod change;
mod condition;
mod holds;
mod rename;

use std::sync::Arc;

use rustc_hash::{FxHashMap, FxHashSet};

use super::condition::Scalar;
use super::item::ProcessingItem;
use super::transformation::Transformation;
use crate::detection::{Body, Detection, Item, MAX_TESTS};
use crate::rule::{LogSource, Rule};

/// Deepest nesting of items that pipelines make.
const MAX_DEPTH: usize = 48;
/// Most values pipelines make for one rule.
const MAX_PRODUCED: usize = 50_000;

/// A rule and what the steps so far made of it.
pub(crate) struct Run<'a> {
    rule: &'a Rule,
    vars: &'a FxHashMap<String, Vec<String>>,
    pub(crate) logsource: LogSource,
    pub(crate) detection: Detection,
    /// Whether a step put a condition in front.
    pub(crate) has_condition: bool,
    state: FxHashMap<String, Scalar>,
    attributes: FxHashMap<String, Scalar>,
    applied: FxHashSet<Arc<str>>,
    by_field: FxHashMap<String, FxHashSet<Arc<str>>>,
    mapped: FxHashSet<String>,
    produced: usize,
}

/// What becomes of an item.
enum Change {
    Keep,
    Drop,
    Become(Body),
}

impl<'a> Run<'a> {
    pub(crate) fn new(rule: &'a Rule, vars: &'a FxHashMap<String, Vec<String>>) -> Self {
        Self {
            rule,
            vars,
            logsource: rule.logsource.clone(),
            detection: Detection::clone(&rule.detection),
            has_condition: false,
            state: FxHashMap::default(),
            attributes: FxHashMap::default(),
            applied: FxHashSet::default(),
            by_field: FxHashMap::default(),
            mapped: FxHashSet::default(),
            produced: 0,
        }
    }

    /// Takes the steps in order. The error says which step refuses the rule and why.
    pub(crate) fn steps(&mut self, items: &[ProcessingItem]) -> Result<(), String> {
        for item in items {
            if !item.rule.hold(|condition| self.rule_holds(condition)) {
                continue;
            }
            self.step(item)
                .map_err(|reason| format!("{reason} (pipeline {})", item.place))?;
            self.applied.extend(item.id.clone());
            let mut left = 0_usize;
            self.detection.items(|item| left += item.values.len());
            if left > MAX_TESTS {
                return Err(format!("expected at most {MAX_TESTS} values (pipeline {})", item.place));
            }
        }
        Ok(())
    }

    fn step(&mut self, step: &ProcessingItem) -> Result<(), String> {
        match &step.transformation {
            Transformation::ChangeLogSource(logsource) => {
                self.logsource = logsource.clone();
                Ok(())
            }
            Transformation::SetState { key, value } => {
                self.state.insert(key.clone(), value.clone());
                Ok(())
            }
            Transformation::SetAttribute { name, value } => {
                self.attributes.insert(name.clone(), value.clone());
                Ok(())
            }
            Transformation::RuleFailure(message) => Err(message.clone()),
            Transformation::StrictFieldMapping => self.strict(),
            Transformation::AddCondition(added) => self.add_condition(added, step),
            Transformation::Nest(items) => self.steps(items),
            // Fields shown with a match are not compiled; the catalog has the other two.
            Transformation::ShownFields | Transformation::Events(_) | Transformation::Alternatives(_) => Ok(()),
            Transformation::Field(_)
            | Transformation::DropItem
            | Transformation::Hashes(_)
            | Transformation::Extract(_)
            | Transformation::Value(_)
            | Transformation::ItemFailure(_) => self.each_item(step),
        }
    }

    fn each_item(&mut self, step: &ProcessingItem) -> Result<(), String> {
        let mut searches = std::mem::take(&mut self.detection.searches);
        let mut result = Ok(());
        for search in &mut searches {
            let body = std::mem::replace(&mut search.body, Body::Any(Vec::new()));
            match self.body(body, step, 0) {
                // A search without items is left out of the conditions.
                Ok(changed) => search.body = changed.unwrap_or_else(|| Body::All(Vec::new())),
                Err(reason) => {
                    result = Err(reason);
                    break;
                }
            }
        }
        self.detection.searches = searches;
        result
    }

    /// The body with its items changed; `None` when none is left.
    fn body(&mut self, body: Body, step: &ProcessingItem, depth: usize) -> Result<Option<Body>, String> {
        if depth > MAX_DEPTH {
            return Err(format!(
                "expected pipelines to nest items at most {MAX_DEPTH} levels deep"
            ));
        }
        let mut all = |terms: Vec<Body>| -> Result<Vec<Body>, String> {
            let mut kept = Vec::with_capacity(terms.len());
            for term in terms {
                kept.extend(self.body(term, step, depth + 1)?);
            }
            Ok(kept)
        };
        Ok(match body {
            Body::All(terms) => Some(Body::All(all(terms)?)).filter(|body| !is_empty(body)),
            Body::Any(terms) => Some(Body::Any(all(terms)?)).filter(|body| !is_empty(body)),
            Body::Item(mut item) => match self.item(&mut item, step)? {
                Change::Keep => Some(Body::Item(item)),
                Change::Drop => None,
                Change::Become(body) => Some(body),
            },
        })
    }

    fn item(&mut self, item: &mut Item, step: &ProcessingItem) -> Result<Change, String> {
        if !step.item.hold(|condition| self.item_holds(condition, item)) || !self.field_conditions_hold(step, item) {
            return Ok(Change::Keep);
        }
        let mark = |item: &mut Item| item.applied.extend(step.id.clone());
        let change = match &step.transformation {
            Transformation::DropItem => return Ok(Change::Drop),
            Transformation::ItemFailure(message) => return Err(message.clone()),
            Transformation::Field(_) => return self.rename(item, step),
            Transformation::Hashes(hashes) => hashes.apply(item)?,
            Transformation::Extract(extract) => extract.apply(item),
            Transformation::Value(change) => {
                if self.values(item, change)? {
                    mark(item);
                }
                return Ok(Change::Keep);
            }
            Transformation::AddCondition(_)
            | Transformation::ChangeLogSource(_)
            | Transformation::SetState { .. }
            | Transformation::RuleFailure(_)
            | Transformation::StrictFieldMapping
            | Transformation::SetAttribute { .. }
            | Transformation::Nest(_)
            | Transformation::ShownFields
            | Transformation::Events(_)
            | Transformation::Alternatives(_) => return Ok(Change::Keep),
        };
        let Some(mut body) = change else {
            return Ok(Change::Keep);
        };
        let mut values = 0;
        body.items_mut(&mut |item| {
            values += item.values.len();
            mark(item);
        });
        self.produce(values)?;
        Ok(Change::Become(body))
    }

    fn produce(&mut self, values: usize) -> Result<(), String> {
        self.produced += values;
        if self.produced > MAX_PRODUCED {
            return Err(format!("expected pipelines to make at most {MAX_PRODUCED} values"));
        }
        Ok(())
    }

    fn strict(&self) -> Result<(), String> {
        let mut unmapped: Vec<String> = Vec::new();
        self.detection.items(|item| {
            if let Some(name) = item.field_name()
                && !self.mapped.contains(name)
                && !unmapped.iter().any(|known| known == name)
            {
                unmapped.push(name.to_owned());
            }
        });
        if unmapped.is_empty() {
            Ok(())
        } else {
            Err(format!("expected a mapping for the fields {}", unmapped.join(", ")))
        }
    }
}

fn is_empty(body: &Body) -> bool {
    match body {
        Body::All(terms) | Body::Any(terms) => terms.is_empty(),
        Body::Item(_) => false,
    }
}
