//! A collector as its peers see it: real TLS sockets, a real MongoDB.
#![allow(missing_docs, reason = "tests explain themselves")]

mod access;
mod client;
mod delivery;
mod enrolment;
mod forwarding;
mod hostile;
mod identity;
mod sandbox;
mod syslog;
