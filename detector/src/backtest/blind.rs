//! Blind rules: deployed, and seeing nothing, because no event of their logsource came or because events lack a field they
//! cannot do without.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use block::{Block, DecodeError};
use serde::Serialize;
use sigma::ast::{Expr, Op, Subject};
use sigma::{Catalog, LogSource, Rule, RuleSet, Scratch};
use storage::Store;

use super::blocks::Span;
use super::content::Deployed;

/// A rule that sees nothing, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Blind {
    /// The rule.
    pub id: String,
    /// Its title.
    pub title: String,
    /// `product/category/service`, parts that are not given left out.
    pub logsource: String,
    /// In words.
    pub reason: String,
}

/// Names of the fields of events, by logsource.
type Seen = BTreeMap<usize, BTreeSet<String>>;

/// The blind ones among the deployed rules, over the latest events of a span. Also how many events were looked at.
///
/// # Errors
/// When the deployed pipelines cannot be used, or the database is away.
pub async fn find(
    store: &Store,
    deployed: &Deployed,
    span: &Span,
    max_events: u64,
) -> anyhow::Result<(Vec<Blind>, u64)> {
    let catalog = deployed.catalog()?;
    let mut logsources: Vec<LogSource> = Vec::new();
    for rule in &deployed.rules {
        if !logsources.contains(&rule.logsource) {
            logsources.push(rule.logsource.clone());
        }
    }
    let gates: Vec<Rule> = logsources
        .iter()
        .enumerate()
        .filter_map(|(number, logsource)| gate(number, logsource))
        .collect();
    let gates = Arc::new(RuleSet::compile_with(gates, &catalog, &[]).0);
    let work = {
        let gates = gates.clone();
        move |block: &Block<'_>, span: &Span| -> Result<(u64, Seen), DecodeError> {
            let mut events = block.events()?;
            events.retain(|event| span.holds(event.timestamp));
            let (mut scratch, mut hits, mut seen) = (Scratch::new(), Vec::new(), Seen::new());
            for event in &events {
                hits.clear();
                gates.evaluate(event, &mut scratch, &mut hits);
                for hit in &hits {
                    let names = seen.entry(*hit).or_default();
                    for (name, _) in event.fields.iter() {
                        if !names.contains(name) {
                            names.insert(name.to_owned());
                        }
                    }
                }
            }
            Ok((events.len() as u64, seen))
        }
    };
    let (mut events, mut all) = (0, Seen::new());
    let take = |(count, seen): (u64, Seen)| {
        events += count;
        for (gate, names) in seen {
            all.entry(gate).or_default().extend(names);
        }
        events < max_events
    };
    span.read(store, 1, work, take).await?;
    let fields_of: BTreeMap<usize, &BTreeSet<String>> = all
        .iter()
        .filter_map(|(position, names)| {
            let number = gates.rules().get(*position)?.id.parse().ok()?;
            Some((number, names))
        })
        .collect();
    let mut blind = Vec::new();
    for rule in &deployed.rules {
        let number = logsources.iter().position(|logsource| *logsource == rule.logsource);
        let names = number.and_then(|number| fields_of.get(&number));
        if let Some(reason) = reason(rule, names.copied(), &catalog) {
            blind.push(Blind {
                id: rule.id.clone(),
                title: rule.title.clone(),
                logsource: shown(&rule.logsource),
                reason,
            });
        }
    }
    Ok((blind, events))
}

/// A rule that matches every event of a logsource.
fn gate(number: usize, logsource: &LogSource) -> Option<Rule> {
    let yaml = serde_json::json!({
        "id": number.to_string(),
        "title": "gate",
        "logsource": {
            "category": logsource.category, "product": logsource.product, "service": logsource.service,
        },
        "detection": { "selection": { "@timestamp|exists": true }, "condition": "selection" },
    });
    sigma::parse_rules("gate", &yaml.to_string()).into_iter().next()?.ok()
}

fn shown(logsource: &LogSource) -> String {
    let parts = [&logsource.product, &logsource.category, &logsource.service];
    let parts: Vec<&str> = parts.into_iter().flatten().map(String::as_str).collect();
    parts.join("/")
}

fn reason(rule: &Rule, names: Option<&BTreeSet<String>>, catalog: &Catalog) -> Option<String> {
    let Some(names) = names else {
        return Some("no event of its logsource came".to_owned());
    };
    let detection = catalog.resolve(rule).ok()?.detection;
    if can(&detection, true, names) {
        return None;
    }
    let mut absent = BTreeSet::new();
    collect_absent(&detection, names, &mut absent);
    let absent: Vec<String> = absent.into_iter().take(5).collect();
    Some(format!("no event of its logsource has {}", absent.join(", ")))
}

fn is_seen(names: &BTreeSet<String>, field: &sigma::ast::Field) -> bool {
    let bare = |name: &str| name.replace(' ', "");
    if &*field.name == "@timestamp" {
        return true;
    }
    std::iter::once(&field.name)
        .chain(field.others.iter())
        .any(|name| names.contains(&**name) || names.iter().any(|seen| seen.contains(' ') && bare(seen) == bare(name)))
}

/// Whether the expression can have this truth for some event with these fields.
fn can(expr: &Expr, wanted: bool, names: &BTreeSet<String>) -> bool {
    match expr {
        Expr::Not(inner) => can(inner, !wanted, names),
        Expr::And(terms) if wanted => terms.iter().all(|term| can(term, true, names)),
        Expr::And(terms) => terms.iter().any(|term| can(term, false, names)),
        Expr::Or(terms) if wanted => terms.iter().any(|term| can(term, true, names)),
        Expr::Or(terms) => terms.iter().all(|term| can(term, false, names)),
        Expr::AtLeast(count, terms) if wanted => terms.iter().filter(|term| can(term, true, names)).count() >= *count,
        Expr::AtLeast(count, terms) => terms.iter().filter(|term| !can(term, false, names)).count() < *count,
        Expr::Test(test) => match &test.subject {
            Subject::Field(field) if !is_seen(names, field) => (test.op == Op::Null) == wanted,
            Subject::Field(_) | Subject::Any => true,
        },
    }
}

fn collect_absent(expr: &Expr, names: &BTreeSet<String>, absent: &mut BTreeSet<String>) {
    match expr {
        Expr::And(terms) | Expr::Or(terms) | Expr::AtLeast(_, terms) => {
            for term in terms {
                collect_absent(term, names, absent);
            }
        }
        // What must not be there keeps nothing from matching.
        Expr::Not(_) => {}
        Expr::Test(test) => {
            if let Subject::Field(field) = &test.subject
                && test.op != Op::Null
                && !is_seen(names, field)
            {
                absent.insert(field.name.to_string());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(detection: &str) -> Rule {
        let yaml = format!("title: T\nid: r\nlogsource: {{product: linux}}\ndetection: {detection}\n");
        sigma::parse_rules("r.yml", &yaml).remove(0).unwrap()
    }

    #[test]
    fn a_rule_is_blind_when_a_field_it_needs_never_comes() {
        let names: BTreeSet<String> = ["a", "b c"].map(str::to_owned).into();
        let why = |detection: &str| reason(&rule(detection), Some(&names), Catalog::builtin());
        assert_eq!(why("{s: {a: 1}, condition: s}"), None);
        assert_eq!(why("{s: {bc: 1}, condition: s}"), None);
        assert_eq!(
            why("{s: {a: 1, x: 2}, condition: s}").unwrap(),
            "no event of its logsource has x"
        );
        assert_eq!(why("{s: [{a: 1}, {x: 2}], condition: s}"), None);
        assert_eq!(why("{s: {a: 1}, f: {x: 2}, condition: s and not f}"), None);
        assert_eq!(why("{s: {a: 1}, f: {x: null}, condition: s and f}"), None);
        assert!(why("{s: {a: 1}, f: {x: null}, condition: s and not f}").is_some());
        assert_eq!(why("{k: [word], condition: k}"), None);
        assert!(reason(&rule("{s: {a: 1}, condition: s}"), None, Catalog::builtin()).is_some());
    }
}
