//! What rules make of events: hits, less exceptions, folded by suppressions, put together by correlations; as detectors do
//! it, with the same engine.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use model::{Event, Tenant, Timestamp, Value};
use serde_json::{Value as Json, json};
use sigma::correlation::{Correlations, States, Windows};
use sigma::{Catalog, Correlation, Filter, Rule, RuleError, RuleSet, Scratch};

use super::content::Deployed;
use super::tally::{Made, Tally};

/// Rules with everything that decides about their alerts. Immutable; shared by threads.
pub(super) struct Plan {
    tenant: Tenant,
    set: RuleSet,
    correlations: Correlations,
    /// Compiled selections; each belongs to one rule.
    exceptions: RuleSet,
    /// For each exception: position of its rule, and when it ends.
    of_rule: Vec<(usize, Option<Timestamp>)>,
    /// One for each rule.
    foldings: Vec<Option<Folding>>,
}

/// How alerts of a rule are folded into one.
struct Folding {
    /// The names of each field that alerts are told apart by.
    fields: Vec<Vec<Arc<str>>>,
    seconds: i64,
}

/// What a block's events came to, before blocks are put together.
#[derive(Default)]
pub(super) struct Part {
    pub events: u64,
    pub hits: u64,
    pub excepted: u64,
    /// By the key of the alert; of several the earliest, with how many there were.
    alerts: BTreeMap<String, (Made, u64)>,
    states: States,
    pub spent: Duration,
}

/// All blocks together.
#[derive(Default)]
pub(super) struct Total {
    pub events: u64,
    pub hits: u64,
    pub excepted: u64,
    alerts: BTreeMap<String, (Made, u64)>,
    states: Vec<States>,
    pub spent: Duration,
}

impl Plan {
    /// Compiles rules and correlations with what is deployed around them. The errors say what cannot be used.
    pub(super) fn new(
        tenant: &Tenant,
        rules: Vec<Rule>,
        correlations: Vec<Correlation>,
        filters: &[Filter],
        deployed: &Deployed,
        catalog: &Catalog,
    ) -> (Self, Vec<RuleError>) {
        let filters: Vec<Filter> = filters.iter().chain(&deployed.filters).cloned().collect();
        let (set, refused) = RuleSet::compile_with(rules, catalog, &filters);
        // A filter for rules that are not replayed is no mistake.
        let is_filter = |error: &RuleError| filters.iter().any(|filter| filter.path == error.path);
        let mut errors: Vec<RuleError> = refused.into_iter().filter(|error| !is_filter(error)).collect();
        let (correlations, refused) = Correlations::compile_with(correlations, set.rules(), catalog);
        errors.extend(refused);
        let mut selections = Vec::new();
        let mut of_rule = Vec::new();
        let mut foldings = Vec::new();
        for (position, rule) in set.rules().iter().enumerate() {
            for exception in deployed.exceptions_of(&rule.id) {
                match selection(selections.len(), rule, &exception.selection) {
                    Ok(selection) => {
                        selections.push(selection);
                        of_rule.push((position, exception.expires_at));
                    }
                    Err(error) => errors.push(error),
                }
            }
            foldings.push(deployed.suppression_of(&rule.id).map(|suppression| {
                let names = |field: &String| {
                    let field = catalog.field(&rule.logsource, field);
                    std::iter::once(field.name.clone())
                        .chain(field.others.iter().cloned())
                        .collect()
                };
                Folding {
                    fields: suppression.fields.iter().map(names).collect(),
                    seconds: i64::from(suppression.seconds.max(1)),
                }
            }));
        }
        let (exceptions, refused) = RuleSet::compile_with(selections, catalog, &[]);
        errors.extend(refused);
        let plan = Self {
            tenant: tenant.clone(),
            set,
            correlations,
            exceptions,
            of_rule,
            foldings,
        };
        (plan, errors)
    }

    /// How many rules and correlations.
    pub(super) fn len(&self) -> (usize, usize) {
        (self.set.len(), self.correlations.all().len())
    }

    /// Evaluates a block's events.
    pub(super) fn evaluate(&self, events: &[Event]) -> Part {
        let began = Instant::now();
        let mut part = Part {
            events: events.len() as u64,
            ..Part::default()
        };
        let (mut scratch, mut own) = (Scratch::new(), Scratch::new());
        let (mut hits, mut excepting) = (Vec::new(), Vec::new());
        let mut contributions = Vec::new();
        for event in events {
            hits.clear();
            self.set.evaluate(event, &mut scratch, &mut hits);
            if hits.is_empty() {
                continue;
            }
            excepting.clear();
            if !self.exceptions.is_empty() {
                self.exceptions.evaluate(event, &mut own, &mut excepting);
            }
            for hit in &hits {
                part.hits += 1;
                if self.is_excepted(*hit, event, &excepting) {
                    part.excepted += 1;
                    continue;
                }
                // What is wrong with an event as a contribution shows in the correlation's own counters.
                let _ = self.correlations.contributions(*hit, event, &mut contributions);
                if !self.correlations.silenced(*hit) {
                    self.alert(*hit, event, &mut part);
                }
            }
        }
        part.states = self.correlations.gather(contributions);
        part.spent = began.elapsed();
        part
    }

    fn is_excepted(&self, hit: usize, event: &Event, excepting: &[usize]) -> bool {
        let of = |position: &usize| {
            let id = &self.exceptions.rules().get(*position)?.id;
            self.of_rule.get(id.parse::<usize>().ok()?)
        };
        excepting
            .iter()
            .filter_map(of)
            .any(|(rule, ends)| *rule == hit && ends.is_none_or(|ends| event.timestamp < ends))
    }

    fn alert(&self, hit: usize, event: &Event, part: &mut Part) {
        let Some(rule) = self.set.rules().get(hit) else { return };
        let key = match self.foldings.get(hit) {
            Some(Some(Folding { fields, seconds })) => {
                let value = |names: &Vec<Arc<str>>| {
                    let found = names.iter().find_map(|name| event.fields.get(name));
                    found.map_or(Json::Null, Value::to_json)
                };
                let values: Vec<Json> = fields.iter().map(value).collect();
                let span = event.timestamp.0.div_euclid(seconds * 1_000_000);
                format!("{}/{}/{span}", rule.id, json!(values))
            }
            _ => format!("{}/{}", rule.id, event.id),
        };
        let made = Made {
            key: key.clone(),
            rule: rule.id.clone(),
            time: event.timestamp,
            host: event.fields.str("host.name").unwrap_or("-").to_owned(),
            shown: json!({ "event_id": event.id.to_string(), "message": event.fields.str("message") }),
        };
        merge(&mut part.alerts, key, made, 1);
    }
}

fn merge(alerts: &mut BTreeMap<String, (Made, u64)>, key: String, made: Made, count: u64) {
    match alerts.get_mut(&key) {
        Some((known, counted)) => {
            *counted += count;
            if (made.time, made.shown.to_string()) < (known.time, known.shown.to_string()) {
                *known = made;
            }
        }
        None => {
            alerts.insert(key, (made, count));
        }
    }
}

/// The selection of an exception as a rule of its own, which sees what the rule it belongs to sees.
fn selection(number: usize, rule: &Rule, selection: &serde_json::Map<String, Json>) -> Result<Rule, RuleError> {
    let yaml = json!({
        "id": number.to_string(),
        "title": "exception",
        "logsource": {
            "category": rule.logsource.category, "product": rule.logsource.product, "service": rule.logsource.service,
        },
        "detection": { "selection": selection, "condition": "selection" },
    })
    .to_string();
    let parsed = sigma::parse_rules("exception", &yaml).into_iter().next();
    parsed.unwrap_or_else(|| {
        Err(RuleError {
            path: "exception".to_owned(),
            line: None,
            column: None,
            field: "selection".to_owned(),
            reason: "expected a selection".to_owned(),
        })
    })
}

impl Total {
    pub(super) fn add(&mut self, part: Part) {
        self.events += part.events;
        self.hits += part.hits;
        self.excepted += part.excepted;
        self.spent += part.spent;
        for (key, (made, count)) in part.alerts {
            merge(&mut self.alerts, key, made, count);
        }
        if !part.states.is_empty() {
            self.states.push(part.states);
        }
    }

    /// The alerts there would have been.
    pub(super) fn tally(&self, plan: &Plan, max_samples: usize) -> Tally {
        let mut tally = Tally::default();
        for (made, count) in self.alerts.values() {
            let mut made = made.clone();
            if *count > 1 {
                made.shown["suppressed_count"] = Json::from(count - 1);
            }
            tally.add(made, max_samples);
        }
        let mut windows = Windows::new(&plan.correlations, plan.tenant.clone());
        for states in &self.states {
            windows.merge(states);
        }
        windows.finish();
        for alert in windows.alerts() {
            let Some(correlation) = plan.correlations.all().get(alert.correlation) else {
                continue;
            };
            let definition = correlation.definition();
            tally.add(
                Made {
                    key: format!("{}/{}/{}", definition.id, alert.group_key.as_str(), alert.window),
                    rule: definition.id.clone(),
                    time: alert.finding.trigger,
                    host: host_of(&definition.group_by, &alert.group),
                    shown: json!({ "group": alert.group, "count": alert.finding.count, "value": alert.finding.value }),
                },
                max_samples,
            );
        }
        tally
    }
}

/// The host, where a correlation tells hosts apart.
fn host_of(group_by: &[String], group: &[String]) -> String {
    let position = group_by.iter().position(|field| field == "host.name");
    let host = position.and_then(|position| group.get(position));
    host.cloned().unwrap_or_else(|| "-".to_owned())
}
