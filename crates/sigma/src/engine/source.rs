//! Where the values of an event come from.

use chrono::{DateTime, Utc};

use crate::ast::Number;
use crate::engine::arena::{Arena, Span};
use crate::engine::index::{PatternId, RawFilter};
use crate::engine::joined::Joined;
use crate::engine::scratch::ItemInfo;

/// A field of the event by position.
pub(crate) type Item = u32;

/// The fields of one event. The item behind the last field is the event's time.
pub(crate) trait Source {
    /// Appends the folded texts of a field's values.
    fn fold(&self, item: Item, arena: &mut Arena, spans: &mut Vec<Span>);

    /// Calls `visit` with the text of each value until it returns true; says whether it did. Null has no text.
    fn any_text(&self, item: Item, buffer: &mut String, visit: &mut dyn FnMut(&str) -> bool) -> bool;

    /// Whether the field is null, an empty list, or a list with such an element.
    fn is_null(&self, item: Item) -> bool;

    /// Whether there is a value other than null.
    fn exists(&self, item: Item) -> bool;

    /// Whether a value is a number that `accept` takes.
    fn any_number(&self, item: Item, accept: &dyn Fn(Number) -> bool) -> bool;

    /// Whether a value is a time that `accept` takes.
    fn any_time(&self, item: Item, accept: &dyn Fn(DateTime<Utc>) -> bool) -> bool;

    /// Calls `hit` with each text whose part the filter finds in the field. False when the filter is not for what is
    /// written there; what was found so far does not count then.
    fn scan(&self, item: Item, filter: &RawFilter, hit: impl FnMut(PatternId)) -> bool;

    /// The same for all fields that keywords look into, with the field where a part was found, until `hit` says true of a
    /// text. What it finds in other fields does not count. `joined` is for texts that are not in one place.
    fn scan_all(
        &self,
        items: &[ItemInfo],
        filter: &RawFilter,
        joined: &mut Joined,
        hit: impl FnMut(Item, PatternId) -> bool,
    ) -> bool;

    /// A length that no text of the field exceeds, in bytes.
    fn longest(&self, item: Item) -> usize;

    /// Appends bytes that are the same only for fields with the same values. False when it is not worth it.
    fn identity(&self, item: Item, out: &mut Vec<u8>) -> bool;
}
