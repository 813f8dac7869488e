//! The names that programs commonly give what ECS has a name for. Their own stay beside it.

use model::{Text, Value, ecs};

use crate::draft::Draft;
use crate::network::{is_ip, port};

const HOST: &[&str] = &["source_host", "host", "hostname", "host_name", "Computer"];
const PROGRAM: &[&str] = &["program", "process", "appname", "ident"];
const PID: &[&str] = &["pid"];
const USER: &[&str] = &["user", "username", "user_name", "TargetUserName"];
const SOURCE_IP: &[&str] = &[
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
];
const DESTINATION_IP: &[&str] = &["destination_ip", "dest_ip", "dst_ip", "dstip", "dst", "DST"];
const SOURCE_PORT: &[&str] = &["source_port", "src_port", "srcport", "spt", "SPT"];
const DESTINATION_PORT: &[&str] = &["destination_port", "dest_port", "dst_port", "dstport", "dpt", "DPT"];
const LEVEL: &[&str] = &["level", "lvl", "loglevel"];
const COMMAND: &[&str] = &["command_line", "cmdline", "CommandLine"];
const SHA256: &[&str] = &["sha256", "file_sha256"];

/// Sets the ECS fields that are not set from the source's own that mean the same.
pub(crate) fn apply(draft: &mut Draft) {
    text(draft, ecs::HOST_NAME, HOST, is_known);
    text(draft, ecs::PROCESS_NAME, PROGRAM, is_known);
    text(draft, ecs::USER_NAME, USER, is_known);
    text(draft, ecs::SOURCE_IP, SOURCE_IP, is_ip);
    text(draft, ecs::DESTINATION_IP, DESTINATION_IP, is_ip);
    text(draft, ecs::LOG_LEVEL, LEVEL, is_known);
    text(draft, ecs::PROCESS_COMMAND_LINE, COMMAND, is_known);
    text(draft, ecs::FILE_HASH_SHA256, SHA256, is_sha256);
    number(draft, ecs::PROCESS_PID, PID, |text| text.parse().ok());
    number(draft, ecs::SOURCE_PORT, SOURCE_PORT, port);
    number(draft, ecs::DESTINATION_PORT, DESTINATION_PORT, port);
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
    text.len() > 7 || !matches!(text, "" | "-" | "N/A" | "n/a" | "None" | "null" | "unknown" | "UNKNOWN")
}

fn is_sha256(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn text(draft: &mut Draft, name: &'static str, aliases: &[&str], fits: impl Fn(&str) -> bool) {
    if draft.get(name).is_some() {
        return;
    }
    let found = aliases
        .iter()
        .find_map(|alias| draft.str(alias).filter(|text| fits(text)));
    if let Some(found) = found.map(Text::from) {
        draft.set(name, found);
    }
}

fn number(draft: &mut Draft, name: &'static str, aliases: &[&str], parse: impl Fn(&str) -> Option<i64>) {
    if draft.get(name).is_some() {
        return;
    }
    let found = aliases.iter().find_map(|alias| match draft.get(alias)? {
        Value::Int(number) => Some(*number),
        Value::Str(text) => parse(text),
        Value::Null | Value::Bool(_) | Value::Float(_) | Value::List(_) => None,
    });
    if let Some(found) = found {
        draft.set(name, found);
    }
}
