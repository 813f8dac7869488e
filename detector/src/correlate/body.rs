//! The state of a window as it is stored: its contributions, and what alerts say about them.

use std::collections::{BTreeMap, BTreeSet};

use model::{AlertId, Event, EventId, ecs};
use serde::{Deserialize, Serialize};
use sigma::correlation::{Compiled, Origin, WindowState};

/// Most host names and agents kept, each.
const MAX_NAMES: usize = 100;
/// Most inner alerts whose events are kept.
const MAX_ROOTS: usize = 256;
/// Longest name in bytes.
const MAX_NAME_BYTES: usize = 256;

/// State of one window. Merging is commutative, associative and idempotent, as that of the window itself.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Body {
    pub(crate) window: WindowState,
    /// The first in alphabetical order.
    #[serde(default)]
    pub(crate) hosts: BTreeSet<String>,
    #[serde(default)]
    pub(crate) agents: BTreeSet<String>,
    /// The event behind each inner alert that contributes.
    #[serde(default)]
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
}

/// Keeps the first names in alphabetical order. Says whether that changed anything.
fn insert(names: &mut BTreeSet<String>, name: &str) -> bool {
    let name = name.get(..name.floor_char_boundary(MAX_NAME_BYTES)).unwrap_or_default();
    if name.is_empty() || names.contains(name) {
        return false;
    }
    if names.len() >= MAX_NAMES {
        if names.last().is_none_or(|last| last.as_str() <= name) {
            return false;
        }
        names.pop_last();
    }
    names.insert(name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn which_names_are_kept_does_not_depend_on_their_order() {
        let all: Vec<String> = (0..500).map(|n| format!("host-{n:03}")).collect();
        let (mut up, mut down) = (BTreeSet::new(), BTreeSet::new());
        for name in &all {
            insert(&mut up, name);
        }
        for name in all.iter().rev() {
            insert(&mut down, name);
        }
        assert_eq!(up, down);
        assert_eq!(up.len(), MAX_NAMES);
    }
}
