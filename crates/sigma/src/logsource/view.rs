//! What the catalog knows about one logsource.

use std::borrow::Cow;
use std::sync::{Arc, PoisonError, RwLock};

use rustc_hash::FxHashMap;

use super::claims;
use crate::ast::{Expr, Field, Op};
use crate::pipeline::{Alternatives, Events};
use crate::rule::LogSource;

/// Most fields whose names are remembered.
const MAX_MADE: usize = 10_000;
/// Most names one field has.
const MAX_NAMES: usize = 64;

/// One logsource.
#[derive(Debug)]
pub(super) struct View {
    pub(super) gate: Arc<Expr>,
    /// Other names by the rule's name without spaces.
    fields: FxHashMap<String, Arc<[Arc<str>]>>,
    /// Other names of every field, with a star in the place of its own.
    every: Vec<Arc<str>>,
    /// What was made of `every`, by field.
    made: RwLock<FxHashMap<String, Arc<[Arc<str>]>>>,
}

/// Stands for every field in a mapping, and for the field's name in what it maps to.
const EVERY: &str = "*";

/// A part of a logsource.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Category,
    Product,
    Service,
}

const PARTS: [Part; 3] = [Part::Product, Part::Service, Part::Category];

impl Part {
    fn of(self, logsource: &LogSource) -> Option<&str> {
        match self {
            Self::Category => logsource.category.as_deref(),
            Self::Product => logsource.product.as_deref(),
            Self::Service => logsource.service.as_deref(),
        }
    }

    /// The part a step decides: the most telling it names.
    fn decided_by(logsource: &LogSource) -> Self {
        if logsource.category.is_some() {
            Self::Category
        } else if logsource.service.is_some() {
            Self::Service
        } else {
            Self::Product
        }
    }
}

impl View {
    /// `has_condition` says that a pipeline put a condition in front of the rule, which then decides what nobody knows.
    pub(super) fn new(
        logsource: &LogSource,
        has_condition: bool,
        events: &[Events],
        alternatives: &[Alternatives],
    ) -> Self {
        let mut view = Self {
            gate: Arc::new(Expr::And(Vec::new())),
            fields: fields(logsource, alternatives),
            every: Vec::new(),
            made: RwLock::default(),
        };
        if let Some(every) = view.fields.remove(EVERY) {
            view.every = every.to_vec();
        }
        let parts = PARTS
            .iter()
            .filter_map(|part| gate(*part, logsource, has_condition, events))
            .collect();
        view.gate = Arc::new(view.named(&Expr::And(parts)));
        view
    }

    /// A gate with all names of its fields, but for those that have to be there: that an event has a field of some service
    /// tells of the service, that it has one of the other names of that field tells nothing.
    fn named(&self, gate: &Expr) -> Expr {
        let all = |terms: &[Expr]| terms.iter().map(|term| self.named(term)).collect();
        match gate {
            Expr::And(terms) => Expr::And(all(terms)),
            Expr::Or(terms) => Expr::Or(all(terms)),
            Expr::AtLeast(count, terms) => Expr::AtLeast(*count, all(terms)),
            Expr::Test(test) if test.op == Op::Exists => gate.clone(),
            Expr::Test(_) | Expr::Not(_) => gate.with_fields(&mut |field| self.field(field)),
        }
    }

    /// The field with all its names.
    pub(super) fn field(&self, field: &Field) -> Field {
        let name = if field.name.contains(' ') {
            Cow::Owned(field.name.replace(' ', ""))
        } else {
            Cow::Borrowed(field.name.as_ref())
        };
        let known = self.fields.get(name.as_ref());
        let others = if self.every.is_empty() {
            known.cloned().unwrap_or_default()
        } else {
            self.with_every(&name, known)
        };
        Field {
            name: field.name.clone(),
            others,
        }
    }
}

impl View {
    /// The names of a field and those every field has. Made once a field, as most rules ask for the same few.
    fn with_every(&self, name: &str, known: Option<&Arc<[Arc<str>]>>) -> Arc<[Arc<str>]> {
        let made = self
            .made
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(name)
            .cloned();
        if let Some(made) = made {
            return made;
        }
        let every = self.every.iter().map(|form| Arc::from(form.replace(EVERY, name)));
        let others: Arc<[Arc<str>]> = known
            .iter()
            .flat_map(|known| known.iter().cloned())
            .chain(every)
            .collect();
        let mut made = self.made.write().unwrap_or_else(PoisonError::into_inner);
        if made.len() < MAX_MADE {
            made.insert(name.to_owned(), others.clone());
        }
        others
    }
}

/// Whether a step is for rules of a logsource: a part the rule leaves out could be any.
fn is_for(step: &LogSource, rule: &LogSource) -> bool {
    PARTS.iter().all(|part| {
        let (step, rule) = (part.of(step), part.of(rule));
        step.is_none() || rule.is_none() || step == rule
    })
}

/// The steps that decide a part of a logsource.
fn deciding<'a>(part: Part, logsource: &LogSource, events: &'a [Events]) -> Vec<&'a Events> {
    let decides = |step: &&Events| {
        Part::decided_by(&step.logsource) == part
            && part.of(&step.logsource) == part.of(logsource)
            && is_for(&step.logsource, logsource)
    };
    let mut steps: Vec<&Events> = events.iter().filter(decides).collect();
    if let Some(last) = steps.iter().rposition(|step| step.replace) {
        steps.drain(..last);
    }
    let is_specific = |step: &&&Events| step.logsource.product.is_some();
    if logsource.product.is_some() && steps.iter().any(|step| is_specific(&step)) {
        steps.retain(|step| is_specific(&step));
    }
    steps
}

/// Whether every part of a logsource is decided by a step.
pub(super) fn is_known(logsource: &LogSource, events: &[Events]) -> bool {
    PARTS
        .iter()
        .all(|part| part.of(logsource).is_none() || !deciding(*part, logsource, events).is_empty())
}

fn gate(part: Part, logsource: &LogSource, has_condition: bool, events: &[Events]) -> Option<Expr> {
    let name = part.of(logsource)?;
    let steps = deciding(part, logsource, events);
    if steps.is_empty() && has_condition {
        return None;
    }
    // That a search has no placeholders was checked when it was read.
    let mut any: Vec<Expr> = steps
        .iter()
        .filter_map(|step| step.body.expr("events").ok().flatten())
        .collect();
    if !steps.iter().any(|step| step.closed) {
        any.extend(match part {
            Part::Category => claims::category(name),
            Part::Product => claims::product(name),
            Part::Service => claims::service(logsource.product.as_deref(), name),
        });
    }
    Some(Expr::Or(any))
}

fn fields(logsource: &LogSource, alternatives: &[Alternatives]) -> FxHashMap<String, Arc<[Arc<str>]>> {
    let mut steps: Vec<&Alternatives> = alternatives
        .iter()
        .filter(|step| is_for(&step.logsource, logsource))
        .collect();
    let named = |step: &LogSource| PARTS.iter().filter(|part| part.of(step).is_some()).count();
    // A stable sort: of equally specific steps, the first given comes first.
    steps.sort_by_key(|step| std::cmp::Reverse(named(&step.logsource)));
    let mut fields: FxHashMap<String, Vec<Arc<str>>> = FxHashMap::default();
    for step in steps {
        for (name, others) in &step.mapping {
            let known = fields.entry(name.replace(' ', "")).or_default();
            for other in others {
                if known.len() < MAX_NAMES && !known.iter().any(|known| known.as_ref() == other) {
                    known.push(other.as_str().into());
                }
            }
        }
    }
    fields.into_iter().map(|(name, others)| (name, others.into())).collect()
}
