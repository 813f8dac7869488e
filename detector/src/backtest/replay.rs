//! What rules make of events: hits, less exceptions, folded by suppressions, put together by correlations; as detectors do
//! it, with the same engine.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use block::{Block, DecodeError};
use model::{Event, Tenant, Value};
use serde_json::{Value as Json, json};
use sigma::correlation::{Contribution, Correlations, States, Windows};
use sigma::{Catalog, Correlation, Filter, Rule, RuleError, RuleSet, Scratch};

use super::blocks::Span;
use super::content::Deployed;
use super::tally::{Made, Tally};
use crate::columns;
use crate::rules::exceptions::{Exceptions, Holding};

/// Rules with everything that decides about their alerts. Immutable; shared by threads.
pub(super) struct Plan {
    tenant: Tenant,
    set: RuleSet,
    correlations: Correlations,
    exceptions: Exceptions,
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
    /// Each event's own.
    alerts: Vec<Made>,
    folded: Folded,
    states: States,
    pub spent: Duration,
}

/// Alerts that suppressions make one of, by the key of that one: the earliest, with how many there were.
type Folded = BTreeMap<String, (Made, u64)>;

/// Most alerts of suppressed rules told apart.
const MAX_FOLDED: usize = 100_000;
/// Most windows of correlations kept.
const MAX_WINDOWS: usize = 200_000;

/// All blocks together. What it keeps is bounded, however many alerts there are.
pub(super) struct Total<'p> {
    pub events: u64,
    pub hits: u64,
    pub excepted: u64,
    pub spent: Duration,
    plan: &'p Plan,
    tally: Tally,
    folded: Folded,
    windows: Windows<'p>,
    /// What was left out, as there was too much of it.
    unfolded: u64,
    windowless: u64,
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
        let mut foldings = Vec::new();
        for rule in set.rules() {
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
        let (exceptions, refused) = Exceptions::compile(&deployed.exceptions, &set, &correlations, catalog);
        errors.extend(refused.into_iter().map(|(_, error)| error));
        let plan = Self {
            tenant: tenant.clone(),
            set,
            correlations,
            exceptions,
            foldings,
        };
        (plan, errors)
    }

    /// How many rules and correlations.
    pub(super) fn len(&self) -> (usize, usize) {
        (self.set.len(), self.correlations.all().len())
    }

    /// Evaluates the events of a block that a span holds.
    pub(super) fn evaluate(&self, block: &Block<'_>, span: &Span) -> Result<Part, DecodeError> {
        let began = Instant::now();
        let mut scratch = Scratch::new();
        let by_column = columns::look(block, |columns| {
            let Some(found) = columns::find(&self.set, columns, |time| span.holds(time), &mut scratch)? else {
                return Ok(None);
            };
            let events = columns.events_at(&found.rows)?;
            let mut judging = Judging::new(self, found.events);
            for (event, hits) in events.iter().zip(found.matches()) {
                judging.judge(event, hits.iter().map(|hit| *hit as usize));
            }
            Ok(Some(judging.end()))
        })?;
        let mut part = match by_column {
            Some(part) => part,
            None => self.evaluate_each(block, span, &mut scratch)?,
        };
        part.spent = began.elapsed();
        Ok(part)
    }

    /// The same, event by event.
    fn evaluate_each(&self, block: &Block<'_>, span: &Span, scratch: &mut Scratch) -> Result<Part, DecodeError> {
        let mut events = block.events()?;
        events.retain(|event| span.holds(event.timestamp));
        let mut judging = Judging::new(self, events.len() as u64);
        let mut hits = Vec::new();
        for event in &events {
            hits.clear();
            self.set.evaluate(event, scratch, &mut hits);
            if !hits.is_empty() {
                judging.judge(event, hits.iter().copied());
            }
        }
        Ok(judging.end())
    }

    fn alert(&self, hit: usize, event: &Event, part: &mut Part) {
        let Some(rule) = self.set.rules().get(hit) else { return };
        let folding = self.foldings.get(hit).and_then(Option::as_ref);
        let key = match folding {
            Some(Folding { fields, seconds }) => {
                let value = |names: &Vec<Arc<str>>| {
                    let found = names.iter().find_map(|name| event.fields.get(name));
                    found.map_or(Json::Null, Value::to_json)
                };
                let values: Vec<Json> = fields.iter().map(value).collect();
                let span = event.timestamp.0.div_euclid(seconds * 1_000_000);
                format!("{}/{}/{span}", rule.id, json!(values))
            }
            None => format!("{}/{}", rule.id, event.id),
        };
        let made = Made {
            key,
            rule: rule.id.clone(),
            time: event.timestamp,
            host: event.fields.str("host.name").unwrap_or("-").to_owned(),
            shown: json!({ "event_id": event.id.to_string(), "message": event.fields.str("message") }),
        };
        if folding.is_some() {
            merge(&mut part.folded, made, 1);
        } else {
            part.alerts.push(made);
        }
    }
}

/// What comes of a block's hits.
struct Judging<'p> {
    plan: &'p Plan,
    part: Part,
    contributions: Vec<Contribution>,
    scratch: Scratch,
    holding: Holding,
}

impl<'p> Judging<'p> {
    fn new(plan: &'p Plan, events: u64) -> Self {
        Self {
            plan,
            part: Part {
                events,
                ..Part::default()
            },
            contributions: Vec::new(),
            scratch: Scratch::new(),
            holding: Holding::default(),
        }
    }

    /// Takes an event and the rules that match it.
    fn judge(&mut self, event: &Event, hits: impl Iterator<Item = usize>) {
        let plan = self.plan;
        let exceptions = &plan.exceptions;
        exceptions.holding(event, &mut self.scratch, &mut self.holding);
        for hit in hits {
            self.part.hits += 1;
            if exceptions.silence(&self.holding, event, hit) {
                self.part.excepted += 1;
                continue;
            }
            // What is wrong with an event as a contribution shows in the correlation's own counters.
            let holding = &self.holding;
            let keep = |correlation| !exceptions.keep_from(holding, event, correlation, hit);
            let _ = plan
                .correlations
                .contributions_where(hit, event, keep, &mut self.contributions);
            if !plan.correlations.silenced(hit) {
                plan.alert(hit, event, &mut self.part);
            }
        }
    }

    fn end(mut self) -> Part {
        self.part.states = self.plan.correlations.gather(self.contributions);
        self.part
    }
}

fn merge(alerts: &mut Folded, made: Made, count: u64) {
    match alerts.get_mut(&made.key) {
        Some((known, counted)) => {
            *counted += count;
            if (made.time, made.shown.to_string()) < (known.time, known.shown.to_string()) {
                *known = made;
            }
        }
        None => {
            alerts.insert(made.key.clone(), (made, count));
        }
    }
}

impl<'p> Total<'p> {
    /// Nothing yet; `is_compared` when it will be compared with another.
    pub(super) fn new(plan: &'p Plan, max_samples: usize, is_compared: bool) -> Self {
        Self {
            events: 0,
            hits: 0,
            excepted: 0,
            spent: Duration::ZERO,
            plan,
            tally: Tally::new(max_samples, is_compared),
            folded: Folded::new(),
            windows: Windows::new(&plan.correlations, plan.tenant.clone()),
            unfolded: 0,
            windowless: 0,
        }
    }

    pub(super) fn add(&mut self, mut part: Part) {
        self.events += part.events;
        self.hits += part.hits;
        self.excepted += part.excepted;
        self.spent += part.spent;
        for made in part.alerts {
            self.tally.add(made);
        }
        for (key, (made, count)) in part.folded {
            if self.folded.len() < MAX_FOLDED || self.folded.contains_key(&key) {
                merge(&mut self.folded, made, count);
            } else {
                self.unfolded += count;
            }
        }
        if self.windows.states().len() + part.states.len() > MAX_WINDOWS {
            let (before, known) = (part.states.len(), self.windows.states());
            part.states.retain(|key, _| known.contains_key(key));
            self.windowless += (before - part.states.len()) as u64;
        }
        self.windows.merge(&part.states);
    }

    /// What was too much to be counted, in words.
    pub(super) fn limits(&self) -> Vec<String> {
        let mut limits = Vec::new();
        if self.unfolded > 0 {
            limits.push(format!(
                "suppressed rules made more than {MAX_FOLDED} alerts: {} hits beyond are not counted",
                self.unfolded
            ));
        }
        if self.windowless > 0 {
            limits.push(format!(
                "correlations have more than {MAX_WINDOWS} windows: what {} others got is not counted",
                self.windowless
            ));
        }
        limits
    }

    /// The alerts there would have been.
    pub(super) fn tally(mut self) -> Tally {
        for (mut made, count) in self.folded.into_values() {
            if count > 1 {
                made.shown["suppressed_count"] = Json::from(count - 1);
            }
            self.tally.add(made);
        }
        self.windows.finish();
        for alert in self.windows.alerts() {
            let Some(correlation) = self.plan.correlations.all().get(alert.correlation) else {
                continue;
            };
            let definition = correlation.definition();
            self.tally.add(Made {
                key: format!("{}/{}/{}", definition.id, alert.group_key, alert.window),
                rule: definition.id.clone(),
                time: alert.finding.trigger,
                host: host_of(&definition.group_by, &alert.group),
                shown: json!({ "group": alert.group, "count": alert.finding.count, "value": alert.finding.value }),
            });
        }
        self.tally
    }
}

/// The host, where a correlation tells hosts apart.
fn host_of(group_by: &[String], group: &[String]) -> String {
    let position = group_by.iter().position(|field| field == "host.name");
    let host = position.and_then(|position| group.get(position));
    host.cloned().unwrap_or_else(|| "-".to_owned())
}

#[cfg(test)]
mod tests {
    use model::{Epoch, EventId, Fields, SourceId, Timestamp};
    use proptest::prelude::*;

    use super::*;

    const RULES: &str = "
id: text
title: T
logsource: {product: linux}
detection: {s: {process.name|contains: ['SH', ss]}, condition: s}
---
id: keywords
title: T
logsource: {product: linux}
detection: {k: [bash, '7'], f: {user.name: root}, condition: k and not f}
---
id: 'null'
title: T
logsource: {product: linux}
detection: {s: {user.name: null}, e: {process.name|exists: true}, condition: s and e}
---
id: number
title: T
logsource: {product: windows}
detection: {s: {Count|gte: 5}, condition: s}
---
id: spaces
title: T
logsource: {product: linux}
detection: {s: {ThreatName: x}, condition: s}
---
id: absent
title: T
logsource: {product: linux}
detection: {s: {user.name: root}, condition: not s}
---
title: Many
id: many
correlation: {type: event_count, rules: [text], group-by: [host.name], timespan: 1m, condition: {gte: 2}}
";

    fn value() -> impl Strategy<Value = Value> {
        let text = prop::sample::select(vec!["bash", "root", "sshd -D", "x", "", "Ünï", "7", "-7"]);
        let one = prop_oneof![
            4 => text.prop_map(Value::from),
            2 => (0_i64..9).prop_map(Value::Int),
            1 => Just(Value::Null),
            1 => any::<bool>().prop_map(Value::Bool),
            1 => Just(Value::Float(7.5)),
        ];
        prop_oneof![5 => one.clone(), 1 => prop::collection::vec(one, 0..3).prop_map(Value::from)]
    }

    fn event() -> impl Strategy<Value = Event> {
        let names = vec![
            "process.name",
            "user.name",
            "Count",
            "message",
            "Threat Name",
            "ThreatName",
            "picket.x",
        ];
        let fields = prop::collection::btree_map(prop::sample::select(names), value(), 0..6);
        let product = prop::sample::select(vec!["linux", "linux", "windows"]);
        (fields, product, 0_i64..200, 0..3).prop_map(|(some, product, second, host)| {
            let mut fields = Fields::new();
            fields.insert("host.os.type", product);
            fields.insert("host.name", format!("h{host}"));
            for (name, value) in some {
                fields.insert(name, value);
            }
            Event {
                id: EventId {
                    source: SourceId::named("test", "replay"),
                    epoch: Epoch(1),
                    seq: 0,
                },
                timestamp: Timestamp(1_700_000_000_000_000 + second * 1_000_000),
                fields,
            }
        })
    }

    fn plan() -> Plan {
        let (rules, correlations, filters) =
            super::super::parse(&[("r.yml".to_owned(), RULES.trim_start().to_owned())]).unwrap();
        let exception = |rule_id: &str, selection: Json| model::exception::Exception {
            id: "e".to_owned(),
            tenant: Tenant::default(),
            rule_id: rule_id.to_owned(),
            selection: selection.as_object().cloned().unwrap_or_default(),
            query: selection.as_str().map(str::to_owned),
            reason: "why".to_owned(),
            author: "user:ann".to_owned(),
            created_at: Timestamp(0),
            expires_at: None,
        };
        let deployed = Deployed {
            exceptions: vec![
                exception("absent", json!({"host.name": "h1"})),
                exception("keywords", json!("host.name:h2 OR user.name:*")),
                exception("many", json!("host.name:h0")),
            ],
            ..Deployed::default()
        };
        let (plan, errors) = Plan::new(
            &Tenant::default(),
            rules,
            correlations,
            &filters,
            &deployed,
            Catalog::builtin(),
        );
        assert!(errors.is_empty(), "{errors:?}");
        plan
    }

    fn shown(plan: &Plan, part: Part) -> (u64, u64, u64, Json) {
        let counts = (part.events, part.hits, part.excepted);
        let mut total = Total::new(plan, 1000, false);
        total.add(part);
        let tally = serde_json::to_value(total.tally()).unwrap();
        (counts.0, counts.1, counts.2, tally)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]

        #[test]
        fn columns_and_rows_give_the_same_alerts(
            mut events in prop::collection::vec(event(), 1..40),
            from in proptest::option::of(0_i64..200),
        ) {
            for (event, seq) in events.iter_mut().zip(0..) {
                event.id.seq = seq;
            }
            let plan = plan();
            let span = Span {
                tenant: Tenant::default(),
                from: from.map(|second| Timestamp(1_700_000_000_000_000 + second * 1_000_000)),
                to: None,
            };
            let bytes = block::encode(&events).unwrap().bytes;
            let block = Block::open(&bytes).unwrap();
            let by_column = plan.evaluate(&block, &span).unwrap();
            let by_row = plan.evaluate_each(&block, &span, &mut Scratch::new()).unwrap();
            prop_assert_eq!(shown(&plan, by_column), shown(&plan, by_row));
        }
    }

    #[test]
    fn only_columns_that_rules_read_are_decoded() {
        let yaml = "id: r\ntitle: T\nlogsource: {product: linux}\ndetection: {s: {a: 1}, condition: s}\n";
        let (set, _) = RuleSet::compile(vec![sigma::parse_rules("r", yaml).remove(0).unwrap()]);
        let mut fields = Fields::new();
        for name in ["host.os.type", "a", "b", "c", "d", "message"] {
            fields.insert(name, "linux");
        }
        let id = EventId {
            source: SourceId::named("test", "replay"),
            epoch: Epoch(1),
            seq: 1,
        };
        let event = Event {
            id,
            timestamp: Timestamp(1),
            fields,
        };
        let bytes = block::encode(&[event]).unwrap().bytes;
        let block = Block::open(&bytes).unwrap();
        let columns = columns::of(&block).unwrap().unwrap();
        let never = columns::find(&set, &columns, |_| false, &mut Scratch::new());
        assert_eq!(columns.decoded(), 0);
        let found = columns::find(&set, &columns, |_| true, &mut Scratch::new());
        assert_eq!(found.unwrap().unwrap().events, 1);
        assert!((1..=3).contains(&columns.decoded()), "{}", columns.decoded());
        assert_eq!(never.unwrap().unwrap().events, 0);
    }
}
