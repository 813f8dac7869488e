//! The one form in which each value is stored and compared.

use std::borrow::Cow;
use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use url::Url;

use super::error::InvalidIndicator;
use super::kind::IndicatorType;

/// Longest domain name in bytes.
pub const MAX_DOMAIN: usize = 253;
/// Longest URL in bytes.
pub const MAX_URL: usize = 2048;
/// Longest address of electronic mail in bytes.
pub const MAX_EMAIL: usize = 254;
/// Longest part of it before the `@`.
const MAX_LOCAL: usize = 64;
/// Longest text that is looked at: a URL beyond ASCII may shrink.
const MAX_TEXT: usize = 3 * MAX_URL;

/// The form in which values are stored and compared. Texts that were made harmless (`hxxp://evil[.]example`) are
/// restored first.
///
/// - Addresses as Rust prints them, IPv4-mapped IPv6 as IPv4; networks as address and length with the bits of hosts
///   cleared, a network of one address as that address.
/// - Domains lower-case and in punycode, without a trailing dot or a leading `*.`.
/// - URLs as the URL standard writes them, without user, password and fragment, escapes in capitals.
/// - Hashes in lower-case hex.
/// - Addresses of electronic mail lower-case, their domain like a domain.
///
/// # Errors
/// When `value` does not have the form of its type.
pub fn canonical_value(kind: IndicatorType, value: &str) -> Result<String, InvalidIndicator> {
    let value = value.trim();
    let error = |expected| Err(InvalidIndicator::value(expected, value));
    if value.len() > MAX_TEXT {
        return error("a shorter text");
    }
    let plain = refang(value);
    match kind {
        IndicatorType::Ip => match canonical_ip(&plain) {
            Some(ip) => Ok(ip),
            None => error("an IPv4 or IPv6 address or a network such as 198.51.100.0/24"),
        },
        IndicatorType::Domain => match canonical_domain(&plain) {
            Some(domain) => Ok(domain),
            None => error("a domain name with at least one dot"),
        },
        IndicatorType::Url => match canonical_url(&plain) {
            Some(url) => Ok(url),
            None => error("a URL with scheme and host, at most 2048 bytes long"),
        },
        IndicatorType::Md5 => hash(value, 32, "an MD5 of 32 hex digits"),
        IndicatorType::Sha1 => hash(value, 40, "a SHA-1 of 40 hex digits"),
        IndicatorType::Sha256 => hash(value, 64, "a SHA-256 of 64 hex digits"),
        IndicatorType::Email => match canonical_email(&plain) {
            Some(email) => Ok(email),
            None => error("an address such as name@domain.example"),
        },
    }
}

fn canonical_ip(value: &str) -> Option<String> {
    let bare = value
        .strip_prefix('[')
        .and_then(|inner| inner.strip_suffix(']'))
        .unwrap_or(value);
    if let Ok(ip) = bare.parse::<IpAddr>() {
        return Some(ip.to_canonical().to_string());
    }
    let net = match value.parse::<IpNet>().ok()? {
        IpNet::V4(net) => IpNet::V4(net.trunc()),
        IpNet::V6(net) => mapped(net).map_or(IpNet::V6(net.trunc()), IpNet::V4),
    };
    Some(if net.prefix_len() == net.max_prefix_len() {
        net.addr().to_canonical().to_string()
    } else {
        net.to_string()
    })
}

/// The IPv4 network of which `net` is the IPv4-mapped form.
fn mapped(net: Ipv6Net) -> Option<Ipv4Net> {
    let v4 = net.addr().to_ipv4_mapped()?;
    let length = net.prefix_len().checked_sub(96)?;
    Ipv4Net::new(v4, length).ok().map(|net| net.trunc())
}

/// A domain name in canonical form; `None` when it is none, is an address, or has no dot.
#[must_use]
pub fn canonical_domain(value: &str) -> Option<String> {
    let value = value.strip_prefix("*.").unwrap_or(value);
    let value = value.strip_suffix('.').unwrap_or(value);
    let domain = if value.is_ascii() && !has_punycode(value) {
        value.to_ascii_lowercase()
    } else if value.len() <= 4 * MAX_DOMAIN {
        let ascii = idna::domain_to_ascii(value).ok()?;
        ascii.strip_suffix('.').map(str::to_owned).unwrap_or(ascii)
    } else {
        return None;
    };
    is_domain(&domain).then_some(domain)
}

fn has_punycode(value: &str) -> bool {
    value
        .as_bytes()
        .windows(4)
        .any(|window| window.eq_ignore_ascii_case(b"xn--"))
}

fn is_domain(domain: &str) -> bool {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    // A name whose last label is a number is what URL parsers take for an IPv4 address.
    let last_is_number = domain
        .rsplit('.')
        .next()
        .is_some_and(|last| last.bytes().all(|b| b.is_ascii_digit()));
    domain.len() <= MAX_DOMAIN && domain.contains('.') && domain.split('.').all(is_label) && !last_is_number
}

/// A URL in canonical form; `None` when it is none or has no host. Schemes that name no place (`mailto:`, `javascript:`)
/// are none.
#[must_use]
pub fn canonical_url(value: &str) -> Option<String> {
    if value.len() > MAX_TEXT || !value.contains("://") {
        return None;
    }
    let mut url = Url::parse(value).ok()?;
    url.set_fragment(None);
    url.set_username("").ok();
    url.set_password(None).ok();
    let host = url.host_str()?;
    let bare = host.trim_end_matches('.').to_owned();
    if bare.is_empty() {
        return None;
    }
    if bare.len() < host.len() {
        url.set_host(Some(&bare)).ok()?;
    }
    let text = capital_escapes(String::from(url));
    (text.len() <= MAX_URL).then_some(text)
}

/// `%2f` as `%2F`: the URL standard leaves escapes as they are, RFC 3986 says they mean the same.
fn capital_escapes(url: String) -> String {
    if !url.contains('%') {
        return url;
    }
    let mut digits = 0;
    url.chars()
        .map(|char| {
            let upper = digits > 0;
            digits = if char == '%' {
                2
            } else {
                usize::saturating_sub(digits, 1)
            };
            if upper && char.is_ascii_hexdigit() {
                char.to_ascii_uppercase()
            } else {
                char
            }
        })
        .collect()
}

fn canonical_email(value: &str) -> Option<String> {
    let value = match value.get(..7) {
        Some(scheme) if scheme.eq_ignore_ascii_case("mailto:") => value.get(7..)?,
        _ => value,
    };
    let (local, domain) = value.rsplit_once('@')?;
    let domain = canonical_domain(domain)?;
    let is_local = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~.".contains(&byte);
    let fits = (1..=MAX_LOCAL).contains(&local.len())
        && local.bytes().all(is_local)
        && !local.starts_with('.')
        && !local.ends_with('.');
    let email = format!("{}@{domain}", local.to_ascii_lowercase());
    (fits && email.len() <= MAX_EMAIL).then_some(email)
}

pub(super) fn is_hash(value: &str, length: usize) -> bool {
    value.len() == length && value.bytes().all(|b| b.is_ascii_hexdigit())
}

fn hash(value: &str, length: usize, expected: &'static str) -> Result<String, InvalidIndicator> {
    if is_hash(value, length) {
        Ok(value.to_ascii_lowercase())
    } else {
        Err(InvalidIndicator::value(expected, value))
    }
}

/// How reports write what must not be clicked, and what it means.
const DEFANGED: [(&str, &str); 14] = [
    ("[://]", "://"),
    ("[:]//", "://"),
    ("[.]", "."),
    ("(.)", "."),
    ("{.}", "."),
    ("[dot]", "."),
    ("(dot)", "."),
    ("{dot}", "."),
    ("[@]", "@"),
    ("(@)", "@"),
    ("[at]", "@"),
    ("(at)", "@"),
    ("{at}", "@"),
    ("[:]", ":"),
];

/// Restores a text that was made harmless: `hxxp` for `http`, dots and at signs in brackets.
#[must_use]
pub fn refang(text: &str) -> Cow<'_, str> {
    let is_hxxp = text.get(..4).is_some_and(|head| head.eq_ignore_ascii_case("hxxp"));
    if !is_hxxp && !text.bytes().any(|byte| matches!(byte, b'[' | b'(' | b'{')) {
        return Cow::Borrowed(text);
    }
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    if is_hxxp {
        plain.push_str("http");
        rest = text.get(4..).unwrap_or_default();
    }
    while let Some(char) = rest.chars().next() {
        let bracketed = DEFANGED.iter().find(|(written, _)| {
            rest.get(..written.len())
                .is_some_and(|head| head.eq_ignore_ascii_case(written))
        });
        let taken = if let Some((written, meant)) = bracketed {
            plain.push_str(meant);
            written.len()
        } else {
            plain.push(char);
            char.len_utf8()
        };
        rest = rest.get(taken..).unwrap_or_default();
    }
    Cow::Owned(plain)
}

#[cfg(test)]
mod tests {
    use super::*;
    use IndicatorType::{Domain, Email, Ip, Md5, Sha1, Sha256, Url};

    #[test]
    fn values_are_brought_to_one_form() {
        let md5 = "Ab".repeat(16);
        let sha1 = "Ab".repeat(20);
        let sha256 = "Ab".repeat(32);
        for (kind, value, canonical) in [
            (Ip, " ::ffff:10.0.0.5 ", "10.0.0.5"),
            (Ip, "2001:DB8::1", "2001:db8::1"),
            (Ip, "[2001:DB8::1]", "2001:db8::1"),
            (Ip, "198.51.100.77/24", "198.51.100.0/24"),
            (Ip, "198.51.100.77/32", "198.51.100.77"),
            (Ip, "2001:db8::7/48", "2001:db8::/48"),
            (Ip, "::ffff:198.51.100.77/120", "198.51.100.0/24"),
            (Ip, "10[.]0[.]0[.]5", "10.0.0.5"),
            (Domain, "Evil.Example.", "evil.example"),
            (Domain, "*.evil.example", "evil.example"),
            (Domain, "evil[.]example", "evil.example"),
            (Domain, "evil(dot)example", "evil.example"),
            (Domain, "_dmarc.evil.example", "_dmarc.evil.example"),
            (Domain, "Bücher.example", "xn--bcher-kva.example"),
            (Domain, "XN--BCHER-KVA.example", "xn--bcher-kva.example"),
            (Domain, "bücher。example", "xn--bcher-kva.example"),
            (Url, "HTTP://Evil.Example", "http://evil.example/"),
            (Url, "http://evil.example:80/a/../b#top", "http://evil.example/b"),
            (
                Url,
                "https://user:pw@evil.example/%2f?q=%c3",
                "https://evil.example/%2F?q=%C3",
            ),
            (Url, "hxxps[://]evil[.]example/a", "https://evil.example/a"),
            (Url, "http://Bücher.example/ä", "http://xn--bcher-kva.example/%C3%A4"),
            (Url, "http://evil.example./a", "http://evil.example/a"),
            (Url, "http://[2001:DB8::1]:8080/", "http://[2001:db8::1]:8080/"),
            (Url, "http://0x0a.0.0.5/x", "http://10.0.0.5/x"),
            (Url, "ftp://evil.example/a", "ftp://evil.example/a"),
            (Md5, &md5, &md5.to_lowercase()),
            (Sha1, &sha1, &sha1.to_lowercase()),
            (Sha256, &sha256, &sha256.to_lowercase()),
            (Email, "mailto:Bad.Guy@Evil.Example", "bad.guy@evil.example"),
            (Email, "bad[at]bücher[.]example", "bad@xn--bcher-kva.example"),
        ] {
            assert_eq!(canonical_value(kind, value).as_deref(), Ok(canonical), "{kind} {value}");
            assert_eq!(
                canonical_value(kind, canonical).as_deref(),
                Ok(canonical),
                "{kind} {canonical} again"
            );
        }
    }

    #[test]
    fn what_has_another_form_is_refused_by_name() {
        let long = format!("http://evil.example/{}", "a".repeat(MAX_URL));
        let huge = "a".repeat(MAX_TEXT + 1);
        for (kind, value) in [
            (Ip, "10.0.0"),
            (Ip, "10.0.0.0/33"),
            (Ip, "evil.example"),
            (Domain, "localhost"),
            (Domain, "10.0.0.5"),
            (Domain, "10.0.0.500"),
            (Domain, "a..b"),
            (Domain, "evil.example/path"),
            (Domain, "xn--a-\u{0}.example"),
            (Url, "evil.example/a"),
            (Url, "mailto:a@evil.example"),
            (Url, "http://"),
            (Url, "file:///etc/passwd"),
            (Url, &long),
            (Url, &huge),
            (Md5, "abc"),
            (Sha1, &"g".repeat(40)),
            (Sha256, &"a".repeat(63)),
            (Email, "evil.example"),
            (Email, "@evil.example"),
            (Email, "a b@evil.example"),
            (Email, "a@localhost"),
        ] {
            let error = canonical_value(kind, value).unwrap_err().to_string();
            assert!(error.starts_with("value: expected"), "{error}");
        }
    }

    #[test]
    fn harmless_texts_are_restored_and_others_left_alone() {
        for (text, plain) in [
            ("hXXp://evil[.]example", "http://evil.example"),
            ("a[DOT]b(.)c{.}d", "a.b.c.d"),
            ("a[:]//b[:]80", "a://b:80"),
            ("http://[2001:db8::1]/", "http://[2001:db8::1]/"),
            ("plain", "plain"),
            ("[ä]", "[ä]"),
        ] {
            assert_eq!(refang(text), plain);
        }
    }
}
