//! What is stored of a source: its batches as they are at one moment of each day, each in a block that was checked.
//!
//! Batches are listed first, in a snapshot of each day, and the blocks are read afterwards. One that is merged or removed in
//! between is not there any more when it is its turn; the batches are then listed again, and what took its place is read.

use std::collections::{BTreeMap, HashMap, HashSet};

use model::{BatchKey, Epoch, SourceId, Tenant};
use storage::blocks::{self, BlockId, Day};
use storage::{Error, Store};

use crate::account::Piece;
use crate::check::check_block;
use crate::read::Depth;
use crate::report::Problem;
use crate::witness::Witnesses;

/// Batches that are kept in memory at once, at most; each takes about 250 bytes.
const MAX_PIECES: usize = 5_000_000;
/// Blocks read at once.
const AT_ONCE: usize = 8;
/// How often batches are listed, at most. Between two times only what was merged or removed meanwhile is read.
const ROUNDS: u32 = 10;

/// What is stored.
#[derive(Default)]
pub(crate) struct Stored {
    pub(crate) epochs: BTreeMap<Epoch, Vec<Piece>>,
    /// Blocks with batches of the source.
    pub(crate) blocks: u64,
    /// Its events.
    pub(crate) events: u64,
    pub(crate) problems: Vec<Problem>,
}

/// What there is, without a look into the blocks.
#[derive(Default)]
struct Listing {
    stored: Stored,
    /// The blocks that are there, with one of their batches each.
    blocks: Vec<(Day, BlockId, BatchKey)>,
}

/// What is known of the blocks that were read.
#[derive(Default)]
struct Known {
    read: HashSet<(Day, BlockId)>,
    events: u64,
    problems: Vec<Problem>,
    /// Events that retention took out, by block and batch.
    expired: HashMap<String, BTreeMap<BatchKey, u32>>,
}

pub(crate) fn name(day: Day, id: BlockId) -> String {
    format!("{day}/{id}")
}

/// Reads what is stored of a source. `progress` is told of blocks and events so far.
///
/// # Errors
/// When the database is away. What cannot be read is a problem.
pub(crate) async fn read(
    store: &Store,
    witnesses: &mut Witnesses,
    tenant: &Tenant,
    source: SourceId,
    depth: Depth,
    progress: &mut (dyn FnMut(u64, u64) + Send),
) -> Result<Stored, Error> {
    let mut known = Known::default();
    let mut rounds = 0;
    let mut stored = loop {
        let Listing { stored, blocks } = list(store, tenant, source).await?;
        if depth == Depth::Records {
            progress(stored.blocks, stored.events);
            break stored;
        }
        rounds += 1;
        if known.look(store, witnesses, source, &blocks, progress).await? {
            break stored;
        }
        if rounds >= ROUNDS {
            known.problems.push(Problem {
                what: "blocks are merged or removed faster than they can be read, try again".to_owned(),
                ..Problem::default()
            });
            break stored;
        }
    };
    for (epoch, pieces) in &mut stored.epochs {
        for piece in pieces {
            let of_block = known.expired.get(&piece.block).into_iter().flatten();
            let mut of_batch = of_block.filter(|(key, _)| key.epoch == *epoch && key.first_seq == piece.first_seq);
            if let Some((_, expired)) = of_batch.next() {
                piece.expired = *expired;
                stored.events = stored.events.saturating_sub(u64::from(*expired));
            }
        }
    }
    stored.problems.append(&mut known.problems);
    Ok(stored)
}

async fn list(store: &Store, tenant: &Tenant, source: SourceId) -> Result<Listing, Error> {
    let mut listing = Listing::default();
    let mut left = MAX_PIECES;
    for day in blocks::list_days(store).await?.into_iter().rev() {
        for block in blocks::batches_of_source(store, tenant, source, day, left).await? {
            match block {
                Ok(block) => {
                    left = left.saturating_sub(block.batches.len());
                    listing.add(day, block);
                }
                Err(error) => listing.stored.problems.push(Problem {
                    what: error.to_string(),
                    ..Problem::default()
                }),
            }
        }
        if left == 0 {
            listing.stored.problems.push(Problem {
                what: format!("more than {MAX_PIECES} batches, the rest was not looked at"),
                ..Problem::default()
            });
            break;
        }
    }
    Ok(listing)
}

impl Listing {
    fn add(&mut self, day: Day, block: blocks::BatchesOfBlock) {
        let name = name(day, block.id);
        if !block.gone {
            self.stored.blocks += 1;
            let first = block.batches.iter().map(|batch| &batch.key);
            if let Some(first) = first.min_by_key(|key| (key.epoch, key.first_seq)) {
                self.blocks.push((day, block.id, first.clone()));
            }
        }
        for batch in block.batches {
            let expired = if block.gone { batch.count } else { 0 };
            self.stored.events += u64::from(batch.count - expired);
            self.stored.epochs.entry(batch.key.epoch).or_default().push(Piece {
                first_seq: batch.key.first_seq,
                count: batch.count,
                expired,
                hash: batch.hash,
                link: batch.link,
                block: name.clone(),
            });
        }
    }
}

impl Known {
    /// Reads those blocks that were not read yet. False when some are not there any more.
    async fn look(
        &mut self,
        store: &Store,
        witnesses: &mut Witnesses,
        source: SourceId,
        blocks: &[(Day, BlockId, BatchKey)],
        progress: &mut (dyn FnMut(u64, u64) + Send),
    ) -> Result<bool, Error> {
        let mut all = true;
        let unread: Vec<_> = blocks
            .iter()
            .filter(|(day, id, _)| !self.read.contains(&(*day, *id)))
            .collect();
        for of_day in unread.chunk_by(|(day, ..), (other, ..)| day == other) {
            for some in of_day.chunks(AT_ONCE) {
                let Some((day, _, key)) = some.first() else { continue };
                let ids: Vec<BlockId> = some.iter().map(|(_, id, _)| *id).collect();
                let found = blocks::sealed(store, &key.tenant, *day, &ids).await?;
                all &= found.len() == ids.len();
                for (id, sealed) in found {
                    match sealed {
                        Ok(sealed) => {
                            let checked = check_block(witnesses, source, &sealed).await?;
                            self.problems.extend(checked.problems);
                            if !checked.expired.is_empty() {
                                self.expired.insert(name(*day, id), checked.expired);
                            }
                            let own = sealed.batches.iter().filter(|batch| batch.key.source == source);
                            self.events += own.map(|batch| u64::from(batch.count)).sum::<u64>();
                        }
                        Err(error) => {
                            let first = some.iter().find(|(_, of, _)| *of == id).map(|(.., key)| key);
                            self.problems.push(Problem {
                                epoch: first.map(|key| key.epoch.to_string()),
                                first_seq: first.map(|key| key.first_seq),
                                block: Some(name(*day, id)),
                                what: error.to_string(),
                            });
                        }
                    }
                    self.read.insert((*day, id));
                    progress(self.read.len() as u64, self.events);
                }
            }
        }
        Ok(all)
    }
}
