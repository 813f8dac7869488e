//! Where text stands in other text: from the edge of a word to the edge of a word, in any case.

use memchr::memmem::Finder;

/// Longest text that is looked for again from each place, in bytes.
const MAX_SHORT: usize = 64;

/// Text to look for.
#[derive(Clone, Debug)]
pub(crate) struct Needle {
    /// In lower case.
    text: String,
    finder: Finder<'static>,
    /// Whether it begins with a letter or digit, so that none may stand before it.
    begins: bool,
    /// The same of its end.
    ends: bool,
}

impl Needle {
    /// `text` is not empty.
    pub(crate) fn new(text: &str) -> Self {
        let text = text.to_lowercase();
        Self {
            finder: Finder::new(text.as_bytes()).into_owned(),
            begins: is_word(text.chars().next()),
            ends: is_word(text.chars().next_back()),
            text,
        }
    }

    /// In lower case.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Whether it stands in `hay`.
    pub(crate) fn is_in(&self, hay: &str) -> bool {
        if hay.bytes().any(|b| b.is_ascii_uppercase() || !b.is_ascii()) {
            self.is_in_lower(&hay.to_lowercase())
        } else {
            self.is_in_lower(hay)
        }
    }

    /// The same of text in lower case.
    pub(crate) fn is_in_lower(&self, hay: &str) -> bool {
        self.find_from(hay.as_bytes(), 0)
            .is_some_and(|at| self.is_in_from(hay, at))
    }

    /// The next place of its bytes at `from` or behind it.
    pub(crate) fn find_from(&self, hay: &[u8], from: usize) -> Option<usize> {
        self.finder.find(hay.get(from..)?).map(|at| from + at)
    }

    /// Whether it stands in `hay`, in lower case, at its place `at` or behind it. Looking on from the next byte after
    /// each place that is no edge would take time that grows with both lengths multiplied.
    pub(crate) fn is_in_from(&self, hay: &str, at: usize) -> bool {
        let mut at = at;
        loop {
            let is_cut_before = self.begins && is_word(hay.get(..at).and_then(|head| head.chars().next_back()));
            if !is_cut_before {
                if !self.is_cut_after(hay, at) {
                    return true;
                }
                // Of a long text that repeats itself, the places overlap.
                if self.text.len() > MAX_SHORT {
                    return self.is_in_rest(hay, at + 1);
                }
            }
            // Within a word there is no place for what begins with one.
            let from = match hay.get(at..) {
                Some(rest) if is_cut_before => {
                    at + rest.find(|char: char| !char.is_alphanumeric()).unwrap_or(rest.len())
                }
                _ => at + 1,
            };
            match self.find_from(hay.as_bytes(), from) {
                Some(next) => at = next,
                None => return false,
            }
        }
    }

    fn is_cut_after(&self, hay: &str, at: usize) -> bool {
        self.ends && is_word(hay.get(at + self.text.len()..).and_then(|tail| tail.chars().next()))
    }

    /// The same from the byte `from` on, looking at each byte of `hay` once: by Knuth, Morris and Pratt.
    fn is_in_rest(&self, hay: &str, from: usize) -> bool {
        let text = self.text.as_bytes();
        // How much of the text's beginning ends at each of its bytes.
        let mut borders = vec![0_usize; text.len()];
        let mut length = 0;
        for (index, byte) in text.iter().enumerate().skip(1) {
            length = self.extend(&borders, length, *byte);
            if let Some(border) = borders.get_mut(index) {
                *border = length;
            }
        }
        let mut length = 0;
        for (index, byte) in hay.bytes().enumerate().skip(from) {
            length = self.extend(&borders, length, byte);
            if length == text.len() {
                let at = index + 1 - length;
                let is_cut_before = self.begins && is_word(hay.get(..at).and_then(|head| head.chars().next_back()));
                if !is_cut_before && !self.is_cut_after(hay, at) {
                    return true;
                }
                length = borders.last().copied().unwrap_or(0);
            }
        }
        false
    }

    /// How much of the text's beginning there is when `byte` follows `length` bytes of it.
    fn extend(&self, borders: &[usize], mut length: usize, byte: u8) -> usize {
        let text = self.text.as_bytes();
        while length > 0 && text.get(length) != Some(&byte) {
            length = borders.get(length - 1).copied().unwrap_or(0);
        }
        length + usize::from(text.get(length) == Some(&byte))
    }
}

fn is_word(char: Option<char>) -> bool {
    char.is_some_and(char::is_alphanumeric)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn text_is_found_from_edge_to_edge_in_any_case() {
        for (needle, hay, expected) in [
            ("root", "user=root", true),
            ("root", "chroot", false),
            ("root", "rooted root", true),
            ("ROOT", "Root", true),
            ("10.0.0.5", "from 10.0.0.55", false),
            ("ädmin", "user Ädmin", true),
            ("min", "ädmin", false),
            ("d for", "failed for", false),
            ("failed for", "Failed for", true),
            ("--", "a--b", true),
            ("=root", "user=root x", true),
            ("=roo", "user=root x", false),
            ("aa", "aaa aa", true),
        ] {
            assert_eq!(Needle::new(needle).is_in(hay), expected, "{needle} in {hay}");
        }
    }

    /// What [`Needle::is_in`] means.
    fn is_in(needle: &str, hay: &str) -> bool {
        let (needle, hay) = (needle.to_lowercase(), hay.to_lowercase());
        let begins = is_word(needle.chars().next());
        let ends = is_word(needle.chars().next_back());
        hay.char_indices().any(|(at, _)| {
            let tail = &hay[at..];
            tail.starts_with(&needle)
                && !(begins && is_word(hay[..at].chars().next_back()))
                && !(ends && is_word(tail[needle.len()..].chars().next()))
        })
    }

    fn text(parts: usize) -> impl Strategy<Value = String> {
        let part = prop::sample::select(vec!["a", "b", "ab", "ab ", " ", "-", "Ä", "ss", "ß"]);
        prop::collection::vec((part, 1_usize..40), 1..parts)
            .prop_map(|parts| parts.iter().map(|(part, times)| part.repeat(*times)).collect())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(3000))]

        #[test]
        fn text_stands_where_both_of_its_edges_are_edges_of_words(needle in text(4), before in text(4), after in text(4), cut in 0_usize..90) {
            let cut = needle.floor_char_boundary(needle.len() * cut / 100);
            let part = if cut == 0 { needle.as_str() } else { &needle[cut..] };
            for hay in [format!("{before}{needle}{after}"), format!("{before}{after}"), needle.repeat(3)] {
                prop_assert_eq!(Needle::new(part).is_in(&hay), is_in(part, &hay), "{:?} in {:?}", part, hay);
            }
        }
    }

    /// What took hours: places of a long text at every byte, all of them within a word.
    #[test]
    fn a_long_text_that_repeats_itself_is_looked_for_once() {
        for (needle, hay, expected) in [
            ("a".repeat(4000), "a".repeat(8 << 20), false),
            ("ab ".repeat(1300) + "a", "ab ".repeat(3 << 20), false),
            ("ab ".repeat(1300) + "a", "ab ".repeat(1 << 20) + "a", true),
            ("a-".repeat(2000), "a-".repeat(1 << 20), true),
        ] {
            assert_eq!(Needle::new(&needle).is_in(&hay), expected);
        }
    }
}
