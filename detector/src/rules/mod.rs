//! Detection content: from files and imports into MongoDB, from MongoDB into a compiled set that is swapped as a whole.

pub(crate) mod blind;
pub(crate) mod cache;
pub(crate) mod check;
pub(crate) mod compiled;
pub(crate) mod directory;
mod engine;
pub(crate) mod exceptions;
pub(crate) mod explain;
pub(crate) mod explain_alert;
pub(crate) mod follow;
pub(crate) mod import;
pub(crate) mod parsed;
pub(crate) mod service;
pub(crate) mod suppression;
pub(crate) mod usage;
