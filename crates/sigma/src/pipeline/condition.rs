//! When a step of a pipeline is applied.

use std::sync::Arc;

use regex::Regex;

use super::parameters::{Parameters, texts};
use super::{MAX_LIST, regexes};
use crate::ast::Number;
use crate::error::Fault;
use crate::logic::{self, Language, Tokens};
use crate::rule::LogSource;
use crate::yaml::{Kind, Node};

/// Several conditions combined.
#[derive(Clone, Debug)]
pub(super) struct Conditions<C> {
    terms: Vec<C>,
    logic: Logic,
    negated: bool,
}

#[derive(Clone, Debug)]
enum Logic {
    Term(usize),
    Not(Box<Logic>),
    All(Vec<Logic>),
    Any(Vec<Logic>),
}

impl<C> Conditions<C> {
    /// Whether they hold; true when there are none.
    pub(super) fn hold(&self, mut test: impl FnMut(&C) -> bool) -> bool {
        self.terms.is_empty() || self.logic(&self.logic, &mut test) != self.negated
    }

    fn logic(&self, logic: &Logic, test: &mut impl FnMut(&C) -> bool) -> bool {
        match logic {
            Logic::Term(position) => self.terms.get(*position).is_some_and(&mut *test),
            Logic::Not(inner) => !self.logic(inner, test),
            Logic::All(terms) => terms.iter().all(|term| self.logic(term, test)),
            Logic::Any(terms) => terms.iter().any(|term| self.logic(term, test)),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.terms.is_empty()
    }
}

/// The keys of one kind of conditions.
pub(super) struct Keys {
    pub(super) conditions: &'static str,
    pub(super) operator: &'static str,
    pub(super) negation: &'static str,
    pub(super) expression: &'static str,
}

pub(super) const RULE: Keys = Keys {
    conditions: "rule_conditions",
    operator: "rule_cond_op",
    negation: "rule_cond_not",
    expression: "rule_cond_expr",
};
pub(super) const ITEM: Keys = Keys {
    conditions: "detection_item_conditions",
    operator: "detection_item_cond_op",
    negation: "detection_item_cond_not",
    expression: "detection_item_cond_expr",
};
pub(super) const FIELD: Keys = Keys {
    conditions: "field_name_conditions",
    operator: "field_name_cond_op",
    negation: "field_name_cond_not",
    expression: "field_name_cond_expr",
};

/// Reads the conditions of one kind.
pub(super) fn read<C>(
    parameters: &Parameters<'_>,
    keys: &Keys,
    one: impl Fn(&str, &Parameters<'_>) -> Result<C, Fault>,
) -> Result<Conditions<C>, Fault> {
    let path = parameters.path(keys.conditions);
    let mut names = Vec::new();
    let mut terms = Vec::new();
    let mut add = |name: String, node: &Node| -> Result<(), Fault> {
        let inner = Parameters::of(node, format!("{path}.{name}"))?;
        let kind = inner.required_text("type")?;
        terms.push(one(&kind, &inner)?);
        inner.done()?;
        names.push(name);
        Ok(())
    };
    if let Some(node) = parameters.get(keys.conditions) {
        match &node.kind {
            Kind::List(items) if items.len() <= MAX_LIST => {
                for (position, item) in items.iter().enumerate() {
                    add((position + 1).to_string(), item)?;
                }
            }
            Kind::Map(entries) if entries.len() <= MAX_LIST => {
                for (name, item) in entries {
                    add(name.clone(), item)?;
                }
            }
            Kind::Null
            | Kind::Bool(_)
            | Kind::Int(_)
            | Kind::Float(_)
            | Kind::Str(_)
            | Kind::List(_)
            | Kind::Map(_) => {
                let reason = format!("expected a list or map of at most {MAX_LIST} conditions");
                return Err(parameters.fault(keys.conditions, reason));
            }
        }
    }
    let any = parameters.word(keys.operator, &["and", "or"])? == 1;
    let all: Vec<Logic> = (0..terms.len()).map(Logic::Term).collect();
    let logic = match parameters.text(keys.expression)? {
        None if any => Logic::Any(all),
        None => Logic::All(all),
        Some(_) if parameters.get(keys.operator).is_some() => {
            let reason = format!("expected either this or {}", keys.operator);
            return Err(parameters.fault(keys.expression, reason));
        }
        Some(text) => {
            let reason = |reason| parameters.fault(keys.expression, reason);
            expression(&text, &names).map_err(reason)?
        }
    };
    Ok(Conditions {
        terms,
        logic,
        negated: parameters.bool(keys.negation)?,
    })
}

/// Parses `*_cond_expr`: names of conditions, `not`, `and`, `or` and parentheses.
fn expression(text: &str, names: &[String]) -> Result<Logic, String> {
    let mut expression = Expression {
        names,
        used: Vec::new(),
    };
    let parsed = logic::parse(text, &mut expression)?;
    let unused = (0..names.len()).find(|position| !expression.used.contains(position));
    match unused.and_then(|position| names.get(position)) {
        Some(name) => Err(format!("expected every condition to be used, `{name}` is not")),
        None => Ok(parsed),
    }
}

struct Expression<'a> {
    names: &'a [String],
    used: Vec<usize>,
}

impl Language for Expression<'_> {
    type Expr = Logic;

    const WORD: &'static str = "the name of a condition";
    const MAX_DEPTH: usize = 32;

    fn word<'t>(&mut self, word: &'t str, _rest: &mut Tokens<'t>) -> Result<Logic, String> {
        let position = self.names.iter().position(|name| name == word);
        let position = position.ok_or_else(|| format!("expected the name of a condition, got {word}"))?;
        self.used.push(position);
        Ok(Logic::Term(position))
    }

    fn all(terms: Vec<Logic>) -> Logic {
        Logic::All(terms)
    }

    fn any(terms: Vec<Logic>) -> Logic {
        Logic::Any(terms)
    }

    fn not(inner: Logic) -> Logic {
        Logic::Not(Box::new(inner))
    }
}

/// How a value relates to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operator {
    Eq,
    Ne,
    Gte,
    Gt,
    Lte,
    Lt,
    In,
    NotIn,
}

const OPERATORS: [(&str, Operator); 8] = [
    ("eq", Operator::Eq),
    ("ne", Operator::Ne),
    ("gte", Operator::Gte),
    ("gt", Operator::Gt),
    ("lte", Operator::Lte),
    ("lt", Operator::Lt),
    ("in", Operator::In),
    ("not_in", Operator::NotIn),
];

impl Operator {
    fn read(parameters: &Parameters<'_>) -> Result<Self, Fault> {
        let position = parameters.word("op", &OPERATORS.map(|(word, _)| word))?;
        Ok(OPERATORS.get(position).map_or(Self::Eq, |(_, operator)| *operator))
    }

    /// Whether two values in that order relate.
    pub(super) fn holds(self, order: Option<std::cmp::Ordering>) -> bool {
        match (self, order) {
            (Self::Eq, order) => order.is_some_and(std::cmp::Ordering::is_eq),
            (Self::Ne, order) => !order.is_some_and(std::cmp::Ordering::is_eq),
            (Self::Gte, Some(order)) => order.is_ge(),
            (Self::Gt, Some(order)) => order.is_gt(),
            (Self::Lte, Some(order)) => order.is_le(),
            (Self::Lt, Some(order)) => order.is_lt(),
            (Self::Gte | Self::Gt | Self::Lte | Self::Lt, None) | (Self::In | Self::NotIn, _) => false,
        }
    }
}

/// A scalar, compared as a number when both sides are numbers and as text otherwise.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Scalar {
    Null,
    Bool(bool),
    Number(Number),
    Text(String),
}

impl Scalar {
    pub(super) fn read(node: &Node) -> Option<Self> {
        match &node.kind {
            Kind::Null => Some(Self::Null),
            Kind::Bool(value) => Some(Self::Bool(*value)),
            Kind::Int(number) => Some(Self::Number(Number::Int(*number))),
            Kind::Float(number) => Some(Self::Number(Number::Float(*number))),
            Kind::Str(text) => Some(Self::Text(text.clone())),
            Kind::List(_) | Kind::Map(_) => None,
        }
    }

    pub(super) fn text(&self) -> String {
        match self {
            Self::Null => "null".to_owned(),
            Self::Bool(value) => value.to_string(),
            Self::Number(Number::Int(number)) => number.to_string(),
            Self::Number(Number::Float(number)) => number.to_string(),
            Self::Text(text) => text.clone(),
        }
    }

    pub(super) fn compare(&self, other: &Self) -> Option<std::cmp::Ordering> {
        match (self, other) {
            (Self::Number(left), Self::Number(right)) => left.partial_cmp(right),
            (Self::Bool(left), Self::Bool(right)) => Some(left.cmp(right)),
            (Self::Null, Self::Null) => Some(std::cmp::Ordering::Equal),
            (Self::Text(left), Self::Text(right)) => Some(left.cmp(right)),
            _ => None,
        }
    }
}

/// A condition on what a transformation noted earlier.
#[derive(Clone, Debug)]
pub(super) struct StateCondition {
    pub(super) key: String,
    pub(super) value: Scalar,
    pub(super) operator: Operator,
}

impl StateCondition {
    fn read(parameters: &Parameters<'_>) -> Result<Self, Fault> {
        let node = parameters.required("val", "a value")?;
        Ok(Self {
            key: parameters.required_text("key")?,
            value: Scalar::read(node).ok_or_else(|| parameters.fault("val", "expected a scalar"))?,
            operator: Operator::read(parameters)?,
        })
    }
}

/// A condition on a rule.
#[derive(Clone, Debug)]
pub(super) enum RuleCondition {
    LogSource(LogSource),
    ContainsField(String),
    ContainsItem {
        field: String,
        value: Scalar,
    },
    Applied(Arc<str>),
    State(StateCondition),
    IsRule(bool),
    Attribute {
        name: String,
        value: Scalar,
        operator: Operator,
    },
    Tag(String),
}

impl RuleCondition {
    pub(super) fn read(kind: &str, parameters: &Parameters<'_>) -> Result<Self, Fault> {
        Ok(match kind {
            "logsource" => Self::LogSource(logsource(parameters)?),
            "contains_field" => Self::ContainsField(parameters.required_text("field")?),
            "contains_detection_item" => Self::ContainsItem {
                field: parameters.required_text("field")?,
                value: scalar(parameters, "value")?,
            },
            "processing_item_applied" => Self::Applied(parameters.required_text("processing_item_id")?.into()),
            "processing_state" => Self::State(StateCondition::read(parameters)?),
            "is_sigma_rule" => Self::IsRule(true),
            "is_sigma_correlation_rule" => Self::IsRule(false),
            "rule_attribute" => Self::Attribute {
                name: parameters.required_text("attribute")?,
                value: scalar(parameters, "value")?,
                operator: Operator::read(parameters)?,
            },
            "tag" => Self::Tag(parameters.required_text("tag")?),
            _ => {
                return Err(unknown(
                    parameters,
                    kind,
                    "logsource, contains_field, contains_detection_item, processing_item_applied, processing_state, \
                     is_sigma_rule, is_sigma_correlation_rule, rule_attribute, tag",
                ));
            }
        })
    }
}

/// A condition on an item of a rule.
#[derive(Clone, Debug)]
pub(super) enum ItemCondition {
    MatchString { pattern: Regex, all: bool, negated: bool },
    MatchValue { value: Scalar, all: bool },
    ContainsWildcard { all: bool },
    IsNull { all: bool },
    Applied(Arc<str>),
    State(StateCondition),
}

impl ItemCondition {
    pub(super) fn read(kind: &str, parameters: &Parameters<'_>) -> Result<Self, Fault> {
        let all = || Ok::<_, Fault>(parameters.word("cond", &["any", "all"])? == 1);
        Ok(match kind {
            "match_string" => {
                let source = parameters.required_text("pattern")?;
                Self::MatchString {
                    pattern: regexes::at_start(&source).map_err(|reason| parameters.fault("pattern", reason))?,
                    all: all()?,
                    negated: parameters.bool("negate")?,
                }
            }
            "match_value" => Self::MatchValue {
                value: scalar(parameters, "value")?,
                all: all()?,
            },
            "contains_wildcard" => Self::ContainsWildcard { all: all()? },
            "is_null" => Self::IsNull { all: all()? },
            "processing_item_applied" => Self::Applied(parameters.required_text("processing_item_id")?.into()),
            "processing_state" => Self::State(StateCondition::read(parameters)?),
            _ => {
                return Err(unknown(
                    parameters,
                    kind,
                    "match_string, match_value, contains_wildcard, is_null, processing_item_applied, processing_state",
                ));
            }
        })
    }
}

/// A condition on the name of a field.
#[derive(Clone, Debug)]
pub(super) enum FieldCondition {
    Names { names: Vec<String>, included: bool },
    Patterns { patterns: Vec<Regex>, included: bool },
    Applied(Arc<str>),
    State(StateCondition),
}

impl FieldCondition {
    pub(super) fn read(kind: &str, parameters: &Parameters<'_>) -> Result<Self, Fault> {
        let included = match kind {
            "include_fields" => true,
            "exclude_fields" => false,
            "processing_item_applied" => {
                return Ok(Self::Applied(parameters.required_text("processing_item_id")?.into()));
            }
            "processing_state" => return Ok(Self::State(StateCondition::read(parameters)?)),
            _ => {
                let known = "include_fields, exclude_fields, processing_item_applied, processing_state";
                return Err(unknown(parameters, kind, known));
            }
        };
        let names = texts(
            parameters.required("fields", "a list of names")?,
            &parameters.path("fields"),
        )?;
        if parameters.word("mode", &["plain", "re"])? == 0 {
            return Ok(Self::Names { names, included });
        }
        let patterns = names
            .iter()
            .map(|source| regexes::at_start(source).map_err(|reason| parameters.fault("fields", reason)))
            .collect::<Result<_, _>>()?;
        Ok(Self::Patterns { patterns, included })
    }

    /// Whether it holds for a name; keywords have none. `None` when it is about something else.
    pub(super) fn of_name(&self, name: Option<&str>) -> Option<bool> {
        match self {
            Self::Names { names, included } => {
                Some(name.is_some_and(|name| names.iter().any(|known| known == name)) == *included)
            }
            Self::Patterns { patterns, included } => {
                Some(name.is_some_and(|name| patterns.iter().any(|pattern| pattern.is_match(name))) == *included)
            }
            Self::Applied(_) | Self::State(_) => None,
        }
    }
}

/// Category, product and service from the keys of a map.
pub(super) fn logsource(parameters: &Parameters<'_>) -> Result<LogSource, Fault> {
    let part = |key| Ok::<_, Fault>(parameters.text(key)?.map(|text| text.to_ascii_lowercase()));
    Ok(LogSource {
        category: part("category")?,
        product: part("product")?,
        service: part("service")?,
        ..LogSource::default()
    })
}

fn scalar(parameters: &Parameters<'_>, key: &'static str) -> Result<Scalar, Fault> {
    let node = parameters.get_or_null(key);
    node.and_then(Scalar::read)
        .ok_or_else(|| parameters.fault(key, "expected a scalar"))
}

fn unknown(parameters: &Parameters<'_>, kind: &str, known: &str) -> Fault {
    parameters.fault("type", format!("expected one of {known}, got `{kind}`"))
}
