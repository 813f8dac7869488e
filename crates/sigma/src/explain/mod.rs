//! Why a rule matches an event, or what is missing: the whole evaluation written down.
//!
//! [`explain`] asks every question of a rule, also those the engine would not need to ask, and keeps each answer with
//! what it was asked of: the field that was looked at, under which name, and its value. It is as slow as it is plain;
//! its verdict is the engine's (a property test holds the two together).

mod answer;
mod correlation;
mod explanation;
mod missing;
mod question;
mod structure;

use model::Event;

pub use correlation::{Contributed, CorrelationExplanation, explain_correlation};
pub use explanation::{
    Alternative, AppliedFilter, Explanation, Gate, Item, ItemValue, Missing, RuleName, Search, Seen, Step, TestAnswer,
};

use crate::ast::Expr;
use crate::error::{Fault, RuleError};
use crate::filter::{self, Filter};
use crate::logsource::Catalog;
use crate::rule::Rule;
use answer::Answers;
use structure::Structure;

/// Evaluates one rule on one event and says how it went.
///
/// # Errors
/// When the catalog refuses the rule, or its own text cannot be read again, which does not happen to a rule that was
/// parsed.
pub fn explain(rule: &Rule, catalog: &Catalog, event: &Event) -> Result<Explanation, RuleError> {
    explain_with(rule, catalog, &[], event)
}

/// The same for a rule that is used with filters; those that are not for it are left aside.
///
/// # Errors
/// As [`explain`], and when a filter cannot be asked of the rule's events.
pub fn explain_with(
    rule: &Rule,
    catalog: &Catalog,
    filters: &[Filter],
    event: &Event,
) -> Result<Explanation, RuleError> {
    let answers = Answers::new(event);
    let resolved = catalog.resolve(rule)?;
    let gate = gate(rule, &resolved.gate, &answers);
    let structure = Structure::of(rule, catalog).map_err(|fault: Fault| fault.at(&rule.path, 0))?;
    let (conditions, condition, searches) = match structure {
        Some(structure) => {
            let searches: Vec<Search> = structure.searches.iter().map(|search| answers.search(search)).collect();
            let condition = answers.condition(&structure.condition, &searches);
            (structure.texts, condition, searches)
        }
        None => (Vec::new(), answers.step(&resolved.detection), Vec::new()),
    };
    let detected = condition.holds();
    let mut missing = Vec::new();
    if !gate.passed {
        missing.push(missing::of_gate(rule, &gate));
    }
    if !detected {
        missing.extend(missing::of_condition(&condition, &searches));
    }
    let filters = filter::of_rule(filters, rule, catalog)
        .map(|(filter, events)| {
            let condition = answers.step(&events?);
            Ok(AppliedFilter {
                id: filter.id.clone(),
                title: filter.title.clone(),
                excludes: condition.holds(),
                condition,
            })
        })
        .collect::<Result<Vec<_>, RuleError>>()?;
    missing.extend(filters.iter().filter(|filter| filter.excludes).map(missing::of_filter));
    let is_excluded = filters.iter().any(|filter| filter.excludes);
    Ok(Explanation {
        rule: RuleName {
            id: rule.id.clone(),
            title: rule.title.clone(),
            level: rule.level.to_string(),
            revision: rule.revision.clone(),
        },
        matched: gate.passed && detected && !is_excluded,
        gate,
        detected,
        conditions,
        condition,
        searches,
        filters,
        missing,
    })
}

fn gate(rule: &Rule, expr: &Expr, answers: &Answers<'_>) -> Gate {
    let step = answers.step(expr);
    let passed = step.holds();
    let unmet = if passed { Vec::new() } else { missing::tests(&step) };
    Gate {
        passed,
        category: rule.logsource.category.clone(),
        product: rule.logsource.product.clone(),
        service: rule.logsource.service.clone(),
        unmet,
    }
}
