//! Section B: which events a rule sees.

use serde_json::{Value as Json, json};
use sigma::{Catalog, parse_rules};

use super::{event, reference, rule_matches};

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

/// Checks that a rule of a logsource finds an item in an event, and does not without the event's own context.
fn check_item(logsource: &str, item: &str, events: &[Json]) {
    let text = format!("title: T\nid: t1\nlogsource: {{{logsource}}}\ndetection: {{s: {{{item}}}, condition: s}}\n");
    let rule = parse_rules("t.yml", &text).remove(0).unwrap();
    for event in events {
        assert!(rule_matches(&rule, event), "{logsource} {item} on {event}");
    }
    assert!(Catalog::builtin().knows(&rule.logsource), "{logsource}");
}

const SYSMON: &str = "Microsoft-Windows-Sysmon/Operational";

#[test]
fn security_4688_has_names_of_its_own() {
    for (item, event) in [
        ("Image|endswith: cmd.exe", json!({"NewProcessName": "c:\\cmd.exe"})),
        ("ParentImage: a", json!({"ParentProcessName": "a"})),
        ("CommandLine: a", json!({"ProcessCommandLine": "a"})),
        ("ProcessId: '0x1'", json!({"NewProcessId": "0x1"})),
        ("LogonId: '0x3e7'", json!({"SubjectLogonId": "0x3e7"})),
        (
            "IntegrityLevel: S-1-16-16384",
            json!({"MandatoryLabel": "S-1-16-16384"}),
        ),
    ] {
        let mut event = event;
        event["Channel"] = json!("Security");
        event["EventID"] = json!(4688);
        check_item("category: process_creation, product: windows", item, &[event]);
    }
}

#[test]
fn windows_events_of_every_shape_are_the_same() {
    check_item(
        "category: process_creation, product: windows",
        "Image|endswith: cmd.exe, CommandLine|contains: evil",
        &[
            // As agents flatten them, as Winlogbeat ships them, as evtx_dump prints them, and normalized.
            json!({"Channel": SYSMON, "EventID": 1, "Image": "c:\\cmd.exe", "CommandLine": "evil"}),
            json!({"winlog": {"channel": SYSMON, "event_id": "1", "event_data": {"Image": "c:\\cmd.exe", "CommandLine": "evil"}}}),
            json!({"Event": {"System": {"Channel": SYSMON, "EventID": 1}, "EventData": {"Image": "c:\\cmd.exe", "CommandLine": "evil"}}}),
            json!({"host.os.type": "windows", "event": {"category": ["process"], "type": ["start"]},
                   "process": {"executable": "c:\\cmd.exe", "command_line": "evil"}}),
        ],
    );
    check_item(
        "product: windows, service: security",
        "EventID: 4625, TargetUserName: eve, Unheard Of: x",
        &[
            json!({"Channel": "Security", "EventID": 4625, "TargetUserName": "eve", "UnheardOf": "x"}),
            json!({"winlog": {"channel": "Security", "event_id": 4625, "event_data": {"TargetUserName": "eve", "UnheardOf": "x"}}}),
        ],
    );
}

#[test]
fn windows_categories_in_ecs_when_there_is_no_channel() {
    for (category, event, item) in [
        (
            "network_connection",
            json!({"event": {"category": ["network"], "type": ["connection"]}, "destination.ip": "10.0.0.1"}),
            "DestinationIp: 10.0.0.1",
        ),
        (
            "file_event",
            json!({"event": {"category": ["file"], "type": ["creation"]}, "file.path": "c:\\x"}),
            "TargetFilename: 'c:\\x'",
        ),
        (
            "file_delete",
            json!({"event": {"category": ["file"], "type": ["deletion"]}, "file.path": "c:\\x"}),
            "TargetFilename: 'c:\\x'",
        ),
        (
            "file_access",
            json!({"event": {"category": ["file"], "type": ["access"]}, "file.name": "x"}),
            "FileName: x",
        ),
        (
            "file_rename",
            json!({"event": {"category": ["file"], "action": "rename"}, "file.path": "x"}),
            "TargetFilename: x",
        ),
        (
            "image_load",
            json!({"event": {"category": ["library"]}, "dll.path": "x"}),
            "ImageLoaded: x",
        ),
        (
            "driver_load",
            json!({"event": {"category": ["driver"]}, "dll.path": "x"}),
            "ImageLoaded: x",
        ),
        (
            "registry_set",
            json!({"event": {"category": ["registry"], "type": ["change"]}, "registry.path": "x"}),
            "TargetObject: x",
        ),
        (
            "registry_event",
            json!({"event": {"category": ["registry"], "type": ["creation"]}, "registry.path": "x"}),
            "TargetObject: x",
        ),
        (
            "dns_query",
            json!({"event": {"category": ["network"]}, "dns.question.name": "x"}),
            "QueryName: x",
        ),
        (
            "ps_script",
            json!({"powershell.file.script_block_text": "x"}),
            "ScriptBlockText: x",
        ),
    ] {
        let mut event = event;
        event["host.os.type"] = json!("windows");
        check_item(
            &format!("category: {category}, product: windows"),
            item,
            &[event.clone()],
        );
        // A channel says more than the normalization.
        event["Channel"] = json!("System");
        let text = format!(
            "title: T\nid: t1\nlogsource: {{category: {category}, product: windows}}\ndetection: {{s: {{{item}}}, condition: s}}\n"
        );
        assert!(
            !rule_matches(&parse_rules("t.yml", &text).remove(0).unwrap(), &event),
            "{category}"
        );
    }
}

#[test]
fn sysmon_for_linux_auditd_and_macos() {
    check_item(
        "category: network_connection, product: linux",
        "DestinationIp: 10.0.0.1",
        &[
            json!({"Channel": "Linux-Sysmon/Operational", "EventID": 3, "DestinationIp": "10.0.0.1", "product": "linux"}),
        ],
    );
    check_item(
        "product: linux, service: auditd",
        "type: EXECVE, a0: chmod",
        &[
            json!({"type": "EXECVE", "a0": "chmod", "message": "type=EXECVE msg=audit(1.2:3): a0=chmod"}),
            json!({"auditd.log.record_type": "EXECVE", "auditd.log.a0": "chmod", "event.module": "auditd"}),
        ],
    );
    check_item(
        "category: process_creation, product: macos",
        "Image|endswith: /osascript",
        &[
            json!({"host.os.type": "macos", "event": {"category": ["process"], "type": ["start"]}, "process.executable": "/usr/bin/osascript"}),
        ],
    );
}

#[test]
fn clouds_and_hosted_services_native_and_normalized() {
    for (logsource, item, native, normalized) in [
        (
            "product: aws, service: cloudtrail",
            "eventSource: iam.amazonaws.com, eventName: CreateUser",
            json!({"eventSource": "iam.amazonaws.com", "eventName": "CreateUser"}),
            json!({"event": {"dataset": "aws.cloudtrail", "provider": "iam.amazonaws.com", "action": "CreateUser"}}),
        ),
        (
            "product: azure, service: activitylogs",
            "operationName: MICROSOFT.KEYVAULT/VAULTS/DELETE",
            json!({"category": "Administrative", "operationName": "MICROSOFT.KEYVAULT/VAULTS/DELETE", "tenantId": "x"}),
            json!({"event": {"dataset": "azure.activitylogs", "action": "MICROSOFT.KEYVAULT/VAULTS/DELETE"}}),
        ),
        (
            "product: azure, service: auditlogs",
            "properties.message: Add user",
            json!({"category": "AuditLogs", "operationName": "Add user"}),
            json!({"event": {"dataset": "azure.auditlogs", "action": "Add user"}}),
        ),
        (
            "product: azure, service: signinlogs",
            "ResultType: 50126",
            json!({"category": "SignInLogs", "operationName": "Sign-in activity", "resultType": "50126"}),
            json!({"event.dataset": "azure.signinlogs", "azure.signinlogs.result_type": "50126"}),
        ),
        (
            "product: azure, service: riskdetection",
            "riskEventType: anonymizedIPAddress",
            json!({"riskEventType": "anonymizedIPAddress"}),
            json!({"event.dataset": "azure.identity_protection", "azure.identityprotection.properties.risk_event_type": "anonymizedIPAddress"}),
        ),
        (
            "product: gcp, service: gcp.audit",
            "gcp.audit.method_name: v1.SetIamPolicy",
            json!({"protoPayload": {"methodName": "v1.SetIamPolicy", "serviceName": "x"}}),
            json!({"event": {"dataset": "gcp.audit", "action": "v1.SetIamPolicy"}}),
        ),
        (
            "product: gcp, service: google_workspace.admin",
            "eventService: admin.googleapis.com, eventName: GRANT",
            json!({"protoPayload": {"serviceName": "admin.googleapis.com", "metadata": {"event": {"eventName": "GRANT"}}}}),
            json!({"event": {"dataset": "google_workspace.admin", "provider": "admin.googleapis.com", "action": "GRANT"}}),
        ),
        (
            "product: m365, service: audit",
            "Operation: Set-AdminAuditLogConfig",
            json!({"Workload": "Exchange", "Operation": "Set-AdminAuditLogConfig"}),
            json!({"event": {"dataset": "o365.audit", "action": "Set-AdminAuditLogConfig"}}),
        ),
        (
            "product: m365, service: threat_management",
            "eventSource: SecurityComplianceCenter, eventName: Leak",
            json!({"Workload": "SecurityComplianceCenter", "Operation": "Leak"}),
            json!({"event": {"module": "o365", "provider": "SecurityComplianceCenter", "action": "Leak"}}),
        ),
        (
            "product: okta, service: okta",
            "eventType: user.session.start",
            json!({"eventType": "user.session.start", "actor": {"alternateId": "a@example.com"}}),
            json!({"event.dataset": "okta.system", "okta.event_type": "user.session.start"}),
        ),
        (
            "product: onelogin, service: onelogin.events",
            "event_type_id: 531",
            json!({"event_type_id": 531}),
            json!({"event_type_id": "531", "event.module": "onelogin"}),
        ),
        (
            "product: github, service: audit",
            "action: org.add_member",
            json!({"action": "org.add_member", "actor": "a", "org": "b"}),
            json!({"event": {"dataset": "github.audit", "action": "org.add_member"}}),
        ),
        (
            "product: bitbucket, service: audit",
            "auditType.action: Permission granted",
            json!({"auditType": {"action": "Permission granted"}}),
            json!({"event.dataset": "atlassian_bitbucket.audit", "auditType.action": "Permission granted"}),
        ),
        (
            "product: kubernetes, service: audit",
            "verb: create, objectRef.resource: pods",
            json!({"apiVersion": "audit.k8s.io/v1", "verb": "create", "objectRef": {"resource": "pods"}}),
            json!({"event.dataset": "kubernetes.audit_logs", "kubernetes.audit.verb": "create", "kubernetes.audit.objectRef.resource": "pods"}),
        ),
        (
            "category: application, product: kubernetes",
            "verb: create",
            json!({"apiVersion": "audit.k8s.io/v1", "verb": "create"}),
            json!({"event.dataset": "kubernetes.audit_logs", "kubernetes.audit.verb": "create"}),
        ),
    ] {
        let mut normalized = normalized;
        if logsource.contains("kubernetes") && normalized.get("event.module").is_none() {
            normalized["event.module"] = json!("kubernetes");
        }
        check_item(logsource, item, &[native, normalized]);
    }
}

#[test]
fn web_proxies_names_and_networks_native_and_normalized() {
    for (logsource, item, native, normalized) in [
        (
            "category: webserver",
            "cs-method: GET, cs-uri-query|contains: passwd, sc-status: 200",
            json!({"cs-method": "GET", "cs-uri-query": "f=passwd", "sc-status": 200}),
            json!({"http.request.method": "get", "url.query": "f=passwd", "http.response.status_code": 200}),
        ),
        (
            "category: proxy",
            "c-uri|contains: evil, c-useragent: x",
            json!({"c-uri": "http://evil/", "c-useragent": "x"}),
            json!({"event.category": ["web"], "url.original": "http://evil/", "user_agent.original": "x"}),
        ),
        (
            "category: dns",
            "query: evil.example, record_type: TXT",
            json!({"query": "evil.example", "record_type": "TXT", "_path": "dns"}),
            json!({"dns.question.name": "evil.example", "dns.question.type": "TXT"}),
        ),
        (
            "category: firewall",
            "dst_port: 22, action: allow",
            json!({"dst_port": 22, "action": "allow", "category": "firewall"}),
            json!({"event.category": ["network"], "event.action": "allow", "destination.port": 22}),
        ),
        (
            "product: zeek, service: dns",
            "query: evil.example",
            json!({"_path": "dns", "query": "evil.example", "id.orig_h": "10.0.0.1"}),
            json!({"event.dataset": "zeek.dns", "dns.question.name": "evil.example"}),
        ),
        (
            "product: zeek, service: http",
            "c-useragent: x, uri: /a",
            json!({"_path": "http", "user_agent": "x", "uri": "/a"}),
            json!({"event.dataset": "zeek.http", "user_agent.original": "x", "url.original": "/a"}),
        ),
        (
            "product: cisco, service: aaa",
            "'|contains': erase",
            json!({"message": "%PARSER-5-CFGLOG_LOGGEDCMD: erase", "event.module": "cisco"}),
            json!({"message": "erase", "event": {"module": "cisco_ios", "dataset": "cisco.ios"}}),
        ),
        (
            "product: cisco, service: duo",
            "event_type: authentication",
            json!({"event_type": "authentication", "event.module": "cisco_duo"}),
            json!({"event": {"module": "cisco_duo", "action": "authentication"}}),
        ),
        (
            "product: fortigate, service: event",
            "action: Add, cfgpath: system.admin",
            json!({"devid": "FGT60", "type": "event", "action": "Add", "cfgpath": "system.admin"}),
            json!({"event.dataset": "fortinet.firewall", "fortinet.firewall.type": "event", "fortinet.firewall.action": "Add", "fortinet.firewall.cfgpath": "system.admin"}),
        ),
        (
            "product: juniper, service: bgp",
            "'|contains': NOTIFICATION",
            json!({"process.name": "rpd", "message": "bgp_read: NOTIFICATION"}),
            json!({"event.module": "juniper_junos", "message": "BGP NOTIFICATION"}),
        ),
        (
            "product: huawei, service: bgp",
            "'|contains': NOTIFICATION",
            json!({"message": "%%01BGP/3/x: NOTIFICATION"}),
            json!({"observer.vendor": "huawei", "message": "BGP/3 NOTIFICATION"}),
        ),
    ] {
        check_item(logsource, item, &[native, normalized]);
    }
}

#[test]
fn applications() {
    for (logsource, item, event) in [
        (
            "category: antivirus",
            "Signature|contains: Mimikatz",
            json!({"Signature": "HackTool/Mimikatz", "Filename": "x"}),
        ),
        (
            "category: antivirus",
            "Signature|contains: Mimikatz",
            json!({"event.category": ["malware"], "threat.indicator.name": "Mimikatz"}),
        ),
        (
            "category: application, product: opencanary",
            "logtype: 4002",
            json!({"logtype": 4002, "node_id": "a"}),
        ),
        (
            "category: application, product: jvm",
            "'|contains': JNDI",
            json!({"process.name": "java", "message": "a JNDI lookup"}),
        ),
        (
            "category: application, product: django",
            "'|contains': SuspiciousOperation",
            json!({"log.logger": "django.security", "message": "SuspiciousOperation"}),
        ),
        (
            "category: application, product: rpc_firewall",
            "EventID: 3, OpNum: 1",
            json!({"EventLog": "RPCFW", "EventID": 3, "OpNum": 1}),
        ),
        (
            "category: database",
            "'|contains': 'drop table'",
            json!({"event.category": ["database"], "message": "drop table x"}),
        ),
        (
            "service: apache",
            "'|contains': crash",
            json!({"event.dataset": "apache.error", "message": "crash"}),
        ),
        (
            "service: netflow",
            "destination.port: 80",
            json!({"event.dataset": "netflow.log", "destination.port": 80}),
        ),
    ] {
        check_item(logsource, item, &[event]);
    }
}

#[test]
fn a_users_file_extends_replaces_and_renames() {
    let pipeline = "
name: our firewall
transformations:
  - type: logsource_events
    logsource: {category: firewall}
    events: {log_source: acme-fw, kind|startswith: traffic}
  - type: field_name_alternatives
    logsource: {category: firewall}
    mapping: {dst_port: [acme_dport]}
  - type: logsource_events
    logsource: {product: windows, service: security}
    replace: true
    events: {feed: winsec}
";
    let catalog = Catalog::with_pipelines(&[("fw.yml".to_owned(), pipeline.to_owned())]).unwrap();
    let rule = |logsource: &str, item: &str| {
        let text =
            format!("title: T\nid: t1\nlogsource: {{{logsource}}}\ndetection: {{s: {{{item}}}, condition: s}}\n");
        parse_rules("t.yml", &text).remove(0).unwrap()
    };
    let matches = |rule, json: Json| reference::matches(&catalog.resolve(&rule).unwrap(), &event(&json));
    let firewall = || rule("category: firewall", "dst_port: 22");
    assert!(matches(
        firewall(),
        json!({"log_source": "acme-fw", "kind": "traffic-v1", "acme_dport": 22})
    ));
    assert!(matches(
        firewall(),
        json!({"event.module": "iptables", "destination.port": 22})
    ));
    assert!(!matches(
        firewall(),
        json!({"log_source": "other", "kind": "traffic", "acme_dport": 22})
    ));
    let security = || rule("product: windows, service: security", "EventID: 1");
    assert!(matches(
        security(),
        json!({"feed": "winsec", "host.os.type": "windows", "EventID": 1})
    ));
    assert!(!matches(security(), json!({"Channel": "Security", "EventID": 1})));
    // A condition a pipeline adds stands for what nobody knows.
    let unknown = "
transformations:
  - type: add_condition
    conditions: {index: plan9}
    rule_conditions: [{type: logsource, product: plan9}]
";
    let catalog = Catalog::with_pipelines(&[("p.yml".to_owned(), unknown.to_owned())]).unwrap();
    let plan9 = rule("product: plan9, service: factotum", "a: b");
    assert!(reference::matches(
        &catalog.resolve(&plan9).unwrap(),
        &event(&json!({"index": "plan9", "a": "b"}))
    ));
    assert!(!reference::matches(
        &catalog.resolve(&plan9).unwrap(),
        &event(&json!({"a": "b"}))
    ));
}

#[test]
fn custom_keys_are_kept_and_parts_are_lower_case() {
    let text = "title: T\nid: t1\nlogsource: {product: Linux, service: SSHD, definition: needs auditd, vendor: acme}\n\
                detection: {s: {a: b}, condition: s}\n";
    let rule = parse_rules("t.yml", text).remove(0).unwrap();
    assert_eq!(rule.logsource.product.as_deref(), Some("linux"));
    assert_eq!(rule.logsource.service.as_deref(), Some("sshd"));
    assert_eq!(rule.logsource.definition.as_deref(), Some("needs auditd"));
    assert_eq!(rule.logsource.custom["vendor"], "acme");
}
