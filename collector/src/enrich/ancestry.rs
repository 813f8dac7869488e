//! Who started a process: what the event of a process's start said is remembered for a while, and added to later events of
//! its children and of itself that do not say it.
//!
//! What is remembered is a help and no state: it is bounded, dies with the node, and is not shared between nodes. An event
//! that is sent again may therefore be given more or less than the first time; which one is stored is decided by its batch,
//! and neither its number nor anything else depends on it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use model::{Event, SourceId, Timestamp, Value, ecs};

/// Most processes of one host in each of two generations; when one is full it takes the place of the other.
const MAX_PROCESSES: usize = 2048;
/// Most memory of all hosts, in bytes.
const MAX_BYTES: usize = 64 << 20;
/// What a process costs besides its texts.
const OVERHEAD: usize = 320;
/// Longest text that is kept, in bytes; the rest of a command line is cut.
const MAX_TEXT: usize = 1024;
/// Most ancestors that are told.
const MAX_ANCESTORS: usize = 8;
/// For how long a process id is believed to be the same process's. Ids of entities are never given twice.
const PID_LIFE_MICROS: i64 = 24 * 3600 * 1_000_000;
/// How much older than the start of its parent an event may be, for clocks and orders that are not exact.
const SLACK_MICROS: i64 = 2_000_000;

const ANCESTRY: &str = "picket.process.ancestry";

/// What is known of the processes of all hosts.
#[derive(Debug, Default)]
pub(super) struct Processes(Mutex<Table>);

#[derive(Debug, Default)]
struct Table {
    hosts: HashMap<(SourceId, Box<str>), Host>,
    bytes: usize,
    clock: u64,
}

#[derive(Debug, Default)]
struct Host {
    young: HashMap<Key, Arc<Process>>,
    old: HashMap<Key, Arc<Process>>,
    /// Of each generation.
    young_bytes: usize,
    old_bytes: usize,
    used: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Key {
    Pid(i64),
    Entity(Box<str>),
}

#[derive(Debug)]
struct Process {
    pid: Option<i64>,
    entity: Option<Box<str>>,
    name: Box<str>,
    executable: Box<str>,
    command_line: Box<str>,
    parent: Option<Key>,
    start: Timestamp,
}

/// What an event says of its process and of the one that started it.
#[derive(Default)]
struct Told<'a> {
    pid: Option<i64>,
    entity: &'a str,
    name: &'a str,
    executable: &'a str,
    command_line: &'a str,
    parent_pid: Option<i64>,
    parent_entity: &'a str,
    parent_name: &'a str,
    parent_executable: &'a str,
    has_parent_command_line: bool,
    host: &'a str,
    is_process: bool,
    is_start: bool,
}

impl<'a> Told<'a> {
    fn of(event: &'a Event) -> Self {
        let mut told = Self::default();
        let has = |value: &Value, wanted: &str| match value {
            Value::List(items) => items.iter().any(|item| item.as_str() == Some(wanted)),
            Value::Str(text) => text.as_str() == wanted,
            Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) => false,
        };
        for (name, value) in event.fields.iter() {
            let text = || value.as_str().unwrap_or("");
            if let Some(rest) = name.strip_prefix("process.") {
                match rest {
                    "pid" => told.pid = value.as_i64(),
                    "entity_id" => told.entity = text(),
                    "name" => told.name = text(),
                    "executable" => told.executable = text(),
                    "command_line" => told.command_line = text(),
                    "parent.pid" => told.parent_pid = value.as_i64(),
                    "parent.entity_id" => told.parent_entity = text(),
                    "parent.name" => told.parent_name = text(),
                    "parent.executable" => told.parent_executable = text(),
                    "parent.command_line" => told.has_parent_command_line = true,
                    _ => {}
                }
            } else if name == ecs::HOST_NAME {
                told.host = text();
            } else if name == ecs::EVENT_CATEGORY {
                told.is_process = has(value, "process");
            } else if name == ecs::EVENT_TYPE {
                told.is_start = has(value, "start");
            }
        }
        told
    }

    fn key(&self) -> Option<Key> {
        key(self.entity, self.pid)
    }

    fn parent_key(&self) -> Option<Key> {
        key(self.parent_entity, self.parent_pid)
    }

    /// Whether it begins the life of a process.
    fn begins(&self) -> bool {
        self.is_process && self.is_start && !(self.name.is_empty() && self.executable.is_empty())
    }
}

fn key(entity: &str, pid: Option<i64>) -> Option<Key> {
    if !entity.is_empty() && entity.len() <= MAX_TEXT {
        return Some(Key::Entity(entity.into()));
    }
    pid.filter(|pid| *pid > 0).map(Key::Pid)
}

impl Processes {
    /// Adds what is known to the events of one source, in their order, and remembers what they tell; how much heavier
    /// the events became.
    pub(super) fn add<'e>(&self, source: SourceId, events: impl Iterator<Item = &'e mut Event>) -> usize {
        let mut table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        events.map(|event| table.event(source, event)).sum()
    }
}

impl Table {
    fn event(&mut self, source: SourceId, event: &mut Event) -> usize {
        let told = Told::of(event);
        let begins = told.begins();
        if !begins && self.hosts.is_empty() {
            return 0;
        }
        if told.key().is_none() && told.parent_key().is_none() || told.host.is_empty() || told.host.len() > MAX_TEXT {
            return 0;
        }
        let id = (source, Box::from(told.host));
        if !begins && !self.hosts.contains_key(&id) {
            return 0;
        }
        self.clock += 1;
        let clock = self.clock;
        let host = self.hosts.entry(id).or_default();
        host.used = clock;
        let additions = host.additions(&told, event.timestamp);
        let process = begins.then(|| Process::new(&told, event.timestamp));
        let mut heavier = 0;
        for (name, value) in additions {
            let weight = block::weight_of_field(name, &value);
            if event.fields.get(name).is_none() && event.fields.insert(name, value) {
                heavier += weight;
            }
        }
        if let Some(process) = process {
            let before = host.bytes();
            host.remember(process);
            self.bytes = (self.bytes + host.bytes()).saturating_sub(before);
            self.shrink();
        }
        heavier
    }

    /// Forgets the hosts of which nothing was heard for longest.
    fn shrink(&mut self) {
        while self.bytes > MAX_BYTES {
            let Some(id) = self
                .hosts
                .iter()
                .min_by_key(|(_, host)| host.used)
                .map(|(id, _)| id.clone())
            else {
                return;
            };
            if let Some(host) = self.hosts.remove(&id) {
                self.bytes = self.bytes.saturating_sub(host.bytes());
            }
        }
    }
}

impl Host {
    fn bytes(&self) -> usize {
        self.young_bytes + self.old_bytes
    }

    fn remember(&mut self, process: Process) {
        if self.young.len() >= MAX_PROCESSES {
            self.old = std::mem::take(&mut self.young);
            self.old_bytes = std::mem::take(&mut self.young_bytes);
        }
        let cost = process.cost();
        let process = Arc::new(process);
        let keys = [process.entity.clone().map(Key::Entity), process.pid.map(Key::Pid)];
        for key in keys.into_iter().flatten() {
            let replaced = self.young.insert(key, Arc::clone(&process));
            let gone = replaced.map_or(0, |replaced| replaced.cost());
            self.young_bytes = (self.young_bytes + cost).saturating_sub(gone);
        }
    }

    /// The process of a key at a time.
    fn find(&self, key: &Key, at: Timestamp) -> Option<&Arc<Process>> {
        let found = self.young.get(key).or_else(|| self.old.get(key))?;
        let age = at.0.saturating_sub(found.start.0);
        let is_believed = matches!(key, Key::Entity(_)) || (-SLACK_MICROS..=PID_LIFE_MICROS).contains(&age);
        is_believed.then_some(found)
    }

    fn additions(&self, told: &Told<'_>, at: Timestamp) -> Vec<(&'static str, Value)> {
        let mut additions = Vec::new();
        let parent = match told.parent_key() {
            Some(key) => Some(key),
            None if told.begins() => None,
            None => told
                .key()
                .and_then(|key| self.find(&key, at))
                .filter(|process| process.is_called(told.name, told.executable))
                .and_then(|process| process.parent.clone()),
        };
        let Some(parent) = parent else { return additions };
        if told.parent_key().is_none() {
            match &parent {
                Key::Pid(pid) => additions.push(("process.parent.pid", Value::Int(*pid))),
                Key::Entity(entity) => additions.push(("process.parent.entity_id", Value::from(entity.as_ref()))),
            }
        }
        let Some(found) = self.find(&parent, at) else {
            return additions;
        };
        if !found.is_called(told.parent_name, told.parent_executable) {
            return Vec::new();
        }
        let mut text = |name, text: &str| {
            if !text.is_empty() {
                additions.push((name, Value::from(text)));
            }
        };
        text("process.parent.name", found.name());
        text("process.parent.executable", &found.executable);
        if !told.has_parent_command_line {
            text("process.parent.command_line", &found.command_line);
        }
        text("process.parent.entity_id", found.entity.as_deref().unwrap_or(""));
        if let Some(pid) = found.pid {
            additions.push(("process.parent.pid", Value::Int(pid)));
        }
        let chain = self.chain(found, at);
        if chain.len() > 1 {
            additions.push((ANCESTRY, Value::from(chain)));
        }
        additions
    }

    /// The process and those before it, as far as they are known, the nearest first.
    fn chain(&self, first: &Arc<Process>, at: Timestamp) -> Vec<Value> {
        let mut chain = Vec::new();
        let mut next = Some(first);
        while let Some(process) = next.filter(|_| chain.len() < MAX_ANCESTORS) {
            let shown = if process.executable.is_empty() {
                process.name()
            } else {
                &process.executable
            };
            chain.push(Value::from(shown));
            let parent = process.parent.as_ref().and_then(|key| self.find(key, at));
            // A process that says it started itself or its own parent.
            next = parent.filter(|parent| parent.start <= process.start && !Arc::ptr_eq(parent, process));
        }
        chain
    }
}

impl Process {
    fn new(told: &Told<'_>, start: Timestamp) -> Self {
        let parent = told.parent_key();
        let key = told.key();
        Self {
            pid: told.pid.filter(|pid| *pid > 0),
            entity: Some(told.entity)
                .filter(|id| !id.is_empty() && id.len() <= MAX_TEXT)
                .map(Box::from),
            name: kept(told.name),
            executable: kept(told.executable),
            command_line: kept(told.command_line),
            parent: parent.filter(|parent| Some(parent) != key.as_ref()),
            start,
        }
    }

    fn cost(&self) -> usize {
        OVERHEAD + self.name.len() + self.executable.len() + self.command_line.len()
    }

    fn name(&self) -> &str {
        if self.name.is_empty() {
            base(&self.executable)
        } else {
            &self.name
        }
    }

    /// Whether an event that says this of a process can mean it; what it does not say can be anything.
    fn is_called(&self, name: &str, executable: &str) -> bool {
        let name = if name.is_empty() { base(executable) } else { name };
        let same_path =
            executable.is_empty() || self.executable.is_empty() || self.executable.eq_ignore_ascii_case(executable);
        same_path && (name.is_empty() || self.name().eq_ignore_ascii_case(name))
    }
}

fn base(path: &str) -> &str {
    path.rsplit(['/', '\\']).next().unwrap_or(path)
}

fn kept(text: &str) -> Box<str> {
    text.get(..text.floor_char_boundary(MAX_TEXT)).unwrap_or("").into()
}

#[cfg(test)]
mod tests {
    use model::{Epoch, EventId, Fields};

    use super::*;

    fn event(at: i64, fields: &[(&'static str, Value)]) -> Event {
        let id = EventId {
            source: SourceId::named("t", "t"),
            epoch: Epoch(1),
            seq: 0,
        };
        let mut event = Event {
            id,
            timestamp: Timestamp(at * 1_000_000),
            fields: Fields::new(),
        };
        event.fields.insert(ecs::HOST_NAME, "web-1");
        for (name, value) in fields {
            event.fields.insert(*name, value.clone());
        }
        event
    }

    fn start(at: i64, pid: i64, parent: i64, path: &str) -> Event {
        event(
            at,
            &[
                (ecs::EVENT_CATEGORY, Value::from(vec!["process".into()])),
                (ecs::EVENT_TYPE, Value::from(vec!["start".into()])),
                (ecs::PROCESS_PID, Value::Int(pid)),
                ("process.parent.pid", Value::Int(parent)),
                (ecs::PROCESS_EXECUTABLE, Value::from(path)),
                (ecs::PROCESS_COMMAND_LINE, Value::from(format!("{path} -x"))),
            ],
        )
    }

    fn read(processes: &Processes, mut event: Event) -> Event {
        processes.add(SourceId::named("t", "t"), std::iter::once(&mut event));
        event
    }

    fn text(event: &Event, name: &str) -> String {
        event
            .fields
            .get(name)
            .map(|value| value.to_text().into_owned())
            .unwrap_or_default()
    }

    #[test]
    fn children_are_told_who_started_them_and_who_started_those() {
        let processes = Processes::default();
        read(&processes, start(10, 100, 1, "/usr/sbin/sshd"));
        read(&processes, start(11, 200, 100, "/bin/bash"));
        let child = read(&processes, start(12, 300, 200, "/usr/bin/curl"));
        assert_eq!(text(&child, "process.parent.executable"), "/bin/bash");
        assert_eq!(text(&child, "process.parent.name"), "bash");
        assert_eq!(text(&child, "process.parent.command_line"), "/bin/bash -x");
        assert_eq!(text(&child, ANCESTRY), "/bin/bash,/usr/sbin/sshd");
        // A later event of the process itself.
        let fields = [(ecs::PROCESS_PID, Value::Int(300)), (ecs::PROCESS_NAME, "curl".into())];
        let later = read(&processes, event(20, &fields));
        assert_eq!(text(&later, "process.parent.pid"), "200");
        assert_eq!(text(&later, "process.parent.executable"), "/bin/bash");
    }

    #[test]
    fn an_id_that_was_given_again_is_not_believed() {
        let processes = Processes::default();
        read(&processes, start(10, 200, 1, "/bin/bash"));
        // Of another host, another source's, before it started, a day later, by another name.
        let mut other = start(12, 300, 200, "/usr/bin/curl");
        other.fields.insert(ecs::HOST_NAME, "web-2");
        assert_eq!(text(&read(&processes, other), "process.parent.name"), "");
        let mut child = start(12, 301, 200, "/usr/bin/curl");
        processes.add(SourceId::named("t", "other"), std::iter::once(&mut child));
        assert_eq!(text(&child, "process.parent.name"), "");
        for at in [1, 10 + 25 * 3600] {
            let child = read(&processes, start(at, 302, 200, "/usr/bin/curl"));
            assert_eq!(text(&child, "process.parent.name"), "", "{at}");
        }
        let mut named = start(13, 303, 200, "/usr/bin/curl");
        named.fields.insert("process.parent.name", "zsh");
        let named = read(&processes, named);
        assert_eq!(
            (
                text(&named, "process.parent.name"),
                text(&named, "process.parent.executable")
            ),
            ("zsh".into(), String::new())
        );
        let fields = [(ecs::PROCESS_PID, Value::Int(200)), (ecs::PROCESS_NAME, "nginx".into())];
        assert_eq!(text(&read(&processes, event(14, &fields)), "process.parent.pid"), "");
    }

    #[test]
    fn a_process_id_that_is_given_again_and_again_takes_the_place_of_one() {
        let processes = Processes::default();
        for round in 0..5_000 {
            read(&processes, start(round, 100 + round % 3, 1, "/usr/bin/true"));
        }
        let table = processes.0.lock().unwrap();
        assert!(table.bytes <= 3 * (OVERHEAD + 3 * MAX_TEXT), "{}", table.bytes);
    }

    #[test]
    fn loops_end_and_what_is_kept_is_bounded() {
        let processes = Processes::default();
        read(&processes, start(10, 1, 2, "/a"));
        read(&processes, start(10, 2, 1, "/b"));
        let child = read(&processes, start(10, 3, 2, "/c"));
        assert!(text(&child, ANCESTRY).split(',').count() <= MAX_ANCESTORS);
        for pid in 10..20_000 {
            read(&processes, start(11, pid, pid - 1, &format!("/{}", "x".repeat(5000))));
        }
        let table = processes.0.lock().unwrap();
        let host = table.hosts.values().next().unwrap();
        assert!(host.young.len() <= MAX_PROCESSES && host.old.len() <= MAX_PROCESSES);
        assert!(table.bytes <= 2 * MAX_PROCESSES * (OVERHEAD + 3 * MAX_TEXT));
        drop(table);
        for host in 0..3000 {
            let mut start = start(12, 1, 2, "/a");
            start.fields.insert(ecs::HOST_NAME, format!("host-{host}"));
            start.fields.insert(ecs::PROCESS_COMMAND_LINE, "y".repeat(100_000));
            for pid in 0..20 {
                start.fields.insert(ecs::PROCESS_PID, pid);
                read(&processes, start.clone());
            }
        }
        let table = processes.0.lock().unwrap();
        assert!(table.bytes <= MAX_BYTES);
        assert!(table.hosts.len() < 3001);
    }
}
