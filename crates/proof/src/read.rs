//! Reading what is stored of an endpoint's delivery.

use std::collections::BTreeMap;

use identity::Authorities;
use model::{AgentId, Epoch, SourceId, Tenant, Timestamp};
use storage::blocks;
use storage::deliveries::{self, Delivery};
use storage::{Error, Store, agents};

use crate::account::{Expired, Piece, account};
use crate::report::{MAX_LISTED, Problem, ReceiptReport, Report};
use crate::stored::{self, Stored};
use crate::witness::Witnesses;

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
    let mut say = |blocks, events| {
        (report.blocks, report.events) = (blocks, events);
        progress(&report);
    };
    // Before the blocks: what a receipt on record covers is stored by then.
    let records = deliveries::of_source(store, tenant, source).await?;
    let stored = stored::read(store, &mut witnesses, tenant, source, depth, &mut say).await?;
    let Stored {
        mut epochs,
        mut problems,
        blocks: in_blocks,
        events,
    } = stored;
    (report.blocks, report.events) = (in_blocks, events);
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
        for what in record.map(left_out).unwrap_or_default() {
            problems.push(Problem {
                epoch: Some(epoch.to_string()),
                what,
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

/// What explanations there were too many of.
fn left_out(record: &Delivery) -> Vec<String> {
    let mut all = Vec::new();
    if record.refused_left_out > 0 {
        let count = record.refused_left_out;
        all.push(format!("{count} refusals are not on record, there were too many"));
    }
    if record.given_up_left_out > 0 {
        all.push("not all runs of numbers that the agent gave up are on record, there were too many".to_owned());
    }
    all
}

/// All epochs: those on record by their beginning, then the others.
fn in_order(records: &[Delivery], epochs: &BTreeMap<Epoch, Vec<Piece>>) -> Vec<Epoch> {
    let mut order: Vec<Epoch> = records.iter().map(|record| record.epoch).collect();
    let others: Vec<Epoch> = epochs.keys().filter(|epoch| !order.contains(epoch)).copied().collect();
    order.extend(others);
    order
}
