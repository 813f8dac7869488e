//! The names that programs commonly give what ECS has a name for. Their own stay beside it.

use model::{Text, Value, ecs};

use crate::draft::Draft;
use crate::network::{is_ip, port};
use crate::slots::{Key, keys};
use crate::tree::Map;

const HOST: [Key; 7] = keys([
    "source_host",
    "host",
    "hostname",
    "host_name",
    "Computer",
    "HOST",
    "Hostname",
]);
/// The names that syslog's program goes by: in Picket's own words, those of rsyslog, syslog-ng, nxlog, GELF and others.
pub(crate) const PROGRAMS: [&str; 12] = [
    "program",
    "process.name",
    "process",
    "appname",
    "ident",
    "programname",
    "app-name",
    "app_name",
    "PROGRAM",
    "SourceName",
    "_program",
    "_application_name",
];
const PROGRAM: [Key; 12] = keys(PROGRAMS);
const PID: [Key; 3] = keys(["pid", "procid", "PID"]);
const USER: [Key; 4] = keys(["user", "username", "user_name", "TargetUserName"]);
const SOURCE_IP: [Key; 11] = keys([
    "source_ip",
    "src_ip",
    "srcip",
    "src",
    "SRC",
    "client_ip",
    "clientip",
    "remote_ip",
    "remote_addr",
    "IpAddress",
    "ip",
]);
const DESTINATION_IP: [Key; 6] = keys(["destination_ip", "dest_ip", "dst_ip", "dstip", "dst", "DST"]);
const SOURCE_PORT: [Key; 5] = keys(["source_port", "src_port", "srcport", "spt", "SPT"]);
const DESTINATION_PORT: [Key; 6] = keys(["destination_port", "dest_port", "dst_port", "dstport", "dpt", "DPT"]);
const LEVEL: [Key; 3] = keys(["level", "lvl", "loglevel"]);
const COMMAND: [Key; 3] = keys(["command_line", "cmdline", "CommandLine"]);
const SHA256: [Key; 2] = keys(["sha256", "file_sha256"]);

/// Sets the ECS fields that are not set from the source's own that mean the same.
pub(crate) fn apply(draft: &mut Draft) {
    text(draft, Key::of(ecs::HOST_NAME), &HOST, is_known);
    text(draft, Key::of(ecs::PROCESS_NAME), &PROGRAM, is_known);
    apply_to_peers(draft);
}

/// Sets the host from the members of what was put around an event.
pub(crate) fn set_host(draft: &mut Draft, shell: &Map<'_>) {
    const NAMES: [&str; 4] = ["source_host", "host", "hostname", "host_name"];
    let found = NAMES.iter().find_map(|name| shell.get(name)?.as_str());
    if let Some(host) = found.filter(|host| is_known(host)) {
        draft.set_default(ecs::HOST_NAME, host);
    }
}

/// The same as [`apply`] for logs in which hosts and processes are those that peers name.
pub(crate) fn apply_to_peers(draft: &mut Draft) {
    text(draft, Key::of(ecs::USER_NAME), &USER, is_known);
    text(draft, Key::of(ecs::SOURCE_IP), &SOURCE_IP, is_ip);
    text(draft, Key::of(ecs::DESTINATION_IP), &DESTINATION_IP, is_ip);
    text(draft, Key::of(ecs::LOG_LEVEL), &LEVEL, is_known);
    text(draft, Key::of(ecs::PROCESS_COMMAND_LINE), &COMMAND, is_known);
    text(draft, Key::of(ecs::FILE_HASH_SHA256), &SHA256, is_sha256);
    number(draft, Key::of(ecs::PROCESS_PID), &PID, |text| text.parse().ok());
    number(draft, Key::of(ecs::SOURCE_PORT), &SOURCE_PORT, port);
    number(draft, Key::of(ecs::DESTINATION_PORT), &DESTINATION_PORT, port);
    relate(draft);
}

/// Adds the addresses of an event to its `related` list.
pub(crate) fn relate(draft: &mut Draft) {
    for name in [ecs::SOURCE_IP, ecs::DESTINATION_IP] {
        if let Some(text) = draft.str(name).map(Text::from) {
            draft.add_to_list(ecs::RELATED_IP, &text);
        }
    }
}

/// Whether a text says more than that nothing is known.
pub(crate) fn is_known(text: &str) -> bool {
    // Most texts are longer, or begin otherwise.
    text.len() > 7
        || !matches!(text.as_bytes().first(), None | Some(b'-' | b'N' | b'n' | b'u' | b'U'))
        || !matches!(text, "" | "-" | "N/A" | "n/a" | "None" | "null" | "unknown" | "UNKNOWN")
}

fn is_sha256(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn text(draft: &mut Draft, name: Key, aliases: &[Key], fits: impl Fn(&str) -> bool) {
    if draft.get_key(name).is_some() {
        return;
    }
    let found = aliases
        .iter()
        .find_map(|alias| draft.get_key(*alias).and_then(Value::as_str).filter(|text| fits(text)));
    if let Some(found) = found.map(Text::from) {
        draft.set_key(name, found);
    }
}

fn number(draft: &mut Draft, name: Key, aliases: &[Key], parse: impl Fn(&str) -> Option<i64>) {
    if draft.get_key(name).is_some() {
        return;
    }
    let found = aliases.iter().find_map(|alias| match draft.get_key(*alias)? {
        Value::Int(number) => Some(*number),
        Value::Str(text) => parse(text),
        Value::Null | Value::Bool(_) | Value::Float(_) | Value::List(_) => None,
    });
    if let Some(found) = found {
        draft.set_key(name, found);
    }
}
