//! What a step of a pipeline does.

use regex::Regex;

use super::condition::{Scalar, logsource};
use super::extract::Extract;
use super::fields::{Case, FieldChange};
use super::hashes::Hashes;
use super::item::ProcessingItem;
use super::parameters::Parameters;
use super::values::{RegexMethod, Replace};
use super::{MAX_NESTING, parse, regexes};
use crate::detection::{Body, Question, Search, parse_search};
use crate::error::Fault;
use crate::rule::LogSource;
use crate::yaml::{Kind, Node};

/// One transformation with its parameters.
#[derive(Clone, Debug)]
pub(crate) enum Transformation {
    Field(FieldChange),
    DropItem,
    Hashes(Hashes),
    Extract(Extract),
    Value(ValueChange),
    AddCondition(AddCondition),
    ChangeLogSource(LogSource),
    SetState {
        key: String,
        value: Scalar,
    },
    RuleFailure(String),
    ItemFailure(String),
    StrictFieldMapping,
    SetAttribute {
        name: String,
        value: Scalar,
    },
    Nest(Vec<ProcessingItem>),
    /// Changes the list of fields that is shown with a match, which is nothing that is compiled.
    ShownFields,
    /// Picket's own: which events belong to a logsource.
    Events(Events),
    /// Picket's own: names to try when an event lacks a field.
    Alternatives(Alternatives),
}

/// A change of values.
#[derive(Clone, Debug)]
pub(crate) enum ValueChange {
    WildcardPlaceholders(Chosen),
    ValuePlaceholders(Chosen),
    Replace(Replace),
    MapString(Vec<(String, Vec<String>)>),
    Regex(RegexMethod),
    Set(Question),
    ToNumber,
    ToText,
    Case(Case),
}

/// Which placeholders are resolved.
#[derive(Clone, Debug, Default)]
pub(crate) struct Chosen {
    include: Option<Vec<String>>,
    exclude: Option<Vec<String>>,
}

impl Chosen {
    pub(super) fn has(&self, name: &str) -> bool {
        let listed = |names: &Vec<String>| names.iter().any(|known| known == name);
        self.include.as_ref().is_none_or(listed) && !self.exclude.as_ref().is_some_and(listed)
    }
}

/// A search to put in front of every condition.
#[derive(Clone, Debug)]
pub(crate) struct AddCondition {
    pub(super) search: Search,
    pub(super) negated: bool,
    /// Whether `$category`, `$product` and `$service` in its values stand for those of the rule.
    pub(super) template: bool,
}

/// Which events belong to a logsource, beside those already known.
#[derive(Clone, Debug)]
pub(crate) struct Events {
    pub(crate) logsource: LogSource,
    pub(crate) body: Body,
    /// Whether nothing that was known before counts.
    pub(crate) replace: bool,
    /// Whether an event that merely says it is of this logsource is not.
    pub(crate) closed: bool,
}

/// Names to try when an event lacks a field, for the rules of a logsource.
#[derive(Clone, Debug)]
pub(crate) struct Alternatives {
    pub(crate) logsource: LogSource,
    pub(crate) mapping: Vec<(String, Vec<String>)>,
}

const KNOWN: &str = "field_name_mapping, field_name_prefix_mapping, field_name_transform, field_name_prefix, \
                     field_name_suffix, drop_detection_item, hashes_fields, extract_fields, wildcard_placeholders, \
                     value_placeholders, add_condition, change_logsource, add_field, remove_field, set_field, \
                     replace_string, map_string, set_state, regex, set_value, convert_type, case, rule_failure, \
                     detection_item_failure, strict_field_mapping_failure, set_custom_attribute, nest, \
                     logsource_events, field_name_alternatives";

/// Reads a transformation. `depth` is how many pipelines it is nested in; `count` how many steps the file had so far.
pub(super) fn read(
    kind: &str,
    parameters: &Parameters<'_>,
    depth: usize,
    count: &mut usize,
) -> Result<Transformation, Fault> {
    Ok(match kind {
        "field_name_mapping"
        | "field_name_prefix_mapping"
        | "field_name_transform"
        | "field_name_prefix"
        | "field_name_suffix" => Transformation::Field(FieldChange::read(kind, parameters)?),
        "drop_detection_item" => Transformation::DropItem,
        "hashes_fields" => Transformation::Hashes(Hashes::read(parameters)?),
        "extract_fields" => Transformation::Extract(Extract::read(parameters)?),
        "wildcard_placeholders" => Transformation::Value(ValueChange::WildcardPlaceholders(chosen(parameters)?)),
        "value_placeholders" => Transformation::Value(ValueChange::ValuePlaceholders(chosen(parameters)?)),
        "query_expression_placeholders" => {
            let reason = "expected a value for the placeholder: there is no query language whose lookups could be \
                          inserted; use value_placeholders with `vars`";
            return Err(parameters.fault("type", reason));
        }
        "file_placeholders" | "http_placeholders" | "command_placeholders" => {
            let reason = format!(
                "expected no `{kind}`: rules are compiled without reading files, asking servers or running commands; \
                 put the values in `vars` and use value_placeholders"
            );
            return Err(parameters.fault("type", reason));
        }
        "add_condition" => Transformation::AddCondition(add_condition(parameters)?),
        "change_logsource" => Transformation::ChangeLogSource(logsource(parameters)?),
        "add_field" | "remove_field" => {
            parameters.texts("field")?;
            Transformation::ShownFields
        }
        "set_field" => {
            parameters.get("fields");
            Transformation::ShownFields
        }
        "replace_string" => Transformation::Value(ValueChange::Replace(Replace::read(parameters)?)),
        "map_string" => Transformation::Value(ValueChange::MapString(parameters.mapping("mapping")?)),
        "set_state" => Transformation::SetState {
            key: parameters.required_text("key")?,
            value: scalar(parameters, "val")?,
        },
        "regex" => Transformation::Value(ValueChange::Regex(RegexMethod::read(parameters)?)),
        "set_value" => Transformation::Value(ValueChange::Set(set_value(parameters)?)),
        "convert_type" => {
            parameters.required_text("target_type")?;
            Transformation::Value(match parameters.word("target_type", &["str", "num"])? {
                1 => ValueChange::ToNumber,
                _ => ValueChange::ToText,
            })
        }
        "case" => Transformation::Value(ValueChange::Case(Case::read(parameters, "method")?)),
        "rule_failure" => Transformation::RuleFailure(parameters.required_text("message")?),
        "detection_item_failure" => Transformation::ItemFailure(parameters.required_text("message")?),
        "strict_field_mapping_failure" => Transformation::StrictFieldMapping,
        "set_custom_attribute" => Transformation::SetAttribute {
            name: parameters.required_text("attribute")?,
            value: scalar(parameters, "value")?,
        },
        "nest" => {
            if depth >= MAX_NESTING {
                let reason = format!("expected at most {MAX_NESTING} levels of nested pipelines");
                return Err(parameters.fault("items", reason));
            }
            let node = parameters.required("items", "a list of transformations")?;
            Transformation::Nest(parse::items(node, &parameters.path("items"), depth + 1, count)?)
        }
        "logsource_events" => {
            let body = parse_search(&parameters.path("events"), parameters.required("events", "a search")?)?;
            // A placeholder has nothing to be resolved by here.
            body.expr(&parameters.path("events"))?;
            Transformation::Events(Events {
                logsource: chosen_logsource(parameters)?,
                body,
                replace: parameters.bool("replace")?,
                closed: parameters.bool("closed")?,
            })
        }
        "field_name_alternatives" => Transformation::Alternatives(Alternatives {
            logsource: match parameters.get("logsource") {
                None => LogSource::default(),
                Some(_) => chosen_logsource(parameters)?,
            },
            mapping: parameters.mapping("mapping")?,
        }),
        _ => return Err(parameters.fault("type", format!("expected one of {KNOWN}, got `{kind}`"))),
    })
}

fn chosen(parameters: &Parameters<'_>) -> Result<Chosen, Fault> {
    let chosen = Chosen {
        include: parameters.texts("include")?,
        exclude: parameters.texts("exclude")?,
    };
    if chosen.include.is_some() && chosen.exclude.is_some() {
        return Err(parameters.fault("exclude", "expected either include or exclude"));
    }
    Ok(chosen)
}

fn add_condition(parameters: &Parameters<'_>) -> Result<AddCondition, Fault> {
    let node = parameters.required("conditions", "a map of fields and values")?;
    let name = parameters.text("name")?;
    Ok(AddCondition {
        search: Search {
            name: name.unwrap_or_else(|| "_pipeline".to_owned()),
            line: 0,
            column: 0,
            body: parse_search(&parameters.path("conditions"), node)?,
        },
        negated: parameters.bool("negated")?,
        template: parameters.bool("template")?,
    })
}

fn chosen_logsource(parameters: &Parameters<'_>) -> Result<LogSource, Fault> {
    let node = parameters.required("logsource", "category, product or service")?;
    let inner = Parameters::of(node, parameters.path("logsource"))?;
    let chosen = logsource(&inner)?;
    inner.done()?;
    if chosen == LogSource::default() {
        return Err(parameters.fault("logsource", "expected at least one of category, product and service"));
    }
    Ok(chosen)
}

fn scalar(parameters: &Parameters<'_>, key: &'static str) -> Result<Scalar, Fault> {
    let node = parameters.get_or_null(key);
    node.and_then(Scalar::read)
        .ok_or_else(|| parameters.fault(key, "expected a scalar"))
}

fn set_value(parameters: &Parameters<'_>) -> Result<Question, Fault> {
    use crate::ast::Number;
    let value = scalar(parameters, "value")?;
    Ok(match parameters.text("force_type")?.as_deref() {
        None => match &value {
            Scalar::Null => Question::Null,
            Scalar::Number(number) => Question::Number(*number),
            Scalar::Bool(_) | Scalar::Text(_) => Question::from_sigma(&value.text()),
        },
        Some("str") if value != Scalar::Null => Question::from_sigma(&value.text()),
        Some("num") => match Number::parse(&value.text()) {
            Some(number) => Question::Number(number),
            None => return Err(parameters.fault("value", "expected a number")),
        },
        Some(_) => return Err(parameters.fault("force_type", "expected `str` or `num`, and a value")),
    })
}

/// Compiles the expression of a key.
pub(super) fn pattern(parameters: &Parameters<'_>, key: &'static str) -> Result<Regex, Fault> {
    let source = parameters.required_text(key)?;
    regexes::anywhere(&source).map_err(|reason| parameters.fault(key, reason))
}

/// Whether a node is a list, for lists that may be empty.
pub(super) fn as_items(node: &Node) -> Option<&[Node]> {
    match &node.kind {
        Kind::Null => Some(&[]),
        Kind::List(items) => Some(items),
        Kind::Bool(_) | Kind::Int(_) | Kind::Float(_) | Kind::Str(_) | Kind::Map(_) => None,
    }
}
