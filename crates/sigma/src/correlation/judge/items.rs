//! The contributions a window is judged by, and how a timespan moves over them.

use model::Timestamp;

use super::{Item, Neighbours};
use crate::correlation::state::WindowState;

/// What counts of three windows, in order of time.
pub(super) struct Items<'a> {
    /// Of the previous and this window.
    pub(super) all: Vec<Item<'a>>,
    /// Where this window starts in `all`.
    pub(super) this: usize,
    pub(super) next: Vec<Item<'a>>,
    pub(super) dropped: bool,
}

impl<'a> Items<'a> {
    pub(super) fn of(windows: Neighbours<'a>) -> Self {
        let sorted = |state: Option<&'a WindowState>| {
            let entries = state.into_iter().flat_map(|state| state.entries.iter());
            let mut items: Vec<Item<'a>> = entries.filter(|(_, entry)| !entry.gone).collect();
            items.sort_by_key(|(origin, entry)| (entry.time, *origin));
            items
        };
        let mut all = sorted(windows.previous);
        let this = all.len();
        all.extend(sorted(windows.this));
        let dropped = [windows.previous, windows.this]
            .into_iter()
            .flatten()
            .any(|state| state.dropped);
        Self {
            all,
            this,
            next: sorted(windows.next),
            dropped,
        }
    }

    pub(super) fn in_this(&self) -> &[Item<'a>] {
        self.all.get(self.this..).unwrap_or_default()
    }

    /// Times at which any of these rules matched, in order.
    pub(super) fn times_of(&self, rules: u64) -> Vec<Timestamp> {
        self.all
            .iter()
            .chain(&self.next)
            .filter(|(_, entry)| entry.rules & rules != 0)
            .map(|(_, entry)| entry.time)
            .collect()
    }

    /// The first contribution of this window for which `holds` returns a number, given what the tally has of the
    /// timespan that ends with it.
    pub(super) fn slide<T: Tally<'a>>(
        &self,
        timespan: i64,
        tally: &mut T,
        mut holds: impl FnMut(&T, &Item<'a>) -> Option<f64>,
    ) -> Option<Found> {
        let (mut from, mut to) = (0, 0);
        for (position, item) in self.all.iter().enumerate().skip(self.this) {
            let now = item.1.time;
            while let Some(entering) = self.all.get(to).filter(|entering| entering.1.time <= now) {
                tally.enter(entering);
                to += 1;
            }
            let earliest = now.0.saturating_sub(timespan);
            while let Some(leaving) = self.all.get(from).filter(|leaving| leaving.1.time.0 < earliest) {
                tally.leave(leaving);
                from += 1;
            }
            if let Some(value) = holds(tally, item) {
                return Some(Found {
                    trigger: position,
                    counted: from..to,
                    value,
                });
            }
        }
        None
    }
}

/// What made a condition hold.
pub(super) struct Found {
    /// Position in [`Items::all`].
    pub(super) trigger: usize,
    /// Positions in [`Items::all`].
    pub(super) counted: std::ops::Range<usize>,
    pub(super) value: f64,
}

/// Something that is counted over a moving stretch of contributions.
pub(super) trait Tally<'a> {
    fn enter(&mut self, item: &Item<'a>);
    fn leave(&mut self, item: &Item<'a>);
}

pub(super) fn texts<'i>(items: &'i [Item<'_>]) -> impl Iterator<Item = &'i str> {
    items
        .iter()
        .flat_map(|(_, entry)| entry.values.texts())
        .map(String::as_str)
}
