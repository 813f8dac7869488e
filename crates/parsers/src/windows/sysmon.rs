//! Sysmon, of Windows and of Linux. Source: Sysinternals' manifest of version 15.

use model::{Value, ecs};

use super::{Event, account, classify, hashes, set_number};
use crate::clock::parse_time;
use crate::derive::{DESTINATION, SOURCE, endpoint};
use crate::draft::Draft;
use crate::network::is_ip;
use crate::scan::Marks as _;

type Row = (i64, &'static str, &'static [&'static str], &'static [&'static str]);

const EVENTS: &[Row] = &[
    (1, "process-created", &["process"], &["start"]),
    (2, "file-creation-time-changed", &["file"], &["change"]),
    (
        3,
        "network-connection",
        &["network"],
        &["start", "connection", "protocol"],
    ),
    (4, "sysmon-service-state-changed", &["process"], &["change"]),
    (5, "process-terminated", &["process"], &["end"]),
    (6, "driver-loaded", &["driver"], &["start"]),
    (7, "image-loaded", &["process"], &["change"]),
    (8, "remote-thread-created", &["process"], &["change"]),
    (9, "raw-access-read", &["process"], &["access"]),
    (10, "process-accessed", &["process"], &["access"]),
    (11, "file-created", &["file"], &["creation"]),
    (
        12,
        "registry-object-added-or-deleted",
        &["configuration", "registry"],
        &["change"],
    ),
    (13, "registry-value-set", &["configuration", "registry"], &["change"]),
    (
        14,
        "registry-object-renamed",
        &["configuration", "registry"],
        &["change"],
    ),
    (15, "file-stream-created", &["file"], &["access"]),
    (16, "sysmon-configuration-changed", &["configuration"], &["change"]),
    (17, "pipe-created", &["file"], &["creation"]),
    (18, "pipe-connected", &["file"], &["access"]),
    (19, "wmi-filter", &["configuration"], &["change"]),
    (20, "wmi-consumer", &["configuration"], &["change"]),
    (21, "wmi-binding", &["configuration"], &["change"]),
    (22, "dns-query", &["network"], &["connection", "protocol", "info"]),
    (23, "file-deleted", &["file"], &["deletion"]),
    (24, "clipboard-changed", &["process"], &["change"]),
    (25, "process-tampered", &["process"], &["change"]),
    (26, "file-delete-detected", &["file"], &["deletion"]),
    (27, "executable-blocked", &["file"], &["denied"]),
    (28, "shredding-blocked", &["file"], &["denied"]),
    (29, "executable-detected", &["file"], &["creation"]),
    (255, "sysmon-error", &["process"], &["error"]),
];

pub(super) fn describe(draft: &mut Draft, event: &Event<'_>) {
    if let Some((_, action, categories, kinds)) = EVENTS.iter().find(|(id, ..)| *id == event.id) {
        classify(draft, action, categories, kinds);
    }
    let get = |name| event.get(name);
    if event.provider_is("Linux-Sysmon") {
        draft.set_fixed(ecs::HOST_OS_TYPE, "linux");
    }
    if let Some(time) = parse_time(get("UtcTime")) {
        draft.timestamp = Some(time);
    }
    draft.set_text("rule.name", get("RuleName"));
    let (domain, user) = account(get("User"));
    draft.set_text("user.domain", domain);
    draft.user(user);
    draft.set_text("process.entity_id", get("ProcessGuid"));
    set_number(draft, ecs::PROCESS_PID, get("ProcessId"));
    draft.set_text("process.executable", get("Image"));
    match event.id {
        1 => created(draft, event),
        2 | 11 | 15 | 23 | 26 | 27 | 28 | 29 => {
            draft.set_text("file.path", get("TargetFilename"));
            let text = if get("Hashes").is_empty() {
                get("Hash")
            } else {
                get("Hashes")
            };
            hashes(draft, text, true);
        }
        3 => connection(draft, event),
        6 | 7 => {
            draft.set_text("file.path", get("ImageLoaded"));
            hashes(draft, get("Hashes"), true);
            for (name, member) in [
                ("file.pe.original_file_name", "OriginalFileName"),
                ("file.pe.company", "Company"),
                ("file.pe.description", "Description"),
                ("file.pe.file_version", "FileVersion"),
                ("file.pe.product", "Product"),
                ("file.code_signature.subject_name", "Signature"),
                ("file.code_signature.status", "SignatureStatus"),
            ] {
                draft.set_text(name, get(member));
            }
            if let Ok(signed) = get("Signed").parse::<bool>() {
                draft.set("file.code_signature.signed", signed);
                draft.set("file.code_signature.valid", get("SignatureStatus") == "Valid");
            }
        }
        8 | 10 => {
            let guid = if get("SourceProcessGuid").is_empty() {
                get("SourceProcessGUID")
            } else {
                get("SourceProcessGuid")
            };
            draft.set_text("process.entity_id", guid);
            set_number(draft, ecs::PROCESS_PID, get("SourceProcessId"));
            set_number(draft, "process.thread.id", get("SourceThreadId"));
            draft.set_text("process.executable", get("SourceImage"));
            let (domain, user) = account(get("SourceUser"));
            draft.set_text("user.domain", domain);
            draft.user(user);
        }
        9 => draft.set_text("file.path", get("Device")),
        12..=14 => registry(draft, event),
        16 => draft.set_text("file.path", get("Configuration")),
        17 | 18 => draft.set_text("file.name", get("PipeName")),
        22 => dns(draft, event),
        24 => hashes(draft, get("Hashes"), true),
        _ => {}
    }
    match event.id {
        16 => draft.unified("LOG_TAMPERING", 3),
        25 => draft.unified("PROCESS_TAMPERING", 4),
        27 | 28 => draft.unified("MALWARE", 4),
        _ => {}
    }
}

fn created(draft: &mut Draft, event: &Event<'_>) {
    let get = |name| event.get(name);
    for (name, member) in [
        (ecs::PROCESS_COMMAND_LINE, "CommandLine"),
        ("process.working_directory", "CurrentDirectory"),
        ("process.pe.original_file_name", "OriginalFileName"),
        ("process.pe.company", "Company"),
        ("process.pe.description", "Description"),
        ("process.pe.file_version", "FileVersion"),
        ("process.pe.product", "Product"),
        ("process.parent.entity_id", "ParentProcessGuid"),
        ("process.parent.executable", "ParentImage"),
        ("process.parent.command_line", "ParentCommandLine"),
        ("winlog.logon.id", "LogonId"),
    ] {
        draft.set_text(name, get(member));
    }
    set_number(draft, "process.parent.pid", get("ParentProcessId"));
    hashes(draft, get("Hashes"), false);
    let arguments = arguments(get("CommandLine"));
    if !arguments.is_empty() {
        let count = i64::try_from(arguments.len()).unwrap_or(i64::MAX);
        draft.set("process.args_count", count);
        draft.set(
            "process.args",
            arguments.into_iter().map(Value::from).collect::<Value>(),
        );
    }
}

/// The words of a command line as Windows splits them, quotes taken off.
fn arguments(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let (mut quoted, mut begun) = (false, false);
    for c in line.chars().take(1 << 15) {
        match c {
            '"' => {
                quoted = !quoted;
                begun = true;
            }
            ' ' | '\t' if !quoted => {
                if begun {
                    words.push(std::mem::take(&mut word));
                    begun = false;
                }
                if words.len() >= 64 {
                    return words;
                }
            }
            other => {
                word.push(other);
                begun = true;
            }
        }
    }
    if begun {
        words.push(word);
    }
    words
}

fn connection(draft: &mut Draft, event: &Event<'_>) {
    let get = |name| event.get(name);
    endpoint(draft, SOURCE, get("SourceIp"), get("SourcePort"));
    endpoint(draft, DESTINATION, get("DestinationIp"), get("DestinationPort"));
    draft.set_text(ecs::SOURCE_DOMAIN, get("SourceHostname"));
    draft.set_text(ecs::DESTINATION_DOMAIN, get("DestinationHostname"));
    draft.set_text("network.transport", get("Protocol"));
    let service = if get("DestinationPortName").is_empty() {
        get("SourcePortName")
    } else {
        get("DestinationPortName")
    };
    draft.set_text(ecs::NETWORK_PROTOCOL, if service == "domain" { "dns" } else { service });
    match get("Initiated") {
        "true" => draft.set_fixed("network.direction", "egress"),
        "false" => draft.set_fixed("network.direction", "ingress"),
        _ => {}
    }
}

/// `HKLM\Software\X\Value`; the last part is a value's name where a value was set.
fn registry(draft: &mut Draft, event: &Event<'_>) {
    let path = event.get("TargetObject");
    draft.set_text("registry.path", path);
    let (hive, key) = path.cut_at(b'\\').unwrap_or((path, ""));
    let hive = match hive {
        "HKEY_LOCAL_MACHINE" => "HKLM",
        "HKEY_CLASSES_ROOT" => "HKCR",
        "HKEY_USERS" => "HKU",
        "HKEY_CURRENT_USER" => "HKCU",
        other => other,
    };
    draft.set_text("registry.hive", hive);
    draft.set_text("registry.key", key);
    draft.set_text("registry.value", key.rsplit('\\').next().unwrap_or(""));
    let details = event.get("Details");
    if event.id != 13 || details.is_empty() {
        return;
    }
    let (kind, text) = if let Some(number) = details.strip_prefix("DWORD (").and_then(|rest| rest.strip_suffix(')')) {
        (
            "SZ_DWORD",
            super::number(number).map_or_else(|| number.to_owned(), |number| number.to_string()),
        )
    } else if let Some(number) = details.strip_prefix("QWORD (").and_then(|rest| rest.strip_suffix(')')) {
        ("SZ_QWORD", number.to_owned())
    } else if details == "Binary Data" {
        ("REG_BINARY", String::new())
    } else {
        ("REG_SZ", details.to_owned())
    };
    draft.set("registry.data.type", kind);
    if !text.is_empty() {
        draft.set("registry.data.strings", vec![Value::from(text)]);
    }
}

/// `QueryResults`: `type:  5 name;::ffff:1.2.3.4;`
fn dns(draft: &mut Draft, event: &Event<'_>) {
    let get = |name| event.get(name);
    draft.set_text(ecs::DNS_QUESTION_NAME, get("QueryName"));
    draft.set_fixed(ecs::NETWORK_PROTOCOL, "dns");
    draft.set_text("sysmon.dns.status", status(get("QueryStatus")));
    let mut names = Vec::new();
    let mut kinds = Vec::new();
    for part in get("QueryResults").parts(b';').take(64) {
        let part = part.trim();
        if part.is_empty() {
            continue;
        }
        if let Some(rest) = part.strip_prefix("type:") {
            let (number, data) = rest.trim_start().cut_at(b' ').unwrap_or((rest, ""));
            kinds.push(Value::from(record_type(number)));
            names.push(Value::from(data.trim()));
            continue;
        }
        let plain = part
            .strip_prefix("::ffff:")
            .filter(|v4| v4.has_byte(b'.'))
            .unwrap_or(part);
        if is_ip(plain) {
            draft.add_to_list("dns.resolved_ip", plain);
            kinds.push(Value::from(if plain.has_byte(b':') { "AAAA" } else { "A" }));
            names.push(Value::from(plain));
        }
    }
    if !names.is_empty() {
        draft.set("dns.answers.data", names);
        draft.set("dns.answers.type", kinds);
    }
}

fn record_type(number: &str) -> &str {
    match number {
        "1" => "A",
        "2" => "NS",
        "5" => "CNAME",
        "6" => "SOA",
        "12" => "PTR",
        "15" => "MX",
        "16" => "TXT",
        "28" => "AAAA",
        "33" => "SRV",
        "65" => "HTTPS",
        other => other,
    }
}

fn status(code: &str) -> &str {
    match code {
        "0" => "SUCCESS",
        "1460" => "ERROR_TIMEOUT",
        "9001" => "DNS_ERROR_RCODE_FORMAT_ERROR",
        "9002" => "DNS_ERROR_RCODE_SERVER_FAILURE",
        "9003" => "DNS_ERROR_RCODE_NAME_ERROR",
        "9004" => "DNS_ERROR_RCODE_NOT_IMPLEMENTED",
        "9005" => "DNS_ERROR_RCODE_REFUSED",
        "9501" => "DNS_INFO_NO_RECORDS",
        "9701" => "DNS_ERROR_RECORD_DOES_NOT_EXIST",
        other => other,
    }
}
