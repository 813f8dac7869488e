//! A rule as it is written: named searches of items with values, and the condition over names. Compiled rules have
//! forgotten the names, so this is what the catalog compiles them from.

use crate::ast::Expr;
use crate::detection::{self, Body, Tree};
use crate::error::Fault;
use crate::logsource::Catalog;
use crate::rule::Rule;

/// Most alternatives of a search that are told apart.
const MAX_ALTERNATIVES: usize = 256;

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

#[derive(Clone)]
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
        let applied = catalog.apply(rule);
        let detection = applied
            .map_err(|error| Fault::new(0, error.field, error.reason))?
            .detection;
        if detection.searches.is_empty() || detection.conditions.is_empty() {
            return Ok(None);
        }
        let searches = detection
            .searches
            .iter()
            .map(|search| {
                Ok(Search {
                    name: search.name.clone(),
                    line: search.line,
                    alternatives: alternatives(&search.body)
                        .map_err(|reason| Fault::new(search.line, format!("detection.{}", search.name), reason))?,
                })
            })
            .collect::<Result<_, Fault>>()?;
        let mut parsed: Vec<Condition> = detection
            .conditions
            .iter()
            .map(|given| condition(&given.tree))
            .collect();
        let condition = if parsed.len() == 1 {
            parsed.remove(0)
        } else {
            Condition::Any(parsed)
        };
        Ok(Some(Self {
            texts: detection.conditions.into_iter().map(|given| given.text).collect(),
            condition,
            searches,
        }))
    }
}

fn condition(tree: &Tree) -> Condition {
    let all = |terms: &[Tree]| terms.iter().map(condition).collect();
    match tree {
        Tree::All(terms) => Condition::All(all(terms)),
        Tree::Any(terms) => Condition::Any(all(terms)),
        Tree::AtLeast(count, terms) => Condition::AtLeast(*count, all(terms)),
        Tree::Not(term) => Condition::Not(Box::new(condition(term))),
        Tree::Search(position) => Condition::Search(*position),
    }
}

/// The body as alternatives of items that all hold. A pipeline can put alternatives among items.
fn alternatives(body: &Body) -> Result<Vec<Vec<Item>>, String> {
    match body {
        Body::Item(given) => Ok(vec![vec![item(given)?]]),
        Body::Any(terms) => {
            let mut all = Vec::new();
            for term in terms {
                all.extend(alternatives(term)?);
            }
            Ok(all)
        }
        Body::All(terms) => {
            let mut all: Vec<Vec<Item>> = vec![Vec::new()];
            for term in terms {
                let others = alternatives(term)?;
                if all.len().saturating_mul(others.len()) > MAX_ALTERNATIVES {
                    return Err(format!("expected a search of at most {MAX_ALTERNATIVES} alternatives"));
                }
                let joined = |items: &Vec<Item>| {
                    let join = |other: &Vec<Item>| items.iter().chain(other).cloned().collect();
                    others.iter().map(join).collect::<Vec<Vec<Item>>>()
                };
                all = all.iter().flat_map(joined).collect();
            }
            Ok(all)
        }
    }
}

fn item(given: &detection::Item) -> Result<Item, String> {
    let subject = given.subject();
    Ok(Item {
        key: given.key.clone(),
        field: given.field_name().map(str::to_owned),
        modifiers: given.modifiers().map(str::to_owned).collect(),
        line: given.line,
        all: given.all,
        negated: given.negated,
        values: given
            .values
            .iter()
            .map(|value| Ok((value.written.to_json(), value.expr(&subject)?)))
            .collect::<Result<_, String>>()?,
    })
}
