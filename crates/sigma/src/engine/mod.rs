//! Rules to a rule set, events to the rules they match.

pub(crate) mod evaluate;
pub(crate) mod index;
pub(crate) mod program;
pub(crate) mod ruleset;
pub(crate) mod scratch;
pub(crate) mod slots;
pub(crate) mod text;
pub(crate) mod witness;
