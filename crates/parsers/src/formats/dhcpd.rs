//! DHCP servers: ISC dhcpd, Kea, and Microsoft's.

use model::{Text, ecs};

use super::{Format, Input};
use crate::clock::{take_iso_spaced, take_written};
use crate::derive::{CLIENT, SOURCE, endpoint};
use crate::dissect::dissect;
use crate::draft::Draft;
use crate::network::is_ip;
use crate::record::Warning;
use crate::scan::Marks as _;

pub(crate) const FORMAT: Format = Format {
    name: "dhcpd",
    aliases: &["dhcp", "isc-dhcp"],
    datasets: &["dhcpd.log"],
    programs: &["dhcpd", "dhcpd3", "dhclient"],
    begins: &[],
    looks: |_| false,
    take,
};

pub(crate) const KEA: Format = Format {
    name: "kea",
    aliases: &["kea-dhcp4", "kea-dhcp6"],
    datasets: &["kea.log"],
    programs: &["kea-dhcp4", "kea-dhcp6"],
    begins: &[super::CAPITALS, super::DIGITS],
    looks: |text| {
        if !text.has("[kea-dhcp") {
            return false;
        }
        let text = take_iso_spaced(text).map_or(text, |(_, rest)| rest.trim_start());
        let rest = text.trim_start_matches(|c: char| c.is_ascii_uppercase());
        rest.len() < text.len() && rest.trim_start().starts_with("[kea-dhcp")
    },
    take: take_kea,
};

pub(crate) const MICROSOFT: Format = Format {
    name: "msdhcp",
    aliases: &["windows_dhcp"],
    datasets: &["microsoft.dhcp"],
    programs: &[],
    begins: &["%,", super::DIGITS],
    looks: |text| {
        text.starts_with("%MSDHCP-") || text.trim_start_matches(|c: char| c.is_ascii_digit()).starts_with(',')
    },
    take: take_microsoft,
};

/// Sets what a message of the protocol says. Names are the client's own.
pub(super) fn lease(draft: &mut Draft, verb: &str, address: &str, mac: &str, name: &str, interface: &str) {
    draft.set(ecs::EVENT_ACTION, Text::lowercase(verb));
    draft.set_fixed(ecs::NETWORK_PROTOCOL, "dhcp");
    draft.set_fixed("network.transport", "udp");
    draft.set_list(ecs::EVENT_CATEGORY, &["network"]);
    draft.set_list(
        ecs::EVENT_TYPE,
        &["protocol", if verb.ends_with("NAK") { "denied" } else { "info" }],
    );
    draft.set_known("observer.ingress.interface.name", interface);
    if is_ip(address) {
        endpoint(draft, &CLIENT, address, "");
        endpoint(draft, &SOURCE, address, "");
    }
    if mac.bytes().filter(|byte| *byte == b':').count() == 5 {
        draft.set("client.mac", mac.to_ascii_uppercase().replace(':', "-"));
    }
    if crate::network::is_host_name(name) {
        draft.set_known("client.domain", name);
    }
}

/// Shapes of dhcpd's messages: address, hardware address, name, interface.
const SHAPES: &[&str] = &[
    "DHCPACK on {ip} to {mac} ({name}) via {if}",
    "DHCPACK on {ip} to {mac} via {if}",
    "DHCPACK to {ip} ({mac}) via {if}",
    "DHCPOFFER on {ip} to {mac} ({name}) via {if}",
    "DHCPOFFER on {ip} to {mac} via {if}",
    "DHCPREQUEST for {ip} ({_}) from {mac} ({name}) via {if}",
    "DHCPREQUEST for {ip} ({_}) from {mac} via {if}",
    "DHCPREQUEST for {ip} from {mac} ({name}) via {if}",
    "DHCPREQUEST for {ip} from {mac} via {if}",
    "DHCPDISCOVER from {mac} ({name}) via {if}",
    "DHCPDISCOVER from {mac} via {if}",
    "DHCPNAK on {ip} to {mac} via {if}",
    "DHCPRELEASE of {ip} from {mac} ({name}) via {if} ({_})",
    "DHCPRELEASE of {ip} from {mac} via {if} ({_})",
    "DHCPDECLINE of {ip} from {mac} via {if}",
    "DHCPINFORM from {ip} via {if}",
    "DHCPEXPIRE on {ip} to {mac}",
];

fn take(draft: &mut Draft, input: &Input<'_>) -> bool {
    // dhcpd adds `: reason` where a request failed; the interface has no colon.
    let (message, reason) = match input.text.cut_last(" via ") {
        Some((_, tail)) if tail.has(": ") => {
            let cut = input.text.len() - tail.len() + tail.find(": ").unwrap_or(0);
            input.text.split_at(cut)
        }
        _ => (input.text.trim_end(), ""),
    };
    let parts = SHAPES.iter().filter_map(|shape| dissect(shape, message)).find(|parts| {
        parts.iter().all(|(name, value)| match *name {
            "ip" => is_ip(value),
            "mac" => value.len() <= 60 && !value.has_byte(b' '),
            _ => true,
        })
    });
    let Some(parts) = parts else { return false };
    let get = |wanted: &str| {
        parts
            .iter()
            .find(|(name, _)| *name == wanted)
            .map_or("", |(_, value)| *value)
    };
    let verb = message.parts(b' ').next().unwrap_or("");
    // A name may hold the words behind it; the last of them are dhcpd's.
    let (name, interface) = match get("if").cut_last(" via ") {
        Some((_, interface)) => ("", interface),
        None => (get("name"), get("if")),
    };
    lease(draft, verb, get("ip"), get("mac"), name, interface);
    draft.set_text(ecs::EVENT_REASON, reason.trim_start_matches(": "));
    true
}

/// `time LEVEL [logger/pid.thread] MESSAGE_ID [hwtype=1 mac], …: lease IP has been allocated`
fn take_kea(draft: &mut Draft, input: &Input<'_>) -> bool {
    let Some((head, rest)) = input.text.cut_at(b'[') else {
        return false;
    };
    let Some((logger, message)) = rest.cut("] ") else {
        return false;
    };
    let (id, text) = message.cut_at(b' ').unwrap_or((message, ""));
    if !logger.starts_with("kea-")
        || !id
            .bytes()
            .all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_')
    {
        return false;
    }
    if let Some((time, _)) = take_iso_spaced(head) {
        draft.timestamp = Some(time);
    }
    let level = head.parts(b' ').rfind(|word| !word.is_empty()).unwrap_or("");
    draft.set_known(ecs::LOG_LEVEL, &Text::lowercase(level));
    let mac = text
        .cut("hwtype=1 ")
        .map_or("", |(_, rest)| rest.split([']', ',']).next().unwrap_or(""));
    let address = text
        .cut("lease ")
        .or_else(|| text.cut("address "))
        .map_or("", |(_, rest)| rest.split([' ', ',', ':']).next().unwrap_or(""));
    lease(draft, id, address, mac, "", "");
    draft.set("event.code", id);
    draft.set(ecs::MESSAGE, message);
    true
}

/// Most columns that Windows writes.
const MICROSOFT_COLUMNS: usize = 19;

/// `id,date,time,description,ip,host,mac,user,…`
fn microsoft(text: &str) -> Option<Vec<&str>> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    if digits > 5 || text.as_bytes().get(digits) != Some(&b',') {
        return None;
    }
    let columns: Vec<&str> = text.parts(b',').up_to(24);
    let fits =
        columns.len() >= 7 && columns.get(1)?.matches('/').count() == 2 && columns.get(2)?.matches(':').count() == 2;
    fits.then_some(columns)
}

/// Appends numbers, those of one digit with a zero in front.
fn pad(into: &mut String, numbers: &str, between: char) {
    for (index, number) in numbers.split(between).enumerate() {
        if index > 0 {
            into.push(between);
        }
        for _ in number.chars().count()..2 {
            into.push('0');
        }
        into.push_str(number);
    }
}

/// Whether it is a hardware address as the server writes it.
fn is_hardware(text: &str) -> bool {
    text.len() >= 12 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn take_microsoft(draft: &mut Draft, input: &Input<'_>) -> bool {
    let text = match input.text.strip_prefix("%MSDHCP-") {
        Some(rest) => rest.cut(": ").map_or("", |(_, text)| text),
        None => input.text,
    };
    let Some(columns) = microsoft(text) else { return false };
    let [id, date, time, description, address, named @ ..] = columns.as_slice() else {
        return false;
    };
    // A client names itself, and a comma in its name moves all that follows.
    let (host, mac, rest) = match named {
        _ if columns.len() > MICROSOFT_COLUMNS => {
            draft.warn(Warning::Ambiguous);
            ("", "", named.get(..0).unwrap_or_default())
        }
        [_, mac, rest @ ..] if !is_hardware(mac) && rest.iter().any(|column| is_hardware(column)) => {
            draft.warn(Warning::Ambiguous);
            ("", "", named.get(..0).unwrap_or_default())
        }
        [host, mac, rest @ ..] => (*host, *mac, rest),
        _ => return false,
    };
    let mut written = String::with_capacity(32);
    pad(&mut written, date, '/');
    written.push(' ');
    pad(&mut written, time, ':');
    if let Some((time, _)) = take_written(&written) {
        draft.timestamp = Some(time);
    }
    draft.set("event.code", *id);
    draft.set_list(ecs::EVENT_CATEGORY, &["network"]);
    draft.set_list(
        ecs::EVENT_TYPE,
        &["protocol", if matches!(*id, "15" | "16") { "denied" } else { "info" }],
    );
    draft.set_fixed(ecs::NETWORK_PROTOCOL, "dhcp");
    let action = match *id {
        "10" => "dhcp-new",
        "11" => "dhcp-renew",
        "12" => "dhcp-release",
        "13" => "dhcp-ip-conflict",
        "14" | "22" => "dhcp-pool-exhausted",
        "15" => "dhcp-denied",
        "16" => "dhcp-delete",
        "17" => "dhcp-expired",
        "30" => "dhcp-dns-update",
        "31" => "dhcp-dns-update-failed",
        "32" => "dhcp-dns-update-successful",
        _ => "",
    };
    draft.set_text(ecs::EVENT_ACTION, action);
    match *id {
        "31" => draft.outcome(false),
        "32" => draft.outcome(true),
        _ => {}
    }
    draft.set_known(ecs::MESSAGE, description);
    if is_ip(address) {
        draft.set(ecs::SOURCE_IP, *address);
        draft.set("client.ip", *address);
    }
    let host = host.trim_end_matches('.');
    draft.set_known("source.address", host);
    draft.set_known(ecs::HOST_HOSTNAME, host);
    if mac.len() >= 12
        && mac
            .bytes()
            .all(|byte| byte.is_ascii_hexdigit() || matches!(byte, b':' | b'-'))
    {
        draft.set("source.mac", mac);
    }
    if let Some(user) = rest.first().filter(|_| rest.len() > 3) {
        draft.user(user);
    }
    draft.set_fixed("observer.vendor", "Microsoft");
    draft.set_fixed("observer.product", "DHCP");
    draft.set_fixed("observer.type", "Application");
    true
}
