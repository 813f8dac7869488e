//! Blocks fetched ahead: the next one comes while others are looked at, also while nobody waits for it.

use std::time::Duration;

use model::Timestamp;
use proto::ServiceError;
use storage::Store;
use storage::blocks::{FoundBlock, ScanQuery, Scanner};
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::problem::{from_storage, internal};

/// How long a fetch goes on that nobody needs any more. One that is cut off costs its connection to the database, and most
/// end soon.
const GRACE: Duration = Duration::from_millis(50);

type Fetched = (Box<Scanner>, Result<Option<FoundBlock>, storage::Error>);

enum State {
    Idle(Box<Scanner>),
    Fetching(JoinHandle<Fetched>),
    /// Nothing more comes.
    Over,
}

/// Fetches one block at a time.
pub(super) struct Ahead {
    state: State,
    unread_until: Option<Timestamp>,
    bytes: u64,
}

impl Drop for Ahead {
    fn drop(&mut self) {
        self.end();
    }
}

impl Ahead {
    /// Fetches nothing yet.
    pub(super) fn new(store: &Store, query: ScanQuery) -> Self {
        Self {
            state: State::Idle(Box::new(Scanner::new(store, query))),
            unread_until: None,
            bytes: 0,
        }
    }

    /// Says before the first fetch that the first blocks are likely to be enough.
    pub(super) fn expect_few(&mut self) {
        if let State::Idle(scanner) = &mut self.state {
            scanner.expect_few();
        }
    }

    /// Begins to fetch the next block, unless one is fetched already or there are no more.
    pub(super) fn begin(&mut self) {
        self.state = match std::mem::replace(&mut self.state, State::Over) {
            State::Idle(mut scanner) => State::Fetching(tokio::spawn(async move {
                let next = scanner.next().await;
                (scanner, next)
            })),
            busy @ (State::Fetching(_) | State::Over) => busy,
        };
    }

    /// Whether a block is fetched now.
    pub(super) fn is_fetching(&self) -> bool {
        matches!(self.state, State::Fetching(_))
    }

    /// The block that is fetched; `None` when there was no more. Waits for ever when none is fetched. A call that is given
    /// up may be followed by another.
    ///
    /// # Errors
    /// When the database is away or a record is not readable.
    pub(super) async fn fetched(&mut self) -> Result<Option<FoundBlock>, ServiceError> {
        let State::Fetching(fetching) = &mut self.state else {
            return std::future::pending().await;
        };
        let joined = fetching.await;
        self.state = State::Over;
        let (scanner, fetched) = joined.map_err(|error| internal("block fetcher", &error))?;
        self.unread_until = scanner.unread_until();
        self.bytes = scanner.bytes();
        let fetched = fetched.map_err(from_storage)?;
        if fetched.is_some() && self.unread_until.is_some() {
            self.state = State::Idle(scanner);
        }
        Ok(fetched)
    }

    /// Gives up what is fetched now, and fetches no more.
    pub(super) fn end(&mut self) {
        let State::Fetching(mut fetching) = std::mem::replace(&mut self.state, State::Over) else {
            return;
        };
        match Handle::try_current() {
            Ok(runtime) => {
                runtime.spawn(async move {
                    if timeout(GRACE, &mut fetching).await.is_err() {
                        fetching.abort();
                    }
                });
            }
            Err(_) => fetching.abort(),
        }
    }

    /// Whether there is nothing more to come.
    pub(super) fn is_over(&self) -> bool {
        matches!(self.state, State::Over)
    }

    /// No event of what was not fetched yet is later than this; `None` when nothing was fetched yet, or all was.
    pub(super) fn unread_until(&self) -> Option<Timestamp> {
        self.unread_until.filter(|_| !self.is_over())
    }

    /// Bytes read so far: blocks, and what is kept beside blocks that were skipped.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }
}
