//! filterlog of pfSense and OPNsense: comma-separated, IPv4 and IPv6, every protocol.
//! Source: <https://docs.netgate.com/pfsense/en/latest/monitoring/logs/raw-filter-format.html>.

use model::{Text, ecs};

use super::{Format, Input};
use crate::derive::{DESTINATION, SOURCE, endpoint};
use crate::draft::Draft;
use crate::network::is_ip;
use crate::scan::Marks as _;

pub(crate) const FORMAT: Format = Format {
    name: "filterlog",
    aliases: &["pfsense", "opnsense", "pf"],
    datasets: &["pfsense.log"],
    programs: &["filterlog"],
    begins: &[",", super::DIGITS],
    looks,
    take,
};

fn looks(text: &str) -> bool {
    let mut parts = text.parts(b',');
    let is_number = |part: Option<&str>| part.is_some_and(|part| part.bytes().all(|byte| byte.is_ascii_digit()));
    // Rule and sub-rule are numbers, or nothing.
    if !(is_number(parts.next()) && is_number(parts.next())) {
        return false;
    }
    matches!(
        parts.nth(4),
        Some("block" | "pass" | "reject" | "match" | "rdr" | "nat")
    ) && matches!(parts.next(), Some("in" | "out"))
}

fn take(draft: &mut Draft, input: &Input<'_>) -> bool {
    let parts: Vec<&str> = input.text.trim().parts(b',').up_to(64);
    let [
        rule,
        _,
        _,
        tracker,
        interface,
        reason,
        action,
        direction,
        version,
        rest @ ..,
    ] = parts.as_slice()
    else {
        return false;
    };
    let read = match *version {
        "4" => read_v4(rest),
        "6" => read_v6(rest),
        _ => None,
    };
    let Some(packet) = read else { return false };
    draft.set_known(
        "rule.id",
        if tracker.is_empty() || *tracker == "0" {
            rule
        } else {
            tracker
        },
    );
    draft.set_known("observer.ingress.interface.name", interface);
    draft.set_known(ecs::EVENT_REASON, reason);
    draft.set_known(ecs::EVENT_ACTION, action);
    draft.set(
        "network.direction",
        match *direction {
            "in" => "inbound",
            "out" => "outbound",
            other => other,
        },
    );
    draft.set("network.type", if *version == "4" { "ipv4" } else { "ipv6" });
    if !packet.protocol.is_empty() {
        draft.set("network.transport", packet.protocol.clone());
    }
    draft.set_int("network.iana_number", packet.number);
    draft.set_int("network.bytes", packet.length);
    endpoint(draft, &SOURCE, packet.source, "");
    endpoint(draft, &DESTINATION, packet.destination, "");
    match packet.protocol.as_str() {
        "tcp" | "udp" | "sctp" => {
            if let [sport, dport, tail @ ..] = packet.tail {
                if let (Some(sport), Some(dport)) = (crate::network::port(sport), crate::network::port(dport)) {
                    draft.set(ecs::SOURCE_PORT, sport);
                    draft.set(ecs::DESTINATION_PORT, dport);
                }
                if let [_, flags, ..] = tail {
                    draft.set_text("pfsense.tcp.flags", flags);
                }
            }
        }
        "icmp" | "ipv6-icmp" => draft.set_text("pfsense.icmp.type", packet.tail.first().unwrap_or(&"")),
        _ => {}
    }
    draft.set_list(ecs::EVENT_CATEGORY, &["network"]);
    let blocked = matches!(*action, "block" | "reject");
    draft.set_list(
        ecs::EVENT_TYPE,
        &["connection", if blocked { "denied" } else { "allowed" }],
    );
    draft.outcome(true);
    draft.set_fixed("observer.type", "firewall");
    draft.set_fixed("observer.vendor", "netgate");
    true
}

struct Packet<'a> {
    protocol: Text,
    number: &'a str,
    length: &'a str,
    source: &'a str,
    destination: &'a str,
    tail: &'a [&'a str],
}

/// `tos,ecn,ttl,id,offset,flags,number,protocol,length,source,destination,…`
fn read_v4<'a>(rest: &'a [&'a str]) -> Option<Packet<'a>> {
    let [
        _,
        _,
        _,
        _,
        _,
        _,
        number,
        protocol,
        length,
        source,
        destination,
        tail @ ..,
    ] = rest
    else {
        return None;
    };
    build(number, protocol, length, source, destination, tail)
}

/// `class,label,hops,protocol,number,length,source,destination,…`
fn read_v6<'a>(rest: &'a [&'a str]) -> Option<Packet<'a>> {
    let [_, _, _, protocol, number, length, source, destination, tail @ ..] = rest else {
        return None;
    };
    build(number, protocol, length, source, destination, tail)
}

fn build<'a>(
    number: &'a str,
    protocol: &str,
    length: &'a str,
    source: &'a str,
    destination: &'a str,
    tail: &'a [&'a str],
) -> Option<Packet<'a>> {
    if !is_ip(source) || !is_ip(destination) {
        return None;
    }
    let mut protocol = Text::lowercase(protocol);
    if matches!(protocol.as_str(), "icmpv6" | "icmp6") {
        protocol = Text::of_static("ipv6-icmp");
    }
    Some(Packet {
        protocol,
        number,
        length,
        source,
        destination,
        tail,
    })
}
