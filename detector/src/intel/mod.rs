//! Threat intelligence: finding what indicators name in events, and keeping the indicators in memory.

pub(crate) mod follow;
pub(crate) mod observables;
pub(crate) mod service;
pub(crate) mod set;
