//! What a correlation reads from an event: the values of its group-by fields and of the field it measures.

use model::{Event, Value};

use crate::ast::{Field, Number};
use crate::correlation::contribution::{Values, bounded};
use crate::pattern::fold;

/// Most values of one field of one event.
const MAX_VALUES: usize = 16;
/// Most groups one event belongs to, and most combinations of values it counts as.
const MAX_COMBINATIONS: usize = 16;
/// Deepest nesting of lists.
const MAX_DEPTH: usize = 4;

/// What could not be used of an event.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lost {
    /// Contributions it did not make because it lacks a group-by field.
    pub no_group: usize,
    /// Contributions it did not make because it lacks the field that is measured, or has no number there.
    pub no_value: usize,
    /// Contributions that leave out values, as lists had more than 16.
    pub cut: usize,
}

impl std::ops::AddAssign for Lost {
    fn add_assign(&mut self, other: Self) {
        self.no_group += other.no_group;
        self.no_value += other.no_value;
        self.cut += other.cut;
    }
}

/// Every combination of one value of each field; none when a field has no value. The flag says that there are more.
pub(crate) fn combinations(event: &Event, fields: &[Field]) -> (Vec<Vec<String>>, bool) {
    let mut combinations = vec![Vec::new()];
    let mut cut = false;
    for field in fields {
        let mut texts = Vec::new();
        if let Some(value) = find(event, field) {
            cut |= !collect_texts(value, MAX_DEPTH, &mut texts);
        }
        cut |= combinations.len() * texts.len() > MAX_COMBINATIONS;
        combinations = combinations
            .iter()
            .flat_map(|start: &Vec<String>| {
                texts.iter().map(|text| {
                    let mut longer = start.clone();
                    longer.push(text.clone());
                    longer
                })
            })
            .take(MAX_COMBINATIONS)
            .collect();
    }
    (combinations, cut)
}

/// The values of fields that are told apart: each combination as one text.
pub(crate) fn texts(event: &Event, fields: &[Field]) -> (Values, bool) {
    let (combinations, cut) = combinations(event, fields);
    let mut texts: Vec<String> = combinations.iter().map(|values| joined(values)).collect();
    texts.sort_unstable();
    texts.dedup();
    (Values::Texts(texts), cut)
}

/// Several values as one text, folded.
pub(crate) fn joined(values: &[String]) -> String {
    match values {
        [value] => fold(value),
        _ => bounded(&fold(&values.join(" | "))),
    }
}

/// The numbers of a field.
pub(crate) fn numbers(event: &Event, field: &Field) -> (Values, bool) {
    let mut numbers = Vec::new();
    let cut = find(event, field).is_some_and(|value| !collect_numbers(value, MAX_DEPTH, &mut numbers));
    (Values::Numbers(numbers), cut)
}

fn find<'e>(event: &'e Event, field: &Field) -> Option<&'e Value> {
    let names = std::iter::once(&field.name).chain(field.others.iter());
    names
        .filter_map(|name| event.fields.get(name))
        .find(|value| !matches!(value, Value::Null))
}

/// Collects different texts, empty ones left out; false when there are too many.
fn collect_texts(value: &Value, depth: usize, out: &mut Vec<String>) -> bool {
    match value {
        Value::Null => true,
        Value::List(values) => depth > 0 && values.iter().all(|value| collect_texts(value, depth - 1, out)),
        Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Str(_) => {
            let text = bounded(&value.to_text());
            if text.is_empty() || out.iter().any(|known| fold(known) == fold(&text)) {
                return true;
            }
            let has_room = out.len() < MAX_VALUES;
            if has_room {
                out.push(text);
            }
            has_room
        }
    }
}

fn collect_numbers(value: &Value, depth: usize, out: &mut Vec<f64>) -> bool {
    let number = match value {
        Value::Null | Value::Bool(_) => None,
        Value::Int(number) => Some(Number::Int(*number)),
        Value::Float(number) => Some(Number::Float(*number)),
        Value::Str(text) => Number::parse(text),
        Value::List(values) => {
            return depth > 0 && values.iter().all(|value| collect_numbers(value, depth - 1, out));
        }
    };
    let Some(number) = number.map(Number::as_f64).filter(|number| number.is_finite()) else {
        return true;
    };
    let has_room = out.len() < MAX_VALUES;
    if has_room {
        out.push(number);
    }
    has_room
}
