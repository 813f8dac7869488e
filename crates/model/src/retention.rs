//! How long events are kept: days by tenant and class.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::event::{Fields, Value};
use crate::id::Tenant;

/// Days events are kept unless somebody says otherwise.
pub const DEFAULT_DAYS: u32 = 90;
/// Most days: a century.
pub const MAX_DAYS: u32 = 36_500;
/// The class of events that have no usable other.
pub const OTHER: &str = "other";
/// Longest name of a class, in bytes.
const MAX_CLASS: usize = 32;

/// The values ECS allows for `event.category`.
const CATEGORIES: [&str; 20] = [
    "api",
    "authentication",
    "configuration",
    "database",
    "driver",
    "email",
    "file",
    "host",
    "iam",
    "intrusion_detection",
    "library",
    "malware",
    "network",
    "package",
    "process",
    "registry",
    "session",
    "threat",
    "vulnerability",
    "web",
];

/// The class of an event, given its `event.category` and its `picket.log_type`: the first category that is one of ECS,
/// else the log type, else [`OTHER`]. So there are few classes, whatever senders write.
#[must_use]
pub fn class_of<'a>(category: Option<&Value>, log_type: Option<&'a Value>) -> &'a str {
    let category = match category {
        Some(Value::List(categories)) => categories.iter().find_map(ecs_category),
        Some(category) => ecs_category(category),
        None => None,
    };
    let log_type = || log_type.and_then(Value::as_str).filter(|name| is_class(name));
    category.or_else(log_type).unwrap_or(OTHER)
}

/// [`class_of`] for whole events.
#[must_use]
pub fn class_of_fields(fields: &Fields) -> &str {
    class_of(
        fields.get(crate::ecs::EVENT_CATEGORY),
        fields.get(crate::ecs::PICKET_LOG_TYPE),
    )
}

fn ecs_category(value: &Value) -> Option<&'static str> {
    let text = value.as_str()?;
    CATEGORIES.iter().find(|category| **category == text).copied()
}

/// Whether a text can be the name of a class: 1 to 32 of `a-z`, `0-9` and `_`.
#[must_use]
pub fn is_class(name: &str) -> bool {
    (1..=MAX_CLASS).contains(&name.len())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
}

/// How long the events of a tenant are kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Keep {
    /// Days events are kept whose class is not in `classes`: 1 to 36,500.
    pub days: u32,
    /// Days by class: each 1 to 36,500.
    pub classes: BTreeMap<String, u32>,
}

impl Default for Keep {
    fn default() -> Self {
        Self {
            days: DEFAULT_DAYS,
            classes: BTreeMap::new(),
        }
    }
}

impl Keep {
    /// Days events of a class are kept.
    #[must_use]
    pub fn days_of(&self, class: &str) -> u32 {
        self.classes.get(class).copied().unwrap_or(self.days)
    }

    /// The most days any event is kept.
    #[must_use]
    pub fn longest(&self) -> u32 {
        self.classes.values().copied().max().unwrap_or(0).max(self.days)
    }

    /// The fewest days any event is kept.
    #[must_use]
    pub fn shortest(&self) -> u32 {
        self.classes.values().copied().min().unwrap_or(u32::MAX).min(self.days)
    }

    /// The first mistake: which key, and its value.
    #[must_use]
    pub fn mistake(&self) -> Option<(String, String)> {
        let in_range = |days: u32| (1..=MAX_DAYS).contains(&days);
        if !in_range(self.days) {
            return Some(("days".to_owned(), self.days.to_string()));
        }
        self.classes
            .iter()
            .find(|(class, days)| !is_class(class) || !in_range(**days))
            .map(|(class, days)| (format!("classes.{class}"), days.to_string()))
    }
}

/// How long the events of all tenants are kept.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// For tenants that are not in `tenants`.
    pub default: Keep,
    /// What holds instead, all of it, for some tenants.
    pub tenants: BTreeMap<String, Keep>,
}

impl Policy {
    /// What holds for a tenant.
    #[must_use]
    pub fn of(&self, tenant: &Tenant) -> &Keep {
        self.tenants.get(tenant.as_str()).unwrap_or(&self.default)
    }

    /// The fewest days any event of any tenant is kept.
    #[must_use]
    pub fn shortest(&self) -> u32 {
        self.tenants
            .values()
            .map(Keep::shortest)
            .fold(self.default.shortest(), u32::min)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ecs;

    #[test]
    fn an_event_has_one_class() {
        let class = |category: Option<Value>, log_type: Option<&str>| {
            let mut fields = Fields::new();
            if let Some(category) = category {
                fields.insert(ecs::EVENT_CATEGORY, category);
            }
            if let Some(log_type) = log_type {
                fields.insert(ecs::PICKET_LOG_TYPE, log_type);
            }
            class_of_fields(&fields).to_owned()
        };
        assert_eq!(class(Some("web".into()), Some("json")), "web");
        let several: Vec<Value> = vec!["mine".into(), "authentication".into(), "session".into()];
        assert_eq!(class(Some(several.into()), Some("sshd")), "authentication");
        assert_eq!(class(None, Some("sshd")), "sshd");
        assert_eq!(class(Some("of my own".into()), Some("json")), "json");
        assert_eq!(class(Some(Value::Int(4)), None), OTHER);
        assert_eq!(class(None, Some("No Class")), OTHER);
    }

    #[test]
    fn tenants_have_their_own_days() {
        let keep = |days, classes: &[(&str, u32)]| Keep {
            days,
            classes: classes
                .iter()
                .map(|(class, days)| ((*class).to_owned(), *days))
                .collect(),
        };
        let policy = Policy {
            default: keep(90, &[("web", 14)]),
            tenants: [("acme".to_owned(), keep(30, &[("authentication", 365)]))].into(),
        };
        let (default, acme) = (Tenant::default(), "acme".parse().unwrap());
        assert_eq!(policy.of(&default).days_of("web"), 14);
        assert_eq!(policy.of(&default).days_of("sshd"), 90);
        assert_eq!(policy.of(&acme).days_of("web"), 30);
        assert_eq!(policy.of(&acme).longest(), 365);
        assert_eq!(policy.shortest(), 14);
    }

    #[test]
    fn mistakes_name_their_key() {
        let mut keep = Keep::default();
        assert_eq!(keep.mistake(), None);
        keep.classes.insert("Web!".to_owned(), 3);
        assert_eq!(keep.mistake().unwrap().0, "classes.Web!");
        keep.days = 0;
        assert_eq!(keep.mistake().unwrap(), ("days".to_owned(), "0".to_owned()));
    }
}
