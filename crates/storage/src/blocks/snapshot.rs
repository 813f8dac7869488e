//! Reading blocks as they were at one moment, while others are merged, trimmed and removed.

use std::time::Duration;

use mongodb::error::ErrorKind;

use crate::Error;

/// `SnapshotUnavailable`: a collection or an index was made just before.
const UNAVAILABLE: i32 = 246;
/// `CursorNotFound`, `QueryPlanKilled` (the collection was dropped), `SnapshotTooOld`, and the above.
const LOST: [i32; 4] = [43, 175, 239, UNAVAILABLE];
const BAD_VALUE: i32 = 2;
const PAUSE: Duration = Duration::from_millis(20);
const TRIES: u32 = 100;

fn code(error: &mongodb::error::Error) -> Option<i32> {
    if let ErrorKind::Command(command) = error.kind.as_ref() {
        Some(command.code)
    } else {
        None
    }
}

/// Whether a cursor has ended before its end, and another one can go on.
pub(super) fn is_lost(error: &mongodb::error::Error) -> bool {
    code(error).is_some_and(|code| LOST.contains(&code))
}

fn is_too_early(error: &Error) -> bool {
    match error {
        Error::Unavailable(error) | Error::Other(error) => code(error) == Some(UNAVAILABLE),
        Error::Duplicate(_) | Error::Invalid { .. } => false,
    }
}

/// Whether a query was refused because the index it names is not there.
pub(super) fn lacks_index(error: &Error) -> bool {
    let (Error::Unavailable(error) | Error::Other(error)) = error else {
        return false;
    };
    let ErrorKind::Command(command) = error.kind.as_ref() else {
        return false;
    };
    // Only the message tells this `BadValue` from others.
    command.code == BAD_VALUE && command.message.contains("hint provided")
}

/// Waits for a snapshot to read: in the first milliseconds of a day's collection there is none.
#[derive(Debug, Default)]
pub(super) struct Patience {
    tries: u32,
}

impl Patience {
    /// Whether it is worth another try, after a pause.
    pub(super) async fn again(&mut self, error: &Error) -> bool {
        if self.tries >= TRIES || !is_too_early(error) {
            return false;
        }
        self.tries += 1;
        tokio::time::sleep(PAUSE).await;
        true
    }
}

/// Reads again until there is a snapshot to read. A macro, as what closures borrow keeps futures from being `Send`.
macro_rules! patiently {
    ($read:expr) => {{
        let mut patience = $crate::blocks::snapshot::Patience::default();
        loop {
            match $read.await.map_err($crate::Error::from) {
                Err(error) if patience.again(&error).await => {}
                done => break done,
            }
        }
    }};
}
pub(super) use patiently;
