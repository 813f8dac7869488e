//! Which events a rule sees and what its fields are called there: the catalog.
//!
//! The three parts of a logsource are decided one by one and must all hold; a part the rule leaves out holds for every
//! event. What a part asks is data: the files beside this one, in the format of [pipelines](crate::pipeline) with two
//! types of steps of Picket's own, which users' files can have as well:
//!
//! - `logsource_events`: events that belong to a logsource. Several steps for one logsource add up, unless one says
//!   `replace: true`. Steps with the rule's product go before those without one.
//! - `field_name_alternatives`: names to try, in order, when an event has no field of the name a rule gives. Those of
//!   the more specific logsource come first, users' before the built-in ones.
//!
//! An event also belongs to a logsource when it says so itself, in the fields `category`, `product` and `service`, in
//! `event.module`, `event.dataset` and the like (`claims.rs`), except where a step says `closed: true`. A logsource no
//! step knows has only these claims: so its rules load, and see the events that name it and no others. When a pipeline
//! adds a condition to a rule, the condition decides instead of claims.

mod catalog;
mod claims;
mod view;

pub use catalog::{Applied, Catalog, Resolved};
