//! The indicators in memory, and which of them an event matches.

use std::net::IpAddr;
use std::sync::Arc;

use model::indicator::{Indicator, IndicatorType};
use model::{Event, Tenant, Timestamp, Value, ecs};
use rustc_hash::FxHashMap;

use super::observables::{Observable, Wanted, scan};

/// Most indicators one event is reported to match; further ones are counted. Without it one line that lists a whole
/// feed would cause as many alerts, each with that line in it.
pub(crate) const MAX_HITS: usize = 32;

/// Deepest nesting of lists that is looked into.
const MAX_LIST_DEPTH: usize = model::event::MAX_DEPTH;

/// Every tenant's indicators.
#[derive(Clone, Debug, Default)]
pub(crate) struct IndicatorSet {
    tenants: FxHashMap<Tenant, Arc<TenantSet>>,
    count: usize,
}

/// One tenant's indicators by what they name.
#[derive(Clone, Debug, Default)]
pub(crate) struct TenantSet {
    ips: FxHashMap<IpAddr, Arc<Indicator>>,
    domains: FxHashMap<Box<str>, Arc<Indicator>>,
    hashes: FxHashMap<Box<str>, Arc<Indicator>>,
    /// Labels of the longest domain: no longer suffix of a name needs to be looked up.
    most_labels: usize,
}

/// An indicator in an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Hit {
    pub(crate) indicator: Arc<Indicator>,
    /// Name of the field.
    pub(crate) field: String,
}

/// What [`TenantSet::matches`] found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Hits {
    /// One for each indicator, at most [`MAX_HITS`].
    pub(crate) hits: Vec<Hit>,
    /// Matches beyond that.
    pub(crate) dropped: usize,
}

impl IndicatorSet {
    /// This set with some indicators added or replaced. Values that do not have the form of their type are left out.
    pub(crate) fn with(&self, changed: Vec<Indicator>) -> Self {
        let mut next = self.clone();
        let mut by_tenant: FxHashMap<Tenant, Vec<Indicator>> = FxHashMap::default();
        for indicator in changed {
            by_tenant.entry(indicator.tenant.clone()).or_default().push(indicator);
        }
        for (tenant, indicators) in by_tenant {
            let set = Arc::make_mut(next.tenants.entry(tenant).or_default());
            for indicator in indicators {
                next.count += usize::from(set.put(indicator));
            }
        }
        next
    }

    /// Whether this very indicator is in the set.
    pub(crate) fn contains(&self, indicator: &Indicator) -> bool {
        let Some(set) = self.tenants.get(&indicator.tenant) else {
            return false;
        };
        let known = match indicator.kind {
            IndicatorType::Ip => indicator.value.parse().ok().and_then(|ip: IpAddr| set.ips.get(&ip)),
            IndicatorType::Domain => set.domains.get(indicator.value.as_str()),
            IndicatorType::Sha256 => set.hashes.get(indicator.value.as_str()),
            IndicatorType::Url | IndicatorType::Md5 | IndicatorType::Sha1 | IndicatorType::Email => None,
        };
        known.is_some_and(|known| **known == *indicator)
    }

    /// How many indicators there are.
    pub(crate) fn len(&self) -> usize {
        self.count
    }

    /// The indicators of a tenant; `None` when there are none.
    pub(crate) fn tenant(&self, tenant: &Tenant) -> Option<&Arc<TenantSet>> {
        self.tenants.get(tenant)
    }
}

impl TenantSet {
    /// Returns whether the value is new.
    fn put(&mut self, indicator: Indicator) -> bool {
        let value = indicator.value.clone();
        let indicator = Arc::new(indicator);
        match indicator.kind {
            IndicatorType::Ip => {
                let Ok(ip) = value.parse::<IpAddr>() else { return false };
                self.ips.insert(ip.to_canonical(), indicator).is_none()
            }
            IndicatorType::Domain => {
                self.most_labels = self.most_labels.max(value.split('.').count());
                self.domains.insert(value.into(), indicator).is_none()
            }
            IndicatorType::Sha256 => self.hashes.insert(value.into(), indicator).is_none(),
            IndicatorType::Url | IndicatorType::Md5 | IndicatorType::Sha1 | IndicatorType::Email => false,
        }
    }

    /// The indicators that occur in any text of the event and were valid when the event happened. The event's own time
    /// decides, not the clock, so that the same events give the same alerts whenever they are looked at.
    ///
    /// A hit names the field it was found in; a parsed field is preferred to the whole line.
    pub(crate) fn matches(&self, event: &Event) -> Hits {
        let wanted = Wanted {
            ips: !self.ips.is_empty(),
            domains: !self.domains.is_empty(),
            hashes: !self.hashes.is_empty(),
        };
        let mut hits = Hits::default();
        if wanted == Wanted::default() {
            return hits;
        }
        let mut lower = String::new();
        for (name, value) in event.fields.iter() {
            each_text(value, 0, &mut |text| {
                scan(text, wanted, &mut |observable| {
                    self.look_up(observable, &mut lower, &mut |indicator| {
                        hits.add(indicator, name, event.timestamp);
                    });
                });
            });
        }
        hits
    }

    fn look_up(&self, observable: Observable<'_>, lower: &mut String, found: &mut impl FnMut(&Arc<Indicator>)) {
        match observable {
            Observable::Ip(ip) => {
                if let Some(indicator) = self.ips.get(&ip) {
                    found(indicator);
                }
            }
            Observable::Sha256(hash) => {
                if let Some(indicator) = self.hashes.get(lowered(hash, lower)) {
                    found(indicator);
                }
            }
            Observable::Domain(name) => {
                let mut suffix = lowered(name, lower);
                let mut labels = suffix.bytes().filter(|byte| *byte == b'.').count() + 1;
                loop {
                    if labels <= self.most_labels
                        && let Some(indicator) = self.domains.get(suffix)
                    {
                        found(indicator);
                    }
                    match suffix.split_once('.') {
                        Some((_, rest)) if labels > 2 => suffix = rest,
                        _ => return,
                    }
                    labels -= 1;
                }
            }
        }
    }
}

impl Hits {
    fn add(&mut self, indicator: &Arc<Indicator>, field: &str, at: Timestamp) {
        if indicator.valid_until.is_some_and(|until| at > until) {
            return;
        }
        if let Some(known) = self.hits.iter_mut().find(|hit| Arc::ptr_eq(&hit.indicator, indicator)) {
            if is_whole_line(&known.field) && !is_whole_line(field) {
                field.clone_into(&mut known.field);
            }
        } else if self.hits.len() < MAX_HITS {
            self.hits.push(Hit {
                indicator: Arc::clone(indicator),
                field: field.to_owned(),
            });
        } else {
            self.dropped += 1;
        }
    }
}

fn is_whole_line(field: &str) -> bool {
    field == ecs::MESSAGE || field == ecs::EVENT_ORIGINAL
}

/// `text` with its letters lower-cased, in `buffer` only if it has any upper-case ones.
fn lowered<'a>(text: &'a str, buffer: &'a mut String) -> &'a str {
    if text.bytes().any(|byte| byte.is_ascii_uppercase()) {
        buffer.clear();
        buffer.push_str(text);
        buffer.make_ascii_lowercase();
        buffer
    } else {
        text
    }
}

/// Every text in a value, through lists.
pub(crate) fn each_text<'a>(value: &'a Value, depth: usize, each: &mut impl FnMut(&'a str)) {
    match value {
        Value::Str(text) => each(text),
        Value::List(values) if depth < MAX_LIST_DEPTH => {
            for value in values {
                each_text(value, depth + 1, each);
            }
        }
        Value::List(_) | Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use model::{Epoch, EventId, Fields, SourceId};

    use super::*;

    fn indicator(kind: IndicatorType, value: &str) -> Indicator {
        Indicator::new(Tenant::default(), kind, value, "test", Timestamp(0)).unwrap()
    }

    fn event(fields: &[(&'static str, Value)]) -> Event {
        Event {
            id: EventId {
                source: SourceId::named("test", "set"),
                epoch: Epoch(1),
                seq: 1,
            },
            timestamp: Timestamp(1000),
            fields: fields
                .iter()
                .map(|(name, value)| ((*name).into(), value.clone()))
                .collect::<Fields>(),
        }
    }

    fn matches(indicators: Vec<Indicator>, event: &Event) -> Vec<String> {
        let set = IndicatorSet::default().with(indicators);
        let hits = set.tenant(&Tenant::default()).unwrap().matches(event);
        let text = |hit: &Hit| format!("{} {} in {}", hit.indicator.kind, hit.indicator.value, hit.field);
        hits.hits.iter().map(text).collect()
    }

    #[test]
    fn each_kind_matches_in_lines_fields_and_lists_once() {
        let hash = "ab".repeat(32);
        let all = vec![
            indicator(IndicatorType::Ip, "203.0.113.7"),
            indicator(IndicatorType::Ip, "2001:db8::1"),
            indicator(IndicatorType::Domain, "evil.example"),
            indicator(IndicatorType::Sha256, &hash),
        ];
        let event = event(&[
            ("message", "203.0.113.7 asked for a.b.EVIL.example".into()),
            ("source.ip", "203.0.113.7".into()),
            (
                "x.list",
                Value::List(vec![1.into(), hash.to_ascii_uppercase().into(), "2001:DB8:0::1".into()]),
            ),
        ]);
        assert_eq!(
            matches(all, &event),
            [
                "ip 203.0.113.7 in source.ip".to_owned(),
                "domain evil.example in message".to_owned(),
                format!("sha256 {hash} in x.list"),
                "ip 2001:db8::1 in x.list".to_owned(),
            ]
        );
    }

    #[test]
    fn a_domain_covers_its_subdomains_and_nothing_else() {
        for (text, hit) in [
            ("evil.example", true),
            ("www.evil.example.", true),
            ("notevil.example", false),
            ("evil.example.org", false),
            ("example", false),
            ("evil-example", false),
        ] {
            let found = matches(
                vec![indicator(IndicatorType::Domain, "evil.example")],
                &event(&[("m", text.into())]),
            );
            assert_eq!(found.len(), usize::from(hit), "{text}");
        }
    }

    #[test]
    fn validity_ends_by_the_events_own_time() {
        for (until, hit) in [(999, false), (1000, true), (1001, true)] {
            let mut ends = indicator(IndicatorType::Ip, "10.0.0.1");
            ends.valid_until = Some(Timestamp(until));
            assert_eq!(
                matches(vec![ends], &event(&[("m", "10.0.0.1".into())])).len(),
                usize::from(hit),
                "{until}"
            );
        }
    }

    #[test]
    fn a_line_that_lists_a_whole_feed_is_bounded() {
        let all: Vec<Indicator> = (0..200)
            .map(|n| indicator(IndicatorType::Ip, &format!("10.0.0.{n}")))
            .collect();
        let line: Vec<&str> = all.iter().map(|indicator| indicator.value.as_str()).collect();
        let set = IndicatorSet::default().with(all.clone());
        let hits = set
            .tenant(&Tenant::default())
            .unwrap()
            .matches(&event(&[("m", line.join(" ").into())]));
        assert_eq!((hits.hits.len(), hits.dropped), (MAX_HITS, 200 - MAX_HITS));
    }

    #[test]
    fn changes_replace_and_leave_other_tenants_alone() {
        let one = IndicatorSet::default().with(vec![indicator(IndicatorType::Ip, "10.0.0.1")]);
        let mut again = indicator(IndicatorType::Ip, "10.0.0.1");
        again.source = "other".to_owned();
        let mut foreign = indicator(IndicatorType::Ip, "10.0.0.2");
        foreign.tenant = "acme".parse().unwrap();
        let two = one.with(vec![again, foreign]);
        assert_eq!((one.len(), two.len()), (1, 2));
        let hits = two
            .tenant(&Tenant::default())
            .unwrap()
            .matches(&event(&[("m", "10.0.0.1 10.0.0.2".into())]));
        assert_eq!(hits.hits.len(), 1);
        assert_eq!(hits.hits[0].indicator.source, "other");
    }
}
