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

const fn network(class: u32, class_name: &'static str, activity: u32, activity_name: &'static str) -> Kind {
    Kind {
        class,
        class_name,
        category: 4,
        category_name: "Network Activity",
        activity,
        activity_name,
    }
}

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
const NETWORK: u32 = 4001;
const HTTP: u32 = 4002;
const DNS: u32 = 4003;
const FINDING: Kind = Kind {
    class: 2004,
    class_name: "Detection Finding",
    category: 2,
    category_name: "Findings",
    activity: 1,
    activity_name: "Create",
};

/// What the event may be, the most telling first. The first that has what its class must have is written.
fn kinds(fields: &Fields) -> [Kind; 3] {
    if is(fields, ecs::EVENT_KIND, "alert") {
        return [FINDING, of_category(fields), BASE];
    }
    match kind(fields) {
        BASE => [of_request(fields), of_category(fields), BASE],
        kind => [kind, BASE, BASE],
    }
}

/// Whether a field, or an element of it, is this.
fn is(fields: &Fields, name: &str, wanted: &str) -> bool {
    match fields.get(name) {
        Some(Value::Str(text)) => text.as_str() == wanted,
        Some(Value::List(items)) => items.iter().any(|item| item.as_str() == Some(wanted)),
        _ => false,
    }
}

/// A request over the network that says what was asked.
fn of_request(fields: &Fields) -> Kind {
    if let Some(method) = fields.str("http.request.method") {
        let (activity, name) = match method.to_ascii_uppercase().as_str() {
            "CONNECT" => (1, "Connect"),
            "DELETE" => (2, "Delete"),
            "GET" => (3, "Get"),
            "HEAD" => (4, "Head"),
            "OPTIONS" => (5, "Options"),
            "POST" => (6, "Post"),
            "PUT" => (7, "Put"),
            "TRACE" => (8, "Trace"),
            _ => (99, "Other"),
        };
        return network(HTTP, "HTTP Activity", activity, name);
    }
    if fields.get("dns.question.name").is_some() {
        let is_answer = is(fields, "dns.type", "answer") || fields.get("dns.response_code").is_some();
        let (activity, name) = if is_answer { (2, "Response") } else { (1, "Query") };
        return network(DNS, "DNS Activity", activity, name);
    }
    of_category(fields)
}

/// By what ECS calls it.
fn of_category(fields: &Fields) -> Kind {
    let category = |wanted| is(fields, ecs::EVENT_CATEGORY, wanted);
    let kind = |wanted| is(fields, ecs::EVENT_TYPE, wanted);
    if category("authentication") || category("session") {
        let (activity, name) = if kind("end") {
            (2, "Logoff")
        } else if kind("start") {
            (1, "Logon")
        } else {
            (99, "Other")
        };
        return identity(AUTHENTICATION, "Authentication", activity, name);
    }
    if category("process") && (kind("start") || kind("end")) {
        let (activity, activity_name) = if kind("start") { (1, "Launch") } else { (2, "Terminate") };
        return Kind {
            activity,
            activity_name,
            ..LAUNCH
        };
    }
    if category("network") || category("web") || fields.get(ecs::DESTINATION_IP).is_some() {
        let (activity, name) = if kind("denied") {
            (5, "Refuse")
        } else if kind("end") {
            (2, "Close")
        } else if kind("start") {
            (1, "Open")
        } else {
            (6, "Traffic")
        };
        return network(NETWORK, "Network Activity", activity, name);
    }
    BASE
}

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
const COUNT: Form = Form::Number(i64::MAX);

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

const CONNECTION: &[Place] = &[
    ("network.transport", &["connection_info", "protocol_name"], Form::Text),
    (
        "network.iana_number",
        &["connection_info", "protocol_num"],
        Form::Number(255),
    ),
    ("network.bytes", &["traffic", "bytes"], COUNT),
    ("network.packets", &["traffic", "packets"], COUNT),
];
const REQUEST: &[Place] = &[
    ("http.request.method", &["http_request", "http_method"], Form::Text),
    ("http.request.referrer", &["http_request", "referrer"], Form::Text),
    ("http.version", &["http_request", "version"], Form::Text),
    ("user_agent.original", &["http_request", "user_agent"], Form::Text),
    ("url.original", &["http_request", "url", "url_string"], Form::Text),
    ("url.domain", &["http_request", "url", "hostname"], Form::Text),
    ("url.path", &["http_request", "url", "path"], Form::Text),
    ("url.query", &["http_request", "url", "query_string"], Form::Text),
    ("url.scheme", &["http_request", "url", "scheme"], Form::Text),
    ("url.port", &["http_request", "url", "port"], PORT),
    (
        "http.response.status_code",
        &["http_response", "code"],
        Form::Number(999),
    ),
    ("http.response.body.bytes", &["http_response", "length"], COUNT),
];
const QUESTION: &[Place] = &[
    ("dns.question.name", &["query", "hostname"], Form::Text),
    ("dns.question.type", &["query", "type"], Form::Text),
    ("dns.question.class", &["query", "class"], Form::Text),
    ("dns.response_code", &["rcode"], Form::Text),
];

/// What was found and in what; the latter becomes the one element of `evidences`.
const FOUND: &[Place] = &[
    ("rule.name", &["finding_info", "title"], Form::Text),
    ("rule.description", &["finding_info", "desc"], Form::Text),
    (ecs::SOURCE_IP, &["evidence", "src_endpoint", "ip"], Form::Address),
    (ecs::SOURCE_PORT, &["evidence", "src_endpoint", "port"], PORT),
    (ecs::DESTINATION_IP, &["evidence", "dst_endpoint", "ip"], Form::Address),
    (ecs::DESTINATION_PORT, &["evidence", "dst_endpoint", "port"], PORT),
    (ecs::USER_NAME, &["evidence", "user", "name"], Form::Text),
    (ecs::USER_ID, &["evidence", "user", "uid"], Form::Text),
];

/// Objects and the attributes of which each must have one.
const ONE_OF: [(&[&str], &[&str]); 15] = [
    (&["device"], &["hostname", "uid"]),
    (&["user"], &["name", "uid"]),
    (&["src_endpoint"], &["ip", "hostname"]),
    (&["dst_endpoint"], &["ip", "hostname"]),
    (&["service"], &["name"]),
    (&["group"], &["name", "uid"]),
    (&["process"], &["pid"]),
    (&["actor", "user"], &["name", "uid"]),
    (&["http_request", "url"], &["url_string", "path"]),
    (&["http_response"], &["code"]),
    (&["query"], &["hostname"]),
    (&["finding_info"], &["title"]),
    (&["evidence", "src_endpoint"], &["ip"]),
    (&["evidence", "dst_endpoint"], &["ip"]),
    (&["evidence", "user"], &["name", "uid"]),
];

impl Kind {
    /// Places beside those that every class has.
    fn places(self) -> &'static [&'static [Place]] {
        match self.class {
            AUTHENTICATION => &[EVERYWHERE, DEVICE, USER, SOURCE, DESTINATION, SERVICE],
            ACCOUNT_CHANGE => &[EVERYWHERE, DEVICE, USER, SOURCE],
            GROUP_MANAGEMENT => &[EVERYWHERE, DEVICE, USER, SOURCE, GROUP],
            1007 => &[EVERYWHERE, DEVICE, PROCESS],
            NETWORK => &[EVERYWHERE, DEVICE, SOURCE, DESTINATION, CONNECTION],
            HTTP => &[EVERYWHERE, DEVICE, SOURCE, DESTINATION, CONNECTION, REQUEST],
            DNS => &[EVERYWHERE, DEVICE, SOURCE, DESTINATION, CONNECTION, QUESTION],
            2004 => &[EVERYWHERE, DEVICE, FOUND],
            _ => &[EVERYWHERE],
        }
    }

    /// Whether what the class must have is there.
    fn is_complete(self, out: &Map<String, Json>) -> bool {
        let has = |name: &str| out.contains_key(name);
        match self.class {
            NETWORK => has("dst_endpoint"),
            HTTP => has("http_request") && has("http_response") && has("dst_endpoint"),
            DNS => has("query"),
            2004 => has("finding_info"),
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
    let whole = kinds(&event.fields)
        .into_iter()
        .map(|kind| (kind, as_kind(event, kind)))
        .find(|(kind, out)| kind.is_complete(out));
    Json::Object(whole.map_or_else(|| as_kind(event, BASE), |(_, out)| out))
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
        // A finding's status is how far somebody is with it.
        _ if kind == FINDING => (1, "New"),
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
        if matches!(kind.category, 2..=4) {
            // Elsewhere the class itself has the device.
            insert(&mut out, &["metadata", "profiles"], json!(["host"]));
        }
    }
    if matches!(kind.class, NETWORK | HTTP) && !out.contains_key("dst_endpoint") && out.contains_key("src_endpoint") {
        // Whoever logs what came to it is where it came to.
        let asked = fields.str("url.domain").filter(|_| kind.class == HTTP);
        if let Some(name) = asked
            .or_else(|| fields.str(ecs::HOST_NAME))
            .filter(|name| !name.is_empty())
        {
            insert(&mut out, &["dst_endpoint", "hostname"], json!(name));
        }
    }
    if out.contains_key("finding_info") {
        insert(&mut out, &["finding_info", "uid"], json!(event.id.to_string()));
    }
    if let Some(evidence) = out.remove("evidence") {
        out.insert("evidences".to_owned(), json!([evidence]));
    }
    if out.contains_key("connection_info") {
        let direction = match fields.str("network.direction") {
            Some("inbound" | "ingress") => 1,
            Some("outbound" | "egress") => 2,
            Some("internal") => 3,
            _ => 0,
        };
        insert(&mut out, &["connection_info", "direction_id"], json!(direction));
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
