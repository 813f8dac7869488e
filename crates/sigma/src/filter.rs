//! Filters: events that rules must not see, written once for many rules.
//!
//! ```yaml
//! title: Administrators' accounts
//! logsource: {category: process_creation, product: windows}
//! filter:
//!   rules: [6f3e2987-db24-4c78-a860-b4f4095a7095, login_on_jump_host]   # ids or names; or the word `any`
//!   selection: {User|startswith: adm_}
//!   condition: selection
//! ```
//!
//! A rule that a filter names matches an event only if the filter's condition does not hold for it. A filter only
//! reaches rules of a compatible logsource: every part (category, product, service) the filter gives must be the
//! rule's. Of a rule the filter names, any other logsource is an error, as the filter would silently do nothing; with
//! `any` (or an empty list) it is how the rules are chosen. Several filters on one rule each take their events away.

use std::ops::Deref;

use crate::ast::Expr;
use crate::detection;
use crate::error::{Fault, RuleError};
use crate::logsource::{Catalog, Resolved};
use crate::metadata::{Entries, Metadata};
use crate::rule::{LogSource, Rule, logsource};
use crate::yaml::{self, Kind, Node};

/// Most rules one filter names.
const MAX_RULES: usize = 10_000;

/// One filter, parsed and checked.
#[derive(Clone, Debug)]
pub struct Filter {
    /// What it says about itself; also there as the filter's own fields.
    pub metadata: Metadata,
    /// Which rules it is for.
    pub rules: FilteredRules,
    /// The events it takes away: as a rule of its own, so that it goes through the same compiler.
    pub(crate) events: Rule,
}

/// Which rules a filter is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FilteredRules {
    /// Every rule of a compatible logsource.
    Any,
    /// These, by id or name.
    Named(Vec<String>),
}

impl Deref for Filter {
    type Target = Metadata;

    fn deref(&self) -> &Metadata {
        &self.metadata
    }
}

impl Filter {
    /// The kind of events it is about.
    #[must_use]
    pub fn logsource(&self) -> &LogSource {
        &self.events.logsource
    }

    fn names(&self, rule: &Rule) -> bool {
        match &self.rules {
            FilteredRules::Any => false,
            FilteredRules::Named(references) => references.iter().any(|reference| rule.is_meant_by(reference)),
        }
    }

    fn is_compatible(&self, rule: &Rule) -> bool {
        self.logsource().covers(&rule.logsource)
    }
}

/// The filters that are for this rule, with what holds of events they take away.
pub(crate) fn of_rule<'f>(
    filters: &'f [Filter],
    rule: &'f Rule,
    catalog: &'f Catalog,
) -> impl Iterator<Item = (&'f Filter, Result<Expr, RuleError>)> {
    let chosen = filters
        .iter()
        .filter(|filter| (filter.rules == FilteredRules::Any || filter.names(rule)) && filter.is_compatible(rule));
    chosen.map(|filter| {
        // Field names mean what they mean in the rule's logsource, which says more than the filter's.
        let events = Rule {
            logsource: rule.logsource.clone(),
            ..filter.events.clone()
        };
        (filter, catalog.resolve(&events).map(|resolved| resolved.detection))
    })
}

/// What must hold of an event beside the rule's own detection: that no filter takes it away. `None` when no filter is
/// for this rule.
///
/// # Errors
/// When a filter cannot be asked of this rule's events. The rule must then not be used: without its filter it would
/// match what it must not.
pub fn apply(filters: &[Filter], rule: &Rule, catalog: &Catalog) -> Result<Option<Expr>, RuleError> {
    let mut terms = Vec::new();
    for (_, events) in of_rule(filters, rule, catalog) {
        terms.push(Expr::Not(Box::new(events?)));
    }
    Ok(match terms.len() {
        0 => None,
        1 => terms.pop(),
        _ => Some(Expr::And(terms)),
    })
}

/// The rule as it is asked of events, filters included.
///
/// # Errors
/// When the catalog refuses the rule, or a filter cannot be asked of its events.
pub fn resolve(filters: &[Filter], rule: &Rule, catalog: &Catalog) -> Result<Resolved, RuleError> {
    let mut resolved = catalog.resolve(rule)?;
    if let Some(filter) = apply(filters, rule, catalog)? {
        resolved.detection = Expr::And(vec![resolved.detection, filter]);
    }
    Ok(resolved)
}

/// Filters that would silently do nothing, or not what they say: they name a rule that is not there, or one of another
/// logsource.
#[must_use]
pub fn check(filters: &[Filter], rules: &[Rule]) -> Vec<RuleError> {
    let mut errors = Vec::new();
    for filter in filters {
        let FilteredRules::Named(references) = &filter.rules else {
            continue;
        };
        for reference in references {
            let mut meant = rules.iter().filter(|rule| rule.is_meant_by(reference)).peekable();
            if meant.peek().is_none() {
                let reason = format!("expected ids or names of rules, got `{reference}`, which no rule has");
                errors.push(filter.refusal("filter.rules", reason));
            }
            for rule in meant.filter(|rule| !filter.is_compatible(rule)) {
                let reason = format!(
                    "expected rules of the filter's logsource, got `{reference}` ({})",
                    rule.title
                );
                errors.push(filter.refusal("filter.rules", reason));
            }
        }
    }
    errors
}

pub(crate) fn parse(path: &str, document: yaml::Document<'_>, top: &Entries<'_>) -> Result<Filter, Fault> {
    let metadata = top.metadata(path, document)?;
    let logsource = logsource(top)?;
    let section = top.get("filter").filter(|node| node.as_map().is_some());
    let Some((section, entries)) = section.and_then(|node| Some((node, node.as_map()?))) else {
        return Err(top.fault("filter", "expected a map of rules, searches and a condition"));
    };
    let rules = entries.iter().find(|(name, _)| name == "rules");
    let Some((_, rules)) = rules else {
        let reason = "expected ids or names of rules, or `any`, got nothing";
        return Err(Fault::of(section, "filter.rules", reason));
    };
    let searches = Node {
        kind: Kind::Map(entries.iter().filter(|(name, _)| name != "rules").cloned().collect()),
        ..section.clone()
    };
    let detection = detection::parse(&searches).map_err(|fault| Fault {
        field: fault.field.replacen("detection", "filter", 1),
        ..fault
    })?;
    Ok(Filter {
        rules: parse_rules(rules)?,
        events: Rule {
            metadata: metadata.clone().into(),
            logsource,
            detection: detection.into(),
        },
        metadata,
    })
}

fn parse_rules(node: &Node) -> Result<FilteredRules, Fault> {
    let fault = |reason: String| Fault::of(node, "filter.rules", reason);
    match &node.kind {
        Kind::Str(word) if word.eq_ignore_ascii_case("any") => Ok(FilteredRules::Any),
        Kind::Str(reference) if !reference.is_empty() => Ok(FilteredRules::Named(vec![reference.clone()])),
        Kind::List(items) if items.len() > MAX_RULES => Err(fault(format!("expected at most {MAX_RULES} rules"))),
        Kind::List(items) if items.is_empty() => Ok(FilteredRules::Any),
        Kind::List(items) => items
            .iter()
            .map(|item| match item.scalar_text() {
                Some(text) if !text.is_empty() => Ok(text),
                _ => Err(Fault::of(
                    item,
                    "filter.rules",
                    format!("expected the id or name of a rule, got {}", item.kind_name()),
                )),
            })
            .collect::<Result<_, _>>()
            .map(FilteredRules::Named),
        Kind::Null | Kind::Bool(_) | Kind::Int(_) | Kind::Float(_) | Kind::Str(_) | Kind::Map(_) => Err(fault(
            format!("expected ids or names of rules, or `any`, got {}", node.kind_name()),
        )),
    }
}
