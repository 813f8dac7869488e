//! Events to alerts: a pure function of the events, the rules and the indicators (and the time written into alerts).

use std::net::IpAddr;
use std::sync::Arc;

use block::{Block, ByColumn, DecodeError};
use intel::observables::{Extractor, Observable, Wanted};
use intel::{Find, Hit, Hits, IndicatorSet, TenantSet};
use model::alert::{Alert, AlertAgent};
use model::{AlertId, Event, Tenant, Timestamp, Value, ecs};
use serde_json::Value as Json;
use sigma::{Profile, Scratch, Seen};

use crate::columns::{self, Traces};
use crate::correlate::findings::Findings;
use crate::intel::alerting::{IntelConfig, alert_indicator};
use crate::rules::compiled::{Compiled, Heading, TenantRules};
use crate::rules::exceptions::Holding;
use crate::rules::usage;

/// Most addresses an alert can be found by.
const MAX_IPS: usize = 64;
/// Alerts handed over at once.
const CHUNK: usize = 1000;
/// The same in bytes of their events' texts, roughly.
const CHUNK_BYTES: usize = 8 << 20;

/// What events are looked at with. One snapshot serves a whole block.
#[derive(Clone)]
pub(crate) struct Evaluator {
    pub(crate) rules: Arc<Compiled>,
    pub(crate) indicators: Arc<IndicatorSet>,
    pub(crate) intel: Arc<IntelConfig>,
}

/// What came of a block.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub(crate) events: usize,
    pub(crate) rule_alerts: usize,
    pub(crate) indicator_alerts: usize,
    /// Indicator matches beyond the limit of one event.
    pub(crate) dropped_hits: usize,
    /// Matches that exceptions kept from alerting.
    pub(crate) excepted: usize,
}

/// Memory that is used again and again, by one block at a time.
#[derive(Debug, Default)]
pub(crate) struct Working {
    scratch: Scratch,
    exceptions: Scratch,
    pub(crate) find: Find,
    positions: Vec<usize>,
    holding: Holding,
    excepted: usize,
    /// What came of the block beside alerts that stand alone.
    pub(crate) findings: Findings,
    /// Whether what rules cost and see is to be counted.
    pub(crate) is_counted: bool,
    /// What was counted.
    pub(crate) profile: Option<Profile>,
    /// What rules met that was not told on this day.
    pub(crate) seen: Vec<Seen>,
    /// The day of the last block, counted from 1970-01-01.
    day: i64,
}

/// Why a block was not evaluated to its end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EvaluateError {
    /// It cannot be read.
    #[error("the block is not readable")]
    Decode(#[from] DecodeError),
    /// Whoever takes the alerts is gone.
    #[error("the evaluation was given up")]
    GivenUp,
}

impl Evaluator {
    /// Evaluates all events of an encoded block. Alerts go to `take` in chunks; it says whether to go on.
    pub(crate) fn block(
        &self,
        tenant: &Tenant,
        body: &[u8],
        processed_at: Timestamp,
        work: &mut Working,
        take: &mut dyn FnMut(Vec<Alert>) -> bool,
    ) -> Result<Outcome, EvaluateError> {
        let block = Block::open(body)?;
        let mut looking = self.looking(tenant, block.len(), processed_at, take);
        let today = processed_at.day();
        if std::mem::replace(&mut work.day, today) != today {
            work.scratch.forget_seen();
        }
        if columns::look(&block, |columns| looking.by_column(columns, work))?.is_none() {
            // By row, what rules meet is known only when it is counted.
            work.is_counted = true;
            looking.by_row(&block.events()?, work);
        }
        looking.end(work)
    }

    fn looking<'a>(
        &'a self,
        tenant: &'a Tenant,
        events: usize,
        processed_at: Timestamp,
        take: &'a mut dyn FnMut(Vec<Alert>) -> bool,
    ) -> Looking<'a> {
        Looking {
            evaluator: self,
            tenant,
            rules: self.rules.tenant(tenant),
            indicators: self.indicators.tenant(tenant).filter(|set| !set.is_empty()),
            processed_at,
            outcome: Outcome {
                events,
                ..Outcome::default()
            },
            sink: Sink {
                alerts: Vec::new(),
                bytes: 0,
                take,
                is_refused: false,
            },
        }
    }

    /// The alerts of an event in which a hunt found these indicators.
    pub(crate) fn hunted(
        &self,
        tenant: &Tenant,
        event: &Event,
        hits: &[Hit],
        processed_at: Timestamp,
        work: &mut Working,
    ) -> Vec<Alert> {
        let mut alerts = Vec::new();
        let mut sink = Sink {
            alerts: Vec::new(),
            bytes: 0,
            take: &mut |chunk| {
                alerts.extend(chunk);
                true
            },
            is_refused: false,
        };
        let mut detections = Detections {
            tenant,
            event,
            processed_at,
            intel: &self.intel,
            is_retroactive: true,
            shared: None,
            sink: &mut sink,
        };
        if !detections.is_excepted(self.rules.tenant(tenant), work) {
            for hit in hits {
                detections.by_hit(hit);
            }
        }
        sink.flush();
        alerts
    }
}

/// A block being looked at.
struct Looking<'a> {
    evaluator: &'a Evaluator,
    tenant: &'a Tenant,
    rules: Option<&'a TenantRules>,
    indicators: Option<&'a Arc<TenantSet>>,
    processed_at: Timestamp,
    outcome: Outcome,
    sink: Sink<'a>,
}

impl Looking<'_> {
    fn begin(&self, work: &mut Working) {
        work.excepted = 0;
        work.findings = Findings::default();
        if work.is_counted {
            work.scratch.start_profile(usage::TIMED);
        }
    }

    /// Puts only those events together in which something is found.
    fn by_column(&mut self, columns: &ByColumn<'_, '_>, work: &mut Working) -> Result<Option<()>, DecodeError> {
        self.begin(work);
        let matches = match self.rules {
            Some(rules) => columns::find(&rules.set, columns, |_| true, &mut work.scratch)?,
            None => Some(columns::Found::default()),
        };
        let Some(matches) = matches else { return Ok(None) };
        let traces = match self.indicators {
            Some(indicators) => Traces::find(indicators, columns, &mut work.find)?,
            None => Traces::default(),
        };
        let mut rows = [matches.rows.as_slice(), traces.rows.as_slice()].concat();
        rows.sort_unstable();
        rows.dedup();
        let events = columns.events_at(&rows)?;
        for (event, row) in events.iter().zip(rows) {
            work.positions.clear();
            work.positions
                .extend(matches.of_row(row).iter().map(|position| *position as usize));
            let found = traces.of_row(columns, row);
            let hits = self.indicators.map(|indicators| {
                let min_confidence = self.evaluator.intel.min_confidence;
                indicators.hits(&found, event.timestamp, min_confidence)
            });
            self.judge(event, &hits.unwrap_or_default(), work);
            if self.sink.is_refused {
                break;
            }
        }
        Ok(Some(()))
    }

    /// Looks at one event after the other.
    fn by_row(&mut self, events: &[Event], work: &mut Working) {
        self.begin(work);
        for event in events {
            work.positions.clear();
            if let Some(rules) = self.rules {
                rules.set.evaluate(event, &mut work.scratch, &mut work.positions);
            }
            let hits = self.indicators.map(|indicators| {
                let min_confidence = self.evaluator.intel.min_confidence;
                indicators.matches(event, min_confidence, &mut work.find)
            });
            self.judge(event, &hits.unwrap_or_default(), work);
            if self.sink.is_refused {
                break;
            }
        }
    }

    /// Takes an event that the rules at the positions in `work` match and in which these indicators are.
    fn judge(&mut self, event: &Event, hits: &Hits, work: &mut Working) {
        let mut detections = Detections {
            tenant: self.tenant,
            event,
            processed_at: self.processed_at,
            intel: &self.evaluator.intel,
            is_retroactive: false,
            shared: None,
            sink: &mut self.sink,
        };
        if let Some(rules) = self.rules {
            self.outcome.rule_alerts += detections.by_rules(rules, work);
        }
        let (alerts, dropped) = detections.by_indicators(hits, self.rules, work);
        self.outcome.indicator_alerts += alerts;
        self.outcome.dropped_hits += dropped;
    }

    fn end(mut self, work: &mut Working) -> Result<Outcome, EvaluateError> {
        self.outcome.excepted = work.excepted;
        work.seen = self
            .rules
            .map(|rules| rules.set.take_seen(&mut work.scratch))
            .unwrap_or_default();
        if work.is_counted {
            work.profile = self.rules.map(|rules| rules.set.take_profile(&mut work.scratch));
            work.scratch.stop_profile();
        }
        self.sink.flush();
        if self.sink.is_refused {
            return Err(EvaluateError::GivenUp);
        }
        Ok(self.outcome)
    }
}

/// Collects alerts and hands them over in bounded chunks.
struct Sink<'a> {
    alerts: Vec<Alert>,
    bytes: usize,
    take: &'a mut dyn FnMut(Vec<Alert>) -> bool,
    is_refused: bool,
}

impl Sink<'_> {
    fn push(&mut self, alert: Alert, bytes: usize) {
        self.alerts.push(alert);
        self.bytes += bytes;
        if self.alerts.len() >= CHUNK || self.bytes >= CHUNK_BYTES {
            self.flush();
        }
    }

    fn flush(&mut self) {
        self.bytes = 0;
        let alerts = std::mem::take(&mut self.alerts);
        if !alerts.is_empty() && !self.is_refused {
            self.is_refused = !(self.take)(alerts);
        }
    }
}

/// One event being looked at.
struct Detections<'a, 't> {
    tenant: &'a Tenant,
    event: &'a Event,
    processed_at: Timestamp,
    intel: &'a IntelConfig,
    /// Whether a hunt looks at it.
    is_retroactive: bool,
    /// What all alerts of the event have in common; made for the first one.
    shared: Option<Shared>,
    sink: &'a mut Sink<'t>,
}

/// What alerts take from their event.
pub(crate) struct Shared {
    pub(crate) event: Json,
    bytes: usize,
    pub(crate) ips: Vec<String>,
    pub(crate) agent: AlertAgent,
}

impl Detections<'_, '_> {
    fn by_rules(&mut self, rules: &TenantRules, work: &mut Working) -> usize {
        if work.positions.is_empty() {
            return 0;
        }
        let exceptions = &rules.exceptions;
        exceptions.holding(self.event, &mut work.exceptions, &mut work.holding);
        let mut found = 0;
        for position in &work.positions {
            let Some(rule) = rules.rules.get(*position) else {
                continue;
            };
            if exceptions.silence(&work.holding, self.event, *position) {
                work.excepted += 1;
                continue;
            }
            found += 1;
            if rules.correlations.uses(*position) {
                let holding = &work.holding;
                let keep = |correlation| !exceptions.keep_from(holding, self.event, correlation, *position);
                work.findings
                    .contribute(&rules.correlations, *position, self.event, keep);
            }
            if rules.correlations.silenced(*position) {
                continue;
            }
            if let Some(folding) = &rule.folding {
                let fold = folding.fold(self.tenant, self.event);
                work.findings.fold(fold, &rule.heading, self.event);
                continue;
            }
            let id = AlertId::single(self.tenant, &rule.heading.rule.id, &self.event.id);
            self.add(id, rule.heading.clone(), None);
        }
        found
    }

    fn by_indicators(&mut self, found: &Hits, rules: Option<&TenantRules>, work: &mut Working) -> (usize, usize) {
        if !found.hits.is_empty() && self.is_excepted(rules, work) {
            work.excepted += found.hits.len();
            return (0, 0);
        }
        for hit in &found.hits {
            self.by_hit(hit);
        }
        (found.hits.len(), found.dropped)
    }

    /// Whether an exception keeps indicators from alerting on the event.
    fn is_excepted(&self, rules: Option<&TenantRules>, work: &mut Working) -> bool {
        let Some(exceptions) = rules.map(|rules| &rules.exceptions) else {
            return false;
        };
        if !exceptions.is_any_general() {
            return false;
        }
        exceptions.holding(self.event, &mut work.exceptions, &mut work.holding);
        exceptions.silence_indicators(&work.holding, self.event)
    }

    fn by_hit(&mut self, hit: &Hit) {
        let id = AlertId::indicator(self.tenant, hit.kind.rule_id(), &hit.value, &self.event.id);
        self.add(id, self.intel.heading(hit), Some(hit));
    }

    fn add(&mut self, id: AlertId, heading: Heading, hit: Option<&Hit>) {
        let shared = self.shared.get_or_insert_with(|| Shared::of(self.event));
        let alert = Alert {
            id,
            tenant: self.tenant.clone(),
            timestamp: self.event.timestamp,
            rule_id: heading.rule.id.clone(),
            rule: heading.rule,
            level: heading.level,
            severity: heading.level.severity().number(),
            attack: heading.attack,
            agent: shared.agent.clone(),
            ips: shared.ips.clone(),
            indicator: hit.map(alert_indicator),
            correlation: None,
            suppression: None,
            retroactive: self.is_retroactive,
            event_id: self.event.id,
            event: shared.event.clone(),
            risk_score: heading.level.risk_score().to_owned(),
            processed_at: self.processed_at,
        };
        self.sink.push(alert, shared.bytes);
    }
}

impl Shared {
    pub(crate) fn of(event: &Event) -> Self {
        let text = |name| event.fields.str(name).map(str::to_owned);
        let mut bytes = 0;
        for (name, value) in event.fields.iter() {
            bytes += name.len() + 16;
            each_text(value, 0, &mut |text| bytes += text.len());
        }
        Self {
            event: event.to_json(),
            bytes,
            ips: ips(event),
            agent: AlertAgent {
                id: text(ecs::AGENT_ID).unwrap_or_default(),
                name: text(ecs::AGENT_NAME)
                    .or_else(|| text(ecs::HOST_NAME))
                    .unwrap_or_default(),
            },
        }
    }
}

/// Addresses anywhere in the event, each once, those of parsed fields before those of the whole line.
fn ips(event: &Event) -> Vec<String> {
    let mut extractor = Extractor::new();
    let mut found: Vec<IpAddr> = Vec::new();
    let is_line = |name: &str| name == ecs::MESSAGE || name == ecs::EVENT_ORIGINAL;
    for lines in [false, true] {
        for (_, value) in event.fields.iter().filter(|(name, _)| is_line(name) == lines) {
            each_text(value, 0, &mut |text| {
                extractor.scan(text, Wanted::IPS, &mut |observable| {
                    if let Observable::Ip(ip) = observable
                        && found.len() < MAX_IPS
                        && !found.contains(&ip)
                    {
                        found.push(ip);
                    }
                });
            });
        }
    }
    found.iter().map(IpAddr::to_string).collect()
}

/// Every text in a value, through lists.
fn each_text<'a>(value: &'a Value, depth: usize, each: &mut impl FnMut(&'a str)) {
    match value {
        Value::Str(text) => each(text),
        Value::List(values) if depth < model::event::MAX_DEPTH => {
            for value in values {
                each_text(value, depth + 1, each);
            }
        }
        Value::List(_) | Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) => {}
    }
}

#[cfg(test)]
mod properties;

#[cfg(test)]
mod tests {
    use model::indicator::{Indicator, IndicatorType};
    use model::rule::{RuleKind, RuleOrigin, StoredRule};
    use model::{Epoch, EventId, Fields, Level, SourceId};

    use super::*;

    const RULE: &str = "id: ssh-failed\ntitle: Failed login\nlevel: high\ntags: [attack.t1110]\n\
        logsource: {product: linux}\ndetection:\n  s: {event.action: ssh_login, event.outcome: failure}\n  condition: s\n";

    fn evaluator(indicators: Vec<Indicator>) -> Evaluator {
        let stored = StoredRule {
            id: "ssh-failed".to_owned(),
            tenant: Tenant::default(),
            kind: RuleKind::Rule,
            title: "Failed login".to_owned(),
            yaml: RULE.to_owned(),
            revision: String::new(),
            path: "a.yml".to_owned(),
            origin: RuleOrigin::Dir,
            level: None,
            tags: Vec::new(),
            logsource: String::new(),
            enabled: true,
            vanished: false,
            note: String::new(),
            updated_at: Timestamp(0),
            updated_by: String::new(),
            error: None,
        };
        let (rules, errors) = Compiled::of(&[stored]);
        assert!(errors.is_empty(), "{errors:?}");
        let mut set = IndicatorSet::default();
        for indicator in &indicators {
            set.put(indicator);
        }
        Evaluator {
            rules: Arc::new(rules),
            indicators: Arc::new(set),
            intel: Arc::default(),
        }
    }

    fn event(seq: u64, outcome: &str) -> Event {
        let mut fields = Fields::new();
        for (name, value) in [
            ("message", "Failed password for root from 203.0.113.7 port 22"),
            ("host.os.type", "linux"),
            ("host.name", "web-1"),
            ("agent.id", "0191d3f0-0000-7000-8000-000000000001"),
            ("event.action", "ssh_login"),
            ("source.ip", "203.0.113.7"),
        ] {
            fields.insert(name, value);
        }
        fields.insert("event.outcome", outcome);
        Event {
            id: EventId {
                source: SourceId::named("test", "evaluate"),
                epoch: Epoch(1),
                seq,
            },
            timestamp: Timestamp(1_700_000_000_000_000),
            fields,
        }
    }

    fn run(evaluator: &Evaluator, events: &[Event]) -> (Outcome, Vec<Alert>) {
        let body = block::encode(events).unwrap().bytes;
        let mut alerts = Vec::new();
        let outcome = evaluator
            .block(
                &Tenant::default(),
                &body,
                Timestamp(5),
                &mut Working::default(),
                &mut |chunk| {
                    assert!(chunk.len() <= CHUNK);
                    alerts.extend(chunk);
                    true
                },
            )
            .unwrap();
        (outcome, alerts)
    }

    #[test]
    fn an_alert_stands_on_its_own() {
        let value = "203.0.113.7";
        let mut indicator = Indicator::new(Tenant::default(), IndicatorType::Ip, value, "feed", Timestamp(0)).unwrap();
        indicator.note = "seen scanning".to_owned();
        let (outcome, alerts) = run(&evaluator(vec![indicator]), &[event(1, "failure"), event(2, "success")]);
        assert_eq!(
            (outcome.events, outcome.rule_alerts, outcome.indicator_alerts),
            (2, 1, 2)
        );
        let [rule, indicator, _] = alerts.as_slice() else {
            panic!("{alerts:?}")
        };
        assert_eq!(
            (rule.rule_id.as_str(), rule.level, rule.severity),
            ("ssh-failed", Level::High, 4)
        );
        assert_eq!(rule.attack.techniques, ["T1110"]);
        assert_eq!((rule.agent.name.as_str(), rule.risk_score.as_str()), ("web-1", "high"));
        assert_eq!(rule.ips, ["203.0.113.7"]);
        assert_eq!(rule.event["source"]["ip"], "203.0.113.7");
        assert_eq!(rule.event["event"]["id"], rule.event_id.to_string());
        assert_eq!(indicator.rule_id, "ti_ip");
        assert_eq!(indicator.rule.title, "Threat intelligence: ip 203.0.113.7");
        assert_eq!(indicator.indicator.as_ref().unwrap().field, "source.ip");
    }

    #[test]
    fn the_same_block_gives_the_same_alerts() {
        let evaluator = evaluator(Vec::new());
        let events: Vec<Event> = (0..2500).map(|seq| event(seq, "failure")).collect();
        let (outcome, once) = run(&evaluator, &events);
        assert_eq!((outcome.rule_alerts, once.len()), (2500, 2500));
        assert_eq!(run(&evaluator, &events).1, once);
    }

    #[test]
    fn other_tenants_have_other_rules_and_rubbish_is_an_error() {
        let evaluator = evaluator(Vec::new());
        let body = block::encode(&[event(1, "failure")]).unwrap().bytes;
        let other: Tenant = "other".parse().unwrap();
        let outcome = evaluator.block(&other, &body, Timestamp(0), &mut Working::default(), &mut |_| true);
        assert_eq!(outcome.unwrap().rule_alerts, 0);
        let rubbish = evaluator.block(&other, b"rubbish", Timestamp(0), &mut Working::default(), &mut |_| true);
        assert!(matches!(rubbish, Err(EvaluateError::Decode(_))));
        let refused = evaluator.block(
            &Tenant::default(),
            &body,
            Timestamp(0),
            &mut Working::default(),
            &mut |_| false,
        );
        assert!(matches!(refused, Err(EvaluateError::GivenUp)));
    }
}
