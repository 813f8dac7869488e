//! The `detection` section: named searches and the condition over them.

use crate::ast::{Expr, Field, Subject};
use crate::condition::{self, Searches};
use crate::error::Fault;
use crate::modifier::Modifiers;
use crate::value;
use crate::yaml::{Kind, Node};

/// Most values in one rule.
const MAX_VALUES: usize = 20_000;
/// Longest field name in bytes.
const MAX_FIELD_LENGTH: usize = 512;

/// The whole section as one expression.
pub(crate) fn compile(section: &Node) -> Result<Expr, Fault> {
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
    let mut searches = Searches(Vec::new());
    let mut condition = None;
    let mut values = 0;
    for (name, node) in entries {
        match name.as_str() {
            "condition" => condition = Some(node),
            "timeframe" => {
                return Err(Fault::of(
                    node,
                    "detection.timeframe",
                    "expected no timeframe: it belongs to an aggregation, which is not part of Sigma 2",
                ));
            }
            _ => {
                let before = values;
                let expr = search(&format!("detection.{name}"), node, &mut values)?;
                searches.0.push((name.clone(), expr, values - before));
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
    if searches.0.is_empty() {
        return Err(Fault::of(section, "detection", "expected at least one search"));
    }
    compile_condition(condition, &searches)
}

fn compile_condition(node: &Node, searches: &Searches) -> Result<Expr, Fault> {
    let one = |node: &Node| {
        let fault = |reason| Fault::of(node, "detection.condition", reason);
        match &node.kind {
            Kind::Str(text) => condition::parse(text, searches).map_err(fault),
            Kind::Null | Kind::Bool(_) | Kind::Int(_) | Kind::Float(_) | Kind::List(_) | Kind::Map(_) => {
                Err(fault(format!("expected text, got {}", node.kind_name())))
            }
        }
    };
    match node.as_list() {
        None => one(node),
        Some([]) => Err(Fault::of(
            node,
            "detection.condition",
            "expected a condition, got an empty list",
        )),
        Some(items) if items.len() > 64 => {
            Err(Fault::of(node, "detection.condition", "expected at most 64 conditions"))
        }
        Some(items) => items.iter().map(one).collect::<Result<_, _>>().map(Expr::Or),
    }
}

/// A search: a map of items that all hold, or a list of maps and keywords of which any holds.
fn search(path: &str, node: &Node, values: &mut usize) -> Result<Expr, Fault> {
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
            .map(Expr::Or),
        Kind::Null => Err(Fault::of(
            node,
            path,
            "expected a map, a list or a keyword, got nothing",
        )),
        Kind::Bool(_) | Kind::Int(_) | Kind::Float(_) | Kind::Str(_) => keyword(path, node, values),
    }
}

fn keyword(path: &str, node: &Node, values: &mut usize) -> Result<Expr, Fault> {
    count(path, node, values)?;
    value::compile(&Subject::Any, node, &Modifiers::default()).map_err(|reason| Fault::of(node, path, reason))
}

fn items(path: &str, node: &Node, entries: &[(String, Node)], values: &mut usize) -> Result<Expr, Fault> {
    if entries.is_empty() {
        return Err(Fault::of(node, path, "expected at least one field, got an empty map"));
    }
    let terms: Vec<Expr> = entries
        .iter()
        .map(|(key, value)| item(&format!("{path}.{key}"), key, value, values))
        .collect::<Result<_, _>>()?;
    Ok(Expr::And(terms))
}

fn item(path: &str, key: &str, node: &Node, values: &mut usize) -> Result<Expr, Fault> {
    if key.len() > MAX_FIELD_LENGTH {
        return Err(Fault::of_key(
            node,
            path,
            format!("expected a field name of at most {MAX_FIELD_LENGTH} bytes"),
        ));
    }
    let mut parts = key.split('|');
    let subject = match parts.next() {
        Some("") | None => Subject::Any,
        Some(field) => Subject::Field(Field::named(field)),
    };
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
    let mut terms = Vec::with_capacity(alternatives.len());
    for value in alternatives {
        count(path, value, values)?;
        terms.push(value::compile(&subject, value, &modifiers).map_err(|reason| Fault::of(value, path, reason))?);
    }
    let expr = match terms.len() {
        1 => terms.remove(0),
        _ if modifiers.all => Expr::And(terms),
        _ => Expr::Or(terms),
    };
    Ok(if modifiers.neq { Expr::Not(Box::new(expr)) } else { expr })
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
