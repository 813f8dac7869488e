//! Rules compiled together.

use std::collections::HashSet;
use std::num::NonZero;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use model::{Event, Fields, Timestamp};
use rustc_hash::FxHashMap;
use serde_json::{Map, Value as Json};

use crate::ast::Expr;
use crate::engine::columns::{Columns, Run, Table, Working};
use crate::engine::event::DecodedEvent;
use crate::engine::layout::Cursor;
use crate::engine::part::Part;
use crate::engine::paths::ROOT;
use crate::engine::profile::{Counters, Profile};
use crate::engine::scratch::{ItemInfo, Scratch};
use crate::engine::seen::Seen;
use crate::engine::shapes::ShapeId;
use crate::engine::slots::{Name, Names, TIMESTAMP, UNKNOWN, is_searched_by_keywords};
use crate::engine::source::Source;
use crate::error::{LineError, RuleError};
use crate::filter::{self, Filter};
use crate::json::{self, JsonEvent};
use crate::logsource::{Catalog, Resolved};
use crate::rule::Rule;

/// Most rules that are exchanged before all are compiled again.
const MAX_EXCHANGED: usize = 128;
/// Most threads that compile.
const MAX_THREADS: usize = 8;

/// Rules compiled together: what they share is looked for once per event. Immutable, so it can be swapped as a whole
/// and used by any number of threads, each with its own [`Scratch`].
#[derive(Debug)]
pub struct RuleSet {
    /// Unlike that of any other rule set of this process.
    id: u64,
    rules: Vec<Rule>,
    names: Arc<Names>,
    time: Name,
    /// Most rules.
    base: Placed,
    /// Rules exchanged since.
    recent: Option<Placed>,
}

/// A part and where its rules are in the set.
#[derive(Clone, Debug)]
struct Placed {
    part: Arc<Part>,
    /// Position of each rule of the part; [`GONE`] for one that was exchanged or removed.
    positions: Vec<u32>,
}

impl Placed {
    /// Where a rule of the part is in the set.
    fn position(&self, number: u32) -> Option<usize> {
        let position = self.positions.get(number as usize)?;
        (*position != GONE).then_some(*position as usize)
    }

    /// The same, with what it detects.
    fn rule(&self, number: u32) -> Option<(usize, &Expr)> {
        Some((self.position(number)?, self.part.detection(number as usize)?))
    }
}

/// No position.
const GONE: u32 = u32::MAX;

impl Default for RuleSet {
    fn default() -> Self {
        Self::build(Vec::new(), Vec::new())
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
    pub fn compile_with(rules: Vec<Rule>, catalog: &Catalog, filters: &[Filter]) -> (Self, Vec<RuleError>) {
        let mut errors = filter::check(filters, &rules);
        let mut ids = HashSet::new();
        let mut kept = Vec::with_capacity(rules.len());
        let mut resolved = Vec::with_capacity(rules.len());
        for rule in rules {
            if !ids.insert(rule.id.clone()) {
                let reason = format!("expected an id of its own, got {} again", rule.id);
                errors.push(refusal(&rule, "id", reason));
                continue;
            }
            match filter::resolve(filters, &rule, catalog) {
                Ok(asked) => {
                    resolved.push(asked);
                    kept.push(rule);
                }
                Err(error) => errors.push(error),
            }
        }
        let set = Self::build(kept, resolved);
        let threads = std::thread::available_parallelism().map_or(1, NonZero::get);
        set.base.part.prepare(&set.names, threads.min(MAX_THREADS));
        (set, errors)
    }

    fn build(rules: Vec<Rule>, resolved: Vec<Resolved>) -> Self {
        let mut names = Names::default();
        let part = Arc::new(Part::build(resolved, &mut names));
        Self {
            id: next_id(),
            time: names.get(TIMESTAMP),
            names: Arc::new(names),
            base: Placed {
                positions: (0..).take(part.len()).collect(),
                part,
            },
            recent: None,
            rules,
        }
    }

    /// The set after some rules were changed or added and others (by id) removed, with the same catalog and filters the
    /// set was compiled with. A changed rule keeps its position, added ones come last. Rules that cannot be part of the
    /// set are left out and said why. What did not change is not compiled again, as long as the changes since the last
    /// full compilation are few.
    #[must_use]
    pub fn updated(
        &self,
        changed: Vec<Rule>,
        removed: &[&str],
        catalog: &Catalog,
        filters: &[Filter],
    ) -> (Self, Vec<RuleError>) {
        let mut errors = Vec::new();
        let mut by_id: FxHashMap<String, usize> = FxHashMap::default();
        let mut next: Vec<(Option<Rule>, Option<Resolved>)> = Vec::with_capacity(self.rules.len() + changed.len());
        for (position, rule) in self.rules.iter().enumerate() {
            by_id.insert(rule.id.clone(), position);
            next.push((Some(rule.clone()), None));
        }
        for id in removed {
            if let Some(place) = by_id.get(*id).and_then(|position| next.get_mut(*position)) {
                *place = (None, None);
            }
        }
        for rule in changed {
            let asked = filter::resolve(filters, &rule, catalog).map_err(|error| errors.push(error));
            let entry = match asked {
                Ok(asked) => (Some(rule.clone()), Some(asked)),
                Err(()) => (None, None),
            };
            match by_id.get(&rule.id).and_then(|position| next.get_mut(*position)) {
                Some(place) => *place = entry,
                None => {
                    by_id.insert(rule.id.clone(), next.len());
                    next.push(entry);
                }
            }
        }
        let exchanged = next.iter().filter(|(_, asked)| asked.is_some()).count();
        let earlier = self.recent.as_ref().map_or(0, |recent| recent.part.len());
        if exchanged + earlier > MAX_EXCHANGED.min(self.rules.len() / 4) {
            let rules = next.into_iter().filter_map(|(rule, _)| rule).collect();
            let (set, more) = Self::compile_with(rules, catalog, filters);
            errors.extend(more);
            return (set, errors);
        }
        (self.exchange(next), errors)
    }

    /// The set of these rules; those with an expression are new, the others are at their position in this set.
    fn exchange(&self, next: Vec<(Option<Rule>, Option<Resolved>)>) -> Self {
        let mut rules = Vec::with_capacity(next.len());
        let mut base = vec![GONE; self.base.positions.len()];
        // Where each position of this set comes from: the part and the number there.
        let mut origin = vec![None; self.rules.len()];
        let parts = [Some(&self.base), self.recent.as_ref()];
        for (is_recent, placed) in [false, true].into_iter().zip(parts) {
            for (number, position) in placed.iter().flat_map(|placed| placed.positions.iter().enumerate()) {
                if let Some(place) = origin.get_mut(*position as usize) {
                    *place = Some((is_recent, number));
                }
            }
        }
        let (mut resolved, mut positions) = (Vec::new(), Vec::new());
        for (old, (rule, asked)) in next.into_iter().enumerate() {
            let Some(rule) = rule else { continue };
            let position = u32::try_from(rules.len()).unwrap_or(GONE);
            rules.push(rule);
            let asked = match (asked, origin.get(old).copied().flatten()) {
                (Some(asked), _) => asked,
                (None, Some((false, number))) => {
                    if let Some(place) = base.get_mut(number) {
                        *place = position;
                    }
                    continue;
                }
                (None, Some((true, number))) => {
                    let recent = self.recent.as_ref().and_then(|recent| recent.part.asked(number));
                    let Some(asked) = recent else { continue };
                    asked
                }
                (None, None) => continue,
            };
            resolved.push(asked);
            positions.push(position);
        }
        let mut names = Names::clone(&self.names);
        let recent = (!resolved.is_empty()).then(|| Placed {
            part: Arc::new(Part::build(resolved, &mut names)),
            positions,
        });
        let names = Arc::new(names);
        if let Some(recent) = &recent {
            recent.part.prepare(&names, 1);
        }
        Self {
            id: next_id(),
            rules,
            time: names.get(TIMESTAMP),
            names,
            base: Placed {
                part: self.base.part.clone(),
                positions: base,
            },
            recent,
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
        let Scratch { layout, items, .. } = &mut *scratch;
        let mut cursor = Cursor::start();
        for (name, _) in fields.iter() {
            match layout.member(&self.names, ROOT, &mut cursor, name.as_bytes(), items) {
                Some(member) if cursor.is_lost() => items.push(member.info),
                Some(_) => {}
                None => {
                    layout.leave(&mut cursor, true, items);
                    items.push(ItemInfo {
                        name: self.names.get(name),
                        searched: is_searched_by_keywords(name),
                    });
                }
            }
        }
        let shape = layout.end(cursor, items);
        let source = DecodedEvent { fields, time };
        self.run(&source, shape, scratch, hits);
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
        self.evaluate_before(&[], line, time, scratch, hits)
    }

    /// The same, while `next` is fetched from memory: in two halves, as more at once would have to be waited for.
    fn evaluate_before(
        &self,
        next: &[u8],
        line: &[u8],
        time: Timestamp,
        scratch: &mut Scratch,
        hits: &mut Vec<usize>,
    ) -> Result<(), LineError> {
        self.begin(scratch);
        let (first, second) = next.split_at(next.len() / 2);
        json::fetch(first);
        let mut members = std::mem::take(&mut scratch.line);
        if let Some(cursor) = members.read(line, &self.names, &mut scratch.layout, &mut scratch.items) {
            json::fetch(second);
            let shape = scratch.layout.end(cursor, &mut scratch.items);
            let source = JsonEvent {
                line,
                members: &members,
                time,
            };
            self.run(&source, shape, scratch, hits);
            scratch.line = members;
            return Ok(());
        }
        scratch.line = members;
        self.evaluate_slowly(line, time, scratch, hits)
    }

    /// The same by way of a document.
    #[cold]
    #[inline(never)]
    fn evaluate_slowly(
        &self,
        line: &[u8],
        time: Timestamp,
        scratch: &mut Scratch,
        hits: &mut Vec<usize>,
    ) -> Result<(), LineError> {
        scratch.items.clear();
        let object: Map<String, Json> = serde_json::from_slice(line)?;
        let mut fields = Fields::new();
        fields.insert_json("", &object);
        self.evaluate_fields(&fields, time, scratch, hits);
        Ok(())
    }

    /// The same for lines one behind the other, each of which is fetched from memory while the one before is evaluated.
    /// Calls `found` with the position of each line, and the positions of the rules that match it in ascending order or
    /// why the line is not a JSON object.
    pub fn evaluate_lines<'l>(
        &self,
        lines: impl IntoIterator<Item = &'l [u8]>,
        time: Timestamp,
        scratch: &mut Scratch,
        mut found: impl FnMut(usize, Result<&[usize], LineError>),
    ) {
        let mut lines = lines.into_iter().peekable();
        let (mut hits, mut position) = (Vec::new(), 0);
        while let Some(line) = lines.next() {
            let next = lines.peek().copied().unwrap_or_default();
            hits.clear();
            let result = self.evaluate_before(next, line, time, scratch, &mut hits);
            found(position, result.map(|()| hits.as_slice()));
            position += 1;
        }
    }

    /// The same for all events of a block, whose names are resolved once. Calls `found` with the row of each event that
    /// some rule matches, and the positions of these rules in ascending order.
    pub fn evaluate_columns(
        &self,
        columns: &impl Columns,
        scratch: &mut Scratch,
        mut found: impl FnMut(usize, &[usize]),
    ) {
        self.begin(scratch);
        let needs_all = self.parts().any(|placed| placed.part.asks_keywords);
        let mut table = Table::new(columns, &self.names, needs_all, self.time);
        let mut runs: Vec<(&Placed, Run<'_>)> = self
            .parts()
            .map(|placed| (placed, Run::new(&placed.part, &self.names, columns.shapes())))
            .collect();
        for row in 0..columns.rows() {
            table.read(row);
            for ((_, run), memory) in runs.iter_mut().zip(&mut scratch.parts) {
                run.note(&table, &mut memory.keys, &mut memory.met);
            }
        }
        for ((_, run), memory) in runs.iter_mut().zip(&scratch.parts) {
            run.look_up(&table, &memory.keys, &mut scratch.single);
        }
        let mut hits = Vec::new();
        for row in 0..columns.rows() {
            table.go_to(row);
            hits.clear();
            for ((placed, run), memory) in runs.iter_mut().zip(&mut scratch.parts) {
                let working = Working {
                    keys: &mut memory.keys,
                    counters: &mut memory.counters,
                    work: &mut scratch.work,
                    single: &mut scratch.single,
                };
                run.evaluate(row, &table, working, |number| hits.extend(placed.position(number)));
            }
            if !hits.is_empty() {
                hits.sort_unstable();
                found(row, &hits);
            }
        }
    }

    /// What evaluations with this scratch cost and met since [`Scratch::start_profile`] or the last call. Nothing when it
    /// was last used with another rule set.
    #[must_use]
    pub fn take_profile(&self, scratch: &mut Scratch) -> Profile {
        let mut profile = Profile::new(self.rules.len());
        if scratch.owner != self.id {
            return profile;
        }
        for (placed, memory) in self.parts().zip(&mut scratch.parts) {
            if let Some(counters) = &mut memory.counters {
                profile.add(counters, &memory.keys, |number| placed.rule(number));
                counters.reset();
            }
        }
        profile
    }

    /// The rules whose logsource had events in blocks that were evaluated by column with this scratch, and which of their
    /// fields these had. Told once, until [`Scratch::forget_seen`] or another rule set is used with it; a rule is told
    /// of again when there is more. Nothing when the scratch was last used with another rule set.
    #[must_use]
    pub fn take_seen(&self, scratch: &mut Scratch) -> Vec<Seen> {
        let mut seen = Vec::new();
        if scratch.owner == self.id {
            for (placed, memory) in self.parts().zip(&mut scratch.parts) {
                memory.met.take(&memory.keys, |number| placed.rule(number), &mut seen);
            }
        }
        seen
    }

    /// What the rules ask of events, by position in [`rules`](Self::rules), in no particular order: resolved, and with
    /// filters, as it is evaluated.
    pub fn detections(&self) -> impl Iterator<Item = (usize, &Expr)> {
        self.parts().flat_map(|placed| {
            let numbered = placed.positions.iter().enumerate();
            let in_use = numbered.filter(|(_, position)| **position != GONE);
            in_use.filter_map(|(number, position)| Some((*position as usize, placed.part.detection(number)?)))
        })
    }

    fn parts(&self) -> impl Iterator<Item = &Placed> {
        std::iter::once(&self.base).chain(&self.recent)
    }

    /// Prepares for the next event.
    #[inline]
    fn begin(&self, scratch: &mut Scratch) {
        if scratch.owner != self.id {
            self.adopt(scratch);
        }
        scratch.layout.begin();
        scratch.items.clear();
    }

    #[cold]
    fn adopt(&self, scratch: &mut Scratch) {
        scratch.layout.reset(seed(), self.time_item());
        scratch.owner = self.id;
        let sample = scratch.sample;
        for (placed, memory) in self.parts().zip(&mut scratch.parts) {
            memory.counters = sample.map(|sample| Box::new(Counters::new(sample)));
            // After an exchange of single rules, what was learnt for the others still holds.
            if memory.owner != placed.part.id {
                memory.keys.reset(&placed.part.gates);
                memory.met.clear();
                memory.shapes.clear();
                memory.owner = placed.part.id;
            }
        }
    }

    /// The event's time behind its fields, if rules ask for it.
    fn time_item(&self) -> Option<ItemInfo> {
        (self.time != UNKNOWN).then_some(ItemInfo {
            name: self.time,
            searched: false,
        })
    }

    /// Evaluates an event of a shape, or whose fields are in `scratch.items`.
    fn run(&self, source: &impl Source, shape: Option<ShapeId>, scratch: &mut Scratch, hits: &mut Vec<usize>) {
        let first = hits.len();
        let Scratch {
            items,
            layout,
            work,
            parts,
            ..
        } = scratch;
        let items = match shape {
            Some(shape) => layout.items(shape),
            None => {
                items.extend(self.time_item());
                items
            }
        };
        for (placed, memory) in self.parts().zip(parts) {
            placed
                .part
                .run(&self.names, source, (items, shape), memory, work, |number| {
                    hits.extend(placed.position(number));
                });
        }
        if let Some(new) = hits.get_mut(first..) {
            new.sort_unstable();
        }
    }
}

fn next_id() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
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
