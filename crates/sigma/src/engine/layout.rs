//! The names of an event's fields, resolved by what usually comes next: events of one kind have the same names in the
//! same order.

use std::collections::HashMap;

use model::event::MAX_NAME;
use rustc_hash::FxHashMap;

use crate::engine::hash::{hash, mixed, same, word_of};
use crate::engine::scratch::ItemInfo;
use crate::engine::slots::{Names, UNKNOWN, is_searched_by_keywords};

/// Most nodes that are remembered.
const MAX_NODES: usize = 16_384;
/// Cells for what once came behind which node; a power of two.
const CELLS: usize = 8192;

/// A name at a place: number of its node.
pub(crate) type NodeId = u32;
/// The place of the outermost names, and what comes before the first.
pub(crate) const ROOT: NodeId = 0;

/// What is asked of a node for each member of each event.
#[derive(Clone, Copy, Debug)]
struct Node {
    parent: NodeId,
    /// What came next last time.
    next: NodeId,
    /// Where its name is in [`Layout::keys`], between quotes.
    start: u32,
    end: u32,
    /// The event that last had it.
    event: u32,
    info: ItemInfo,
    /// Whether another node leads to the same path.
    is_ambiguous: bool,
}

/// Names seen before.
#[derive(Debug, Default)]
pub(crate) struct Layout {
    nodes: Vec<Node>,
    /// What once came behind a node under a name, by a hash of both. What came last, a node knows itself.
    behind: Vec<NodeId>,
    /// The names of all nodes, each between quotes. Those of one kind of events are beside each other.
    keys: Vec<u8>,
    /// The whole path of each node, with dots.
    paths: Vec<Box<str>>,
    by_key: FxHashMap<(NodeId, u64), Vec<NodeId>>,
    by_path: HashMap<Box<str>, NodeId>,
    seed: u64,
    event: u32,
}

impl Layout {
    /// Forgets all names. `seed` makes collisions of hashes hard to foresee.
    pub(crate) fn reset(&mut self, seed: u64) {
        *self = Self {
            seed,
            behind: vec![NodeId::MAX; CELLS],
            ..Self::default()
        };
        let info = ItemInfo {
            name: UNKNOWN,
            searched: true,
        };
        self.push(NodeId::MAX, b"", Box::default(), info, false);
    }

    fn push(&mut self, parent: NodeId, key: &[u8], path: Box<str>, info: ItemInfo, is_ambiguous: bool) {
        let start = small(self.keys.len());
        self.keys.push(b'"');
        self.keys.extend_from_slice(key);
        self.keys.push(b'"');
        self.paths.push(path);
        self.nodes.push(Node {
            parent,
            next: NodeId::MAX,
            start,
            end: small(self.keys.len()),
            event: 0,
            info,
            is_ambiguous,
        });
    }

    /// Makes room for an event of any size that is evaluated at all.
    pub(crate) fn begin(&mut self) {
        if self.nodes.len() > MAX_NODES || self.event == u32::MAX {
            self.reset(self.seed);
        }
        self.event += 1;
    }

    /// The node of the member of `parent` that came behind `previous` last time, if `rest` starts with its name in
    /// quotes; and how long that is. So the end of a name need not be looked for.
    #[inline]
    pub(crate) fn expected(&self, parent: NodeId, previous: NodeId, rest: &[u8]) -> Option<(NodeId, usize)> {
        let number = self.nodes.get(previous as usize)?.next;
        let node = self.nodes.get(number as usize).filter(|node| node.parent == parent)?;
        let known = self.keys.get(node.start as usize..node.end as usize)?;
        // No name that is remembered has a quote or an escape in it.
        same(known, rest.get(..known.len())?).then_some((number, known.len()))
    }

    /// The node of a member of `parent` that comes behind `previous`; `None` for a name that is not remembered.
    pub(crate) fn member(&mut self, names: &Names, parent: NodeId, previous: NodeId, key: &[u8]) -> Option<NodeId> {
        let last = self.nodes.get(previous as usize)?.next;
        if self.is(last, parent, key) {
            return Some(last);
        }
        let number = *self.behind.get(cell(previous, key))?;
        let number = if self.is(number, parent, key) {
            number
        } else {
            self.look_up(names, parent, previous, key)?
        };
        self.nodes.get_mut(previous as usize)?.next = number;
        Some(number)
    }

    /// Whether this is the node of a member of `parent`.
    #[inline]
    fn is(&self, number: NodeId, parent: NodeId, key: &[u8]) -> bool {
        let node = self.nodes.get(number as usize).filter(|node| node.parent == parent);
        node.and_then(|node| self.key(node))
            .is_some_and(|known| same(known, key))
    }

    /// The name of a node, without quotes.
    #[inline]
    fn key(&self, node: &Node) -> Option<&[u8]> {
        self.keys.get(node.start as usize + 1..node.end as usize - 1)
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

    /// What is known of the field a node leads to, for the first field of this path in the event; `None` for another,
    /// as far as can be told. To be asked once per member.
    #[inline]
    pub(crate) fn first(&mut self, node: NodeId) -> Option<ItemInfo> {
        let node = self.nodes.get_mut(node as usize)?;
        let is_first = node.event != self.event && !node.is_ambiguous;
        node.event = self.event;
        is_first.then_some(node.info)
    }

    #[inline(never)]
    fn look_up(&mut self, names: &Names, parent: NodeId, previous: NodeId, key: &[u8]) -> Option<NodeId> {
        let hash = hash(key, self.seed);
        let known = self.by_key.get(&(parent, hash)).into_iter().flatten().copied();
        let known = known.into_iter().find(|number| {
            let node = self.nodes.get(*number as usize);
            node.and_then(|node| self.key(node)) == Some(key)
        });
        let number = match known {
            Some(number) => number,
            None => self.add(names, parent, key, hash)?,
        };
        *self.behind.get_mut(cell(previous, key))? = number;
        Some(number)
    }

    fn add(&mut self, names: &Names, parent: NodeId, key: &[u8], hash: u64) -> Option<NodeId> {
        let name = std::str::from_utf8(key).ok()?;
        if name.contains(['\\', '"']) || self.nodes.len() > 2 * MAX_NODES {
            return None;
        }
        let path = match self.paths.get(parent as usize)?.as_ref() {
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
        let info = ItemInfo {
            name: names.get(&path),
            searched: is_searched_by_keywords(&path),
        };
        self.push(parent, key, path.into_boxed_str(), info, other.is_some());
        self.by_key.entry((parent, hash)).or_default().push(number);
        Some(number)
    }
}

/// Where in [`Layout::behind`] a name behind a node is.
#[inline]
fn cell(previous: NodeId, key: &[u8]) -> usize {
    let last = key.get(key.len().saturating_sub(8)..).unwrap_or_default();
    #[allow(clippy::cast_possible_truncation, reason = "any bits of a hash will do")]
    let hash = mixed(u64::from(previous), word_of(key), word_of(last)) as usize;
    (hash ^ key.len()) % CELLS
}

fn small(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}
