//! Formats whose lines are columns or pairs with known names: those become members of an object, and a table says the rest.

use model::Value;
use serde_json::{Map, Value as Json};

use super::{Format, Input};
use crate::draft::Draft;
use crate::mapping;
use crate::record::Warning;
use crate::scan::Scan;

pub(crate) const FORTIGATE: Format = Format {
    name: "fortigate",
    aliases: &["fortinet", "fortios", "fortinet.firewall"],
    datasets: &["fortinet.firewall"],
    programs: &[],
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
            && text.contains("logid=")
            && text.contains("type=")
            && text.contains("subtype=")
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
    looks: |text| vpc(text).is_some(),
    take: |draft, input| vpc(input.text).is_some_and(|object| apply(draft, "vpcflow", object)),
};

pub(crate) const ALB: Format = Format {
    name: "alb",
    aliases: &["aws_elb", "elb", "aws-alb"],
    datasets: &["aws.elb_logs"],
    programs: &[],
    looks: |text| {
        ["http ", "https ", "h2 ", "ws ", "wss ", "grpcs "]
            .iter()
            .any(|kind| text.starts_with(kind))
            && alb(text).is_some()
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
    looks: |text| zeek(text).is_some(),
    take: take_zeek,
};

fn apply(draft: &mut Draft, table: &str, object: Map<String, Json>) -> bool {
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
            Json::String(text) => Value::from(text),
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
fn pairs(text: &str) -> (Map<String, Json>, bool) {
    let mut object = Map::new();
    let mut twice: Vec<String> = Vec::new();
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
            Some(value) => crate::scan::unescape(value).into_owned(),
            None => {
                let end = scan.rest.find(' ').unwrap_or(scan.rest.len());
                let (value, rest) = scan.rest.split_at(end);
                scan.rest = rest;
                value.to_owned()
            }
        };
        // A header may stand before the first key.
        let key = key.rsplit('>').next().unwrap_or(key);
        if !key.is_empty() && key.len() <= 64 && !value.is_empty() {
            match object.get(key) {
                Some(Json::String(first)) if *first != value => twice.push(key.to_owned()),
                Some(_) => {}
                None => {
                    object.insert(key.to_owned(), Json::String(value));
                }
            }
        }
    }
    object.retain(|key, _| !twice.contains(key));
    (object, !twice.is_empty())
}

fn named(names: &[&str], values: &[&str]) -> Map<String, Json> {
    names
        .iter()
        .zip(values)
        .filter(|(_, value)| !matches!(**value, "-" | ""))
        .map(|(name, value)| ((*name).to_owned(), Json::String((*value).to_owned())))
        .collect()
}

/// Version 2, the default.
fn vpc(text: &str) -> Option<Map<String, Json>> {
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
    let words: Vec<&str> = text.split(' ').take(32).collect();
    let fits = words.len() == NAMES.len()
        && words.first() == Some(&"2")
        && words.get(2).is_some_and(|interface| interface.starts_with("eni-"))
        && words
            .last()
            .is_some_and(|status| matches!(*status, "OK" | "NODATA" | "SKIPDATA"));
    fits.then(|| named(NAMES, &words))
}

fn alb(text: &str) -> Option<Map<String, Json>> {
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
            let url = rest.rsplit_once(' ').map_or(rest, |(url, _)| url);
            object.insert("method".to_owned(), Json::String(method.to_owned()));
            object.insert("url".to_owned(), Json::String(url.to_owned()));
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
fn zeek(text: &str) -> Option<Map<String, Json>> {
    if !text.contains('\t') || !text.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let values: Vec<&str> = text.split('\t').take(64).collect();
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
            _ => at(names, "note").is_some_and(|note| note.contains("::")),
        };
        values.len() == names.len() && fits
    })?;
    let mut object = Map::new();
    object.insert("_path".to_owned(), Json::String((*log).to_owned()));
    for (name, value) in names.iter().zip(&values) {
        let value = match *value {
            "-" | "(empty)" => continue,
            "T" => Json::Bool(true),
            "F" => Json::Bool(false),
            list if matches!(*name, "answers" | "TTLs" | "actions") => {
                Json::Array(list.split(',').map(Json::from).collect())
            }
            text => Json::String(text.to_owned()),
        };
        object.insert((*name).to_owned(), value);
    }
    Some(object)
}

fn take_zeek(draft: &mut Draft, input: &Input<'_>) -> bool {
    zeek(input.text).is_some_and(|object| apply(draft, "zeek", object))
}
