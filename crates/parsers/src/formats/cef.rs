//! ArcSight's Common Event Format and QRadar's Log Event Extended Format.
//!
//! Values are not quoted, so one that holds ` src=` reads as another field. A name with two values has none, and the event
//! says that it is ambiguous.

use model::{Text, ecs};

use super::{Format, Input};
use crate::clock::parse_time;
use crate::derive::{DESTINATION, SOURCE, endpoint};
use crate::draft::Draft;
use crate::record::Warning;
use crate::scan::Marks as _;

pub(crate) const CEF: Format = Format {
    name: "cef",
    aliases: &["arcsight"],
    datasets: &["cef.log"],
    programs: &["CEF"],
    begins: &["C01"],
    looks: |text| start(text, "CEF:").is_some() || is_bare(text),
    take: take_cef,
};

pub(crate) const LEEF: Format = Format {
    name: "leef",
    aliases: &["qradar"],
    datasets: &["leef.log"],
    programs: &["LEEF"],
    begins: &["L"],
    looks: |text| start(text, "LEEF:").is_some(),
    take: take_leef,
};

/// Most pairs of one event.
const MAX_PAIRS: usize = 256;

/// What follows the mark that a text begins with, when that is where a version stands.
fn start<'a>(text: &'a str, mark: &str) -> Option<&'a str> {
    let rest = text.strip_prefix(mark)?;
    rest.starts_with(|c: char| c.is_ascii_digit()).then_some(rest)
}

/// What follows the mark; where the operator or the program says that there is one, an unusual header may come first.
fn find<'a>(input: &Input<'a>, mark: &str) -> Option<&'a str> {
    if !input.is_certain {
        return start(input.text, mark);
    }
    let at = input.text.find(mark).filter(|at| *at < 256)?;
    start(input.text.get(at..)?, mark)
}

/// The header without its mark, which some tools take off: a severity and pairs tell it from other columns.
fn is_bare(text: &str) -> bool {
    if !(text.starts_with("0|") || text.starts_with("1|")) {
        return false;
    }
    let Some((fields, extension)) = header(text, 7) else {
        return false;
    };
    let severity = fields.last().map_or("", String::as_str);
    let is_severity = severity.parse::<u8>().is_ok_and(|number| number <= 10)
        || ["unknown", "low", "medium", "high", "very-high"]
            .iter()
            .any(|name| severity.eq_ignore_ascii_case(name));
    is_severity && (extension.trim().is_empty() || extension.has_byte(b'='))
}

/// Splits header fields at unescaped bars; the rest is the extension.
fn header(text: &str, count: usize) -> Option<(Vec<String>, &str)> {
    let mut fields = Vec::with_capacity(count);
    let mut field = String::new();
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        match c {
            '\\' if !escaped => escaped = true,
            '|' if !escaped => {
                fields.push(std::mem::take(&mut field));
                if fields.len() == count {
                    return Some((fields, text.get(at + 1..)?));
                }
            }
            _ => {
                if escaped && !matches!(c, '|' | '\\') {
                    field.push('\\');
                }
                escaped = false;
                field.push(c);
            }
        }
    }
    // Some leave the last bar out when there is no extension.
    (fields.len() + 1 == count).then(|| {
        fields.push(field);
        (fields, "")
    })
}

/// `key=value` with values up to the next ` key=`.
fn pairs(text: &str) -> Vec<(&str, String)> {
    let mut starts = Vec::new();
    let bytes = text.as_bytes();
    for at in memchr::memchr_iter(b'=', bytes) {
        if at > 0 && bytes.get(at - 1) == Some(&b'\\') {
            continue;
        }
        let head = text.get(..at).unwrap_or("");
        let key_at = head
            .rfind(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-' | '[' | ']')))
            .map_or(0, |n| n + 1);
        let free = key_at == 0 || bytes.get(key_at - 1) == Some(&b' ');
        if free && key_at < at && at - key_at <= 64 && starts.last().is_none_or(|(_, end)| key_at > *end) {
            starts.push((key_at, at));
            if starts.len() >= MAX_PAIRS {
                break;
            }
        }
    }
    let mut found = Vec::with_capacity(starts.len());
    for (index, (key_at, equals)) in starts.iter().enumerate() {
        let end = starts
            .get(index + 1)
            .map_or(text.len(), |(next, _)| next.saturating_sub(1));
        let value = text.get(equals + 1..end).unwrap_or("").trim_end();
        found.push((text.get(*key_at..*equals).unwrap_or(""), unescape(value)));
    }
    found
}

fn unescape(text: &str) -> String {
    if !text.has_byte(b'\\') {
        return text.to_owned();
    }
    let mut value = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            value.push(c);
            continue;
        }
        match chars.next() {
            Some('n') => value.push('\n'),
            Some('r') => value.push('\r'),
            Some(other @ ('=' | '\\' | '|')) => value.push(other),
            Some(other) => {
                value.push('\\');
                value.push(other);
            }
            None => value.push('\\'),
        }
    }
    value
}

fn take_cef(draft: &mut Draft, input: &Input<'_>) -> bool {
    // `0|Vendor|…` is what is left when an envelope took the mark for its program.
    let text = match find(input, "CEF:") {
        Some(text) => text,
        None if input.program == "CEF" || is_bare(input.text) => input.text,
        None => return false,
    };
    let Some((fields, extension)) = header(text, 7) else {
        return false;
    };
    let [version, vendor, product, device_version, id, name, severity] = fields.as_slice() else {
        return false;
    };
    if version.is_empty() || !version.bytes().all(|byte| byte.is_ascii_digit()) {
        return false;
    }
    device(draft, "cef", [version, vendor, product, device_version, id]);
    draft.set_text("cef.name", name);
    draft.set_text("cef.severity", severity);
    draft.set_text(ecs::MESSAGE, name);
    let scale = match severity.to_ascii_lowercase().as_str() {
        "low" => Some(1),
        "medium" => Some(3),
        "high" => Some(4),
        "very-high" => Some(5),
        number => number.parse::<i64>().ok().map(|number| (number / 2 + 1).clamp(1, 5)),
    };
    if let Some(scale) = scale {
        draft.set(ecs::EVENT_SEVERITY, scale);
    }
    extend(draft, pairs(extension), "cef.extensions.");
    true
}

fn take_leef(draft: &mut Draft, input: &Input<'_>) -> bool {
    let Some(text) = find(input, "LEEF:") else {
        return false;
    };
    let is_second = text.starts_with("2.");
    let Some((fields, mut extension)) = header(text, 5) else {
        return false;
    };
    let [version, vendor, product, device_version, id] = fields.as_slice() else {
        return false;
    };
    let mut separator = '\t';
    if is_second && let Some((named, rest)) = extension.cut_at(b'|').filter(|(named, _)| named.len() <= 6) {
        let number = named.trim_start_matches(['x', '0']);
        separator = match named.chars().next() {
            Some(one) if named.chars().count() == 1 => one,
            _ => u8::from_str_radix(number, 16).map_or('\t', char::from),
        };
        extension = rest;
    }
    device(draft, "leef", [version, vendor, product, device_version, id]);
    let separator = if extension.contains(separator) || !extension.has_byte(b' ') {
        separator
    } else {
        '\t'
    };
    let pairs = extension
        .split(separator)
        .filter_map(|pair| pair.cut_at(b'='))
        .take(MAX_PAIRS)
        .map(|(key, value)| (key.trim(), value.to_owned()))
        .collect();
    extend(draft, pairs, "leef.extensions.");
    true
}

fn device(draft: &mut Draft, format: &str, [version, vendor, product, device_version, id]: [&String; 5]) {
    draft.set_own(&format!("{format}.version"), version.as_str());
    for (name, ecs_name, text) in [
        ("vendor", "observer.vendor", vendor),
        ("product", "observer.product", product),
        ("version", "observer.version", device_version),
        ("event_class_id", "event.code", id),
    ] {
        draft.set_text(ecs_name, text);
        draft.set_own(&format!("{format}.device.{name}"), text.as_str());
    }
}

/// Where an extension goes. Both formats share most names.
fn target(key: &str) -> Option<&'static str> {
    Some(match key {
        "act" | "deviceAction" | "action" => ecs::EVENT_ACTION,
        "app" | "applicationProtocol" => ecs::NETWORK_PROTOCOL,
        "cat" | "deviceEventCategory" => "cef.device.event_category",
        "deviceDirection" => "network.direction",
        "dhost" | "destinationHostName" => "destination.domain",
        "dmac" | "destinationMacAddress" | "dstMAC" => "destination.mac",
        "dntdom" => "destination.user.domain",
        "dpid" | "destinationProcessId" => "destination.process.pid",
        "dproc" | "destinationProcessName" => "destination.process.name",
        "duid" | "destinationUserId" => "destination.user.id",
        "duser" | "destinationUserName" => "destination.user.name",
        "dvc" | "deviceAddress" => "observer.ip",
        "dvchost" | "deviceHostName" => "observer.hostname",
        "fileHash" => "file.hash.sha256",
        "filePath" => "file.path",
        "fname" | "filename" => "file.name",
        "fsize" | "fileSize" => "file.size",
        "in" | "bytesIn" | "srcBytes" => "source.bytes",
        "out" | "bytesOut" | "dstBytes" => "destination.bytes",
        "msg" | "message" => ecs::MESSAGE,
        "proto" | "transportProtocol" => "network.transport",
        "reason" => ecs::EVENT_REASON,
        "request" | "requestUrl" | "url" => "url.original",
        "requestClientApplication" | "userAgent" => "user_agent.original",
        "requestMethod" | "method" => "http.request.method",
        "shost" | "sourceHostName" => "source.domain",
        "smac" | "sourceMacAddress" | "srcMAC" => "source.mac",
        "sntdom" | "domain" => "source.user.domain",
        "spid" | "sourceProcessId" => "source.process.pid",
        "sproc" | "sourceProcessName" => "source.process.name",
        "suid" | "sourceUserId" => "source.user.id",
        "suser" | "sourceUserName" | "usrName" => "source.user.name",
        "deviceInboundInterface" => "observer.ingress.interface.name",
        "deviceOutboundInterface" => "observer.egress.interface.name",
        "sourceTranslatedAddress" | "srcPostNAT" => "source.nat.ip",
        "destinationTranslatedAddress" | "dstPostNAT" => "destination.nat.ip",
        "sourceTranslatedPort" | "srcPostNATPort" => "source.nat.port",
        "destinationTranslatedPort" | "dstPostNATPort" => "destination.nat.port",
        _ => return None,
    })
}

/// Names that mean one thing.
const SAME: [&[&str]; 4] = [
    &["src", "sourceAddress"],
    &["spt", "sourcePort", "srcPort"],
    &["dst", "destinationAddress"],
    &["dpt", "destinationPort", "dstPort"],
];

/// The pairs of which there is one value; also whether there were others.
fn certain(pairs: Vec<(&str, String)>) -> (Vec<(&str, String)>, bool) {
    let meaning = |key: &str| SAME.iter().position(|keys| keys.contains(&key));
    let is_same = |a: &str, b: &str| a == b || meaning(a).is_some_and(|meaning_a| meaning(b) == Some(meaning_a));
    // Each is compared with the first of its name.
    let firsts: Vec<usize> = pairs
        .iter()
        .map(|(key, _)| pairs.iter().position(|(other, _)| is_same(key, other)).unwrap_or(0))
        .collect();
    let value = |index: usize| pairs.get(index).map(|(_, value)| value.as_str());
    let others: Vec<usize> = firsts
        .iter()
        .enumerate()
        .filter(|(index, first)| value(*index) != value(**first))
        .map(|(_, first)| *first)
        .collect();
    let is_certain: Vec<bool> = firsts.iter().map(|first| !others.contains(first)).collect();
    let is_ambiguous = !others.is_empty();
    let known = pairs.into_iter().zip(is_certain).filter(|(_, is_certain)| *is_certain);
    (known.map(|(pair, _)| pair).collect(), is_ambiguous)
}

/// A protocol by its name or its number.
fn transport(draft: &mut Draft, value: &str) {
    let name = match value {
        "1" => "icmp",
        "6" => "tcp",
        "17" => "udp",
        "47" => "gre",
        "50" => "esp",
        "58" => "ipv6-icmp",
        "132" => "sctp",
        name => return draft.set("network.transport", Text::lowercase(name)),
    };
    draft.set_fixed("network.transport", name);
    draft.set_int("network.iana_number", value);
}

fn extend(draft: &mut Draft, pairs: Vec<(&str, String)>, prefix: &str) {
    let (pairs, is_ambiguous) = certain(pairs);
    if is_ambiguous {
        draft.warn(Warning::Ambiguous);
    }
    let get = |keys: &[&str]| {
        pairs
            .iter()
            .find(|(key, value)| keys.contains(key) && !value.is_empty())
            .map_or("", |(_, value)| value.as_str())
    };
    for (key, value) in &pairs {
        match target(key) {
            Some("network.direction") => {
                draft.set("network.direction", if value == "0" { "inbound" } else { "outbound" })
            }
            Some("network.transport") => transport(draft, value),
            // Of whatever algorithm: its length tells.
            Some("file.hash.sha256") => {
                let name = match value.len() {
                    _ if !value.bytes().all(|byte| byte.is_ascii_hexdigit()) => continue,
                    32 => "file.hash.md5",
                    40 => "file.hash.sha1",
                    64 => "file.hash.sha256",
                    128 => "file.hash.sha512",
                    _ => continue,
                };
                draft.set(name, Text::lowercase(value));
            }
            Some(
                name @ ("source.bytes"
                | "destination.bytes"
                | "file.size"
                | "source.nat.port"
                | "destination.nat.port"
                | "source.process.pid"
                | "destination.process.pid"),
            ) => {
                draft.set_int(name, value);
            }
            Some(name) => draft.set_text(name, value),
            None => {}
        }
        draft.set_own(&format!("{prefix}{key}"), value.as_str());
        // Names with a dot are those of ECS, which a device has no reason to use.
        if !key.has_byte(b'.') {
            draft.set_own(key, value.as_str());
        }
    }
    endpoint(
        draft,
        &SOURCE,
        get(&["src", "sourceAddress"]),
        get(&["spt", "sourcePort", "srcPort"]),
    );
    endpoint(
        draft,
        &DESTINATION,
        get(&["dst", "destinationAddress"]),
        get(&["dpt", "destinationPort", "dstPort"]),
    );
    let user = get(&["suser", "sourceUserName", "usrName", "duser", "destinationUserName"]).to_owned();
    draft.user(&user);
    let time = get(&[
        "rt",
        "deviceReceiptTime",
        "end",
        "endTime",
        "start",
        "devTime",
        "UNIFIutcTime",
    ]);
    if !time.is_empty() {
        let bsd = crate::clock::take_bsd(time, model::Timestamp(i64::MAX / 2)).map(|(time, _)| time);
        match parse_time(time).or(bsd) {
            Some(time) => draft.timestamp = Some(time),
            None => draft.warn(Warning::InvalidTime),
        }
    }
    let action = get(&["act", "deviceAction", "action"]).to_ascii_lowercase();
    let blocked = ["block", "deny", "denied", "drop", "reject", "prevent"]
        .iter()
        .any(|word| action.contains(word));
    let allowed = ["allow", "accept", "permit", "pass"]
        .iter()
        .any(|word| action.contains(word));
    if draft.get(ecs::SOURCE_IP).is_some() && (blocked || allowed) {
        draft.set_list(ecs::EVENT_CATEGORY, &["network"]);
        draft.set_list(
            ecs::EVENT_TYPE,
            &["connection", if blocked { "denied" } else { "allowed" }],
        );
    }
    match get(&["outcome", "eventOutcome"]).to_ascii_lowercase().as_str() {
        "success" | "successful" => draft.outcome(true),
        "failure" | "failed" | "fail" => draft.outcome(false),
        _ => {}
    }
}
