//! Evaluates the rules of a bucket on one event.

use std::net::IpAddr;

use crate::ast::{FieldRef, Op};
use crate::engine::bucket::{Bucket, FieldIndex, Posting};
use crate::engine::observer::Observer;
use crate::engine::predicate::{By, Kind, Predicate};
use crate::engine::program::{ACCEPT, COUNT, REJECT, Step};
use crate::engine::scratch::{Bound, Found, ItemInfo, Range, Texts, Work};
use crate::engine::slots::{ANY, Slot};
use crate::engine::source::{Item, Source};
use crate::engine::text::{relates, time_part};
use crate::pattern::Shape;

/// The evaluation of one event.
pub(crate) struct Evaluation<'a, S> {
    pub(crate) source: &'a S,
    pub(crate) bucket: &'a Bucket,
    pub(crate) items: &'a [ItemInfo],
    pub(crate) work: &'a mut Work,
}

impl<S: Source> Evaluation<'_, S> {
    /// Calls `hit` with the number of each rule that matches, in any order. The event must have been bound.
    pub(crate) fn run(&mut self, observer: &mut impl Observer, mut hit: impl FnMut(u32)) {
        observer.event(&self.work.slots);
        self.find_candidates();
        let mut position = 0;
        while let Some(rule) = self.work.found.candidates.get(position) {
            position += 1;
            if let Some((number, start)) = self.bucket.rules.get(*rule as usize).copied()
                && observer.candidate(number, || self.holds(start))
            {
                hit(number);
            }
        }
    }

    /// Begins with the event: finds out which field is in which slot.
    pub(crate) fn bind(&mut self) {
        let bucket = self.bucket;
        self.work.begin(self.items.len(), bucket);
        let event = self.work.found.event;
        for (item, info) in (0..).zip(self.items) {
            for binding in bucket.bindings.of(info.name) {
                let Some(bound) = self.work.bound.get_mut(binding.slot as usize) else {
                    continue;
                };
                if bound.event != event {
                    self.work.slots.push(binding.slot);
                } else if bound.rank <= binding.rank {
                    continue;
                }
                *bound = Bound {
                    event,
                    rank: binding.rank,
                    item,
                };
            }
        }
    }

    /// Which field is in which slot.
    pub(crate) fn bound(&self) -> impl Iterator<Item = (Slot, Item)> {
        let slots = self.work.slots.iter();
        slots.filter_map(|slot| Some((*slot, self.item(*slot)?)))
    }

    /// Begins with the event, of which is known what [`Self::bound`] gives.
    pub(crate) fn bind_as(&mut self, slots: &[(Slot, Item)]) {
        self.work.begin(self.items.len(), self.bucket);
        let event = self.work.found.event;
        for (slot, item) in slots {
            if let Some(bound) = self.work.bound.get_mut(*slot as usize) {
                *bound = Bound {
                    event,
                    rank: 0,
                    item: *item,
                };
            }
            self.work.slots.push(*slot);
        }
    }

    fn find_candidates(&mut self) {
        for rule in &self.bucket.always {
            self.work.found.mark(*rule);
        }
        if let Some(index) = self.bucket.field(ANY)
            && (index.finds_by_ends || index.literals.is_some())
        {
            self.probe(ANY, index);
        }
        let mut position = 0;
        while let Some(slot) = self.work.slots.get(position).copied() {
            position += 1;
            let Some(index) = self.bucket.field(slot) else { continue };
            for rule in &index.present {
                self.work.found.mark(*rule);
            }
            if index.finds_by_ends || index.literals.is_some() {
                self.probe(slot, index);
            }
        }
    }

    pub(crate) fn probe(&mut self, slot: Slot, index: &FieldIndex) {
        if index.finds_by_ends {
            self.matched(slot);
        }
        let Some(literals) = &index.literals else { return };
        let bucket = self.bucket;
        let (source, items) = (self.source, self.items);
        let Work {
            texts,
            found,
            bound,
            joined,
            ..
        } = &mut *self.work;
        if let Some(raw) = &index.raw {
            let mut look = |item: Item, pattern| {
                if let Some(answer) = found.was_looked_for(pattern, item) {
                    return answer;
                }
                let range = fold(source, item, texts, found.event).positions();
                let spans = texts.spans.get(range).unwrap_or_default();
                let is_there = spans
                    .iter()
                    .any(|span| bucket.has_literal(pattern, texts.arena.text(*span)));
                if is_there {
                    post(bucket.postings(pattern), found);
                }
                found.note_look(pattern, item, is_there);
                is_there
            };
            let is_scanned = if slot == ANY {
                source.scan_all(items, raw, joined, |item, pattern| {
                    items.get(item as usize).is_some_and(|info| info.searched) && look(item, pattern)
                })
            } else {
                let item = bound.get(slot as usize).map_or(0, |bound| bound.item);
                source.scan(item, raw, |pattern| {
                    look(item, pattern);
                })
            };
            if is_scanned {
                return;
            }
        }
        each_item(slot, items, bound, found.event, |item| {
            for position in fold(source, item, texts, found.event).positions() {
                let Some(span) = texts.spans.get(position) else {
                    continue;
                };
                literals.probe(texts.arena.text(*span), *span, |pattern| {
                    post(bucket.postings(pattern), found);
                });
            }
        });
    }

    /// The anchored texts found in a field.
    #[inline]
    fn matched(&mut self, slot: Slot) -> Range {
        let found = &self.work.found;
        match found.matched_of.get(slot as usize) {
            Some(known) if known.event == found.event => *known,
            _ => self.match_ends(slot),
        }
    }

    fn match_ends(&mut self, slot: Slot) -> Range {
        let bucket = self.bucket;
        let (source, items) = (self.source, self.items);
        let Work {
            texts, found, bound, ..
        } = &mut *self.work;
        let first = small(found.matched.len());
        if let Some(anchored) = bucket.field(slot).and_then(|index| index.anchored.as_ref()) {
            each_item(slot, items, bound, found.event, |item| {
                for position in fold(source, item, texts, found.event).positions() {
                    let Some(span) = texts.spans.get(position) else {
                        continue;
                    };
                    anchored.probe(texts.arena.text(*span), |pattern| {
                        found.matched.push(pattern);
                        post(bucket.postings(pattern), found);
                    });
                }
            });
        }
        let range = Range {
            event: found.event,
            first,
            end: small(found.matched.len()),
        };
        if let Some(place) = found.matched_of.get_mut(slot as usize) {
            *place = range;
        }
        range
    }

    /// Follows a chain to its end.
    fn holds(&mut self, start: u32) -> bool {
        self.holds_by(start, &mut Self::answer)
    }

    #[inline]
    fn answer(&mut self, step: Step) -> bool {
        match step.by {
            By::Ends(slot) => !self.matched(slot).is_empty() && self.predicate(step.ask),
            By::Index => self.work.found.recall(step.ask) == Some(true),
            By::Value => self.predicate(step.ask),
        }
    }

    /// The same, where `ask` answers predicates.
    pub(crate) fn holds_by(&mut self, start: u32, ask: &mut impl FnMut(&mut Self, Step) -> bool) -> bool {
        let mut at = start;
        while at < REJECT {
            let Some(step) = self.bucket.code.steps.get(at as usize).copied() else {
                return false;
            };
            let answer = if step.ask & COUNT == 0 {
                ask(self, step)
            } else {
                self.at_least(step.ask & !COUNT, ask)
            };
            at = if answer { step.yes } else { step.no };
        }
        at == ACCEPT
    }

    /// Counts inside counts are as deep as conditions may be nested, which is not deep.
    fn at_least(&mut self, number: u32, ask: &mut impl FnMut(&mut Self, Step) -> bool) -> bool {
        let Some(count) = self.bucket.code.counts.get(number as usize) else {
            return false;
        };
        let mut missing = count.needed;
        for chain in &count.chains {
            if missing == 0 {
                break;
            }
            missing -= usize::from(self.holds_by(*chain, ask));
        }
        missing == 0
    }

    pub(crate) fn predicate(&mut self, number: u32) -> bool {
        let Some(predicate) = self.bucket.predicates.get(number as usize) else {
            return false;
        };
        if let Kind::Anchored(patterns) = &predicate.kind {
            let matched = self.matched(predicate.slot).positions();
            let matched = self.work.found.matched.get(matched).unwrap_or_default();
            return matched.iter().any(|pattern| patterns.binary_search(pattern).is_ok());
        }
        if let Some(known) = self.work.found.recall(number) {
            return known;
        }
        if predicate.indexed {
            return false;
        }
        let value = self.ask(predicate);
        self.work.found.remember(number, value);
        value
    }

    fn ask(&mut self, predicate: &Predicate) -> bool {
        if predicate.slot != ANY {
            let item = self.item(predicate.slot);
            return self.item_holds(predicate, item);
        }
        let items = self.items;
        (0..)
            .zip(items)
            .any(|(item, info)| info.searched && self.item_holds(predicate, Some(item)))
    }

    /// The field in a slot.
    pub(crate) fn item(&self, slot: Slot) -> Option<Item> {
        let bound = self.work.bound.get(slot as usize)?;
        (bound.event == self.work.found.event).then_some(bound.item)
    }

    fn item_holds(&mut self, predicate: &Predicate, item: Option<Item>) -> bool {
        let (op, other, needs, shortest) = match &predicate.kind {
            Kind::Op {
                op,
                other,
                needs,
                shortest,
            } => (op, *other, needs, *shortest),
            Kind::Contains(search) => {
                return item.is_some_and(|item| self.any_folded(item, |text| search.is_in(text)));
            }
            Kind::Globs { patterns, needs } => {
                let fits = |text: &[u8]| {
                    needs.is_in(text)
                        && std::str::from_utf8(text).is_ok_and(|text| patterns.iter().any(|pattern| pattern.fits(text)))
                };
                return item.is_some_and(|item| self.any_folded(item, fits));
            }
            Kind::Anchored(_) => return false,
        };
        let Some(item) = item else {
            return *op == Op::Null;
        };
        match op {
            // Which need not be looked at.
            Op::Text(pattern) if matches!(pattern.shape, Shape::Anything) => self.any_folded(item, |_| true),
            Op::Text(pattern) if !pattern.cased => self.any_folded(item, |text| {
                std::str::from_utf8(text).is_ok_and(|text| pattern.fits(text))
            }),
            Op::Text(pattern) => self.any_text(item, |text| pattern.fits(text)),
            Op::Regex(regex) => {
                if self.source.longest(item) < shortest {
                    return false;
                }
                let may_match = match needs {
                    Some(needs) => self.any_folded(item, |text| needs.is_in(text)),
                    None => true,
                };
                let is_match = |text: &str| text.len() >= shortest && regex.compiled.is_match(text);
                may_match && self.any_text(item, is_match)
            }
            Op::Cidr(network) => self.any_text(item, |text| {
                text.parse::<IpAddr>()
                    .is_ok_and(|address| network.contains(&address) || network.contains(&address.to_canonical()))
            }),
            Op::FieldRef(reference) => self.relates(item, reference, other),
            Op::Null => self.source.is_null(item),
            Op::Exists => self.source.exists(item),
            Op::Compare(comparison, number) => self.source.any_number(item, &|found| comparison.holds(found, *number)),
            Op::Time(part, comparison, number) => self
                .source
                .any_time(item, &|time| comparison.holds(time_part(time, *part), *number)),
        }
    }

    fn any_folded(&mut self, item: Item, mut accept: impl FnMut(&[u8]) -> bool) -> bool {
        let Work { texts, found, .. } = &mut *self.work;
        let range = fold(self.source, item, texts, found.event);
        let spans = texts.spans.get(range.positions()).unwrap_or_default();
        spans.iter().any(|span| accept(texts.arena.text(*span)))
    }

    fn any_text(&mut self, item: Item, mut accept: impl FnMut(&str) -> bool) -> bool {
        self.source.any_text(item, &mut self.work.buffer, &mut accept)
    }

    fn relates(&mut self, item: Item, reference: &FieldRef, other: Slot) -> bool {
        let Some(other) = self.item(other) else {
            return false;
        };
        let mut other_buffer = String::new();
        if reference.cased {
            let source = self.source;
            return self.any_text(item, |left| {
                source.any_text(other, &mut other_buffer, &mut |right| {
                    relates(reference.relation, left.as_bytes(), right.as_bytes())
                })
            });
        }
        let Work { texts, found, .. } = &mut *self.work;
        let left = fold(self.source, item, texts, found.event).positions();
        let right = fold(self.source, other, texts, found.event).positions();
        let texts = &*texts;
        let spans = |range: std::ops::Range<usize>| texts.spans.get(range).unwrap_or_default().iter();
        spans(left).any(|left| {
            spans(right.clone())
                .any(|right| relates(reference.relation, texts.arena.text(*left), texts.arena.text(*right)))
        })
    }
}

/// Where the folded texts of a field are. Folds them at the first call.
#[inline]
fn fold(source: &impl Source, item: Item, texts: &mut Texts, event: u32) -> Range {
    let Some(range) = texts.folded.get_mut(item as usize) else {
        return Range::default();
    };
    if range.event != event {
        let first = small(texts.spans.len());
        source.fold(item, &mut texts.arena, &mut texts.spans);
        *range = Range {
            event,
            first,
            end: small(texts.spans.len()),
        };
    }
    *range
}

/// Calls `visit` with the field in a slot, or with every field keywords look into.
#[inline]
fn each_item(slot: Slot, items: &[ItemInfo], bound: &[Bound], event: u32, mut visit: impl FnMut(Item)) {
    if slot != ANY {
        if let Some(bound) = bound.get(slot as usize)
            && bound.event == event
        {
            visit(bound.item);
        }
        return;
    }
    for (item, info) in (0..).zip(items) {
        if info.searched {
            visit(item);
        }
    }
}

#[inline]
fn post(postings: &[Posting], found: &mut Found) {
    for posting in postings {
        match posting {
            Posting::Rule(rule) => found.mark(*rule),
            Posting::Holds(predicate) => {
                found.remember(*predicate, true);
                found.held.push(*predicate);
            }
        }
    }
}

fn small(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}
