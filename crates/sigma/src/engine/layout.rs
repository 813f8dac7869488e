//! The names of an event's fields, resolved by what usually comes next: events of one kind have the same names in the
//! same order.

use rustc_hash::FxHashMap;

use crate::engine::hash::{hash, same};
use crate::engine::scratch::ItemInfo;
use crate::engine::slots::{Names, UNKNOWN, is_searched_by_keywords};

/// Most nodes that are remembered.
const MAX_NODES: usize = 16_384;
/// Longest name that is remembered, in bytes.
const MAX_KEY: usize = 512;
/// How many nodes that once came next are tried.
const WAYS: usize = 4;

/// A name at a place: number of its node.
pub(crate) type NodeId = u32;
/// The place of the outermost names, and before the first.
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
}

/// Names seen before.
#[derive(Debug, Default)]
pub(crate) struct Layout {
    nodes: Vec<Node>,
    by_key: FxHashMap<(NodeId, u64), Vec<NodeId>>,
    seed: u64,
}

impl Layout {
    /// Forgets all names. `seed` makes collisions of hashes hard to foresee.
    pub(crate) fn reset(&mut self, seed: u64) {
        self.nodes.clear();
        self.by_key.clear();
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
        });
    }

    /// Makes room for an event of any size that is evaluated at all.
    pub(crate) fn begin(&mut self) {
        if self.nodes.len() > MAX_NODES {
            self.reset(self.seed);
        }
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

    #[inline(never)]
    fn look_up(&mut self, names: &Names, parent: NodeId, previous: NodeId, key: &[u8]) -> Option<NodeId> {
        if key.len() > MAX_KEY {
            return None;
        }
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
        let path = if parent == ROOT {
            name.to_owned()
        } else {
            format!("{}.{name}", self.nodes.get(parent as usize)?.path)
        };
        let number = NodeId::try_from(self.nodes.len()).ok()?;
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
        });
        self.by_key.entry((parent, hash)).or_default().push(number);
        Some(number)
    }
}
