//! Rules and stored events, read from the database in this process: what rules would have made of the past, and which of
//! them see nothing. Nothing is written, and no detector does any of the work.

mod backtest;
mod blind;
mod blocks;
mod content;
mod replay;
mod report;
mod tally;

pub(super) use backtest::{Args, run};
pub(super) use blind::{Blind, find as find_blind};
pub(super) use blocks::Span;
pub(super) use content::Deployed;
