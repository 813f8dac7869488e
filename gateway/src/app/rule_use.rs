//! What deployed rules cost and see, from what detectors count.

use std::collections::BTreeMap;

use model::Level;
use model::alert::Attack;
use model::rule::StoredRule;
use proto::ServiceError;
use proto::rules::v1::FindBlindRulesResponse;
use serde::Serialize;
use storage::Store;
use storage::rule_stats::{self, RuleUse};
use storage::rules;
use utoipa::ToSchema;

use super::peers::Peers;
use crate::auth::Caller;
use crate::problem::{from_storage, invalid};

/// Days looked back when nothing is said.
pub const DEFAULT_DAYS: u32 = 7;
/// Most days looked back.
pub const MAX_DAYS: u32 = 400;

/// How many days to look back.
///
/// # Errors
/// When it is not from 1 to [`MAX_DAYS`].
pub fn check_days(days: Option<u32>) -> Result<u32, ServiceError> {
    match days {
        None => Ok(DEFAULT_DAYS),
        Some(days @ 1..=MAX_DAYS) => Ok(days),
        Some(days) => Err(invalid(format!(
            "days: expected a number from 1 to {MAX_DAYS}, got {days}"
        ))),
    }
}

/// What rules cost.
#[derive(Debug, Serialize, ToSchema)]
pub struct Cost {
    /// Days looked back, today included.
    pub days: u32,
    /// Rules that were counted.
    pub counted: usize,
    /// Those of them that cost more than their budget on one of these days.
    pub over_budget: usize,
    /// Nanoseconds that evaluating all counted rules takes for an event.
    pub nanoseconds_per_event: f64,
    /// The dearest ones first.
    pub rules: Vec<RuleCost>,
}

/// What one rule costs.
#[derive(Debug, Serialize, ToSchema)]
pub struct RuleCost {
    /// Its id.
    pub id: String,
    /// Its title.
    #[schema(example = "SSH failed password")]
    pub title: String,
    /// Its level.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "low")]
    pub level: Option<&'static str>,
    /// Whether it is in use.
    pub enabled: bool,
    /// Nanoseconds an event costs it, over all events.
    pub nanoseconds_per_event: f64,
    /// Its part of what all counted rules cost together, from 0 to 1.
    pub share: f64,
    /// Events it was counted on. A busy detector counts on a sample.
    pub events: u64,
    /// Of these, events of its logsource.
    pub seen: u64,
    /// Of these, events it had to be evaluated for.
    pub candidates: u64,
    /// Candidates among all events, from 0 to 1.
    pub candidate_rate: f64,
    /// Events it matched, exceptions and suppression left aside.
    pub hits: u64,
    /// It cost more than its budget on one of these days.
    pub over_budget: bool,
}

/// What rules cost over the last `days` days; the `top` dearest are listed, and all that cost more than their budget.
///
/// # Errors
/// When the database is away.
pub async fn cost(store: &Store, caller: &Caller, days: u32, top: usize) -> Result<Cost, ServiceError> {
    let totals = rule_stats::totals(store, &caller.tenant, days)
        .await
        .map_err(from_storage)?;
    let stored = rules::list(store, &caller.tenant).await.map_err(from_storage)?;
    Ok(ranked(&stored, &totals, days, top))
}

fn ranked(stored: &[StoredRule], totals: &BTreeMap<String, RuleUse>, days: u32, top: usize) -> Cost {
    let mut counted: Vec<(&StoredRule, &RuleUse)> = stored
        .iter()
        .filter_map(|rule| Some((rule, totals.get(&rule.id)?)))
        .collect();
    // The total says what a rule costs the system; a rule that was switched on yesterday has had fewer events.
    counted.sort_by(|(left, left_use), (right, right_use)| {
        right_use
            .nanos
            .cmp(&left_use.nanos)
            .then_with(|| left.id.cmp(&right.id))
    });
    let all: u64 = counted.iter().map(|(_, used)| used.nanos).sum();
    let rules: Vec<RuleCost> = counted
        .iter()
        .enumerate()
        .filter(|(place, (_, used))| *place < top || used.over_budget)
        .map(|(_, (rule, used))| RuleCost {
            id: rule.id.clone(),
            title: rule.title.clone(),
            level: rule.level.map(Level::as_str),
            enabled: rule.enabled,
            nanoseconds_per_event: used.nanos_per_event(),
            share: if all == 0 { 0.0 } else { used.nanos as f64 / all as f64 },
            events: used.events,
            seen: used.seen,
            candidates: used.candidates,
            candidate_rate: used.candidate_rate(),
            hits: used.hits,
            over_budget: used.over_budget,
        })
        .collect();
    Cost {
        days,
        counted: counted.len(),
        over_budget: counted.iter().filter(|(_, used)| used.over_budget).count(),
        nanoseconds_per_event: counted.iter().map(|(_, used)| used.nanos_per_event()).sum(),
        rules,
    }
}

/// ATT&CK techniques that enabled rules and correlations look for, and rules that see no data.
#[derive(Debug, Serialize, ToSchema)]
pub struct Coverage {
    /// Days looked back for data, today included.
    pub days: u32,
    /// Enabled rules and correlations that can be used.
    pub rules: usize,
    /// Those of them without a technique.
    pub untagged: usize,
    /// By id.
    pub techniques: Vec<Technique>,
    /// Enabled rules and correlations that could find nothing in these days, by id.
    pub blind: Vec<BlindRule>,
    /// Enabled rules on which too little was counted to tell.
    pub uncounted: usize,
}

/// A technique.
#[derive(Debug, Serialize, ToSchema)]
pub struct Technique {
    /// Its id.
    #[schema(example = "T1110.001")]
    pub technique: String,
    /// Ids of the rules that look for it.
    pub rules: Vec<String>,
    /// Those of them that are blind. All of them: the technique is covered on paper only.
    pub blind: Vec<String>,
}

/// A rule that sees no data.
#[derive(Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct BlindRule {
    /// Its id.
    pub id: String,
    /// Its title.
    pub title: String,
    /// `rule` or `correlation`.
    #[schema(example = "rule")]
    pub kind: &'static str,
    /// `product/category/service`; empty for a correlation.
    #[schema(example = "windows/process_creation/")]
    pub logsource: String,
    /// What did not come.
    #[schema(example = "no event of its logsource came")]
    pub reason: String,
}

/// What enabled rules cover, with what came in over the last `days` days.
///
/// # Errors
/// When the database is away, or no detector is running.
pub async fn coverage(store: &Store, peers: &Peers, caller: &Caller, days: u32) -> Result<Coverage, ServiceError> {
    let stored = super::rules::enabled(store, caller).await?;
    let blind = super::rules::find_blind(peers, caller, days).await?;
    Ok(covered(&stored, blind, days))
}

fn covered(stored: &[StoredRule], found: FindBlindRulesResponse, days: u32) -> Coverage {
    let reasons: BTreeMap<String, String> = found.blind.into_iter().map(|rule| (rule.id, rule.reason)).collect();
    let blind = stored.iter().filter_map(|rule| {
        Some(BlindRule {
            id: rule.id.clone(),
            title: rule.title.clone(),
            kind: rule.kind.as_str(),
            logsource: rule.logsource.clone(),
            reason: reasons.get(&rule.id)?.clone(),
        })
    });
    let mut coverage = Coverage {
        days,
        rules: stored.len(),
        untagged: 0,
        techniques: Vec::new(),
        blind: blind.collect(),
        uncounted: stored.iter().filter(|rule| found.uncounted.contains(&rule.id)).count(),
    };
    let mut techniques: BTreeMap<String, Technique> = BTreeMap::new();
    for rule in stored {
        let attack = Attack::from_tags(&rule.tags);
        coverage.untagged += usize::from(attack.techniques.is_empty());
        for technique in attack.techniques {
            let entry = techniques.entry(technique.clone()).or_insert_with(|| Technique {
                technique,
                rules: Vec::new(),
                blind: Vec::new(),
            });
            entry.rules.push(rule.id.clone());
            if reasons.contains_key(&rule.id) {
                entry.blind.push(rule.id.clone());
            }
        }
    }
    coverage.techniques = techniques.into_values().collect();
    coverage
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_bounded() {
        assert_eq!(check_days(None).unwrap(), DEFAULT_DAYS);
        assert_eq!(check_days(Some(400)).unwrap(), 400);
        for days in [0, 401] {
            assert!(check_days(Some(days)).unwrap_err().detail.starts_with("days: "));
        }
    }
}
