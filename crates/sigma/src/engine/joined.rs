//! The texts of several fields one behind the other, so that they are searched together.

use std::fmt::{Display, Write as _};

use crate::engine::source::Item;

/// Bytes beyond which the memory is given back.
const KEEP: usize = 1 << 20;
/// Behind each text: no text is searched for that has a control character in it.
const BETWEEN: char = '\n';

/// Texts, each with its field.
#[derive(Debug, Default)]
pub(crate) struct Joined {
    text: String,
    /// Where each text starts.
    starts: Vec<(usize, Item)>,
}

impl Joined {
    pub(crate) fn clear(&mut self) {
        if self.text.capacity() > KEEP {
            *self = Self::default();
        }
        self.text.clear();
        self.starts.clear();
    }

    /// Adds a text of a field.
    pub(crate) fn push(&mut self, item: Item, text: &str) {
        self.starts.push((self.text.len(), item));
        self.text.push_str(text);
        self.text.push(BETWEEN);
    }

    /// Adds what is not a text yet.
    pub(crate) fn push_shown(&mut self, item: Item, value: &impl Display) {
        self.starts.push((self.text.len(), item));
        // Writing to a String does not fail.
        let _ = write!(self.text, "{value}");
        self.text.push(BETWEEN);
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        self.text.as_bytes()
    }

    /// The field whose text is at a position.
    pub(crate) fn item_at(&self, at: usize) -> Option<Item> {
        let behind = self.starts.partition_point(|(start, _)| *start <= at);
        self.starts.get(behind.checked_sub(1)?).map(|(_, item)| *item)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_position_belongs_to_the_field_whose_text_is_there() {
        let mut joined = Joined::default();
        joined.push(9, "gone");
        joined.clear();
        assert_eq!(joined.item_at(0), None);
        joined.push(3, "ab");
        joined.push(3, "");
        joined.push_shown(7, &12);
        assert_eq!(joined.bytes(), b"ab\n\n12\n");
        let items: Vec<_> = (0..7).map(|at| joined.item_at(at)).collect();
        assert_eq!(items, [3, 3, 3, 3, 7, 7, 7].map(Some));
    }
}
