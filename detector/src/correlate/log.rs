//! The logs of windows: adding to them as the next segment after everything that is known, and looking what others added.

use std::borrow::Cow;
use std::collections::BTreeMap;

use model::Timestamp;
use rustc_hash::{FxHashMap, FxHashSet};
use sigma::correlation::{Compiled, Neighbours, StateKey};
use storage::windows::{self, About, LogKey, Segment};

use super::body::Body;
use super::memory::{self, Group, Place};
use super::settle::{BACK_OFF, Gathered, MAX_ROUNDS, SettleError, Settler, With};

/// Longest segment in bytes, but for the last group in it.
const MAX_SEGMENT: usize = 4 << 20;

/// What one group becomes, and what is written of it.
pub(super) type Addition<'b> = (StateKey, Body, Cow<'b, Body>);

/// One go at settling: what it is done with, and the logs that were asked for so far.
pub(super) struct Session<'a> {
    pub(super) with: With<'a>,
    keys: FxHashMap<Place, LogKey>,
}

impl<'a> Session<'a> {
    pub(super) fn new(with: With<'a>) -> Self {
        Self {
            with,
            keys: FxHashMap::default(),
        }
    }

    pub(super) fn compiled(&self, correlation: usize) -> Option<&'a Compiled> {
        self.with.rules.correlations.get(correlation)
    }

    pub(super) fn about(&self, place: Place) -> Option<About> {
        let metadata = &self.compiled(place.correlation)?.definition().metadata;
        Some(About {
            tenant: self.with.tenant.clone(),
            rule_id: metadata.id.clone(),
            revision: metadata.revision.clone(),
            window: place.window,
            share: place.share,
        })
    }

    pub(super) fn log(&mut self, place: Place) -> Option<LogKey> {
        if let Some(key) = self.keys.get(&place) {
            return Some(*key);
        }
        let key = self.about(place)?.key();
        self.keys.insert(place, key);
        Some(key)
    }
}

impl Settler {
    /// Adds what was gathered to the logs, where it is not there yet. Answers with the logs that were looked at since.
    pub(super) async fn merge(
        &mut self,
        session: &mut Session<'_>,
        gathered: &Gathered,
    ) -> Result<FxHashSet<Place>, SettleError> {
        let mut open: BTreeMap<Place, Vec<(&StateKey, &Body)>> = BTreeMap::new();
        for (key, body) in gathered {
            open.entry(Place::of(key)).or_default().push((key, body));
        }
        let mut fresh = FxHashSet::default();
        for round in 0..MAX_ROUNDS {
            if open.is_empty() {
                return Ok(fresh);
            }
            let unknown: Vec<Place> = open
                .keys()
                .copied()
                .filter(|place| !self.is_known(session, *place))
                .collect();
            self.refresh(session, unknown.into_iter()).await?;
            let mut additions = Vec::new();
            for (place, gathered) in &open {
                let changed = self.changed(session, gathered);
                if !changed.is_empty() {
                    additions.push((*place, changed));
                }
            }
            let added = self.add(session, additions).await?;
            // Only once more is known of a log than was added is it certain that this was the next segment.
            let again = self.refresh(session, added.keys().copied()).await?;
            fresh.extend(added.keys());
            open.retain(|place, _| again.contains(place) || added.get(place) == Some(&false));
            if !open.is_empty() {
                tokio::time::sleep(BACK_OFF * round).await;
            }
        }
        Err(SettleError::Contended)
    }

    /// What these states become with what was gathered, if that changes them; and what was gathered.
    fn changed<'g>(&self, session: &mut Session<'_>, gathered: &[(&'g StateKey, &'g Body)]) -> Vec<Addition<'g>> {
        let mut changed = Vec::new();
        for (key, body) in gathered {
            let Some(compiled) = session.compiled(key.correlation) else {
                continue;
            };
            let known = self.group(session, key);
            let mut merged = known.map(|known| known.body.clone()).unwrap_or_default();
            if merged.merge(body, compiled) {
                changed.push((**key, merged, Cow::Borrowed(*body)));
            }
        }
        changed
    }

    /// Adds segments: for each group what it becomes, and what is written. Says of each log that was written to whether
    /// all is there now.
    pub(super) async fn add(
        &mut self,
        session: &mut Session<'_>,
        additions: Vec<(Place, Vec<Addition<'_>>)>,
    ) -> Result<FxHashMap<Place, bool>, SettleError> {
        let now = Timestamp::now();
        let (mut segments, mut pending) = (Vec::new(), Vec::new());
        for (place, changed) in additions {
            let (Some(key), Some(compiled)) = (session.log(place), session.compiled(place.correlation)) else {
                continue;
            };
            let kept = Timestamp(now.0.saturating_add(self.lateness));
            let expires = compiled.expires(place.window, self.lateness).max(kept);
            let (mut body, mut bodies, count) = (memory::empty(), Vec::new(), changed.len());
            for (key, merged, written) in changed {
                if body.len() > MAX_SEGMENT {
                    break;
                }
                memory::pack_group(&key.group, &written, &mut body);
                bodies.push((key.group, merged));
            }
            let is_whole = bodies.len() == count;
            pending.push((place, key, bodies, body.len(), expires, is_whole));
            segments.push(Segment {
                key,
                number: self.memory.log(key).map_or(0, |log| log.number).saturating_add(1),
                body,
                expires,
            });
        }
        let mut outcome = FxHashMap::default();
        if segments.is_empty() {
            return Ok(outcome);
        }
        let is_added = windows::append(&self.store, segments).await?;
        for ((place, key, bodies, bytes, expires, is_whole), is_added) in pending.into_iter().zip(is_added) {
            if is_added {
                self.memory.added(key, bodies, bytes, expires);
            }
            outcome.insert(place, is_added && is_whole);
        }
        Ok(outcome)
    }

    /// Reads what others added to logs. Answers with those of which something else was known than is there.
    pub(super) async fn refresh(
        &mut self,
        session: &mut Session<'_>,
        places: impl Iterator<Item = Place>,
    ) -> Result<FxHashSet<Place>, SettleError> {
        let mut known = Vec::new();
        let mut by_key = FxHashMap::default();
        for place in places {
            if let Some(key) = session.log(place) {
                known.push((key, self.memory.log(key).map_or(0, |log| log.number)));
                by_key.insert(key, place);
                self.memory.touch(key);
            }
        }
        let mut replaced = FxHashSet::default();
        if known.is_empty() {
            return Ok(replaced);
        }
        let newer = windows::newer(&self.store, &known).await?;
        known.retain(|(key, _)| newer.contains(key));
        if known.is_empty() {
            return Ok(replaced);
        }
        for (key, rest) in windows::read(&self.store, &known).await? {
            let Some(place) = by_key.get(&key) else { continue };
            if let Some(compiled) = session.compiled(place.correlation)
                && self.memory.take(key, rest, compiled)
            {
                replaced.insert(*place);
            }
        }
        Ok(replaced)
    }

    fn is_known(&self, session: &mut Session<'_>, place: Place) -> bool {
        session.log(place).is_some_and(|key| self.memory.log(key).is_some())
    }

    pub(super) fn group(&self, session: &mut Session<'_>, key: &StateKey) -> Option<&Group> {
        let log = session.log(Place::of(key))?;
        self.memory.log(log)?.groups.get(&key.group)
    }

    pub(super) fn neighbours(&self, session: &mut Session<'_>, key: &StateKey) -> Neighbours<'_> {
        let mut state = |window: Option<i64>| {
            let key = StateKey {
                window: window?,
                ..*key
            };
            self.group(session, &key).map(|known| &known.body.window)
        };
        Neighbours {
            previous: state(key.window.checked_sub(1)),
            this: state(Some(key.window)),
            next: state(key.window.checked_add(1)),
        }
    }

    /// Whether nothing came to a window since it was judged, or there is none.
    pub(super) fn is_settled(&self, session: &mut Session<'_>, key: &StateKey) -> bool {
        let Some(compiled) = session.compiled(key.correlation) else {
            return true;
        };
        let Some(known) = self.group(session, key) else {
            return true;
        };
        known.settled > 0 && known.settled == compiled.version(key.window, self.neighbours(session, key))
    }
}
