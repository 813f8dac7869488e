//! Checking one block against what it says of itself and what was signed.

use std::collections::{BTreeMap, HashSet};

use block::Block;
use model::{BatchKey, SourceId};
use storage::Error;
use storage::blocks::SealedBlock;

use crate::report::Problem;
use crate::stored::name;
use crate::witness::Witnesses;

/// What reading a block found.
#[derive(Default)]
pub(crate) struct Checked {
    pub(crate) problems: Vec<Problem>,
    /// Events that retention took out, by batch.
    pub(crate) expired: BTreeMap<BatchKey, u32>,
}

/// Checks the signature over a block, and that each batch of `source` in it has its events.
///
/// # Errors
/// When the database is away.
pub(crate) async fn check_block(
    witnesses: &mut Witnesses,
    source: SourceId,
    sealed: &SealedBlock,
) -> Result<Checked, Error> {
    let problem = |key: &BatchKey, what: String| Problem {
        epoch: Some(key.epoch.to_string()),
        first_seq: Some(key.first_seq),
        block: Some(name(sealed.block.day, sealed.block.id)),
        what,
    };
    let own = sealed
        .batches
        .iter()
        .map(|batch| &batch.key)
        .filter(|key| key.source == source);
    let Some(first) = own.min_by_key(|key| (key.epoch, key.first_seq)) else {
        return Ok(Checked::default());
    };
    let failed = |what: String| Checked {
        problems: vec![problem(first, what)],
        ..Checked::default()
    };
    let signed = match &sealed.seal {
        Some(seal) => {
            let (signer, at) = (&seal.signer, sealed.block.at);
            witnesses.block(signer, at, &sealed.digest, &seal.signature).await?
        }
        None => Err("the block carries no signature".to_owned()),
    };
    if let Err(reason) = signed {
        return Ok(failed(reason));
    }
    let body = sealed.block.body.clone();
    let events = tokio::task::spawn_blocking(move || Block::open(&body).and_then(|block| block.events())).await;
    let events = match events {
        Ok(Ok(events)) => events,
        Ok(Err(error)) => return Ok(failed(format!("the block cannot be decoded: {error}"))),
        Err(_) => return Ok(failed("decoding the block failed".to_owned())),
    };
    // Each event belongs to the part that begins at its number or last before it.
    let mut counted: BTreeMap<BatchKey, (u32, u32)> = sealed
        .batches
        .iter()
        .map(|batch| (batch.key.clone(), (batch.count, 0)))
        .collect();
    let mut seen = HashSet::new();
    let mut stray = None;
    for event in &events {
        let at = |first_seq: u64| BatchKey {
            tenant: sealed.block.tenant.clone(),
            source: event.id.source,
            epoch: event.id.epoch,
            first_seq,
        };
        match counted.range_mut(at(0)..=at(event.id.seq)).next_back() {
            Some((_, (_, found))) if seen.insert(event.id) => *found += 1,
            _ => stray = Some(at(event.id.seq)),
        }
    }
    let mut checked = Checked::default();
    let missing: u64 = counted
        .values()
        .map(|(expected, found)| u64::from(expected.saturating_sub(*found)))
        .sum();
    for (key, (expected, found)) in counted.iter().filter(|(key, _)| key.source == source) {
        // Signed with the block, so nobody else can say that retention did it.
        if found < expected && missing == sealed.trimmed {
            checked.expired.insert(key.clone(), expected - found);
        } else if expected != found {
            let what = format!("{found} events are in the block, {expected} should be");
            checked.problems.push(problem(key, what));
        }
    }
    if let Some(key) = stray {
        let what = "an event is of no batch of the block, or there twice".to_owned();
        checked.problems.push(problem(&key, what));
    }
    Ok(checked)
}
