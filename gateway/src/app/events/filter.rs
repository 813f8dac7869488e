//! Which events are meant: a query, and the parameters beside it.

use std::net::IpAddr;
use std::sync::Arc;

use block::{Block, DecodeError, Outline};
use model::{AgentId, Event, EventId, SourceId, Tenant, Timestamp, ecs};
use query::{Check, Compiled, Expr, Field, Pattern, Plan, Query, Scan, Span, Test};
use storage::blocks::{BlockId, Columns, Day, FoundBlock, ScanQuery};

use super::group::Wants;

/// How far back sums go when nobody says from when.
const DEFAULT_SPAN_MICROS: i64 = 86_400_000_000;

/// Which events. Every condition that is set must hold.
#[derive(Clone, Debug)]
pub struct EventFilter {
    /// Whose.
    pub tenant: Tenant,
    /// `agent.id` or `agent.name` is this; of what looks like an id, only `agent.id`.
    pub agent_id: Option<String>,
    /// Some field holds this address.
    pub ip: Option<IpAddr>,
    /// `host.os.type` is this, in any case.
    pub os_type: Option<String>,
    /// At this time or later.
    pub from: Option<Timestamp>,
    /// Before this time.
    pub to: Option<Timestamp>,
    /// What else has to hold.
    pub query: Query,
}

/// Place in the order of events.
pub(super) type Key = (Timestamp, EventId);

/// Most memory that the outline of a block may take that is kept until its events are read, in bytes.
const MAX_OUTLINE: usize = 64 * 1024;

/// An event that is found, and not read yet.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) key: Key,
    pub(super) block: (Day, BlockId),
    pub(super) row: usize,
    /// What of the block the event is made of.
    pub(super) wants: Arc<Wants>,
    /// The block's outline, unless it is large: then the head comes with the columns once more.
    pub(super) outline: Option<Arc<Outline>>,
}

/// A filter made ready: relative times fixed, blocks chosen.
#[derive(Clone, Debug)]
pub(super) struct Prepared {
    pub(super) tenant: Tenant,
    pub(super) query: Arc<Compiled>,
    pub(super) plan: Plan,
    /// The only source that has such events.
    source: Option<SourceId>,
}

impl EventFilter {
    /// Every event of a tenant.
    #[must_use]
    pub fn all(tenant: Tenant) -> Self {
        Self {
            tenant,
            agent_id: None,
            ip: None,
            os_type: None,
            from: None,
            to: None,
            query: Query::everything(),
        }
    }

    /// For sums: of the last day, when nobody says from when, and not beyond now unless asked to.
    #[must_use]
    pub fn bounded(mut self, now: Timestamp) -> Self {
        let to = *self.to.get_or_insert(now);
        self.from
            .get_or_insert(Timestamp(to.0.saturating_sub(DEFAULT_SPAN_MICROS)));
        self
    }

    /// All conditions but the times as one query.
    fn whole(&self) -> Query {
        let is = |field: &str, text: &str| {
            Expr::Test(Test {
                field: Field::Named(field.to_owned()),
                check: Check::Is(Pattern::text(text)),
            })
        };
        let mut whole = self.query.clone();
        if let Some(agent) = self.agent() {
            whole = Query::new(is(ecs::AGENT_ID, &agent.to_string())).and(whole);
        } else if let Some(agent) = &self.agent_id {
            let either = Expr::Or(vec![is(ecs::AGENT_ID, agent), is(ecs::AGENT_NAME, agent)]);
            whole = Query::new(either).and(whole);
        }
        if let Some(os) = &self.os_type {
            whole = Query::new(is(ecs::HOST_OS_TYPE, os)).and(whole);
        }
        if let Some(ip) = self.ip {
            let test = Expr::Test(Test {
                field: Field::Any,
                check: Check::Address(ip.to_canonical()),
            });
            whole = Query::new(test).and(whole);
        }
        whole
    }

    pub(super) fn prepare(&self, now: Timestamp) -> Prepared {
        let query = self.whole().compile(now);
        let mut plan = query.plan();
        plan.span = plan.span.and(Span {
            from: self.from,
            to: self.to,
        });
        Prepared {
            tenant: self.tenant.clone(),
            query: Arc::new(query),
            plan,
            // The collector names an agent in what came under its certificate, and in nothing else.
            source: self.agent().map(SourceId::agent),
        }
    }

    /// The agent, when it is meant by its id.
    fn agent(&self) -> Option<AgentId> {
        self.agent_id.as_deref()?.parse().ok()
    }
}

impl Prepared {
    /// The blocks that may hold such events.
    pub(super) fn blocks(&self) -> ScanQuery {
        ScanQuery {
            tenant: self.tenant.clone(),
            from: self.plan.span.from,
            to: self.plan.span.to,
            need: self.plan.need.clone(),
            addresses: self.plan.addresses.clone(),
            source: self.source,
            ..ScanQuery::default()
        }
    }

    /// What of a block tells which of its events match.
    pub(super) fn columns(&self) -> Columns {
        self.query.fields().map_or(Columns::All, Columns::of_fields)
    }

    /// Whether only the time matters.
    pub(super) fn is_time_only(&self) -> bool {
        self.query.is_time_only()
    }

    /// The rows of a block that match.
    pub(super) fn rows(&self, block: &Block<'_>) -> Result<Scan, DecodeError> {
        query::scan(&self.query, self.plan.span, block)
    }

    /// Where the `limit` newest events of a block are that match and come before a place in the order of events.
    pub(super) fn newest(
        &self,
        of: &FoundBlock,
        block: &Block<'_>,
        limit: usize,
        is_before: impl Fn(Key) -> bool,
    ) -> Result<Vec<Place>, DecodeError> {
        let matching = self.rows(block)?;
        if matching.rows.is_empty() {
            return Ok(Vec::new());
        }
        let ids = block.ids_at(&matching.rows)?;
        let keys = matching.times.into_iter().zip(ids).zip(matching.rows);
        let mut found: Vec<(Key, usize)> = keys.filter(|(key, _)| is_before(*key)).collect();
        if found.len() > limit {
            found.select_nth_unstable_by(limit, |a, b| b.0.cmp(&a.0));
            found.truncate(limit);
        }
        let rows: Vec<usize> = found.iter().map(|(_, row)| *row).collect();
        let outline = Some(block.outline()).filter(|outline| outline.weight() <= MAX_OUTLINE);
        let (wants, outline) = match block.columns_at(&rows) {
            Some(columns) => (Wants::of(&columns, outline.is_some()), outline),
            None => (Wants::all(), None),
        };
        let wants = Arc::new(wants);
        let places = found.into_iter().map(|(key, row)| Place {
            key,
            block: (of.day, of.id),
            row,
            wants: wants.clone(),
            outline: outline.cloned(),
        });
        Ok(places.collect())
    }

    /// The `limit` newest events of a block that match.
    pub(super) fn newest_events(
        &self,
        found: &FoundBlock,
        block: &Block<'_>,
        limit: usize,
    ) -> Result<Vec<Event>, DecodeError> {
        let places = self.newest(found, block, limit, |_| true)?;
        let rows: Vec<usize> = places.iter().map(|place| place.row).collect();
        block.events_at(&rows)
    }
}
