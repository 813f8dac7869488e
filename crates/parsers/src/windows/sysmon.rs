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
    (1, "Process creation", &["process"], &["start"]),
    (2, "A process changed a file creation time", &["file"], &["change"]),
    (
        3,
        "Network connection",
        &["network"],
        &["start", "connection", "protocol"],
    ),
    (4, "Sysmon service state changed", &["process"], &["change"]),
    (5, "Process terminated", &["process"], &["end"]),
    (6, "Driver loaded", &["driver"], &["start"]),
    (7, "Image loaded", &["process"], &["change"]),
    (8, "CreateRemoteThread", &["process"], &["change"]),
    (9, "RawAccessRead", &["process"], &["access"]),
    (10, "ProcessAccess", &["process"], &["access"]),
    (11, "FileCreate", &["file"], &["creation"]),
    (
        12,
        "RegistryEvent (Object create and delete)",
        &["configuration", "registry"],
        &["change"],
    ),
    (
        13,
        "RegistryEvent (Value Set)",
        &["configuration", "registry"],
        &["change"],
    ),
    (
        14,
        "RegistryEvent (Key and Value Rename)",
        &["configuration", "registry"],
        &["change"],
    ),
    (15, "FileCreateStreamHash", &["file"], &["access"]),
    (16, "ServiceConfigurationChange", &["configuration"], &["change"]),
    (17, "PipeEvent (Pipe Created)", &["file"], &["creation"]),
    (18, "PipeEvent (Pipe Connected)", &["file"], &["access"]),
    (
        19,
        "WmiEvent (WmiEventFilter activity detected)",
        &["process"],
        &["info"],
    ),
    (
        20,
        "WmiEvent (WmiEventConsumer activity detected)",
        &["process"],
        &["change"],
    ),
    (
        21,
        "WmiEvent (WmiEventConsumerToFilter activity detected)",
        &["process"],
        &["access"],
    ),
    (
        22,
        "DNSEvent (DNS query)",
        &["network"],
        &["connection", "protocol", "info"],
    ),
    (23, "FileDelete (File Delete archived)", &["file"], &["deletion"]),
    (
        24,
        "ClipboardChange (New content in the clipboard)",
        &["process"],
        &["change"],
    ),
    (25, "ProcessTampering (Process image change)", &["process"], &["change"]),
    (26, "FileDeleteDetected (File Delete logged)", &["file"], &["deletion"]),
    (27, "FileBlockExecutable", &["file"], &["creation"]),
    (28, "FileBlockShredding", &["file"], &["deletion"]),
    (29, "FileExecutableDetected", &["file"], &["creation"]),
    (255, "Error", &["process"], &["error"]),
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
        20 if draft.get("process.executable").is_none() => {
            draft.set_text("process.executable", get("Destination"));
        }
        24 => hashes(draft, get("Hashes"), false),
        255 => draft.set_text("error.code", get("ID")),
        _ => {}
    }
    if matches!(event.id, 27 | 28 | 255) {
        draft.outcome(false);
    }
    for (name, member) in [
        ("sysmon.file.archived", "Archived"),
        ("sysmon.file.is_executable", "IsExecutable"),
    ] {
        if let Ok(is) = get(member).parse::<bool>() {
            draft.set(name, is);
        }
    }
    if let Some((directory, _)) = draft.str("file.path").and_then(|path| path.cut_last_at(b'\\')) {
        let directory = model::Value::from(directory);
        draft.set_default("file.directory", directory);
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
    set_arguments(draft, get("CommandLine"), ["process.args", "process.args_count"]);
    set_arguments(
        draft,
        get("ParentCommandLine"),
        ["process.parent.args", "process.parent.args_count"],
    );
}

/// Sets the words of a command line, and how many there are.
pub(super) fn set_arguments(draft: &mut Draft, line: &str, [list, count]: [&'static str; 2]) {
    let arguments = arguments(line);
    if !arguments.is_empty() {
        draft.set(count, i64::try_from(arguments.len()).unwrap_or(i64::MAX));
        draft.set(list, arguments.into_iter().map(Value::from).collect::<Value>());
    }
}

/// The words of a command line as Windows splits them: quotes taken off, and backslashes before a quote halved.
fn arguments(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let (mut quoted, mut begun, mut slashes) = (false, false, 0_usize);
    let mut chars = line.chars().take(1 << 15).peekable();
    while let Some(c) = chars.next() {
        if c == '\\' {
            slashes += 1;
            begun = true;
            continue;
        }
        let before = if c == '"' { slashes / 2 } else { slashes };
        word.extend(std::iter::repeat_n('\\', before));
        let escaped = slashes % 2 == 1;
        slashes = 0;
        match c {
            '"' if escaped => word.push('"'),
            '"' if quoted && chars.peek() == Some(&'"') => {
                chars.next();
                word.push('"');
                quoted = false;
            }
            '"' => {
                quoted = !quoted;
                begun = true;
            }
            ' ' | '\t' if !quoted => {
                if begun {
                    words.push(std::mem::take(&mut word));
                    begun = false;
                }
                if words.len() >= 256 {
                    return words;
                }
            }
            other => {
                word.push(other);
                begun = true;
            }
        }
    }
    word.extend(std::iter::repeat_n('\\', slashes));
    if begun {
        words.push(word);
    }
    words
}

fn connection(draft: &mut Draft, event: &Event<'_>) {
    let get = |name| event.get(name);
    endpoint(draft, &SOURCE, get("SourceIp"), get("SourcePort"));
    endpoint(draft, &DESTINATION, get("DestinationIp"), get("DestinationPort"));
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
        "HKEY_LOCAL_MACHINE" | "HKLM" => "HKLM",
        "HKEY_CLASSES_ROOT" | "HKCR" => "HKCR",
        "HKEY_USERS" | "HKU" => "HKU",
        "HKEY_CURRENT_USER" | "HKCU" => "HKCU",
        "HKEY_CURRENT_CONFIG" | "HKCC" => "HKCC",
        "HKEY_DYN_DATA" | "HKDD" => "HKDD",
        "HKEY_PERFORMANCE_DATA" | "HKPD" => "HKPD",
        _ => "",
    };
    draft.set_text("registry.hive", hive);
    draft.set_text("registry.key", if hive.is_empty() { "" } else { key });
    draft.set_text("registry.value", path.rsplit('\\').next().unwrap_or(""));
    let details = event.get("Details");
    if details.is_empty() {
        return;
    }
    let inner = |kind: &str| details.strip_prefix(kind)?.strip_suffix(')');
    let (kind, text) = if let Some(number) = inner("DWORD (") {
        (
            "SZ_DWORD",
            super::number(number).map_or_else(|| number.to_owned(), |number| number.to_string()),
        )
    } else if let Some(number) = inner("QWORD (") {
        // `0xHIGH-0xLOW`
        let parts = number
            .cut_at(b'-')
            .and_then(|(high, low)| Some((super::number(high)?, super::number(low)?)));
        let whole = parts.map(|(high, low)| u64::try_from(high).unwrap_or(0) << 32 | u64::try_from(low).unwrap_or(0));
        (
            "SZ_QWORD",
            whole.map_or_else(|| number.to_owned(), |whole| whole.to_string()),
        )
    } else if details == "Binary Data" {
        ("REG_BINARY", details.to_owned())
    } else {
        ("REG_SZ", details.to_owned())
    };
    draft.set("registry.data.type", kind);
    draft.set("registry.data.strings", vec![Value::from(text)]);
}

/// `QueryResults`: `type:  5 name;::ffff:1.2.3.4;`
fn dns(draft: &mut Draft, event: &Event<'_>) {
    let get = |name| event.get(name);
    draft.set_text(ecs::DNS_QUESTION_NAME, get("QueryName"));
    draft.set_fixed(ecs::NETWORK_PROTOCOL, "dns");
    draft.add_to_list("related.hosts", get("QueryName"));
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
            draft.add_to_list("related.hosts", data.trim());
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
        "123" => "ERROR_INVALID_NAME",
        "1214" => "ERROR_INVALID_NETNAME",
        "1223" => "ERROR_CANCELLED",
        "1460" => "ERROR_TIMEOUT",
        "9502" => "DNS_ERROR_BAD_PACKET",
        "9504" => "DNS_ERROR_RCODE",
        "9505" => "DNS_ERROR_UNSECURE_PACKET",
        "9506" => "DNS_REQUEST_PENDING",
        "9552" => "DNS_ERROR_INVALID_IP_ADDRESS",
        "9556" => "DNS_ERROR_NON_RFC_NAME",
        "9560" => "DNS_ERROR_INVALID_NAME_CHAR",
        "9852" => "DNS_ERROR_NO_DNS_SERVERS",
        "10054" => "WSAECONNRESET",
        "10060" => "WSAETIMEDOUT",
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
