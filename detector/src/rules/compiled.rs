//! The content of all tenants, compiled and with what alerts say prepared.

use std::sync::Arc;

use model::alert::{AlertRule, Attack};
use model::exception::{Exception, Suppression};
use model::{Level, Tenant};
use rustc_hash::{FxHashMap, FxHashSet};
use sigma::correlation::Correlations;
use sigma::{Catalog, Correlation, Document, Filter, Metadata, Rule, RuleError, RuleSet};

use super::engine;
use super::exceptions::Exceptions;
use super::parsed::{Parsed, Pipeline, refusal};
use super::suppression::Folding;

/// Every tenant's content. Immutable: a change makes a new one.
#[derive(Debug, Default)]
pub(crate) struct Compiled {
    tenants: FxHashMap<Tenant, TenantRules>,
}

/// One tenant's content.
#[derive(Debug, Default)]
pub(crate) struct TenantRules {
    /// The rules.
    pub(crate) set: RuleSet,
    /// What is known of each, at the same positions.
    pub(crate) rules: Vec<InUse>,
    /// Sets of events that rules find.
    pub(crate) correlations: Correlations,
    /// What alerts of each say, at the same positions.
    pub(crate) correlation_headings: Vec<Heading>,
    /// What keeps rules from alerting.
    pub(crate) exceptions: Exceptions,
    /// What the rules were compiled with.
    basis: Basis,
}

/// What every rule depends on: while it stays as it is, rules can be exchanged one by one.
#[derive(Debug, Default, PartialEq)]
struct Basis {
    /// Ids and revisions.
    pipelines: Vec<(String, String)>,
    filters: Vec<(String, String)>,
}

/// What is known of a rule in use.
#[derive(Debug)]
pub(crate) struct InUse {
    /// What its alerts say.
    pub(crate) heading: Heading,
    /// How its alerts are folded into one.
    pub(crate) folding: Option<Folding>,
}

/// The part of an alert that depends on the rule alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Heading {
    pub(crate) rule: AlertRule,
    pub(crate) level: Level,
    pub(crate) attack: Attack,
}

impl Heading {
    pub(crate) fn of(metadata: &Metadata) -> Self {
        Self {
            rule: AlertRule {
                id: metadata.id.clone(),
                title: metadata.title.clone(),
                description: metadata.description.clone(),
                revision: metadata.revision.clone(),
                tags: metadata.tags.clone(),
            },
            level: metadata.level,
            attack: Attack::from_tags(&metadata.tags),
        }
    }
}

/// What is in MongoDB of one tenant, parsed.
#[derive(Debug, Default)]
pub(crate) struct Content {
    pub(crate) documents: Vec<Parsed>,
    pub(crate) exceptions: Vec<Exception>,
    pub(crate) suppressions: Vec<Suppression>,
}

/// Documents that are not in use, or not as a whole, by id.
pub(crate) type Problems = FxHashMap<String, RuleError>;

impl Compiled {
    pub(crate) fn new(tenants: FxHashMap<Tenant, TenantRules>) -> Self {
        Self { tenants }
    }

    /// How many rules and correlations are in use.
    pub(crate) fn len(&self) -> usize {
        self.tenants
            .values()
            .map(|rules| rules.set.len() + rules.correlations.all().len())
            .sum()
    }

    /// The content of a tenant; `None` when it has none.
    pub(crate) fn tenant(&self, tenant: &Tenant) -> Option<&TenantRules> {
        self.tenants.get(tenant)
    }
}

/// Content swapped by one task and read by all.
pub(crate) type Shared = Arc<arc_swap::ArcSwap<Compiled>>;

impl TenantRules {
    /// Compiles a tenant's content. What is not usable is left out and named by its id; the rest is not affected.
    ///
    /// Rules that are the same in `before` are not compiled again.
    pub(crate) fn compile(content: &Content, before: Option<&Self>) -> (Self, Problems) {
        let mut problems = Problems::default();
        let mut rules: Vec<Rule> = Vec::new();
        let mut filters: Vec<Filter> = Vec::new();
        let mut correlations: Vec<Correlation> = Vec::new();
        let mut pipelines: Vec<&Pipeline> = Vec::new();
        for parsed in &content.documents {
            match parsed {
                Parsed::Pipeline(pipeline) => pipelines.push(pipeline),
                Parsed::Document(document) => match &**document {
                    Document::Rule(rule) => rules.push(named_by_id(rule.clone(), |rule| &mut rule.metadata)),
                    Document::Filter(filter) => {
                        filters.push(named_by_id(filter.clone(), |filter| &mut filter.metadata));
                    }
                    Document::Correlation(correlation) => {
                        correlations.push(named_by_id(correlation.clone(), |correlation| {
                            &mut correlation.metadata
                        }));
                    }
                },
            }
        }
        let catalog = catalog(&pipelines, &mut problems);
        let basis = Basis {
            pipelines: pipelines
                .iter()
                .map(|pipeline| (pipeline.id.clone(), pipeline.revision.clone()))
                .collect(),
            filters: filters
                .iter()
                .map(|filter| (filter.id.clone(), filter.revision.clone()))
                .collect(),
        };
        let (set, errors) = match before.filter(|before| before.basis == basis) {
            Some(before) => exchange(&before.set, rules, &catalog, &filters),
            None => RuleSet::compile_with(rules, &catalog, &filters),
        };
        for error in errors {
            note(&mut problems, error);
        }
        let (correlations, errors) = Correlations::compile_with(correlations, set.rules(), &catalog);
        for error in errors {
            note(&mut problems, error);
        }
        let correlation_headings = correlations
            .all()
            .iter()
            .map(|compiled| Heading {
                level: compiled.level(),
                ..Heading::of(&compiled.definition().metadata)
            })
            .collect();
        let mut in_use: Vec<InUse> = set
            .rules()
            .iter()
            .map(|rule| InUse {
                heading: Heading::of(&rule.metadata),
                folding: None,
            })
            .collect();
        let position = |id: &str| set.rules().iter().position(|rule| rule.id == id);
        for suppression in &content.suppressions {
            let rule = position(&suppression.rule_id).and_then(|position| set.rules().get(position));
            if let (Some(rule), Some(position)) = (rule, position(&suppression.rule_id))
                && let Some(in_use) = in_use.get_mut(position)
            {
                in_use.folding = Some(Folding::new(suppression, rule, &catalog));
            }
        }
        let (exceptions, errors) = Exceptions::compile(&content.exceptions, &set, &correlations, &catalog);
        for (id, error) in errors {
            tracing::warn!(exception.id = id, error = error.reason, "exception not usable");
        }
        (
            Self {
                set,
                rules: in_use,
                correlations,
                correlation_headings,
                exceptions,
                basis,
            },
            problems,
        )
    }
}

/// The set with these rules instead, compiled as far as they differ.
fn exchange(before: &RuleSet, rules: Vec<Rule>, catalog: &Catalog, filters: &[Filter]) -> (RuleSet, Vec<RuleError>) {
    let mut errors = sigma::filter::check(filters, &rules);
    let known: FxHashMap<&str, &str> = before
        .rules()
        .iter()
        .map(|rule| (rule.id.as_str(), rule.revision.as_str()))
        .collect();
    let ids: FxHashSet<String> = rules.iter().map(|rule| rule.id.clone()).collect();
    let removed: Vec<&str> = known.keys().copied().filter(|id| !ids.contains(*id)).collect();
    let is_same = |rule: &Rule| known.get(rule.id.as_str()) == Some(&rule.revision.as_str());
    let changed: Vec<Rule> = rules.into_iter().filter(|rule| !is_same(rule)).collect();
    let (set, refused) = before.updated(changed, &removed, catalog, filters);
    errors.extend(refused);
    (set, errors)
}

/// Errors name the path of a document, and only its id is unique.
fn named_by_id<D>(mut document: D, metadata: impl Fn(&mut D) -> &mut Metadata) -> D {
    let metadata = metadata(&mut document);
    metadata.path.clone_from(&metadata.id);
    document
}

fn note(problems: &mut Problems, error: RuleError) {
    problems.entry(error.path.clone()).or_insert(error);
}

/// The catalog with a tenant's pipelines. One that is not usable is left out, and named.
pub(crate) fn catalog(pipelines: &[&Pipeline], problems: &mut Problems) -> Arc<Catalog> {
    let mut usable: Vec<(String, String)> = Vec::new();
    for pipeline in pipelines {
        usable.push((pipeline.id.clone(), pipeline.yaml.clone()));
    }
    loop {
        let errors = match engine::catalog_with(&usable) {
            Ok(catalog) => return catalog,
            Err(errors) => errors,
        };
        let before = usable.len();
        for error in errors {
            usable.retain(|(id, _)| *id != error.path);
            note(problems, error);
        }
        if usable.len() == before {
            for (id, _) in usable.drain(..) {
                let error = refusal(&id, "file", "expected pipelines that are usable together");
                note(problems, error);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::parsed::parse;

    fn content(rules: &[(&str, &str)]) -> Content {
        let rule = |(id, value): &(&str, &str)| {
            format!(
                "title: T\nid: {id}\nlogsource: {{product: linux}}\ndetection: {{s: {{a: {value}}}, condition: s}}\n"
            )
        };
        Content {
            documents: rules
                .iter()
                .map(|given| parse("a.yml", &rule(given)).remove(0).unwrap())
                .collect(),
            ..Content::default()
        }
    }

    fn hits(rules: &TenantRules, value: &'static str) -> Vec<String> {
        let mut fields = model::Fields::new();
        fields.insert("a", value);
        let id = model::EventId {
            source: model::SourceId::named("test", "compiled"),
            epoch: model::Epoch(1),
            seq: 1,
        };
        let event = model::Event {
            id,
            timestamp: model::Timestamp(0),
            fields,
        };
        let mut positions = Vec::new();
        rules.set.evaluate(&event, &mut sigma::Scratch::new(), &mut positions);
        let mut ids: Vec<String> = positions
            .iter()
            .map(|position| rules.rules[*position].heading.rule.id.clone())
            .collect();
        ids.sort();
        ids
    }

    #[test]
    fn exchanging_rules_gives_what_compiling_all_of_them_gives() {
        let (first, _) = TenantRules::compile(&content(&[("one", "x"), ("two", "x"), ("three", "y")]), None);
        let after = content(&[("four", "y"), ("three", "x"), ("one", "x")]);
        let (exchanged, problems) = TenantRules::compile(&after, Some(&first));
        assert!(problems.is_empty(), "{problems:?}");
        let (anew, _) = TenantRules::compile(&after, None);
        for value in ["x", "y"] {
            assert_eq!(hits(&exchanged, value), hits(&anew, value));
        }
        assert_eq!(hits(&exchanged, "x"), ["one", "three"]);
        assert_eq!(exchanged.set.len(), 3);
    }
}
