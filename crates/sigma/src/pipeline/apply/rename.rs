//! Fields under other names.

use super::{Change, Run};
use crate::ast::Field;
use crate::detection::{Body, Item, Question, Value};
use crate::pattern::Token;
use crate::pipeline::item::ProcessingItem;
use crate::pipeline::transformation::Transformation;

impl Run<'_> {
    pub(super) fn rename(&mut self, item: &mut Item, step: &ProcessingItem) -> Result<Change, String> {
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

    pub(super) fn track(&mut self, from: &str, to: &[String], step: &ProcessingItem) {
        self.mapped.insert(from.to_owned());
        for name in to {
            self.mapped.insert(name.clone());
            if let Some(id) = &step.id {
                self.by_field.entry(name.clone()).or_default().insert(id.clone());
            }
        }
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
