//! The shapes: winlogbeat's, Wazuh's eventchannel, nxlog's, Fluent Bit's, Microsoft's own `Event.System`, and the flat one
//! that rules are written for.

use serde_json::{Map, Value as Json};

use super::Event;
use crate::event_log;

/// Longest text that is taken apart as a message.
const MAX_MESSAGE: usize = 1 << 16;

/// The event in an object, when it is one.
pub(super) fn read(object: &Map<String, Json>) -> Option<Event> {
    winlogbeat(object)
        .or_else(|| wazuh(object))
        .or_else(|| raw(object))
        .or_else(|| flat(object))
}

fn text(object: &Map<String, Json>, names: &[&str]) -> String {
    names
        .iter()
        .find_map(|name| match object.get(*name)? {
            Json::String(text) => Some(text.clone()),
            Json::Number(number) => Some(number.to_string()),
            Json::Null | Json::Bool(_) | Json::Array(_) | Json::Object(_) => None,
        })
        .unwrap_or_default()
}

fn id(object: &Map<String, Json>, names: &[&str]) -> Option<i64> {
    names.iter().find_map(|name| match object.get(*name)? {
        Json::Number(number) => number.as_i64(),
        Json::String(text) => text.trim().parse().ok(),
        Json::Null | Json::Bool(_) | Json::Array(_) | Json::Object(_) => None,
    })
}

fn strings(object: &Map<String, Json>) -> Map<String, Json> {
    strings_of(object, |_| true)
}

/// The members of some names as texts.
fn strings_of(object: &Map<String, Json>, is_wanted: impl Fn(&str) -> bool) -> Map<String, Json> {
    let mut strings = Map::with_capacity(object.len());
    for (name, value) in object.iter().filter(|(name, _)| is_wanted(name)) {
        let text = match value {
            Json::String(text) => text.clone(),
            Json::Null => continue,
            Json::Bool(_) | Json::Number(_) | Json::Array(_) | Json::Object(_) => value.to_string(),
        };
        strings.insert(name.clone(), Json::String(text));
    }
    strings
}

/// What the level's number or word means.
fn level(text: &str) -> String {
    match text {
        "0" | "4" => "information".to_owned(),
        "1" => "critical".to_owned(),
        "2" => "error".to_owned(),
        "3" => "warning".to_owned(),
        "5" => "verbose".to_owned(),
        "INFO" => "information".to_owned(),
        other => other.to_ascii_lowercase(),
    }
}

/// The outcome of an audit by its keywords: names, or the bits 0x20 (success) and 0x10 (failure) of the highest words.
fn outcome(keywords: &str) -> &'static str {
    let lower = keywords.to_ascii_lowercase();
    if lower.contains("audit success") || lower.contains("audit_success") {
        return "success";
    }
    if lower.contains("audit failure") || lower.contains("audit_failure") {
        return "failure";
    }
    let bits = match lower.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16).ok(),
        #[allow(clippy::cast_sign_loss, reason = "the bits are what counts")]
        None => lower
            .parse::<u64>()
            .ok()
            .or_else(|| lower.parse::<i64>().ok().map(|number| number as u64)),
    };
    match bits {
        Some(bits) if bits & 0x0020_0000_0000_0000 != 0 => "success",
        Some(bits) if bits & 0x0010_0000_0000_0000 != 0 => "failure",
        _ => "",
    }
}

/// `{"winlog": {"event_id": …, "event_data": {…}}, …}`
fn winlogbeat(object: &Map<String, Json>) -> Option<Event> {
    let winlog = object.get("winlog")?.as_object()?;
    let id = id(winlog, &["event_id"])?;
    let mut data = Map::new();
    for name in ["event_data", "user_data"] {
        if let Some(Json::Object(members)) = winlog.get(name) {
            data.extend(strings(members));
        }
    }
    let process = winlog.get("process").and_then(Json::as_object);
    let at = |names: &[&str]| process.map_or_else(String::new, |process| text(process, names));
    let keywords = winlog.get("keywords").map_or_else(String::new, Json::to_string);
    let event = object.get("event").and_then(Json::as_object);
    let said = event.map_or_else(String::new, |event| text(event, &["outcome"]));
    let log = object.get("log").and_then(Json::as_object);
    let created = text(winlog, &["time_created"]);
    Some(Event {
        channel: text(winlog, &["channel"]),
        provider: text(winlog, &["provider_name"]),
        id,
        computer: text(winlog, &["computer_name"]),
        time: if created.is_empty() {
            text(object, &["@timestamp"])
        } else {
            created
        },
        record: text(winlog, &["record_id"]),
        level: level(&log.map_or_else(|| text(winlog, &["level"]), |log| text(log, &["level"]))),
        outcome: match (outcome(&keywords), said.as_str()) {
            ("", "success") => "success",
            ("", "failure") => "failure",
            (outcome, _) => outcome,
        },
        pid: at(&["pid"]),
        thread: process
            .and_then(|process| process.get("thread")?.as_object())
            .map_or_else(String::new, |thread| text(thread, &["id"])),
        data,
        message: text(object, &["message"]),
        adds_data: true,
    })
}

/// `{"win": {"system": {…}, "eventdata": {…}}}`, alone or as the data of an alert.
fn wazuh(object: &Map<String, Json>) -> Option<Event> {
    let win = object.get("win")?.as_object()?;
    let system = win.get("system")?.as_object()?;
    let id = id(system, &["eventID"])?;
    let mut data = Map::new();
    for name in ["eventdata", "userdata", "eventData"] {
        let Some(Json::Object(members)) = win.get(name) else {
            continue;
        };
        for (name, value) in strings(members) {
            // Wazuh writes the first letter small.
            let mut letters = name.chars();
            let capital = letters.next().map(|first| first.to_ascii_uppercase());
            let name: String = capital.into_iter().chain(letters).collect();
            data.insert(name, value);
        }
    }
    let severity = text(system, &["severityValue"]);
    Some(Event {
        channel: text(system, &["channel"]),
        provider: text(system, &["providerName"]),
        id,
        computer: text(system, &["computer"]),
        time: text(system, &["systemTime"]),
        record: text(system, &["eventRecordID"]),
        level: level(&text(system, &["level"])),
        outcome: match outcome(&severity) {
            "" => outcome(&text(system, &["keywords"])),
            known => known,
        },
        pid: text(system, &["processID"]),
        thread: text(system, &["threadID"]),
        data,
        message: text(system, &["message"]).trim_matches('"').to_owned(),
        adds_data: true,
    })
}

/// `{"Event": {"System": …, "EventData": …}}` or the same without the outermost member.
fn raw(object: &Map<String, Json>) -> Option<Event> {
    if let Some(members) = event_log::flatten(object) {
        return flat(&members);
    }
    object.get("System")?.as_object()?;
    let mut wrapped = Map::new();
    wrapped.insert("Event".to_owned(), Json::Object(object.clone()));
    flat(&event_log::flatten(&wrapped)?)
}

/// What describes the event itself in the flat shapes; the rest is its data.
const SYSTEM: &[&str] = &[
    "EventID",
    "Channel",
    "Provider_Name",
    "ProviderName",
    "SourceName",
    "Provider_Guid",
    "ProviderGuid",
    "Computer",
    "Hostname",
    "TimeCreated",
    "EventTime",
    "EventRecordID",
    "RecordNumber",
    "Level",
    "Severity",
    "SeverityValue",
    "Keywords",
    "Execution_ProcessID",
    "Execution_ThreadID",
    "ProcessID",
    "ThreadID",
    "ExecutionProcessID",
    "ExecutionThreadID",
    "Version",
    "Task",
    "Opcode",
    "OpcodeValue",
    "Qualifiers",
    "EventReceivedTime",
    "SourceModuleName",
    "SourceModuleType",
    "Message",
    "message",
    "StringInserts",
    "EventType",
    "ActivityID",
    "RelatedActivityID",
    "UserID",
    "Security_UserID",
    "EventID_Qualifiers",
    "Correlation_ActivityID",
];

/// Members beside each other: as rules know them, nxlog's and Fluent Bit's.
fn flat(object: &Map<String, Json>) -> Option<Event> {
    let number = id(object, &["EventID"])?;
    let channel = text(object, &["Channel"]);
    let provider = text(object, &["Provider_Name", "ProviderName", "SourceName", "Provider"]);
    if channel.is_empty() && provider.is_empty() {
        return None;
    }
    let keywords = text(object, &["EventType"]);
    let keywords = if outcome(&keywords).is_empty() {
        text(object, &["Keywords"])
    } else {
        keywords
    };
    let is_data = |name: &str| !SYSTEM.contains(&name) || name == "EventType" && outcome(&keywords).is_empty();
    let mut data = strings_of(object, is_data);
    // Some collectors keep the data as JSON text.
    if let Some(Json::String(inner)) = object.get("EventData")
        && let Ok(inner) = serde_json::from_str::<Map<String, Json>>(inner)
    {
        data.extend(strings(&inner));
    }
    if let Some(Json::Array(inserts)) = object.get("StringInserts") {
        position(&mut data, &provider, number, inserts);
    }
    let message = text(object, &["Message", "message"]);
    if data.len() < 3 && message.len() <= MAX_MESSAGE {
        from_message(&mut data, &message);
    }
    Some(Event {
        channel,
        provider,
        id: number,
        computer: text(object, &["Computer", "Hostname"]),
        time: text(object, &["TimeCreated", "EventTime", "@timestamp", "TimeGenerated"]),
        record: text(object, &["EventRecordID", "RecordNumber"]),
        level: level(&text(object, &["Level", "Severity"])),
        outcome: outcome(&keywords),
        pid: text(object, &["Execution_ProcessID", "ExecutionProcessID", "ProcessID"]),
        thread: text(object, &["Execution_ThreadID", "ExecutionThreadID", "ThreadID"]),
        data,
        message,
        adds_data: true,
    })
}

/// The members of an event that is only given as a list, in the order of the provider's template.
const TEMPLATES: &[(i64, &[&str])] = &[
    (
        4624,
        &[
            "SubjectUserSid",
            "SubjectUserName",
            "SubjectDomainName",
            "SubjectLogonId",
            "TargetUserSid",
            "TargetUserName",
            "TargetDomainName",
            "TargetLogonId",
            "LogonType",
            "LogonProcessName",
            "AuthenticationPackageName",
            "WorkstationName",
            "LogonGuid",
            "TransmittedServices",
            "LmPackageName",
            "KeyLength",
            "ProcessId",
            "ProcessName",
            "IpAddress",
            "IpPort",
            "ImpersonationLevel",
        ],
    ),
    (
        4625,
        &[
            "SubjectUserSid",
            "SubjectUserName",
            "SubjectDomainName",
            "SubjectLogonId",
            "TargetUserSid",
            "TargetUserName",
            "TargetDomainName",
            "Status",
            "FailureReason",
            "SubStatus",
            "LogonType",
            "LogonProcessName",
            "AuthenticationPackageName",
            "WorkstationName",
            "TransmittedServices",
            "LmPackageName",
            "KeyLength",
            "ProcessId",
            "ProcessName",
            "IpAddress",
            "IpPort",
        ],
    ),
    (
        4634,
        &[
            "TargetUserSid",
            "TargetUserName",
            "TargetDomainName",
            "TargetLogonId",
            "LogonType",
        ],
    ),
    (
        4647,
        &["TargetUserSid", "TargetUserName", "TargetDomainName", "TargetLogonId"],
    ),
    (
        4648,
        &[
            "SubjectUserSid",
            "SubjectUserName",
            "SubjectDomainName",
            "SubjectLogonId",
            "LogonGuid",
            "TargetUserName",
            "TargetDomainName",
            "TargetLogonGuid",
            "TargetServerName",
            "TargetInfo",
            "ProcessId",
            "ProcessName",
            "IpAddress",
            "IpPort",
        ],
    ),
    (
        4672,
        &[
            "SubjectUserSid",
            "SubjectUserName",
            "SubjectDomainName",
            "SubjectLogonId",
            "PrivilegeList",
        ],
    ),
    (
        4688,
        &[
            "SubjectUserSid",
            "SubjectUserName",
            "SubjectDomainName",
            "SubjectLogonId",
            "NewProcessId",
            "NewProcessName",
            "TokenElevationType",
            "ProcessId",
            "CommandLine",
            "TargetUserSid",
            "TargetUserName",
            "TargetDomainName",
            "TargetLogonId",
            "ParentProcessName",
            "MandatoryLabel",
        ],
    ),
    (
        4689,
        &[
            "SubjectUserSid",
            "SubjectUserName",
            "SubjectDomainName",
            "SubjectLogonId",
            "Status",
            "ProcessId",
            "ProcessName",
        ],
    ),
    (
        4697,
        &[
            "SubjectUserSid",
            "SubjectUserName",
            "SubjectDomainName",
            "SubjectLogonId",
            "ServiceName",
            "ServiceFileName",
            "ServiceType",
            "ServiceStartType",
            "ServiceAccount",
        ],
    ),
    (
        4698,
        &[
            "SubjectUserSid",
            "SubjectUserName",
            "SubjectDomainName",
            "SubjectLogonId",
            "TaskName",
            "TaskContent",
        ],
    ),
    (
        4720,
        &[
            "TargetUserName",
            "TargetDomainName",
            "TargetSid",
            "SubjectUserSid",
            "SubjectUserName",
            "SubjectDomainName",
            "SubjectLogonId",
            "PrivilegeList",
        ],
    ),
    (
        4722,
        &[
            "TargetUserName",
            "TargetDomainName",
            "TargetSid",
            "SubjectUserSid",
            "SubjectUserName",
            "SubjectDomainName",
            "SubjectLogonId",
        ],
    ),
    (
        4724,
        &[
            "TargetUserName",
            "TargetDomainName",
            "TargetSid",
            "SubjectUserSid",
            "SubjectUserName",
            "SubjectDomainName",
            "SubjectLogonId",
        ],
    ),
    (
        4725,
        &[
            "TargetUserName",
            "TargetDomainName",
            "TargetSid",
            "SubjectUserSid",
            "SubjectUserName",
            "SubjectDomainName",
            "SubjectLogonId",
        ],
    ),
    (
        4726,
        &[
            "TargetUserName",
            "TargetDomainName",
            "TargetSid",
            "SubjectUserSid",
            "SubjectUserName",
            "SubjectDomainName",
            "SubjectLogonId",
            "PrivilegeList",
        ],
    ),
    (
        4728,
        &[
            "MemberName",
            "MemberSid",
            "TargetUserName",
            "TargetDomainName",
            "TargetSid",
            "SubjectUserSid",
            "SubjectUserName",
            "SubjectDomainName",
            "SubjectLogonId",
            "PrivilegeList",
        ],
    ),
    (
        4732,
        &[
            "MemberName",
            "MemberSid",
            "TargetUserName",
            "TargetDomainName",
            "TargetSid",
            "SubjectUserSid",
            "SubjectUserName",
            "SubjectDomainName",
            "SubjectLogonId",
            "PrivilegeList",
        ],
    ),
    (
        4740,
        &[
            "TargetUserName",
            "TargetDomainName",
            "TargetSid",
            "SubjectUserSid",
            "SubjectUserName",
            "SubjectDomainName",
            "SubjectLogonId",
        ],
    ),
    (
        4768,
        &[
            "TargetUserName",
            "TargetDomainName",
            "TargetSid",
            "ServiceName",
            "ServiceSid",
            "TicketOptions",
            "Status",
            "TicketEncryptionType",
            "PreAuthType",
            "IpAddress",
            "IpPort",
            "CertIssuerName",
            "CertSerialNumber",
            "CertThumbprint",
        ],
    ),
    (
        4769,
        &[
            "TargetUserName",
            "TargetDomainName",
            "ServiceName",
            "ServiceSid",
            "TicketOptions",
            "TicketEncryptionType",
            "IpAddress",
            "IpPort",
            "Status",
            "LogonGuid",
            "TransmittedServices",
        ],
    ),
    (
        4771,
        &[
            "TargetUserName",
            "TargetSid",
            "ServiceName",
            "TicketOptions",
            "Status",
            "PreAuthType",
            "IpAddress",
            "IpPort",
        ],
    ),
    (4776, &["PackageName", "TargetUserName", "Workstation", "Status"]),
    (
        7045,
        &["ServiceName", "ImagePath", "ServiceType", "StartType", "AccountName"],
    ),
];

fn position(data: &mut Map<String, Json>, provider: &str, id: i64, inserts: &[Json]) {
    let known = provider == "Microsoft-Windows-Security-Auditing" || provider == "Service Control Manager";
    let template = TEMPLATES
        .iter()
        .find(|(known, _)| *known == id)
        .map(|(_, names)| *names);
    let Some(names) = template.filter(|_| known) else {
        return;
    };
    for (name, value) in names.iter().zip(inserts) {
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        data.entry((*name).to_owned()).or_insert(Json::String(text));
    }
}

/// `Account Name:\t\talice` lines under `Subject:` and its like, when a shipper has nothing but the text. Whatever an
/// event's own member may hold, the text's sections come in Windows' order, so the first of each name stands.
fn from_message(data: &mut Map<String, Json>, message: &str) {
    let mut section = "";
    for line in message.lines().take(128) {
        let Some((name, value)) = line.split_once(':') else {
            continue;
        };
        let value = value.trim();
        if value.is_empty() {
            if !line.starts_with([' ', '\t']) {
                section = name.trim();
            }
            continue;
        }
        let side = match section {
            "Subject" => "Subject",
            "New Logon"
            | "Account For Which Logon Failed"
            | "Target Account"
            | "New Account"
            | "Account That Was Locked Out"
            | "Account Whose Credentials Were Used" => "Target",
            _ => "",
        };
        let member = match (side, name.trim()) {
            ("Subject", "Security ID") => "SubjectUserSid",
            ("Subject", "Account Name") => "SubjectUserName",
            ("Subject", "Account Domain") => "SubjectDomainName",
            ("Subject", "Logon ID") => "SubjectLogonId",
            ("Target", "Security ID") => "TargetUserSid",
            ("Target", "Account Name") => "TargetUserName",
            ("Target", "Account Domain") => "TargetDomainName",
            ("Target", "Logon ID") => "TargetLogonId",
            ("", "Account Name") => "TargetUserName",
            (_, "Logon Type") => "LogonType",
            (_, "Source Network Address" | "Client Address") => "IpAddress",
            (_, "Source Port" | "Client Port") => "IpPort",
            (_, "Workstation Name") => "WorkstationName",
            (_, "Status") => "Status",
            (_, "Sub Status") => "SubStatus",
            (_, "New Process Name") => "NewProcessName",
            (_, "New Process ID") => "NewProcessId",
            (_, "Creator Process Name") => "ParentProcessName",
            (_, "Process Command Line") => "CommandLine",
            _ => continue,
        };
        data.entry(member.to_owned())
            .or_insert_with(|| Json::String(value.to_owned()));
    }
}
