//! A plain second implementation: it has all events at once, sorts them, and looks at every window.

use std::collections::{BTreeMap, BTreeSet};

use model::{Event, Tenant, Value};
use sigma::correlation::{
    Bound, BoundOp, Condition, Correlation, CorrelationKind, Correlations, GroupKey, Origin, RuleExpr,
};

use crate::generate::{RULES, kinds};

const SECOND: i64 = 1_000_000;

/// What an alert says: correlation, group, window, trigger in microseconds, the number.
pub(crate) type Seen = (String, Vec<String>, i64, i64, u64);

#[derive(Clone, Debug)]
struct Item {
    origin: Origin,
    time: i64,
    rules: BTreeSet<usize>,
    values: Vec<Value>,
}

fn elements(event: &Event, field: &str) -> Vec<String> {
    let texts: Vec<String> = match event.fields.get(field) {
        None => Vec::new(),
        Some(Value::List(values)) => values.iter().map(|value| value.to_text().to_lowercase()).collect(),
        Some(value) => vec![value.to_text().to_lowercase()],
    };
    texts
}

fn combine(event: &Event, fields: &[String]) -> Vec<Vec<String>> {
    let mut all = vec![Vec::new()];
    for field in fields {
        let mut next = Vec::new();
        for start in &all {
            for element in elements(event, field) {
                let mut longer: Vec<String> = start.clone();
                longer.push(element);
                next.push(longer);
            }
        }
        all = next;
    }
    all
}

fn is_numeric(correlation: &Correlation) -> bool {
    matches!(
        correlation.kind,
        CorrelationKind::ValueSum | CorrelationKind::ValueAvg | CorrelationKind::ValueMedian
    ) || matches!(
        correlation.condition,
        Condition::Bounds {
            percentile: Some(_),
            ..
        }
    )
}

/// Alerts of every correlation, silent ones included.
pub(crate) fn alerts(correlations: &Correlations, events: &[Event]) -> BTreeSet<Seen> {
    let (keys, no_key) = (keys(correlations, events), GroupKey::from_bytes([0; 16]));
    let mut all = BTreeSet::new();
    let mut by_id: BTreeMap<String, Vec<(Origin, Vec<String>, i64)>> = BTreeMap::new();
    for compiled in correlations.all() {
        let correlation = compiled.definition();
        let mut groups: BTreeMap<Vec<String>, BTreeMap<Origin, Item>> = BTreeMap::new();
        for event in events {
            let rules: BTreeSet<usize> = kinds(event)
                .into_iter()
                .filter_map(|kind| correlation.rules.iter().position(|rule| rule == RULES[kind]))
                .collect();
            let values: Vec<Value> = match &correlation.condition {
                Condition::Bounds { field, .. } if is_numeric(correlation) => elements(event, &field[0])
                    .iter()
                    .filter_map(|text| text.parse().ok())
                    .map(Value::Int)
                    .collect(),
                Condition::Bounds { field, .. } if !field.is_empty() => combine(event, field)
                    .iter()
                    .map(|values| Value::from(values.join(" | ")))
                    .collect(),
                Condition::Bounds { .. } | Condition::Rules(_) => vec![Value::Null],
            };
            if rules.is_empty() || values.is_empty() {
                continue;
            }
            for group in combine(event, &correlation.group_by) {
                let origin = Origin::Event(event.id);
                let item = Item {
                    origin: origin.clone(),
                    time: event.timestamp.0,
                    rules: rules.clone(),
                    values: values.clone(),
                };
                groups.entry(group).or_default().insert(origin, item);
            }
        }
        for (position, reference) in correlation.rules.iter().enumerate() {
            for (origin, inner_group, time) in by_id.get(reference).into_iter().flatten() {
                let inner = correlations
                    .all()
                    .iter()
                    .find(|inner| inner.definition().id == *reference)
                    .unwrap();
                let place = |name: &String| {
                    inner
                        .definition()
                        .group_by
                        .iter()
                        .position(|field| field == name)
                        .unwrap()
                };
                let group = correlation
                    .group_by
                    .iter()
                    .map(|name| inner_group[place(name)].clone())
                    .collect();
                let item = Item {
                    origin: origin.clone(),
                    time: *time,
                    rules: [position].into(),
                    values: vec![Value::Null],
                };
                groups.entry(group).or_default().insert(origin.clone(), item);
            }
        }
        let timespan = correlation.timespan.seconds() * SECOND;
        for (group, items) in groups {
            let mut items: Vec<Item> = items.into_values().collect();
            items.sort_by(|left, right| (left.time, &left.origin).cmp(&(right.time, &right.origin)));
            let windows: BTreeSet<i64> = items.iter().map(|item| item.time.div_euclid(timespan)).collect();
            for window in windows {
                if let Some((trigger, value)) = judge(correlation, &items, window, timespan) {
                    let id = compiled.alert_id(&Tenant::default(), keys.get(&group).unwrap_or(&no_key), window);
                    by_id
                        .entry(correlation.id.clone())
                        .or_default()
                        .push((Origin::Alert(id), group.clone(), trigger));
                    all.insert((correlation.id.clone(), group.clone(), window, trigger, value.to_bits()));
                }
            }
        }
    }
    all
}

/// The keys the implementation uses, by folded values: alerts among contributions are ordered by their ids.
fn keys(correlations: &Correlations, events: &[Event]) -> BTreeMap<Vec<String>, GroupKey> {
    let mut contributions = Vec::new();
    for event in events {
        for kind in kinds(event) {
            correlations.contributions(kind, event, &mut contributions);
        }
    }
    let folded = |group: &[String]| group.iter().map(|value| value.to_lowercase()).collect();
    contributions
        .into_iter()
        .map(|one| (folded(&one.group), one.key.group))
        .collect()
}

fn judge(correlation: &Correlation, items: &[Item], window: i64, timespan: i64) -> Option<(i64, f64)> {
    let this: Vec<&Item> = items
        .iter()
        .filter(|item| item.time.div_euclid(timespan) == window)
        .collect();
    let lookback = |time: i64| -> Vec<&Item> {
        items
            .iter()
            .filter(|item| item.time <= time && item.time >= time - timespan)
            .collect()
    };
    match &correlation.condition {
        Condition::Rules(expr) => this.iter().find_map(|trigger| {
            let absent = |rule: usize| {
                !items
                    .iter()
                    .any(|item| (item.time - trigger.time).abs() <= timespan && item.rules.contains(&rule))
            };
            let before = lookback(trigger.time);
            if correlation.kind == CorrelationKind::TemporalOrdered {
                let chains = chains(&before, trigger);
                let found = chains
                    .iter()
                    .any(|chain| holds(expr, &|rule| chain.contains(&rule), &absent));
                let upto = before
                    .iter()
                    .take_while(|item| item.origin != trigger.origin)
                    .chain([trigger]);
                let matched: BTreeSet<usize> = upto.flat_map(|item| item.rules.iter().copied()).collect();
                return found.then_some((trigger.time, matched.len() as f64));
            }
            let matched: BTreeSet<usize> = before.iter().flat_map(|item| item.rules.iter().copied()).collect();
            let wanted = wanted(expr);
            let counts = trigger.rules.iter().any(|rule| wanted.contains(rule));
            let found = counts && holds(expr, &|rule| matched.contains(&rule), &absent);
            found.then(|| (trigger.time, matched.intersection(&wanted).count() as f64))
        }),
        Condition::Bounds { bounds, percentile, .. } => {
            if correlation.kind == CorrelationKind::TemporalOrdered {
                return this.iter().find_map(|trigger| {
                    let before = lookback(trigger.time);
                    let longest = chains(&before, trigger).iter().map(BTreeSet::len).max().unwrap_or(0);
                    let upto = before
                        .iter()
                        .take_while(|item| item.origin != trigger.origin)
                        .chain([trigger]);
                    let matched: BTreeSet<usize> = upto.flat_map(|item| item.rules.iter().copied()).collect();
                    within(bounds, longest as f64).then_some((trigger.time, matched.len() as f64))
                });
            }
            let slides = bounds
                .iter()
                .all(|bound| matches!(bound.op, BoundOp::Gt | BoundOp::Gte))
                && matches!(
                    correlation.kind,
                    CorrelationKind::EventCount
                        | CorrelationKind::ValueCount
                        | CorrelationKind::Temporal
                        | CorrelationKind::ValueSum
                );
            if slides {
                return this.iter().find_map(|trigger| {
                    let number = measure(correlation, *percentile, bounds, &lookback(trigger.time))?;
                    Some((trigger.time, number))
                });
            }
            let number = measure(correlation, *percentile, bounds, &this)?;
            Some((this.last()?.time, number))
        }
    }
}

fn within(bounds: &[Bound], number: f64) -> bool {
    bounds.iter().all(|bound| match bound.op {
        BoundOp::Gt => number > bound.value,
        BoundOp::Gte => number >= bound.value,
        BoundOp::Lt => number < bound.value,
        BoundOp::Lte => number <= bound.value,
        BoundOp::Eq => number == bound.value,
        BoundOp::Neq => number != bound.value,
    })
}

/// The number, when it is within the bounds.
fn measure(correlation: &Correlation, percentile: Option<f64>, bounds: &[Bound], items: &[&Item]) -> Option<f64> {
    let values: Vec<&Value> = items.iter().flat_map(|item| &item.values).collect();
    let mut numbers: Vec<f64> = values
        .iter()
        .filter_map(|value| value.as_i64())
        .map(|number| number as f64)
        .collect();
    numbers.sort_by(f64::total_cmp);
    let number = match correlation.kind {
        CorrelationKind::EventCount => items.len() as f64,
        CorrelationKind::ValueCount => values
            .iter()
            .map(|value| value.to_text())
            .collect::<BTreeSet<_>>()
            .len() as f64,
        CorrelationKind::Temporal | CorrelationKind::TemporalOrdered => {
            items.iter().flat_map(|item| &item.rules).collect::<BTreeSet<_>>().len() as f64
        }
        CorrelationKind::ValueSum => numbers.iter().sum(),
        CorrelationKind::ValueAvg => numbers.iter().sum::<f64>() / numbers.len() as f64,
        CorrelationKind::ValueMedian if numbers.len() % 2 == 1 => numbers[numbers.len() / 2],
        CorrelationKind::ValueMedian => (numbers[numbers.len() / 2 - 1] + numbers[numbers.len() / 2]) / 2.0,
        CorrelationKind::ValuePercentile => match percentile {
            Some(percentile) => {
                let enough = |number: &&f64| {
                    let below = numbers.iter().filter(|other| *other <= *number).count();
                    below as f64 >= percentile / 100.0 * numbers.len() as f64
                };
                *numbers.iter().find(enough)?
            }
            None => {
                let texts: Vec<String> = values.iter().map(|value| value.to_text().into_owned()).collect();
                let mut shares: Vec<f64> = texts
                    .iter()
                    .map(|text| texts.iter().filter(|other| *other == text).count() as f64 * 100.0 / texts.len() as f64)
                    .collect();
                shares.sort_by(f64::total_cmp);
                *shares.iter().find(|share| within(bounds, **share))?
            }
        },
    };
    within(bounds, number).then_some(number)
}

fn wanted(expr: &RuleExpr) -> BTreeSet<usize> {
    match expr {
        RuleExpr::And(terms) | RuleExpr::Or(terms) => terms.iter().flat_map(wanted).collect(),
        RuleExpr::Matched(rule) => [*rule].into(),
        RuleExpr::Absent(_) => BTreeSet::new(),
    }
}

fn holds(expr: &RuleExpr, matched: &dyn Fn(usize) -> bool, absent: &dyn Fn(usize) -> bool) -> bool {
    match expr {
        RuleExpr::And(terms) => terms.iter().all(|term| holds(term, matched, absent)),
        RuleExpr::Or(terms) => terms.iter().any(|term| holds(term, matched, absent)),
        RuleExpr::Matched(rule) => matched(*rule),
        RuleExpr::Absent(rule) => absent(*rule),
    }
}

/// The rules of every chain that ends with `last`: one event each, rules and events in ascending order.
fn chains(items: &[&Item], last: &Item) -> BTreeSet<BTreeSet<usize>> {
    let mut chains: BTreeSet<BTreeSet<usize>> = BTreeSet::new();
    for item in items {
        let longer: BTreeSet<BTreeSet<usize>> = item
            .rules
            .iter()
            .flat_map(|rule| {
                let continued = chains
                    .iter()
                    .filter(|chain| chain.last().is_none_or(|last| last < rule))
                    .cloned();
                continued.chain([BTreeSet::new()]).map(|mut chain| {
                    chain.insert(*rule);
                    chain
                })
            })
            .collect();
        if item.origin == last.origin {
            return longer;
        }
        chains.extend(longer);
    }
    BTreeSet::new()
}
