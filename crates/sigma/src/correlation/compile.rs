//! All correlations of a rule set, with what each rule gives to them.

use std::collections::BTreeMap;

use model::{Event, Tenant};

use crate::ast::Field;
use crate::correlation::compiled::Compiled;
use crate::correlation::contribution::{Contribution, Entry, GroupKey, Origin, StateKey, Values};
use crate::correlation::definition::{Condition, Correlation, CorrelationKind};
use crate::correlation::expression::bit;
use crate::correlation::fields::{self, Lost};
use crate::correlation::resolve::{self, Target};
use crate::correlation::state::WindowState;
use crate::error::RuleError;
use crate::logsource::Catalog;
use crate::pattern::fold;
use crate::rule::Rule;

/// All correlations of a rule set. Immutable. One that is over another comes after it.
#[derive(Clone, Debug, Default)]
pub struct Correlations {
    all: Vec<Compiled>,
    /// By position of the rule.
    by_rule: Vec<Vec<RuleUse>>,
    /// By position of the correlation.
    by_correlation: Vec<Vec<CorrelationUse>>,
    silenced: Vec<bool>,
}

/// What one rule gives to one correlation.
#[derive(Clone, Debug)]
struct RuleUse {
    correlation: usize,
    rules: u64,
    group: Vec<Field>,
    values: Measured,
}

#[derive(Clone, Debug)]
enum Measured {
    Nothing,
    Texts(Vec<Field>),
    Number(Field),
}

/// What the alerts of one correlation give to another.
#[derive(Clone, Debug)]
struct CorrelationUse {
    correlation: usize,
    rules: u64,
    /// Where in the inner correlation's group the values are.
    group: Vec<usize>,
    values: Vec<usize>,
}

impl Correlations {
    /// Compiles correlations over the rules of a rule set, in the order of [`RuleSet::rules`](crate::RuleSet::rules).
    /// Those that cannot be used are left out and said why, with all that are over them.
    #[must_use]
    pub fn compile(correlations: Vec<Correlation>, rules: &[Rule]) -> (Self, Vec<RuleError>) {
        Self::compile_with(correlations, rules, Catalog::builtin())
    }

    /// Like [`Self::compile`], with field names as a catalog has them.
    #[must_use]
    pub fn compile_with(correlations: Vec<Correlation>, rules: &[Rule], catalog: &Catalog) -> (Self, Vec<RuleError>) {
        let (resolved, errors) = resolve::resolve(correlations, rules);
        let mut compiled = Self {
            all: Vec::with_capacity(resolved.len()),
            by_rule: vec![Vec::new(); rules.len()],
            by_correlation: vec![Vec::new(); resolved.len()],
            silenced: vec![false; rules.len()],
        };
        let mut kept_silent = vec![None; resolved.len()];
        let mut rules_kept_silent = vec![None; rules.len()];
        for (position, (correlation, targets)) in resolved.into_iter().enumerate() {
            let mut worst = None;
            for (target, bits) in by_target(&targets) {
                let generates = correlation.generate;
                let (level, silent) = match target {
                    Target::Rule(rule) => {
                        compiled.use_rule(&correlation, position, rule, bits, rules, catalog);
                        (rules.get(rule).map(|rule| rule.level), rules_kept_silent.get_mut(rule))
                    }
                    Target::Correlation(inner) => {
                        compiled.use_correlation(&correlation, position, inner, bits);
                        (compiled.all.get(inner).map(Compiled::level), kept_silent.get_mut(inner))
                    }
                };
                worst = worst.max(level);
                if let Some(silent) = silent {
                    *silent = Some(silent.unwrap_or(true) && !generates);
                }
            }
            let is_inner = |target: &Target| matches!(target, Target::Correlation(_));
            let places = targets.iter().enumerate().filter(|(_, target)| is_inner(target));
            let inner = places.fold(0, |bits, (place, _)| bits | bit(place));
            let mut ready = Compiled::new(correlation, inner);
            if let Some(worst) = worst.filter(|_| !ready.definition.has_level) {
                ready.level = worst;
            }
            compiled.all.push(ready);
        }
        for (silenced, silent) in compiled.silenced.iter_mut().zip(rules_kept_silent) {
            *silenced = silent.unwrap_or(false);
        }
        for (ready, silent) in compiled.all.iter_mut().zip(kept_silent) {
            ready.silenced = silent.unwrap_or(false);
        }
        (compiled, errors)
    }

    fn use_rule(
        &mut self,
        correlation: &Correlation,
        position: usize,
        rule: usize,
        bits: u64,
        rules: &[Rule],
        catalog: &Catalog,
    ) {
        let (Some(base), Some(uses)) = (rules.get(rule), self.by_rule.get_mut(rule)) else {
            return;
        };
        let field = |name: &String| catalog.field_of(base, resolve::aliased(correlation, name, &base.metadata));
        let measured: Vec<Field> = measured_fields(correlation).iter().map(field).collect();
        uses.push(RuleUse {
            correlation: position,
            rules: bits,
            group: correlation.group_by.iter().map(field).collect(),
            values: match measured.as_slice() {
                [] => Measured::Nothing,
                [one] if is_numeric(correlation) => Measured::Number(one.clone()),
                _ => Measured::Texts(measured),
            },
        });
    }

    fn use_correlation(&mut self, correlation: &Correlation, position: usize, inner: usize, bits: u64) {
        let Some(compiled) = self.all.get(inner) else { return };
        let inner_group = &compiled.definition.group_by;
        let places = |names: &[String]| {
            let metadata = &compiled.definition.metadata;
            names
                .iter()
                .filter_map(|name| {
                    let name = resolve::aliased(correlation, name, metadata);
                    inner_group.iter().position(|field| field == name)
                })
                .collect()
        };
        let uses = CorrelationUse {
            correlation: position,
            rules: bits,
            group: places(&correlation.group_by),
            values: places(measured_fields(correlation)),
        };
        if let Some(list) = self.by_correlation.get_mut(inner) {
            list.push(uses);
        }
    }

    /// All correlations. A [`StateKey`] names them by their position.
    #[must_use]
    pub fn all(&self) -> &[Compiled] {
        &self.all
    }

    /// One of them.
    #[must_use]
    pub fn get(&self, correlation: usize) -> Option<&Compiled> {
        self.all.get(correlation)
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Whether any correlation is over the rule at this position.
    #[must_use]
    pub fn uses(&self, rule: usize) -> bool {
        self.by_rule.get(rule).is_some_and(|uses| !uses.is_empty())
    }

    /// Whether the rule at this position only serves correlations and makes no alerts of its own.
    #[must_use]
    pub fn silenced(&self, rule: usize) -> bool {
        self.silenced.get(rule).copied().unwrap_or(false)
    }

    /// Appends what an event that the rule at this position matched gives to correlations.
    pub fn contributions(&self, rule: usize, event: &Event, out: &mut Vec<Contribution>) -> Lost {
        self.contributions_where(rule, event, |_| true, out)
    }

    /// Like [`Self::contributions`], of one correlation only.
    pub fn contributions_to(
        &self,
        correlation: usize,
        rule: usize,
        event: &Event,
        out: &mut Vec<Contribution>,
    ) -> Lost {
        self.contributions_where(rule, event, |wanted| wanted == correlation, out)
    }

    /// Like [`Self::contributions`], of those correlations that are wanted, by position.
    pub fn contributions_where(
        &self,
        rule: usize,
        event: &Event,
        wanted: impl Fn(usize) -> bool,
        out: &mut Vec<Contribution>,
    ) -> Lost {
        let mut lost = Lost::default();
        let uses = self.by_rule.get(rule).into_iter().flatten();
        for uses in uses.filter(|uses| wanted(uses.correlation)) {
            let Some(compiled) = self.all.get(uses.correlation) else {
                continue;
            };
            let (groups, groups_cut) = fields::combinations(event, &uses.group);
            if groups.is_empty() {
                lost.no_group += 1;
                continue;
            }
            let (values, values_cut) = match &uses.values {
                Measured::Nothing => (Values::None, false),
                Measured::Texts(fields) => fields::texts(event, fields),
                Measured::Number(field) => fields::numbers(event, field),
            };
            let has_value = match &values {
                Values::None => true,
                Values::Texts(texts) => !texts.is_empty(),
                Values::Numbers(numbers) => !numbers.is_empty(),
            };
            if !has_value {
                lost.no_value += 1;
                continue;
            }
            lost.cut += usize::from(groups_cut || values_cut);
            for group in groups {
                out.push(Contribution {
                    key: compiled.key(uses.correlation, GroupKey::of(&group), event.timestamp),
                    group,
                    origin: Origin::Event(event.id),
                    entry: Entry {
                        time: event.timestamp,
                        rules: uses.rules,
                        values: values.clone(),
                        version: 0,
                        gone: false,
                    },
                });
            }
        }
        lost
    }

    /// Appends what the verdict that is announced in a state gives to other correlations: the alert where it is, and
    /// that it is gone where it was. Giving it again is harmless, so it is to be given before the work is marked done.
    pub fn chained(&self, key: &StateKey, state: &WindowState, tenant: &Tenant, out: &mut Vec<Contribution>) {
        let Some((inner, announced)) = self.all.get(key.correlation).zip(state.announced.as_ref()) else {
            return;
        };
        let uses = self.by_correlation.get(key.correlation).into_iter().flatten();
        for (uses, compiled) in uses.filter_map(|uses| Some((uses, self.all.get(uses.correlation)?))) {
            let pick = |places: &[usize]| -> Vec<String> {
                places
                    .iter()
                    .map(|place| fold(state.group.get(*place).map_or("", String::as_str)))
                    .collect()
            };
            let (group, values) = (pick(&uses.group), pick(&uses.values));
            let current = announced.finding.as_ref().map(|finding| finding.trigger);
            let former = announced.former.iter().map(|time| (*time, true));
            for (time, gone) in former.chain(current.map(|time| (time, false))) {
                let target = compiled.key(uses.correlation, GroupKey::of(&group), time);
                // Where the alert is now in the same window as before, one entry says both.
                if gone && current.is_some_and(|now| compiled.window_of(now) == target.window) {
                    continue;
                }
                out.push(Contribution {
                    key: target,
                    group: group.clone(),
                    origin: Origin::Alert(inner.alert_id(tenant, &key.group, key.window)),
                    entry: Entry {
                        time,
                        rules: uses.rules,
                        values: chained_values(&compiled.definition, &values),
                        // Events have version 0, and a verdict without any change cannot be.
                        version: announced.version.max(1),
                        gone,
                    },
                });
            }
        }
    }
}

fn chained_values(definition: &Correlation, values: &[String]) -> Values {
    if values.is_empty() {
        return Values::None;
    }
    if is_numeric(definition) {
        let number = values.first().and_then(|text| text.trim().parse::<f64>().ok());
        return Values::Numbers(number.into_iter().filter(|number| number.is_finite()).collect());
    }
    Values::Texts(vec![fields::joined(values)])
}

/// Different targets with the bits of their places in the correlation's list.
fn by_target(targets: &[Target]) -> BTreeMap<Target, u64> {
    let mut bits = BTreeMap::new();
    for (position, target) in targets.iter().enumerate() {
        *bits.entry(*target).or_default() |= bit(position);
    }
    bits
}

pub(crate) fn measured_fields(correlation: &Correlation) -> &[String] {
    match &correlation.condition {
        Condition::Bounds { field, .. } => field,
        Condition::Rules(_) => &[],
    }
}

fn is_numeric(correlation: &Correlation) -> bool {
    match correlation.kind {
        CorrelationKind::ValueSum | CorrelationKind::ValueAvg | CorrelationKind::ValueMedian => true,
        CorrelationKind::ValuePercentile => matches!(
            correlation.condition,
            Condition::Bounds {
                percentile: Some(_),
                ..
            }
        ),
        CorrelationKind::EventCount
        | CorrelationKind::ValueCount
        | CorrelationKind::Temporal
        | CorrelationKind::TemporalOrdered => false,
    }
}
