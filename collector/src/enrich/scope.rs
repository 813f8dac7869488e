//! Who can reach an address.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Kinds of addresses, by the special-purpose registries of IANA.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    Public,
    /// RFC 1918, RFC 4193, and the addresses providers share (RFC 6598).
    Private,
    Loopback,
    LinkLocal,
    Multicast,
    /// For documentation, benchmarks, protocols, or nothing yet.
    Reserved,
}

impl Scope {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Private => "private",
            Self::Loopback => "loopback",
            Self::LinkLocal => "link_local",
            Self::Multicast => "multicast",
            Self::Reserved => "reserved",
        }
    }
}

pub(crate) fn of(ip: IpAddr) -> Scope {
    match ip {
        IpAddr::V4(ip) => v4(ip),
        IpAddr::V6(ip) => ip.to_ipv4_mapped().map_or_else(|| v6(ip), v4),
    }
}

fn v4(ip: Ipv4Addr) -> Scope {
    match ip.octets() {
        [127, ..] => Scope::Loopback,
        [10, ..] | [192, 168, ..] | [172, 16..=31, ..] | [100, 64..=127, ..] => Scope::Private,
        [169, 254, ..] => Scope::LinkLocal,
        [224..=239, ..] => Scope::Multicast,
        [0 | 240..=255, ..]
        | [192, 0, 0 | 2, _]
        | [198, 18 | 19, ..]
        | [198, 51, 100, _]
        | [203, 0, 113, _]
        | [192, 88, 99, _] => Scope::Reserved,
        _ => Scope::Public,
    }
}

fn v6(ip: Ipv6Addr) -> Scope {
    match ip.segments() {
        [0, 0, 0, 0, 0, 0, 0, 1] => Scope::Loopback,
        [0xfc00..=0xfdff, ..] => Scope::Private,
        [0xfe80..=0xfebf, ..] => Scope::LinkLocal,
        [0xff00..=0xffff, ..] => Scope::Multicast,
        [0x2001, 0xdb8, ..] | [0x3fff, 0..=0xfff, ..] | [0x2001, 0..=0x1ff, ..] => Scope::Reserved,
        [0x2000..=0x3fff, ..] | [0x64, 0xff9b, 0, ..] => Scope::Public,
        _ => Scope::Reserved,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_what_the_registries_say() {
        for (text, scope) in [
            ("8.8.8.8", Scope::Public),
            ("172.15.0.1", Scope::Public),
            ("172.16.0.1", Scope::Private),
            ("172.32.0.1", Scope::Public),
            ("10.0.0.1", Scope::Private),
            ("192.168.1.1", Scope::Private),
            ("100.64.0.1", Scope::Private),
            ("127.0.0.53", Scope::Loopback),
            ("169.254.169.254", Scope::LinkLocal),
            ("239.1.1.1", Scope::Multicast),
            ("255.255.255.255", Scope::Reserved),
            ("0.0.0.0", Scope::Reserved),
            ("203.0.113.9", Scope::Reserved),
            ("::1", Scope::Loopback),
            ("::", Scope::Reserved),
            ("fe80::1", Scope::LinkLocal),
            ("fd00::1", Scope::Private),
            ("ff02::1", Scope::Multicast),
            ("2001:db8::1", Scope::Reserved),
            ("2a00:1450:4001::1", Scope::Public),
            ("::ffff:10.0.0.1", Scope::Private),
        ] {
            assert_eq!(of(text.parse().unwrap()), scope, "{text}");
        }
    }
}
