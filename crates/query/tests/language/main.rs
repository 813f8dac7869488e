//! The language: what queries mean, where mistakes are, and that blocks are searched as events are matched.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test helper fails by panicking")]

mod agree;
mod events;
mod hostile;
mod meaning;
mod mistakes;
