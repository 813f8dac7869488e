//! Other names of fields: rules written for a source's native names see events that carry ECS names.
//!
//! A name here is only looked at when the event has no field of the rule's own name. Spaces in field names do not
//! count, on either side: `Threat Name` and `ThreatName` are the same field.

/// Names to try, in this order, when an event lacks the field a rule asks for.
#[must_use]
pub fn aliases(field: &str) -> &'static [&'static str] {
    ALIASES
        .iter()
        .find(|(name, _)| *name == field)
        .map_or(&[], |(_, others)| *others)
}

const ALIASES: &[(&str, &[&str])] = &[
    // Windows event log
    ("Channel", &["winlog.channel"]),
    ("EventID", &["event.code", "winlog.event_id"]),
    ("Provider_Name", &["winlog.provider_name", "event.provider"]),
    ("Computer", &["winlog.computer_name", "host.name"]),
    ("ComputerName", &["winlog.computer_name", "host.name"]),
    // Processes; Security 4688 has names of its own
    ("Image", &["NewProcessName", "process.executable"]),
    ("CommandLine", &["ProcessCommandLine", "process.command_line"]),
    ("CurrentDirectory", &["process.working_directory"]),
    ("ProcessId", &["NewProcessId", "process.pid"]),
    ("ProcessName", &["process.name"]),
    ("OriginalFileName", &["process.pe.original_file_name"]),
    ("Company", &["process.pe.company"]),
    ("Description", &["process.pe.description"]),
    ("Product", &["process.pe.product"]),
    ("IntegrityLevel", &["winlog.event_data.IntegrityLevel"]),
    ("ParentImage", &["ParentProcessName", "process.parent.executable"]),
    ("ParentCommandLine", &["process.parent.command_line"]),
    ("ParentProcessId", &["process.parent.pid"]),
    ("ParentProcessName", &["process.parent.name"]),
    ("ParentUser", &["process.parent.user.name"]),
    ("LogonId", &["SubjectLogonId"]),
    // People
    ("User", &["user.name"]),
    ("SubjectUserName", &["user.name"]),
    ("TargetUserName", &["user.target.name", "user.name"]),
    ("TargetUser", &["user.target.name"]),
    ("IpAddress", &["source.ip"]),
    ("WorkstationName", &["source.domain"]),
    ("LogonType", &["winlog.logon.type"]),
    // Files, registry, modules
    ("TargetFilename", &["file.path"]),
    ("FileName", &["file.name"]),
    ("ImageLoaded", &["dll.path", "file.path"]),
    ("PipeName", &["file.name"]),
    ("TargetObject", &["registry.path"]),
    ("Details", &["registry.data.strings"]),
    ("ScriptBlockText", &["powershell.file.script_block_text"]),
    ("sha256", &["file.hash.sha256", "process.hash.sha256"]),
    ("md5", &["file.hash.md5", "process.hash.md5"]),
    // Network
    ("SourceIp", &["source.ip"]),
    ("SourcePort", &["source.port"]),
    ("DestinationIp", &["destination.ip"]),
    ("DestinationPort", &["destination.port"]),
    ("DestinationHostname", &["destination.domain"]),
    ("Initiated", &["network.initiated"]),
    ("Protocol", &["network.transport", "network.protocol"]),
    ("src_ip", &["source.ip"]),
    ("dst_ip", &["destination.ip"]),
    ("src_port", &["source.port"]),
    ("dst_port", &["destination.port"]),
    ("QueryName", &["dns.question.name"]),
    ("query", &["dns.question.name"]),
    ("record_type", &["dns.question.type"]),
    ("answer", &["dns.answers.data"]),
    // Web servers and proxies, W3C names
    ("c-ip", &["source.ip", "client.ip"]),
    ("c-uri", &["url.original", "url.path"]),
    ("c-uri-query", &["url.query"]),
    ("c-uri-extension", &["url.extension"]),
    ("c-useragent", &["user_agent.original"]),
    ("c-referer", &["http.request.referrer"]),
    ("cs-uri", &["url.original"]),
    ("cs-uri-stem", &["url.path", "url.original"]),
    ("cs-uri-query", &["url.query", "url.original"]),
    ("cs-method", &["http.request.method"]),
    ("cs-host", &["url.domain", "destination.domain"]),
    ("cs-user-agent", &["user_agent.original"]),
    ("cs-referer", &["http.request.referrer"]),
    ("cs-username", &["user.name"]),
    ("sc-status", &["http.response.status_code"]),
    ("r-dns", &["url.domain", "destination.domain"]),
    ("dst_host", &["destination.domain"]),
];
