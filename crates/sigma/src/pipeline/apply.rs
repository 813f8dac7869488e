//! One rule on its way through the pipelines.

use std::sync::Arc;

use rustc_hash::{FxHashMap, FxHashSet};

use super::condition::{FieldCondition, ItemCondition, Operator, RuleCondition, Scalar, StateCondition};
use super::item::ProcessingItem;
use super::transformation::{AddCondition, Chosen, Transformation, ValueChange};
use super::values;
use crate::ast::{Field, Number};
use crate::detection::{Body, Detection, Item, MAX_TESTS, Question, Tree, Value};
use crate::pattern::Token;
use crate::rule::{LogSource, Rule};
use crate::value::Filling;

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

    fn rename(&mut self, item: &mut Item, step: &ProcessingItem) -> Result<Change, String> {
        let Transformation::Field(change) = &step.transformation else {
            return Ok(Change::Keep);
        };
        // References to other fields in values.
        let mut values = Vec::with_capacity(item.values.len());
        for value in std::mem::take(&mut item.values) {
            let Question::FieldRef(reference) = &value.question else {
                values.push(value);
                continue;
            };
            let name = reference.field.name.to_string();
            let names = change.names(&name).filter(|_| self.name_holds(step, Some(&name)));
            let Some(names) = names else {
                values.push(value);
                continue;
            };
            self.track(&name, &names, step);
            self.produce(names.len())?;
            values.extend(names.iter().map(|name| {
                let mut reference = reference.clone();
                reference.field = Field::named(name);
                Value {
                    question: Question::FieldRef(reference),
                    ..value.clone()
                }
            }));
        }
        item.values = values;
        let name = item.field_name().unwrap_or_default().to_owned();
        let own = (!name.is_empty()).then_some(name.as_str());
        let names = change.names(&name).filter(|_| self.name_holds(step, own));
        let Some(names) = names else {
            return Ok(Change::Keep);
        };
        self.track(&name, &names, step);
        if item.field.is_none() {
            item.values.iter_mut().for_each(around);
        }
        item.applied.extend(step.id.clone());
        if let [name] = names.as_slice() {
            item.field = Some(Field::named(name));
            return Ok(Change::Keep);
        }
        self.produce(names.len() * item.values.len())?;
        let copies = names
            .iter()
            .map(|name| {
                Body::Item(Item {
                    field: Some(Field::named(name)),
                    ..item.clone()
                })
            })
            .collect();
        // What no field may have, none of several may have.
        Ok(Change::Become(if item.negated {
            Body::All(copies)
        } else {
            Body::Any(copies)
        }))
    }

    fn track(&mut self, from: &str, to: &[String], step: &ProcessingItem) {
        self.mapped.insert(from.to_owned());
        for name in to {
            self.mapped.insert(name.clone());
            if let Some(id) = &step.id {
                self.by_field.entry(name.clone()).or_default().insert(id.clone());
            }
        }
    }

    /// Changes the values of an item; says whether any was.
    fn values(&mut self, item: &mut Item, change: &ValueChange) -> Result<bool, String> {
        let mut changed = false;
        let mut values = Vec::with_capacity(item.values.len());
        for value in std::mem::take(&mut item.values) {
            let new = self.value(&value.question, change)?;
            match new {
                None => values.push(value),
                Some(questions) => {
                    changed = true;
                    self.produce(questions.len())?;
                    values.extend(questions.into_iter().map(|question| Value {
                        question,
                        ..value.clone()
                    }));
                }
            }
        }
        item.values = values;
        Ok(changed)
    }

    fn value(&self, question: &Question, change: &ValueChange) -> Result<Option<Vec<Question>>, String> {
        let one = |question: Option<Question>| question.map(|question| vec![question]);
        Ok(match change {
            ValueChange::Replace(replace) => one(replace.apply(question)),
            ValueChange::Case(case) => one(values::with_case(question, *case)),
            ValueChange::Set(value) => Some(vec![value.clone()]),
            ValueChange::Regex(method) => one(method.apply(question).transpose()?),
            ValueChange::MapString(mapping) => values::unescaped(question).and_then(|text| {
                let found = mapping.iter().find(|(name, _)| *name == text)?;
                Some(found.1.iter().map(|text| Question::from_sigma(text)).collect())
            }),
            ValueChange::ToNumber => match values::unescaped(question) {
                None => None,
                Some(text) => {
                    let number = Number::parse(&text);
                    let number = number.ok_or_else(|| format!("expected a number, got `{text}`"))?;
                    Some(vec![Question::Number(number)])
                }
            },
            ValueChange::ToText => {
                let Question::Number(number) = question else {
                    return Ok(None);
                };
                Some(vec![Question::from_sigma(&values::number_text(*number))])
            }
            ValueChange::WildcardPlaceholders(chosen) => self.placeholders(question, chosen, true)?,
            ValueChange::ValuePlaceholders(chosen) => self.placeholders(question, chosen, false)?,
        })
    }

    fn placeholders(
        &self,
        question: &Question,
        chosen: &Chosen,
        wildcard: bool,
    ) -> Result<Option<Vec<Question>>, String> {
        let Question::Template(template) = question else {
            return Ok(None);
        };
        let mut lookup = |name: &str| {
            if !chosen.has(name) {
                return Ok(None);
            }
            if wildcard {
                return Ok(Some(vec![Filling::Anything]));
            }
            match self.vars.get(name) {
                Some(texts) => Ok(Some(texts.iter().cloned().map(Filling::Text).collect())),
                None => Err(format!("expected a variable `{name}` for the placeholder `%{name}%`")),
            }
        };
        template.fill(&mut lookup).map(Some)
    }

    fn add_condition(&mut self, added: &AddCondition, step: &ProcessingItem) -> Result<(), String> {
        let mut search = added.search.clone();
        if added.template {
            let part = |part: &Option<String>| part.clone().unwrap_or_default();
            let parts = [
                ("category", part(&self.logsource.category)),
                ("product", part(&self.logsource.product)),
                ("service", part(&self.logsource.service)),
            ];
            search.body.items_mut(&mut |item| {
                for value in &mut item.values {
                    if let Question::Text { tokens, .. } = &mut value.question {
                        substitute(tokens, &parts);
                    }
                }
            });
        }
        let mut values = 0;
        search.body.items_mut(&mut |item| {
            values += item.values.len();
            item.applied.extend(step.id.clone());
        });
        self.produce(values)?;
        while self.detection.searches.iter().any(|known| known.name == search.name) {
            search.name.push('_');
        }
        let position = self.detection.searches.len();
        self.detection.searches.push(search);
        for condition in &mut self.detection.conditions {
            let added = match added.negated {
                true => Tree::Not(Box::new(Tree::Search(position))),
                false => Tree::Search(position),
            };
            if let Tree::All(terms) = &mut condition.tree {
                terms.insert(0, added);
            } else {
                let own = std::mem::replace(&mut condition.tree, Tree::All(Vec::new()));
                condition.tree = Tree::All(vec![added, own]);
            }
        }
        self.has_condition = true;
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

    fn state_holds(&self, condition: &StateCondition) -> bool {
        let Some(value) = self.state.get(&condition.key) else {
            return false;
        };
        condition.operator.holds(value.compare(&condition.value))
    }

    fn rule_holds(&self, condition: &RuleCondition) -> bool {
        match condition {
            RuleCondition::LogSource(wanted) => wanted.covers(&self.logsource),
            RuleCondition::ContainsField(field) => self.any_item(|item| item.field_name() == Some(field)),
            RuleCondition::ContainsItem { field, value } => self.any_item(|item| {
                item.field_name() == Some(field) && item.values.iter().any(|found| equals(&found.question, value))
            }),
            RuleCondition::Applied(id) => self.applied.contains(id),
            RuleCondition::State(state) => self.state_holds(state),
            RuleCondition::IsRule(detection) => *detection,
            RuleCondition::Tag(tag) => self.rule.tags.iter().any(|known| known.eq_ignore_ascii_case(tag)),
            RuleCondition::Attribute { name, value, operator } => self.attribute_holds(name, value, *operator),
        }
    }

    fn any_item(&self, test: impl Fn(&Item) -> bool) -> bool {
        let mut found = false;
        self.detection.items(|item| found |= test(item));
        found
    }

    fn attribute_holds(&self, name: &str, value: &Scalar, operator: Operator) -> bool {
        if let Some(own) = self.attributes.get(name) {
            return operator.holds(own.compare(value));
        }
        match self.rule.attribute(name) {
            None => false,
            Some(crate::rule::Attribute::Texts(texts)) => {
                let is_in = texts.contains(&value.text());
                match operator {
                    Operator::In => is_in,
                    Operator::NotIn => !is_in,
                    Operator::Ne => true,
                    Operator::Eq | Operator::Gte | Operator::Gt | Operator::Lte | Operator::Lt => false,
                }
            }
            Some(crate::rule::Attribute::Text(text)) => match (Number::parse(&text), value) {
                (Some(own), Scalar::Number(number)) => operator.holds(own.partial_cmp(number)),
                _ => operator.holds(Some(text.cmp(&value.text()))),
            },
            Some(crate::rule::Attribute::Rank { own, ranks }) => {
                let wanted = ranks.iter().position(|rank| rank.eq_ignore_ascii_case(&value.text()));
                operator.holds(wanted.map(|wanted| own.cmp(&wanted)))
            }
        }
    }

    fn item_holds(&self, condition: &ItemCondition, item: &Item) -> bool {
        let values = |all: bool, test: &dyn Fn(&Question) -> bool| {
            if all {
                item.values.iter().all(|value| test(&value.question))
            } else {
                item.values.iter().any(|value| test(&value.question))
            }
        };
        match condition {
            ItemCondition::MatchString { pattern, all, negated } => values(*all, &|question| {
                values::unescaped(question).is_some_and(|text| pattern.is_match(&text)) != *negated
            }),
            ItemCondition::MatchValue { value, all } => values(*all, &|question| equals(question, value)),
            ItemCondition::ContainsWildcard { all } => values(*all, &|question| {
                let tokens = question.tokens().unwrap_or_default();
                tokens.iter().any(|token| matches!(token, Token::Star | Token::One))
            }),
            ItemCondition::IsNull { all } => values(*all, &|question| *question == Question::Null),
            ItemCondition::Applied(id) => item.applied.contains(id),
            ItemCondition::State(state) => self.state_holds(state),
        }
    }

    /// Whether the field conditions of a step hold for an item: for its own field or one its values refer to.
    fn field_conditions_hold(&self, step: &ProcessingItem, item: &Item) -> bool {
        let references = item.values.iter().filter_map(|value| {
            let reference = value.question.reference()?;
            Some(reference.field.name.as_ref())
        });
        step.field.hold(|condition| match condition {
            FieldCondition::Applied(id) => item.applied.contains(id),
            FieldCondition::State(state) => self.state_holds(state),
            FieldCondition::Names { .. } | FieldCondition::Patterns { .. } => {
                condition.of_name(item.field_name()).unwrap_or_default()
                    || references
                        .clone()
                        .any(|name| condition.of_name(Some(name)).unwrap_or_default())
            }
        })
    }

    /// Whether the field conditions of a step hold for a name.
    fn name_holds(&self, step: &ProcessingItem, name: Option<&str>) -> bool {
        step.field.hold(|condition| match condition {
            FieldCondition::Applied(id) => name
                .and_then(|name| self.by_field.get(name))
                .is_some_and(|ids| ids.contains(id)),
            FieldCondition::State(state) => self.state_holds(state),
            FieldCondition::Names { .. } | FieldCondition::Patterns { .. } => {
                condition.of_name(name).unwrap_or_default()
            }
        })
    }
}

fn is_empty(body: &Body) -> bool {
    match body {
        Body::All(terms) | Body::Any(terms) => terms.is_empty(),
        Body::Item(_) => false,
    }
}

/// Puts stars around a keyword that moves to a field, so that it is still looked for inside.
fn around(value: &mut Value) {
    if let Question::Text { tokens, .. } = &mut value.question {
        if tokens.first() != Some(&Token::Star) {
            tokens.insert(0, Token::Star);
        }
        if tokens.last() != Some(&Token::Star) {
            tokens.push(Token::Star);
        }
    }
}

/// Whether a value is this scalar.
fn equals(question: &Question, value: &Scalar) -> bool {
    match (question, value) {
        (Question::Null, Scalar::Null) => true,
        (Question::Number(number), Scalar::Number(other)) => {
            number.partial_cmp(other).is_some_and(|order| order.is_eq())
        }
        (Question::Text { .. }, Scalar::Text(_) | Scalar::Bool(_)) => {
            values::unescaped(question).is_some_and(|text| text == value.text())
        }
        _ => false,
    }
}

fn substitute(tokens: &mut [Token], parts: &[(&str, String)]) {
    for token in tokens {
        if let Token::Text(text) = token {
            for (name, part) in parts {
                for form in [format!("${{{name}}}"), format!("${name}")] {
                    if text.contains(&form) {
                        *text = text.replace(&form, part);
                    }
                }
            }
        }
    }
}
