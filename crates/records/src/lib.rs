//! From what a source wrote to single records, before these are numbered: one line that holds many is taken apart
//! ([`array`]), and many lines that are one are put together ([`audit`]). [`Unpacker`] does both for a stream of bytes.
//! [`header`] finds the lines that name the columns of those behind them. [`event_log`] reads the files of Windows' Event Log,
//! which have no lines.
//!
//! An event's number is given where it is read, once and for all (ADR 4), so what is one record has to be decided there:
//! by the agent and by `picket send`, never behind them. This crate knows only where records begin and end; what they
//! say is for `parsers` to read (ADR 3). All of it is pure: no I/O but reading a file that is given, no clock, memory
//! bounded by the longest record or one chunk of an Event Log.

pub mod array;
pub mod audit;
pub mod event_log;
pub mod header;
mod unpack;

pub use unpack::{Record, Unpacker};
