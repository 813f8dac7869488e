//! The community id of a flow, by which tools agree on which conversation they saw.
//! Source: <https://github.com/corelight/community-id-spec>, version 1 with seed 0.

use std::net::IpAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use model::{Value, ecs};
use sha1::{Digest as _, Sha1};

use crate::draft::Draft;

/// Sets `network.community_id` when both ends and the transport are known.
pub(crate) fn derive(draft: &mut Draft) {
    if draft.get("network.community_id").is_some() {
        return;
    }
    let Some(protocol) = draft.str("network.transport").and_then(number) else {
        return;
    };
    let ip = |name| draft.str(name).and_then(crate::network::ip);
    let port = |name| {
        draft
            .get(name)
            .and_then(Value::as_i64)
            .and_then(|port| u16::try_from(port).ok())
    };
    let (Some(source), Some(destination)) = (ip(ecs::SOURCE_IP), ip(ecs::DESTINATION_IP)) else {
        return;
    };
    let ports = match protocol {
        1 | 58 => {
            let kind = port("icmp.type").unwrap_or(0);
            Some((kind, port("icmp.code").unwrap_or(0)))
        }
        6 | 17 | 132 => match (port(ecs::SOURCE_PORT), port(ecs::DESTINATION_PORT)) {
            (Some(source), Some(destination)) => Some((source, destination)),
            _ => return,
        },
        _ => None,
    };
    let id = community_id(source, destination, protocol, ports);
    // Where addresses were translated, a sensor on the other side saw another flow.
    let outside = (
        ip("source.nat.ip").unwrap_or(source),
        ip("destination.nat.ip").unwrap_or(destination),
    );
    if outside == (source, destination) {
        draft.set("network.community_id", id);
        return;
    }
    let nat_port = |name, port: u16| nat_port(draft, name).unwrap_or(port);
    let nat_ports = ports.map(|(one, other)| match protocol {
        6 | 17 | 132 => (
            nat_port("source.nat.port", one),
            nat_port("destination.nat.port", other),
        ),
        _ => (one, other),
    });
    let other = community_id(outside.0, outside.1, protocol, nat_ports);
    draft.set_texts("network.community_id", &[&id, &other]);
}

fn nat_port(draft: &Draft, name: &str) -> Option<u16> {
    let port = draft.get(name).and_then(Value::as_i64)?;
    u16::try_from(port).ok()
}

/// The number of a transport protocol by its name or number.
pub(crate) fn number(transport: &str) -> Option<u8> {
    Some(match transport {
        "tcp" => 6,
        "udp" => 17,
        "icmp" => 1,
        "ipv6-icmp" | "icmp6" | "icmpv6" => 58,
        "sctp" => 132,
        "igmp" => 2,
        "gre" => 47,
        "esp" => 50,
        "ah" => 51,
        "ospf" => 89,
        "pim" => 103,
        "vrrp" => 112,
        other => other.parse().ok()?,
    })
}

/// What answers an ICMP message, where the specification knows it as a pair.
fn icmp_pair(protocol: u8, kind: u16) -> Option<u16> {
    let pairs: &[(u16, u16)] = if protocol == 1 {
        &[
            (8, 0),
            (0, 8),
            (13, 14),
            (14, 13),
            (15, 16),
            (16, 15),
            (10, 9),
            (9, 10),
            (17, 18),
            (18, 17),
        ]
    } else {
        &[
            (128, 129),
            (129, 128),
            (130, 131),
            (131, 130),
            (133, 134),
            (134, 133),
            (135, 136),
            (136, 135),
            (139, 140),
            (140, 139),
            (144, 145),
            (145, 144),
        ]
    };
    pairs.iter().find(|(one, _)| *one == kind).map(|(_, other)| *other)
}

fn community_id(source: IpAddr, destination: IpAddr, protocol: u8, ports: Option<(u16, u16)>) -> String {
    let (mut first, mut second) = (source, destination);
    let mut one_way = false;
    let mut ports = ports;
    if matches!(protocol, 1 | 58)
        && let Some((kind, code)) = ports
    {
        match icmp_pair(protocol, kind) {
            Some(answer) => ports = Some((kind, answer)),
            None => {
                one_way = true;
                ports = Some((kind, code));
            }
        }
    }
    let swap = match first.cmp(&second) {
        std::cmp::Ordering::Greater => true,
        std::cmp::Ordering::Equal => ports.is_some_and(|(one, other)| one > other),
        std::cmp::Ordering::Less => false,
    };
    if swap && !one_way {
        std::mem::swap(&mut first, &mut second);
        ports = ports.map(|(one, other)| (other, one));
    }
    // Seed, addresses, protocol, padding and ports, in one piece: a hash has its own costs for each.
    let mut flow = [0; 2 + 2 * 16 + 2 + 2 * 2];
    let mut at = 2;
    let mut add = |bytes: &[u8]| {
        if let Some(place) = flow.get_mut(at..at + bytes.len()) {
            place.copy_from_slice(bytes);
            at += bytes.len();
        }
    };
    for ip in [first, second] {
        match ip {
            IpAddr::V4(ip) => add(&ip.octets()),
            IpAddr::V6(ip) => add(&ip.octets()),
        }
    }
    add(&[protocol, 0]);
    if let Some((one, other)) = ports {
        add(&one.to_be_bytes());
        add(&other.to_be_bytes());
    }
    let hash = Sha1::digest(flow.get(..at).unwrap_or_default());
    let mut id = String::with_capacity(30);
    id.push_str("1:");
    STANDARD.encode_string(hash, &mut id);
    id
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The examples of the specification.
    #[test]
    fn ids_are_those_of_the_specification() {
        let id =
            |a: &str, b: &str, protocol, ports| community_id(a.parse().unwrap(), b.parse().unwrap(), protocol, ports);
        let tcp = id("128.232.110.120", "66.35.250.204", 6, Some((34855, 80)));
        assert_eq!(tcp, "1:LQU9qZlK+B5F3KDmev6m5PMibrg=");
        assert_eq!(id("66.35.250.204", "128.232.110.120", 6, Some((80, 34855))), tcp);
        assert_eq!(
            id("192.168.1.52", "8.8.8.8", 17, Some((54585, 53))),
            "1:d/FP5EW3wiY1vCndhwleRRKHowQ="
        );
        assert_eq!(
            id("192.168.0.89", "192.168.0.1", 1, Some((8, 0))),
            "1:X0snYXpgwiv9TZtqg64sgzUn6Dk="
        );
    }
}
