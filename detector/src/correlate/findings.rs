//! What came of a block beside alerts that stand alone.

use model::{AlertId, Event, EventId};
use rustc_hash::FxHashMap;
use sigma::correlation::{Contribution, Correlations, Lost};

use crate::rules::compiled::Heading;
use crate::rules::suppression::Fold;

/// Contributions to correlations, and alerts to be folded into others.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    pub(crate) contributions: Vec<Contribution>,
    /// The events behind them.
    pub(crate) events: FxHashMap<EventId, Event>,
    /// By the alert they become part of.
    pub(crate) folded: FxHashMap<AlertId, Folded>,
    /// What correlations could not use.
    pub(crate) lost: Lost,
}

/// Alerts of one block that become one.
#[derive(Debug)]
pub(crate) struct Folded {
    pub(crate) fold: Fold,
    pub(crate) heading: Heading,
    /// The earliest of the events.
    pub(crate) earliest: Event,
    pub(crate) ids: Vec<EventId>,
}

impl Findings {
    pub(crate) fn is_empty(&self) -> bool {
        self.contributions.is_empty() && self.folded.is_empty()
    }

    /// Takes in what came of another block.
    pub(crate) fn extend(&mut self, other: Self) {
        self.contributions.extend(other.contributions);
        self.events.extend(other.events);
        self.lost += other.lost;
        for (id, other) in other.folded {
            match self.folded.entry(id) {
                std::collections::hash_map::Entry::Vacant(vacant) => {
                    vacant.insert(other);
                }
                std::collections::hash_map::Entry::Occupied(mut occupied) => {
                    let known = occupied.get_mut();
                    known.ids.extend(other.ids);
                    if (other.earliest.timestamp, other.earliest.id) < (known.earliest.timestamp, known.earliest.id) {
                        known.earliest = other.earliest;
                    }
                }
            }
        }
    }

    /// Takes what an event that the rule at `position` matched gives to those correlations that `keep` lets it.
    pub(crate) fn contribute(
        &mut self,
        correlations: &Correlations,
        position: usize,
        event: &Event,
        keep: impl Fn(usize) -> bool,
    ) {
        let before = self.contributions.len();
        self.lost += correlations.contributions_where(position, event, keep, &mut self.contributions);
        if self.contributions.len() > before {
            self.events.entry(event.id).or_insert_with(|| event.clone());
        }
    }

    /// Takes an alert that becomes part of another.
    pub(crate) fn fold(&mut self, fold: Fold, heading: &Heading, event: &Event) {
        match self.folded.get_mut(&fold.id) {
            Some(folded) => {
                folded.ids.push(event.id);
                let earliest = (folded.earliest.timestamp, folded.earliest.id);
                if (event.timestamp, event.id) < earliest {
                    folded.earliest = event.clone();
                }
            }
            None => {
                let folded = Folded {
                    heading: heading.clone(),
                    earliest: event.clone(),
                    ids: vec![event.id],
                    fold,
                };
                self.folded.insert(folded.fold.id.clone(), folded);
            }
        }
    }
}
