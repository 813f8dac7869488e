//! Looking for indicators in a stored block, and what is told of them.

use block::Block;
use intel::{Hits, TenantSet};
use model::alert::Alert;
use model::{AlertId, Event, Tenant, Timestamp, ecs};
use storage::blocks::Span;
use storage::hunts::Match;

use crate::columns::{self, Traces};
use crate::pipeline::evaluate::{EvaluateError, Evaluator, Working};

/// Longest message kept with a match, in characters.
const MAX_MESSAGE: usize = 500;
/// Matches of one block after which it is enough: a block of nothing but matches would fill the memory.
const MAX_ALERTS: usize = 50_000;

/// What is hunted where, and how it is told.
pub(crate) struct Hunted<'a> {
    pub(crate) tenant: &'a Tenant,
    pub(crate) set: &'a TenantSet,
    pub(crate) span: Span,
    pub(crate) alert: bool,
    pub(crate) evaluator: &'a Evaluator,
    pub(crate) processed_at: Timestamp,
}

/// What a block held.
#[derive(Debug, Default)]
pub(crate) struct Finding {
    pub(crate) events: usize,
    pub(crate) matches: Vec<Match>,
    pub(crate) alerts: Vec<Alert>,
}

impl Hunted<'_> {
    pub(crate) fn block(&self, body: &[u8], work: &mut Working) -> Result<Finding, EvaluateError> {
        let block = Block::open(body)?;
        let min_confidence = self.evaluator.intel.min_confidence;
        let by_column = columns::look(&block, |columns| {
            let traces = Traces::find(self.set, columns, &mut work.find)?;
            let is_meant = |row: &usize| self.span.contains(columns.time(*row));
            let rows: Vec<usize> = traces.rows.iter().copied().filter(is_meant).collect();
            let mut finding = Finding::default();
            for (event, row) in columns.events_at(&rows)?.iter().zip(rows) {
                let found = traces.of_row(columns, row);
                let hits = self.set.hits(&found, event.timestamp, min_confidence);
                self.tell(event, &hits, &mut finding, work);
            }
            Ok(Some(finding))
        })?;
        let mut finding = match by_column {
            Some(finding) => finding,
            None => self.each(&block.events()?, work),
        };
        finding.events = block.len();
        Ok(finding)
    }

    /// Looks at events one by one.
    fn each(&self, events: &[Event], work: &mut Working) -> Finding {
        let mut finding = Finding::default();
        for event in events {
            let hits = self
                .set
                .matches(event, self.evaluator.intel.min_confidence, &mut work.find);
            self.tell(event, &hits, &mut finding, work);
        }
        finding
    }

    fn tell(&self, event: &Event, hits: &Hits, finding: &mut Finding, work: &mut Working) {
        if hits.hits.is_empty() || !self.span.contains(event.timestamp) || finding.matches.len() >= MAX_ALERTS {
            return;
        }
        let text = |name| event.fields.str(name).map(str::to_owned);
        let host = text(ecs::HOST_NAME)
            .or_else(|| text(ecs::AGENT_NAME))
            .unwrap_or_default();
        let message = event.fields.str(ecs::MESSAGE).unwrap_or_default();
        for hit in &hits.hits {
            let id = AlertId::indicator(self.tenant, hit.kind.rule_id(), &hit.value, &event.id);
            finding.matches.push(Match {
                id: id.to_string(),
                timestamp: event.timestamp,
                event_id: event.id.to_string(),
                kind: hit.kind,
                value: hit.value.clone(),
                field: hit.field.clone(),
                source: hit.source.clone(),
                feed: hit.feed.clone(),
                host: host.clone(),
                message: message.chars().take(MAX_MESSAGE).collect(),
            });
        }
        if self.alert {
            let alerts = self
                .evaluator
                .hunted(self.tenant, event, &hits.hits, self.processed_at, work);
            finding.alerts.extend(alerts);
        }
    }
}
