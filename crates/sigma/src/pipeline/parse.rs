//! From a file to a pipeline.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::condition::{self, FieldCondition, ItemCondition, RuleCondition};
use super::item::ProcessingItem;
use super::parameters::{Parameters, texts};
use super::{MAX_ITEMS, Pipeline, transformation};
use crate::error::{Fault, RuleError};
use crate::yaml::{self, Kind, Node};

/// Reads a file. Everything in it must be understood.
pub(crate) fn parse(path: &str, text: &str) -> Result<Pipeline, RuleError> {
    let documents = yaml::split_documents(text);
    let [document] = documents.as_slice() else {
        let reason = format!("expected one YAML document with a pipeline, got {}", documents.len());
        return Err(Fault::new(0, "file", reason).at(path, 0));
    };
    let mut pipeline = read(document.text).map_err(|fault| fault.at(path, document.lines_before))?;
    for item in &mut pipeline.items {
        settle(item, path, document.lines_before);
    }
    path.clone_into(&mut pipeline.path);
    Ok(pipeline)
}

/// Gives every step its file and line.
fn settle(item: &mut ProcessingItem, path: &str, lines_before: usize) {
    let line = item.place.parse::<usize>().unwrap_or_default() + lines_before;
    item.place = format!("{path}:{line}").into();
    if let transformation::Transformation::Nest(items) = &mut item.transformation {
        for item in items {
            settle(item, path, lines_before);
        }
    }
}

fn read(text: &str) -> Result<Pipeline, Fault> {
    let root = yaml::parse(text)?;
    let parameters = Parameters::of(&root, "")?;
    for ignored in ["name", "allowed_backends", "postprocessing", "finalizers"] {
        parameters.get(ignored);
    }
    let priority = match parameters.get("priority").map(|node| &node.kind) {
        None => 0,
        Some(Kind::Int(priority)) => *priority,
        Some(_) => return Err(parameters.fault("priority", "expected a whole number")),
    };
    let mut count = 0;
    let pipeline = Pipeline {
        path: String::new(),
        priority,
        vars: vars(&parameters)?,
        items: match parameters.get("transformations") {
            None => Vec::new(),
            Some(node) => items(node, "transformations", 0, &mut count)?,
        },
    };
    parameters.done()?;
    Ok(pipeline)
}

fn vars(parameters: &Parameters<'_>) -> Result<FxHashMap<String, Vec<String>>, Fault> {
    let Some(node) = parameters.get("vars") else {
        return Ok(FxHashMap::default());
    };
    let Some(entries) = node.as_map() else {
        return Err(parameters.fault("vars", format!("expected a map, got {}", node.kind_name())));
    };
    entries
        .iter()
        .map(|(name, node)| Ok((name.clone(), texts(node, &format!("vars.{name}"))?)))
        .collect()
}

/// Reads a list of steps.
pub(super) fn items(node: &Node, path: &str, depth: usize, count: &mut usize) -> Result<Vec<ProcessingItem>, Fault> {
    let Some(nodes) = transformation::as_items(node) else {
        return Err(Fault::of(
            node,
            path,
            format!("expected a list, got {}", node.kind_name()),
        ));
    };
    let mut items = Vec::new();
    for (position, node) in nodes.iter().enumerate() {
        *count += 1;
        if *count > MAX_ITEMS {
            let reason = format!("expected at most {MAX_ITEMS} transformations in a file");
            return Err(Fault::of(node, path, reason));
        }
        items.push(item(node, format!("{path}[{position}]"), depth, count)?);
    }
    Ok(items)
}

fn item(node: &Node, path: String, depth: usize, count: &mut usize) -> Result<ProcessingItem, Fault> {
    let parameters = Parameters::of(node, path)?;
    let kind = parameters.required_text("type")?;
    let item = ProcessingItem {
        id: parameters.text("id")?.map(Arc::from),
        rule: condition::read(&parameters, &condition::RULE, RuleCondition::read)?,
        item: condition::read(&parameters, &condition::ITEM, ItemCondition::read)?,
        field: condition::read(&parameters, &condition::FIELD, FieldCondition::read)?,
        transformation: transformation::read(&kind, &parameters, depth, count)?,
        place: parameters.node().line.to_string().into(),
    };
    parameters.done()?;
    let is_catalog = matches!(
        item.transformation,
        transformation::Transformation::Events(_) | transformation::Transformation::Alternatives(_)
    );
    if is_catalog && (depth > 0 || !item.rule.is_empty() || !item.item.is_empty() || !item.field.is_empty()) {
        let reason = "expected no conditions and no nesting: `logsource` says which rules it is for";
        return Err(parameters.fault("type", reason));
    }
    Ok(item)
}
