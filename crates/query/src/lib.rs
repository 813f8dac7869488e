//! The language in which people and programs say which events they mean, and finding these in blocks.
//!
//! [`Query::parse`] reads a text (see `docs/reference/search.md`) and knows the place of every mistake; a query's text
//! form is what it was read from, tidied up. [`Query::compile`] fixes relative times and prepares the looking. What comes
//! out answers three questions: does an event match ([`Compiled::matches`]), can a block hold a match, by what is kept
//! beside it ([`Compiled::plan`]), and which of a block's events match ([`scan()`]). The three agree: what matches is never
//! planned away, and a block's scan finds exactly what its events match.
//!
//! Queries come from strangers: text, terms, depth and regular expressions have limits, and matching takes time linear in
//! what is looked at.

mod ast;
mod check;
mod compile;
mod edges;
mod error;
mod moment;
mod parse;
mod plan;
mod print;
mod reader;
mod rows;
mod scan;
mod value_counts;

pub use ast::{Bound, Check, Expr, Field, Literal, Number, Pattern, Piece, Query, Range, Test};
pub use compile::Compiled;
pub use error::QueryError;
pub use moment::{Moment, Unit, parse_interval, parse_moment};
pub use parse::{MAX_BYTES, MAX_DEPTH, MAX_REGEX_BYTES, MAX_TESTS};
pub use plan::{Need, Plan, Span};
pub use scan::{Scan, scan};
pub use value_counts::ValueCounts;
