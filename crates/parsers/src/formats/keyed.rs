//! Formats whose lines are columns or pairs with known names: those become members of an object, and a table says the rest.

use std::borrow::Cow;

use model::Value;

use super::{Format, Input};
use crate::draft::Draft;
use crate::mapping;
use crate::record::Warning;
use crate::scan::Marks as _;
use crate::scan::Scan;
use crate::tree::{Json, Map};

pub(crate) const FORTIGATE: Format = Format {
    name: "fortigate",
    aliases: &["fortinet", "fortios", "fortinet.firewall"],
    datasets: &["fortinet.firewall"],
    programs: &[],
    begins: &["dtielv"],
    looks: |text| {
        [
            "date=",
            "time=",
            "itime=",
            "timestamp=",
            "eventtime=",
            "logver=",
            "devname=",
            "devid=",
            "tz=",
            "vd=",
            "id=",
            "logid=",
            "type=",
        ]
        .iter()
        .any(|key| text.starts_with(key))
            && text.has("logid=")
            && text.has("type=")
            && text.has("subtype=")
    },
    take: |draft, input| {
        let (object, is_ambiguous) = pairs(input.text);
        let is = |name: &str| object.contains_key(name);
        let taken = is("type") && (is("logid") || is("devid") || is("subtype")) && apply(draft, "fortigate", object);
        if taken && is_ambiguous {
            draft.warn(Warning::Ambiguous);
        }
        taken
    },
};

pub(crate) const VPC_FLOW: Format = Format {
    name: "vpcflow",
    aliases: &["aws_vpcflow", "vpc"],
    datasets: &["aws.vpcflow"],
    programs: &[],
    begins: &["2"],
    looks: |text| text.starts_with("2 "),
    take: |draft, input| vpc(input.text).is_some_and(|object| apply(draft, "vpcflow", object)),
};

pub(crate) const ALB: Format = Format {
    name: "alb",
    aliases: &["aws_elb", "elb", "aws-alb"],
    datasets: &["aws.elb_logs"],
    programs: &[],
    begins: &["hwg"],
    looks: |text| {
        ["http ", "https ", "h2 ", "ws ", "wss ", "grpcs "]
            .iter()
            .any(|kind| text.starts_with(kind))
    },
    take: |draft, input| alb(input.text).is_some_and(|object| apply(draft, "alb", object)),
};

pub(crate) const ZEEK: Format = Format {
    name: "zeek",
    aliases: &["bro"],
    datasets: &[
        "zeek.log",
        "zeek.connection",
        "zeek.dns",
        "zeek.http",
        "zeek.ssl",
        "zeek.ssh",
        "zeek.notice",
    ],
    programs: &[],
    begins: &[super::DIGITS],
    looks: |text| text.starts_with(|c: char| c.is_ascii_digit()) && text.has_byte(b'\t'),
    take: take_zeek,
};

fn apply(draft: &mut Draft, table: &str, object: Map<'_>) -> bool {
    let Some(mapping) = mapping::named(table) else {
        return false;
    };
    mapping.apply(draft, &object);
    // Names that rules know are kept; these two have none that any rule uses.
    if matches!(table, "alb" | "vpcflow") {
        return true;
    }
    for (name, value) in object {
        let value = match value {
            Json::String(text) => Value::from(text.as_ref()),
            Json::Bool(value) => Value::Bool(value),
            Json::Number(number) => number
                .as_i64()
                .map_or_else(|| Value::Float(number.as_f64().unwrap_or(0.0)), Value::Int),
            Json::Array(items) => items.iter().filter_map(Json::as_str).map(Value::from).collect(),
            Json::Null | Json::Object(_) => continue,
        };
        draft.set_own(&name, value);
    }
    true
}

/// Most pairs of one line.
const MAX_PAIRS: usize = 256;

/// `key=value key="quoted value"`. A name with two values has none: what a value holds can look like a pair. Also whether
/// there was such a name.
fn pairs(text: &str) -> (Map<'_>, bool) {
    let mut object = Map::new();
    let mut twice: Vec<&str> = Vec::new();
    let mut scan = Scan::new(text);
    for _ in 0..MAX_PAIRS {
        scan.spaces();
        let Some(at) = scan.rest.find(['=', ' ']) else { break };
        let (key, rest) = scan.rest.split_at(at);
        let Some(rest) = rest.strip_prefix('=') else {
            scan.rest = rest;
            continue;
        };
        scan.rest = rest;
        let value = match scan.quoted() {
            Some(value) => crate::scan::unescape(value),
            None => {
                let end = scan.rest.place_of(b' ').unwrap_or(scan.rest.len());
                let (value, rest) = scan.rest.split_at(end);
                scan.rest = rest;
                Cow::Borrowed(value)
            }
        };
        // A header may stand before the first key.
        let key = key.rsplit('>').next().unwrap_or(key);
        if !key.is_empty() && key.len() <= 64 && !value.is_empty() {
            match object.get(key) {
                Some(Json::String(first)) if *first != value => twice.push(key),
                Some(_) => {}
                None => {
                    object.insert(key, Json::String(value));
                }
            }
        }
    }
    if !twice.is_empty() {
        object.retain(|key| !twice.contains(&key));
    }
    (object, !twice.is_empty())
}

fn named<'a>(names: &[&'a str], values: &[&'a str]) -> Map<'a> {
    names
        .iter()
        .zip(values)
        .filter(|(_, value)| !matches!(**value, "-" | ""))
        .map(|(name, value)| (Cow::Borrowed(*name), Json::from(*value)))
        .collect()
}

/// Version 2, the default.
fn vpc(text: &str) -> Option<Map<'_>> {
    const NAMES: &[&str] = &[
        "version",
        "account-id",
        "interface-id",
        "srcaddr",
        "dstaddr",
        "srcport",
        "dstport",
        "protocol",
        "packets",
        "bytes",
        "start",
        "end",
        "action",
        "log-status",
    ];
    if !text.starts_with("2 ") {
        return None;
    }
    let words: Vec<&str> = text.parts(b' ').up_to(32);
    let fits = words.len() == NAMES.len()
        && words.first() == Some(&"2")
        && words.get(2).is_some_and(|interface| interface.starts_with("eni-"))
        && words
            .last()
            .is_some_and(|status| matches!(*status, "OK" | "NODATA" | "SKIPDATA"));
    fits.then(|| named(NAMES, &words))
}

fn alb(text: &str) -> Option<Map<'_>> {
    const NAMES: &[&str] = &[
        "type",
        "time",
        "elb",
        "client",
        "target",
        "request_processing_time",
        "target_processing_time",
        "response_processing_time",
        "elb_status_code",
        "target_status_code",
        "received_bytes",
        "sent_bytes",
        "request",
        "user_agent",
        "ssl_cipher",
        "ssl_protocol",
        "target_group_arn",
        "trace_id",
        "domain_name",
        "chosen_cert_arn",
        "matched_rule_priority",
        "request_creation_time",
        "actions_executed",
        "redirect_url",
        "error_reason",
    ];
    let mut scan = Scan::new(text);
    let mut words = Vec::with_capacity(NAMES.len());
    while words.len() < 40 && !scan.rest.is_empty() {
        scan.spaces();
        let word = if scan.rest.starts_with('"') {
            scan.quoted()?
        } else {
            scan.word()?
        };
        words.push(word);
    }
    let is_time = words.get(1).is_some_and(|time| time.ends_with('Z') && time.len() > 19);
    let mut object = named(NAMES, &words);
    (words.len() >= 17 && is_time && object.contains_key("client")).then(|| {
        if let Some(request) = words.get(12) {
            let mut parts = request.splitn(2, ' ');
            let method = parts.next().unwrap_or("");
            let rest = parts.next().unwrap_or("");
            let url = rest.cut_last_at(b' ').map_or(rest, |(url, _)| url);
            object.insert("method", Json::from(method));
            object.insert("url", Json::from(url));
        }
        object
    })
}

/// The default columns of Zeek's logs, after the time.
const ZEEK_LOGS: &[(&str, &[&str])] = &[
    (
        "conn",
        &[
            "ts",
            "uid",
            "id.orig_h",
            "id.orig_p",
            "id.resp_h",
            "id.resp_p",
            "proto",
            "service",
            "duration",
            "orig_bytes",
            "resp_bytes",
            "conn_state",
            "local_orig",
            "local_resp",
            "missed_bytes",
            "history",
            "orig_pkts",
            "orig_ip_bytes",
            "resp_pkts",
            "resp_ip_bytes",
            "tunnel_parents",
        ],
    ),
    (
        "conn",
        &[
            "ts",
            "uid",
            "id.orig_h",
            "id.orig_p",
            "id.resp_h",
            "id.resp_p",
            "proto",
            "service",
            "duration",
            "orig_bytes",
            "resp_bytes",
            "conn_state",
            "local_orig",
            "local_resp",
            "missed_bytes",
            "history",
            "orig_pkts",
            "orig_ip_bytes",
            "resp_pkts",
            "resp_ip_bytes",
            "tunnel_parents",
            "ip_proto",
        ],
    ),
    (
        "dns",
        &[
            "ts",
            "uid",
            "id.orig_h",
            "id.orig_p",
            "id.resp_h",
            "id.resp_p",
            "proto",
            "trans_id",
            "rtt",
            "query",
            "qclass",
            "qclass_name",
            "qtype",
            "qtype_name",
            "rcode",
            "rcode_name",
            "AA",
            "TC",
            "RD",
            "RA",
            "Z",
            "answers",
            "TTLs",
            "rejected",
        ],
    ),
    (
        "http",
        &[
            "ts",
            "uid",
            "id.orig_h",
            "id.orig_p",
            "id.resp_h",
            "id.resp_p",
            "trans_depth",
            "method",
            "host",
            "uri",
            "referrer",
            "version",
            "user_agent",
            "origin",
            "request_body_len",
            "response_body_len",
            "status_code",
            "status_msg",
            "info_code",
            "info_msg",
            "tags",
            "username",
            "password",
            "proxied",
            "orig_fuids",
            "orig_filenames",
            "orig_mime_types",
            "resp_fuids",
            "resp_filenames",
            "resp_mime_types",
        ],
    ),
    (
        "ssh",
        &[
            "ts",
            "uid",
            "id.orig_h",
            "id.orig_p",
            "id.resp_h",
            "id.resp_p",
            "version",
            "auth_success",
            "auth_attempts",
            "direction",
            "client",
            "server",
            "cipher_alg",
            "mac_alg",
            "compression_alg",
            "kex_alg",
            "host_key_alg",
            "host_key",
        ],
    ),
    (
        "ssl",
        &[
            "ts",
            "uid",
            "id.orig_h",
            "id.orig_p",
            "id.resp_h",
            "id.resp_p",
            "version",
            "cipher",
            "curve",
            "server_name",
            "resumed",
            "last_alert",
            "next_protocol",
            "established",
            "ssl_history",
            "cert_chain_fps",
            "client_cert_chain_fps",
            "sni_matches_cert",
        ],
    ),
    (
        "notice",
        &[
            "ts",
            "uid",
            "id.orig_h",
            "id.orig_p",
            "id.resp_h",
            "id.resp_p",
            "fuid",
            "file_mime_type",
            "file_desc",
            "proto",
            "note",
            "msg",
            "sub",
            "src",
            "dst",
            "p",
            "n",
            "peer_descr",
            "actions",
            "email_dest",
            "suppress_for",
            "remote_location.country_code",
            "remote_location.region",
            "remote_location.city",
            "remote_location.latitude",
            "remote_location.longitude",
        ],
    ),
];

/// A line of tab-separated columns whose count and content fit one log.
fn zeek(text: &str) -> Option<Map<'_>> {
    if !text.starts_with(|c: char| c.is_ascii_digit()) || !text.has_byte(b'\t') {
        return None;
    }
    let values: Vec<&str> = text.parts(b'\t').up_to(64);
    values.first()?.parse::<f64>().ok()?;
    let at = |names: &[&str], name: &str| {
        let index = names.iter().position(|known| *known == name)?;
        values.get(index).copied()
    };
    let (log, names) = ZEEK_LOGS.iter().find(|(log, names)| {
        let fits = match *log {
            "conn" => at(names, "conn_state").is_some_and(|state| {
                state.len() <= 6
                    && state
                        .bytes()
                        .all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit())
            }),
            "dns" => at(names, "rejected").is_some_and(|value| matches!(value, "T" | "F")),
            "http" => at(names, "trans_depth").is_some_and(|depth| depth.parse::<u32>().is_ok()),
            "ssh" => {
                at(names, "auth_attempts").is_some_and(|attempts| attempts == "-" || attempts.parse::<u32>().is_ok())
            }
            "ssl" => at(names, "established").is_some_and(|value| matches!(value, "T" | "F")),
            _ => at(names, "note").is_some_and(|note| note.has("::")),
        };
        values.len() == names.len() && fits
    })?;
    let mut object = Map::new();
    object.insert("_path", Json::from(*log));
    for (name, value) in names.iter().zip(&values) {
        let value = match *value {
            "-" | "(empty)" => continue,
            "T" => Json::Bool(true),
            "F" => Json::Bool(false),
            list if matches!(*name, "answers" | "TTLs" | "actions") => {
                Json::Array(list.parts(b',').map(Json::from).collect())
            }
            text => Json::from(text),
        };
        object.insert(*name, value);
    }
    Some(object)
}

fn take_zeek(draft: &mut Draft, input: &Input<'_>) -> bool {
    zeek(input.text).is_some_and(|object| apply(draft, "zeek", object))
}

/// Most columns of a line.
const MAX_COLUMNS: usize = 256;

/// Reads a line by the `#` lines of Zeek in front of it.
pub(super) fn take_named_zeek(draft: &mut Draft, input: &Input<'_>, header: &str) -> bool {
    named_zeek(input.text, header).is_some_and(|object| apply(draft, "zeek", object))
}

fn named_zeek<'a>(text: &'a str, header: &'a str) -> Option<Map<'a>> {
    let line = |name: &str| header.lines().find_map(|line| line.strip_prefix(name));
    let separator = line("#separator ").map_or(Some('\t'), written_char)?;
    let value = |name: &str, default: &'static str| {
        line(name)
            .and_then(|rest| rest.strip_prefix(separator))
            .unwrap_or(default)
    };
    let columns = |name: &str| {
        value(name, "")
            .split(separator)
            .take(MAX_COLUMNS + 1)
            .collect::<Vec<_>>()
    };
    let (names, kinds) = (columns("#fields"), columns("#types"));
    let values: Vec<&str> = text.split(separator).take(MAX_COLUMNS + 1).collect();
    if names.len() < 2 || names.len() > MAX_COLUMNS || values.len() != names.len() || text.starts_with('#') {
        return None;
    }
    let between = value("#set_separator", ",");
    let (empty, unset) = (value("#empty_field", "(empty)"), value("#unset_field", "-"));
    let mut object = Map::new();
    match value("#path", "") {
        "" => {}
        path => {
            object.insert("_path", Json::from(path));
        }
    }
    for (index, (name, text)) in names.iter().zip(&values).enumerate() {
        let kind = kinds.get(index).copied().unwrap_or("string");
        if *text == unset {
            continue;
        }
        let is_list = ["set[", "vector[", "table["].iter().any(|list| kind.starts_with(list));
        let value = match (kind, *text) {
            (_, text) if is_list && text == empty => continue,
            (_, text) if is_list => Json::Array(text.split(between).take(MAX_COLUMNS).map(Json::from).collect()),
            ("bool", "T") => Json::Bool(true),
            ("bool", "F") => Json::Bool(false),
            ("time" | "interval" | "double", text) => {
                text.parse::<f64>().ok()?;
                Json::from(text)
            }
            ("count" | "int" | "port", text) => {
                text.parse::<i64>().ok()?;
                Json::from(text)
            }
            ("addr", text) if !crate::network::is_ip(text) => return None,
            (_, text) => Json::from(text),
        };
        object.insert(*name, value);
    }
    Some(object)
}

/// A character as Zeek names one: itself or `\x09`.
fn written_char(text: &str) -> Option<char> {
    let text = text.trim_end_matches(['\r', '\n']);
    match text.strip_prefix("\\x") {
        Some(hex) => u8::from_str_radix(hex, 16).ok().filter(u8::is_ascii).map(char::from),
        None => text.chars().next(),
    }
}

/// Reads a line by the names in the first line of its file.
pub(super) fn take_named_vpc(draft: &mut Draft, input: &Input<'_>, header: &str) -> bool {
    named_vpc(input.text, header).is_some_and(|object| apply(draft, "vpcflow", object))
}

fn named_vpc<'a>(text: &'a str, header: &'a str) -> Option<Map<'a>> {
    if header.contains(['#', '\n']) {
        return None;
    }
    let plain = |name: &'a str| match name.has_byte(b'_') {
        true => Cow::Owned(name.replace('_', "-")),
        false => Cow::Borrowed(name),
    };
    let names: Vec<Cow<'a, str>> = header.split_ascii_whitespace().take(MAX_COLUMNS).map(plain).collect();
    let words: Vec<&str> = text.split_ascii_whitespace().take(MAX_COLUMNS + 1).collect();
    let fits = |name: &str, word: &str| match name {
        _ if word == "-" => true,
        "srcaddr" | "dstaddr" | "pkt-srcaddr" | "pkt-dstaddr" => crate::network::is_ip(word),
        "version" | "srcport" | "dstport" | "protocol" | "tcp-flags" | "traffic-path" => word.parse::<u16>().is_ok(),
        "packets" | "bytes" | "start" | "end" => word.parse::<u64>().is_ok(),
        "action" => matches!(word, "ACCEPT" | "REJECT"),
        "log-status" => matches!(word, "OK" | "NODATA" | "SKIPDATA"),
        _ => true,
    };
    let all = names.len() == words.len() && names.iter().zip(&words).all(|(name, word)| fits(name, word));
    all.then(|| {
        let members = names.into_iter().zip(words).filter(|(_, word)| *word != "-");
        members.map(|(name, word)| (name, Json::from(word))).collect()
    })
}
