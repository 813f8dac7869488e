//! Finding addresses, domain names and hashes in text, in one pass and without allocation.
//!
//! A token is a longest run of ASCII letters, digits and `. : - _`; anything else, every byte beyond ASCII too, ends
//! it. Names beyond ASCII are found in their punycode form only. What a token can hold is bounded (an address has at
//! most 45 characters, a domain name 253, a hash 64), so the work is linear in the text whatever it contains.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Which kinds are looked for: what nobody asks about costs nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) ips: bool,
    pub(crate) domains: bool,
    pub(crate) hashes: bool,
}

/// Something found in text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Observable<'a> {
    /// An address; IPv4-mapped IPv6 appears as IPv4.
    Ip(IpAddr),
    /// A dotted name as written, without dots at its ends; in any case of letters.
    Domain(&'a str),
    /// 64 hex digits in any case.
    Sha256(&'a str),
}

const MAX_IPV6_TEXT: usize = 45;
const MAX_IPV4_TEXT: usize = 15;
const MAX_DOMAIN: usize = 253;
const SHA256_TEXT: usize = 64;

/// Calls `found` for everything of the wanted kinds in `text`, in the order of where it ends.
pub(crate) fn scan<'a>(text: &'a str, wanted: Wanted, found: &mut impl FnMut(Observable<'a>)) {
    if !(wanted.ips || wanted.domains || wanted.hashes) {
        return;
    }
    let bytes = text.as_bytes();
    let mut position = 0;
    while let Some(skipped) = bytes[position..].iter().position(|byte| CLASS[usize::from(*byte)] != 0) {
        let start = position + skipped;
        let mut dots = 0_usize;
        let mut colons = 0_usize;
        let mut end = start;
        while let Some(byte) = bytes.get(end) {
            let class = CLASS[usize::from(*byte)];
            if class == 0 {
                break;
            }
            dots += usize::from(class == DOT);
            colons += usize::from(class == COLON);
            end += 1;
        }
        position = end;
        // Tokens are ASCII, so their ends are at character boundaries.
        let Some(token) = text.get(start..end) else { continue };
        if wanted.ips && colons >= 2 {
            ipv6(token, found);
        }
        if dots > 0 && (wanted.domains || wanted.ips) {
            dotted(token, wanted, found);
        }
        if wanted.hashes && token.len() >= SHA256_TEXT {
            hashes(token, found);
        }
        if position >= bytes.len() {
            break;
        }
    }
}

const WORD: u8 = 1;
const DOT: u8 = 2;
const COLON: u8 = 3;
const JOINT: u8 = 4;

/// What a byte is within a token; 0 ends it.
const CLASS: [u8; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 128 {
        table[byte] = match byte as u8 {
            b'.' => DOT,
            b':' => COLON,
            b'-' | b'_' => JOINT,
            letter if letter.is_ascii_alphanumeric() => WORD,
            _ => 0,
        };
        byte += 1;
    }
    table
};

/// IPv6 addresses: runs of hex digits, colons and dots within the token.
fn ipv6<'a>(token: &'a str, found: &mut impl FnMut(Observable<'a>)) {
    let is_part = |byte: u8| byte.is_ascii_hexdigit() || byte == b':' || byte == b'.';
    let bytes = token.as_bytes();
    let mut position = 0;
    while let Some(skipped) = bytes[position..].iter().position(|byte| is_part(*byte)) {
        let start = position + skipped;
        let length = bytes[start..].iter().take_while(|byte| is_part(**byte)).count();
        position = start + length;
        let Some(mut run) = token.get(start..position) else {
            continue;
        };
        let glued = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
        if glued(start.checked_sub(1).and_then(|before| bytes.get(before))) {
            // The end of a word that happens to be hex digits, as in `src:fe80::1`.
            let Some((_, rest)) = run.split_once(':') else { continue };
            run = rest;
        }
        if glued(bytes.get(position)) {
            continue;
        }
        if let Some(ip) = parse_ipv6(run) {
            found(Observable::Ip(IpAddr::V6(ip).to_canonical()));
        }
        if position >= bytes.len() {
            break;
        }
    }
}

fn parse_ipv6(run: &str) -> Option<Ipv6Addr> {
    // Punctuation of the sentence around it.
    let run = run.trim_matches('.');
    let candidates = [
        Some(run),
        run.strip_suffix(':'),
        run.strip_prefix(':'),
        run.strip_prefix(':').and_then(|run| run.strip_suffix(':')),
    ];
    candidates
        .into_iter()
        .flatten()
        .filter(|text| text.len() <= MAX_IPV6_TEXT && text.bytes().filter(|byte| *byte == b':').count() >= 2)
        .find_map(|text| text.parse().ok())
}

/// Names and IPv4 addresses: the parts between colons.
fn dotted<'a>(token: &'a str, wanted: Wanted, found: &mut impl FnMut(Observable<'a>)) {
    for part in token.split(':') {
        if wanted.ips {
            ipv4(part, found);
        }
        if wanted.domains {
            let name = part.trim_matches('.');
            if name.len() <= MAX_DOMAIN && name.contains('.') {
                found(Observable::Domain(name));
            }
        }
    }
}

fn ipv4<'a>(part: &'a str, found: &mut impl FnMut(Observable<'a>)) {
    for run in part.split(['-', '_']) {
        let digits = run.trim_matches('.');
        let is_candidate = digits.len() <= MAX_IPV4_TEXT && digits.as_bytes().first().is_some_and(u8::is_ascii_digit);
        if is_candidate && let Ok(ip) = digits.parse::<Ipv4Addr>() {
            found(Observable::Ip(IpAddr::V4(ip)));
        }
    }
}

fn hashes<'a>(token: &'a str, found: &mut impl FnMut(Observable<'a>)) {
    for word in token.split(['.', ':', '-', '_']) {
        if word.len() == SHA256_TEXT && word.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            found(Observable::Sha256(word));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Observable, Wanted, scan};

    const ALL: Wanted = Wanted {
        ips: true,
        domains: true,
        hashes: true,
    };

    fn found(text: &str, wanted: Wanted) -> Vec<String> {
        let mut all = Vec::new();
        scan(text, wanted, &mut |observable| {
            all.push(match observable {
                Observable::Ip(ip) => format!("ip {ip}"),
                Observable::Domain(name) => format!("domain {name}"),
                Observable::Sha256(hash) => format!("sha256 {hash}"),
            });
        });
        all
    }

    #[test]
    fn addresses_are_found_wherever_logs_put_them() {
        let only = Wanted {
            ips: true,
            ..Wanted::default()
        };
        for (text, wanted) in [
            ("from 10.0.0.5 port 22", "10.0.0.5"),
            ("10.0.0.5:22", "10.0.0.5"),
            ("(10.0.0.5)", "10.0.0.5"),
            ("src=10.0.0.5.", "10.0.0.5"),
            ("http://10.0.0.5/x", "10.0.0.5"),
            ("10.0.0.5-10.0.0.5", "10.0.0.5 10.0.0.5"),
            ("addr 2001:DB8::1 end", "2001:db8::1"),
            ("[2001:db8::1]:443", "2001:db8::1"),
            ("peer 2001:db8::1: refused", "2001:db8::1"),
            ("src:fe80::1", "fe80::1"),
            ("fe80::1%eth0", "fe80::1"),
            ("::ffff:10.0.0.5", "10.0.0.5 10.0.0.5"),
            ("äfe80::1ä", "fe80::1"),
            ("v10.0.0.5", ""),
            ("1.2.3.4.5", ""),
            ("10.0.0.5x", ""),
            ("300.0.0.1", ""),
            ("12:34:56", ""),
            ("aa:bb:cc:dd:ee:ff", ""),
            ("a::b::c", ""),
            ("", ""),
            (":::::", ""),
            ("....", ""),
        ] {
            let ips: Vec<String> = found(text, only).iter().map(|ip| ip.replace("ip ", "")).collect();
            assert_eq!(ips.join(" "), wanted, "{text}");
        }
    }

    #[test]
    fn names_and_hashes_are_found_with_their_surroundings_cut_off() {
        let hash = "AB".repeat(32);
        assert_eq!(
            found("https://www.Evil.example:8443/a?b", ALL),
            ["domain www.Evil.example"]
        );
        assert_eq!(found("user@evil.example.", ALL), ["domain evil.example"]);
        assert_eq!(found(&format!("SHA256={hash},x"), ALL), [format!("sha256 {hash}")]);
        assert_eq!(found(&format!("sha256:{hash}"), ALL), [format!("sha256 {hash}")]);
        assert_eq!(found(&format!("{hash}a"), ALL), Vec::<String>::new());
        assert_eq!(found("localhost", ALL), Vec::<String>::new());
        let long = "a.".repeat(200);
        assert_eq!(found(&long, ALL), Vec::<String>::new());
        assert_eq!(found("10.0.0.5 evil.example", Wanted::default()), Vec::<String>::new());
    }

    proptest::proptest! {
        #[test]
        fn whatever_the_text_the_scan_ends_and_finds_what_is_put_between_spaces(
            before in ".{0,80}",
            after in "[ -~]{0,80}",
            a in 0_u8.., b in 0_u8..,
        ) {
            let text = format!("{before} {a}.{b}.0.9 {after}");
            let found = found(&text, ALL);
            proptest::prop_assert!(found.contains(&format!("ip {a}.{b}.0.9")), "{:?}", found);
        }
    }
}
