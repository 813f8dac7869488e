//! The state of a window as it is stored: its contributions, and what alerts say about them.

use std::collections::BTreeMap;

use model::{AlertId, Event, EventId, ecs};
use sigma::correlation::packed::{self, Reader};
use sigma::correlation::{Announced, Compiled, Origin, WindowState};

/// Most host names and agents kept, each.
const MAX_NAMES: usize = 100;
/// Most inner alerts whose events are kept.
const MAX_ROOTS: usize = 256;
/// Longest name in bytes.
const MAX_NAME_BYTES: usize = 256;

/// State of one window. Merging is commutative, associative and idempotent, as that of the window itself.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Body {
    pub(crate) window: WindowState,
    /// The first in alphabetical order, sorted.
    pub(crate) hosts: Vec<String>,
    /// Likewise.
    pub(crate) agents: Vec<String>,
    /// The event behind each inner alert that contributes.
    pub(crate) roots: BTreeMap<AlertId, EventId>,
}

impl Body {
    /// Notes where an event happened.
    pub(crate) fn see(&mut self, event: &Event) {
        let text = |name| event.fields.str(name);
        if let Some(host) = text(ecs::HOST_NAME).or_else(|| text(ecs::AGENT_NAME)) {
            insert(&mut self.hosts, host);
        }
        if let Some(agent) = text(ecs::AGENT_ID) {
            insert(&mut self.agents, agent);
        }
    }

    /// Notes that an inner alert contributes, with what is known of it.
    pub(crate) fn see_alert(&mut self, id: AlertId, inner: &Self) {
        for host in &inner.hosts {
            insert(&mut self.hosts, host);
        }
        for agent in &inner.agents {
            insert(&mut self.agents, agent);
        }
        if let Some(root) = inner.root()
            && (self.roots.len() < MAX_ROOTS || self.roots.contains_key(&id))
        {
            self.roots.insert(id, root);
        }
    }

    /// The event that completed the finding that is announced; of inner alerts, the one behind them.
    pub(crate) fn root(&self) -> Option<EventId> {
        let finding = self.window.announced.as_ref()?.finding.as_ref()?;
        match &finding.trigger_origin {
            Origin::Event(id) => Some(*id),
            Origin::Alert(id) => self.roots.get(id).copied(),
        }
    }

    /// Takes in everything another state of the same window has. Says whether that changed anything.
    pub(crate) fn merge(&mut self, other: &Self, compiled: &Compiled) -> bool {
        let mut is_changed = compiled.merge(&mut self.window, &other.window);
        for host in &other.hosts {
            is_changed |= insert(&mut self.hosts, host);
        }
        for agent in &other.agents {
            is_changed |= insert(&mut self.agents, agent);
        }
        for (alert, event) in &other.roots {
            if self.roots.get(alert) != Some(event) && (self.roots.len() < MAX_ROOTS || self.roots.contains_key(alert))
            {
                self.roots.insert(alert.clone(), *event);
                is_changed = true;
            }
        }
        is_changed
    }

    /// What an announcement adds.
    pub(crate) fn announcement(announced: Announced) -> Self {
        let mut body = Self::default();
        body.window.announced = Some(announced);
        body
    }

    /// Takes in what was added to the window's log as the next thing. Says whether that changed the contributions.
    pub(crate) fn follow(&mut self, mut next: Self, compiled: &Compiled) -> bool {
        let announced = next.window.announced.take();
        let is_changed = self.merge(&next, compiled);
        let is_known = |announced: &Announced| {
            let known = self.window.announced.as_ref();
            known.is_some_and(|known| known.version > announced.version)
        };
        if let Some(announced) = announced.filter(|announced| !is_known(announced)) {
            self.window.announced = Some(announced);
        }
        is_changed
    }

    /// How many bytes of memory it takes, roughly.
    pub(crate) fn weight(&self) -> usize {
        let names = self.hosts.iter().chain(&self.agents).chain(&self.window.group);
        let names: usize = names.map(|name| name.len() + 40).sum();
        let announced = if self.window.announced.is_some() { 2048 } else { 0 };
        240 + names + announced + self.window.len() * 160 + self.roots.len() * 120
    }

    /// Appends it as bytes: the window's state, then how many hosts and each, likewise agents, and inner alerts with
    /// their events.
    pub(crate) fn put(&self, out: &mut Vec<u8>) {
        packed::put_state(&self.window, out);
        for names in [&self.hosts, &self.agents] {
            packed::put_number(names.len() as u64, out);
            for name in names {
                packed::put_text(name, out);
            }
        }
        packed::put_number(self.roots.len() as u64, out);
        for (alert, event) in &self.roots {
            packed::put_alert_id(alert, out);
            packed::put_event_id(event, out);
        }
    }

    /// Reads what [`Self::put`] wrote.
    pub(crate) fn read(reader: &mut Reader<'_>) -> Option<Self> {
        Some(Self {
            window: packed::read_state(reader)?,
            hosts: reader.values(Reader::text)?,
            agents: reader.values(Reader::text)?,
            roots: reader
                .values(|reader| Some((reader.alert_id()?, reader.event_id()?)))?
                .into_iter()
                .collect(),
        })
    }
}

/// Keeps the first names in alphabetical order. Says whether that changed anything.
fn insert(names: &mut Vec<String>, name: &str) -> bool {
    let name = name.get(..name.floor_char_boundary(MAX_NAME_BYTES)).unwrap_or_default();
    if name.is_empty() {
        return false;
    }
    let Err(at) = names.binary_search_by(|known| known.as_str().cmp(name)) else {
        return false;
    };
    if at >= MAX_NAMES {
        return false;
    }
    names.truncate(MAX_NAMES - 1);
    names.insert(at, name.to_owned());
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn which_names_are_kept_does_not_depend_on_their_order() {
        let all: Vec<String> = (0..500).map(|n| format!("host-{n:03}")).collect();
        let (mut up, mut down) = (Vec::new(), Vec::new());
        for name in &all {
            insert(&mut up, name);
        }
        for name in all.iter().rev() {
            insert(&mut down, name);
        }
        assert_eq!(up, down);
        assert_eq!(up, all[..MAX_NAMES]);
    }
}
