//! From a line to its members.

use model::event::MAX_FIELDS;

use super::marks::Marks;
use crate::engine::layout::{Cursor, Layout, Member};
use crate::engine::paths::{PathId, ROOT};
use crate::engine::scratch::ItemInfo;
use crate::engine::slots::Names;

/// Deepest nesting of objects that is walked here; the slow path takes more.
const MAX_DEPTH: usize = 8;
/// Digits of a whole number that cannot exceed 64 bits.
const MAX_DIGITS: usize = 18;
/// Longest line whose memory is kept for the next, in members.
const KEEP: usize = 1 << 14;

/// A member's value as it is written. Positions are in the line.
#[derive(Clone, Copy, Debug)]
pub(super) enum Raw {
    /// The inside of a string.
    Text { start: u32, end: u32 },
    /// A whole number of at most 64 bits: its digits, which are also its text.
    Int { start: u32, end: u32 },
    /// Any other number, which is finite.
    Float { start: u32, end: u32 },
    /// True or false.
    Bool { start: u32, value: bool },
    /// Nothing.
    Null { start: u32 },
    /// An array of such: its position in [`Line::lists`].
    List { start: u32, number: u32 },
}

impl Raw {
    /// Where it starts in the line.
    pub(super) fn start(self) -> u32 {
        match self {
            Self::Text { start, .. }
            | Self::Int { start, .. }
            | Self::Float { start, .. }
            | Self::Bool { start, .. }
            | Self::Null { start }
            | Self::List { start, .. } => start,
        }
    }
}

/// The members of one line. Keeps its memory from line to line.
#[derive(Debug, Default)]
pub(crate) struct Line {
    pub(super) marks: Marks,
    pub(super) values: Vec<Raw>,
    /// The elements of all arrays.
    elements: Vec<Raw>,
    /// Where those of each array are.
    lists: Vec<[u32; 2]>,
}

impl Line {
    /// Reads a line: gives where its names end, and notes its values in order. What is known of each member by its name
    /// is known with that end, or goes to `items` when there is none. `None` when the line is not for this reader, and
    /// what was noted so far does not count.
    pub(crate) fn read(
        &mut self,
        line: &[u8],
        names: &Names,
        layout: &mut Layout,
        items: &mut Vec<ItemInfo>,
    ) -> Option<Cursor> {
        clear(&mut self.values);
        clear(&mut self.elements);
        clear(&mut self.lists);
        if !self.marks.read(line) {
            return None;
        }
        let mut walk = Walk {
            bytes: line,
            quotes: self.marks.quotes(),
            passed: 0,
            values: &mut self.values,
            elements: &mut self.elements,
            lists: &mut self.lists,
            names,
            layout,
            items,
            position: 0,
        };
        walk.document()
    }

    /// The elements of a [`Raw::List`].
    pub(super) fn elements(&self, number: u32) -> &[Raw] {
        let range = self.lists.get(number as usize);
        let elements = range.and_then(|[first, end]| self.elements.get(*first as usize..*end as usize));
        elements.unwrap_or_default()
    }
}

fn clear<T>(values: &mut Vec<T>) {
    values.clear();
    if values.capacity() > KEEP {
        values.shrink_to(KEEP);
    }
}

/// A walk over one line. None anywhere means that the line is not for this reader.
struct Walk<'a> {
    bytes: &'a [u8],
    /// Where its quotes are, and how many of them were passed.
    quotes: &'a [u32],
    passed: usize,
    values: &'a mut Vec<Raw>,
    elements: &'a mut Vec<Raw>,
    lists: &'a mut Vec<[u32; 2]>,
    names: &'a Names,
    layout: &'a mut Layout,
    items: &'a mut Vec<ItemInfo>,
    position: usize,
}

impl Walk<'_> {
    fn document(&mut self) -> Option<Cursor> {
        self.skip(b'{')?;
        let mut parents = [ROOT; MAX_DEPTH];
        let mut depth = 0;
        let mut cursor = Cursor::start();
        if self.peek()? == b'}' {
            self.position += 1;
            return self.peek().is_none().then_some(cursor);
        }
        loop {
            let parent = *parents.get(depth)?;
            let Member { path, info, is_first } = self.name(parent, &mut cursor)?;
            if !is_first {
                // The second member of a name replaces the first, which only a document can tell.
                return None;
            }
            let first = self.peek()?;
            if first == b'{' {
                self.position += 1;
                if self.peek()? == b'}' {
                    self.position += 1;
                    self.layout.leave(&mut cursor, false, self.items);
                } else {
                    depth += 1;
                    *parents.get_mut(depth)? = path;
                    continue;
                }
            } else {
                let value = if first == b'"' {
                    let (start, end) = self.string()?;
                    Raw::Text { start, end }
                } else if first == b'[' {
                    self.list()?
                } else {
                    self.scalar(first)?
                };
                if self.values.len() >= MAX_FIELDS {
                    return None;
                }
                self.values.push(value);
                if cursor.is_lost() {
                    self.items.push(info);
                }
            }
            while self.peek()? == b'}' {
                self.position += 1;
                if depth == 0 {
                    return self.peek().is_none().then_some(cursor);
                }
                depth -= 1;
            }
            self.skip(b',')?;
        }
    }

    /// The next byte that is not a space. (Other white space was refused with the control characters.)
    #[inline]
    fn peek(&mut self) -> Option<u8> {
        loop {
            match self.bytes.get(self.position) {
                Some(b' ') => self.position += 1,
                other => return other.copied(),
            }
        }
    }

    /// Takes this byte off.
    #[inline]
    fn skip(&mut self, byte: u8) -> Option<()> {
        (self.peek()? == byte).then(|| self.position += 1)
    }

    /// Takes a string off, which starts here. Gives where its inside starts and ends.
    #[inline]
    fn string(&mut self) -> Option<(u32, u32)> {
        // Outside of strings no quote is passed over, so that the next one is here.
        let [start, end] = *self.quotes.get(self.passed..)?.first_chunk()?;
        self.passed += 2;
        self.position = end as usize + 1;
        Some((start + 1, end))
    }

    /// Takes a name and the colon behind it off.
    #[inline]
    fn name(&mut self, parent: PathId, cursor: &mut Cursor) -> Option<Member> {
        // Outside of strings there are no backslashes, so that the quote counts.
        if self.peek()? != b'"' {
            return None;
        }
        let rest = self.bytes.get(self.position..)?;
        if let Some((member, length)) = self.layout.expected(parent, cursor, rest) {
            self.position += length;
            self.passed += 2;
            return Some(member);
        }
        let (start, end) = self.string()?;
        self.skip(b':')?;
        let name = self.bytes.get(start as usize..end as usize)?;
        self.layout.member(self.names, parent, cursor, name, self.items)
    }

    fn list(&mut self) -> Option<Raw> {
        let start = small(self.position);
        self.position += 1;
        let first = small(self.elements.len());
        if self.peek()? == b']' {
            self.position += 1;
        } else {
            loop {
                let next = self.peek()?;
                let value = self.scalar(next)?;
                self.elements.push(value);
                let byte = self.peek()?;
                self.position += 1;
                match byte {
                    b',' => {}
                    b']' => break,
                    _ => return None,
                }
            }
        }
        let number = small(self.lists.len());
        self.lists.push([first, small(self.elements.len())]);
        Some(Raw::List { start, number })
    }

    #[inline]
    fn scalar(&mut self, first: u8) -> Option<Raw> {
        let start = small(self.position);
        match first {
            b'"' => {
                let (start, end) = self.string()?;
                Some(Raw::Text { start, end })
            }
            b't' => self.word(b"true", Raw::Bool { start, value: true }),
            b'f' => self.word(b"false", Raw::Bool { start, value: false }),
            b'n' => self.word(b"null", Raw::Null { start }),
            b'-' | b'0'..=b'9' => self.number(),
            _ => None,
        }
    }

    fn word(&mut self, word: &[u8], value: Raw) -> Option<Raw> {
        let rest = self.bytes.get(self.position..)?;
        rest.starts_with(word).then(|| self.position += word.len())?;
        Some(value)
    }

    #[inline]
    fn number(&mut self) -> Option<Raw> {
        let rest = self.bytes.get(self.position..)?;
        let digits = rest.strip_prefix(b"-").unwrap_or(rest);
        let is_negative = digits.len() < rest.len();
        let count = digits.iter().position(|byte| !byte.is_ascii_digit())?;
        if matches!(digits.get(count), Some(b'.' | b'e' | b'E' | b'+' | b'-')) {
            return self.float();
        }
        let has_leading_zero = digits.first() == Some(&b'0') && (count > 1 || is_negative);
        if count == 0 || count > MAX_DIGITS || has_leading_zero {
            return None;
        }
        let start = small(self.position);
        self.position += count + usize::from(is_negative);
        Some(Raw::Int {
            start,
            end: small(self.position),
        })
    }

    #[cold]
    fn float(&mut self) -> Option<Raw> {
        let rest = self.bytes.get(self.position..)?;
        let is_part = |byte: &u8| matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E');
        let length = rest.iter().position(|byte| !is_part(byte))?;
        let float: f64 = serde_json::from_slice(rest.get(..length)?).ok()?;
        let start = small(self.position);
        self.position += length;
        float.is_finite().then_some(Raw::Float {
            start,
            end: small(self.position),
        })
    }
}

/// A position in the line, which is shorter than 4 GiB.
#[inline]
#[allow(clippy::cast_possible_truncation, reason = "longer lines were refused")]
fn small(position: usize) -> u32 {
    position as u32
}
