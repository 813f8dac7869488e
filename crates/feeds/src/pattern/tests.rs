//! What patterns name, and what in them is no single indicator.

use super::*;

fn read(pattern: &str) -> String {
    match values(pattern) {
        Ok(found) => {
            let mut texts: Vec<String> = found
                .values
                .iter()
                .map(|value| format!("{} {}", value.kind, value.value))
                .collect();
            texts.extend(found.unsupported.iter().map(|reason| format!("no: {reason}")));
            texts.join("; ")
        }
        Err(error) => format!("error: {error}"),
    }
}

#[test]
fn one_comparison_is_one_indicator() {
    for (pattern, found) in [
        ("[ipv4-addr:value = '203.0.113.9']", "ip 203.0.113.9"),
        ("[ ipv6-addr:value='2001:db8::1' ]", "ip 2001:db8::1"),
        ("[ipv4-addr:value ISSUBSET '198.51.100.0/24']", "ip 198.51.100.0/24"),
        ("[domain-name:value = 'evil.example']", "domain evil.example"),
        (
            "[url:value = 'http://evil.example/a?b=\\'c\\'']",
            "url http://evil.example/a?b='c'",
        ),
        ("[email-addr:value = 'a@evil.example']", "email a@evil.example"),
        (
            "[email-message:from_ref.value = 'a@evil.example']",
            "email a@evil.example",
        ),
        ("[file:hashes.'SHA-256' = 'aa']", "sha256 aa"),
        ("[file:hashes.\"SHA-1\" = 'aa']", "sha1 aa"),
        ("[file:hashes.MD5 = 'aa']", "md5 aa"),
        ("[file:extensions.'ntfs-ext'.hashes.MD5 = 'aa']", "md5 aa"),
        ("[network-traffic:dst_ref.value = '203.0.113.9']", "ip 203.0.113.9"),
        (
            "[network-traffic:dst_ref.value = 'evil.example']",
            "domain evil.example",
        ),
        (
            "[domain-name:value IN ('a.example', 'b.example')]",
            "domain a.example; domain b.example",
        ),
        ("([url:value = 'http://a.example/'])", "url http://a.example/"),
        ("[ipv4-addr:value = '203.0.113.9'] WITHIN 5 SECONDS", "ip 203.0.113.9"),
        ("[ipv4-addr:value = '203.0.113.9'] REPEATS 1 TIMES", "ip 203.0.113.9"),
        ("/* c2 */ [ipv4-addr:value = '203.0.113.9'] // seen", "ip 203.0.113.9"),
    ] {
        assert_eq!(read(pattern), found, "{pattern}");
    }
}

#[test]
fn alternatives_are_one_indicator_each() {
    assert_eq!(
        read(
            "[ipv4-addr:value = '203.0.113.9' OR domain-name:value = 'a.example'] OR [url:value = 'http://b.example/']"
        ),
        "ip 203.0.113.9; domain a.example; url http://b.example/"
    );
    assert_eq!(
        read("[file:hashes.MD5 = 'aa' AND file:hashes.'SHA-1' = 'bb']"),
        "md5 aa; sha1 bb",
        "hashes of one file"
    );
    assert_eq!(
        read("[network-traffic:dst_ref.type = 'ipv4-addr' AND network-traffic:dst_ref.value = '203.0.113.9']"),
        "ip 203.0.113.9"
    );
    assert_eq!(
        read("[domain-name:value = 'a.example' OR file:name = 'x.exe']"),
        "domain a.example; no: file:name is nothing that is matched"
    );
}

#[test]
fn what_asks_for_more_than_one_value_is_refused_with_the_reason() {
    for (pattern, reason) in [
        (
            "[ipv4-addr:value = '203.0.113.9'] AND [url:value = 'http://a.example/']",
            "joined by AND",
        ),
        (
            "[ipv4-addr:value = '203.0.113.9'] FOLLOWEDBY [url:value = 'x']",
            "joined by FOLLOWEDBY",
        ),
        (
            "[ipv4-addr:value = '203.0.113.9' AND network-traffic:dst_port = 443]",
            "joined by AND",
        ),
        ("[file:hashes.MD5 = 'aa' AND file:name = 'x.exe']", "joined by AND"),
        ("[file:name = 'x.exe']", "file:name"),
        ("[ipv4-addr:value != '203.0.113.9']", "!= on ipv4-addr:value"),
        ("[NOT ipv4-addr:value = '203.0.113.9']", "NOT on ipv4-addr:value"),
        ("[ipv4-addr:value NOT IN ('203.0.113.9')]", "NOT on ipv4-addr:value"),
        ("[domain-name:value LIKE '%.example']", "LIKE on domain-name:value"),
        ("[domain-name:value MATCHES '.*']", "MATCHES on domain-name:value"),
        ("[ipv4-addr:value = '203.0.113.9'] REPEATS 5 TIMES", "repeats"),
        (
            "[ipv4-addr:value = '1.2.3.4'] START t'2026-01-01T00:00:00Z' STOP t'2026-02-01T00:00:00Z'",
            "between two times",
        ),
        ("[EXISTS file:name]", "EXISTS"),
        ("[process:pid > 4]", "> on process:pid"),
    ] {
        let found = read(pattern);
        assert!(
            found.starts_with("no: ") && found.contains(reason),
            "{pattern}: {found}"
        );
    }
}

#[test]
fn wrong_syntax_says_where() {
    for (pattern, at) in [
        ("", "at byte 0"),
        ("ipv4-addr:value = 'x'", "at byte 0"),
        ("[ipv4-addr:value = 'x'", "at byte 22"),
        ("[ipv4-addr:value = 'x", "at byte 19"),
        ("[ipv4-addr:value 'x']", "at byte 17"),
        ("[value = 'x']", "at byte 1"),
        ("[domain-name:value IN ('a' 'b')]", "at byte 27"),
        ("[url:value = 'x'] XOR [url:value = 'y']", "at byte 18"),
        ("[url:value = 'x'] /* ", "at byte 18"),
    ] {
        let found = read(pattern);
        assert!(
            found.starts_with("error: expected") && found.ends_with(at),
            "{pattern}: {found}"
        );
    }
}

#[test]
fn a_hostile_pattern_is_bounded() {
    assert!(read(&"(".repeat(100_000)).contains("error"));
    assert!(read(&format!("[{}", "(".repeat(40_000))).contains("nested"));
    assert!(read(&"x".repeat(MAX_PATTERN_BYTES + 1)).contains("KiB"));
    let many = vec!["'a.example'"; MAX_COMPARISONS + 1].join(",");
    assert!(read(&format!("[domain-name:value IN ({many})]")).contains("error"));
}
