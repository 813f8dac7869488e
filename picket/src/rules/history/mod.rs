//! Rules and stored events, read from the database in this process: no detector does any of the work.

mod backtest;
mod report;

pub(super) use backtest::{Args, run};
