//! The shapes: winlogbeat's, Wazuh's eventchannel, nxlog's, Fluent Bit's, Microsoft's own `Event.System`, and the flat one
//! that rules are written for.

use std::borrow::Cow;

use super::{Event, templates};
use crate::scan::Marks as _;
use crate::tree::{self, Json, Map};

/// Longest text that is taken apart as a message.
const MAX_MESSAGE: usize = 1 << 16;

/// Most members without a name that are numbered.
const MAX_UNNAMED: usize = 64;

/// The event in an object, when it is one.
pub(super) fn read<'a>(object: &'a Map<'_>) -> Option<Event<'a>> {
    winlogbeat(object).or_else(|| wazuh(object)).or_else(|| flat(object))
}

fn text<'a>(object: &'a Map<'_>, names: &[&str]) -> Cow<'a, str> {
    names
        .iter()
        .find_map(|name| match object.get(name)? {
            Json::String(text) => Some(Cow::Borrowed(text.as_ref())),
            Json::Number(number) => Some(Cow::Owned(number.to_string())),
            Json::Null | Json::Bool(_) | Json::Array(_) | Json::Object(_) => None,
        })
        .unwrap_or_default()
}

fn id(object: &Map<'_>, names: &[&str]) -> Option<i64> {
    names.iter().find_map(|name| match object.get(name)? {
        Json::Number(number) => number.as_i64(),
        Json::String(text) => text.trim().parse().ok(),
        Json::Null | Json::Bool(_) | Json::Array(_) | Json::Object(_) => None,
    })
}

fn strings<'a>(object: &'a Map<'_>) -> Map<'a> {
    strings_of(object, |_| true)
}

/// The members of some names as texts.
fn strings_of<'a>(object: &'a Map<'_>, is_wanted: impl Fn(&str) -> bool) -> Map<'a> {
    let mut strings = Map::with_capacity(object.len());
    for (name, value) in object.iter().filter(|(name, _)| is_wanted(name)) {
        let text = match value {
            Json::String(text) => Cow::Borrowed(text.as_ref()),
            Json::Null => continue,
            Json::Bool(_) | Json::Number(_) | Json::Array(_) | Json::Object(_) => Cow::Owned(value.to_string()),
        };
        strings.insert(name, Json::String(text));
    }
    strings
}

/// What the level's number or word means.
fn level(text: &str) -> Cow<'static, str> {
    Cow::Borrowed(match text {
        "0" | "4" | "INFO" | "information" => "information",
        "1" => "critical",
        "2" => "error",
        "3" => "warning",
        "5" => "verbose",
        other => return Cow::Owned(other.to_ascii_lowercase()),
    })
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
fn winlogbeat<'a>(object: &'a Map<'_>) -> Option<Event<'a>> {
    let winlog = object.get("winlog")?.as_object()?;
    let id = id(winlog, &["event_id"])?;
    let mut data = Map::new();
    for name in ["event_data", "user_data"] {
        if let Some(Json::Object(members)) = winlog.get(name) {
            data.extend(strings(members));
        }
    }
    // Members without names are a list where rules look for them.
    let unnamed: Vec<Json<'_>> = (1..=MAX_UNNAMED)
        .map_while(|at| data.get(&format!("param{at}")).cloned())
        .collect();
    if unnamed.len() > 1 && !data.contains_key("Data") {
        data.insert("Data", Json::Array(unnamed));
    }
    let process = winlog.get("process").and_then(Json::as_object);
    let at = |names: &[&str]| process.map_or_else(Cow::default, |process| text(process, names));
    let keywords = winlog.get("keywords").map_or_else(String::new, ToString::to_string);
    let event = object.get("event").and_then(Json::as_object);
    let said = event.map_or_else(Cow::default, |event| text(event, &["outcome"]));
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
        outcome: match (outcome(&keywords), said.as_ref()) {
            ("", "success") => "success",
            ("", "failure") => "failure",
            (outcome, _) => outcome,
        },
        pid: at(&["pid"]),
        thread: process
            .and_then(|process| process.get("thread")?.as_object())
            .map_or_else(Cow::default, |thread| text(thread, &["id"])),
        writer: winlog
            .get("user")
            .and_then(Json::as_object)
            .map_or_else(Cow::default, |user| text(user, &["identifier"])),
        writer_account: winlog
            .get("user")
            .and_then(Json::as_object)
            .map(|user| [text(user, &["domain"]), text(user, &["name"])])
            .unwrap_or_default(),
        data,
        message: text(object, &["message"]),
        adds_data: true,
    })
}

/// `{"win": {"system": {…}, "eventdata": {…}}}`, alone or as the data of an alert.
fn wazuh<'a>(object: &'a Map<'_>) -> Option<Event<'a>> {
    let win = object.get("win")?.as_object()?;
    let system = win.get("system")?.as_object()?;
    let id = id(system, &["eventID"])?;
    let mut data = Map::new();
    // Beside the system's members are those of the event, under `eventdata` or the name of the provider's template.
    let others = win.iter().filter(|(name, _)| *name != "system");
    for members in others.filter_map(|(_, value)| value.as_object()).take(4) {
        for (name, value) in strings(members) {
            // Wazuh writes the first letter small.
            let mut name = name.into_owned();
            if let Some(first) = name.get_mut(..1) {
                first.make_ascii_uppercase();
            }
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
        writer: Cow::default(),
        writer_account: Default::default(),
        data,
        message: match text(system, &["message"]) {
            Cow::Borrowed(text) => Cow::Borrowed(text.trim_matches('"')),
            Cow::Owned(text) => Cow::Owned(text),
        },
        adds_data: true,
    })
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
fn flat<'a>(object: &'a Map<'_>) -> Option<Event<'a>> {
    let id = id(object, &["EventID"])?;
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
    if let Some(Json::Array(items)) = object.get("Data") {
        number(&mut data, items);
        data.insert("Data", Json::Array(items.iter().map(Json::borrowed).collect()));
    }
    // Some collectors keep the data as JSON text.
    if let Some(Json::String(inner)) = object.get("EventData")
        && let Some(inner) = tree::object(inner)
    {
        data.extend(strings(&inner).into_owned());
    }
    if let Some(Json::Array(inserts)) = object.get("StringInserts") {
        position(&mut data, &provider, id, inserts);
    }
    let message = text(object, &["Message", "message"]);
    if data.len() < 3 && message.len() <= MAX_MESSAGE {
        from_message(&mut data, &message);
    }
    Some(Event {
        channel,
        provider,
        id,
        computer: text(object, &["Computer", "Hostname"]),
        time: text(object, &["TimeCreated", "EventTime", "@timestamp", "TimeGenerated"]),
        record: text(object, &["EventRecordID", "RecordNumber"]),
        level: level(&text(object, &["Level", "Severity"])),
        outcome: outcome(&keywords),
        pid: text(object, &["Execution_ProcessID", "ExecutionProcessID", "ProcessID"]),
        thread: text(object, &["Execution_ThreadID", "ExecutionThreadID", "ThreadID"]),
        writer: text(object, &["Security_UserID", "UserID"]),
        writer_account: Default::default(),
        data,
        message,
        adds_data: true,
    })
}

/// Names the members of an event that is only given as a list.
fn position<'a>(data: &mut Map<'a>, provider: &str, id: i64, inserts: &'a [Json<'_>]) {
    let Some(names) = templates::members(provider, id) else {
        number(data, inserts);
        return;
    };
    for (name, value) in names.zip(inserts) {
        let text = value
            .as_str()
            .map_or_else(|| Cow::Owned(value.to_string()), Cow::Borrowed);
        data.insert_default(name, || Json::String(text));
    }
}

/// Numbers members that have no names, as winlogbeat does.
fn number<'a>(data: &mut Map<'a>, items: &'a [Json<'_>]) {
    for (at, item) in items.iter().enumerate().take(MAX_UNNAMED) {
        if let Some(text) = item.as_str() {
            data.insert_default(format!("param{}", at + 1), || Json::from(text));
        }
    }
}

/// `Account Name:\t\talice` lines under `Subject:` and its like, when a shipper has nothing but the text. Whatever an
/// event's own member may hold, the text's sections come in Windows' order, so the first of each name stands.
fn from_message(data: &mut Map<'_>, message: &str) {
    let mut section = "";
    for line in message.lines().take(128) {
        let Some((name, value)) = line.cut_at(b':') else {
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
        data.insert_default(member, || Json::from(value.to_owned()));
    }
}
