//! From what a source sent to the fields of an event: [`parse`] takes one record and never fails.
//!
//! One file holds one format. All of them are pure functions over bytes of unknown origin: no I/O, no clock, no regular
//! expressions, time linear in the input. What a format does not recognise is kept as it is; a record no format takes
//! still becomes an event with its text in `message` and `event.original`.

mod accounts;
mod aliases;
mod bytes;
mod clock;
mod community;
mod constant;
mod container;
mod cron;
pub mod custom;
mod derive;
mod dispatch;
mod dissect;
mod domain;
mod draft;
pub mod event_log;
mod formats;
mod journald;
mod json;
mod keyvalue;
mod mapping;
mod network;
mod pam;
mod program;
mod programs;
mod record;
mod scan;
mod slots;
mod sshd;
mod su;
mod sudo;
mod syslog;
mod tree;
mod unified;
mod url;
mod useragent;
mod windows;

pub use dispatch::parse;
pub use record::{Body, HEADER_MEMBER, LOG_TYPES, Parsed, RawRecord, Warning};
