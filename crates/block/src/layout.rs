//! The numbers the format fixes, and what an event weighs.

use model::{Event, Value};

/// Most events in one block.
pub const MAX_EVENTS: usize = 65_536;
/// Most fields that get a column of their own; further ones share the overflow columns.
pub const MAX_COLUMNS: usize = 4096;
/// Most columns that one field has: of much text, each has the values of some rows.
pub const MAX_PARTS: usize = 8;
/// Most addresses listed in [`crate::Meta::ips`].
pub const MAX_IPS: usize = 256;
/// Most bytes of memory that decoding a block may hold at once.
pub const MAX_DECODED_BYTES: usize = 256 << 20;
/// Largest sum of [`weight`] over the events of one block. Reading a block back holds compressed input's plain bytes, the
/// columns and the events, each at most about this much.
pub const MAX_WEIGHT: usize = 64 << 20;

pub(crate) const MAGIC: [u8; 4] = *b"PKTB";
/// What is written.
pub(crate) const VERSION: u8 = 4;
/// What can be read.
pub(crate) const VERSIONS: std::ops::RangeInclusive<u8> = 2..=VERSION;
/// Bytes before the first section: magic and version.
pub(crate) const PREAMBLE: usize = 5;
/// Kinds of sections. A reader skips those it does not know.
pub(crate) mod section {
    /// The last one: the checksum of all before it.
    pub(crate) const END: u8 = 0;
    pub(crate) const HEADER: u8 = 1;
    pub(crate) const IDS: u8 = 2;
    pub(crate) const TIMES: u8 = 3;
    pub(crate) const COLUMNS: u8 = 4;
    pub(crate) const SHAPES: u8 = 5;
    pub(crate) const ADDRESSES: u8 = 6;
}
/// How many kinds there are.
pub(crate) const SECTIONS: usize = 7;

/// How a column's values are laid out.
pub(crate) mod encoding {
    pub(crate) const STRINGS: u8 = 1;
    pub(crate) const STRING_DICTIONARY: u8 = 2;
    pub(crate) const STRING_PREFIXES: u8 = 3;
    pub(crate) const INTEGERS: u8 = 4;
    pub(crate) const VALUES: u8 = 5;
    pub(crate) const VALUE_DICTIONARY: u8 = 6;
    pub(crate) const LISTS: u8 = 7;

    /// Whether the values are completed by those of other columns.
    pub(crate) const fn is_completed(encoding: u8) -> bool {
        matches!(encoding, STRING_PREFIXES | LISTS)
    }
}

const EVENT_BYTES: usize = size_of::<Event>();
pub(crate) const FIELD_BYTES: usize = size_of::<(model::event::FieldName, Value)>();

/// Memory the event takes when decoded, in bytes. For whoever fills blocks: close one before the sum passes
/// [`MAX_WEIGHT`].
#[must_use]
pub fn weight(event: &Event) -> usize {
    event
        .fields
        .iter()
        .fold(EVENT_BYTES, |sum, (name, value)| sum + weight_of_field(name, value))
}

/// What a field adds to the [`weight`] of its event.
#[must_use]
#[inline]
pub fn weight_of_field(name: &str, value: &Value) -> usize {
    FIELD_BYTES + name.len() + heap_bytes(value)
}

/// Bytes a value owns outside itself.
#[inline]
pub(crate) fn heap_bytes(value: &Value) -> usize {
    match value {
        Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) => 0,
        Value::Str(text) => text.len(),
        Value::List(values) => values.iter().map(|inner| size_of::<Value>() + heap_bytes(inner)).sum(),
    }
}
