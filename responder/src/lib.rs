//! The responder: answers alerts. It registers as a node, is healthy and says which actions it can order: none so far.

mod config;
mod response;
mod service;

pub use config::Config;
pub use service::{main, main_with, start};
