//! Events as the Open Cybersecurity Schema Framework has them.
//!
//! Source: <https://schema.ocsf.io/1.3.0>. What has no place there is kept, under its own name, in `unmapped`; an event
//! that lacks what its class requires is a base event, so that what is written is valid.

use std::net::IpAddr;

use model::{Event, Fields, Value, ecs};
use serde_json::{Map, Value as Json, json};

const VERSION: &str = "1.3.0";

/// Class, its category, and activity, by their numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Kind {
    class: u32,
    class_name: &'static str,
    category: u32,
    category_name: &'static str,
    activity: u32,
    activity_name: &'static str,
}

const fn identity(class: u32, class_name: &'static str, activity: u32, activity_name: &'static str) -> Kind {
    Kind {
        class,
        class_name,
        category: 3,
        category_name: "Identity & Access Management",
        activity,
        activity_name,
    }
}

const BASE: Kind = Kind {
    class: 0,
    class_name: "Base Event",
    category: 0,
    category_name: "Uncategorized",
    activity: 99,
    activity_name: "Other",
};

const LAUNCH: Kind = Kind {
    class: 1007,
    class_name: "Process Activity",
    category: 1,
    category_name: "System Activity",
    activity: 1,
    activity_name: "Launch",
};

const ACCOUNT_CHANGE: u32 = 3001;
const AUTHENTICATION: u32 = 3002;
const GROUP_MANAGEMENT: u32 = 3006;

fn kind(fields: &Fields) -> Kind {
    let account = |activity, name| identity(ACCOUNT_CHANGE, "Account Change", activity, name);
    let group = |activity, name| identity(GROUP_MANAGEMENT, "Group Management", activity, name);
    let login = |activity, name| identity(AUTHENTICATION, "Authentication", activity, name);
    match fields.str(ecs::PICKET_EVENT_TYPE) {
        Some("LOGIN_FAIL" | "LOGIN_SUCCESS" | "SESSION_OPEN" | "SU_SESSION" | "SU_FAIL") => return login(1, "Logon"),
        Some("ACCOUNT_CREATE") => return account(1, "Create"),
        Some("ACCOUNT_DELETE") => return account(6, "Delete"),
        Some("ACCOUNT_MODIFY") => return account(99, "Other"),
        Some("PASSWORD_CHANGE") => return account(3, "Password Change"),
        Some("GROUP_MEMBER_ADD") => return group(3, "Add User"),
        Some("GROUP_CREATE") => return group(6, "Create"),
        Some("GROUP_DELETE") => return group(5, "Delete"),
        Some("GROUP_MODIFY") => return group(99, "Other"),
        Some("SUDO_ESCALATION" | "SUDO_FAIL") => return LAUNCH,
        _ => {}
    }
    match fields.str(ecs::EVENT_ACTION) {
        Some("ssh_login" | "session_opened") => login(1, "Logon"),
        Some("ssh_session_closed" | "session_closed" | "ssh_disconnected") => login(2, "Logoff"),
        Some("cron_command" | "sudo_command" | "process_creation") => LAUNCH,
        _ => BASE,
    }
}

/// What a place takes.
#[derive(Clone, Copy)]
enum Form {
    Text,
    Address,
    /// A whole number up to this.
    Number(i64),
}

impl Form {
    fn takes(self, value: &Value) -> bool {
        match self {
            Self::Text => value.as_str().is_some_and(|text| !text.is_empty()),
            Self::Address => value.as_str().is_some_and(|text| text.parse::<IpAddr>().is_ok()),
            Self::Number(most) => value.as_i64().is_some_and(|number| (0..=most).contains(&number)),
        }
    }
}

const PORT: Form = Form::Number(65_535);
const ID: Form = Form::Number(u32::MAX as i64);

/// A field, where it goes, and the form it must have for that.
type Place = (&'static str, &'static [&'static str], Form);

/// What of an event has a place in every class.
const EVERYWHERE: &[Place] = &[
    (ecs::MESSAGE, &["message"], Form::Text),
    (ecs::EVENT_ORIGINAL, &["raw_data"], Form::Text),
    (ecs::EVENT_REASON, &["status_detail"], Form::Text),
    (ecs::PICKET_LOG_TYPE, &["metadata", "log_name"], Form::Text),
    (ecs::LOG_FILE_PATH, &["metadata", "log_provider"], Form::Text),
];
const DEVICE: &[Place] = &[
    (ecs::HOST_NAME, &["device", "hostname"], Form::Text),
    (ecs::AGENT_ID, &["device", "uid"], Form::Text),
];
const USER: &[Place] = &[
    (ecs::USER_NAME, &["user", "name"], Form::Text),
    (ecs::USER_ID, &["user", "uid"], Form::Text),
];
const SOURCE: &[Place] = &[
    (ecs::SOURCE_IP, &["src_endpoint", "ip"], Form::Address),
    (ecs::SOURCE_DOMAIN, &["src_endpoint", "hostname"], Form::Text),
    (ecs::SOURCE_PORT, &["src_endpoint", "port"], PORT),
];
const DESTINATION: &[Place] = &[
    (ecs::DESTINATION_IP, &["dst_endpoint", "ip"], Form::Address),
    (ecs::DESTINATION_DOMAIN, &["dst_endpoint", "hostname"], Form::Text),
    (ecs::DESTINATION_PORT, &["dst_endpoint", "port"], PORT),
];
const SERVICE: &[Place] = &[(ecs::PROCESS_NAME, &["service", "name"], Form::Text)];
const GROUP: &[Place] = &[
    (ecs::GROUP_NAME, &["group", "name"], Form::Text),
    (ecs::GROUP_ID, &["group", "uid"], Form::Text),
];
const PROCESS: &[Place] = &[
    (ecs::PROCESS_NAME, &["process", "name"], Form::Text),
    (ecs::PROCESS_PID, &["process", "pid"], ID),
    (ecs::PROCESS_COMMAND_LINE, &["process", "cmd_line"], Form::Text),
    (ecs::USER_NAME, &["actor", "user", "name"], Form::Text),
    (ecs::USER_ID, &["actor", "user", "uid"], Form::Text),
];

/// Objects and the attributes of which each must have one.
const ONE_OF: [(&[&str], &[&str]); 8] = [
    (&["device"], &["hostname", "uid"]),
    (&["user"], &["name", "uid"]),
    (&["src_endpoint"], &["ip", "hostname"]),
    (&["dst_endpoint"], &["ip", "hostname"]),
    (&["service"], &["name"]),
    (&["group"], &["name", "uid"]),
    (&["process"], &["pid"]),
    (&["actor", "user"], &["name", "uid"]),
];

impl Kind {
    /// Places beside those that every class has.
    fn places(self) -> &'static [&'static [Place]] {
        match self.class {
            AUTHENTICATION => &[EVERYWHERE, DEVICE, USER, SOURCE, DESTINATION, SERVICE],
            ACCOUNT_CHANGE => &[EVERYWHERE, DEVICE, USER, SOURCE],
            GROUP_MANAGEMENT => &[EVERYWHERE, DEVICE, USER, SOURCE, GROUP],
            1007 => &[EVERYWHERE, DEVICE, PROCESS],
            _ => &[EVERYWHERE],
        }
    }

    /// Whether what the class must have is there.
    fn is_complete(self, out: &Map<String, Json>) -> bool {
        let has = |name: &str| out.contains_key(name);
        match self.class {
            AUTHENTICATION => has("user") && (has("service") || has("dst_endpoint")),
            ACCOUNT_CHANGE => has("user"),
            GROUP_MANAGEMENT => has("group") && has("user"),
            1007 => has("process") && has("actor") && has("device"),
            _ => true,
        }
    }
}

/// The event in OCSF. Where it lacks what its class must have, it is a base event.
pub(super) fn event(event: &Event) -> Json {
    let kind = kind(&event.fields);
    let out = as_kind(event, kind);
    Json::Object(if kind.is_complete(&out) {
        out
    } else {
        as_kind(event, BASE)
    })
}

fn as_kind(event: &Event, kind: Kind) -> Map<String, Json> {
    let fields = &event.fields;
    let mut out = Map::new();
    for (name, value) in [
        ("class_uid", json!(kind.class)),
        ("class_name", json!(kind.class_name)),
        ("category_uid", json!(kind.category)),
        ("category_name", json!(kind.category_name)),
        ("activity_id", json!(kind.activity)),
        ("activity_name", json!(kind.activity_name)),
        (
            "type_uid",
            json!(u64::from(kind.class) * 100 + u64::from(kind.activity)),
        ),
        ("time", json!(event.timestamp.as_millis())),
    ] {
        out.insert(name.to_owned(), value);
    }
    let (severity_id, severity) = severity(fields);
    out.insert("severity_id".to_owned(), json!(severity_id));
    out.insert("severity".to_owned(), json!(severity));
    let (status_id, status) = match fields.str(ecs::EVENT_OUTCOME) {
        Some("success") => (1, "Success"),
        Some("failure") => (2, "Failure"),
        _ => (0, "Unknown"),
    };
    out.insert("status_id".to_owned(), json!(status_id));
    out.insert("status".to_owned(), json!(status));
    out.insert(
        "metadata".to_owned(),
        json!({
            "version": VERSION,
            "uid": event.id.to_string(),
            "product": { "name": "Picket", "vendor_name": "Picket", "version": env!("CARGO_PKG_VERSION") },
        }),
    );
    let mut unmapped = Map::new();
    for (name, value) in fields.iter() {
        match place(kind, fields, name, value) {
            Some(path) => insert(&mut out, path, value.to_json()),
            None => {
                unmapped.insert(name.to_owned(), value.to_json());
            }
        }
    }
    if out.contains_key("device") {
        insert(&mut out, &["device", "type_id"], json!(0));
        if let Some(os) = fields.str(ecs::HOST_OS_TYPE) {
            let (type_id, name) = match os.to_ascii_lowercase().as_str() {
                "windows" => (100, "Windows"),
                "linux" => (200, "Linux"),
                "macos" => (300, "macOS"),
                _ => (0, "Unknown"),
            };
            insert(&mut out, &["device", "os"], json!({ "name": name, "type_id": type_id }));
        }
        if kind.category == 3 {
            // Elsewhere the class itself has the device.
            insert(&mut out, &["metadata", "profiles"], json!(["host"]));
        }
    }
    if !unmapped.is_empty() {
        out.insert("unmapped".to_owned(), Json::Object(unmapped));
    }
    out
}

/// Where a field goes; `None` when its class has no place for it, its value is of another form, or the object would lack
/// what it must have.
fn place(kind: Kind, fields: &Fields, name: &str, value: &Value) -> Option<&'static [&'static str]> {
    let places = || kind.places().iter().copied().flatten();
    let (_, path, form) = places().find(|(field, ..)| *field == name)?;
    if !form.takes(value) {
        return None;
    }
    let (_, object) = path.split_last()?;
    let Some((_, one_of)) = ONE_OF.iter().find(|(other, _)| *other == object) else {
        return Some(path);
    };
    let has_one = places().any(|(field, other, form)| {
        other
            .split_last()
            .is_some_and(|(key, other)| other == object && one_of.contains(key))
            && fields.get(field).is_some_and(|value| form.takes(value))
    });
    has_one.then_some(path)
}

fn insert(out: &mut Map<String, Json>, path: &[&str], value: Json) {
    let Some((name, outer)) = path.split_first() else {
        return;
    };
    if outer.is_empty() {
        out.insert((*name).to_owned(), value);
    } else if let Json::Object(object) = out.entry((*name).to_owned()).or_insert_with(|| json!({})) {
        insert(object, outer, value);
    }
}

fn severity(fields: &Fields) -> (u32, &'static str) {
    match fields.get(ecs::EVENT_SEVERITY).and_then(Value::as_i64) {
        Some(1) => (1, "Informational"),
        Some(2) => (2, "Low"),
        Some(3) => (3, "Medium"),
        Some(4) => (4, "High"),
        Some(5) => (5, "Critical"),
        _ => (0, "Unknown"),
    }
}

#[cfg(test)]
mod tests;
