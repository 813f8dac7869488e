//! Section B: which events a rule sees.

use serde_json::{Value as Json, json};
use sigma::parse_rules;

use super::rule_matches;

fn check(logsource: &str, seen: &[Json], unseen: &[Json]) {
    let text = format!("title: T\nid: t1\nlogsource: {{{logsource}}}\ndetection: {{s: {{x: 1}}, condition: s}}\n");
    let rule = parse_rules("t.yml", &text).remove(0).unwrap();
    for (events, expected) in [(seen, true), (unseen, false)] {
        for event in events {
            let mut event = event.clone();
            event["x"] = json!(1);
            assert_eq!(rule_matches(&rule, &event), expected, "{logsource} on {event}");
        }
    }
}

#[test]
fn products_are_not_confused() {
    let linux = json!({"host.os.type": "linux"});
    let silent = json!({"message": "a line"});
    let windows = json!({"host.os.type": "windows", "Channel": "Security"});
    let macos = json!({"host.os.type": "macos"});
    let aws = json!({"event.module": "aws", "event.dataset": "aws.cloudtrail", "cloud.provider": "aws"});
    let all = [&linux, &silent, &windows, &macos, &aws];
    for (product, seen) in [
        ("linux", vec![&linux, &silent]),
        ("windows", vec![&windows]),
        ("macos", vec![&macos]),
        ("aws", vec![&aws]),
        ("okta", vec![]),
    ] {
        let unseen: Vec<Json> = all
            .iter()
            .filter(|event| !seen.contains(event))
            .map(|event| (*event).clone())
            .collect();
        let seen: Vec<Json> = seen.into_iter().cloned().collect();
        check(&format!("product: {product}"), &seen, &unseen);
    }
}

#[test]
fn windows_services_are_channels() {
    check(
        "product: windows, service: security",
        &[
            json!({"Channel": "Security"}),
            json!({"winlog": {"channel": "security"}, "host.os.type": "windows"}),
        ],
        &[json!({"Channel": "System"}), json!({"host.os.type": "windows"})],
    );
    check(
        "product: windows, service: powershell",
        &[json!({"Channel": "PowerShellCore/Operational"})],
        &[json!({"Channel": "Windows PowerShell"})],
    );
    check(
        "product: windows, service: unheard-of",
        &[],
        &[json!({"Channel": "Security"})],
    );
}

#[test]
fn windows_categories_are_event_ids_and_may_overlap() {
    const SYSMON: &str = "Microsoft-Windows-Sysmon/Operational";
    let create = json!({"Channel": SYSMON, "EventID": 12, "EventType": "CreateKey"});
    let set = json!({"Channel": SYSMON, "EventID": "13"});
    check(
        "product: windows, category: registry_event",
        &[create.clone(), set.clone()],
        &[],
    );
    check(
        "product: windows, category: registry_add",
        std::slice::from_ref(&create),
        std::slice::from_ref(&set),
    );
    check("product: windows, category: registry_set", &[set], &[create]);
    check(
        "product: windows, category: process_creation",
        &[
            json!({"Channel": SYSMON, "EventID": 1}),
            json!({"Channel": "Security", "EventID": 4688}),
        ],
        &[
            json!({"Channel": "Security", "EventID": 4689}),
            json!({"Channel": "System", "EventID": 1}),
        ],
    );
}

#[test]
fn linux_services_are_programs_and_files() {
    check(
        "product: linux, service: sshd",
        &[
            json!({"process.name": "sshd"}),
            json!({"log.syslog.appname": "sshd"}),
            json!({"process.name": "sshd-session"}),
            json!({"message": "Jan  1 00:00:00 web1 sshd[3]: hello"}),
        ],
        &[
            json!({"process.name": "sudo"}),
            json!({"process.name": "cat", "message": "a sshd[3]: x"}),
        ],
    );
    check(
        "product: linux, service: auth",
        &[
            json!({"log.file.path": "/var/log/auth.log"}),
            json!({"process.name": "useradd"}),
            json!({"event.category": ["authentication"]}),
        ],
        &[json!({"process.name": "nginx"})],
    );
    check(
        "product: linux, service: cron",
        &[json!({"process.name": "CRON"})],
        &[json!({"process.name": "sshd"})],
    );
}

#[test]
fn categories_by_ecs() {
    check(
        "product: linux, category: process_creation",
        &[
            json!({"event": {"category": ["process"], "type": ["start"]}}),
            json!({"event.action": "sudo_command"}),
            json!({"Channel": "Linux-Sysmon/Operational", "EventID": 1, "product": "linux"}),
        ],
        &[
            json!({"event": {"category": ["process"], "type": ["end"]}}),
            json!({"message": "x"}),
        ],
    );
    check(
        "category: webserver",
        &[json!({"http": {"request": {"method": "GET"}}})],
        &[json!({"message": "x"})],
    );
    check(
        "category: dns",
        &[json!({"dns.question.name": "a.example"})],
        &[json!({"message": "x"})],
    );
    check(
        "category: unheard_of",
        &[json!({"category": "unheard_of"})],
        &[json!({"message": "x"})],
    );
}

#[test]
fn custom_keys_and_definition_decide_nothing() {
    check(
        "product: linux, definition: needs auditd, custom: x",
        &[json!({"host.os.type": "linux"})],
        &[],
    );
}
