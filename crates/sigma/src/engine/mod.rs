//! Rules to a rule set, events to the rules they match.

mod arena;
mod bucket;
mod evaluate;
mod event;
mod gates;
mod hash;
mod index;
mod keys;
mod layout;
mod predicate;
mod program;
mod required;
pub(crate) mod ruleset;
pub(crate) mod scratch;
pub(crate) mod slots;
mod source;
mod statistics;
pub(crate) mod text;
mod witness;
