//! Rules: from files into MongoDB, from MongoDB into a compiled set that is swapped as a whole.

pub(crate) mod compiled;
pub(crate) mod directory;
pub(crate) mod follow;
pub(crate) mod import;
