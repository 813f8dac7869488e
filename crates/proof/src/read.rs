//! Reading what is stored of an endpoint's delivery.

use std::collections::{BTreeMap, HashSet};

use block::Block;
use futures_util::TryStreamExt as _;
use identity::Authorities;
use model::{AgentId, BatchKey, Epoch, SourceId, Tenant, Timestamp};
use storage::blocks::{self, Reading, SealedBlock};
use storage::deliveries::{self, Delivery};
use storage::{Error, Store, agents};

use crate::account::{Expired, Piece, account};
use crate::report::{MAX_LISTED, Problem, ReceiptReport, Report};
use crate::witness::Witnesses;

/// Batches that are kept in memory at once, at most; each takes about 250 bytes.
const MAX_PIECES: usize = 5_000_000;
const DAY_MICROS: i64 = 86_400_000_000;

/// How deep to look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// What is stored beside the blocks: numbers, hash chain, receipts.
    Records,
    /// The blocks too: signatures, and every event's number.
    Blocks,
}

/// Accounts for an endpoint's delivery; `None` when there is no such endpoint and nothing of it is stored. `progress` is
/// told of every block that was read.
///
/// # Errors
/// When the database is away. What cannot be read is a problem in the report.
pub async fn delivery(
    store: &Store,
    authorities: &Authorities,
    tenant: &Tenant,
    agent: AgentId,
    depth: Depth,
    mut progress: impl FnMut(&Report) + Send,
) -> Result<Option<Report>, Error> {
    let source = SourceId::agent(agent);
    let known = agents::get(store, tenant, agent).await?;
    let mut witnesses = Witnesses::new(store.clone(), authorities.clone());
    let mut report = Report {
        agent_id: agent.to_string(),
        blocks_read: depth == Depth::Blocks,
        ..Report::default()
    };
    let mut problems = Vec::new();
    let mut epochs: BTreeMap<Epoch, Vec<Piece>> = BTreeMap::new();
    let mut pieces = 0;
    let reading = match depth {
        Depth::Records => Reading::Batches,
        Depth::Blocks => Reading::Whole,
    };
    let mut stored = Box::pin(blocks::of_source(store, tenant, source, reading));
    loop {
        let sealed = match stored.try_next().await {
            Ok(Some(sealed)) => sealed,
            Ok(None) => break,
            Err(Error::Invalid { field, expected }) => {
                problems.push(Problem {
                    what: format!("{field}: expected {expected}"),
                    ..Problem::default()
                });
                continue;
            }
            Err(error) => return Err(error),
        };
        report.blocks += 1;
        pieces += sealed.batches.len();
        if pieces > MAX_PIECES {
            problems.push(Problem {
                what: format!("more than {MAX_PIECES} batches, the rest was not looked at"),
                ..Problem::default()
            });
            break;
        }
        let mut expired = BTreeMap::new();
        if depth == Depth::Blocks {
            let checked = check_block(&mut witnesses, source, &sealed).await?;
            problems.extend(checked.problems);
            expired = checked.expired;
        }
        let name = name(&sealed);
        for batch in sealed.batches.into_iter().filter(|batch| batch.key.source == source) {
            let expired = expired.remove(&batch.key).unwrap_or(0);
            report.events += u64::from(batch.count.saturating_sub(expired));
            epochs.entry(batch.key.epoch).or_default().push(Piece {
                first_seq: batch.key.first_seq,
                count: batch.count,
                expired,
                hash: batch.hash,
                link: batch.link,
                block: name.clone(),
            });
        }
        progress(&report);
    }
    for (block, batch) in blocks::gone_of_source(store, tenant, source).await? {
        epochs.entry(batch.key.epoch).or_default().push(Piece {
            first_seq: batch.key.first_seq,
            count: batch.count,
            expired: batch.count,
            hash: batch.hash,
            link: batch.link,
            block,
        });
    }
    let records = deliveries::of_source(store, tenant, source).await?;
    if known.is_none() && epochs.is_empty() && records.is_empty() {
        return Ok(None);
    }
    report.dropped = known.map(|agent| agent.dropped).unwrap_or_default();
    for (reason, events) in deliveries::refused_by_reason(&records) {
        *report.dropped.entry(reason).or_insert(0) += events;
    }
    let oldest_day = blocks::list_days(store)
        .await?
        .into_iter()
        .filter(|day| *day != blocks::Day::MISDATED)
        .min();
    let forgotten = Timestamp(store.now().await?.0.saturating_sub(blocks::REPEATS_DAYS * DAY_MICROS));
    for epoch in in_order(&records, &epochs) {
        let record = records.iter().find(|record| record.epoch == epoch);
        let expired = record.is_some_and(|record| oldest_day.is_none_or(|oldest| record.first_at < oldest.start()));
        let expired = Expired {
            beginning: expired,
            before: forgotten,
        };
        let (mut accounted, found) = account(epoch, epochs.remove(&epoch).unwrap_or_default(), record, expired);
        problems.extend(found);
        if let Some(receipt) = record.and_then(|record| record.receipt.as_ref()) {
            let valid = witnesses.receipt(agent, epoch, receipt).await?;
            if let Err(reason) = &valid {
                problems.push(Problem {
                    epoch: Some(epoch.to_string()),
                    what: format!("receipt for everything below {}: {reason}", receipt.next_seq),
                    ..Problem::default()
                });
            }
            accounted.receipt = Some(ReceiptReport {
                next_seq: receipt.next_seq,
                issued_at: receipt.issued_at.to_string(),
                node: receipt.node.to_string(),
                signer: receipt.signer.clone(),
                valid: valid.is_ok(),
            });
        }
        if let Some(left_out) = record
            .map(|record| record.refused_left_out)
            .filter(|left_out| *left_out > 0)
        {
            problems.push(Problem {
                epoch: Some(epoch.to_string()),
                what: format!("{left_out} refusals are not on record, there were too many"),
                ..Problem::default()
            });
        }
        report.batches += accounted.batches;
        report.epochs.push(accounted);
    }
    let order = |problem: &Problem| {
        let epoch = problem.epoch.as_deref().unwrap_or_default();
        let place = report.epochs.iter().position(|accounted| accounted.epoch == epoch);
        (place, problem.first_seq)
    };
    problems.sort_by_key(order);
    report.holds = problems.is_empty();
    report.problems_left_out = problems.len().saturating_sub(MAX_LISTED) as u64;
    problems.truncate(MAX_LISTED);
    report.problems = problems;
    Ok(Some(report))
}

/// All epochs: those on record by their beginning, then the others.
fn in_order(records: &[Delivery], epochs: &BTreeMap<Epoch, Vec<Piece>>) -> Vec<Epoch> {
    let mut order: Vec<Epoch> = records.iter().map(|record| record.epoch).collect();
    let others: Vec<Epoch> = epochs.keys().filter(|epoch| !order.contains(epoch)).copied().collect();
    order.extend(others);
    order
}

fn name(sealed: &SealedBlock) -> String {
    format!("{}/{}", sealed.block.day, sealed.block.id)
}

/// What reading a block found.
#[derive(Default)]
struct Checked {
    problems: Vec<Problem>,
    /// Events that retention took out, by batch.
    expired: BTreeMap<BatchKey, u32>,
}

async fn check_block(witnesses: &mut Witnesses, source: SourceId, sealed: &SealedBlock) -> Result<Checked, Error> {
    let problem = |key: &BatchKey, what: String| Problem {
        epoch: Some(key.epoch.to_string()),
        first_seq: Some(key.first_seq),
        block: Some(name(sealed)),
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
    let signed = match (&sealed.seal, &sealed.digest) {
        (Some(seal), Some(digest)) => {
            let (signer, at) = (&seal.signer, sealed.block.at);
            witnesses.block(signer, at, digest, &seal.signature).await?
        }
        _ => Err("the block carries no signature".to_owned()),
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
