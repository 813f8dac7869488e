//! What must not become an indicator, because it would match what is not malicious.

mod lists;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use model::indicator::{IndicatorType, canonical_domain};
use rustc_hash::FxHashSet;
use url::Url;

/// Shortest prefix of an IPv4 network that is taken.
const MIN_V4_PREFIX: u8 = 16;
/// Shortest prefix of an IPv6 network that is taken.
const MIN_V6_PREFIX: u8 = 32;
/// Longest file in bytes.
const MAX_FILE: usize = 16 << 20;

/// Why an indicator is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Refusal {
    /// The address belongs to no one on the internet.
    #[error("value: expected a public address, got a private or reserved one")]
    Reserved,
    /// A public DNS resolver or time server.
    #[error("value: expected a malicious address, got that of a well-known public service")]
    PublicService,
    /// A network of very many addresses.
    #[error("value: expected a network no wider than /16 (IPv4) or /32 (IPv6)")]
    TooWide,
    /// A site that everybody uses, or a name under which everybody can host.
    #[error("value: expected a malicious name, got a well-known site or the name of a hosting service")]
    PopularDomain,
    /// A name that is not of the public internet.
    #[error("value: expected a public domain, got a reserved or local name")]
    ReservedDomain,
    /// The hash of nothing, or of something that is everywhere.
    #[error("value: expected the hash of a malicious file, got that of an empty or ubiquitous one")]
    CommonHash,
    /// The operator's list names it.
    #[error("value: listed by the operator as never malicious")]
    Listed,
}

impl Refusal {
    /// A word for metrics.
    #[must_use]
    pub fn reason(self) -> &'static str {
        match self {
            Self::Reserved => "reserved_address",
            Self::PublicService => "public_service",
            Self::TooWide => "too_wide",
            Self::PopularDomain => "popular_domain",
            Self::ReservedDomain => "reserved_domain",
            Self::CommonHash => "common_hash",
            Self::Listed => "listed",
        }
    }
}

/// What is wrong with an operator's list.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GuardFileError {
    /// A line is none of the things a line can be.
    #[error(
        "line {line}: expected an address, a network, a domain, .domain, a hash, or ! and one of these, got {got:?}"
    )]
    Line {
        /// Its number, from 1.
        line: usize,
        /// What was there.
        got: String,
    },
    /// It is longer than 16 MiB.
    #[error("expected at most {MAX_FILE} bytes")]
    TooLong,
}

/// Refuses indicators that would match what is not malicious.
#[derive(Clone, Debug)]
pub struct Guard {
    /// Whether addresses and names that belong to no one on the internet are refused too.
    is_strict: bool,
    listed: List,
    allowed: List,
}

/// Names, networks and hashes of an operator.
#[derive(Clone, Debug, Default)]
struct List {
    nets: Vec<IpNet>,
    /// Domains, hashes, mail addresses and URLs.
    exact: FxHashSet<String>,
    /// Domains with everything below them.
    trees: FxHashSet<String>,
}

impl Guard {
    /// For feeds: nothing private or reserved either.
    #[must_use]
    pub fn strict() -> Self {
        Self {
            is_strict: true,
            listed: List::default(),
            allowed: List::default(),
        }
    }

    /// For what people add one by one: their own network's addresses are theirs to name.
    #[must_use]
    pub fn for_people() -> Self {
        Self {
            is_strict: false,
            ..Self::strict()
        }
    }

    /// Adds an operator's list. One entry a line: an address, network, domain (and its `www.`), `.domain` (and everything
    /// below it), hash, URL or mail address to be refused; with `!` before it, never to be refused. `#` begins a comment.
    ///
    /// # Errors
    /// Names the first line that is none of these.
    pub fn with_file(mut self, text: &str) -> Result<Self, GuardFileError> {
        if text.len() > MAX_FILE {
            return Err(GuardFileError::TooLong);
        }
        for (line, written) in (1..).zip(text.lines()) {
            let entry = written.split('#').next().unwrap_or_default().trim();
            let (list, entry) = match entry.strip_prefix('!') {
                Some(rest) => (&mut self.allowed, rest.trim()),
                None => (&mut self.listed, entry),
            };
            if !entry.is_empty() && !list.add(entry) {
                return Err(GuardFileError::Line {
                    line,
                    got: written.chars().take(80).collect(),
                });
            }
        }
        Ok(self)
    }

    /// Whether the indicator may be taken. `value` is canonical.
    ///
    /// # Errors
    /// Says why not.
    pub fn check(&self, kind: IndicatorType, value: &str) -> Result<(), Refusal> {
        if self.allowed.has(kind, value) {
            return Ok(());
        }
        if self.listed.has(kind, value) {
            return Err(Refusal::Listed);
        }
        match kind {
            IndicatorType::Ip => self.check_ip(value),
            IndicatorType::Domain => self.check_domain(value),
            IndicatorType::Url => self.check_url(value),
            IndicatorType::Email => Ok(()),
            IndicatorType::Md5 | IndicatorType::Sha1 | IndicatorType::Sha256 => {
                if lists::COMMON_HASHES.contains(&value) {
                    Err(Refusal::CommonHash)
                } else {
                    Ok(())
                }
            }
        }
    }

    fn check_ip(&self, value: &str) -> Result<(), Refusal> {
        let Some(net) = net_of(value) else { return Ok(()) };
        let least = match net {
            IpNet::V4(_) => MIN_V4_PREFIX,
            IpNet::V6(_) => MIN_V6_PREFIX,
        };
        if net.prefix_len() < least {
            return Err(Refusal::TooWide);
        }
        // A network is refused when it lies in a reserved one, or when anything everybody uses lies in it.
        let overlaps = |other: &IpNet| net.contains(other) || other.contains(&net);
        let never = lists::never_nets();
        if never.iter().any(overlaps) || (self.is_strict && reserved_nets().iter().any(overlaps)) {
            return Err(Refusal::Reserved);
        }
        if lists::PUBLIC_SERVICES
            .iter()
            .filter_map(|text| text.parse::<IpAddr>().ok())
            .any(|ip| net.contains(&ip))
        {
            return Err(Refusal::PublicService);
        }
        Ok(())
    }

    fn check_domain(&self, value: &str) -> Result<(), Refusal> {
        if is_popular(value) {
            return Err(Refusal::PopularDomain);
        }
        let top = value.rsplit('.').next().unwrap_or_default();
        if self.is_strict && lists::RESERVED_TOPS.contains(&top) {
            return Err(Refusal::ReservedDomain);
        }
        Ok(())
    }

    /// A page on a popular site can be malicious, the site's front page cannot.
    fn check_url(&self, value: &str) -> Result<(), Refusal> {
        let Ok(url) = Url::parse(value) else { return Ok(()) };
        match url.host() {
            Some(url::Host::Ipv4(ip)) => self.check_host(IpAddr::V4(ip)),
            Some(url::Host::Ipv6(ip)) => self.check_host(IpAddr::V6(ip).to_canonical()),
            Some(url::Host::Domain(domain)) => {
                let is_front = matches!(url.path(), "" | "/") && url.query().is_none();
                if is_front && is_popular(domain) {
                    return Err(Refusal::PopularDomain);
                }
                let top = domain.rsplit('.').next().unwrap_or_default();
                if self.is_strict && (!domain.contains('.') || lists::RESERVED_TOPS.contains(&top)) {
                    return Err(Refusal::ReservedDomain);
                }
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn check_host(&self, ip: IpAddr) -> Result<(), Refusal> {
        let is_in = |net: &IpNet| net.contains(&ip);
        if lists::never_nets().iter().any(is_in) || (self.is_strict && reserved_nets().iter().any(is_in)) {
            return Err(Refusal::Reserved);
        }
        Ok(())
    }
}

impl List {
    fn add(&mut self, entry: &str) -> bool {
        if let Some(tree) = entry.strip_prefix('.') {
            return canonical_domain(tree).is_some_and(|tree| {
                self.trees.insert(tree);
                true
            });
        }
        let Ok((kind, value)) = IndicatorType::parse_typed(entry) else {
            return false;
        };
        if kind == IndicatorType::Ip {
            self.nets.extend(net_of(&value));
        } else {
            self.exact.insert(value);
        }
        true
    }

    fn has(&self, kind: IndicatorType, value: &str) -> bool {
        match kind {
            IndicatorType::Ip => net_of(value).is_some_and(|net| self.nets.iter().any(|listed| listed.contains(&net))),
            IndicatorType::Domain => {
                let bare = value.strip_prefix("www.").unwrap_or(value);
                self.exact.contains(bare)
                    || self.exact.contains(value)
                    || suffixes(value).any(|suffix| self.trees.contains(suffix))
            }
            IndicatorType::Url
            | IndicatorType::Md5
            | IndicatorType::Sha1
            | IndicatorType::Sha256
            | IndicatorType::Email => self.exact.contains(value),
        }
    }
}

/// A name and everything above it.
fn suffixes(name: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(name), |name| name.split_once('.').map(|(_, rest)| rest))
}

fn is_popular(domain: &str) -> bool {
    let bare = domain.strip_prefix("www.").unwrap_or(domain);
    lists::POPULAR.binary_search(&bare).is_ok() || lists::HOSTING.binary_search(&bare).is_ok()
}

fn net_of(value: &str) -> Option<IpNet> {
    value
        .parse::<IpNet>()
        .ok()
        .or_else(|| value.parse::<IpAddr>().ok().map(IpNet::from))
}

/// Private and special-purpose networks (the IANA registries of RFC 6890).
fn reserved_nets() -> Vec<IpNet> {
    let v4 = |a, b, c, d, length| Ipv4Net::new(Ipv4Addr::new(a, b, c, d), length).map(IpNet::V4).ok();
    let v6 = |a, b, length| {
        Ipv6Net::new(Ipv6Addr::new(a, b, 0, 0, 0, 0, 0, 0), length)
            .map(IpNet::V6)
            .ok()
    };
    [
        v4(10, 0, 0, 0, 8),
        v4(100, 64, 0, 0, 10),
        v4(172, 16, 0, 0, 12),
        v4(192, 0, 0, 0, 24),
        v4(192, 0, 2, 0, 24),
        v4(192, 88, 99, 0, 24),
        v4(192, 168, 0, 0, 16),
        v4(198, 18, 0, 0, 15),
        v4(198, 51, 100, 0, 24),
        v4(203, 0, 113, 0, 24),
        v6(0x64, 0xff9b, 96),
        v6(0x100, 0, 64),
        v6(0x2001, 0xdb8, 32),
        v6(0x3fff, 0, 20),
        v6(0xfc00, 0, 7),
        v6(0xfec0, 0, 10),
    ]
    .into_iter()
    .flatten()
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use IndicatorType::{Domain, Email, Ip, Md5, Sha256, Url};
    use model::indicator::canonical_value;

    fn is_canonical(kind: IndicatorType, value: &str) -> bool {
        canonical_value(kind, value).as_deref() == Ok(value)
    }

    #[test]
    fn what_everybody_uses_is_refused_and_what_is_malicious_is_not() {
        let strict = Guard::strict();
        let people = Guard::for_people();
        for (kind, value, for_feeds, for_people) in [
            (Ip, "10.0.0.5", Some("reserved_address"), None),
            (Ip, "192.168.1.0/24", Some("reserved_address"), None),
            (Ip, "203.0.113.7", Some("reserved_address"), None),
            (Ip, "fd00::1", Some("reserved_address"), None),
            (Ip, "127.0.0.1", Some("reserved_address"), Some("reserved_address")),
            (Ip, "0.0.0.0", Some("reserved_address"), Some("reserved_address")),
            (Ip, "::1", Some("reserved_address"), Some("reserved_address")),
            (
                Ip,
                "255.255.255.255",
                Some("reserved_address"),
                Some("reserved_address"),
            ),
            (Ip, "224.0.0.251", Some("reserved_address"), Some("reserved_address")),
            (Ip, "8.8.8.8", Some("public_service"), Some("public_service")),
            (Ip, "8.8.8.0/24", Some("public_service"), Some("public_service")),
            (
                Ip,
                "2606:4700:4700::1111",
                Some("public_service"),
                Some("public_service"),
            ),
            (Ip, "45.0.0.0/8", Some("too_wide"), Some("too_wide")),
            (Ip, "2a00::/16", Some("too_wide"), Some("too_wide")),
            (Ip, "45.155.0.0/16", None, None),
            (Ip, "45.155.205.233", None, None),
            (Domain, "google.com", Some("popular_domain"), Some("popular_domain")),
            (Domain, "www.google.com", Some("popular_domain"), Some("popular_domain")),
            (Domain, "github.io", Some("popular_domain"), Some("popular_domain")),
            (Domain, "evil.github.io", None, None),
            (Domain, "evil.example", Some("reserved_domain"), None),
            (Domain, "dc.corp.local", Some("reserved_domain"), None),
            (Domain, "notgoogle.com", None, None),
            (
                Url,
                "https://www.google.com/",
                Some("popular_domain"),
                Some("popular_domain"),
            ),
            (Url, "https://raw.githubusercontent.com/x/y/bad.sh", None, None),
            (Url, "http://192.168.1.1/x", Some("reserved_address"), None),
            (
                Url,
                "http://127.0.0.1/x",
                Some("reserved_address"),
                Some("reserved_address"),
            ),
            (
                Md5,
                "d41d8cd98f00b204e9800998ecf8427e",
                Some("common_hash"),
                Some("common_hash"),
            ),
            (Email, "bad@gmail.com", None, None),
        ] {
            assert!(is_canonical(kind, value), "{value}");
            assert_eq!(
                strict.check(kind, value).err().map(Refusal::reason),
                for_feeds,
                "{value}"
            );
            assert_eq!(
                people.check(kind, value).err().map(Refusal::reason),
                for_people,
                "{value}"
            );
        }
    }

    #[test]
    fn an_operators_list_adds_and_takes_away() {
        let hash = "ab".repeat(32);
        let file = format!(
            "# ours\nour.example.org\n.cdn.example.org # all of it\n45.155.0.0/16\n{hash}\n\n! google.com\n!8.8.8.8\n"
        );
        let guard = Guard::strict().with_file(&file).unwrap();
        for (kind, value, refused) in [
            (Domain, "our.example.org", true),
            (Domain, "www.our.example.org", true),
            (Domain, "x.our.example.org", false),
            (Domain, "a.b.cdn.example.org", true),
            (Domain, "cdn.example.org", true),
            (Ip, "45.155.205.233", true),
            (Ip, "45.156.205.233", false),
            (Sha256, &hash, true),
            (Domain, "google.com", false),
            (Ip, "8.8.8.8", false),
            (Ip, "8.8.4.4", true),
        ] {
            assert_eq!(guard.check(kind, value).is_err(), refused, "{value}");
        }
        let error = Guard::strict().with_file("ok.example\nwhat is this\n").unwrap_err();
        assert!(error.to_string().starts_with("line 2: expected"), "{error}");
    }

    #[test]
    fn the_built_in_lists_are_in_order_and_in_canonical_form() {
        for list in [lists::POPULAR, lists::HOSTING] {
            assert!(list.is_sorted(), "{:?}", list.windows(2).find(|pair| pair[0] > pair[1]));
            for domain in list {
                assert!(is_canonical(Domain, domain), "{domain}");
            }
        }
        assert!(lists::PUBLIC_SERVICES.iter().all(|ip| ip.parse::<IpAddr>().is_ok()));
        for hash in lists::COMMON_HASHES {
            assert!(
                IndicatorType::guess(hash).is_some_and(|kind| is_canonical(kind, hash)),
                "{hash}"
            );
        }
    }
}
