//! Looking for indicators in a stored block, and what is told of them.

use std::collections::BTreeMap;

use block::{Block, MAX_COLUMNS};
use intel::{Find, Found, Hits, TenantSet};
use model::alert::Alert;
use model::{AlertId, Event, Tenant, Timestamp, ecs};
use storage::blocks::Span;
use storage::hunts::Match;

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
    pub(crate) fn block(&self, body: &[u8], find: &mut Find, work: &mut Working) -> Result<Finding, EvaluateError> {
        let block = Block::open(body)?;
        let mut finding = Finding {
            events: block.len(),
            ..Finding::default()
        };
        let names: Vec<&str> = block.field_names().collect();
        if names.len() >= MAX_COLUMNS {
            // Some fields may have no column.
            for event in &block.events()? {
                let hits = self.set.matches(event, self.evaluator.intel.min_confidence, find);
                self.tell(event, &hits, &mut finding, work);
            }
            return Ok(finding);
        }
        let mut rows: BTreeMap<usize, Vec<(&str, Found)>> = BTreeMap::new();
        for name in names {
            self.column(&block, name, find, &mut rows)?;
        }
        if rows.is_empty() {
            return Ok(finding);
        }
        let events = block.events()?;
        for (row, found) in rows {
            let Some(event) = events.get(row) else { continue };
            let hits = self
                .set
                .hits(&found, event.timestamp, self.evaluator.intel.min_confidence);
            self.tell(event, &hits, &mut finding, work);
        }
        Ok(finding)
    }

    /// Looks at each distinct value once.
    fn column<'n>(
        &self,
        block: &Block<'_>,
        name: &'n str,
        find: &mut Find,
        rows: &mut BTreeMap<usize, Vec<(&'n str, Found)>>,
    ) -> Result<(), EvaluateError> {
        let Some(column) = block.column(name)? else {
            return Ok(());
        };
        let mut by_value: BTreeMap<usize, Vec<Found>> = BTreeMap::new();
        for (index, value) in column.dictionary().iter().enumerate() {
            find.in_value(self.set, value, &mut |found| {
                by_value.entry(index).or_default().push(found)
            });
        }
        if by_value.is_empty() {
            return Ok(());
        }
        for row in 0..column.len() {
            if let Some(found) = column.index(row).and_then(|index| by_value.get(&index)) {
                let here = rows.entry(row).or_default();
                here.extend(found.iter().map(|found| (name, *found)));
            }
        }
        Ok(())
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
