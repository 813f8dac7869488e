//! What is done to the rules of a running system, through its gateway.

mod active;
pub(super) mod change;
pub(super) mod cost;
pub(super) mod deployed;
pub(crate) mod exceptions;
pub(super) mod import;
pub(super) mod list;
mod portions;
pub(super) mod show;
pub(crate) mod suppressions;
pub(super) mod versions;
