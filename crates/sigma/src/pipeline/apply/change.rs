//! Values that become others, and what placeholders stand for.

use super::Run;
use crate::ast::Number;
use crate::detection::{Item, Question, Value};
use crate::pipeline::transformation::{Chosen, ValueChange};
use crate::pipeline::values;
use crate::value::Filling;

impl Run<'_> {
    /// Changes the values of an item; says whether any was.
    pub(super) fn values(&mut self, item: &mut Item, change: &ValueChange) -> Result<bool, String> {
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

    pub(super) fn value(&self, question: &Question, change: &ValueChange) -> Result<Option<Vec<Question>>, String> {
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

    pub(super) fn placeholders(
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
}
