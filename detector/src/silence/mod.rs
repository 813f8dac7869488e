//! Silence is a signal: endpoints and their sources that have stopped sending.
//!
//! One detector at a time looks. An alert's id is derived from who was heard last when, so looking twice, by two detectors or
//! after a crash, finds the same alert; when the silent one is heard again the alert is completed with the time.

mod alert;
mod config;
mod watcher;

pub(crate) use config::SilenceConfig;
pub(crate) use watcher::Watcher;
