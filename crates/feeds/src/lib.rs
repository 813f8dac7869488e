//! Threat intelligence feeds: from a publisher's bytes to entries, one format a file.
//!
//! Everything here is pure: bytes are pushed in as they arrive and [`Item`]s come out, so a feed of any size is read in
//! little memory and the same code serves the detector's scheduler, `picket feeds preview` and the tests. What a
//! publisher sends is hostile until proven otherwise: lines, objects, nesting and counts are bounded, and whatever cannot
//! be used costs only itself and is told with its place, its field and what was expected.
//!
//! Fetching, scheduling and storing are the detector's (`detector::feeds`).

mod columns;
mod elements;
mod entry;
mod feodo;
mod gunzip;
mod lines;
mod list;
mod malwarebazaar;
mod marking;
mod parser;
mod preset;
mod threatfox;
mod times;
mod urlhaus;

pub mod misp;
pub mod pattern;
pub mod stix;
pub mod taxii;

pub use entry::{Class, Entry, Item, MAX_NOTE_CHARS, MAX_TAG_CHARS, MAX_TAGS, MAX_VALUE_BYTES, Refused};
pub use gunzip::{Gunzip, GunzipError};
pub use lines::MAX_LINE_BYTES;
pub use model::feed::FeedKind as Kind;
pub use parser::{Options, Parser};
pub use preset::Preset;
