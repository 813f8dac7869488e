//! Hunts: indicators looked for in events that were stored before anybody knew of them.
//!
//! - [`service`] is how gateways ask for a hunt.
//! - [`runner`] claims one hunt at a time for the whole cluster, and does it in steps that may end at any moment.
//! - [`prefilter`] tells from a block's index terms whether it needs to be read.
//! - [`scan`] looks into a block: at each distinct value of each field once.
//!
//! Alerts have the ids that live detection would have given them, so what was alerted is not alerted again.

mod prefilter;
mod runner;
mod scan;
pub(crate) mod service;

pub(crate) use runner::Runner;
