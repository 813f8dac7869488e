//! What this detector knows of the logs of windows: what it read and wrote, in their order.

use model::Timestamp;
use rustc_hash::FxHashMap;
use sigma::correlation::packed::Reader;
use sigma::correlation::{Compiled, GroupKey, StateKey};
use storage::windows::{Checkpoint, LogKey, MILESTONE, Rest};

use super::body::Body;

/// Logs that the groups of one window are shared out to, so that none gets large.
pub(crate) const SHARES: u8 = 8;
/// Most bytes of memory, roughly, before logs that were not used for longest are forgotten. They are read again when
/// they are needed.
pub(crate) const MAX_WEIGHT: usize = 256 << 20;
/// Longest checkpoint in bytes: what fits into a document.
const MAX_CHECKPOINT: usize = 14 << 20;
/// So many times in between, it is not looked.
const TRIM_EVERY: u64 = 16;
const FORMAT: u8 = 1;

/// A log by what it is about: one correlation, one window, one share of its groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Place {
    /// Position of the correlation.
    pub(crate) correlation: usize,
    /// Number of the window.
    pub(crate) window: i64,
    /// Less than [`SHARES`].
    pub(crate) share: u8,
}

impl Place {
    /// Where a window of a group is.
    pub(crate) fn of(key: &StateKey) -> Self {
        let [first, ..] = key.group.as_bytes();
        Self {
            correlation: key.correlation,
            window: key.window,
            share: first % SHARES,
        }
    }

    /// The window of a group that is there.
    pub(crate) fn key(self, group: GroupKey) -> StateKey {
        StateKey {
            correlation: self.correlation,
            group,
            window: self.window,
        }
    }
}

/// One group of events in one window.
#[derive(Clone, Debug, Default)]
pub(crate) struct Group {
    pub(crate) body: Body,
    /// The version that was judged, with all that follows from it done by this process; 0 when none was.
    pub(crate) settled: u64,
}

/// What is known of a log.
#[derive(Debug, Default)]
pub(crate) struct Log {
    /// Number of the last segment that is known.
    pub(crate) number: u32,
    pub(crate) groups: FxHashMap<GroupKey, Group>,
    /// Number of the last checkpoint that is known, its bytes, and the bytes of the segments since.
    checkpoint: u32,
    base: usize,
    grown: usize,
    weight: usize,
    used: u64,
}

impl Log {
    fn put(&mut self, group: GroupKey, body: Body) {
        let known = self.groups.entry(group).or_default();
        self.weight += body.weight();
        self.weight = self.weight.saturating_sub(known.body.weight());
        known.body = body;
    }
}

/// All logs that are known.
#[derive(Debug)]
pub(crate) struct Memory {
    /// Most bytes, roughly.
    max_weight: usize,
    logs: FxHashMap<LogKey, Log>,
    clock: u64,
    /// When last looked.
    weight: usize,
    /// Logs in which this detector wrote a milestone, and when they end.
    milestones: Vec<(LogKey, Timestamp)>,
}

impl Memory {
    /// Nothing is known yet. About so many bytes are taken at most.
    pub(crate) fn new(max_weight: usize) -> Self {
        Self {
            max_weight,
            logs: FxHashMap::default(),
            clock: 0,
            weight: 0,
            milestones: Vec::new(),
        }
    }

    pub(crate) fn log(&self, key: LogKey) -> Option<&Log> {
        self.logs.get(&key)
    }

    /// Notes that everything about a log is known, be it nothing.
    pub(crate) fn touch(&mut self, key: LogKey) {
        self.logs.entry(key).or_default().used = self.clock;
    }

    /// Takes in what was read. Says whether that replaced what was known before, which may have been wrong.
    pub(crate) fn take(&mut self, key: LogKey, rest: Rest, compiled: &Compiled) -> bool {
        let log = self.logs.entry(key).or_default();
        let mut is_replaced = false;
        if let Some((number, body)) = rest.checkpoint {
            is_replaced = log.number > 0;
            *log = Log {
                number,
                checkpoint: number,
                base: body.len(),
                used: self.clock,
                ..Log::default()
            };
            each_group(key, &body, |group, body| log.put(group, body));
        }
        for (number, body) in rest.segments {
            if number <= log.number {
                continue;
            }
            log.number = number;
            log.grown += body.len();
            each_group(key, &body, |group, next| {
                let mut body = log
                    .groups
                    .get(&group)
                    .map(|known| known.body.clone())
                    .unwrap_or_default();
                body.follow(next, compiled);
                log.put(group, body);
            });
        }
        is_replaced
    }

    /// Takes in what this detector added to a log as its next segment, of so many bytes.
    pub(crate) fn added(&mut self, key: LogKey, bodies: Vec<(GroupKey, Body)>, bytes: usize, expires: Timestamp) {
        let log = self.logs.entry(key).or_default();
        log.number += 1;
        log.grown += bytes;
        for (group, body) in bodies {
            log.put(group, body);
        }
        if log.number.is_multiple_of(MILESTONE) {
            self.milestones.push((key, expires));
        }
    }

    /// Notes what was judged, with all that follows.
    pub(crate) fn settle(&mut self, key: LogKey, group: GroupKey, version: u64) {
        if let Some(known) = self.logs.get_mut(&key).and_then(|log| log.groups.get_mut(&group)) {
            known.settled = version;
        }
    }

    /// Forgets what was judged: other rules draw other conclusions.
    pub(crate) fn unsettle(&mut self) {
        for log in self.logs.values_mut() {
            for group in log.groups.values_mut() {
                group.settled = 0;
            }
        }
    }

    /// The next log to be summed up, if that makes it smaller by half.
    pub(crate) fn next_checkpoint(&mut self) -> Option<Checkpoint> {
        while let Some((key, expires)) = self.milestones.pop() {
            let Some(log) = self.logs.get_mut(&key).filter(|log| log.grown >= log.base) else {
                continue;
            };
            let groups = log.groups.iter().map(|(group, known)| (group, &known.body));
            let body = pack(groups);
            if body.len() > MAX_CHECKPOINT {
                continue;
            }
            let previous = std::mem::replace(&mut log.checkpoint, log.number);
            (log.base, log.grown) = (body.len(), 0);
            return Some(Checkpoint {
                key,
                previous,
                number: log.number,
                body,
                expires,
            });
        }
        None
    }

    /// Bounds the memory. Answers with how many bytes are left.
    pub(crate) fn trim(&mut self) -> usize {
        self.clock += 1;
        if !self.clock.is_multiple_of(TRIM_EVERY) {
            return self.weight;
        }
        let mut weight: usize = self.logs.values().map(|log| log.weight + 200).sum();
        self.weight = weight;
        if weight <= self.max_weight {
            return weight;
        }
        let mut by_use: Vec<(u64, LogKey)> = self.logs.iter().map(|(key, log)| (log.used, *key)).collect();
        by_use.sort_unstable();
        for (_, key) in by_use {
            if weight <= self.max_weight / 4 * 3 {
                break;
            }
            if let Some(log) = self.logs.remove(&key) {
                weight = weight.saturating_sub(log.weight + 200);
            }
        }
        self.weight = weight;
        weight
    }
}

/// Groups as the body of a segment or checkpoint: the number 1, then for each its key and its state.
pub(crate) fn pack<'a>(groups: impl Iterator<Item = (&'a GroupKey, &'a Body)>) -> Vec<u8> {
    let mut out = vec![FORMAT];
    for (group, body) in groups {
        pack_group(group, body, &mut out);
    }
    out
}

/// The body of a segment without any groups.
pub(crate) fn empty() -> Vec<u8> {
    vec![FORMAT]
}

/// Appends a group.
pub(crate) fn pack_group(group: &GroupKey, body: &Body, out: &mut Vec<u8>) {
    out.extend_from_slice(group.as_bytes());
    body.put(out);
}

fn each_group(key: LogKey, bytes: &[u8], mut each: impl FnMut(GroupKey, Body)) {
    let mut reader = Reader::new(bytes);
    let mut is_readable = reader.array() == Some([FORMAT]);
    while is_readable && !reader.is_empty() {
        match (reader.array().map(GroupKey::from_bytes), Body::read(&mut reader)) {
            (Some(group), Some(body)) => each(group, body),
            _ => is_readable = false,
        }
    }
    if !is_readable {
        tracing::error!(log.key = %key, "stored windows not readable, the rest of a segment is left out");
    }
}
