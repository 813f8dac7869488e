//! Palo Alto Networks PAN-OS: TRAFFIC, THREAT, SYSTEM, CONFIG, USERID and GLOBALPROTECT as comma-separated values.
//! Source: PAN-OS Syslog Field Descriptions.

use std::borrow::Cow;

use model::{Text, ecs};

use super::{Format, Input};
use crate::clock::take_written;
use crate::derive::{DESTINATION, SOURCE, endpoint};
use crate::draft::Draft;
use crate::network::is_host_name;
use crate::scan::Marks as _;
use crate::scan::columns;

pub(crate) const FORMAT: Format = Format {
    name: "panos",
    aliases: &["paloalto", "palo_alto", "pan"],
    datasets: &["panw.panos"],
    programs: &[],
    begins: &[],
    looks: |text| start(text).is_some_and(|(header, _)| is_header(header)),
    take,
};

const KINDS: [&str; 8] = [
    "TRAFFIC",
    "THREAT",
    "SYSTEM",
    "CONFIG",
    "USERID",
    "GLOBALPROTECT",
    "HIPMATCH",
    "HIP-MATCH",
];

/// The header, of any form, and the columns after it: `1,2018/11/30 16:09:33,…`.
fn start(text: &str) -> Option<(&str, &str)> {
    let mut from = 0;
    while let Some(at) = text.get(from..256.min(text.len()))?.place_of(b',').map(|at| from + at) {
        let rest = text.get(at + 1..)?;
        if take_written(rest).is_some_and(|(_, rest)| rest.starts_with(',')) {
            let mut columns = rest.splitn(4, ',').skip(2);
            if !columns.next().is_some_and(|kind| KINDS.contains(&kind)) {
                return None;
            }
            let begin = text.get(..at)?.rfind([' ', '>']).map_or(0, |space| space + 1);
            return Some((text.get(..begin)?.trim(), text.get(begin..)?));
        }
        from = at + 1;
    }
    None
}

/// Nothing, a host, or a syslog header behind the length that some receivers leave in front of it.
fn is_header(text: &str) -> bool {
    let framed = text.trim_start_matches(|c: char| c.is_ascii_digit()).trim_start();
    text.is_empty() || is_host_name(text) || framed.starts_with('<') && framed.has_byte(b'>')
}

fn take(draft: &mut Draft, input: &Input<'_>) -> bool {
    let Some((header, text)) = start(input.text) else {
        return false;
    };
    // What a program writes before the columns is no header.
    if !input.is_certain && !input.program.is_empty() && !header.is_empty() {
        return false;
    }
    // Without a host in its header, the envelope took the first column for one.
    if draft.str(ecs::HOST_NAME).is_some_and(|host| host.has_byte(b',')) {
        draft.take(ecs::HOST_NAME);
    }
    let columns = columns(text, b',', 128);
    let row = Row(&columns);
    let kind = row.at(3);
    let time = row.at(6);
    let time = if take_written(time).is_some() { time } else { row.at(5) };
    if let Some((time, _)) = take_written(time) {
        draft.timestamp = Some(time);
    }
    draft.set("panw.panos.type", kind);
    draft.set_text("panw.panos.sub_type", row.at(4));
    draft.set_text("observer.serial_number", row.at(2));
    draft.set_fixed("observer.vendor", "Palo Alto Networks");
    draft.set_fixed("observer.product", "PAN-OS");
    draft.set_fixed("observer.type", "firewall");
    draft.outcome(true);
    match kind {
        "TRAFFIC" => traffic(draft, &row),
        "THREAT" => threat(draft, &row),
        "SYSTEM" => system(draft, &row),
        "CONFIG" => config(draft, &row),
        "USERID" => user_id(draft, &row),
        "GLOBALPROTECT" => global_protect(draft, &row),
        _ => {}
    }
    true
}

struct Row<'a>(&'a [Cow<'a, str>]);

impl Row<'_> {
    fn at(&self, index: usize) -> &str {
        self.0.get(index).map_or("", |column| column.trim())
    }
}

/// The columns that traffic and threats share.
fn flow(draft: &mut Draft, row: &Row<'_>) {
    endpoint(draft, &SOURCE, row.at(7), row.at(24));
    endpoint(draft, &DESTINATION, row.at(8), row.at(25));
    for (ip, port, at, port_at) in [
        ("source.nat.ip", "source.nat.port", 9, 26),
        ("destination.nat.ip", "destination.nat.port", 10, 27),
    ] {
        let address = row.at(at);
        if crate::network::is_ip(address) {
            draft.add_to_list(ecs::RELATED_IP, address);
            // Both are zero when nothing was translated.
            if address != "0.0.0.0" || !matches!(row.at(port_at), "" | "0") {
                draft.set(ip, address);
                draft.set_int(port, row.at(port_at));
            }
        }
    }
    draft.set_text("rule.name", row.at(11));
    person(draft, row.at(12));
    let (domain, user) = split_domain(row.at(13));
    draft.set_text("destination.user.domain", domain);
    draft.set_text("destination.user.name", user);
    draft.set_text("network.application", row.at(14));
    draft.set_text("panw.panos.virtual_sys", row.at(15));
    draft.set_text("observer.ingress.zone", row.at(16));
    draft.set_text("observer.egress.zone", row.at(17));
    draft.set_text("observer.ingress.interface.name", row.at(18));
    draft.set_text("observer.egress.interface.name", row.at(19));
    draft.set_text("panw.panos.flow_id", row.at(22));
    draft.set_int("event.sequence", row.at(22));
    draft.set_text("network.transport", &Text::lowercase(row.at(29)));
    draft.set_text("panw.panos.action", row.at(30));
    for (side, ip, port) in [("client.ip", 7, 24), ("server.ip", 8, 25)] {
        if crate::network::is_ip(row.at(ip)) {
            draft.set(side, row.at(ip));
            let name = if side == "client.ip" {
                "client.port"
            } else {
                "server.port"
            };
            draft.set_int(name, row.at(port));
        }
    }
}

/// `domain\user`
fn split_domain(text: &str) -> (&str, &str) {
    text.cut_at(b'\\').unwrap_or(("", text))
}

fn person(draft: &mut Draft, text: &str) {
    let (domain, user) = split_domain(text);
    draft.set_text("source.user.domain", domain);
    draft.set_text("source.user.name", user);
    draft.set_text("user.domain", domain);
    draft.user(user);
}

fn allows(action: &str) -> bool {
    matches!(
        action,
        "allow" | "alert" | "continue" | "wildfire" | "forward" | "syncookie-sent" | "override"
    )
}

/// Between a trusted and an untrusted zone.
fn direction(draft: &mut Draft) {
    let zone = |name| draft.str(name).unwrap_or("");
    let direction = match (zone("observer.ingress.zone"), zone("observer.egress.zone")) {
        ("trust", "untrust") => "outbound",
        ("untrust", "trust") => "inbound",
        ("trust", "trust") => "internal",
        ("untrust", "untrust") => "external",
        _ => "unknown",
    };
    draft.set("network.direction", direction);
}

fn traffic(draft: &mut Draft, row: &Row<'_>) {
    flow(draft, row);
    draft.set_list(ecs::EVENT_CATEGORY, &["network"]);
    let sub_type = row.at(4);
    let mut types = vec![if allows(row.at(30)) { "allowed" } else { "denied" }];
    match sub_type {
        "start" => types.extend(["connection", "start"]),
        "end" => types.extend(["connection", "end"]),
        "deny" | "drop" => types.extend(["connection", "denied"]),
        _ => {}
    }
    types.dedup();
    draft.set_list(ecs::EVENT_TYPE, &types);
    let action = match sub_type {
        "start" => "flow_started",
        "end" => "flow_terminated",
        "drop" => "flow_dropped",
        "deny" => "flow_denied",
        _ => "",
    };
    draft.set_text(ecs::EVENT_ACTION, action);
    draft.set_int("network.bytes", row.at(31));
    draft.set_int("source.bytes", row.at(32));
    draft.set_int("destination.bytes", row.at(33));
    draft.set_int("network.packets", row.at(34));
    draft.set_int("source.packets", row.at(44));
    draft.set_int("destination.packets", row.at(45));
    draft.set_text(ecs::EVENT_REASON, row.at(46));
    draft.set_text("observer.hostname", row.at(52));
    if let Ok(seconds) = row.at(36).parse::<i64>() {
        draft.set("event.duration", seconds.saturating_mul(1_000_000_000));
    }
    direction(draft);
    if types.contains(&"denied") {
        draft.unified("FIREWALL_BLOCK", 2);
    }
}

fn threat(draft: &mut Draft, row: &Row<'_>) {
    flow(draft, row);
    draft.set_fixed(ecs::EVENT_KIND, "alert");
    draft.set_list(ecs::EVENT_CATEGORY, &["intrusion_detection", "network"]);
    let denied = !allows(row.at(30));
    draft.set_list(ecs::EVENT_TYPE, &[if denied { "denied" } else { "allowed" }]);
    let sub_type = row.at(4);
    let action = match sub_type {
        "data" => "data_match",
        "file" => "file_match",
        "flood" => "flood_detected",
        "packet" => "packet_attack",
        "scan" => "scan_detected",
        "spyware" => "spyware_detected",
        "url" => "url_filtering",
        "virus" => "virus_detected",
        "vulnerability" => "exploit_detected",
        "wildfire" => "wildfire_verdict",
        "wildfire-virus" => "wildfire_virus_detected",
        _ => "",
    };
    draft.set_text(ecs::EVENT_ACTION, action);
    draft.set_text(ecs::LOG_LEVEL, row.at(34));
    draft.set_text("panw.panos.threat.name", row.at(32));
    draft.set_text("panw.panos.url.category", row.at(33));
    match row.at(35) {
        "client-to-server" | "0" => draft.set_fixed("network.direction", "inbound"),
        "server-to-client" | "1" => draft.set_fixed("network.direction", "outbound"),
        _ => {}
    }
    match sub_type {
        "url" => {
            let url = row.at(31);
            draft.set_text("url.original", url);
            // Without a scheme: `host/path?query`.
            let bare = url.cut("://").map_or(url, |(_, rest)| rest);
            let end = bare.find(['/', '?']).unwrap_or(bare.len());
            let (host, path) = bare.split_at(end);
            draft.set_text("url.domain", crate::derive::split_port(host).0);
            let (path, query) = path.cut_at(b'?').unwrap_or((path, ""));
            draft.set_text("url.path", path);
            draft.set_text("url.query", query);
            if let Some((_, extension)) = path.rsplit('/').next().and_then(|last| last.cut_last_at(b'.')) {
                draft.set_text("url.extension", extension);
            }
        }
        _ => draft.set_text("file.name", row.at(31)),
    }
    draft.set_text("user_agent.original", row.at(46));
    draft.set_text("observer.hostname", row.at(59));
    let severity = match row.at(34) {
        "critical" => 5,
        "high" => 4,
        "medium" => 3,
        "low" => 2,
        _ => 1,
    };
    match sub_type {
        "scan" | "flood" => draft.unified("PORT_SCAN", 4),
        "virus" | "wildfire" | "wildfire-virus" | "spyware" => draft.unified("MALWARE", severity.max(4)),
        "url" | "file" | "data" => draft.unified(if denied { "WEB_BLOCK" } else { "WEB_ACCESS" }, severity.max(1)),
        _ => draft.unified("INTRUSION_ATTEMPT", 5),
    }
}

fn system(draft: &mut Draft, row: &Row<'_>) {
    draft.set_text("panw.panos.event_id", row.at(8));
    draft.set_text("panw.panos.module", row.at(12));
    draft.set_text("panw.panos.severity", row.at(13));
    draft.set_text(ecs::MESSAGE, row.at(14));
    draft.set_list(ecs::EVENT_CATEGORY, &["host"]);
    draft.set_list(ecs::EVENT_TYPE, &["info"]);
    if row.at(4) == "auth" {
        draft.set_list(ecs::EVENT_CATEGORY, &["authentication"]);
        let failed = row.at(8).has("fail");
        draft.outcome(!failed);
        authenticated(draft, row.at(14));
        if failed {
            draft.unified("LOGIN_FAIL", 3);
        }
    }
}

/// `failed authentication for user 'U'.  Reason: R. From: A.`, of which U is the peer's and the rest PAN-OS' words.
fn authenticated(draft: &mut Draft, text: &str) {
    let Some(rest) = text
        .strip_prefix("failed authentication for user '")
        .or_else(|| text.strip_prefix("authenticated for user '"))
    else {
        return;
    };
    let Some((head, address)) = rest.trim_end().trim_end_matches('.').cut_last("From: ") else {
        return;
    };
    let address = address.trim().trim_end_matches('.');
    if crate::network::is_ip(address) {
        endpoint(draft, &SOURCE, address, "");
    }
    if let Some((user, words)) = head.cut_last("'.") {
        person(draft, user);
        if let Some((_, reason)) = words.cut("Reason: ") {
            draft.set_text(ecs::EVENT_REASON, reason.trim().trim_end_matches('.'));
        }
    }
}

fn config(draft: &mut Draft, row: &Row<'_>) {
    draft.set_list(ecs::EVENT_CATEGORY, &["configuration"]);
    draft.set_list(ecs::EVENT_TYPE, &["change"]);
    draft.set_text("panw.panos.config.host", row.at(7));
    draft.set_text("panw.panos.config.command", row.at(9));
    draft.set_text("panw.panos.config.admin", row.at(10));
    draft.set_text("panw.panos.config.client", row.at(11));
    draft.set_text("panw.panos.config.path", row.at(13));
    draft.outcome(!row.at(12).eq_ignore_ascii_case("failed"));
}

fn user_id(draft: &mut Draft, row: &Row<'_>) {
    // Newer versions leave out one of the columns that nobody uses.
    let shift = usize::from(row.at(7).starts_with("vsys") || !crate::network::is_ip(row.at(7)));
    let ip = 7 + shift - usize::from(crate::network::is_ip(row.at(7)));
    let ip = if crate::network::is_ip(row.at(ip)) { ip } else { 8 };
    endpoint(draft, &SOURCE, row.at(ip), "");
    draft.set_text("client.ip", row.at(ip));
    person(draft, row.at(ip + 1));
    draft.set_text(ecs::EVENT_ACTION, row.at(4));
    draft.set_text("event.code", row.at(ip + 3));
    for (name, at) in [
        ("source.port", ip + 6),
        ("client.port", ip + 6),
        ("destination.port", ip + 7),
        ("server.port", ip + 7),
    ] {
        draft.set_int(name, row.at(at));
    }
    draft.set_list(ecs::EVENT_CATEGORY, &["authentication"]);
    draft.set_list(ecs::EVENT_TYPE, &[if row.at(4) == "logout" { "end" } else { "start" }]);
    if !row.at(ip + 17).is_empty() {
        draft.set_text("observer.hostname", row.at(ip + 17));
    }
}

fn global_protect(draft: &mut Draft, row: &Row<'_>) {
    draft.set_text("event.code", row.at(8));
    person(draft, row.at(12));
    draft.set_text(ecs::HOST_NAME, row.at(14));
    let (public, private) = (row.at(15), row.at(17));
    endpoint(draft, &SOURCE, if is_given(private) { private } else { public }, "");
    if is_given(private) {
        draft.set("client.ip", private);
        draft.set("host.ip", private);
        draft.set_known("source.nat.ip", public);
    }
    draft.set_text("host.os.full", row.at(23));
    draft.set_text(ecs::EVENT_REASON, row.at(25));
    draft.outcome(row.at(28) != "failure");
    draft.set_text("observer.hostname", row.at(33));
    draft.set_list(ecs::EVENT_CATEGORY, &["session", "network"]);
    draft.set_list(ecs::EVENT_TYPE, &["info"]);
    if row.at(28) == "failure" && row.at(8).has("auth") {
        draft.unified("LOGIN_FAIL", 3);
    }
}

/// Whether an address was assigned.
fn is_given(text: &str) -> bool {
    crate::network::is_ip(text) && !matches!(text, "0.0.0.0" | "::")
}
