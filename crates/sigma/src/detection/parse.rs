//! From YAML to the tree.

use super::{Body, Condition, Detection, Item, Search, Value, Written};
use crate::ast::{Field, Number};
use crate::condition;
use crate::error::Fault;
use crate::modifier::Modifiers;
use crate::value::Question;
use crate::yaml::{Kind, Node};

/// Most values in one rule.
const MAX_VALUES: usize = 20_000;
/// Longest field name in bytes.
const MAX_FIELD_LENGTH: usize = 512;
/// Most conditions in one rule.
const MAX_CONDITIONS: usize = 64;

/// The whole section.
pub(crate) fn parse(section: &Node) -> Result<Detection, Fault> {
    let Some(entries) = section.as_map() else {
        return Err(Fault::of(
            section,
            "detection",
            format!(
                "expected a map of searches and a condition, got {}",
                section.kind_name()
            ),
        ));
    };
    let mut searches = Vec::new();
    let mut condition = None;
    let mut values = 0;
    for (name, node) in entries {
        match name.as_str() {
            "condition" => condition = Some(node),
            "timeframe" => {
                return Err(Fault::of_key(
                    node,
                    "detection.timeframe",
                    "expected no timeframe: it belongs to an aggregation, which is not part of Sigma 2",
                ));
            }
            _ => {
                let (line, column) = node.key;
                searches.push(Search {
                    name: name.clone(),
                    line,
                    column,
                    body: search(&format!("detection.{name}"), node, &mut values)?,
                });
            }
        }
    }
    let Some(condition) = condition else {
        return Err(Fault::of(
            section,
            "detection.condition",
            "expected a condition, got nothing",
        ));
    };
    if searches.is_empty() {
        return Err(Fault::of(section, "detection", "expected at least one search"));
    }
    Ok(Detection {
        conditions: conditions(condition, &searches)?,
        searches,
    })
}

/// One search on its own. `path` is where it stands, for errors.
pub(crate) fn parse_search(path: &str, node: &Node) -> Result<Body, Fault> {
    search(path, node, &mut 0)
}

fn conditions(node: &Node, searches: &[Search]) -> Result<Vec<Condition>, Fault> {
    let names = condition::Names::new(searches);
    let one = |node: &Node| {
        let fault = |reason| Fault::of(node, "detection.condition", reason);
        match &node.kind {
            Kind::Str(text) => Ok(Condition {
                text: text.clone(),
                line: node.line,
                column: node.column,
                tree: condition::parse(text, &names).map_err(fault)?,
            }),
            Kind::Null | Kind::Bool(_) | Kind::Int(_) | Kind::Float(_) | Kind::List(_) | Kind::Map(_) => {
                Err(fault(format!("expected text, got {}", node.kind_name())))
            }
        }
    };
    match node.as_list() {
        None => Ok(vec![one(node)?]),
        Some([]) => Err(Fault::of(
            node,
            "detection.condition",
            "expected a condition, got an empty list",
        )),
        Some(items) if items.len() > MAX_CONDITIONS => Err(Fault::of(
            node,
            "detection.condition",
            format!("expected at most {MAX_CONDITIONS} conditions"),
        )),
        Some(items) => items.iter().map(one).collect(),
    }
}

/// A search: a map of items that all hold, or a list of maps and keywords of which any holds.
fn search(path: &str, node: &Node, values: &mut usize) -> Result<Body, Fault> {
    match &node.kind {
        Kind::Map(entries) => items(path, node, entries, values),
        Kind::List(alternatives) if alternatives.is_empty() => Err(Fault::of(
            node,
            path,
            "expected at least one alternative, got an empty list",
        )),
        Kind::List(alternatives) => alternatives
            .iter()
            .map(|alternative| match &alternative.kind {
                Kind::Map(entries) => items(path, alternative, entries, values),
                Kind::List(_) => Err(Fault::of(alternative, path, "expected a map or a keyword, got a list")),
                Kind::Null | Kind::Bool(_) | Kind::Int(_) | Kind::Float(_) | Kind::Str(_) => {
                    keyword(path, alternative, values)
                }
            })
            .collect::<Result<_, _>>()
            .map(Body::Any),
        Kind::Null => Err(Fault::of(
            node,
            path,
            "expected a map, a list or a keyword, got nothing",
        )),
        Kind::Bool(_) | Kind::Int(_) | Kind::Float(_) | Kind::Str(_) => keyword(path, node, values),
    }
}

fn keyword(path: &str, node: &Node, values: &mut usize) -> Result<Body, Fault> {
    count(path, node, values)?;
    Ok(Body::Item(Item {
        key: String::new(),
        field: None,
        values: vec![value(path, node, true, &Modifiers::default())?],
        all: false,
        negated: false,
        line: node.line,
        column: node.column,
        applied: Vec::new(),
    }))
}

fn items(path: &str, node: &Node, entries: &[(String, Node)], values: &mut usize) -> Result<Body, Fault> {
    if entries.is_empty() {
        return Err(Fault::of(node, path, "expected at least one field, got an empty map"));
    }
    entries
        .iter()
        .map(|(key, value)| item(&format!("{path}.{key}"), key, value, values).map(Body::Item))
        .collect::<Result<_, _>>()
        .map(Body::All)
}

fn item(path: &str, key: &str, node: &Node, values: &mut usize) -> Result<Item, Fault> {
    if key.len() > MAX_FIELD_LENGTH {
        return Err(Fault::of_key(
            node,
            path,
            format!("expected a field name of at most {MAX_FIELD_LENGTH} bytes"),
        ));
    }
    let mut parts = key.split('|');
    let field = parts.next().filter(|field| !field.is_empty()).map(Field::named);
    let modifiers = Modifiers::parse(parts).map_err(|reason| Fault::of_key(node, path, reason))?;
    let alternatives = node.as_list().unwrap_or(std::slice::from_ref(node));
    if alternatives.is_empty() {
        return Err(Fault::of(node, path, "expected at least one value, got an empty list"));
    }
    if modifiers.all && alternatives.len() < 2 {
        return Err(Fault::of_key(
            node,
            path,
            "expected at least two values for `all`, got one",
        ));
    }
    let mut read = Vec::with_capacity(alternatives.len());
    for alternative in alternatives {
        count(path, alternative, values)?;
        read.push(value(path, alternative, field.is_none(), &modifiers)?);
    }
    let (line, column) = node.key;
    Ok(Item {
        key: key.to_owned(),
        field,
        values: read,
        all: modifiers.all,
        negated: modifiers.neq,
        line,
        column,
        applied: Vec::new(),
    })
}

fn value(path: &str, node: &Node, keyword: bool, modifiers: &Modifiers) -> Result<Value, Fault> {
    let question = Question::read(keyword, node, modifiers).map_err(|reason| Fault::of(node, path, reason))?;
    Ok(Value {
        written: match &node.kind {
            Kind::Bool(value) => Written::Bool(*value),
            Kind::Int(number) => Written::Number(Number::Int(*number)),
            Kind::Float(number) => Written::Number(Number::Float(*number)),
            Kind::Str(text) => Written::Text(text.as_str().into()),
            Kind::Null | Kind::List(_) | Kind::Map(_) => Written::Null,
        },
        line: node.line,
        column: node.column,
        question,
    })
}

fn count(path: &str, node: &Node, values: &mut usize) -> Result<(), Fault> {
    *values += 1;
    if *values > MAX_VALUES {
        return Err(Fault::of(
            node,
            path,
            format!("expected at most {MAX_VALUES} values in a rule"),
        ));
    }
    Ok(())
}
