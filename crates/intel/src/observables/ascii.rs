//! Addresses and dotted names: a token is a longest run of ASCII letters, digits and `. : - _`. Only tokens with a dot
//! or a colon are looked at.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use model::indicator::MAX_DOMAIN;

use super::classes::{COLON, DOT, class, joins, run_before, run_from};
use super::{Observable, Wanted};

const MAX_IPV6_TEXT: usize = 45;
const MAX_IPV4_TEXT: usize = 15;

pub(super) fn scan(text: &str, wanted: Wanted, lower: &mut String, found: &mut impl FnMut(Observable<'_>)) {
    let bytes = text.as_bytes();
    let mut position = 0;
    while let Some(skipped) = memchr::memchr2(b'.', b':', bytes.get(position..).unwrap_or_default()) {
        let mark = position + skipped;
        let start = mark - run_before(bytes, position, mark, |byte| class(byte) != 0);
        let end = mark + run_from(bytes, mark, |byte| class(byte) != 0);
        position = end;
        // Tokens are ASCII, so their ends are at character boundaries.
        let Some(token) = text.get(start..end) else { continue };
        let dots = token.bytes().any(|byte| class(byte) == DOT);
        if wanted.ips && token.bytes().filter(|byte| class(*byte) == COLON).count() >= 2 {
            ipv6(token, found);
        }
        if dots {
            let glued = if wanted.domains {
                let before = text.get(..start).and_then(|head| head.chars().next_back());
                let after = text.get(end..).and_then(|tail| tail.chars().next());
                (joins(before), joins(after))
            } else {
                (false, false)
            };
            dotted(token, wanted, glued, lower, found);
        }
    }
}

/// IPv6 addresses: runs of hex digits, colons and dots within the token.
fn ipv6(token: &str, found: &mut impl FnMut(Observable<'_>)) {
    let is_part = |byte: u8| byte.is_ascii_hexdigit() || byte == b':' || byte == b'.';
    let bytes = token.as_bytes();
    let mut position = 0;
    while let Some(skipped) = bytes
        .get(position..)
        .and_then(|rest| rest.iter().position(|byte| is_part(*byte)))
    {
        let start = position + skipped;
        position = start + run_from(bytes, start, is_part);
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
fn dotted(
    token: &str,
    wanted: Wanted,
    glued: (bool, bool),
    lower: &mut String,
    found: &mut impl FnMut(Observable<'_>),
) {
    let last = token.len();
    let mut start = 0;
    for part in token.split(':') {
        let end = start + part.len();
        let is_address = (wanted.ips || wanted.domains) && ipv4(part, wanted.ips, found);
        if wanted.domains && !is_address {
            let glued = (glued.0 && start == 0, glued.1 && end == last);
            name(part, glued, lower, found);
        }
        start = end + 1;
    }
}

/// Whether the whole part is an address.
fn ipv4(part: &str, report: bool, found: &mut impl FnMut(Observable<'_>)) -> bool {
    if !part.bytes().any(|byte| byte.is_ascii_digit()) {
        return false;
    }
    let mut is_whole = false;
    for run in part.split(['-', '_']) {
        let digits = run.trim_matches('.');
        let is_candidate = (7..=MAX_IPV4_TEXT).contains(&digits.len())
            && digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
        if is_candidate && let Ok(ip) = digits.parse::<Ipv4Addr>() {
            is_whole = run.len() == part.len();
            if report {
                found(Observable::Ip(IpAddr::V4(ip)));
            }
        }
    }
    is_whole
}

fn name(part: &str, glued: (bool, bool), lower: &mut String, found: &mut impl FnMut(Observable<'_>)) {
    let mut name = part.trim_matches('.');
    if glued.0 && part.starts_with(name) {
        // The first label goes on before the token; those after it are whole.
        let Some((_, rest)) = name.split_once('.') else { return };
        name = rest;
    }
    if (glued.1 && part.ends_with(name)) || name.len() > MAX_DOMAIN || !name.contains('.') {
        return;
    }
    if name.bytes().any(|byte| byte.is_ascii_uppercase()) {
        lower.clear();
        lower.push_str(name);
        lower.make_ascii_lowercase();
        found(Observable::Domain(lower));
    } else {
        found(Observable::Domain(name));
    }
}
