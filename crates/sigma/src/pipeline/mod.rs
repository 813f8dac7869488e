//! Processing pipelines: files in pySigma's format that fit rules to the names and values a site's events have.
//!
//! A pipeline is a list of transformations, each with conditions on the rule, its items and its field names. Pipelines
//! are applied in the order of their `priority`, then of their paths, as if they were one. They change what is
//! compiled and never the rule itself. Every type, key and value is checked when a pipeline is loaded: what is not
//! understood is refused with file, line and field.
//!
//! `postprocessing`, `finalizers` and `allowed_backends` are about the text of queries in other products. They are
//! accepted so that files can be shared, and have no effect.

mod apply;
mod condition;
mod extract;
mod fields;
mod hashes;
mod item;
mod parameters;
mod parse;
mod regexes;
mod transformation;
mod values;

use rustc_hash::FxHashMap;

pub(crate) use apply::Run;
pub(crate) use item::ProcessingItem;
pub(crate) use parse::parse;
pub(crate) use transformation::{Alternatives, Events, Transformation};

/// Most transformations in one file, those of nested pipelines among them.
const MAX_ITEMS: usize = 5_000;
/// Deepest nesting of pipelines.
const MAX_NESTING: usize = 8;
/// Longest list of names, patterns or values in one place.
const MAX_LIST: usize = 20_000;

/// One file.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pipeline {
    pub(crate) path: String,
    pub(crate) priority: i64,
    /// What placeholders stand for.
    pub(crate) vars: FxHashMap<String, Vec<String>>,
    pub(crate) items: Vec<ProcessingItem>,
}
