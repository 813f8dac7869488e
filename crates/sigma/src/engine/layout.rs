//! The names of an event's fields, resolved by what usually comes next: events of one kind have the same names in the
//! same order.

use std::collections::HashMap;

use model::event::MAX_NAME;
use rustc_hash::FxHashMap;

use crate::engine::hash::{hash, same};
use crate::engine::scratch::ItemInfo;
use crate::engine::slots::{Names, UNKNOWN, is_searched_by_keywords};

/// Most nodes that are remembered.
const MAX_NODES: usize = 16_384;
/// How many nodes that once came next are tried.
const WAYS: usize = 4;

/// A name at a place: number of its node.
pub(crate) type NodeId = u32;
/// The place of the outermost names, and what comes before the first.
pub(crate) const ROOT: NodeId = 0;

#[derive(Debug)]
struct Node {
    parent: NodeId,
    key: Box<[u8]>,
    /// The whole path, with dots.
    path: Box<str>,
    info: ItemInfo,
    next: [NodeId; WAYS],
    replace: usize,
    /// The event that last had it.
    event: u32,
    /// Whether another node leads to the same path.
    is_ambiguous: bool,
}

/// Names seen before.
#[derive(Debug, Default)]
pub(crate) struct Layout {
    nodes: Vec<Node>,
    by_key: FxHashMap<(NodeId, u64), Vec<NodeId>>,
    by_path: HashMap<Box<str>, NodeId>,
    seed: u64,
    event: u32,
}

impl Layout {
    /// Forgets all names. `seed` makes collisions of hashes hard to foresee.
    pub(crate) fn reset(&mut self, seed: u64) {
        self.nodes.clear();
        self.by_key.clear();
        self.by_path.clear();
        self.event = 0;
        self.seed = seed;
        self.nodes.push(Node {
            parent: NodeId::MAX,
            key: Box::default(),
            path: Box::default(),
            info: ItemInfo {
                name: UNKNOWN,
                searched: true,
            },
            next: [NodeId::MAX; WAYS],
            replace: 0,
            event: 0,
            is_ambiguous: false,
        });
    }

    /// Makes room for an event of any size that is evaluated at all.
    pub(crate) fn begin(&mut self) {
        if self.nodes.len() > MAX_NODES || self.event == u32::MAX {
            self.reset(self.seed);
        }
        self.event += 1;
    }

    /// The node of a member of `parent` that comes behind `previous`; `None` for a name that is not remembered.
    #[inline]
    pub(crate) fn member(&mut self, names: &Names, parent: NodeId, previous: NodeId, key: &[u8]) -> Option<NodeId> {
        let ways = self.nodes.get(previous as usize)?.next;
        for way in ways {
            let Some(node) = self.nodes.get(way as usize) else {
                break;
            };
            if node.parent == parent && same(&node.key, key) {
                return Some(way);
            }
        }
        self.look_up(names, parent, previous, key)
    }

    /// What is known of the field a node leads to.
    #[inline]
    pub(crate) fn info(&self, node: NodeId) -> ItemInfo {
        self.nodes.get(node as usize).map_or(
            ItemInfo {
                name: UNKNOWN,
                searched: false,
            },
            |node| node.info,
        )
    }

    /// Whether this is the first field of this path in the event, as far as can be told. To be asked once per field.
    #[inline]
    pub(crate) fn is_first(&mut self, node: NodeId) -> bool {
        let event = self.event;
        let Some(node) = self.nodes.get_mut(node as usize) else {
            return false;
        };
        let is_first = node.event != event && !node.is_ambiguous;
        node.event = event;
        is_first
    }

    #[inline(never)]
    fn look_up(&mut self, names: &Names, parent: NodeId, previous: NodeId, key: &[u8]) -> Option<NodeId> {
        let hash = hash(key, self.seed);
        let known = self.by_key.get(&(parent, hash)).into_iter().flatten();
        let known = known
            .copied()
            .find(|node| self.nodes.get(*node as usize).is_some_and(|node| same(&node.key, key)));
        let number = match known {
            Some(number) => number,
            None => self.add(names, parent, key, hash)?,
        };
        let previous = self.nodes.get_mut(previous as usize)?;
        let replace = previous.replace % WAYS;
        if let Some(way) = previous.next.get_mut(replace) {
            *way = number;
        }
        previous.replace = replace + 1;
        Some(number)
    }

    fn add(&mut self, names: &Names, parent: NodeId, key: &[u8], hash: u64) -> Option<NodeId> {
        let name = std::str::from_utf8(key).ok()?;
        if name.contains('\\') || self.nodes.len() > 2 * MAX_NODES {
            return None;
        }
        let path = match self.nodes.get(parent as usize)?.path.as_ref() {
            "" => name.to_owned(),
            path => format!("{path}.{name}"),
        };
        if path.len() >= MAX_NAME {
            return None;
        }
        let number = NodeId::try_from(self.nodes.len()).ok()?;
        let other = self.by_path.insert(path.as_str().into(), number);
        if let Some(other) = other.and_then(|other| self.nodes.get_mut(other as usize)) {
            other.is_ambiguous = true;
        }
        self.nodes.push(Node {
            parent,
            key: key.into(),
            info: ItemInfo {
                name: names.get(&path),
                searched: is_searched_by_keywords(&path),
            },
            path: path.into_boxed_str(),
            next: [NodeId::MAX; WAYS],
            replace: 0,
            event: 0,
            is_ambiguous: other.is_some(),
        });
        self.by_key.entry((parent, hash)).or_default().push(number);
        Some(number)
    }
}
