//! Which events are meant: a query, and the parameters beside it.

use std::net::IpAddr;
use std::sync::Arc;

use block::{Block, DecodeError};
use model::{Event, Tenant, Timestamp, ecs};
use query::{Check, Compiled, Expr, Field, Pattern, Plan, Query, Scan, Span, Test};
use storage::blocks::ScanQuery;

/// How far back sums go when nobody says from when.
const DEFAULT_SPAN_MICROS: i64 = 86_400_000_000;

/// Which events. Every condition that is set must hold.
#[derive(Clone, Debug)]
pub struct EventFilter {
    /// Whose.
    pub tenant: Tenant,
    /// `agent.id` or `agent.name` is this.
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

/// A filter made ready: relative times fixed, blocks chosen.
#[derive(Clone, Debug)]
pub(super) struct Prepared {
    pub(super) tenant: Tenant,
    pub(super) query: Arc<Compiled>,
    pub(super) plan: Plan,
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
        if let Some(agent) = &self.agent_id {
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
        }
    }
}

impl Prepared {
    /// The blocks that may hold such events.
    pub(super) fn blocks(&self) -> ScanQuery {
        ScanQuery {
            tenant: self.tenant.clone(),
            from: self.plan.span.from,
            to: self.plan.span.to,
            source: None,
            need: self.plan.need.clone(),
            addresses: self.plan.addresses.clone(),
        }
    }

    /// Whether only the time matters.
    pub(super) fn is_time_only(&self) -> bool {
        self.query.is_time_only()
    }

    /// The rows of a block that match.
    pub(super) fn rows(&self, block: &Block<'_>) -> Result<Scan, DecodeError> {
        query::scan(&self.query, self.plan.span, block)
    }

    /// The `limit` newest events of a block that match and come before a place in the order of events.
    pub(super) fn newest(
        &self,
        block: &Block<'_>,
        limit: usize,
        is_before: impl Fn(&Event) -> bool,
    ) -> Result<Vec<Event>, DecodeError> {
        let found = self.rows(block)?;
        let mut newest: Vec<(Timestamp, usize)> = found.times.into_iter().zip(found.rows).collect();
        // Events of one time are ordered by their ids, so all of the last time are needed; and those at the place itself
        // may not be before it.
        newest.sort_unstable_by(|a, b| b.cmp(a));
        let at_place = newest
            .iter()
            .take_while(|(time, _)| newest.first().is_some_and(|(first, _)| first == time))
            .count();
        let wanted = limit.saturating_add(at_place);
        if let Some((last, _)) = newest.get(wanted.saturating_sub(1)).copied() {
            newest.retain(|(time, _)| *time >= last);
        }
        let rows: Vec<usize> = newest.into_iter().map(|(_, row)| row).collect();
        let mut events = block.events_at(&rows)?;
        events.retain(is_before);
        super::newest_first(&mut events);
        events.truncate(limit);
        Ok(events)
    }
}
