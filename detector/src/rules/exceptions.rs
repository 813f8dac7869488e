//! Exceptions: what keeps rules from alerting on some events, looked at only after a rule has matched.

use model::Event;
use model::Timestamp;
use model::exception::{EVERY_RULE, Exception};
use query::Query;
use rustc_hash::FxHashMap;
use serde_json::json;
use sigma::correlation::Correlations;
use sigma::{Catalog, LogSource, Rule, RuleError, RuleSet, Scratch};

use super::parsed::refusal;

/// Largest selection in bytes of JSON.
pub(crate) const MAX_SELECTION_BYTES: usize = 64 << 10;

/// What an exception is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Target {
    /// Every rule.
    Every,
    /// The rule at this position.
    Rule(usize),
    /// The correlation at this position.
    Correlation(usize),
}

/// A tenant's exceptions.
///
/// Field names of selections mean what they mean in the logsource of the rule that matched, so a selection is compiled
/// once for each logsource it can meet. Queries name fields as they are stored.
#[derive(Debug, Default)]
pub(crate) struct Exceptions {
    set: RuleSet,
    /// What is known of each selection, at the positions of `set`.
    selections: Vec<Selection>,
    queries: FxHashMap<Target, Vec<ByQuery>>,
    /// The number of each rule's logsource.
    logsource_of: Vec<usize>,
    /// Whether any is for every rule, and so for indicators.
    is_any_general: bool,
}

#[derive(Debug)]
struct Selection {
    target: Target,
    /// `None`: names mean what they mean outside of any logsource; for indicators.
    logsource: Option<usize>,
    expires_at: Option<Timestamp>,
}

#[derive(Debug)]
struct ByQuery {
    query: query::Compiled,
    expires_at: Option<Timestamp>,
}

/// Which selections hold for one event.
#[derive(Debug, Default)]
pub(crate) struct Holding {
    positions: Vec<usize>,
}

impl Exceptions {
    /// Compiles exceptions for rules and correlations; those that are not usable, or for a rule that is not among them, are
    /// left out. The former are named.
    pub(crate) fn compile(
        exceptions: &[Exception],
        rules: &RuleSet,
        correlations: &Correlations,
        catalog: &Catalog,
    ) -> (Self, Vec<(String, RuleError)>) {
        let mut errors = Vec::new();
        let mut compiled: Vec<Rule> = Vec::new();
        let mut known: FxHashMap<String, Selection> = FxHashMap::default();
        let mut queries: FxHashMap<Target, Vec<ByQuery>> = FxHashMap::default();
        let mut logsources: Vec<LogSource> = Vec::new();
        let logsource_of: Vec<usize> = rules
            .rules()
            .iter()
            .map(|rule| number_of(&mut logsources, &rule.logsource))
            .collect();
        for exception in exceptions {
            let Some((target, positions)) = target(&exception.rule_id, rules, correlations) else {
                continue;
            };
            let rule = match meaning(exception) {
                Ok(Meaning::Selection(rule)) => rule,
                Ok(Meaning::Query(query)) => {
                    queries.entry(target).or_default().push(ByQuery {
                        // Without relative times, every moment is as good.
                        query: query.compile(exception.created_at),
                        expires_at: exception.expires_at,
                    });
                    continue;
                }
                Err(error) => {
                    errors.push((exception.id.clone(), error));
                    continue;
                }
            };
            let mut numbers: Vec<Option<usize>> = match target {
                Target::Every => (0..logsources.len()).map(Some).chain([None]).collect(),
                Target::Rule(_) | Target::Correlation(_) => positions
                    .iter()
                    .map(|position| logsource_of.get(*position).copied())
                    .collect(),
            };
            numbers.sort_unstable();
            numbers.dedup();
            for logsource in numbers {
                let mut rule = (*rule).clone();
                rule.metadata.id = format!("{}.{}", known.len(), exception.id);
                rule.logsource = match logsource {
                    Some(number) => logsources.get(number).cloned().unwrap_or_default(),
                    None => LogSource::default(),
                };
                known.insert(
                    rule.metadata.id.clone(),
                    Selection {
                        target,
                        logsource,
                        expires_at: exception.expires_at,
                    },
                );
                compiled.push(rule);
            }
        }
        let (set, refused) = RuleSet::compile_with(compiled, catalog, &[]);
        errors.extend(refused.into_iter().map(|error| (error.path.clone(), error)));
        let selections: Vec<Selection> = set.rules().iter().filter_map(|rule| known.remove(&rule.id)).collect();
        let is_any_general = selections.iter().any(|selection| selection.target == Target::Every)
            || queries.contains_key(&Target::Every);
        (
            Self {
                set,
                selections,
                queries,
                logsource_of,
                is_any_general,
            },
            errors,
        )
    }

    /// Whether any can hold for what indicators find.
    pub(crate) fn is_any_general(&self) -> bool {
        self.is_any_general
    }

    /// Finds the selections that hold for an event, at its own time; to be asked about the same event afterwards.
    pub(crate) fn holding(&self, event: &Event, scratch: &mut Scratch, holding: &mut Holding) {
        holding.positions.clear();
        if self.selections.is_empty() {
            return;
        }
        self.set.evaluate(event, scratch, &mut holding.positions);
        holding.positions.retain(|position| {
            self.selections
                .get(*position)
                .is_some_and(|selection| lasts(selection.expires_at, event))
        });
    }

    /// Whether the rule at this position must not alert on the event.
    pub(crate) fn silence(&self, holding: &Holding, event: &Event, rule: usize) -> bool {
        self.any(holding, self.logsource_of.get(rule).copied(), |target| {
            target == Target::Every || target == Target::Rule(rule)
        }) || self.any_query(event, Target::Every)
            || self.any_query(event, Target::Rule(rule))
    }

    /// Whether the event, on which the rule matched, does not count for a correlation.
    pub(crate) fn keep_from(&self, holding: &Holding, event: &Event, correlation: usize, rule: usize) -> bool {
        let target = Target::Correlation(correlation);
        self.any(holding, self.logsource_of.get(rule).copied(), |found| found == target)
            || self.any_query(event, target)
    }

    /// Whether indicators must not alert on the event.
    pub(crate) fn silence_indicators(&self, holding: &Holding, event: &Event) -> bool {
        self.any(holding, None, |target| target == Target::Every) || self.any_query(event, Target::Every)
    }

    fn any(&self, holding: &Holding, logsource: Option<usize>, is_for: impl Fn(Target) -> bool) -> bool {
        holding.positions.iter().any(|position| {
            self.selections
                .get(*position)
                .is_some_and(|selection| selection.logsource == logsource && is_for(selection.target))
        })
    }

    fn any_query(&self, event: &Event, target: Target) -> bool {
        self.queries.get(&target).is_some_and(|queries| {
            queries
                .iter()
                .any(|by| lasts(by.expires_at, event) && by.query.matches(event))
        })
    }
}

fn lasts(expires_at: Option<Timestamp>, event: &Event) -> bool {
    expires_at.is_none_or(|end| event.timestamp < end)
}

fn number_of(logsources: &mut Vec<LogSource>, logsource: &LogSource) -> usize {
    match logsources.iter().position(|known| known == logsource) {
        Some(number) => number,
        None => {
            logsources.push(logsource.clone());
            logsources.len() - 1
        }
    }
}

/// What an id stands for, and the rules whose matches it is about.
fn target(id: &str, rules: &RuleSet, correlations: &Correlations) -> Option<(Target, Vec<usize>)> {
    if id == EVERY_RULE {
        return Some((Target::Every, Vec::new()));
    }
    if let Some(position) = rules.rules().iter().position(|rule| rule.id == id) {
        return Some((Target::Rule(position), vec![position]));
    }
    let is_meant = |compiled: &sigma::correlation::Compiled| compiled.definition().id == id;
    let correlation = correlations.all().iter().position(is_meant)?;
    let references = &correlations.get(correlation)?.definition().rules;
    let is_over = |rule: &Rule| references.iter().any(|reference| rule.is_meant_by(reference));
    let over = rules.rules().iter().enumerate().filter(|(_, rule)| is_over(rule));
    Some((
        Target::Correlation(correlation),
        over.map(|(position, _)| position).collect(),
    ))
}

/// What an exception says about events.
#[derive(Debug)]
pub(crate) enum Meaning {
    /// As a rule of its own, so that it goes through the same compiler.
    Selection(Box<Rule>),
    /// In the search language.
    Query(Query),
}

/// Reads what an exception says.
///
/// # Errors
/// When it is neither a selection nor a query, or both; fields are named as in the exception.
pub(crate) fn meaning(exception: &Exception) -> Result<Meaning, RuleError> {
    let error = |reason: String| refusal(&exception.id, "query", reason);
    match &exception.query {
        None => selection(exception).map(|rule| Meaning::Selection(Box::new(rule))),
        Some(_) if !exception.selection.is_empty() => {
            Err(error("expected either a selection or a query, got both".to_owned()))
        }
        Some(text) => {
            let query = Query::parse(text).map_err(|found| error(found.to_string()))?;
            if query.is_everything() {
                return Err(error("expected a condition, got one that every event meets".to_owned()));
            }
            if query.is_relative() {
                let reason = "expected times that do not depend on now; expires_at says until when it holds";
                return Err(error(reason.to_owned()));
            }
            Ok(Meaning::Query(query))
        }
    }
}

/// An exception's selection as a rule of its own, so that it goes through the same compiler.
///
/// # Errors
/// When it is none; fields are named as in the selection.
fn selection(exception: &Exception) -> Result<Rule, RuleError> {
    let error = |field: &str, reason: String| refusal(&exception.id, field, reason);
    if exception.selection.is_empty() {
        return Err(error(
            "selection",
            "expected at least one field, or a query, got none".to_owned(),
        ));
    }
    // JSON is YAML.
    let yaml = json!({
        "id": "exception",
        "title": "exception",
        "logsource": { "product": "any" },
        "detection": { "selection": exception.selection, "condition": "selection" },
    })
    .to_string();
    if yaml.len() > MAX_SELECTION_BYTES * 2 {
        return Err(error(
            "selection",
            format!("expected at most {MAX_SELECTION_BYTES} bytes"),
        ));
    }
    let parsed = sigma::parse_rules(&exception.id, &yaml).into_iter().next();
    let rule = parsed.unwrap_or_else(|| Err(error("selection", "expected a selection".to_owned())));
    rule.map_err(|error| RuleError {
        line: None,
        column: None,
        field: error.field.replacen("detection.", "", 1),
        ..error
    })
}

#[cfg(test)]
mod tests {
    use model::{Epoch, EventId, Fields, SourceId, Tenant};

    use super::*;
    use crate::rules::compiled::{Content, TenantRules};
    use crate::rules::parsed::parse;

    fn exception(rule_id: &str, selection: serde_json::Value, expires_at: Option<Timestamp>) -> Exception {
        Exception {
            id: "e".to_owned(),
            tenant: Tenant::default(),
            rule_id: rule_id.to_owned(),
            selection: selection.as_object().cloned().unwrap_or_default(),
            query: selection.as_str().map(str::to_owned),
            reason: "why".to_owned(),
            author: "user:ann".to_owned(),
            created_at: Timestamp(0),
            expires_at,
        }
    }

    fn silenced(exceptions: Vec<Exception>) -> bool {
        let rule = "title: T\nid: t\nlogsource: {product: windows, category: process_creation}\n\
                    detection: {s: {Image|endswith: x.exe}, condition: s}\n";
        let content = Content {
            documents: vec![parse("a.yml", rule).remove(0).unwrap()],
            exceptions,
            suppressions: Vec::new(),
        };
        let (rules, problems) = TenantRules::compile(&content, None);
        assert!(problems.is_empty(), "{problems:?}");
        let mut fields = Fields::new();
        for (name, value) in [
            ("host.os.type", "windows"),
            ("event.category", "process_creation"),
            ("category", "process_creation"),
            ("Image", "C:\\x.exe"),
            ("user.name", "svc-build"),
            ("User", "svc-build"),
        ] {
            fields.insert(name, value);
        }
        let id = EventId {
            source: SourceId::named("test", "e"),
            epoch: Epoch(1),
            seq: 1,
        };
        let event = Event {
            id,
            timestamp: Timestamp(100),
            fields,
        };
        let (mut scratch, mut hits, mut holding) = (Scratch::new(), Vec::new(), Holding::default());
        rules.set.evaluate(&event, &mut scratch, &mut hits);
        assert_eq!(hits, [0], "the rule matches");
        rules.exceptions.holding(&event, &mut Scratch::new(), &mut holding);
        rules.exceptions.silence(&holding, &event, 0)
    }

    #[test]
    fn an_exception_holds_for_its_rule_its_events_and_its_time() {
        let user = json!({"User|startswith": "svc-", "Image|endswith": ["y.exe", "x.exe"]});
        assert!(silenced(vec![exception("t", user.clone(), None)]));
        assert!(silenced(vec![exception(EVERY_RULE, user.clone(), None)]));
        assert!(silenced(vec![exception("t", user.clone(), Some(Timestamp(101)))]));
        assert!(
            !silenced(vec![exception("t", user.clone(), Some(Timestamp(100)))]),
            "it expired"
        );
        assert!(!silenced(vec![exception("other", user, None)]));
        assert!(!silenced(vec![exception("t", json!({"User": "ann"}), None)]));
        assert!(!silenced(Vec::new()));
    }

    #[test]
    fn an_exception_can_be_written_in_the_search_language() {
        let query = json!("user.name:svc-* AND Image:*x.exe AND NOT host.os.type:linux");
        assert!(silenced(vec![exception("t", query.clone(), None)]));
        assert!(silenced(vec![exception(
            EVERY_RULE,
            query.clone(),
            Some(Timestamp(101))
        )]));
        assert!(
            !silenced(vec![exception("t", query.clone(), Some(Timestamp(100)))]),
            "it expired"
        );
        assert!(!silenced(vec![exception("other", query, None)]));
        assert!(!silenced(vec![exception("t", json!("user.name:ann"), None)]));
    }

    #[test]
    fn what_is_no_query_is_refused_and_says_where() {
        for (bad, expected) in [
            ("user.name:", "character"),
            ("*", "a condition"),
            ("@timestamp:[now-1d TO now]", "do not depend on now"),
            ("a:1 OR (b:2 AND NOT @timestamp:>now-1h)", "do not depend on now"),
        ] {
            let error = meaning(&exception("t", json!(bad), None)).unwrap_err();
            assert_eq!(error.field, "query");
            assert!(error.reason.contains(expected), "{bad}: {error}");
        }
        let both = Exception {
            query: Some("a:1".to_owned()),
            ..exception("t", json!({"a": 1}), None)
        };
        assert!(meaning(&both).unwrap_err().reason.contains("got both"));
        meaning(&exception("t", json!("@timestamp:>2026-01-01 AND a:1"), None)).unwrap();
    }

    #[test]
    fn what_is_no_selection_is_refused_by_name() {
        for (bad, field) in [
            (json!({}), "selection"),
            (json!({"a|nonsense": 1}), "selection.a|nonsense"),
            (json!({"a": {"b": 1}}), "selection.a"),
        ] {
            let error = meaning(&exception("t", bad, None)).unwrap_err();
            assert_eq!(error.field, field, "{error}");
        }
    }
}
