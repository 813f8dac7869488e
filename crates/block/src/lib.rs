//! The block: up to [`MAX_EVENTS`] events of one tenant and one partition, stored as columns.
//!
//! [`encode`] turns events into bytes and the [`Meta`] that lets a search skip the block; [`Block`] reads them back,
//! whole or one column at a time. Everything is a pure function of its input: no I/O, no clock, no randomness, so equal
//! events give equal bytes. The layout is described in `docs/reference/block-format.md`.
//!
//! Bytes are not trusted. Decoding checks every length against what is there and stops with an error before it would
//! hold more than [`MAX_DECODED_BYTES`]; [`encode`] refuses what would not fit when read back.

mod addresses;
mod budget;
mod by_column;
mod column;
mod column_decoding;
mod column_encoding;
mod completing;
mod cut;
mod decode;
mod encode;
mod error;
mod events;
mod filter;
mod frame;
mod head;
mod integers;
mod keys;
mod layout;
mod lists;
mod minutes;
mod outline;
mod piece;
mod reading;
mod shapes;
mod strings;
mod table;
mod values;
mod view;
mod view_decoding;
mod wire;
mod words;

pub use by_column::ByColumn;
pub use column::Column;
pub use completing::completing;
pub use decode::Block;
pub use encode::{Encoded, Meta, encode};
pub use error::{DecodeError, EncodeError};
pub use filter::{Question, filter_sizes, may_contain, may_contain_address};
pub use head::{ColumnAt, ColumnPart, Parts, split};
pub use layout::{MAX_COLUMNS, MAX_DECODED_BYTES, MAX_EVENTS, MAX_IPS, MAX_PARTS, MAX_WEIGHT, weight, weight_of_field};
pub use minutes::minutes;
pub use outline::Outline;
pub use view::{OfRow, Texts, View, Views};
pub use view_decoding::values_of;
pub use words::words;
