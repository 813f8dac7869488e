//! Detectors that share stored states: a model of what the real ones do with a database. States are kept as the text
//! they are serialized to, writes are compare-and-swap, and workers stop or act on what they read a while ago.

use std::collections::{BTreeMap, BTreeSet};

use model::{Event, Tenant, Timestamp};
use sigma::correlation::{Contribution, Correlations, Neighbours, StateKey, Verdict, WindowState};

use crate::generate::kinds;

/// What a worker has read and judged, but not written yet.
pub(crate) struct Read {
    key: StateKey,
    this: Option<String>,
    version: u64,
    verdict: Verdict,
}

pub(crate) struct Store<'c> {
    correlations: &'c Correlations,
    documents: BTreeMap<StateKey, String>,
    waiting: BTreeSet<(Timestamp, StateKey)>,
    pub(crate) now: Timestamp,
}

impl<'c> Store<'c> {
    pub(crate) fn new(correlations: &'c Correlations) -> Self {
        Self {
            correlations,
            documents: BTreeMap::new(),
            waiting: BTreeSet::new(),
            now: Timestamp(-100_000_000),
        }
    }

    fn state(&self, key: &StateKey, window: i64) -> Option<WindowState> {
        let text = self.documents.get(&StateKey { window, ..*key })?;
        Some(serde_json::from_str(text).unwrap())
    }

    /// Merges what a batch gives; returns what is to be judged.
    pub(crate) fn merge(&mut self, contributions: Vec<Contribution>) -> Vec<StateKey> {
        let mut touched = BTreeSet::new();
        for (key, theirs) in self.correlations.gather(contributions) {
            let compiled = self.correlations.get(key.correlation).unwrap();
            let mut ours = self.state(&key, key.window).unwrap_or_default();
            let theirs: WindowState = serde_json::from_str(&serde_json::to_string(&theirs).unwrap()).unwrap();
            if compiled.merge(&mut ours, &theirs) {
                self.documents.insert(key, serde_json::to_string(&ours).unwrap());
            }
            // Whether it changed or not: a worker before may have stopped right behind its write.
            for window in compiled.judged_with(key.window) {
                touched.insert(StateKey { window, ..key });
            }
        }
        touched.into_iter().collect()
    }

    pub(crate) fn read(&self, key: &StateKey) -> Read {
        let compiled = self.correlations.get(key.correlation).unwrap();
        let needed = compiled.needed_for(key.window);
        // What is not needed may be at hand or not.
        let at_hand = |window: i64| needed.contains(&window) || self.documents.len().is_multiple_of(2);
        let states: Vec<Option<WindowState>> = [key.window - 1, key.window, key.window + 1]
            .map(|window| at_hand(window).then(|| self.state(key, window)).flatten())
            .into_iter()
            .collect();
        let neighbours = Neighbours {
            previous: states[0].as_ref(),
            this: states[1].as_ref(),
            next: states[2].as_ref(),
        };
        Read {
            this: self.documents.get(key).cloned(),
            version: compiled.version(key.window, neighbours),
            verdict: compiled.judge(key.window, neighbours, self.now),
            key: *key,
        }
    }

    /// Writes a verdict, or judges again when the state has changed since; then tells the correlations over this one.
    pub(crate) fn write(&mut self, read: Read) {
        let key = read.key;
        if self.documents.get(&key) != read.this.as_ref() {
            let again = self.read(&key);
            return self.write(again);
        }
        if let Verdict::Open { due } = read.verdict {
            self.waiting.insert((due, key));
        }
        let Some(mut state) = self.state(&key, key.window) else {
            return;
        };
        if state.announce(read.version, &read.verdict) {
            self.documents.insert(key, serde_json::to_string(&state).unwrap());
            // A neighbour may have changed since it was read, and whoever judged then found nothing to take back.
            let again = self.read(&key);
            return self.write(again);
        }
        let mut contributions = Vec::new();
        self.correlations
            .chained(&key, &state, &Tenant::default(), &mut contributions);
        for key in self.merge(contributions) {
            let read = self.read(&key);
            self.write(read);
        }
    }

    /// Judges what time has made due.
    pub(crate) fn wake(&mut self) {
        let due: Vec<(Timestamp, StateKey)> = self
            .waiting
            .iter()
            .filter(|(due, _)| *due <= self.now)
            .cloned()
            .collect();
        for (at, key) in due {
            let read = self.read(&key);
            self.write(read);
            self.waiting.remove(&(at, key));
        }
    }

    pub(crate) fn contributions(&self, batch: &[Event]) -> Vec<Contribution> {
        let mut contributions = Vec::new();
        for event in batch {
            for kind in kinds(event) {
                self.correlations.contributions(kind, event, &mut contributions);
            }
        }
        contributions
    }

    /// Alerts as the documents have them: correlation, window, group, and what was found.
    pub(crate) fn alerts(&self) -> BTreeSet<String> {
        self.documents
            .iter()
            .filter_map(|(key, text)| {
                let state: WindowState = serde_json::from_str(text).unwrap();
                let finding = state.announced?.finding?;
                Some(format!("{key:?} {:?} {finding:?}", state.group))
            })
            .collect()
    }
}
