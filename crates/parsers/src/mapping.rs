//! Formats whose records are JSON objects, each described by a table: which members say that it is this format, and which
//! of them becomes which field. Built-in tables are in `mappings/`; users write the same.

mod condition;
mod path;
mod table;
mod value;

use std::sync::LazyLock;

use crate::clock::{from_number, parse_time};
use crate::draft::Draft;
use crate::record::Warning;
use crate::tree::Map;
use model::{Timestamp, Value, ecs};
use rustc_hash::FxHashMap;

pub(crate) use table::Mapping;

macro_rules! tables {
    ($($name:literal),* $(,)?) => {
        &[$(($name, include_str!(concat!("mappings/", $name, ".toml")))),*]
    };
}

/// The first whose conditions hold gets an object, so those with stricter ones stand first.
const TABLES: &[(&str, &str)] = tables![
    "suricata",
    "zeek",
    "cloudtrail",
    "guardduty",
    "gcp",
    "o365",
    "okta",
    "auth0",
    "azure",
    "kubernetes",
    "github",
    "cloudflare",
    "wazuh",
    "falco",
    "osquery",
    "crowdsec",
    "adguard",
    "pihole_ftl",
    "caddy",
    "traefik",
    "docker",
    "web",
    "kea",
    "laurel",
    "fortigate",
    "vpcflow",
    "alb",
];

static BUILT_IN: LazyLock<Vec<Mapping>> = LazyLock::new(|| {
    // A table that does not load is found by the test below, not by a user.
    TABLES
        .iter()
        .filter_map(|(_, text)| Mapping::parse(text).ok())
        .collect()
});

/// The first table that knows an object.
pub(crate) fn find(object: &Map<'_>) -> Option<&'static Mapping> {
    BUILT_IN.iter().find(|mapping| mapping.knows(object))
}

/// The table of a log type.
pub(crate) fn named(log_type: &str) -> Option<&'static Mapping> {
    // Names come from the operator, who does not choose them to be slow.
    static BY_NAME: LazyLock<FxHashMap<&'static str, &'static Mapping>> = LazyLock::new(|| {
        let mut by_name = FxHashMap::default();
        for mapping in BUILT_IN.iter() {
            for name in mapping.names() {
                by_name.entry(name).or_insert(mapping);
            }
        }
        by_name
    });
    BY_NAME.get(log_type).copied()
}

impl Mapping {
    /// Sets what the table says of an object.
    pub(crate) fn apply(&self, draft: &mut Draft, object: &Map<'_>) {
        draft.set(ecs::PICKET_LOG_TYPE, self.name);
        draft.set(ecs::EVENT_DATASET, self.dataset);
        for source in &self.time {
            let Some(value) = source.read(object) else { continue };
            match time(&value) {
                Some(time) => {
                    draft.timestamp = Some(time);
                    break;
                }
                None => draft.warn(Warning::InvalidTime),
            }
        }
        for step in &self.steps {
            if !step.conditions.iter().all(|condition| condition.holds(object)) {
                continue;
            }
            for (name, value) in &step.constants {
                draft.put(name, value.clone());
            }
            for (name, text) in &step.additions {
                draft.add_to_list(name, text);
            }
            for (name, sources) in &step.members {
                let found = sources.iter().find_map(|source| source.read(object));
                if let Some(value) = found.and_then(|value| value::fit(name, value)) {
                    value::place(draft, name, value);
                }
            }
            for lookup in &step.lookups {
                let key = lookup.from.iter().find_map(|source| source.read(object));
                let key = key.as_ref().map(Value::to_text);
                if let Some(row) = key.and_then(|key| lookup.row(&key)) {
                    for (name, value) in row {
                        draft.put(name, value.clone());
                    }
                }
            }
        }
    }
}

#[allow(clippy::cast_precision_loss, reason = "from_number takes what a JSON number is")]
fn time(value: &Value) -> Option<Timestamp> {
    match value {
        Value::Str(text) => parse_time(text),
        Value::Int(number) => from_number(*number as f64),
        Value::Float(number) => from_number(*number),
        Value::Null | Value::Bool(_) | Value::List(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_built_in_table_loads() {
        for (name, text) in TABLES {
            if let Err(error) = Mapping::parse(text) {
                panic!("{name}: {error}");
            }
        }
        assert_eq!(BUILT_IN.len(), TABLES.len());
    }

    #[test]
    fn mistakes_in_a_table_say_where_they_are() {
        for (table, expected) in [
            ("name = 1", "expected a string"),
            (
                "name = \"a\"\ndataset = \"a.b\"\n[[step]]\nfields = {\"x\" = \"a|nonsense\"}",
                "nonsense",
            ),
            (
                "name = \"a\"\ndataset = \"a.b\"\n[[step]]\nfields = {\"picket.x\" = \"a\"}",
                "picket.x",
            ),
            ("name = \"a\"\ndataset = \"a.b\"\n[[step]]\nfield = {}", "field"),
            (
                "name = \"a\"\ndataset = \"a.b\"\n[[step]]\nfields = {\"x\" = \"a[b\"}",
                "a[b",
            ),
        ] {
            let error = Mapping::parse(table).err().unwrap().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}
