//! What the collector itself says of every event: who sent it, from where, and when it was seen.

use model::event::MAX_FIELDS;
use model::{Fields, Text, Value, ecs};

use crate::batch::Origin;
use crate::normalize::Sender;

/// The fields that are set here.
const NAMES: [&str; 10] = [
    ecs::AGENT_ID,
    ecs::AGENT_TYPE,
    ecs::AGENT_NAME,
    "agent.version",
    ecs::HOST_NAME,
    ecs::HOST_OS_TYPE,
    "host.os.full",
    ecs::LOG_FILE_PATH,
    ecs::EVENT_CREATED,
    ecs::PICKET_SOURCE,
];

/// What only a sender with a certificate may say of itself, and where others' claims go.
const UNVERIFIED: [(&str, &str); 4] = [
    (ecs::AGENT_ID, "unverified.agent.id"),
    (ecs::AGENT_NAME, "unverified.agent.name"),
    (ecs::AGENT_TYPE, "unverified.agent.type"),
    (ecs::LOG_FILE_PATH, "unverified.log.file.path"),
];

/// Of one batch; its events share the texts.
pub(crate) struct Stamp<'a> {
    /// Id, name and version of an endpoint's agent; the version may be empty.
    agent: Option<[Text; 3]>,
    host: Text,
    os_type: Text,
    os_name: Text,
    /// Of each origin, its name.
    names: Vec<Text>,
    origins: &'a [Origin],
}

impl<'a> Stamp<'a> {
    pub(crate) fn new(sender: &Sender, origins: &'a [Origin]) -> Self {
        let agent = sender
            .agent_id
            .as_ref()
            .map(|id| [id, &sender.host, &sender.agent_version].map(|text| Text::shared(text)));
        Self {
            agent,
            host: Text::shared(&sender.host),
            os_type: Text::shared(&sender.os_type),
            os_name: Text::shared(&sender.os_name),
            names: origins.iter().map(|origin| Text::shared(&origin.name)).collect(),
            origins,
        }
    }

    /// Sets the fields of an event of an origin, by its index. What is said here wins over what a record claims, but for
    /// the host and its system. Of an event that is full, the last fields make room.
    pub(crate) fn put(&self, fields: &mut Fields, origin: usize, created: &Text) {
        let (Some(name), Some(origin)) = (self.names.get(origin), self.origins.get(origin)) else {
            return;
        };
        if self.agent.is_none() && origin.kind == "syslog" {
            // Whoever reaches the port can write these.
            for (name, instead) in UNVERIFIED {
                if let Some(claimed) = fields.remove(name) {
                    fields.insert(instead, claimed);
                }
            }
        }
        fields.truncate(MAX_FIELDS - NAMES.len());
        let [id, kind, agent_name, version, host, os_type, os_name, path, at, source] = fields.positions(&NAMES);
        if let Some([agent_id, agent_host, agent_version]) = &self.agent {
            force(fields, id, ecs::AGENT_ID, agent_id);
            force(fields, kind, ecs::AGENT_TYPE, &Text::of_static("picket"));
            force(fields, agent_name, ecs::AGENT_NAME, agent_host);
            if !agent_version.is_empty() {
                force(fields, version, "agent.version", agent_version);
            }
        }
        let is_own = match host {
            Some(host) => fields.at(host).and_then(|(_, value)| value.as_str()) == Some(self.host.as_str()),
            None => !self.host.is_empty(),
        };
        default(fields, host, ecs::HOST_NAME, &self.host);
        default(fields, os_type, ecs::HOST_OS_TYPE, &self.os_type);
        // Only of the host itself: a file may hold what others sent.
        if is_own {
            default(fields, os_name, "host.os.full", &self.os_name);
        }
        if origin.kind == "file" {
            force(fields, path, ecs::LOG_FILE_PATH, name);
        }
        force(fields, at, ecs::EVENT_CREATED, created);
        force(fields, source, ecs::PICKET_SOURCE, &Text::from(origin.kind.as_str()));
    }
}

/// Sets a field that is at this position, if it is there.
fn force(fields: &mut Fields, position: Option<usize>, name: &'static str, text: &Text) {
    let value = Value::Str(text.clone());
    match position.and_then(|position| fields.value_mut(position)) {
        Some(slot) => *slot = value,
        None => fields.push_unchecked(name.into(), value),
    }
}

/// Sets a field that is not there, unless the text is empty.
fn default(fields: &mut Fields, position: Option<usize>, name: &'static str, text: &Text) {
    if position.is_none() && !text.is_empty() {
        fields.push_unchecked(name.into(), Value::Str(text.clone()));
    }
}
