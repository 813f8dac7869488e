//! Plain lists: a value a line, in the spellings people use.
//!
//! Comments begin with `#`, `;`, `//` or `!`, on a line of their own or after a blank. A line may be a hosts-file entry
//! (`0.0.0.0 evil.example`), an address with a port, a range of addresses, a name with a wildcard in front
//! (`*.evil.example`, `||evil.example^`), or defanged (`hxxp://evil[.]example`). Where a line has several columns, the
//! first is the value.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{Ipv4Subnets, Ipv6Subnets};
use model::indicator::{IndicatorType, refang};

use crate::entry::{Class, Entry, Item, shown};

/// Most networks one range of addresses may come apart into.
const MAX_NETWORKS: usize = 64;
/// Most names on one line of a hosts file.
const MAX_NAMES: usize = 64;
/// Names that stand in every hosts file.
const OWN_NAMES: [&str; 12] = [
    "localhost",
    "localhost.localdomain",
    "local",
    "broadcasthost",
    "ip6-localhost",
    "ip6-loopback",
    "ip6-localnet",
    "ip6-mcastprefix",
    "ip6-allnodes",
    "ip6-allrouters",
    "ip6-allhosts",
    "0.0.0.0",
];

/// What a line holds. `kind` is what every value is, when the operator said so.
pub(crate) fn read(place: &str, line: &str, kind: Option<IndicatorType>, items: &mut Vec<Item>) {
    let (text, comment) = split_comment(line.trim());
    if text.is_empty() {
        return;
    }
    let mut words = text.split([' ', '\t', ',']).filter(|word| !word.is_empty());
    let Some(first) = words.next() else { return };
    let first = first.trim_matches('"');
    let mut add = |value: &str| match entries(value, kind) {
        Ok(entries) => items.extend(entries.into_iter().map(|mut entry| {
            entry.set_note(comment);
            Item::Entry(entry)
        })),
        Err((class, reason)) => items.push(Item::refused(place, "value", class, reason)),
    };
    let is_hosts = matches!(kind, None | Some(IndicatorType::Domain)) && is_sink(first);
    let mut names = words.take(MAX_NAMES).peekable();
    if is_hosts && names.peek().is_some() {
        for name in names.filter(|name| !OWN_NAMES.contains(name)) {
            add(name);
        }
    } else {
        add(first);
    }
}

/// The text before a comment, and the comment.
fn split_comment(line: &str) -> (&str, &str) {
    let starts = ["#", ";", "//", "!"];
    if starts.iter().any(|start| line.starts_with(start)) {
        return ("", "");
    }
    let cut = [" #", "\t#", " ;", "\t;", " //"]
        .iter()
        .filter_map(|mark| line.find(mark))
        .min();
    match cut.and_then(|at| line.split_at_checked(at)) {
        Some((text, comment)) => {
            let comment = comment.trim_start().trim_start_matches(['#', ';', '/']);
            (text.trim_end(), comment.trim())
        }
        None => (line, ""),
    }
}

/// Whether a hosts file sends names there to silence them.
fn is_sink(word: &str) -> bool {
    word.parse::<IpAddr>()
        .is_ok_and(|address| address.is_unspecified() || address.is_loopback())
}

fn entries(given: &str, kind: Option<IndicatorType>) -> Result<Vec<Entry>, (Class, String)> {
    let value = refang(given);
    let value = value.trim();
    if matches!(kind, None | Some(IndicatorType::Ip))
        && let Some((first, last)) = range(value)
    {
        return networks(first, last)?
            .into_iter()
            .map(|network| Entry::new(IndicatorType::Ip, &network))
            .collect();
    }
    let bare = match kind {
        None | Some(IndicatorType::Domain) => without_wildcard(value),
        Some(_) => value,
    };
    let entry = match kind {
        Some(IndicatorType::Ip) => Entry::new(IndicatorType::Ip, without_port(value)),
        Some(IndicatorType::Domain) => Entry::new(IndicatorType::Domain, without_port(bare)),
        Some(kind) => Entry::new(kind, value),
        None => {
            let (kind, value) = guess(bare).ok_or_else(|| {
                let reason = format!(
                    "expected an address, network, domain, URL, MD5, SHA-1, SHA-256 or e-mail address, got {}",
                    shown(given)
                );
                (Class::Malformed, reason)
            })?;
            Entry::new(kind, value)
        }
    }?;
    Ok(vec![entry])
}

/// What a value most likely is, and the value without what does not belong to it.
pub(crate) fn guess(value: &str) -> Option<(IndicatorType, &str)> {
    if value.contains("://") {
        return Some((IndicatorType::Url, value));
    }
    if value.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        match value.len() {
            32 => return Some((IndicatorType::Md5, value)),
            40 => return Some((IndicatorType::Sha1, value)),
            64 => return Some((IndicatorType::Sha256, value)),
            _ => {}
        }
    }
    let host = without_port(value);
    if host.parse::<IpAddr>().is_ok() {
        return Some((IndicatorType::Ip, host));
    }
    if let Some((address, bits)) = value.split_once('/') {
        let is_network = address.parse::<IpAddr>().is_ok() && bits.parse::<u8>().is_ok();
        return is_network.then_some((IndicatorType::Ip, value));
    }
    if value.contains('@') {
        return Some((IndicatorType::Email, value));
    }
    host.contains('.').then_some((IndicatorType::Domain, host))
}

/// `203.0.113.9:443` as `203.0.113.9`, `[2001:db8::1]:443` as `2001:db8::1`, `evil.example:8080` as `evil.example`.
pub(crate) fn without_port(value: &str) -> &str {
    if let Some((address, after)) = value.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        return if after.is_empty() || is_port(after.strip_prefix(':')) {
            address
        } else {
            value
        };
    }
    match value.split_once(':') {
        Some((host, port)) if is_port(Some(port)) && !host.is_empty() => host,
        _ => value,
    }
}

fn is_port(text: Option<&str>) -> bool {
    text.is_some_and(|text| text.parse::<u16>().is_ok())
}

fn without_wildcard(value: &str) -> &str {
    let value = value.strip_prefix("||").unwrap_or(value);
    let value = value.strip_suffix('^').unwrap_or(value);
    let value = value.strip_prefix("*.").unwrap_or(value);
    value.strip_prefix('.').unwrap_or(value)
}

fn range(value: &str) -> Option<(IpAddr, IpAddr)> {
    let (first, last) = value.split_once('-')?;
    Some((first.trim().parse().ok()?, last.trim().parse().ok()?))
}

fn networks(first: IpAddr, last: IpAddr) -> Result<Vec<String>, (Class, String)> {
    let fault = |reason: &str| (Class::Malformed, reason.to_owned());
    let networks: Vec<String> = match (first, last) {
        (IpAddr::V4(first), IpAddr::V4(last)) if first <= last => v4(first, last),
        (IpAddr::V6(first), IpAddr::V6(last)) if first <= last => v6(first, last),
        _ => return Err(fault("expected a range of addresses of one family, the smaller first")),
    };
    if networks.len() > MAX_NETWORKS {
        let reason = format!("expected a range that comes apart into at most {MAX_NETWORKS} networks");
        return Err((Class::TooLarge, reason));
    }
    Ok(networks)
}

fn v4(first: Ipv4Addr, last: Ipv4Addr) -> Vec<String> {
    let networks = Ipv4Subnets::new(first, last, 0);
    networks
        .take(MAX_NETWORKS + 1)
        .map(|network| network.to_string())
        .collect()
}

fn v6(first: Ipv6Addr, last: Ipv6Addr) -> Vec<String> {
    let networks = Ipv6Subnets::new(first, last, 0);
    networks
        .take(MAX_NETWORKS + 1)
        .map(|network| network.to_string())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(line: &str, kind: Option<IndicatorType>) -> String {
        let mut items = Vec::new();
        read("line 1", line, kind, &mut items);
        let texts: Vec<String> = items
            .iter()
            .map(|item| match item {
                Item::Entry(entry) if entry.note.is_empty() => format!("{} {}", entry.kind, entry.value),
                Item::Entry(entry) => format!("{} {} ({})", entry.kind, entry.value, entry.note),
                Item::Refused(refused) => format!("refused {}", refused.field),
                Item::Withdrawn(_) | Item::Skipped(_) => "unexpected".to_owned(),
            })
            .collect();
        texts.join("; ")
    }

    #[test]
    fn each_line_is_read_for_what_it_is() {
        let md5 = "d41d8cd98f00b204e9800998ecf8427e";
        for (line, found) in [
            ("203.0.113.9", "ip 203.0.113.9"),
            ("203.0.113.9:443", "ip 203.0.113.9"),
            ("[2001:db8::1]:443", "ip 2001:db8::1"),
            ("2001:DB8::1", "ip 2001:db8::1"),
            ("198.51.100.0/24 ; SBL123", "ip 198.51.100.0/24 (SBL123)"),
            ("203.0.113.0-203.0.113.2", "ip 203.0.113.0/31; ip 203.0.113.2"),
            ("203.0.113.9\t7\tscanner", "ip 203.0.113.9"),
            ("Evil.Example.", "domain evil.example"),
            ("*.evil.example", "domain evil.example"),
            ("||evil.example^", "domain evil.example"),
            ("evil.example:8080 # c2", "domain evil.example (c2)"),
            ("evil[.]example", "domain evil.example"),
            ("0.0.0.0 a.example b.example", "domain a.example; domain b.example"),
            ("127.0.0.1 localhost", ""),
            ("::1 ip6-localhost ip6-loopback", ""),
            ("hxxp://evil[.]example/x", "url http://evil.example/x"),
            ("bad@evil.example", "email bad@evil.example"),
            ("# comment", ""),
            ("; comment", ""),
            ("! comment", ""),
            ("// comment", ""),
            ("", ""),
            ("  ", ""),
            ("what is this", "refused value"),
            ("10.0.0.9-10.0.0.1", "refused value"),
            ("203.0.113.9/99", "refused value"),
            ("<html>", "refused value"),
        ] {
            assert_eq!(one(line, None), found, "{line}");
        }
        assert_eq!(one(&md5.to_ascii_uppercase(), None), format!("md5 {md5}"));
        assert_eq!(one(&"ab".repeat(20), None), format!("sha1 {}", "ab".repeat(20)));
        assert_eq!(one(&"ab".repeat(32), None), format!("sha256 {}", "ab".repeat(32)));
    }

    #[test]
    fn a_given_type_is_kept_to() {
        assert_eq!(one("203.0.113.9", Some(IndicatorType::Domain)), "refused value");
        assert_eq!(one("evil.example", Some(IndicatorType::Ip)), "refused value");
        assert_eq!(one("203.0.113.9:80", Some(IndicatorType::Ip)), "ip 203.0.113.9");
        assert_eq!(
            one("0.0.0.0 a.example", Some(IndicatorType::Domain)),
            "domain a.example"
        );
    }

    #[test]
    fn a_range_cannot_become_a_flood() {
        assert_eq!(one("0.0.0.1-255.255.255.254", None).matches("ip ").count(), 62);
        assert_eq!(
            one("::1-ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe", None),
            "refused value"
        );
    }
}
