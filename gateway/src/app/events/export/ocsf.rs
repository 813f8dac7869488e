//! Events as the Open Cybersecurity Schema Framework has them.
//!
//! Source: <https://schema.ocsf.io/1.3.0>. What has no place there is kept, under its own name, in `unmapped`.

use model::{Event, Fields, ecs};
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

fn kind(fields: &Fields) -> Kind {
    const ACCOUNT: &str = "Account Change";
    const GROUP: &str = "Group Management";
    const LOGIN: &str = "Authentication";
    match fields.str(ecs::PICKET_EVENT_TYPE) {
        Some("LOGIN_FAIL" | "LOGIN_SUCCESS" | "SESSION_OPEN" | "SU_SESSION" | "SU_FAIL") => {
            return identity(3002, LOGIN, 1, "Logon");
        }
        Some("ACCOUNT_CREATE") => return identity(3001, ACCOUNT, 1, "Create"),
        Some("ACCOUNT_DELETE") => return identity(3001, ACCOUNT, 6, "Delete"),
        Some("ACCOUNT_MODIFY") => return identity(3001, ACCOUNT, 99, "Other"),
        Some("PASSWORD_CHANGE") => return identity(3001, ACCOUNT, 3, "Password Change"),
        Some("GROUP_MEMBER_ADD") => return identity(3006, GROUP, 3, "Add User"),
        Some("GROUP_CREATE" | "GROUP_DELETE" | "GROUP_MODIFY") => return identity(3006, GROUP, 99, "Other"),
        Some("SUDO_ESCALATION" | "SUDO_FAIL") => return LAUNCH,
        _ => {}
    }
    match fields.str(ecs::EVENT_ACTION) {
        Some("ssh_login" | "session_opened") => identity(3002, LOGIN, 1, "Logon"),
        Some("ssh_session_closed" | "session_closed" | "ssh_disconnected") => identity(3002, LOGIN, 2, "Logoff"),
        Some("cron_command" | "sudo_command" | "process_creation") => LAUNCH,
        _ => BASE,
    }
}

/// What of an event has a place of its own.
const MAPPED: [(&str, &[&str]); 21] = [
    (ecs::MESSAGE, &["message"]),
    (ecs::EVENT_ORIGINAL, &["raw_data"]),
    (ecs::EVENT_REASON, &["status_detail"]),
    (ecs::HOST_NAME, &["device", "hostname"]),
    (ecs::AGENT_ID, &["device", "uid"]),
    (ecs::SOURCE_IP, &["src_endpoint", "ip"]),
    (ecs::SOURCE_PORT, &["src_endpoint", "port"]),
    (ecs::SOURCE_DOMAIN, &["src_endpoint", "hostname"]),
    (ecs::DESTINATION_IP, &["dst_endpoint", "ip"]),
    (ecs::DESTINATION_PORT, &["dst_endpoint", "port"]),
    (ecs::DESTINATION_DOMAIN, &["dst_endpoint", "hostname"]),
    (ecs::USER_NAME, &["user", "name"]),
    (ecs::USER_ID, &["user", "uid"]),
    (ecs::PROCESS_NAME, &["process", "name"]),
    (ecs::PROCESS_PID, &["process", "pid"]),
    (ecs::PROCESS_COMMAND_LINE, &["process", "cmd_line"]),
    (ecs::PROCESS_EXECUTABLE, &["process", "path"]),
    (ecs::GROUP_NAME, &["group", "name"]),
    (ecs::GROUP_ID, &["group", "uid"]),
    (ecs::PICKET_LOG_TYPE, &["metadata", "log_name"]),
    (ecs::LOG_FILE_PATH, &["metadata", "log_provider"]),
];

/// The event in OCSF.
pub(super) fn event(event: &Event) -> Json {
    let fields = &event.fields;
    let kind = kind(fields);
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
        let place = MAPPED.iter().find(|(field, _)| *field == name).map(|(_, place)| *place);
        match place {
            Some([outer]) => {
                out.insert((*outer).to_owned(), value.to_json());
            }
            Some([outer, inner]) => insert(&mut out, outer, inner, value.to_json()),
            _ => {
                unmapped.insert(name.to_owned(), value.to_json());
            }
        }
    }
    if let Some(os) = fields.str(ecs::HOST_OS_TYPE) {
        let (type_id, name) = match os.to_ascii_lowercase().as_str() {
            "windows" => (100, "Windows"),
            "linux" => (200, "Linux"),
            "macos" => (300, "macOS"),
            _ => (0, "Unknown"),
        };
        insert(&mut out, "device", "os", json!({ "name": name, "type_id": type_id }));
    }
    insert(&mut out, "device", "type_id", json!(0));
    if !unmapped.is_empty() {
        out.insert("unmapped".to_owned(), Json::Object(unmapped));
    }
    Json::Object(out)
}

fn insert(out: &mut Map<String, Json>, outer: &str, inner: &str, value: Json) {
    let object = out.entry(outer.to_owned()).or_insert_with(|| json!({}));
    if let Json::Object(object) = object {
        object.insert(inner.to_owned(), value);
    }
}

fn severity(fields: &Fields) -> (u32, &'static str) {
    match fields.get(ecs::EVENT_SEVERITY).and_then(model::Value::as_i64) {
        Some(1) => (1, "Informational"),
        Some(2) => (2, "Low"),
        Some(3) => (3, "Medium"),
        Some(4) => (4, "High"),
        Some(5) => (5, "Critical"),
        _ => (0, "Unknown"),
    }
}

#[cfg(test)]
mod tests {
    use model::{Epoch, EventId, SourceId, Timestamp};

    use super::*;

    #[test]
    fn a_failed_login_is_an_authentication_and_nothing_is_lost() {
        let mut fields = Fields::new();
        for (name, value) in [
            ("message", "Failed password for root"),
            ("event.original", "<38>sshd: Failed password for root"),
            ("event.outcome", "failure"),
            ("picket.event_type", "LOGIN_FAIL"),
            ("user.name", "root"),
            ("source.ip", "10.0.0.5"),
            ("host.name", "web-1"),
            ("host.os.type", "linux"),
            ("own.field", "kept"),
        ] {
            fields.insert(name, value);
        }
        fields.insert("event.severity", 3);
        let made = event(&Event {
            id: EventId {
                source: SourceId::named("t", "t"),
                epoch: Epoch(1),
                seq: 1,
            },
            timestamp: Timestamp(1_700_000_000_123_456),
            fields,
        });
        for (pointer, expected) in [
            ("/class_uid", json!(3002)),
            ("/category_uid", json!(3)),
            ("/activity_id", json!(1)),
            ("/type_uid", json!(300_201)),
            ("/severity_id", json!(3)),
            ("/status_id", json!(2)),
            ("/time", json!(1_700_000_000_123_i64)),
            ("/user/name", json!("root")),
            ("/src_endpoint/ip", json!("10.0.0.5")),
            ("/device/hostname", json!("web-1")),
            ("/device/os/type_id", json!(200)),
            ("/metadata/version", json!("1.3.0")),
            ("/metadata/product/name", json!("Picket")),
            ("/raw_data", json!("<38>sshd: Failed password for root")),
            ("/unmapped/own.field", json!("kept")),
            ("/unmapped/event.outcome", json!("failure")),
        ] {
            assert_eq!(made.pointer(pointer), Some(&expected), "{pointer}: {made}");
        }
    }
}
