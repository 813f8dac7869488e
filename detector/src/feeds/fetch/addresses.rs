//! Which addresses a detector fetches from.

use std::net::{IpAddr, SocketAddr};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

/// Resolves names to the addresses that may be fetched from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Resolver {
    pub(super) private_addresses: bool,
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let private = self.private_addresses;
        Box::pin(async move {
            let found: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            let allowed: Vec<SocketAddr> = found.iter().copied().filter(|at| may_fetch(at.ip(), private)).collect();
            if allowed.is_empty() && !found.is_empty() {
                return Err(REFUSED.into());
            }
            Ok(Box::new(allowed.into_iter()) as Addrs)
        })
    }
}

/// What an operator is told.
pub(super) const REFUSED: &str =
    "its address is private or link-local, which this detector does not fetch from (feeds.private_addresses)";

/// Link-local addresses hold the metadata services of clouds, which give out credentials to whoever asks; no publisher
/// is there. Others that are not public are where an operator's own MISP is, and the operator's to allow.
pub(super) fn may_fetch(address: IpAddr, private: bool) -> bool {
    let (is_never, is_private) = match address.to_canonical() {
        IpAddr::V4(ip) => (
            ip.is_link_local() || ip.is_unspecified() || ip.is_multicast() || ip.is_broadcast(),
            ip.is_private() || ip.is_loopback() || (ip.octets()[0] == 100 && ip.octets()[1] & 0xc0 == 64),
        ),
        IpAddr::V6(ip) => (
            ip.is_unicast_link_local() || ip.is_unspecified() || ip.is_multicast(),
            ip.is_loopback() || ip.is_unique_local(),
        ),
    };
    !is_never && (private || !is_private)
}

#[cfg(test)]
mod tests {
    use super::may_fetch;

    #[test]
    fn link_local_addresses_never_and_private_ones_when_allowed() {
        for (address, with, without) in [
            ("8.8.8.8", true, true),
            ("2a00::1", true, true),
            ("10.0.0.1", true, false),
            ("100.64.0.1", true, false),
            ("127.0.0.1", true, false),
            ("fd00::1", true, false),
            ("::ffff:10.0.0.1", true, false),
            ("169.254.169.254", false, false),
            ("::ffff:169.254.169.254", false, false),
            ("fe80::1", false, false),
            ("0.0.0.0", false, false),
            ("224.0.0.1", false, false),
        ] {
            let address = address.parse().unwrap();
            assert_eq!(
                (may_fetch(address, true), may_fetch(address, false)),
                (with, without),
                "{address}"
            );
        }
    }
}
