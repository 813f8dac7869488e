//! Threat intelligence: keeping the indicators in memory, changing them, and what a match means.

pub(crate) mod alerting;
pub(crate) mod follow;
pub(crate) mod service;
