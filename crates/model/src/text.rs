//! Texts as events hold them.

use std::borrow::{Borrow, Cow};
use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::Deref;
use std::sync::Arc;

use compact_str::CompactString;

/// A text that does not change, in 24 bytes. Up to [`Text::INLINE`] bytes are held in place; longer ones are on the heap,
/// or shared when made from an [`Arc`] or from what lives as long as the program.
#[derive(Clone)]
pub struct Text(Repr);

/// The first one says in its last byte that it is none of the others, so that this takes no more room.
#[derive(Clone)]
enum Repr {
    Own(CompactString),
    Shared(Arc<str>),
    Static(&'static str),
}

const _: () = assert!(size_of::<Text>() == 24, "a text is as large as a String");

impl Text {
    /// Longest text that takes no room elsewhere, in bytes.
    pub const INLINE: usize = 24;

    /// A text that is part of the program.
    #[must_use]
    #[inline]
    pub const fn of_static(text: &'static str) -> Self {
        Self(Repr::Static(text))
    }

    /// A text of which many copies will be made: none of them takes room elsewhere.
    #[must_use]
    pub fn shared(text: &str) -> Self {
        if text.len() <= Self::INLINE {
            Self::from(text)
        } else {
            Self(Repr::Shared(Arc::from(text)))
        }
    }

    /// Two texts, one after the other.
    #[must_use]
    pub fn joined(head: &str, tail: &str) -> Self {
        let mut text = CompactString::with_capacity(head.len() + tail.len());
        text.push_str(head);
        text.push_str(tail);
        Self(Repr::Own(text))
    }

    /// A text with small letters of ASCII for its capitals.
    #[must_use]
    pub fn lowercase(text: &str) -> Self {
        let mut text = CompactString::new(text);
        text.make_ascii_lowercase();
        Self(Repr::Own(text))
    }

    /// Whether something elsewhere has to be given back when it goes.
    #[inline(always)]
    pub(crate) fn owns(&self) -> bool {
        let is_long = matches!(&self.0, Repr::Own(text) if text.is_heap_allocated());
        is_long | matches!(self.0, Repr::Shared(_))
    }

    /// The text.
    #[must_use]
    #[inline]
    pub fn as_str(&self) -> &str {
        match &self.0 {
            Repr::Own(text) => text,
            Repr::Shared(text) => text,
            Repr::Static(text) => text,
        }
    }
}

impl Deref for Text {
    type Target = str;

    #[inline]
    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl Default for Text {
    fn default() -> Self {
        Self::of_static("")
    }
}

impl From<&str> for Text {
    #[inline]
    fn from(text: &str) -> Self {
        Self(Repr::Own(CompactString::new(text)))
    }
}

impl From<String> for Text {
    #[inline]
    fn from(text: String) -> Self {
        Self(Repr::Own(CompactString::from(text)))
    }
}

impl From<Cow<'_, str>> for Text {
    fn from(text: Cow<'_, str>) -> Self {
        match text {
            Cow::Borrowed(text) => Self::from(text),
            Cow::Owned(text) => Self::from(text),
        }
    }
}

impl From<Arc<str>> for Text {
    fn from(text: Arc<str>) -> Self {
        Self(Repr::Shared(text))
    }
}

impl From<Text> for String {
    fn from(text: Text) -> Self {
        match text.0 {
            Repr::Own(text) => text.into_string(),
            Repr::Shared(text) => text.as_ref().to_owned(),
            Repr::Static(text) => text.to_owned(),
        }
    }
}

impl AsRef<str> for Text {
    #[inline]
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl Borrow<str> for Text {
    #[inline]
    fn borrow(&self) -> &str {
        self.as_str()
    }
}

impl PartialEq for Text {
    #[inline]
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Text {}

impl PartialEq<str> for Text {
    #[inline]
    fn eq(&self, other: &str) -> bool {
        self.as_str() == other
    }
}

impl PartialEq<&str> for Text {
    #[inline]
    fn eq(&self, other: &&str) -> bool {
        self.as_str() == *other
    }
}

impl PartialEq<String> for Text {
    fn eq(&self, other: &String) -> bool {
        self.as_str() == other
    }
}

impl PartialOrd for Text {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Text {
    fn cmp(&self, other: &Self) -> Ordering {
        self.as_str().cmp(other.as_str())
    }
}

impl Hash for Text {
    #[inline]
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_str().hash(state);
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self)
    }
}

/// A dotted field name. Names Picket itself sets are static, and no name costs an allocation to clone but a long one that
/// was made from a `String`.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FieldName(Text);

impl FieldName {
    /// A name that is part of the program.
    #[must_use]
    #[inline]
    pub const fn of_static(name: &'static str) -> Self {
        Self(Text::of_static(name))
    }

    /// A name of which many copies will be made.
    #[must_use]
    pub fn shared(name: &str) -> Self {
        Self(Text::shared(name))
    }

    /// Whether something elsewhere has to be given back when it goes.
    #[inline(always)]
    pub(crate) fn owns(&self) -> bool {
        self.0.owns()
    }

    /// The name.
    #[must_use]
    #[inline]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// Whether it is this name. Fast where both are the same place of the program.
    #[must_use]
    #[inline]
    pub fn is(&self, name: &str) -> bool {
        let own = self.as_str();
        std::ptr::eq(own, name) || own == name
    }

    /// Whether it is the same place of the program as this name. False of others, which may be equal all the same.
    #[must_use]
    #[inline]
    pub fn is_at(&self, name: &str) -> bool {
        matches!(self.0.0, Repr::Static(own) if std::ptr::eq(own, name))
    }

    /// The name, when it is part of the program.
    #[must_use]
    pub fn as_static(&self) -> Option<&'static str> {
        match self.0.0 {
            Repr::Static(name) => Some(name),
            Repr::Own(_) | Repr::Shared(_) => None,
        }
    }
}

impl Deref for FieldName {
    type Target = str;

    #[inline]
    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl From<&'static str> for FieldName {
    #[inline]
    fn from(name: &'static str) -> Self {
        Self::of_static(name)
    }
}

impl From<String> for FieldName {
    fn from(name: String) -> Self {
        Self(Text::from(name))
    }
}

impl From<Text> for FieldName {
    fn from(name: Text) -> Self {
        Self(name)
    }
}

impl From<Cow<'static, str>> for FieldName {
    fn from(name: Cow<'static, str>) -> Self {
        match name {
            Cow::Borrowed(name) => Self::of_static(name),
            Cow::Owned(name) => Self::from(name),
        }
    }
}

impl From<FieldName> for String {
    fn from(name: FieldName) -> Self {
        name.0.into()
    }
}

impl AsRef<str> for FieldName {
    #[inline]
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl Borrow<str> for FieldName {
    fn borrow(&self) -> &str {
        self.as_str()
    }
}

impl PartialEq<str> for FieldName {
    #[inline]
    fn eq(&self, other: &str) -> bool {
        self.as_str() == other
    }
}

impl PartialEq<&str> for FieldName {
    #[inline]
    fn eq(&self, other: &&str) -> bool {
        self.as_str() == *other
    }
}

impl PartialEq<FieldName> for str {
    #[inline]
    fn eq(&self, other: &FieldName) -> bool {
        self == other.as_str()
    }
}

impl fmt::Display for FieldName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn however_it_is_made_a_text_is_the_same(text in ".{0,40}", split in any::<prop::sample::Index>()) {
            let cuts: Vec<usize> = (0..=text.len()).filter(|at| text.is_char_boundary(*at)).collect();
            let (head, tail) = text.split_at(cuts[split.index(cuts.len())]);
            let made = [
                Text::from(text.as_str()),
                Text::from(text.clone()),
                Text::from(Arc::<str>::from(text.as_str())),
                Text::shared(&text),
                Text::joined(head, tail),
                Text::of_static(text.clone().leak()),
            ];
            for one in &made {
                prop_assert_eq!(one.as_str(), &text);
                prop_assert_eq!(&one.clone(), &made[0]);
                prop_assert_eq!(String::from(one.clone()), text.clone());
            }
        }
    }
}
