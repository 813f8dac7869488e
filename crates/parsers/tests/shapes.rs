//! One Windows event says the same in every shape its shippers give it.

#![allow(clippy::unwrap_used, reason = "the helpers of tests may fail as tests do")]

mod check;

use std::collections::BTreeMap;

use check::line;
use serde_json::{Map, Value, json};

/// Provider, channel, number, and the members in the order of the provider's manifest. Members without a name are `""`.
type Sample = (&'static str, &'static str, i64, &'static [(&'static str, &'static str)]);

const SECURITY: &str = "Microsoft-Windows-Security-Auditing";
const SYSMON: &str = "Microsoft-Windows-Sysmon";
const SYSMON_LOG: &str = "Microsoft-Windows-Sysmon/Operational";
const ENGINE: &str = "\tNewEngineState=Available\r\n\tPreviousEngineState=None\r\n\r\n\tSequenceNumber=13\r\n\r\n\tHostName=ConsoleHost\r\n\tHostVersion=5.1\r\n\tHostId=405e84b5\r\n\tHostApplication=powershell.exe -enc \"a b\"\r\n\tEngineVersion=5.1\r\n\tRunspaceId=5\r\n\tPipelineId=\r\n\tCommandName=\r\n\tCommandLine=";

const EVENTS: &[Sample] = &[
    (
        SECURITY,
        "Security",
        4624,
        &[
            ("SubjectUserSid", "S-1-5-18"),
            ("SubjectUserName", "WS1$"),
            ("SubjectDomainName", "CORP"),
            ("SubjectLogonId", "0x3e7"),
            ("TargetUserSid", "S-1-5-21-1-2-3-1001"),
            ("TargetUserName", "alice"),
            ("TargetDomainName", "CORP"),
            ("TargetLogonId", "0x6cb0f"),
            ("LogonType", "10"),
            ("LogonProcessName", "User32 "),
            ("AuthenticationPackageName", "Negotiate"),
            ("WorkstationName", "WS7"),
            ("LogonGuid", "{00000000-0000-0000-0000-000000000000}"),
            ("TransmittedServices", "-"),
            ("LmPackageName", "-"),
            ("KeyLength", "0"),
            ("ProcessId", "0x2f8"),
            ("ProcessName", "C:\\Windows\\System32\\svchost.exe"),
            ("IpAddress", "203.0.113.9"),
            ("IpPort", "51022"),
            ("ImpersonationLevel", "%%1833"),
        ],
    ),
    (
        SECURITY,
        "Security",
        4732,
        &[
            ("MemberName", "CN=bob,CN=Users,DC=corp,DC=local"),
            ("MemberSid", "S-1-5-21-1-2-3-1002"),
            ("TargetUserName", "Administrators"),
            ("TargetDomainName", "Builtin"),
            ("TargetSid", "S-1-5-32-544"),
            ("SubjectUserSid", "S-1-5-21-1-2-3-500"),
            ("SubjectUserName", "admin"),
            ("SubjectDomainName", "CORP"),
            ("SubjectLogonId", "0x1234"),
            ("PrivilegeList", "-"),
        ],
    ),
    (
        SECURITY,
        "Security",
        4738,
        &[
            ("Dummy", "-"),
            ("TargetUserName", "bob"),
            ("TargetDomainName", "CORP"),
            ("TargetSid", "S-1-5-21-1-2-3-1002"),
            ("SubjectUserSid", "S-1-5-21-1-2-3-500"),
            ("SubjectUserName", "admin"),
            ("SubjectDomainName", "CORP"),
            ("SubjectLogonId", "0x1234"),
        ],
    ),
    (
        SECURITY,
        "Security",
        5145,
        &[
            ("SubjectUserSid", "S-1-5-21-1-2-3-1001"),
            ("SubjectUserName", "alice"),
            ("SubjectDomainName", "CORP"),
            ("SubjectLogonId", "0x1234"),
            ("ObjectType", "File"),
            ("IpAddress", "203.0.113.9"),
            ("IpPort", "50000"),
            ("ShareName", "\\\\*\\Docs"),
            ("ShareLocalPath", "\\??\\C:\\Docs"),
            ("RelativeTargetName", "plans\\q1.xlsx"),
            ("AccessMask", "0x1"),
            ("AccessList", "%%4416"),
        ],
    ),
    (
        "Microsoft-Windows-Eventlog",
        "Security",
        1102,
        &[
            ("SubjectUserSid", "S-1-5-21-1-2-3-500"),
            ("SubjectUserName", "admin"),
            ("SubjectDomainName", "CORP"),
            ("SubjectLogonId", "0x1234"),
        ],
    ),
    (
        "Service Control Manager",
        "System",
        7045,
        &[
            ("ServiceName", "PSEXESVC"),
            ("ImagePath", "%SystemRoot%\\PSEXESVC.exe"),
            ("ServiceType", "user mode service"),
            ("StartType", "demand start"),
            ("AccountName", "LocalSystem"),
        ],
    ),
    (
        "Microsoft-Windows-PowerShell",
        "Microsoft-Windows-PowerShell/Operational",
        4104,
        &[
            ("MessageNumber", "1"),
            ("MessageTotal", "2"),
            ("ScriptBlockText", "Get-Process | % { \"<&>\" }\nexit"),
            ("ScriptBlockId", "5a4b"),
            ("Path", "C:\\x\\y.ps1"),
        ],
    ),
    (
        "PowerShell",
        "Windows PowerShell",
        400,
        &[("", "Available"), ("", "None"), ("", ENGINE)],
    ),
    (
        SYSMON,
        SYSMON_LOG,
        1,
        &[
            ("RuleName", "-"),
            ("UtcTime", "2026-11-21 10:00:00.000"),
            ("ProcessGuid", "{a}"),
            ("ProcessId", "4242"),
            ("Image", "C:\\Windows\\System32\\cmd.exe"),
            ("FileVersion", "10.0"),
            ("Description", "Windows Command Processor"),
            ("Product", "Windows"),
            ("Company", "Microsoft"),
            ("OriginalFileName", "Cmd.Exe"),
            ("CommandLine", "cmd.exe /c \"echo <a> & b\""),
            ("CurrentDirectory", "C:\\"),
            ("User", "CORP\\alice"),
            ("LogonGuid", "{b}"),
            ("LogonId", "0x1234"),
            ("TerminalSessionId", "1"),
            ("IntegrityLevel", "High"),
            ("Hashes", "MD5=0123456789ABCDEF0123456789ABCDEF"),
            ("ParentProcessGuid", "{c}"),
            ("ParentProcessId", "17"),
            ("ParentImage", "C:\\Windows\\explorer.exe"),
            ("ParentCommandLine", "explorer.exe"),
            ("ParentUser", "CORP\\alice"),
        ],
    ),
    (
        SYSMON,
        SYSMON_LOG,
        22,
        &[
            ("RuleName", "-"),
            ("UtcTime", "2026-11-21 10:00:00.000"),
            ("ProcessGuid", "{a}"),
            ("ProcessId", "4242"),
            ("QueryName", "www.example.com"),
            ("QueryStatus", "0"),
            ("QueryResults", "::ffff:203.0.113.9;"),
            ("Image", "C:\\a.exe"),
            ("User", "CORP\\alice"),
        ],
    ),
    (
        "Microsoft-Windows-TaskScheduler",
        "Microsoft-Windows-TaskScheduler/Operational",
        106,
        &[("TaskName", "\\evil"), ("UserContext", "CORP\\bob")],
    ),
    (
        "Microsoft-Windows-Windows Defender",
        "Microsoft-Windows-Windows Defender/Operational",
        5007,
        &[
            ("Product Name", "Microsoft Defender Antivirus"),
            ("Product Version", "4.18"),
            ("Old Value", ""),
            ("New Value", "HKLM\\x = 0x1"),
        ],
    ),
];

const TIME: &str = "2026-11-21T10:00:00.000Z";
const KEYWORDS: &str = "0x8020000000000000";

fn is_named(event: &Sample) -> bool {
    event.3.iter().all(|(name, _)| !name.is_empty())
}

/// The event in each of the shapes, as the line that comes.
fn shapes(event: &Sample) -> Vec<(&'static str, String)> {
    let (provider, channel, id, members) = *event;
    let named: Map<String, Value> = members
        .iter()
        .map(|(name, value)| ((*name).to_owned(), json!(value)))
        .collect();
    let values: Vec<&str> = members.iter().map(|(_, value)| *value).collect();
    let system = |attributes: &str| {
        json!({
            "Provider": {attributes: {"Name": provider, "Guid": "{x}"}}, "EventID": id, "Level": 4, "Keywords": KEYWORDS,
            "TimeCreated": {attributes: {"SystemTime": TIME}}, "EventRecordID": 7,
            "Execution": {attributes: {"ProcessID": 700, "ThreadID": 5}}, "Channel": channel, "Computer": "ws1.corp.local",
        })
    };
    let list = |name: &str, text: &str| -> Value {
        members
            .iter()
            .map(|(member, value)| match *member {
                "" => json!(value),
                member => json!({name: member, text: value}),
            })
            .collect()
    };
    let mut all = Vec::new();
    let data = if is_named(event) {
        Value::Object(named.clone())
    } else {
        json!({"Data": {"#text": values}})
    };
    all.push((
        "evtx",
        json!({"Event": {"System": system("#attributes"), "EventData": data}}).to_string(),
    ));
    all.push((
        "attributes beside",
        json!({"Event": {
            "System": {
                "Provider_attributes": {"Name": provider}, "EventID": id, "Level": 4, "Keywords": KEYWORDS,
                "TimeCreated_attributes": {"SystemTime": TIME}, "EventRecordID": 7, "Channel": channel,
                "Execution_attributes": {"ProcessID": 700, "ThreadID": 5}, "Computer": "ws1.corp.local",
            },
            "EventData": if is_named(event) { Value::Object(named.clone()) } else { json!({"Data": values}) },
        }})
        .to_string(),
    ));
    all.push((
        "attributes with @",
        json!({"Event": {
            "@xmlns": "http://schemas.microsoft.com/win/2004/08/events/event",
            "System": {
                "Provider": {"@Name": provider}, "EventID": {"@Qualifiers": "0", "#text": id.to_string()}, "Level": "4",
                "Keywords": KEYWORDS, "TimeCreated": {"@SystemTime": TIME}, "EventRecordID": "7", "Channel": channel,
                "Execution": {"@ProcessID": "700", "@ThreadID": "5"}, "Computer": "ws1.corp.local", "Correlation": null,
            },
            "EventData": {"Data": list("@Name", "#text")},
        }})
        .to_string(),
    ));
    all.push((
        "attributes as members",
        json!({"Event": {
            "System": {
                "Provider": {"Name": provider}, "EventID": id, "Level": 4, "Keywords": KEYWORDS,
                "TimeCreated": {"SystemTime": TIME}, "EventRecordID": 7, "Channel": channel,
                "Execution": {"ProcessID": 700, "ThreadID": 5}, "Computer": "ws1.corp.local",
            },
            "EventData": {"Data": list("Name", "#text")},
        }})
        .to_string(),
    ));
    let winlog_data: Map<String, Value> = members
        .iter()
        .enumerate()
        .map(|(at, (name, value))| match *name {
            "" => (format!("param{}", at + 1), json!(value)),
            name => (name.to_owned(), json!(value)),
        })
        .collect();
    all.push((
        "winlogbeat",
        json!({
            "@timestamp": TIME, "event": {"code": id.to_string(), "provider": provider}, "log": {"level": "information"},
            "winlog": {
                "event_id": id.to_string(), "channel": channel, "provider_name": provider, "record_id": 7,
                "computer_name": "ws1.corp.local", "process": {"pid": 700, "thread": {"id": 5}},
                "keywords": ["Audit Success"], "event_data": winlog_data,
            },
        })
        .to_string(),
    ));
    let small = |name: &str| format!("{}{}", name[..1].to_lowercase(), &name[1..]);
    let wazuh: Map<String, Value> = if is_named(event) {
        named.iter().map(|(name, value)| (small(name), value.clone())).collect()
    } else {
        [("data".to_owned(), json!(values.join(", ")))].into_iter().collect()
    };
    let template = if id == 1102 { "logFileCleared" } else { "eventdata" };
    all.push((
        "wazuh",
        json!({"win": {
            "system": {
                "providerName": provider, "eventID": id.to_string(), "channel": channel, "computer": "ws1.corp.local",
                "systemTime": TIME, "eventRecordID": "7", "processID": "700", "threadID": "5", "keywords": KEYWORDS,
                "level": "4", "severityValue": "AUDIT_SUCCESS",
            },
            template: wazuh,
        }})
        .to_string(),
    ));
    let mut flat = json!({
        "ProviderName": provider, "EventID": id, "Level": 4, "Keywords": KEYWORDS, "TimeCreated": "2026-11-21 10:00:00 +0000",
        "EventRecordID": 7, "ProcessID": 700, "ThreadID": 5, "Channel": channel, "Computer": "ws1.corp.local",
        "StringInserts": values,
    });
    all.push(("fluent bit", flat.to_string()));
    if is_named(event) {
        let object = flat.as_object_mut().unwrap();
        object.remove("StringInserts");
        object.extend(named);
        all.push(("flat", flat.to_string()));
        let mut nxlog = flat.as_object().unwrap().clone();
        for (theirs, ours) in [
            ("EventTime", "TimeCreated"),
            ("SourceName", "ProviderName"),
            ("Hostname", "Computer"),
            ("RecordNumber", "EventRecordID"),
            ("ExecutionProcessID", "ProcessID"),
        ] {
            let value = nxlog.remove(ours).unwrap();
            nxlog.insert(theirs.to_owned(), value);
        }
        nxlog.insert("Severity".to_owned(), json!("INFO"));
        nxlog.remove("Level");
        nxlog.insert("Keywords".to_owned(), json!(-9_214_364_837_600_034_816_i64));
        all.push(("nxlog", Value::Object(nxlog).to_string()));
    }
    all.extend(xml(event));
    all
}

fn xml(event: &Sample) -> [(&'static str, String); 3] {
    let (provider, channel, id, members) = *event;
    let escape = |text: &str| {
        text.replace('&', "&amp;")
            .replace('<', "&lt;")
            .replace('>', "&gt;")
            .replace('\r', "&#13;")
            .replace('\n', "&#xA;")
    };
    let data: String = members
        .iter()
        .map(|(name, value)| match *name {
            "" => format!("<Data>{}</Data>", escape(value)),
            name => format!("<Data Name='{name}'>{}</Data>", escape(value)),
        })
        .collect();
    let user: String = members
        .iter()
        .filter(|(name, _)| !name.contains(' '))
        .map(|(name, value)| format!("<{name}>{}</{name}>", escape(value)))
        .collect();
    let data = if id == 1102 {
        format!("<UserData><LogFileCleared xmlns='http://y'>{user}</LogFileCleared></UserData>")
    } else {
        format!("<EventData>{data}</EventData>")
    };
    let system = format!(
        "<System><Provider Name='{provider}' Guid='{{x}}'/><EventID Qualifiers='0'>{id}</EventID><Level>4</Level>\
         <Keywords>{KEYWORDS}</Keywords><TimeCreated SystemTime='2026-11-21T10:00:00.0000000Z'/><EventRecordID>7</EventRecordID>\
         <Correlation/><Execution ProcessID='700' ThreadID='5'/><Channel>{channel}</Channel><Computer>ws1.corp.local</Computer>\
         <Security/></System>"
    );
    let open = "<Event xmlns='http://schemas.microsoft.com/win/2004/08/events/event'>";
    let rendered = "<RenderingInfo Culture='en-US'><Message>x</Message><Level>Information</Level><Opcode>Info</Opcode>\
                    <Channel>Other</Channel><Provider>Other</Provider><Keywords><Keyword>Audit Failure</Keyword></Keywords></RenderingInfo>";
    [
        ("xml", format!("{open}{system}{data}</Event>")),
        ("xml, rendered", format!("{open}{system}{data}{rendered}</Event>")),
        (
            "xml in a file",
            format!("\u{feff}<?xml version=\"1.0\" encoding=\"utf-8\"?>{open}{system}{data}</Event>"),
        ),
    ]
}

/// What must be the same: ECS, the event's own members, and what rules call the rest.
fn said(text: &str, event: &Sample) -> BTreeMap<String, String> {
    let parsed = line(text.as_bytes());
    let own = |name: &str| event.3.iter().any(|(member, _)| *member == name);
    // winlogbeat's own names stay as it gave them.
    let theirs = |name: &str| name.starts_with("winlog.event_data.") || name.starts_with("winlog.user_data.");
    let mut said: BTreeMap<_, _> = parsed
        .fields
        .iter()
        .filter(|(name, _)| name.contains('.') || own(name))
        .filter(|(name, _)| !matches!(*name, "event.original" | "winlog.keywords") && !theirs(name))
        .map(|(name, value)| (name.to_owned(), value.to_text().into_owned()))
        .collect();
    said.insert("@timestamp".to_owned(), parsed.timestamp.to_string());
    said
}

#[test]
fn an_event_says_the_same_in_every_shape() {
    let mut wrong = Vec::new();
    for event in EVENTS {
        let shapes = shapes(event);
        let (_, first) = shapes.first().unwrap();
        let expected = said(first, event);
        assert!(expected.contains_key("event.action"), "{first}\n{expected:#?}");
        for (shape, text) in &shapes {
            let found = said(text, event);
            for name in expected.keys().chain(found.keys()) {
                let (expected, found) = (expected.get(name), found.get(name));
                if expected != found {
                    wrong.push(format!("{} {shape}: {name} is {found:?}, not {expected:?}", event.2));
                }
            }
        }
    }
    wrong.sort();
    wrong.dedup();
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// A value cannot pose as what the service says of its event in any of the shapes.
#[test]
fn no_member_of_an_event_says_what_the_event_is() {
    const MEMBERS: &[(&str, &str)] = &[
        ("EventID", "1102"),
        ("Channel", "Security"),
        ("Provider_Name", "Microsoft-Windows-Security-Auditing"),
        ("Computer", "dc"),
        ("EventRecordID", "99"),
        ("Keywords", "0x8010000000000000"),
        ("x", "</Data><Data Name='EventID'>1102</Data>"),
    ];
    let event = ("App", "Application", 1, MEMBERS);
    for (shape, text) in shapes(&event) {
        // Beside each other, names that are twice there are the shipper's fault.
        if matches!(shape, "flat" | "nxlog") {
            continue;
        }
        let parsed = line(text.as_bytes());
        let field = |name: &str| parsed.fields.get(name).map(|value| value.to_text().into_owned());
        assert_eq!(field("event.code").as_deref(), Some("1"), "{shape}");
        assert_eq!(field("EventID").as_deref(), Some("1"), "{shape}");
        assert_eq!(field("Channel").as_deref(), Some("Application"), "{shape}");
        assert_eq!(field("winlog.channel").as_deref(), Some("Application"), "{shape}");
        assert_eq!(field("host.name").as_deref(), Some("ws1.corp.local"), "{shape}");
        assert_eq!(field("event.outcome").as_deref(), Some("success"), "{shape}");
        assert_eq!(field("picket.event_type"), None, "{shape}");
    }
}
