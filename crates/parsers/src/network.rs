//! Addresses and ports where a message names its peer.

use std::net::{IpAddr, Ipv4Addr};

use model::ecs;

use crate::draft::Draft;

/// Sets the source's address, or its domain when it is a name, and its port when there is one.
pub(crate) fn set_source(draft: &mut Draft, host: &str, port: Option<i64>) {
    // An IPv4 peer of an IPv6 socket is the same peer.
    let host = host
        .strip_prefix("::ffff:")
        .filter(|v4| v4.parse::<Ipv4Addr>().is_ok())
        .unwrap_or(host);
    if is_ip(host) {
        draft.set(ecs::SOURCE_IP, host);
        draft.add_to_list(ecs::RELATED_IP, host);
    } else if !host.is_empty() && host != "UNKNOWN" && is_host_name(host) {
        draft.set(ecs::SOURCE_DOMAIN, host);
    }
    if let Some(port) = port {
        draft.set(ecs::SOURCE_PORT, port);
    }
}

/// Whether the text is an IP address; an IPv6 one may name its interface.
pub(crate) fn is_ip(text: &str) -> bool {
    let bare = text.split_once('%').map_or(text, |(address, _)| address);
    bare.len() <= 45 && bare.parse::<IpAddr>().is_ok()
}

/// Whether the text could be a host's name.
pub(crate) fn is_host_name(text: &str) -> bool {
    text.len() <= 253
        && !text.is_empty()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_'))
}

pub(crate) fn port(text: &str) -> Option<i64> {
    text.parse::<u16>().ok().map(i64::from)
}

/// Splits `HEAD from HOST port PORT` at its right end, so that what stands in HEAD cannot pose as the address.
pub(crate) fn split_from_port(text: &str) -> Option<(&str, &str, i64)> {
    let (head, port_text) = text.rsplit_once(" port ")?;
    let (head, host) = head
        .rsplit_once(" from ")
        .or_else(|| Some(("", head.strip_prefix("from ")?)))?;
    let port = port(port_text)?;
    (!host.contains(' ')).then_some((head, host, port))
}

/// Splits `HEAD HOST port PORT` at its right end.
pub(crate) fn split_host_port(text: &str) -> Option<(&str, &str, i64)> {
    let (head, port_text) = text.rsplit_once(" port ")?;
    let (head, host) = head.rsplit_once(' ').unwrap_or(("", head));
    Some((head, host, port(port_text)?))
}
