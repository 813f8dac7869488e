//! Everything that can fail, failing at random, while agents write numbered lines; and afterwards the accounts: every
//! line stored once, every expected alert there once, every delivery proved.
//!
//! What happens is decided by the seed alone. When it happens depends on the machine.

mod accounts;
mod clock;
mod disk;
mod fault;
mod proxy;
mod replica;
mod run;
mod writers;

pub use fault::{Fault, Kind, Schedule};
pub use run::{Plan, Summary, run};
