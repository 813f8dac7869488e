//! Addresses and ports where a message names its peer.

use std::net::{IpAddr, Ipv4Addr};

use model::ecs;

use crate::draft::Draft;
use crate::scan::Marks as _;

/// Sets the source's address, or its domain when it is a name, and its port when there is one.
pub(crate) fn set_source(draft: &mut Draft, host: &str, port: Option<i64>) {
    // An IPv4 peer of an IPv6 socket is the same peer.
    let host = host
        .strip_prefix("::ffff:")
        .filter(|v4| ipv4(v4).is_some())
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
    // Most texts that are asked about are names, or IPv4: both are told without a look at the whole.
    if ipv4(text).is_some() {
        return true;
    }
    if !text.as_bytes().iter().take(5).any(|byte| *byte == b':') {
        return false;
    }
    let bare = text.cut_at(b'%').map_or(text, |(address, _)| address);
    bare.len() <= 45 && is_ipv6(bare)
}

/// The address that the text is.
pub(crate) fn ip(text: &str) -> Option<IpAddr> {
    match ipv4(text) {
        Some(ip) => Some(IpAddr::V4(ip)),
        None => text.parse().ok().map(IpAddr::V6),
    }
}

/// Four numbers up to 255 without leading zeros.
fn ipv4(text: &str) -> Option<Ipv4Addr> {
    let bytes = text.as_bytes();
    // Most texts that are no address show it at once.
    if bytes.len() > 15 || !bytes.first()?.is_ascii_digit() {
        return None;
    }
    let (first, rest) = octet(bytes)?;
    let (second, rest) = octet(rest.strip_prefix(b".")?)?;
    let (third, rest) = octet(rest.strip_prefix(b".")?)?;
    let (fourth, rest) = octet(rest.strip_prefix(b".")?)?;
    rest.is_empty().then(|| Ipv4Addr::new(first, second, third, fourth))
}

#[inline]
fn octet(text: &[u8]) -> Option<(u8, &[u8])> {
    let digit = |byte: u8| byte.wrapping_sub(b'0');
    let (first, rest) = text.split_first()?;
    let first = digit(*first);
    if first > 9 {
        return None;
    }
    let Some((second, after)) = rest.split_first().filter(|(byte, _)| digit(**byte) <= 9) else {
        return Some((first, rest));
    };
    let second = digit(*second);
    if first == 0 {
        return None;
    }
    let two = first * 10 + second;
    match after.split_first().filter(|(byte, _)| digit(**byte) <= 9) {
        None => Some((two, after)),
        Some((third, rest)) => Some((two.checked_mul(10)?.checked_add(digit(*third))?, rest)),
    }
}

/// Eight groups of up to four digits, or less with one `::` for the others; the last two may be written as IPv4.
fn is_ipv6(text: &str) -> bool {
    let (mut groups, mut gap) = (0, false);
    let mut rest = text;
    if let Some(after) = rest.strip_prefix("::") {
        (rest, gap) = (after, true);
    }
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_hexdigit).count();
        let Some((_, after)) = rest.split_at_checked(digits).filter(|_| (1..=4).contains(&digits)) else {
            return false;
        };
        if after.starts_with('.') {
            groups += 2;
            if ipv4(rest).is_none() {
                return false;
            }
            break;
        }
        groups += 1;
        rest = match after.strip_prefix("::") {
            Some(after) if !gap => {
                gap = true;
                after
            }
            Some(_) => return false,
            None if after.is_empty() => break,
            None => match after.strip_prefix(':') {
                Some(after) if !after.is_empty() => after,
                _ => return false,
            },
        };
    }
    if gap { groups <= 7 } else { groups == 8 }
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
    let (head, port_text) = text.cut_last(" port ")?;
    let (head, host) = head
        .cut_last(" from ")
        .or_else(|| Some(("", head.strip_prefix("from ")?)))?;
    let port = port(port_text)?;
    (!host.has_byte(b' ')).then_some((head, host, port))
}

/// Splits `HEAD HOST port PORT` at its right end.
pub(crate) fn split_host_port(text: &str) -> Option<(&str, &str, i64)> {
    let (head, port_text) = text.cut_last(" port ")?;
    let (head, host) = head.cut_last_at(b' ').unwrap_or(("", head));
    Some((head, host, port(port_text)?))
}

#[cfg(test)]
mod tests {
    use std::net::Ipv6Addr;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn addresses_are_addresses() {
        for text in [
            "192.0.2.1",
            "0.0.0.0",
            "255.255.255.255",
            "::",
            "fe80::1%eth0",
            "2001:db8::192.0.2.1",
        ] {
            assert!(is_ip(text), "{text}");
        }
        for text in [
            "192.0.2",
            "192.0.2.01",
            "192.0.2.256",
            "192.0.2.1.",
            ".1.2.3",
            "1.2.3.4.5",
            "web-01",
            "",
            "12:34:56",
            "a:b",
        ] {
            assert!(!is_ip(text), "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_an_address_is_what_the_library_says(text in "[0-9a-f.:]{0,20}|([0-9]{1,3}\\.){3}[0-9]{1,3}|([0-9a-f]{0,4}:){1,8}[0-9a-f]{0,4}") {
            prop_assert_eq!(is_ip(&text), text.parse::<IpAddr>().is_ok());
            prop_assert_eq!(ip(&text), text.parse::<IpAddr>().ok());
        }

        #[test]
        fn what_is_an_ipv6_address_is_what_the_library_says(
            head in "([0-9a-fA-F]{1,4}:){0,8}", middle in "(::|:|)", tail in "([0-9a-f]{1,5}:){0,7}", end in "([0-9]{1,3}\\.){3}[0-9]{1,3}|[0-9a-f]{0,4}|::",
        ) {
            let text = format!("{head}{middle}{tail}{end}");
            prop_assert_eq!(is_ipv6(&text), text.parse::<Ipv6Addr>().is_ok(), "{}", text);
            let text = format!("{}{tail}{end}", head.strip_suffix(':').unwrap_or(&head).to_owned() + "::");
            prop_assert_eq!(is_ipv6(&text), text.parse::<Ipv6Addr>().is_ok(), "{}", text);
        }
    }
}
