//! The names of an event's fields, resolved by what usually comes next: events of one kind have the same names in the
//! same order.
//!
//! What was seen is kept as a tree of states: a state stands for all names of an event up to one, in their order. So
//! whether a name is there twice is known with the state, and kinds of events do not disturb each other behind the name in
//! which they differ.

use std::sync::atomic::{AtomicU64, Ordering};

use rustc_hash::FxHashMap;

use crate::engine::hash::{mixed, same, word_of};
use crate::engine::paths::{Key, MAX_PATHS, PathId, Paths, ROOT};
use crate::engine::scratch::ItemInfo;
use crate::engine::shapes::ShapeId;
use crate::engine::slots::Names;

/// Most states that are remembered.
const MAX_STATES: usize = 16_384;
/// Number of events without a state of their own after which all states are forgotten.
const MAX_LOST: u32 = 8192;
/// Most shapes that are remembered.
const MAX_SHAPES: usize = 2048;
/// Cells for what once came behind which state; a power of two.
const CELLS: usize = 8192;
/// Bytes of a name that are compared at once.
const AHEAD: usize = 32;

type StateId = u32;
/// Nothing came before.
const START: StateId = 0;
/// No state.
const NONE: StateId = StateId::MAX;

/// For each length, the bits of so many bytes, in words.
static MASKS: [[u64; AHEAD / 8]; AHEAD + 1] = masks();

/// What is asked of a state for each member of each event.
#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
struct State {
    /// The first bytes of the name, in quotes and with a colon behind.
    ahead: [u64; AHEAD / 8],
    key: Key,
    /// Whether the path is the event's first of this text, as far as can be told.
    is_first: bool,
    /// Of the object it is in.
    parent: PathId,
    path: PathId,
    info: ItemInfo,
    /// What came next last time.
    next: StateId,
}

/// What is asked of a state now and then.
#[derive(Clone, Copy, Debug)]
struct Rest {
    before: StateId,
    /// Number of the shape of events that end here, or [`NONE`].
    shape: u32,
}

/// How far an event is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cursor {
    /// [`NONE`] when there are too many states.
    state: StateId,
    /// Whether it is noted of each path that the event has it; otherwise the state knows.
    is_noting: bool,
}

impl Cursor {
    /// Before the first name.
    pub(crate) fn start() -> Self {
        Self {
            state: START,
            is_noting: false,
        }
    }

    /// Whether the event has no state, so that what is known of each further field has to be kept.
    #[inline]
    pub(crate) fn is_lost(self) -> bool {
        self.state == NONE
    }
}

/// A name that was resolved.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Member {
    pub(crate) path: PathId,
    pub(crate) info: ItemInfo,
    /// Whether it is the event's first of this path, as far as can be told.
    pub(crate) is_first: bool,
}

/// Names seen before.
#[derive(Debug, Default)]
pub(crate) struct Layout {
    paths: Paths,
    states: Vec<State>,
    /// By state.
    rests: Vec<Rest>,
    /// What once came behind a state under a name, by a hash of both. What came last, a state knows itself.
    behind: Vec<StateId>,
    by_path: FxHashMap<(StateId, PathId), StateId>,
    event: u32,
    /// Events that had no state of their own.
    lost: u32,
    /// What is known of the fields of each shape: of events whose names end in the same state.
    shapes: Vec<Box<[ItemInfo]>>,
    age: u64,
    /// The event's time, if rules ask for it: it is behind the fields.
    time: Option<ItemInfo>,
}

impl Layout {
    /// Forgets all names. `seed` makes collisions of hashes hard to foresee.
    pub(crate) fn reset(&mut self, seed: u64, time: Option<ItemInfo>) {
        *self = Self {
            paths: Paths::new(seed),
            time,
            ..Self::default()
        };
        self.forget_states();
    }

    fn forget_states(&mut self) {
        self.lost = 0;
        self.by_path.clear();
        self.behind.clear();
        self.behind.resize(CELLS, NONE);
        self.rests.clear();
        self.rests.push(Rest {
            before: NONE,
            shape: NONE,
        });
        self.states.clear();
        self.states.push(State {
            ahead: [0; AHEAD / 8],
            key: Key::default(),
            is_first: false,
            parent: PathId::MAX,
            path: ROOT,
            info: self.paths.info(ROOT),
            next: NONE,
        });
        self.shapes.clear();
        // Unlike that of any other layout of this process.
        static AGE: AtomicU64 = AtomicU64::new(1);
        self.age = AGE.fetch_add(1, Ordering::Relaxed);
    }

    /// Makes room for an event of any size that is evaluated at all.
    #[inline]
    pub(crate) fn begin(&mut self) {
        if self.paths.len() > MAX_PATHS / 2 || self.event == u32::MAX || self.lost > MAX_LOST {
            self.make_room();
        }
        self.event += 1;
    }

    #[cold]
    #[inline(never)]
    fn make_room(&mut self) {
        if self.paths.len() > MAX_PATHS / 2 || self.event == u32::MAX {
            self.reset(self.paths.seed(), self.time);
        } else {
            self.forget_states();
        }
    }

    /// The member of `parent` that came next last time, if `rest` starts with its name in quotes and a colon; and how long
    /// that is. So the end of a name need not be looked for.
    #[inline]
    pub(crate) fn expected(&self, parent: PathId, cursor: &mut Cursor, rest: &[u8]) -> Option<(Member, usize)> {
        let next = self.states.get(cursor.state as usize)?.next;
        let state = self.states.get(next as usize)?;
        if state.parent != parent || !self.is_ahead(state, rest) {
            return None;
        }
        cursor.state = next;
        Some((state.member(), usize::from(state.key.length)))
    }

    #[inline]
    fn is_ahead(&self, state: &State, rest: &[u8]) -> bool {
        let length = usize::from(state.key.length);
        if let (Some(mask), Some(rest)) = (MASKS.get(length), rest.first_chunk::<AHEAD>()) {
            return differing(&state.ahead, words(rest), mask) == 0;
        }
        // No name that is remembered has a quote or an escape in it.
        let known = self.paths.written(state.key);
        known.is_some_and(|known| rest.get(..length).is_some_and(|rest| same(known, rest)))
    }

    /// The member of `parent` with a name; `None` for a name that is not remembered. When the event has no state from here
    /// on, what is known of the fields so far goes to `items`.
    pub(crate) fn member(
        &mut self,
        names: &Names,
        parent: PathId,
        cursor: &mut Cursor,
        name: &[u8],
        items: &mut Vec<ItemInfo>,
    ) -> Option<Member> {
        if !cursor.is_noting
            && let Some(last) = self.states.get(cursor.state as usize)
        {
            let next = last.next;
            let cell = cell(cursor.state, name);
            let known = [Some(next), self.behind.get(cell).copied()];
            let known = known.into_iter().flatten().find(|number| {
                self.state(*number).is_some_and(|state| {
                    self.before(*number) == Some(cursor.state) && state.parent == parent && {
                        let known = self.paths.name(state.key);
                        known.is_some_and(|known| same(known, name))
                    }
                })
            });
            let known = known.or_else(|| self.look_up(parent, cursor.state, name, cell));
            if let Some(number) = known {
                if let Some(last) = self.states.get_mut(cursor.state as usize) {
                    last.next = number;
                }
                cursor.state = number;
                return Some(self.state(number)?.member());
            }
        }
        self.add(names, parent, cursor, name, items)
    }

    #[inline]
    fn state(&self, number: StateId) -> Option<&State> {
        self.states.get(number as usize)
    }

    #[inline]
    fn before(&self, number: StateId) -> Option<StateId> {
        self.rests.get(number as usize).map(|rest| rest.before)
    }

    #[inline(never)]
    fn look_up(&mut self, parent: PathId, last: StateId, name: &[u8], cell: usize) -> Option<StateId> {
        let path = self.paths.find(parent, name)?;
        let number = *self.by_path.get(&(last, path))?;
        *self.behind.get_mut(cell)? = number;
        Some(number)
    }

    /// A member that never came there.
    #[cold]
    fn add(
        &mut self,
        names: &Names,
        parent: PathId,
        cursor: &mut Cursor,
        name: &[u8],
        items: &mut Vec<ItemInfo>,
    ) -> Option<Member> {
        let path = match self.paths.find(parent, name) {
            Some(path) => path,
            None => {
                let (path, other) = self.paths.add(names, parent, name)?;
                if other.is_some() {
                    // Also what is known of this event is wrong, which then is read another way.
                    self.forget_firsts(other);
                }
                path
            }
        };
        self.note_all(cursor);
        let member = Member {
            path,
            info: self.paths.info(path),
            is_first: self.paths.note(path, self.event),
        };
        if cursor.state != NONE {
            let before = cursor.state;
            cursor.state = self.push(parent, before, member);
            if cursor.state == NONE {
                self.fill_before(parent, before, items);
            }
        }
        Some(member)
    }

    fn push(&mut self, parent: PathId, before: StateId, member: Member) -> StateId {
        let number = StateId::try_from(self.states.len()).unwrap_or(NONE);
        if self.states.len() >= MAX_STATES {
            self.lost += 1;
            return NONE;
        }
        let key = self.paths.key(member.path);
        let written = self.paths.written(key).unwrap_or_default();
        let mut ahead = [0; AHEAD];
        for (place, byte) in ahead.iter_mut().zip(written) {
            *place = *byte;
        }
        self.states.push(State {
            ahead: words(&ahead),
            key,
            is_first: member.is_first,
            parent,
            path: member.path,
            info: member.info,
            next: NONE,
        });
        self.rests.push(Rest { before, shape: NONE });
        self.by_path.insert((before, member.path), number);
        if let Some(before) = self.states.get_mut(before as usize) {
            before.next = number;
        }
        number
    }

    /// The shape of the event that ends here; `None` when it has none, and its fields then are in `items`.
    #[inline]
    pub(crate) fn end(&mut self, cursor: Cursor, items: &mut Vec<ItemInfo>) -> Option<ShapeId> {
        let number = match self.rests.get(cursor.state as usize)?.shape {
            NONE => self.add_shape(cursor.state, items)?,
            number => number,
        };
        Some(ShapeId { number, age: self.age })
    }

    /// What is known of the fields of a shape, and of the time behind them.
    #[inline]
    pub(crate) fn items(&self, shape: ShapeId) -> &[ItemInfo] {
        self.shapes.get(shape.number as usize).map_or(&[], AsRef::as_ref)
    }

    #[cold]
    fn add_shape(&mut self, state: StateId, items: &mut Vec<ItemInfo>) -> Option<u32> {
        self.fill(state, items);
        if self.shapes.len() >= MAX_SHAPES {
            return None;
        }
        let number = u32::try_from(self.shapes.len()).ok()?;
        self.shapes.push(items.iter().copied().chain(self.time).collect());
        self.rests.get_mut(state as usize)?.shape = number;
        Some(number)
    }

    /// The event goes on without a state: what is known of the fields so far goes to `items`, and each further one has to
    /// be put there, too. The last name is that of a field only if `is_field`.
    #[cold]
    pub(crate) fn leave(&mut self, cursor: &mut Cursor, is_field: bool, items: &mut Vec<ItemInfo>) {
        self.note_all(cursor);
        if let Some(last) = self.state(cursor.state).copied() {
            if is_field {
                self.fill(cursor.state, items);
            } else {
                let before = self.before(cursor.state).unwrap_or(NONE);
                self.fill_before(last.parent, before, items);
            }
        }
        cursor.state = NONE;
    }

    /// What is known of the fields before one in `parent`.
    fn fill_before(&self, parent: PathId, before: StateId, items: &mut Vec<ItemInfo>) {
        self.fill(before, items);
        if self.state(before).is_some_and(|before| before.path == parent) {
            items.pop();
        }
    }

    /// What is known of the fields up to a state, the last of which is not an object. Objects are told by the names in them.
    fn fill(&self, state: StateId, items: &mut Vec<ItemInfo>) {
        items.clear();
        let mut inner = PathId::MAX;
        let mut at = state;
        while at != START
            && let Some(state) = self.state(at)
        {
            if state.path != inner {
                items.push(state.info);
            }
            inner = state.parent;
            at = self.before(at).unwrap_or(NONE);
        }
        items.reverse();
    }

    fn note_all(&mut self, cursor: &mut Cursor) {
        if cursor.is_noting {
            return;
        }
        cursor.is_noting = true;
        let mut at = cursor.state;
        while let Some(path) = self.state(at).map(|state| state.path) {
            self.paths.note(path, self.event);
            at = self.before(at).unwrap_or(NONE);
        }
    }

    /// Of two paths with the same text, none can be told to be the first.
    fn forget_firsts(&mut self, path: Option<PathId>) {
        for state in &mut self.states {
            state.is_first &= Some(state.path) != path;
        }
    }
}

impl State {
    #[inline]
    fn member(&self) -> Member {
        Member {
            path: self.path,
            info: self.info,
            is_first: self.is_first,
        }
    }
}

/// Where in [`Layout::behind`] a name behind a state is.
#[inline]
fn cell(last: StateId, name: &[u8]) -> usize {
    let end = name.get(name.len().saturating_sub(8)..).unwrap_or_default();
    #[allow(clippy::cast_possible_truncation, reason = "any bits of a hash will do")]
    let hash = mixed(u64::from(last), word_of(name), word_of(end)) as usize;
    (hash ^ name.len()) % CELLS
}

#[inline]
fn words(bytes: &[u8; AHEAD]) -> [u64; AHEAD / 8] {
    let (words, _) = bytes.as_chunks::<8>();
    let mut all = [0; AHEAD / 8];
    for (place, word) in all.iter_mut().zip(words) {
        *place = u64::from_le_bytes(*word);
    }
    all
}

/// The bits in which the bytes under the mask differ, of all words together.
#[inline]
fn differing(left: &[u64; AHEAD / 8], right: [u64; AHEAD / 8], mask: &[u64; AHEAD / 8]) -> u64 {
    let words = left.iter().zip(right).zip(mask);
    words.fold(0, |bits, ((left, right), mask)| bits | (left ^ right) & mask)
}

#[allow(clippy::indexing_slicing, reason = "evaluated when compiled")]
const fn masks() -> [[u64; AHEAD / 8]; AHEAD + 1] {
    let mut masks = [[0; AHEAD / 8]; AHEAD + 1];
    let mut length = 0;
    while length <= AHEAD {
        let mut byte = 0;
        while byte < length {
            masks[length][byte / 8] |= 0xff << (8 * (byte % 8));
            byte += 1;
        }
        length += 1;
    }
    masks
}
