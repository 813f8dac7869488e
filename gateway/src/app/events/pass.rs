//! One way through the blocks that may hold what is looked for: latest first, a few at a time, within limits.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use block::{Block, DecodeError};
use model::Timestamp;
use proto::{ErrorCode, ServiceError};
use serde::Serialize;
use storage::Store;
use storage::blocks::{self, Columns, FoundBlock};
use tokio::task::{JoinError, JoinHandle};
use tokio::time::{Instant, timeout_at};
use utoipa::ToSchema;

use super::Turn;
use super::ahead::Ahead;
use super::filter::Prepared;
use crate::problem::{from_storage, internal};

/// Blocks looked at while the next is fetched.
const AT_ONCE: usize = 3;
/// The same of small blocks or parts of them: more than come at once, so that the database looks for the next ones
/// meanwhile.
const AT_ONCE_OF_SMALL: usize = 12;
/// Bytes of those that are looked at above which no more than [`AT_ONCE`] are.
const SMALL: usize = 2 << 20;

/// How much one search may read.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// How long.
    pub time: Duration,
    /// Bytes of blocks and of what is kept beside them.
    pub bytes: u64,
}

/// Says that an answer is not made from all that may match, and what was left out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Partial {
    /// `time`: the search took as long as it may. `bytes`: it read as much as it may. `unreadable`: blocks are damaged.
    #[schema(example = "time")]
    pub reason: &'static str,
    /// Events at this time or before, RFC 3339, were not all read; absent when only damaged blocks are missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub unread_until: Option<Timestamp>,
    /// Damaged blocks, whose events are missing.
    pub unreadable_blocks: u64,
}

impl Partial {
    /// Only blocks that cannot be read are missing.
    pub(super) fn unreadable() -> Self {
        Self {
            reason: "unreadable",
            unread_until: None,
            unreadable_blocks: 0,
        }
    }
}

/// How much longer than a search the database may work for it. The search should be what ends first.
const GRACE: Duration = Duration::from_secs(1);

/// What is done with each block, off the runtime's threads.
type Work<T> = dyn Fn(&FoundBlock, &Block<'_>) -> Result<T, DecodeError> + Send + Sync;

struct Running<T> {
    /// No event of the block is later.
    max: Timestamp,
    /// Whether all of it was fetched.
    is_whole: bool,
    bytes: usize,
    task: JoinHandle<Looked<T>>,
}

/// What a pass waits for.
enum Step<T> {
    Looked(Result<Looked<T>, JoinError>),
    Fetched(Result<Option<FoundBlock>, ServiceError>),
}

/// What came of looking at a block.
enum Looked<T> {
    Made(T),
    /// More of it is needed than was fetched.
    TooLittle(Box<FoundBlock>),
    Unreadable,
}

/// Reads blocks and does some work with each.
pub(super) struct Pass<T> {
    ahead: Ahead,
    store: Store,
    turn: Turn,
    work: Arc<Work<T>>,
    running: VecDeque<Running<T>>,
    at_once: usize,
    limits: Option<(Instant, u64)>,
    stopped: Option<(&'static str, Option<Timestamp>)>,
    /// Bytes of blocks that were fetched once more, whole.
    again: u64,
    unreadable: u64,
}

impl<T> Drop for Pass<T> {
    fn drop(&mut self) {
        // Nobody waits for them any more: what has not begun need not.
        self.running.iter().for_each(|running| running.task.abort());
    }
}

impl<T: Send + 'static> Pass<T> {
    /// Begins; without limits, it ends when all was read or nobody waits any more. The work is done with the columns that
    /// are fetched at first, and once more with all when it turns out to need more.
    pub(super) fn new(
        store: &Store,
        turn: &Turn,
        prepared: &Prepared,
        columns: Columns,
        limits: Option<Limits>,
        work: impl Fn(&FoundBlock, &Block<'_>) -> Result<T, DecodeError> + Send + Sync + 'static,
    ) -> Self {
        let mut query = prepared.blocks();
        query.columns = columns;
        query.max_time = limits.map(|limits| limits.time.saturating_add(GRACE));
        Self {
            ahead: Ahead::new(store, query),
            store: store.clone(),
            turn: turn.clone(),
            work: Arc::new(work),
            running: VecDeque::new(),
            at_once: 1,
            limits: limits.map(|limits| (Instant::now() + limits.time, limits.bytes)),
            stopped: None,
            again: 0,
            unreadable: 0,
        }
    }

    /// For whoever is likely to have enough with the first blocks.
    pub(super) fn of_few(mut self) -> Self {
        self.ahead.expect_few();
        self
    }

    /// What the work made of the next block. Blocks that cannot be read are reported and left out: the others are still
    /// worth having.
    pub(super) async fn next(&mut self) -> Result<Option<T>, ServiceError> {
        loop {
            self.fetch_ahead();
            if self.running.is_empty() && !self.ahead.is_fetching() {
                return Ok(None);
            }
            let deadline = self.limits.map(|(deadline, _)| deadline);
            match within(deadline, self.step()).await {
                None if self.running.is_empty() && self.ahead.unread_until().is_none() => {
                    let detail = "the database did not answer in the time a search may take";
                    return Err(ServiceError::new(ErrorCode::DeadlineExceeded, detail));
                }
                None => {
                    self.give_up(None);
                    return Ok(None);
                }
                Some(Step::Fetched(block)) => {
                    if let Some(block) = block? {
                        let running = self.look_at(block, false);
                        self.running.push_back(running);
                    }
                }
                Some(Step::Looked(looked)) => {
                    // The first block is often enough.
                    self.at_once = AT_ONCE_OF_SMALL;
                    let Some(first) = self.running.pop_front() else {
                        continue;
                    };
                    match looked.map_err(|error| internal("block reader", &error))? {
                        Looked::Made(made) => return Ok(Some(made)),
                        Looked::TooLittle(block) if !first.is_whole => {
                            if !self.look_again(first.max, &block).await? {
                                return Ok(None);
                            }
                        }
                        Looked::TooLittle(_) | Looked::Unreadable => self.unreadable += 1,
                    }
                }
            }
        }
    }

    /// What comes first: that the first block was looked at, or that another one is there.
    async fn step(&mut self) -> Step<T> {
        let running = &mut self.running;
        let first = async move {
            match running.front_mut() {
                Some(first) => (&mut first.task).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            looked = first => Step::Looked(looked),
            block = self.ahead.fetched() => Step::Fetched(block),
        }
    }

    /// Fetches a block whole of which too little was fetched; false when the time is over.
    async fn look_again(&mut self, max: Timestamp, block: &FoundBlock) -> Result<bool, ServiceError> {
        let whole = blocks::find(&self.store, block.day, block.id, &Columns::All);
        let deadline = self.limits.map(|(deadline, _)| deadline);
        let Some(whole) = within(deadline, whole).await else {
            self.give_up(Some(max));
            return Ok(false);
        };
        // Retention may have removed it meanwhile.
        if let Some(whole) = whole.map_err(from_storage)? {
            self.again += whole.body.size() as u64;
            let again = self.look_at(whole, true);
            self.running.push_front(again);
        }
        Ok(true)
    }

    /// Sees to it that the next block is on its way, as far as there is room for it.
    fn fetch_ahead(&mut self) {
        if !self.has_room() || self.ahead.is_over() {
            return;
        }
        let read = self.ahead.bytes().saturating_add(self.again);
        if self.limits.is_some_and(|(_, bytes)| read >= bytes) && !self.ahead.is_fetching() {
            let unread = self.ahead.unread_until();
            self.ahead.end();
            // After the last block there is nothing to be left out.
            if unread.is_some() {
                self.cut("bytes", unread);
            }
            return;
        }
        self.ahead.begin();
    }

    fn has_room(&self) -> bool {
        let bytes: usize = self.running.iter().map(|running| running.bytes).sum();
        self.running.len() < self.at_once && (self.running.len() < AT_ONCE || bytes < SMALL)
    }

    /// No event that [`Self::next`] has not given yet is later than this; `None` when all were given.
    pub(super) fn rest_until(&self) -> Option<Timestamp> {
        let running = self.running.iter().map(|running| running.max).max();
        running.max(self.ahead.unread_until())
    }

    /// What was left out, when the pass is over.
    pub(super) fn partial(&self) -> Option<Partial> {
        let (reason, unread_until) = match self.stopped {
            Some(stopped) => stopped,
            None if self.unreadable > 0 => ("unreadable", None),
            None => return None,
        };
        Some(Partial {
            reason,
            unread_until,
            unreadable_blocks: self.unreadable,
        })
    }

    fn look_at(&self, block: FoundBlock, is_whole: bool) -> Running<T> {
        let (work, turn) = (self.work.clone(), self.turn.clone());
        Running {
            max: block.max,
            is_whole,
            bytes: block.body.size(),
            task: tokio::task::spawn_blocking(move || {
                let looked = look(block, &*work);
                drop(turn);
                looked
            }),
        }
    }

    /// Leaves out what is being looked at, too, and a block whose events are not later than `at_hand`.
    fn give_up(&mut self, at_hand: Option<Timestamp>) {
        let unfetched = match self.stopped {
            Some((_, unread)) => unread,
            None => self.ahead.unread_until(),
        };
        let running = self.running.iter().map(|running| running.max).max();
        self.ahead.end();
        self.running.drain(..).for_each(|running| running.task.abort());
        self.cut("time", unfetched.max(running).max(at_hand));
    }

    fn cut(&mut self, reason: &'static str, unread: Option<Timestamp>) {
        metrics::counter!("picket_gateway_searches_cut_total", "reason" => reason).increment(1);
        self.stopped = Some((reason, unread));
    }
}

/// What comes of it; `None` when it takes longer than the search may.
async fn within<T>(deadline: Option<Instant>, work: impl Future<Output = T>) -> Option<T> {
    match deadline {
        None => Some(work.await),
        Some(deadline) => timeout_at(deadline, work).await.ok(),
    }
}

fn look<T>(found: FoundBlock, work: &Work<T>) -> Looked<T> {
    match found.body.open().and_then(|block| work(&found, &block)) {
        Ok(made) => Looked::Made(made),
        Err(DecodeError::NotAtHand) => Looked::TooLittle(Box::new(found)),
        Err(error) => {
            report(&found, &error);
            Looked::Unreadable
        }
    }
}

/// Says that a block cannot be read.
pub(super) fn report(found: &FoundBlock, error: &DecodeError) {
    metrics::counter!("picket_gateway_blocks_unreadable_total").increment(1);
    let (day, id) = (found.day, found.id);
    tracing::error!(%day, block.id = %id, %error, "stored block is not readable, its events are missing from answers");
}
