//! Where what a feed says goes: into the database, or before the eyes of an operator.

use std::collections::HashMap;

use feeds::Item;

use super::error::Error;

/// Takes what a feed says, in the feed's order.
pub(crate) trait Sink: Send {
    /// Takes items over; leaves the list empty.
    fn take(&mut self, items: &mut Vec<Item>) -> impl Future<Output = Result<(), Error>> + Send;

    /// Whether no more is wanted.
    fn is_full(&self) -> bool {
        false
    }

    /// The parts of the feed that were taken over before, and their versions.
    fn parts(&self) -> impl Future<Output = Result<HashMap<String, i64>, Error>> + Send;

    /// What comes next is this part's.
    fn begin_part(&mut self, part: &str);

    /// All of the part was given; what it no longer says is gone.
    fn end_part(&mut self, part: &str, version: i64) -> impl Future<Output = Result<(), Error>> + Send;

    /// The part could not be read. It is tried again in the next run.
    fn fail_part(&mut self, part: &str, reason: String);

    /// The feed does not have the part any more.
    fn remove_part(&mut self, part: &str) -> impl Future<Output = Result<(), Error>> + Send;

    /// Everything added up to here was given.
    fn added_up_to(&mut self, cursor: String) -> impl Future<Output = Result<(), Error>> + Send;
}
