//! Which rules and correlations a correlation means, and in which order correlations depend on each other.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::correlation::compile::measured_fields;
use crate::correlation::definition::Correlation;
use crate::error::RuleError;
use crate::metadata::Metadata;
use crate::rule::Rule;

/// What a reference means: the position of a rule, or of a correlation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Target {
    Rule(usize),
    Correlation(usize),
}

/// Correlations in an order in which each comes after those it is over, with what their references mean.
pub(crate) type Resolved = Vec<(Correlation, Vec<Target>)>;

pub(crate) fn resolve(correlations: Vec<Correlation>, rules: &[Rule]) -> (Resolved, Vec<RuleError>) {
    let mut errors = Vec::new();
    let correlations = with_own_ids(correlations, rules, &mut errors);
    let mut names: HashMap<&str, Vec<Target>> = HashMap::new();
    let rule_names = rules
        .iter()
        .enumerate()
        .map(|(position, rule)| (&*rule.metadata, Target::Rule(position)));
    let correlation_names = correlations
        .iter()
        .enumerate()
        .map(|(position, correlation)| (&correlation.metadata, Target::Correlation(position)));
    for (metadata, target) in rule_names.chain(correlation_names) {
        names.entry(&metadata.id).or_default().push(target);
        if let Some(name) = metadata.name.as_deref().filter(|name| *name != metadata.id) {
            names.entry(name).or_default().push(target);
        }
    }
    let mut targets: BTreeMap<usize, Vec<Target>> = BTreeMap::new();
    for (position, correlation) in correlations.iter().enumerate() {
        match find_targets(correlation, &names) {
            Ok(found) => {
                targets.insert(position, found);
            }
            Err(reason) => errors.push(correlation.refusal("correlation.rules", reason)),
        }
    }
    let order = order(&correlations, &mut targets, &mut errors);
    let mut places: HashMap<usize, usize> = HashMap::new();
    let mut by_position: BTreeMap<usize, Correlation> = correlations.into_iter().enumerate().collect();
    let mut resolved: Resolved = Vec::with_capacity(order.len());
    for position in order {
        let (Some(correlation), Some(found)) = (by_position.remove(&position), targets.remove(&position)) else {
            continue;
        };
        let moved: Option<Vec<Target>> = found
            .into_iter()
            .map(|target| match target {
                Target::Rule(_) => Some(target),
                Target::Correlation(inner) => places.get(&inner).copied().map(Target::Correlation),
            })
            .collect();
        let checked = moved
            .ok_or_else(|| ("correlation.rules", "expected correlations that can be used".to_owned()))
            .and_then(|moved| check_fields(&correlation, &moved, rules, &resolved).map(|()| moved));
        match checked {
            Ok(moved) => {
                places.insert(position, resolved.len());
                resolved.push((correlation, moved));
            }
            Err((field, reason)) => errors.push(correlation.refusal(field, reason)),
        }
    }
    (resolved, errors)
}

fn with_own_ids(correlations: Vec<Correlation>, rules: &[Rule], errors: &mut Vec<RuleError>) -> Vec<Correlation> {
    let mut ids: BTreeSet<String> = rules.iter().map(|rule| rule.metadata.id.clone()).collect();
    let mut kept = Vec::with_capacity(correlations.len());
    for correlation in correlations {
        if ids.insert(correlation.metadata.id.clone()) {
            kept.push(correlation);
        } else {
            let reason = format!("expected an id of its own, got {} again", correlation.metadata.id);
            errors.push(correlation.refusal("id", reason));
        }
    }
    kept
}

fn find_targets(correlation: &Correlation, names: &HashMap<&str, Vec<Target>>) -> Result<Vec<Target>, String> {
    let mut found = Vec::with_capacity(correlation.rules.len());
    for reference in &correlation.rules {
        match names.get(reference.as_str()).map_or(&[][..], Vec::as_slice) {
            [target] if found.contains(target) => {
                return Err(format!(
                    "expected each rule once, got `{reference}` as a second name of one"
                ));
            }
            [target] => found.push(*target),
            [] => {
                return Err(format!(
                    "expected ids or names of rules or correlations, got `{reference}`, which none in use has"
                ));
            }
            several => {
                return Err(format!(
                    "expected an id or a name that one rule has, got `{reference}`, which {} have",
                    several.len()
                ));
            }
        }
    }
    Ok(found)
}

/// Positions of correlations, inner ones first. Those in a cycle or over one are refused, and so are those over a
/// refused one.
fn order(
    correlations: &[Correlation],
    targets: &mut BTreeMap<usize, Vec<Target>>,
    errors: &mut Vec<RuleError>,
) -> Vec<usize> {
    let mut order = Vec::new();
    let mut done = BTreeSet::new();
    loop {
        let ready: Vec<usize> = targets
            .iter()
            .filter(|(position, found)| {
                !done.contains(*position)
                    && found.iter().all(|target| match target {
                        Target::Rule(_) => true,
                        Target::Correlation(inner) => done.contains(inner),
                    })
            })
            .map(|(position, _)| *position)
            .collect();
        if ready.is_empty() {
            break;
        }
        done.extend(ready.iter().copied());
        order.extend(ready);
    }
    let stuck: Vec<usize> = targets
        .keys()
        .copied()
        .filter(|position| !done.contains(position))
        .collect();
    for position in stuck {
        let Some(correlation) = correlations.get(position) else {
            continue;
        };
        let in_cycle = reaches(position, position, targets);
        let reason = if in_cycle {
            "expected no correlation over itself, directly or by way of others"
        } else {
            "expected correlations that can be used, got one that was refused"
        };
        errors.push(correlation.refusal("correlation.rules", reason));
    }
    order
}

fn reaches(from: usize, goal: usize, targets: &BTreeMap<usize, Vec<Target>>) -> bool {
    let (mut pending, mut seen) = (vec![from], BTreeSet::new());
    while let Some(position) = pending.pop() {
        for target in targets.get(&position).into_iter().flatten() {
            if let Target::Correlation(inner) = target {
                if *inner == goal {
                    return true;
                }
                if seen.insert(*inner) {
                    pending.push(*inner);
                }
            }
        }
    }
    false
}

/// The field a correlation's name stands for in what a rule or an inner correlation found.
pub(crate) fn aliased<'c>(correlation: &'c Correlation, name: &'c str, of: &Metadata) -> &'c str {
    let by_rule = correlation.aliases.get(name);
    by_rule
        .and_then(|fields| fields.iter().find(|(reference, _)| of.is_meant_by(reference)))
        .map_or(name, |(_, field)| field.as_str())
}

fn check_fields(
    correlation: &Correlation,
    targets: &[Target],
    rules: &[Rule],
    resolved: &Resolved,
) -> Result<(), (&'static str, String)> {
    for (alias, fields) in &correlation.aliases {
        for reference in fields.keys() {
            let known = targets.iter().any(|target| match target {
                Target::Rule(rule) => rules.get(*rule).is_some_and(|rule| rule.is_meant_by(reference)),
                Target::Correlation(inner) => resolved
                    .get(*inner)
                    .is_some_and(|(inner, _)| inner.is_meant_by(reference)),
            });
            if !known {
                let reason = format!("expected rules of this correlation, got `{reference}` in alias `{alias}`");
                return Err(("correlation.aliases", reason));
            }
        }
    }
    for target in targets {
        let Target::Correlation(inner) = target else { continue };
        let Some((inner, _)) = resolved.get(*inner) else {
            continue;
        };
        let lists = [
            ("correlation.group-by", correlation.group_by.as_slice()),
            ("correlation.condition.field", measured_fields(correlation)),
        ];
        for (place, names) in lists {
            for name in names {
                let field = aliased(correlation, name, &inner.metadata);
                if !inner.group_by.iter().any(|known| known == field) {
                    let reason = format!(
                        "expected fields that `{}` groups by, as its alerts have no others, got `{field}`",
                        inner.title
                    );
                    return Err((place, reason));
                }
            }
        }
    }
    Ok(())
}
