//! Exceptions: selections that keep rules from alerting, looked at only after a rule has matched.

use model::Event;
use model::Timestamp;
use model::exception::{EVERY_RULE, Exception};
use rustc_hash::FxHashMap;
use serde_json::json;
use sigma::{Catalog, LogSource, Rule, RuleError, RuleSet, Scratch};

use super::compiled::InUse;
use super::parsed::refusal;

/// Largest selection in bytes of JSON.
pub(crate) const MAX_SELECTION_BYTES: usize = 64 << 10;

/// What an exception is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// Every rule.
    Every,
    /// The rule at this position.
    Rule(usize),
    /// The correlation at this position, which looks at the rules at these.
    Correlation(usize, Vec<usize>),
}

/// A tenant's exceptions. Field names mean what they mean in the logsource of the rule that matched, so an exception is
/// compiled once for each logsource it can meet.
#[derive(Debug, Default)]
pub(crate) struct Exceptions {
    set: RuleSet,
    /// What is known of each selection, at the positions of `set`.
    selections: Vec<Selection>,
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

/// Which exceptions hold for one event.
#[derive(Debug, Default)]
pub(crate) struct Holding {
    positions: Vec<usize>,
}

impl Exceptions {
    /// Compiles exceptions; those that are not usable, or for a rule that is not in use, are left out. The former are
    /// named.
    pub(crate) fn compile(
        exceptions: &[Exception],
        logsources: &[LogSource],
        rules: &[InUse],
        target: &dyn Fn(&str) -> Option<Target>,
        catalog: &Catalog,
    ) -> (Self, Vec<(String, RuleError)>) {
        let mut errors = Vec::new();
        let mut compiled: Vec<Rule> = Vec::new();
        let mut known: FxHashMap<String, Selection> = FxHashMap::default();
        for exception in exceptions {
            let target = if exception.rule_id == EVERY_RULE {
                Target::Every
            } else {
                match target(&exception.rule_id) {
                    Some(target) => target,
                    None => continue,
                }
            };
            let rule = match selection(exception) {
                Ok(rule) => rule,
                Err(error) => {
                    errors.push((exception.id.clone(), error));
                    continue;
                }
            };
            let of = |position: &usize| rules.get(*position).map(|rule| rule.logsource);
            let mut numbers: Vec<Option<usize>> = match &target {
                Target::Every => (0..logsources.len()).map(Some).chain([None]).collect(),
                Target::Rule(position) => vec![of(position)],
                Target::Correlation(_, positions) => positions.iter().map(of).collect(),
            };
            numbers.sort_unstable();
            numbers.dedup();
            for logsource in numbers {
                let mut rule = rule.clone();
                rule.metadata.id = format!("{}.{}", known.len(), exception.id);
                rule.logsource = match logsource {
                    Some(number) => logsources.get(number).cloned().unwrap_or_default(),
                    None => LogSource::default(),
                };
                known.insert(
                    rule.metadata.id.clone(),
                    Selection {
                        target: target.clone(),
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
        let is_any_general = selections.iter().any(|selection| selection.target == Target::Every);
        (
            Self {
                set,
                selections,
                is_any_general,
            },
            errors,
        )
    }

    /// Whether any can hold for what indicators find.
    pub(crate) fn is_any_general(&self) -> bool {
        self.is_any_general
    }

    /// Finds those that hold for an event, at its own time.
    pub(crate) fn holding(&self, event: &Event, scratch: &mut Scratch, holding: &mut Holding) {
        holding.positions.clear();
        if self.selections.is_empty() {
            return;
        }
        self.set.evaluate(event, scratch, &mut holding.positions);
        holding.positions.retain(|position| {
            self.selections
                .get(*position)
                .is_some_and(|selection| selection.expires_at.is_none_or(|end| event.timestamp < end))
        });
    }

    /// Whether a rule must not alert on the event.
    pub(crate) fn silence(&self, holding: &Holding, position: usize, logsource: usize) -> bool {
        self.any(holding, Some(logsource), |target| match target {
            Target::Every => true,
            Target::Rule(rule) => *rule == position,
            Target::Correlation(..) => false,
        })
    }

    /// Whether the event, on which a rule matched, does not count for a correlation.
    pub(crate) fn keep_from(&self, holding: &Holding, correlation: usize, logsource: usize) -> bool {
        self.any(
            holding,
            Some(logsource),
            |target| matches!(target, Target::Correlation(position, _) if *position == correlation),
        )
    }

    /// Whether indicators must not alert on the event.
    pub(crate) fn silence_indicators(&self, holding: &Holding) -> bool {
        self.any(holding, None, |target| *target == Target::Every)
    }

    fn any(&self, holding: &Holding, logsource: Option<usize>, is_for: impl Fn(&Target) -> bool) -> bool {
        holding.positions.iter().any(|position| {
            self.selections
                .get(*position)
                .is_some_and(|selection| selection.logsource == logsource && is_for(&selection.target))
        })
    }
}

/// An exception's selection as a rule of its own, so that it goes through the same compiler.
///
/// # Errors
/// When it is none; fields are named as in the selection.
pub(crate) fn selection(exception: &Exception) -> Result<Rule, RuleError> {
    let error = |field: &str, reason: String| refusal(&exception.id, field, reason);
    if exception.selection.is_empty() {
        return Err(error("selection", "expected at least one field, got none".to_owned()));
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
            selection: selection.as_object().unwrap().clone(),
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
        rules.exceptions.silence(&holding, 0, rules.rules[0].logsource)
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
    fn what_is_no_selection_is_refused_by_name() {
        for (bad, field) in [
            (json!({}), "selection"),
            (json!({"a|nonsense": 1}), "selection.a|nonsense"),
            (json!({"a": {"b": 1}}), "selection.a"),
        ] {
            let error = selection(&exception("t", bad, None)).unwrap_err();
            assert_eq!(error.field, field, "{error}");
        }
    }
}
