//! Events as JSON lines, read without building a document.
//!
//! Two passes over the line. The first ([`marks`], [`blocks`]) finds all quotes that are not escaped, 64 bytes at a time. The second
//! ([`line`]) walks from quote to quote and notes each member's name and raw value; strings are only unescaped when a
//! rule asks for them ([`values`]). What is rare in events or not plainly well-formed is refused: the caller then takes
//! the slow path over `serde_json`, which either explains what is wrong or reads it. So the reader may refuse anything,
//! and must never read anything differently.

mod blocks;
mod escapes;
mod line;
mod marks;
mod values;

pub(crate) use blocks::fetch;
pub(crate) use line::Line;
pub(crate) use values::JsonEvent;
