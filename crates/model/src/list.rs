//! Lists as events hold them.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use thin_vec::ThinVec;

use crate::event::Value;

/// Room that a list begins with. It is 64 bytes then, and 256 when it grows: allocators have blocks of powers of two at
/// hand, and look longer for what lies between.
const ROOM: usize = 2;
/// Room that it grows to.
const MORE: usize = 10;

/// Several values, in 16 bytes. Short to pass on, and shared where many events have the same.
#[derive(Clone)]
pub struct List(Repr);

#[derive(Clone)]
enum Repr {
    Own(ThinVec<Value>),
    // Thin, so that there is room to say which of the three it is.
    Shared(Arc<Vec<Value>>),
    Static(&'static Vec<Value>),
}

const _: () = assert!(size_of::<List>() == 16, "a list is shorter than a text");

impl List {
    /// None.
    #[must_use]
    pub const fn new() -> Self {
        Self(Repr::Own(ThinVec::new()))
    }

    /// One value.
    #[must_use]
    #[inline]
    pub fn one(value: impl Into<Value>) -> Self {
        let mut list = Self::new();
        list.push(value.into());
        list
    }

    /// Values of which many copies will be made: none of them takes room elsewhere.
    #[must_use]
    pub fn shared(values: Vec<Value>) -> Self {
        Self(Repr::Shared(Arc::new(values)))
    }

    /// Values that are there as long as the program. Copies cost nothing.
    #[must_use]
    #[inline]
    pub const fn of_static(values: &'static Vec<Value>) -> Self {
        Self(Repr::Static(values))
    }

    /// Whether something elsewhere has to be given back when it goes.
    #[inline(always)]
    pub(crate) fn owns(&self) -> bool {
        !matches!(self.0, Repr::Static(_))
    }

    /// Appends a value.
    #[inline]
    pub fn push(&mut self, value: Value) {
        if !matches!(self.0, Repr::Own(_)) {
            self.0 = Repr::Own(self.iter().cloned().collect());
        }
        if let Repr::Own(values) = &mut self.0 {
            match values.len() {
                0 => values.reserve_exact(ROOM),
                ROOM => values.reserve_exact(MORE - ROOM),
                _ => {}
            }
            values.push(value);
        }
    }
}

impl Deref for List {
    type Target = [Value];

    #[inline]
    fn deref(&self) -> &[Value] {
        match &self.0 {
            Repr::Own(values) => values,
            Repr::Shared(values) => values,
            Repr::Static(values) => values,
        }
    }
}

impl Default for List {
    fn default() -> Self {
        Self::new()
    }
}

impl From<Vec<Value>> for List {
    fn from(values: Vec<Value>) -> Self {
        values.into_iter().collect()
    }
}

impl FromIterator<Value> for List {
    fn from_iter<I: IntoIterator<Item = Value>>(values: I) -> Self {
        Self(Repr::Own(values.into_iter().collect()))
    }
}

impl Extend<Value> for List {
    fn extend<I: IntoIterator<Item = Value>>(&mut self, values: I) {
        values.into_iter().for_each(|value| self.push(value));
    }
}

impl IntoIterator for List {
    type Item = Value;
    type IntoIter = thin_vec::IntoIter<Value>;

    fn into_iter(self) -> Self::IntoIter {
        match self.0 {
            Repr::Own(values) => values.into_iter(),
            Repr::Shared(values) => values.iter().cloned().collect::<ThinVec<Value>>().into_iter(),
            Repr::Static(values) => values.iter().cloned().collect::<ThinVec<Value>>().into_iter(),
        }
    }
}

impl<'a> IntoIterator for &'a List {
    type Item = &'a Value;
    type IntoIter = std::slice::Iter<'a, Value>;

    #[inline]
    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl PartialEq for List {
    fn eq(&self, other: &Self) -> bool {
        self[..] == other[..]
    }
}

impl fmt::Debug for List {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self[..], f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_added_to_a_shared_list_is_in_one_copy_only() {
        let shared = List::shared(vec!["a".into(), Value::Int(1)]);
        let mut other = shared.clone();
        other.push("b".into());
        assert_eq!(shared.len(), 2);
        let values: Vec<Value> = other.into_iter().collect();
        assert_eq!(values, ["a".into(), Value::Int(1), "b".into()]);
        let again: List = shared.into_iter().collect();
        assert_eq!(again, List::from(vec!["a".into(), Value::Int(1)]));
    }
}
