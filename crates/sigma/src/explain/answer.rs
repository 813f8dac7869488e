//! Answers every question of a rule for one event, and keeps what was looked at.

use std::net::IpAddr;

use model::{Event, Value};

use super::explanation::{Alternative, Item, ItemValue, Search, Seen, Step, TestAnswer};
use super::question;
use super::structure::{self, Condition};
use crate::ast::{Expr, Field, Op, Subject, Test};
use crate::engine::slots::{TIMESTAMP, is_searched_by_keywords, without_spaces};
use crate::engine::text::{any_number, any_text, any_time, exists, is_null, relates, time_part};
use crate::pattern::fold;

/// The event and its time as a value.
pub(super) struct Answers<'a> {
    event: &'a Event,
    time: Value,
}

/// A field of the event, found.
#[derive(Clone, Copy)]
struct Found<'a> {
    name: &'a str,
    value: &'a Value,
}

impl<'a> Answers<'a> {
    pub(super) fn new(event: &'a Event) -> Self {
        Self {
            event,
            time: Value::from(event.timestamp.to_string()),
        }
    }

    /// A tree of questions with its answers.
    pub(super) fn step(&self, expr: &Expr) -> Step {
        let steps = |terms: &[Expr]| terms.iter().map(|term| self.step(term)).collect();
        match expr {
            Expr::And(terms) => all(steps(terms)),
            Expr::Or(terms) => any(steps(terms)),
            Expr::AtLeast(count, terms) => at_least(*count, steps(terms)),
            Expr::Not(term) => not(self.step(term)),
            Expr::Test(test) => {
                let mut seen = Vec::new();
                let holds = self.test(test, &mut seen);
                Step::Test(TestAnswer {
                    field: match &test.subject {
                        Subject::Field(field) => Some(field.name.to_string()),
                        Subject::Any => None,
                    },
                    asks: question::of(&test.op),
                    holds,
                    seen,
                })
            }
        }
    }

    /// A condition with the truth of its searches.
    pub(super) fn condition(&self, condition: &Condition, searches: &[Search]) -> Step {
        let steps = |terms: &[Condition]| terms.iter().map(|term| self.condition(term, searches)).collect();
        match condition {
            Condition::All(terms) => all(steps(terms)),
            Condition::Any(terms) => any(steps(terms)),
            Condition::AtLeast(count, terms) => at_least(*count, steps(terms)),
            Condition::Not(term) => not(self.condition(term, searches)),
            Condition::Search(position) => {
                let search = searches.get(*position);
                Step::Search {
                    holds: search.is_some_and(|search| search.holds),
                    name: search.map(|search| search.name.clone()).unwrap_or_default(),
                }
            }
        }
    }

    /// A search with all its answers.
    pub(super) fn search(&self, search: &structure::Search) -> Search {
        let alternatives: Vec<Alternative> = search
            .alternatives
            .iter()
            .map(|items| {
                let items: Vec<Item> = items.iter().map(|item| self.item(item)).collect();
                Alternative {
                    holds: items.iter().all(|item| item.holds),
                    items,
                }
            })
            .collect();
        Search {
            name: search.name.clone(),
            line: search.line,
            holds: alternatives.iter().any(|alternative| alternative.holds),
            alternatives,
        }
    }

    fn item(&self, item: &structure::Item) -> Item {
        let mut seen = Vec::new();
        let values: Vec<ItemValue> = item
            .values
            .iter()
            .map(|(value, expr)| ItemValue {
                value: value.clone(),
                matches: self.holds(expr, &mut seen),
            })
            .collect();
        let matches = if item.all {
            values.iter().all(|value| value.matches)
        } else {
            values.iter().any(|value| value.matches)
        };
        Item {
            key: item.key.clone(),
            field: item.field.clone(),
            modifiers: item.modifiers.clone(),
            line: item.line,
            holds: matches != item.negated,
            all: item.all,
            negated: item.negated,
            seen,
            values,
        }
    }

    fn holds(&self, expr: &Expr, seen: &mut Vec<Seen>) -> bool {
        match expr {
            Expr::And(terms) => self.count(terms, seen) == terms.len(),
            Expr::Or(terms) => self.count(terms, seen) > 0,
            Expr::AtLeast(count, terms) => self.count(terms, seen) >= *count,
            Expr::Not(term) => !self.holds(term, seen),
            Expr::Test(test) => self.test(test, seen),
        }
    }

    fn count(&self, terms: &[Expr], seen: &mut Vec<Seen>) -> usize {
        terms.iter().filter(|term| self.holds(term, seen)).count()
    }

    fn test(&self, test: &Test, seen: &mut Vec<Seen>) -> bool {
        match &test.subject {
            Subject::Any => {
                let mut found = false;
                for (name, value) in self.event.fields.iter() {
                    if is_searched_by_keywords(name) && self.answer(&test.op, value) {
                        found = true;
                        note(seen, None, Some(Found { name, value }));
                    }
                }
                found
            }
            Subject::Field(field) => {
                let found = self.find(field);
                note(seen, Some(&field.name), found);
                if let Op::FieldRef(reference) = &test.op {
                    note(seen, Some(&reference.field.name), self.find(&reference.field));
                }
                match found {
                    Some(found) => self.answer(&test.op, found.value),
                    None => test.op == Op::Null,
                }
            }
        }
    }

    /// The field under the rule's name for it or, when there is none, under the first other name that is there.
    fn find(&self, field: &Field) -> Option<Found<'_>> {
        if &*field.name == TIMESTAMP {
            return Some(Found {
                name: TIMESTAMP,
                value: &self.time,
            });
        }
        std::iter::once(&field.name)
            .chain(field.others.iter())
            .find_map(|wanted| {
                let wanted = without_spaces(wanted);
                let fits = |name: &str| without_spaces(name) == wanted;
                self.event
                    .fields
                    .iter()
                    .find(|(name, _)| fits(name))
                    .map(|(name, value)| Found { name, value })
            })
    }

    fn answer(&self, op: &Op, value: &Value) -> bool {
        let mut number = String::new();
        let mut any = |accept: &mut dyn FnMut(&str) -> bool| any_text(value, &mut number, &mut |text| accept(text));
        match op {
            Op::Null => is_null(value),
            Op::Exists => exists(value),
            Op::Text(pattern) if pattern.cased => any(&mut |text| pattern.fits(text)),
            Op::Text(pattern) => any(&mut |text| pattern.fits(&fold(text))),
            Op::Regex(regex) => any(&mut |text| regex.compiled.is_match(text)),
            Op::Cidr(network) => any(&mut |text| {
                text.parse::<IpAddr>()
                    .is_ok_and(|address| network.contains(&address) || network.contains(&address.to_canonical()))
            }),
            Op::FieldRef(reference) => {
                let Some(other) = self.find(&reference.field) else {
                    return false;
                };
                any(&mut |left| {
                    let mut number = String::new();
                    any_text(other.value, &mut number, &mut |right| {
                        if reference.cased {
                            relates(reference.relation, left, right)
                        } else {
                            relates(reference.relation, fold(left), fold(right))
                        }
                    })
                })
            }
            Op::Compare(comparison, wanted) => any_number(value, &|found| comparison.holds(found, *wanted)),
            Op::Time(part, comparison, wanted) => {
                any_time(value, &|time| comparison.holds(time_part(time, *part), *wanted))
            }
        }
    }
}

/// Adds what was looked at, unless it is there.
fn note(seen: &mut Vec<Seen>, field: Option<&str>, found: Option<Found<'_>>) {
    let name = found.map(|found| found.name);
    let known = |seen: &Seen| seen.field.as_deref() == field && seen.name.as_deref() == name;
    if !seen.iter().any(known) {
        seen.push(Seen {
            field: field.map(str::to_owned),
            name: name.map(str::to_owned),
            value: found.map(|found| found.value.to_json()),
        });
    }
}

fn all(terms: Vec<Step>) -> Step {
    Step::All {
        holds: terms.iter().all(Step::holds),
        terms,
    }
}

fn any(terms: Vec<Step>) -> Step {
    Step::Any {
        holds: terms.iter().any(Step::holds),
        terms,
    }
}

fn at_least(count: usize, terms: Vec<Step>) -> Step {
    Step::AtLeast {
        holds: terms.iter().filter(|term| term.holds()).count() >= count,
        count,
        terms,
    }
}

fn not(term: Step) -> Step {
    Step::Not {
        holds: !term.holds(),
        term: Box::new(term),
    }
}
