//! Rules and stored events: what rules would have made of the past.
//!
//! Everything is read from the database by whoever calls this, with one thread unless told otherwise, at the lowest
//! priority; nothing is written, no lease is taken and no block is marked, so that live detection goes on as it does. Only
//! columns that rules read are decoded, and whole events only where a rule matches.

mod blocks;
mod content;
mod replay;
pub(crate) mod service;
mod tally;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use block::{Block, DecodeError};
use model::{Tenant, Timestamp};
use serde::Serialize;
use sigma::{Correlation, Document, Filter, Rule, RuleError};
use storage::Store;

pub use blocks::Span;
pub use content::Deployed;
use replay::{Part, Plan, Total};
pub use tally::{Sample, Tally};

pub use crate::columns::{Found, find as find_matches, of as columns_of};

/// Why there is no result.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The rules cannot be used as they are.
    #[error("{}", told(.0))]
    Rules(Vec<RuleError>),
    /// Reading failed.
    #[error(transparent)]
    Read(#[from] anyhow::Error),
}

fn told(errors: &[RuleError]) -> String {
    let told: Vec<String> = errors.iter().map(ToString::to_string).collect();
    told.join("\n")
}

/// What is asked.
#[derive(Clone, Debug)]
pub struct Question {
    /// Whose events.
    pub tenant: Tenant,
    /// Events at this time or later.
    pub from: Option<Timestamp>,
    /// Events before this time.
    pub to: Option<Timestamp>,
    /// Rules, correlations and filters: path and text of each file.
    pub files: Vec<(String, String)>,
    /// Whether the deployed versions of the same rules are replayed, too.
    pub diff: bool,
    /// How many alerts are kept to be shown, at most.
    pub samples: usize,
    /// How many threads evaluate at once, at least one.
    pub threads: usize,
}

/// What rules would have done.
#[derive(Clone, Debug, Serialize)]
pub struct Outcome {
    /// How many rules were replayed, with those that correlations are over.
    pub rules: usize,
    /// How many correlations.
    pub correlations: usize,
    /// Titles of the given rules by id.
    pub titles: BTreeMap<String, String>,
    /// How many events were looked at.
    pub events: u64,
    /// How many there are in the time asked for.
    pub events_in_all: u64,
    /// Whether all of them were looked at. Otherwise time was over, and the latest were.
    pub complete: bool,
    /// What there was too much of to be counted, in words.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub limits: Vec<String>,
    /// How often a rule matched one.
    pub hits: u64,
    /// How many of the hits an exception took away.
    pub excepted: u64,
    /// Time for decoding what rules read and evaluating it, of all threads together.
    pub nanoseconds_per_event: f64,
    /// The alerts.
    pub result: Tally,
    /// Those of the deployed versions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deployed: Option<Tally>,
    /// Alerts only the given versions make; absent when there are too many to tell.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub only_new: Option<u64>,
    /// Alerts only the deployed versions make; absent when there are too many to tell.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub only_deployed: Option<u64>,
}

/// Replays stored events. `progress` is told how many events were looked at and how many there are, and ends the replay
/// by answering false: what was found until then is the outcome.
///
/// # Errors
/// When the rules cannot be used, or reading fails.
pub async fn run(
    store: &Store,
    question: &Question,
    mut progress: impl FnMut(u64, u64) -> bool,
) -> Result<Outcome, Error> {
    let (rules, correlations, filters) = parse(&question.files)?;
    let titles: BTreeMap<String, String> = rules
        .iter()
        .map(|rule| &*rule.metadata)
        .chain(correlations.iter().map(|found| &found.metadata))
        .map(|metadata| (metadata.id.clone(), metadata.title.clone()))
        .collect();
    let deployed = Deployed::read(store, &question.tenant).await?;
    let catalog = deployed.catalog()?;
    let plan = |mut rules: Vec<Rule>, mut correlations: Vec<Correlation>, filters: &[Filter]| {
        deployed.complete(&mut rules, &mut correlations);
        Plan::new(&question.tenant, rules, correlations, filters, &deployed, &catalog)
    };
    let (new, errors) = plan(rules, correlations, &filters);
    if !errors.is_empty() {
        return Err(Error::Rules(errors));
    }
    let old = question.diff.then(|| {
        let rules = deployed.rules.iter().filter(|rule| titles.contains_key(&rule.id));
        let correlations = deployed
            .correlations
            .iter()
            .filter(|found| titles.contains_key(&found.id));
        plan(rules.cloned().collect(), correlations.cloned().collect(), &[]).0
    });
    let plans = Arc::new((new, old));
    let span = Span {
        tenant: question.tenant.clone(),
        from: question.from,
        to: question.to,
    };
    let all = span.count(store).await?;
    let compared = question.diff;
    let mut new = Total::new(&plans.0, question.samples, compared);
    let mut old = plans
        .1
        .as_ref()
        .map(|plan| Total::new(plan, question.samples, compared));
    let mut complete = true;
    let shared = plans.clone();
    let work = move |block: &Block<'_>, span: &Span| -> Result<(Part, Option<Part>), DecodeError> {
        let (new, old) = &*shared;
        let before = old.as_ref().map(|old| old.evaluate(block, span)).transpose()?;
        Ok((new.evaluate(block, span)?, before))
    };
    let take = |(part, other): (Part, Option<Part>)| {
        new.add(part);
        if let Some((old, other)) = old.as_mut().zip(other) {
            old.add(other);
        }
        complete = progress(new.events, all);
        complete
    };
    span.read(store, question.threads, work, take).await?;
    let (rules, correlations) = plans.0.len();
    let (events, hits, excepted, spent) = (new.events, new.hits, new.excepted, new.spent);
    let mut limits = new.limits();
    limits.extend(
        old.iter()
            .flat_map(Total::limits)
            .map(|limit| format!("deployed: {limit}")),
    );
    let result = new.tally();
    let before = old.map(Total::tally);
    Ok(Outcome {
        rules,
        correlations,
        titles,
        events,
        events_in_all: all.max(events),
        complete: complete || events >= all,
        limits,
        hits,
        excepted,
        nanoseconds_per_event: per_event(spent, events),
        only_new: before.as_ref().and_then(|before| result.without(before)),
        only_deployed: before.as_ref().and_then(|before| before.without(&result)),
        result,
        deployed: before,
    })
}

fn per_event(spent: Duration, events: u64) -> f64 {
    if events == 0 {
        return 0.0;
    }
    #[allow(clippy::cast_precision_loss, reason = "a mean for people")]
    let events = events as f64;
    spent.as_secs_f64() * 1e9 / events
}

type Parsed = (Vec<Rule>, Vec<Correlation>, Vec<Filter>);

fn parse(files: &[(String, String)]) -> Result<Parsed, Error> {
    let (mut rules, mut correlations, mut filters) = (Vec::new(), Vec::new(), Vec::new());
    let mut errors = Vec::new();
    for (path, text) in files {
        for document in sigma::parse_documents(path, text) {
            match document {
                Ok(Document::Rule(rule)) => rules.push(rule),
                Ok(Document::Correlation(correlation)) => correlations.push(correlation),
                Ok(Document::Filter(filter)) => filters.push(filter),
                Err(error) => errors.push(error),
            }
        }
    }
    if errors.is_empty() {
        Ok((rules, correlations, filters))
    } else {
        Err(Error::Rules(errors))
    }
}
