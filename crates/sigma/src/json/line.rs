//! From a line to its members.

use model::event::MAX_FIELDS;

use super::marks::Marks;
use crate::engine::layout::{Layout, NodeId, ROOT};
use crate::engine::scratch::ItemInfo;
use crate::engine::slots::Names;

/// Deepest nesting of objects that is walked here; the slow path takes more.
const MAX_DEPTH: usize = 8;
/// Digits of a whole number that cannot exceed 64 bits.
const MAX_DIGITS: usize = 18;
/// Longest line whose memory is kept for the next, in members.
const KEEP: usize = 1 << 14;

/// A member's value as it is written. Positions are in the line.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Raw {
    /// The inside of a string.
    Text { start: u32, end: u32 },
    /// A whole number of at most 64 bits: its digits, which are also its text.
    Int { start: u32, end: u32 },
    /// Any other number.
    Float(f64),
    /// True or false.
    Bool(bool),
    /// Nothing.
    Null,
    /// An array of such, by positions in [`Line::elements`].
    List { first: u32, end: u32 },
}

/// The members of one line. Keeps its memory from line to line.
#[derive(Debug, Default)]
pub(crate) struct Line {
    pub(super) marks: Marks,
    pub(super) values: Vec<Raw>,
    pub(super) elements: Vec<Raw>,
    /// Where each value starts in the line.
    pub(super) starts: Vec<u32>,
}

impl Line {
    /// Reads a line: what is known of each member by its name goes to `items`, its value is noted at the same position.
    /// False when the line is not for this reader, and what was noted so far does not count.
    pub(crate) fn read(&mut self, line: &[u8], names: &Names, layout: &mut Layout, items: &mut Vec<ItemInfo>) -> bool {
        self.values.clear();
        self.values.shrink_to(KEEP);
        self.elements.clear();
        self.elements.shrink_to(KEEP);
        self.starts.clear();
        self.starts.shrink_to(KEEP);
        if !self.marks.read(line) {
            return false;
        }
        let mut walk = Walk {
            bytes: line,
            marks: &self.marks,
            values: &mut self.values,
            elements: &mut self.elements,
            starts: &mut self.starts,
            names,
            layout,
            items,
            position: 0,
            quote: 0,
        };
        walk.document().is_some()
    }
}

/// A walk over one line. None anywhere means that the line is not for this reader.
struct Walk<'a> {
    bytes: &'a [u8],
    marks: &'a Marks,
    values: &'a mut Vec<Raw>,
    elements: &'a mut Vec<Raw>,
    starts: &'a mut Vec<u32>,
    names: &'a Names,
    layout: &'a mut Layout,
    items: &'a mut Vec<ItemInfo>,
    position: usize,
    /// Number of the next quote.
    quote: usize,
}

impl Walk<'_> {
    fn document(&mut self) -> Option<()> {
        self.skip(b'{')?;
        let mut parents = [ROOT; MAX_DEPTH];
        let mut depth = 0;
        let mut previous = ROOT;
        if self.peek()? == b'}' {
            self.position += 1;
            return self.peek().is_none().then_some(());
        }
        loop {
            let parent = *parents.get(depth)?;
            let node = self.name(parent, previous)?;
            previous = node;
            self.skip(b':')?;
            let first = self.peek()?;
            if first == b'{' {
                self.position += 1;
                if self.peek()? == b'}' {
                    self.position += 1;
                } else {
                    depth += 1;
                    *parents.get_mut(depth)? = node;
                    continue;
                }
            } else {
                self.starts.push(u32::try_from(self.position).ok()?);
                let value = if first == b'[' {
                    self.list()?
                } else {
                    self.scalar(first)?
                };
                if self.values.len() >= MAX_FIELDS {
                    return None;
                }
                self.values.push(value);
                self.items.push(self.layout.info(node));
            }
            while self.peek()? == b'}' {
                self.position += 1;
                if depth == 0 {
                    return self.peek().is_none().then_some(());
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
        let [open, close] = self.marks.string(self.quote)?;
        if open as usize != self.position {
            return None;
        }
        self.quote += 2;
        self.position = close as usize + 1;
        Some((open + 1, close))
    }

    #[inline]
    fn name(&mut self, parent: NodeId, previous: NodeId) -> Option<NodeId> {
        self.peek()?;
        let (start, end) = self.string()?;
        let key = self.bytes.get(start as usize..end as usize)?;
        let node = self.layout.member(self.names, parent, previous, key)?;
        // The second member of a name replaces the first, which only a document can tell.
        self.layout.is_first(node).then_some(node)
    }

    fn list(&mut self) -> Option<Raw> {
        self.position += 1;
        let first = u32::try_from(self.elements.len()).ok()?;
        if self.peek()? == b']' {
            self.position += 1;
            return Some(Raw::List { first, end: first });
        }
        loop {
            let start = self.peek()?;
            let value = self.scalar(start)?;
            self.elements.push(value);
            match self.peek()? {
                b',' => self.position += 1,
                b']' => {
                    self.position += 1;
                    let end = u32::try_from(self.elements.len()).ok()?;
                    return Some(Raw::List { first, end });
                }
                _ => return None,
            }
        }
    }

    #[inline]
    fn scalar(&mut self, first: u8) -> Option<Raw> {
        match first {
            b'"' => {
                let (start, end) = self.string()?;
                Some(Raw::Text { start, end })
            }
            b't' => self.word(b"true", Raw::Bool(true)),
            b'f' => self.word(b"false", Raw::Bool(false)),
            b'n' => self.word(b"null", Raw::Null),
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
        let start = self.position;
        self.position += count + usize::from(is_negative);
        Some(Raw::Int {
            start: u32::try_from(start).ok()?,
            end: u32::try_from(self.position).ok()?,
        })
    }

    #[cold]
    fn float(&mut self) -> Option<Raw> {
        let rest = self.bytes.get(self.position..)?;
        let is_part = |byte: &u8| matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E');
        let length = rest.iter().position(|byte| !is_part(byte))?;
        let float: f64 = serde_json::from_slice(rest.get(..length)?).ok()?;
        self.position += length;
        float.is_finite().then_some(Raw::Float(float))
    }
}
