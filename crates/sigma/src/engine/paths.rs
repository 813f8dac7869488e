//! The paths of fields, as numbers: what a name in an object leads to.

use std::collections::HashMap;

use model::event::MAX_NAME;
use rustc_hash::FxHashMap;

use crate::engine::hash::hash;
use crate::engine::scratch::ItemInfo;
use crate::engine::slots::{Names, UNKNOWN, is_searched_by_keywords};

/// Number of a path.
pub(crate) type PathId = u32;
/// The path of the whole event.
pub(crate) const ROOT: PathId = 0;

/// Number of paths beyond which no more are remembered.
pub(super) const MAX_PATHS: usize = 32_768;

#[derive(Debug)]
struct Path {
    /// With dots.
    text: Box<str>,
    info: ItemInfo,
    /// Where the name is in [`Paths::keys`], in quotes and with a colon behind.
    key: Key,
    /// The event that last had it, as far as that was noted.
    event: u32,
    /// Whether other names lead there, too.
    is_ambiguous: bool,
}

/// A name as JSON has it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Key {
    pub(super) start: u32,
    pub(super) length: u16,
}

/// Paths seen before.
#[derive(Debug, Default)]
pub(super) struct Paths {
    all: Vec<Path>,
    keys: Vec<u8>,
    by_key: FxHashMap<(PathId, u64), Vec<PathId>>,
    by_text: HashMap<Box<str>, PathId>,
    seed: u64,
}

impl Paths {
    /// Only the root. `seed` makes collisions of hashes hard to foresee.
    pub(super) fn new(seed: u64) -> Self {
        let root = Path {
            text: Box::default(),
            info: ItemInfo {
                name: UNKNOWN,
                searched: true,
            },
            key: Key::default(),
            event: 0,
            is_ambiguous: false,
        };
        Self {
            all: vec![root],
            seed,
            ..Self::default()
        }
    }

    pub(super) fn seed(&self) -> u64 {
        self.seed
    }

    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    /// What is known of a field at this path.
    pub(super) fn info(&self, path: PathId) -> ItemInfo {
        self.all.get(path as usize).map_or(
            ItemInfo {
                name: UNKNOWN,
                searched: false,
            },
            |path| path.info,
        )
    }

    pub(super) fn key(&self, path: PathId) -> Key {
        self.all.get(path as usize).map_or(Key::default(), |path| path.key)
    }

    /// A name in quotes and with a colon behind.
    #[inline]
    pub(super) fn written(&self, key: Key) -> Option<&[u8]> {
        let start = key.start as usize;
        self.keys.get(start..start + usize::from(key.length))
    }

    /// A name.
    #[inline]
    pub(super) fn name(&self, key: Key) -> Option<&[u8]> {
        let start = key.start as usize;
        self.keys
            .get(start + 1..(start + usize::from(key.length)).checked_sub(2)?)
    }

    /// Notes that an event has it. False when the event had it before, as far as can be told.
    pub(super) fn note(&mut self, path: PathId, event: u32) -> bool {
        let Some(path) = self.all.get_mut(path as usize) else {
            return false;
        };
        let is_first = path.event != event && !path.is_ambiguous;
        path.event = event;
        is_first
    }

    /// The path of a member of `parent`, as far as it was seen before.
    pub(super) fn find(&self, parent: PathId, name: &[u8]) -> Option<PathId> {
        let known = self.by_key.get(&(parent, hash(name, self.seed)))?;
        known
            .iter()
            .copied()
            .find(|path| self.name(self.key(*path)) == Some(name))
    }

    /// Adds the path of a member of `parent` that was not seen before. Also gives another that has the same text: both
    /// are ambiguous. `None` for a name that is not remembered.
    pub(super) fn add(&mut self, names: &Names, parent: PathId, name: &[u8]) -> Option<(PathId, Option<PathId>)> {
        let hash = hash(name, self.seed);
        let name = std::str::from_utf8(name).ok()?;
        // Where a name is expected, it is compared as it is written.
        if name.contains(['\\', '"']) || self.all.len() >= MAX_PATHS {
            return None;
        }
        let text = match self.all.get(parent as usize)?.text.as_ref() {
            "" => name.to_owned(),
            parent => format!("{parent}.{name}"),
        };
        if text.len() >= MAX_NAME {
            return None;
        }
        let key = Key {
            start: u32::try_from(self.keys.len()).ok()?,
            length: u16::try_from(name.len() + 3).ok()?,
        };
        let number = PathId::try_from(self.all.len()).ok()?;
        let other = self.by_text.insert(text.as_str().into(), number);
        if let Some(other) = other.and_then(|other| self.all.get_mut(other as usize)) {
            other.is_ambiguous = true;
        }
        self.keys.push(b'"');
        self.keys.extend_from_slice(name.as_bytes());
        self.keys.extend_from_slice(b"\":");
        self.all.push(Path {
            info: ItemInfo {
                name: names.get(&text),
                searched: is_searched_by_keywords(&text),
            },
            text: text.into_boxed_str(),
            key,
            event: 0,
            is_ambiguous: other.is_some(),
        });
        self.by_key.entry((parent, hash)).or_default().push(number);
        Some((number, other))
    }
}
