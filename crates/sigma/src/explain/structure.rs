//! A rule as it is written: named searches of items with values, and the condition over names. Compiled rules have
//! forgotten the names, so the text is read again, by the same parts.

use crate::ast::{Expr, Field, Op, Subject, Test};
use crate::condition::{self, Searches};
use crate::error::{Fault, RuleError};
use crate::logsource::Catalog;
use crate::modifier::Modifiers;
use crate::rule::Rule;
use crate::value;
use crate::yaml::{self, Kind, Node};

/// Stands before the position of a search where the condition parser expects its expression. No field begins so.
const MARK: &str = "\u{0}search ";

pub(super) struct Structure {
    /// Conditions as written.
    pub(super) texts: Vec<String>,
    pub(super) condition: Condition,
    pub(super) searches: Vec<Search>,
}

/// A condition over positions of searches.
pub(super) enum Condition {
    All(Vec<Condition>),
    Any(Vec<Condition>),
    AtLeast(usize, Vec<Condition>),
    Not(Box<Condition>),
    Search(usize),
}

pub(super) struct Search {
    pub(super) name: String,
    pub(super) line: usize,
    pub(super) alternatives: Vec<Vec<Item>>,
}

pub(super) struct Item {
    pub(super) key: String,
    pub(super) field: Option<String>,
    pub(super) modifiers: Vec<String>,
    pub(super) line: usize,
    pub(super) all: bool,
    pub(super) negated: bool,
    pub(super) values: Vec<(serde_json::Value, Expr)>,
}

impl Structure {
    /// With what the catalog makes of fields and values; `None` when the rule has no named searches.
    pub(super) fn of(rule: &Rule, catalog: &Catalog) -> Result<Option<Self>, Fault> {
        let root = yaml::parse(&rule.yaml)?;
        let Some(section) = member(&root, "detection").and_then(Node::as_map) else {
            return Ok(None);
        };
        let mut searches = Vec::new();
        let mut conditions = Vec::new();
        for (name, node) in section {
            match name.as_str() {
                "condition" => conditions = node.as_list().unwrap_or(std::slice::from_ref(node)).to_vec(),
                "timeframe" => {}
                _ => searches.push(search(name, node)?),
            }
        }
        let texts: Vec<String> = conditions.iter().filter_map(Node::scalar_text).collect();
        if searches.is_empty() || texts.is_empty() {
            return Ok(None);
        }
        resolve(&mut searches, rule, catalog)?;
        let marks = Searches(
            searches
                .iter()
                .enumerate()
                .map(|(position, search)| (search.name.clone(), mark(position), 1))
                .collect(),
        );
        let mut parsed = Vec::with_capacity(texts.len());
        for text in &texts {
            let expr = condition::parse(text, &marks).map_err(|reason| Fault::new(0, "detection.condition", reason))?;
            parsed.push(condition(&expr));
        }
        let condition = if parsed.len() == 1 {
            parsed.remove(0)
        } else {
            Condition::Any(parsed)
        };
        Ok(Some(Self {
            texts,
            condition,
            searches,
        }))
    }
}

/// Replaces the expression of every value by what the catalog makes of it.
fn resolve(searches: &mut [Search], rule: &Rule, catalog: &Catalog) -> Result<(), Fault> {
    let mut values: Vec<&mut Expr> = searches
        .iter_mut()
        .flat_map(|search| search.alternatives.iter_mut().flatten())
        .flat_map(|item| item.values.iter_mut().map(|(_, expr)| expr))
        .collect();
    let mut whole = rule.clone();
    whole.detection = Expr::Or(values.iter().map(|expr| (**expr).clone()).collect());
    let fault = |error: RuleError| Fault::new(0, error.field, error.reason);
    if let Expr::Or(resolved) = catalog.resolve(&whole).map_err(fault)?.detection
        && resolved.len() == values.len()
    {
        for (value, resolved) in values.iter_mut().zip(resolved) {
            **value = resolved;
        }
    }
    Ok(())
}

fn member<'a>(node: &'a Node, name: &str) -> Option<&'a Node> {
    let entries = node.as_map()?;
    entries.iter().find(|(key, _)| key == name).map(|(_, value)| value)
}

fn mark(position: usize) -> Expr {
    Expr::Test(Test {
        subject: Subject::Field(Field::named(&format!("{MARK}{position}"))),
        op: Op::Null,
    })
}

fn condition(expr: &Expr) -> Condition {
    let all = |terms: &[Expr]| terms.iter().map(condition).collect();
    match expr {
        Expr::And(terms) => Condition::All(all(terms)),
        Expr::Or(terms) => Condition::Any(all(terms)),
        Expr::AtLeast(count, terms) => Condition::AtLeast(*count, all(terms)),
        Expr::Not(term) => Condition::Not(Box::new(condition(term))),
        Expr::Test(test) => {
            let position = match &test.subject {
                Subject::Field(field) => field.name.strip_prefix(MARK).and_then(|digits| digits.parse().ok()),
                Subject::Any => None,
            };
            Condition::Search(position.unwrap_or(usize::MAX))
        }
    }
}

fn search(name: &str, node: &Node) -> Result<Search, Fault> {
    let path = format!("detection.{name}");
    let alternatives = match &node.kind {
        Kind::Map(entries) => vec![items(&path, entries)?],
        Kind::List(alternatives) => alternatives
            .iter()
            .map(|alternative| match alternative.as_map() {
                Some(entries) => items(&path, entries),
                None => Ok(vec![item(&path, "", alternative)?]),
            })
            .collect::<Result<_, _>>()?,
        Kind::Null | Kind::Bool(_) | Kind::Int(_) | Kind::Float(_) | Kind::Str(_) => vec![vec![item(&path, "", node)?]],
    };
    Ok(Search {
        name: name.to_owned(),
        line: node.line,
        alternatives,
    })
}

fn items(path: &str, entries: &[(String, Node)]) -> Result<Vec<Item>, Fault> {
    entries.iter().map(|(key, node)| item(path, key, node)).collect()
}

fn item(path: &str, key: &str, node: &Node) -> Result<Item, Fault> {
    let fault = |reason| Fault::new(node.line, format!("{path}.{key}"), reason);
    let mut parts = key.split('|');
    let field = parts.next().filter(|field| !field.is_empty()).map(str::to_owned);
    let names: Vec<String> = parts.map(str::to_owned).collect();
    let modifiers = Modifiers::parse(names.iter().map(String::as_str)).map_err(fault)?;
    let subject = field
        .as_deref()
        .map_or(Subject::Any, |name| Subject::Field(Field::named(name)));
    let given = node.as_list().unwrap_or(std::slice::from_ref(node));
    let values = given
        .iter()
        .map(|value| Ok((value.to_json(), value::compile(&subject, value, &modifiers)?)))
        .collect::<Result<_, String>>()
        .map_err(fault)?;
    Ok(Item {
        key: key.to_owned(),
        field,
        modifiers: names,
        line: node.line,
        all: modifiers.all,
        negated: modifiers.neq,
        values,
    })
}
