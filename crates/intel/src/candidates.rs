//! Which indicators would match a value.

use std::net::IpAddr;

use ipnet::IpNet;
use model::indicator::{IndicatorType, MAX_URL};

use crate::observables::{Extractor, Observable, Wanted};

/// Every indicator that would match if `text` occurred in an event, whether or not somebody has it: for an address also
/// the networks around it, for a name the names above it, for a URL or mail address what is in it. Each once.
#[must_use]
pub fn candidates(text: &str) -> Vec<(IndicatorType, String)> {
    let mut all = Vec::new();
    let mut add = |kind, value: &str| {
        let candidate = (kind, value.to_owned());
        if !all.contains(&candidate) {
            all.push(candidate);
        }
    };
    // A network given as such is looked up as such.
    if let Ok((IndicatorType::Ip, value)) = IndicatorType::parse_typed(text)
        && value.contains('/')
    {
        add(IndicatorType::Ip, &value);
    }
    let text = text.get(..text.floor_char_boundary(3 * MAX_URL)).unwrap_or_default();
    Extractor::new().scan(text, Wanted::ALL, &mut |observable| match observable {
        Observable::Ip(ip) => around(ip, &mut add),
        Observable::Domain(name) => {
            let mut suffix = name;
            while suffix.contains('.') {
                add(IndicatorType::Domain, suffix);
                suffix = suffix.split_once('.').map_or("", |(_, rest)| rest);
            }
        }
        Observable::Url(url) => add(IndicatorType::Url, url),
        Observable::Hash(hash) => {
            if let Some(kind) = IndicatorType::guess(hash) {
                add(kind, &hash.to_ascii_lowercase());
            }
        }
        Observable::Email(email) => add(IndicatorType::Email, email),
    });
    all
}

fn around(ip: IpAddr, add: &mut impl FnMut(IndicatorType, &str)) {
    add(IndicatorType::Ip, &ip.to_string());
    let bits = if ip.is_ipv4() { 32 } else { 128 };
    for length in (0..bits).rev() {
        if let Ok(net) = IpNet::new(ip, length) {
            add(IndicatorType::Ip, &net.trunc().to_string());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::candidates;

    #[test]
    fn a_value_stands_for_all_that_would_match_it() {
        let text = |value: &str| -> Vec<String> {
            let all = candidates(value);
            all.iter().map(|(kind, value)| format!("{kind}:{value}")).collect()
        };
        let ip = text("198.51.100.77");
        assert_eq!(ip.len(), 33);
        assert!(ip.contains(&"ip:198.51.100.0/24".to_owned()));
        assert_eq!(text("2001:db8::1").len(), 129);
        assert_eq!(
            text("http://a.evil.example/x"),
            [
                "domain:a.evil.example",
                "domain:evil.example",
                "url:http://a.evil.example/x"
            ]
        );
        assert_eq!(
            text("bad@evil[.]example"),
            ["domain:evil.example", "email:bad@evil.example"]
        );
        assert_eq!(text(&"A".repeat(32)), [format!("md5:{}", "a".repeat(32))]);
        assert!(text("198.51.100.0/24").contains(&"ip:198.51.100.0/24".to_owned()));
        assert!(text("nothing").is_empty());
    }
}
