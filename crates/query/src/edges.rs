//! Where text stands in other text: from the edge of a word to the edge of a word, in any case.

use memchr::memmem::Finder;

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
        let is_word = |char: Option<char>| char.is_some_and(char::is_alphanumeric);
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
        let mut from = 0;
        while let Some(at) = self.find_from(hay.as_bytes(), from) {
            if self.has_edges(hay, at) {
                return true;
            }
            from = at + 1;
        }
        false
    }

    /// The next place of its bytes at `from` or behind it.
    pub(crate) fn find_from(&self, hay: &[u8], from: usize) -> Option<usize> {
        self.finder.find(hay.get(from..)?).map(|at| from + at)
    }

    /// Whether edges of words are around the place `at`.
    pub(crate) fn has_edges(&self, hay: &str, at: usize) -> bool {
        let is_word = |char: Option<char>| char.is_some_and(char::is_alphanumeric);
        let before = || hay.get(..at).and_then(|head| head.chars().next_back());
        let after = || hay.get(at + self.text.len()..).and_then(|tail| tail.chars().next());
        let is_cut = (self.begins && is_word(before())) || (self.ends && is_word(after()));
        !is_cut
    }
}

#[cfg(test)]
mod tests {
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
}
