//! What is written is what the schema demands.

use model::{Epoch, EventId, SourceId, Timestamp};

use super::*;

fn made(fields: &[(&str, Value)]) -> Json {
    let mut all = Fields::new();
    for (name, value) in fields {
        all.insert((*name).to_owned(), value.clone());
    }
    event(&Event {
        id: EventId {
            source: SourceId::named("t", "t"),
            epoch: Epoch(1),
            seq: 1,
        },
        timestamp: Timestamp(1_700_000_000_123_456),
        fields: all,
    })
}

fn text(text: &str) -> Value {
    Value::from(text)
}

const BASE_ATTRIBUTES: &str = "activity_id activity_name category_name category_uid class_name class_uid message metadata raw_data \
    severity severity_id status status_detail status_id time type_uid unmapped";

/// Its number, its category's, its activities, attributes, and what must be there.
type Class = (
    u64,
    u64,
    &'static [u64],
    &'static str,
    &'static [&'static [&'static str]],
);

/// Of the 1.3.0 schema, what concerns the classes that are written: their activities, attributes (beside those of every
/// event), and what must be there. A list of more than one is of which one must be.
const CLASSES: [Class; 9] = [
    (0, 0, &[0, 99], "", &[]),
    (
        3001,
        3,
        &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 99],
        "user src_endpoint device",
        &[&["user"]],
    ),
    (
        3002,
        3,
        &[0, 1, 2, 3, 4, 5, 6, 99],
        "user src_endpoint dst_endpoint service device",
        &[&["user"], &["service", "dst_endpoint"]],
    ),
    (
        3006,
        3,
        &[0, 1, 2, 3, 4, 5, 6, 99],
        "group user src_endpoint device",
        &[&["group"], &["privileges", "user"]],
    ),
    (
        1007,
        1,
        &[0, 1, 2, 3, 4, 5, 99],
        "process actor device",
        &[&["process"], &["actor"], &["device"]],
    ),
    (
        2004,
        2,
        &[0, 1, 2, 3, 99],
        "finding_info evidences device",
        &[&["finding_info"]],
    ),
    (
        4001,
        4,
        &[0, 1, 2, 3, 4, 5, 6, 7, 99],
        "src_endpoint dst_endpoint connection_info traffic device",
        &[&["dst_endpoint"]],
    ),
    (
        4002,
        4,
        &[0, 1, 2, 3, 4, 5, 6, 7, 8, 99],
        "http_request http_response src_endpoint dst_endpoint connection_info traffic device",
        &[&["http_request"], &["http_response"], &["dst_endpoint"]],
    ),
    (
        4003,
        4,
        &[0, 1, 2, 6, 99],
        "query rcode src_endpoint dst_endpoint connection_info traffic device",
        &[&["query"]],
    ),
];

/// Of each object: its attributes, and of which one must be there.
const OBJECTS: [(&str, &str, &[&str]); 18] = [
    ("/user", "name uid", &["name", "uid"]),
    ("/group", "name uid", &["name", "uid"]),
    ("/service", "name uid", &["name", "uid"]),
    ("/src_endpoint", "ip hostname port", &["ip", "hostname"]),
    ("/dst_endpoint", "ip hostname port", &["ip", "hostname"]),
    ("/device", "hostname uid type_id os", &["hostname", "uid"]),
    ("/process", "name pid cmd_line", &["pid", "uid"]),
    ("/actor/user", "name uid", &["name", "uid"]),
    (
        "/connection_info",
        "protocol_name protocol_num direction_id",
        &["direction_id"],
    ),
    ("/traffic", "bytes packets", &["bytes", "packets"]),
    (
        "/http_request",
        "http_method referrer version user_agent url",
        &["http_method", "url"],
    ),
    (
        "/http_request/url",
        "url_string hostname path query_string scheme port",
        &["url_string", "path"],
    ),
    ("/http_response", "code length", &["code"]),
    ("/query", "hostname type class", &["hostname"]),
    ("/finding_info", "title desc uid", &["title"]),
    ("/evidences/0/src_endpoint", "ip port", &["ip"]),
    ("/evidences/0/dst_endpoint", "ip port", &["ip"]),
    ("/evidences/0/user", "name uid", &["name", "uid"]),
];

fn check(made: &Json) {
    let number = |pointer: &str| {
        made.pointer(pointer)
            .and_then(Json::as_u64)
            .unwrap_or_else(|| panic!("{pointer}: {made}"))
    };
    let class = number("/class_uid");
    let (_, category, activities, attributes, required) = CLASSES.iter().find(|known| known.0 == class).unwrap();
    assert_eq!(number("/category_uid"), *category);
    assert!(activities.contains(&number("/activity_id")), "{made}");
    assert_eq!(number("/type_uid"), class * 100 + number("/activity_id"));
    assert!((0..=6).contains(&number("/severity_id")));
    assert!([0, 1, 2, 99].contains(&number("/status_id")));
    assert_eq!(number("/time"), 1_700_000_000_123, "milliseconds");
    assert_eq!(made["metadata"]["version"], "1.3.0");
    assert!(made["metadata"]["product"]["vendor_name"].is_string());
    for name in made.as_object().unwrap().keys() {
        let is_known = BASE_ATTRIBUTES
            .split_whitespace()
            .chain(attributes.split_whitespace())
            .any(|known| known == name);
        assert!(is_known, "class {class} has no {name}: {made}");
    }
    for one_of in *required {
        assert!(
            one_of.iter().any(|name| made.get(name).is_some()),
            "one of {one_of:?}: {made}"
        );
    }
    for (pointer, attributes, one_of) in OBJECTS {
        let Some(object) = made.pointer(pointer).map(|object| object.as_object().unwrap()) else {
            continue;
        };
        let is_known = |name: &String| attributes.split_whitespace().any(|known| known == name);
        assert!(object.keys().all(is_known), "{pointer}: {made}");
        assert!(
            one_of.iter().any(|name| object.contains_key(*name)),
            "{pointer} needs one of {one_of:?}: {made}"
        );
        for (name, value) in object {
            let is_number = matches!(
                name.as_str(),
                "port" | "pid" | "type_id" | "code" | "length" | "bytes" | "packets" | "protocol_num" | "direction_id"
            );
            assert!(
                matches!(name.as_str(), "os" | "url") || is_number == value.is_u64(),
                "{pointer}/{name}: {made}"
            );
        }
    }
    if let Some(device) = made.get("device") {
        assert!(device["type_id"].is_u64());
        assert!(
            device
                .get("os")
                .is_none_or(|os| os["name"].is_string() && os["type_id"].is_u64())
        );
        assert_eq!(
            matches!(*category, 2..=4),
            made["metadata"]["profiles"] == json!(["host"])
        );
    }
}

#[test]
fn every_event_is_what_its_class_demands_and_nothing_is_lost() {
    let types = [
        "LOGIN_FAIL",
        "LOGIN_SUCCESS",
        "SESSION_OPEN",
        "SU_SESSION",
        "SU_FAIL",
        "ACCOUNT_CREATE",
        "ACCOUNT_DELETE",
        "ACCOUNT_MODIFY",
        "PASSWORD_CHANGE",
        "GROUP_MEMBER_ADD",
        "GROUP_CREATE",
        "GROUP_DELETE",
        "GROUP_MODIFY",
        "SUDO_ESCALATION",
        "SUDO_FAIL",
        "OTHER",
    ];
    let actions = [
        "ssh_login",
        "session_closed",
        "cron_command",
        "process_creation",
        "other",
    ];
    let kinds = types
        .iter()
        .map(|kind| (ecs::PICKET_EVENT_TYPE, text(kind)))
        .chain(actions.iter().map(|action| (ecs::EVENT_ACTION, text(action))));
    let optional = [
        (ecs::USER_NAME, text("root")),
        (ecs::USER_ID, text("0")),
        (ecs::HOST_NAME, text("web-1")),
        (ecs::SOURCE_IP, text("10.0.0.5")),
        (ecs::SOURCE_PORT, Value::Int(22)),
        (ecs::DESTINATION_PORT, Value::Int(70_000)),
        (ecs::PROCESS_NAME, text("sshd")),
        (ecs::PROCESS_PID, Value::Int(7)),
        (ecs::GROUP_NAME, text("wheel")),
        (ecs::HOST_OS_TYPE, text("Linux")),
    ];
    for kind in kinds {
        for chosen in 0..1_u32 << optional.len() {
            let mut fields = vec![
                kind.clone(),
                ("own.field", text("kept")),
                (ecs::EVENT_SEVERITY, Value::Int(3)),
            ];
            let there = optional.iter().enumerate().filter(|(n, _)| chosen & (1 << n) != 0);
            fields.extend(there.map(|(_, field)| field.clone()));
            let made = made(&fields);
            check(&made);
            assert_eq!(made["unmapped"]["own.field"], "kept");
            let written = made.to_string();
            for (_, value) in &fields {
                assert!(written.contains(value.to_text().as_ref()), "{value:?} is lost: {made}");
            }
        }
    }
}

#[test]
fn values_of_another_form_are_not_put_where_they_do_not_belong() {
    let odd = made(&[
        (ecs::PICKET_EVENT_TYPE, text("LOGIN_FAIL")),
        (ecs::USER_NAME, Value::from(vec![text("a"), text("b")])),
        (ecs::USER_ID, text("0")),
        (ecs::PROCESS_NAME, text("sshd")),
        (ecs::SOURCE_IP, text("not an address")),
        (ecs::SOURCE_PORT, text("22")),
        (ecs::MESSAGE, Value::Int(5)),
    ]);
    check(&odd);
    assert_eq!(odd["class_uid"], 3002);
    assert_eq!(odd["unmapped"][ecs::USER_NAME], json!(["a", "b"]));
    assert_eq!(odd["unmapped"][ecs::SOURCE_IP], "not an address");
    assert_eq!(odd["unmapped"][ecs::MESSAGE], 5);
    assert!(odd.get("src_endpoint").is_none());
}

#[test]
fn a_failed_login_is_an_authentication() {
    let made = made(&[
        ("message", text("Failed password for root")),
        ("event.original", text("<38>sshd: Failed password for root")),
        ("event.outcome", text("failure")),
        ("picket.event_type", text("LOGIN_FAIL")),
        ("user.name", text("root")),
        ("process.name", text("sshd")),
        ("source.ip", text("10.0.0.5")),
        ("host.name", text("web-1")),
        ("host.os.type", text("linux")),
        ("event.severity", Value::Int(3)),
    ]);
    check(&made);
    for (pointer, expected) in [
        ("/class_uid", json!(3002)),
        ("/category_uid", json!(3)),
        ("/activity_id", json!(1)),
        ("/type_uid", json!(300_201)),
        ("/severity_id", json!(3)),
        ("/status_id", json!(2)),
        ("/user/name", json!("root")),
        ("/service/name", json!("sshd")),
        ("/src_endpoint/ip", json!("10.0.0.5")),
        ("/device/hostname", json!("web-1")),
        ("/device/os/type_id", json!(200)),
        ("/raw_data", json!("<38>sshd: Failed password for root")),
        ("/unmapped/event.outcome", json!("failure")),
    ] {
        assert_eq!(made.pointer(pointer), Some(&expected), "{pointer}: {made}");
    }
}

#[test]
fn what_goes_over_the_network_has_a_class_of_its_own() {
    let flow = [
        (ecs::SOURCE_IP, text("203.0.113.9")),
        (ecs::DESTINATION_IP, text("10.0.0.1")),
        (ecs::DESTINATION_PORT, Value::Int(22)),
        ("network.transport", text("tcp")),
        ("network.iana_number", Value::Int(6)),
        ("network.direction", text("inbound")),
        (ecs::HOST_NAME, text("fw1")),
    ];
    let with = |more: &[(&'static str, Value)]| {
        let fields: Vec<_> = flow.iter().cloned().chain(more.iter().cloned()).collect();
        let made = made(&fields);
        check(&made);
        made
    };
    let list = |words: &[&str]| Value::List(words.iter().map(|word| text(word)).collect());
    let denied = with(&[
        (ecs::EVENT_CATEGORY, list(&["network"])),
        (ecs::EVENT_TYPE, list(&["connection", "denied"])),
    ]);
    assert_eq!(denied["class_uid"], 4001);
    assert_eq!(denied["activity_name"], "Refuse");
    assert_eq!(denied["connection_info"]["direction_id"], 1);
    let web = [
        (ecs::EVENT_CATEGORY, list(&["web"])),
        ("http.request.method", text("GET")),
        ("url.original", text("/a?b=c")),
        ("url.path", text("/a")),
        ("http.response.status_code", Value::Int(404)),
    ];
    let whole = with(&web);
    assert_eq!((&whole["class_uid"], &whole["activity_id"]), (&json!(4002), &json!(3)));
    assert_eq!(whole["http_request"]["url"]["url_string"], "/a?b=c");
    assert_eq!(whole["http_response"]["code"], 404);
    // A server's own log does not name the server.
    let mut served = web.to_vec();
    served.extend([(ecs::SOURCE_IP, text("203.0.113.9")), (ecs::HOST_NAME, text("web1"))]);
    let served = made(&served);
    check(&served);
    assert_eq!(served["dst_endpoint"]["hostname"], "web1");
    // Without an answer it is what went over the network.
    let half = with(&web[..4]);
    assert_eq!(half["class_uid"], 4001);
    assert_eq!(half["unmapped"]["url.path"], "/a");
    let asked = with(&[
        (ecs::EVENT_CATEGORY, list(&["network"])),
        ("dns.question.name", text("a.example")),
        ("dns.question.type", text("A")),
    ]);
    assert_eq!(
        (&asked["class_uid"], &asked["activity_name"]),
        (&json!(4003), &json!("Query"))
    );
    let answered = with(&[
        ("dns.question.name", text("a.example")),
        ("dns.response_code", text("NXDOMAIN")),
    ]);
    assert_eq!(answered["activity_name"], "Response");
    assert_eq!(answered["rcode"], "NXDOMAIN");
}

#[test]
fn what_windows_and_others_say_of_logins_and_processes_has_its_class() {
    let list = |words: &[&str]| Value::List(words.iter().map(|word| text(word)).collect());
    let common = [
        (ecs::USER_NAME, text("alice")),
        (ecs::HOST_NAME, text("ws1")),
        (ecs::PROCESS_NAME, text("cmd.exe")),
        (ecs::PROCESS_PID, Value::Int(7)),
    ];
    for (category, kind, class, activity) in [
        ("authentication", "end", 3002, 2),
        ("authentication", "start", 3002, 1),
        ("process", "start", 1007, 1),
        ("process", "end", 1007, 2),
        ("process", "info", 0, 99),
    ] {
        let mut fields = common.to_vec();
        fields.push((ecs::EVENT_CATEGORY, list(&[category])));
        fields.push((ecs::EVENT_TYPE, list(&[kind])));
        let made = made(&fields);
        check(&made);
        assert_eq!(
            (&made["class_uid"], &made["activity_id"]),
            (&json!(class), &json!(activity)),
            "{category} {kind}"
        );
    }
}

#[test]
fn what_a_sensor_found_is_a_finding() {
    let found = made(&[
        (ecs::EVENT_KIND, text("alert")),
        (ecs::EVENT_CATEGORY, text("intrusion_detection")),
        (ecs::EVENT_OUTCOME, text("failure")),
        ("rule.name", text("ET EXPLOIT x")),
        (ecs::SOURCE_IP, text("203.0.113.9")),
        (ecs::SOURCE_PORT, Value::Int(5)),
        (ecs::HOST_NAME, text("sensor")),
    ]);
    check(&found);
    assert_eq!(found["class_uid"], 2004);
    assert_eq!(found["status"], "New");
    assert_eq!(found["finding_info"]["title"], "ET EXPLOIT x");
    assert_eq!(found["finding_info"]["uid"], found["metadata"]["uid"]);
    assert_eq!(found["evidences"][0]["src_endpoint"]["ip"], "203.0.113.9");
    assert_eq!(found["unmapped"]["event.outcome"], "failure");
    // What does not say what was found is none.
    let nameless = made(&[(ecs::EVENT_KIND, text("alert")), (ecs::SOURCE_IP, text("203.0.113.9"))]);
    check(&nameless);
    assert_eq!(nameless["class_uid"], 0);
}
