//! What is found in texts, and what is not.

use super::{Extractor, Observable, Wanted, may_differ};

fn found(text: &str, wanted: Wanted) -> Vec<String> {
    let mut all = Vec::new();
    Extractor::new().scan(text, wanted, &mut |observable| {
        all.push(match observable {
            Observable::Ip(ip) => format!("ip {ip}"),
            Observable::Domain(name) => format!("domain {name}"),
            Observable::Url(url) => format!("url {url}"),
            Observable::Hash(hash) => format!("hash {hash}"),
            Observable::Email(email) => format!("email {email}"),
        });
    });
    all
}

#[test]
fn addresses_are_found_wherever_logs_put_them() {
    for (text, wanted) in [
        ("from 10.0.0.5 port 22", "10.0.0.5"),
        ("10.0.0.5:22", "10.0.0.5"),
        ("(10.0.0.5)", "10.0.0.5"),
        ("src=10.0.0.5.", "10.0.0.5"),
        ("http://10.0.0.5/x", "10.0.0.5"),
        ("10.0.0.5-10.0.0.5", "10.0.0.5 10.0.0.5"),
        ("aa:bb:10.0.0.5", "10.0.0.5"),
        ("10[.]0[.]0[.]5", "10.0.0.5"),
        ("10(.)0.0{.}5", "10.0.0.5"),
        ("addr 2001:DB8::1 end", "2001:db8::1"),
        ("[2001:db8::1]:443", "2001:db8::1"),
        ("peer 2001:db8::1: refused", "2001:db8::1"),
        ("src:fe80::1", "fe80::1"),
        ("fe80::1%eth0", "fe80::1"),
        ("::ffff:10.0.0.5", "10.0.0.5 10.0.0.5"),
        ("äfe80::1ä", "fe80::1"),
        ("ä10.0.0.5ä", "10.0.0.5"),
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
        let ips: Vec<String> = found(text, Wanted::IPS)
            .iter()
            .map(|ip| ip.replace("ip ", ""))
            .collect();
        assert_eq!(ips.join(" "), wanted, "{text}");
    }
}

#[test]
fn names_are_found_with_their_surroundings_cut_off() {
    let domains = Wanted {
        domains: true,
        ..Wanted::default()
    };
    for (text, names) in [
        ("https://www.Evil.example:8443/a?b", "www.evil.example"),
        ("user@evil.example.", "evil.example"),
        ("query: evil[.]example (A)", "evil.example"),
        ("evil[dot]example", "evil.example"),
        ("C:\\x\\cmd.exe", "cmd.exe"),
        ("bücher.example", "xn--bcher-kva.example"),
        ("www.Bücher.example", "www.xn--bcher-kva.example"),
        ("bücher.evil.example", "evil.example xn--bcher-kva.evil.example"),
        ("bücher。example", "xn--bcher-kva.example"),
        ("请访问 evil.example 下载", "evil.example"),
        ("10.0.0.5", ""),
        ("localhost", ""),
    ] {
        let mut all: Vec<String> = found(text, domains)
            .iter()
            .map(|name| name.replace("domain ", ""))
            .collect();
        // What is beside letters beyond ASCII may be found in parts, too.
        all.retain(|name| names.is_empty() || names.split(' ').any(|wanted| wanted == name));
        all.sort();
        assert_eq!(all.join(" "), names, "{text}");
    }
    assert!(!found("bücher.example", domains).contains(&"domain cher.example".to_owned()));
    assert_eq!(found(&"a.".repeat(200), domains), Vec::<String>::new());
}

#[test]
fn hashes_are_found_by_their_length_and_only_whole() {
    let hashes = Wanted {
        hashes: true,
        ..Wanted::default()
    };
    for length in [32, 40, 64] {
        let hash = "aB".repeat(length / 2);
        for text in [
            hash.clone(),
            format!("SHA256={hash},x"),
            format!("sha256:{hash}"),
            format!("{}{hash} {}", "x ".repeat(100), "y".repeat(100)),
            format!("ä{hash}ä"),
        ] {
            assert_eq!(found(&text, hashes), [format!("hash {hash}")], "{text}");
        }
        for text in [
            format!("{hash}a"),
            format!("{hash}z"),
            format!("z{hash}"),
            "f".repeat(length - 1),
        ] {
            assert_eq!(found(&text, hashes), Vec::<String>::new(), "{text}");
        }
    }
    let (one, two) = ("a".repeat(32), "b".repeat(40));
    assert_eq!(
        found(&format!("MD5={one},SHA1={two}"), hashes),
        [format!("hash {one}"), format!("hash {two}")]
    );
}

#[test]
fn urls_are_found_however_they_are_quoted() {
    let urls = Wanted {
        urls: true,
        ..Wanted::default()
    };
    for (text, url) in [
        ("GET http://evil.example/a?b=1 200", "http://evil.example/a?b=1"),
        ("see https://Evil.example/a.", "https://evil.example/a"),
        ("(http://evil.example/a)", "http://evil.example/a"),
        ("curl 'http://evil.example/a';", "http://evil.example/a"),
        ("[x](http://evil.example/a), y", "http://evil.example/a"),
        ("<a href=\"http://evil.example/a\">", "http://evil.example/a"),
        ("http://evil.example", "http://evil.example/"),
        ("http://evil.example:80/#top", "http://evil.example/"),
        ("hxxps://evil[.]example/a", "https://evil.example/a"),
        ("hxxp[://]evil[.]example/a", "http://evil.example/a"),
        ("jdbc:mysql://db.example/x", "mysql://db.example/x"),
        ("http://[2001:db8::1]:8080/x", "http://[2001:db8::1]:8080/x"),
        ("http://a.example/?u=http://b.example/c", "http://b.example/c"),
        ("http://a.example/f(1)", "http://a.example/f(1)"),
        ("http://bücher.example/ä", "http://xn--bcher-kva.example/%C3%A4"),
        ("http://ev%69l.example/a", "http://evil.example/a"),
    ] {
        let all = found(text, urls);
        assert!(all.contains(&format!("url {url}")), "{text}: {all:?}");
        assert!(all.len() <= 6, "{text}: {all:?}");
    }
    for text in ["://x", "no url", "http:// x", "::://", "http://"] {
        assert_eq!(found(text, urls), Vec::<String>::new(), "{text}");
    }
}

#[test]
fn mail_addresses_are_found_between_other_signs() {
    let emails = Wanted {
        emails: true,
        ..Wanted::default()
    };
    for (text, email) in [
        ("from=<Bad.Guy@Evil.example>,", "bad.guy@evil.example"),
        ("to=bad@evil.example.", "bad@evil.example"),
        ("mailto:bad@evil.example?x", "bad@evil.example"),
        ("x?mail=bad+tag@evil.example&y=1", "bad+tag@evil.example"),
        ("bad[at]evil[.]example", "bad@evil.example"),
        ("'bad@bücher.example'", "bad@xn--bcher-kva.example"),
        (&format!("{}=bad@evil.example", "x".repeat(100)), "bad@evil.example"),
    ] {
        let all = found(text, emails);
        assert!(all.contains(&format!("email {email}")), "{text}: {all:?}");
    }
    for text in [
        "root@localhost",
        "@evil.example",
        "a@",
        "@@@@",
        &format!("{}@evil.example", "x".repeat(100)),
    ] {
        assert_eq!(found(text, emails), Vec::<String>::new(), "{text}");
    }
}

#[test]
fn what_nobody_asks_about_is_not_looked_for() {
    let text = "10.0.0.5 evil.example http://evil.example/a a@evil.example";
    assert_eq!(found(text, Wanted::default()), Vec::<String>::new());
    assert_eq!(found(text, Wanted::ALL).len(), 6);
}

proptest::proptest! {
    #[test]
    fn whatever_the_text_the_scan_ends_and_finds_what_is_put_between_spaces(
        before in ".{0,80}",
        after in "[ -~]{0,80}",
        a in 0_u8.., b in 0_u8..,
    ) {
        let hash = format!("{a:02x}").repeat(16);
        let text = format!("{before} {a}.{b}.0.9 n{b}.evil.example http://evil.example/{a} {hash} {after}");
        let found = found(&text, Wanted::ALL);
        for wanted in [
            format!("ip {a}.{b}.0.9"),
            format!("domain n{b}.evil.example"),
            format!("url http://evil.example/{a}"),
            format!("hash {hash}"),
        ] {
            proptest::prop_assert!(found.contains(&wanted), "{} not in {:?}", wanted, found);
        }
    }

    #[test]
    fn what_is_found_is_canonical(text in "(\\PC|[.:/@ -]|http://|xn--|\\[\\.\\]){0,60}") {
        use model::indicator::{IndicatorType, canonical_url, canonical_value};
        Extractor::new().scan(&text, Wanted::ALL, &mut |observable| match observable {
            Observable::Ip(ip) => assert_eq!(ip, ip.to_canonical()),
            Observable::Url(url) => assert_eq!(canonical_url(url).as_deref(), Some(url)),
            Observable::Email(email) => {
                assert_eq!(canonical_value(IndicatorType::Email, email).as_deref(), Ok(email));
            }
            Observable::Domain(name) => assert!(name.len() <= 253 && name.contains('.')),
            Observable::Hash(hash) => assert!(matches!(hash.len(), 32 | 40 | 64)),
        });
    }

    #[test]
    fn a_text_that_may_not_differ_holds_the_words_of_all_that_is_found(
        text in "([a-z0-9]{1,4}|[.:/@ -]|[!-/:-@\\[-`{-~]|http://|%41|10\\.0\\.0\\.){0,30}"
    ) {
        if !may_differ(&text) {
            let lower = text.to_lowercase();
            Extractor::new().scan(&text, Wanted::ALL, &mut |observable| {
                let value = match observable {
                    Observable::Url(value) | Observable::Domain(value) | Observable::Email(value) => value,
                    Observable::Ip(_) | Observable::Hash(_) => return,
                };
                for word in value.split(|char: char| !char.is_alphanumeric()) {
                    assert!(lower.contains(word), "{word} of {value} in {text}");
                }
            });
        }
    }
}
