//! Answers predicates and trees of them for one event.

use std::net::IpAddr;

use model::{Event, Value};

use crate::ast::{FieldRef, Op};
use crate::engine::program::{Node, Predicate};
use crate::engine::scratch::{FieldIndex, Scratch};
use crate::engine::slots::{ANY, Slot, is_searched_by_keywords};
use crate::engine::text::{any_number, any_text, any_time, exists, is_null, relates, time_part};

/// The evaluation of one event.
pub(crate) struct Evaluation<'a> {
    pub(crate) event: &'a Event,
    pub(crate) predicates: &'a [Predicate],
    pub(crate) scratch: &'a mut Scratch,
}

impl Evaluation<'_> {
    /// Whether the tree is true. Trees are as deep as the rule parser allows, which is not deep.
    pub(crate) fn holds(&mut self, node: &Node) -> bool {
        match node {
            Node::Constant(value) => *value,
            Node::Predicate(number) => self.predicate(*number),
            Node::Not(inner) => !self.holds(inner),
            Node::And(terms) => terms.iter().all(|term| self.holds(term)),
            Node::Or(terms) => terms.iter().any(|term| self.holds(term)),
            Node::AtLeast(count, terms) => {
                let mut missing = *count;
                for term in terms {
                    if missing == 0 {
                        break;
                    }
                    missing -= usize::from(self.holds(term));
                }
                missing == 0
            }
        }
    }

    fn predicate(&mut self, number: u32) -> bool {
        if let Some(known) = self.scratch.predicate(number) {
            return known;
        }
        let Some(predicate) = self.predicates.get(number as usize) else {
            return false;
        };
        let value = if predicate.slot == ANY {
            (0..self.event.fields.len()).any(|field| {
                let searched = self
                    .event
                    .fields
                    .at(field)
                    .is_some_and(|(name, _)| is_searched_by_keywords(name));
                searched && self.field_holds(predicate, Some(field))
            })
        } else {
            let field = self.scratch.field_in(predicate.slot);
            self.field_holds(predicate, field)
        };
        self.scratch.remember_predicate(number, value);
        value
    }

    fn field_holds(&mut self, predicate: &Predicate, field: Option<FieldIndex>) -> bool {
        let Some(field) = field else {
            return predicate.op == Op::Null;
        };
        if let Some(finder) = &predicate.finder {
            let texts = self.scratch.fold(self.event, field);
            return texts
                .into_iter()
                .any(|text| finder.find(self.scratch.text(text).as_bytes()).is_some());
        }
        match &predicate.op {
            Op::Text(pattern) if !pattern.cased => {
                let texts = self.scratch.fold(self.event, field);
                texts.into_iter().any(|text| pattern.fits(self.scratch.text(text)))
            }
            Op::Text(pattern) => self.any_text(field, |text| pattern.fits(text)),
            Op::Regex(regex) => self.any_text(field, |text| regex.compiled.is_match(text)),
            Op::Cidr(network) => self.any_text(field, |text| {
                text.parse::<IpAddr>()
                    .is_ok_and(|address| network.contains(&address) || network.contains(&address.to_canonical()))
            }),
            Op::FieldRef(reference) => self.relates(field, reference, predicate.other),
            Op::Null => self.value(field).is_some_and(is_null),
            Op::Exists => self.value(field).is_none_or(exists),
            Op::Compare(comparison, number) => self
                .value(field)
                .is_some_and(|value| any_number(value, &|found| comparison.holds(found, *number))),
            Op::Time(part, comparison, number) => {
                let accept = |time| comparison.holds(time_part(time, *part), *number);
                match self.value(field) {
                    Some(value) => any_time(value, &accept),
                    None => accept(self.event.timestamp.to_utc()),
                }
            }
        }
    }

    /// The value of a field; none for the event's time.
    fn value(&self, field: FieldIndex) -> Option<&Value> {
        self.event.fields.at(field).map(|(_, value)| value)
    }

    fn any_text(&mut self, field: FieldIndex, mut visit: impl FnMut(&str) -> bool) -> bool {
        match self.event.fields.at(field) {
            Some((_, value)) => any_text(value, &mut self.scratch.number, &mut visit),
            None => visit(&self.event.timestamp.to_string()),
        }
    }

    fn relates(&mut self, field: FieldIndex, reference: &FieldRef, other: Slot) -> bool {
        let Some(other) = self.scratch.field_in(other) else {
            return false;
        };
        if reference.cased {
            let (Some((_, left)), Some((_, right))) = (self.event.fields.at(field), self.event.fields.at(other)) else {
                return false;
            };
            let mut buffer = String::new();
            return any_text(left, &mut self.scratch.number, &mut |left| {
                any_text(right, &mut buffer, &mut |right| {
                    relates(reference.relation, left, right)
                })
            });
        }
        let left = self.scratch.fold(self.event, field);
        let right = self.scratch.fold(self.event, other);
        left.into_iter().any(|left| {
            right
                .clone()
                .any(|right| relates(reference.relation, self.scratch.text(left), self.scratch.text(right)))
        })
    }
}
