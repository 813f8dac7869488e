//! Rules to a rule set, events to the rules they match.

pub(crate) mod arena;
mod bucket;
pub(crate) mod columns;
mod evaluate;
mod event;
mod gates;
mod hash;
pub(crate) mod index;
pub(crate) mod joined;
mod keys;
pub(crate) mod layout;
mod observer;
mod part;
pub(crate) mod paths;
mod predicate;
pub(crate) mod profile;
mod program;
mod required;
pub(crate) mod ruleset;
pub(crate) mod scratch;
mod shapes;
pub(crate) mod slots;
pub(crate) mod source;
mod statistics;
pub(crate) mod text;
pub(crate) mod wide;
mod witness;
