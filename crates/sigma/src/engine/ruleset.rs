//! Rules compiled together.

use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use model::{Event, Fields, Timestamp};
use rustc_hash::FxHashMap;
use serde_json::{Map, Value as Json};

use crate::ast::Expr;
use crate::engine::bucket::{self, Bucket};
use crate::engine::evaluate::Evaluation;
use crate::engine::event::DecodedEvent;
use crate::engine::gates::{Gates, Verdict};
use crate::engine::layout::ROOT;
use crate::engine::observer::Nothing;
use crate::engine::profile::Profile;
use crate::engine::scratch::{ItemInfo, Scratch};
use crate::engine::slots::{Name, Names, TIMESTAMP, UNKNOWN, is_searched_by_keywords};
use crate::engine::source::Source;
use crate::engine::statistics::Statistics;
use crate::error::{LineError, RuleError};
use crate::filter::{self, Filter};
use crate::json::JsonEvent;
use crate::logsource::Catalog;
use crate::rule::Rule;

/// Rules in all buckets together, as a multiple of the rules in the set: events of ever new kinds do not fill the
/// memory.
const MAX_COPIES: usize = 24;
/// The same for small rule sets.
const MIN_COPIES: usize = 20_000;

/// Rules compiled together: what they share is looked for once per event. Immutable, so it can be swapped as a whole
/// and used by any number of threads, each with its own [`Scratch`].
#[derive(Debug)]
pub struct RuleSet {
    /// Unlike that of any other rule set of this process.
    id: u64,
    rules: Vec<Rule>,
    parts: Vec<Parts>,
    gate_exprs: Vec<Arc<Expr>>,
    gates: Gates,
    names: Names,
    time: Name,
    statistics: Statistics,
    buckets: Mutex<Buckets>,
}

/// A rule as the engine sees it.
#[derive(Debug)]
struct Parts {
    gate: usize,
    detection: Expr,
}

/// Buckets made so far: one for each set of rules that some event sees.
#[derive(Debug, Default)]
struct Buckets {
    by_verdicts: FxHashMap<Box<[Verdict]>, Arc<Bucket>>,
    rules: usize,
}

impl Default for RuleSet {
    fn default() -> Self {
        Self::build(Vec::new(), Vec::new(), Vec::new())
    }
}

impl RuleSet {
    /// Compiles rules with what Picket knows of logsources by itself, and without filters.
    #[must_use]
    pub fn compile(rules: Vec<Rule>) -> (Self, Vec<RuleError>) {
        Self::compile_with(rules, Catalog::builtin(), &[])
    }

    /// Compiles rules. A rule that cannot be part of the set is left out and said why; the others are not affected.
    /// Of two rules with one id, the first is taken. Filters that are for no rule are said as well.
    #[must_use]
    #[allow(
        clippy::mutable_key_type,
        reason = "a regular expression is compared by its source, not by its cache"
    )]
    pub fn compile_with(rules: Vec<Rule>, catalog: &Catalog, filters: &[Filter]) -> (Self, Vec<RuleError>) {
        let mut errors = filter::check(filters, &rules);
        let mut ids = HashSet::new();
        let mut kept = Vec::with_capacity(rules.len());
        let mut parts = Vec::with_capacity(rules.len());
        let mut gates = Vec::new();
        let mut gate_numbers: FxHashMap<Arc<Expr>, usize> = FxHashMap::default();
        for rule in rules {
            if !ids.insert(rule.id.clone()) {
                let reason = format!("expected an id of its own, got {} again", rule.id);
                errors.push(refusal(&rule, "id", reason));
                continue;
            }
            match filter::resolve(filters, &rule, catalog) {
                Ok(resolved) => {
                    let gate = *gate_numbers.entry(resolved.gate.clone()).or_insert_with(|| {
                        gates.push(resolved.gate.clone());
                        gates.len() - 1
                    });
                    parts.push(Parts {
                        gate,
                        detection: resolved.detection,
                    });
                    kept.push(rule);
                }
                Err(error) => errors.push(error),
            }
        }
        (Self::build(kept, parts, gates), errors)
    }

    fn build(rules: Vec<Rule>, parts: Vec<Parts>, gate_exprs: Vec<Arc<Expr>>) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let mut names = Names::default();
        gate_exprs.iter().for_each(|gate| names.add(gate));
        parts.iter().for_each(|parts| names.add(&parts.detection));
        Self {
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            gates: Gates::build(&gate_exprs, &names),
            statistics: Statistics::of(parts.iter().map(|parts| &parts.detection)),
            time: names.get(TIMESTAMP),
            rules,
            parts,
            gate_exprs,
            names,
            buckets: Mutex::default(),
        }
    }

    /// How many rules.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rules.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// The rules; [`Self::evaluate`] answers with positions in this slice.
    #[must_use]
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// Appends the positions of all rules that match the event to `hits`, in ascending order. `hits` is not cleared.
    pub fn evaluate(&self, event: &Event, scratch: &mut Scratch, hits: &mut Vec<usize>) {
        self.evaluate_fields(&event.fields, event.timestamp, scratch, hits);
    }

    fn evaluate_fields(&self, fields: &Fields, time: Timestamp, scratch: &mut Scratch, hits: &mut Vec<usize>) {
        self.begin(scratch);
        let mut previous = ROOT;
        for (name, _) in fields.iter() {
            let node = scratch.layout.member(&self.names, ROOT, previous, name.as_bytes());
            scratch.items.push(match node {
                Some(node) => {
                    previous = node;
                    scratch.layout.info(node)
                }
                None => ItemInfo {
                    name: self.names.get(name),
                    searched: is_searched_by_keywords(name),
                },
            });
        }
        let source = DecodedEvent { fields, time };
        self.run(&source, scratch, hits);
    }

    /// The same for an event that is a line of JSON: what [`Fields::insert_json`] makes of it, at `time`. The line is
    /// not turned into an event, and only strings that rules ask for are unescaped.
    ///
    /// # Errors
    ///
    /// When the line is not a JSON object. `hits` is unchanged then.
    pub fn evaluate_json(
        &self,
        line: &[u8],
        time: Timestamp,
        scratch: &mut Scratch,
        hits: &mut Vec<usize>,
    ) -> Result<(), LineError> {
        self.begin(scratch);
        let mut members = std::mem::take(&mut scratch.line);
        if members.read(line, &self.names, &mut scratch.layout, &mut scratch.items) {
            let source = JsonEvent {
                line,
                members: &members,
                time,
            };
            self.run(&source, scratch, hits);
            scratch.line = members;
            return Ok(());
        }
        scratch.line = members;
        let object: Map<String, Json> = serde_json::from_slice(line)?;
        let mut fields = Fields::new();
        fields.insert_json("", &object);
        self.evaluate_fields(&fields, time, scratch, hits);
        Ok(())
    }

    /// What evaluations with this scratch cost and met since [`Scratch::start_profile`] or the last call. Nothing when it
    /// was last used with another rule set.
    #[must_use]
    pub fn take_profile(&self, scratch: &mut Scratch) -> Profile {
        let mut profile = Profile::new(self.rules.len());
        if let Some(counters) = &mut scratch.counters
            && scratch.owner == self.id
        {
            let fields = |rule: usize| self.parts.get(rule).map(|parts| &parts.detection);
            profile.add(counters, &scratch.keys, fields);
            counters.reset();
        }
        profile
    }

    /// Prepares for the next event.
    fn begin(&self, scratch: &mut Scratch) {
        if scratch.owner != self.id {
            scratch.layout.reset(seed());
            scratch.keys.reset(&self.gates);
            scratch.owner = self.id;
            if let Some(counters) = &mut scratch.counters {
                counters.reset();
            }
        }
        scratch.layout.begin();
        scratch.items.clear();
    }

    /// Evaluates an event whose fields are in `scratch.items`.
    fn run(&self, source: &impl Source, scratch: &mut Scratch, hits: &mut Vec<usize>) {
        if self.time != UNKNOWN {
            scratch.items.push(ItemInfo {
                name: self.time,
                searched: false,
            });
        }
        let Scratch {
            items,
            keys,
            work,
            counters,
            ..
        } = scratch;
        let position = keys.find(&self.gates, source, items, |answers| {
            self.bucket(match answers {
                Some(answers) => self.gates.verdicts(answers),
                None => self.gates.all_open(),
            })
        });
        let Some(bucket) = keys.bucket(position) else { return };
        let first = hits.len();
        let mut evaluation = Evaluation {
            source,
            bucket,
            items,
            work,
        };
        let hit = |rule| hits.push(rule as usize);
        match counters {
            None => evaluation.run(&mut Nothing, hit),
            Some(counters) => {
                counters.begin(position, bucket);
                evaluation.run(counters.as_mut(), hit);
            }
        }
        if let Some(new) = hits.get_mut(first..) {
            new.sort_unstable();
        }
    }

    /// The bucket of the rules that these verdicts let in.
    #[cold]
    fn bucket(&self, verdicts: Box<[Verdict]>) -> Arc<Bucket> {
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bucket) = buckets.by_verdicts.get(&verdicts) {
            return bucket.clone();
        }
        let mut sources = Vec::new();
        for (rule, parts) in (0..).zip(&self.parts) {
            let gate = match verdicts.get(parts.gate) {
                None | Some(Verdict::No) => continue,
                Some(Verdict::Yes) => None,
                Some(Verdict::Open) => self.gate_exprs.get(parts.gate).map(AsRef::as_ref),
            };
            sources.push(bucket::Source {
                rule,
                detection: &parts.detection,
                gate,
            });
        }
        let all_open = self.gates.all_open();
        let limit = (self.parts.len() * MAX_COPIES).max(MIN_COPIES);
        if verdicts != all_open && buckets.rules + sources.len() > limit {
            drop(buckets);
            return self.bucket(all_open);
        }
        let bucket = Arc::new(Bucket::build(&sources, &self.names, &self.statistics));
        buckets.rules += sources.len();
        buckets.by_verdicts.insert(verdicts, bucket.clone());
        bucket
    }
}

/// Other in every process.
fn seed() -> u64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(0_u8)
}

fn refusal(rule: &Rule, field: &str, reason: String) -> RuleError {
    RuleError {
        path: rule.path.clone(),
        line: None,
        column: None,
        field: field.to_owned(),
        reason,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_can_share_a_rule_set() {
        fn shared<T: Send + Sync + 'static>() {}
        shared::<RuleSet>();
        shared::<Scratch>();
    }
}
