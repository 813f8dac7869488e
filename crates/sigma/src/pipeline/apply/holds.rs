//! Which steps a rule, an item or a name is for.

use super::Run;
use crate::ast::Number;
use crate::detection::{Item, Question};
use crate::pattern::Token;
use crate::pipeline::condition::{FieldCondition, ItemCondition, Operator, RuleCondition, Scalar, StateCondition};
use crate::pipeline::item::ProcessingItem;
use crate::pipeline::values;

impl Run<'_> {
    pub(super) fn state_holds(&self, condition: &StateCondition) -> bool {
        let Some(value) = self.state.get(&condition.key) else {
            return false;
        };
        condition.operator.holds(value.compare(&condition.value))
    }

    pub(super) fn rule_holds(&self, condition: &RuleCondition) -> bool {
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

    pub(super) fn any_item(&self, test: impl Fn(&Item) -> bool) -> bool {
        let mut found = false;
        self.detection.items(|item| found |= test(item));
        found
    }

    pub(super) fn attribute_holds(&self, name: &str, value: &Scalar, operator: Operator) -> bool {
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

    pub(super) fn item_holds(&self, condition: &ItemCondition, item: &Item) -> bool {
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
    pub(super) fn field_conditions_hold(&self, step: &ProcessingItem, item: &Item) -> bool {
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
    pub(super) fn name_holds(&self, step: &ProcessingItem, name: Option<&str>) -> bool {
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
