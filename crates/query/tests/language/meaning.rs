//! What queries mean.

use query::{Query, scan};

use crate::events::{now, sshd};

/// Looks at the event and at a block with it.
fn matches(text: &str) -> bool {
    let query = Query::parse(text).unwrap_or_else(|error| panic!("{text}: {error}\n{}", error.caret(text)));
    let compiled = query.compile(now());
    let event = sshd();
    let matches = compiled.matches(&event);
    let encoded = block::encode(std::slice::from_ref(&event)).unwrap();
    let block = block::Block::open(&encoded.bytes).unwrap();
    let plan = compiled.plan();
    let found = scan(&compiled, plan.span, &block).unwrap();
    assert_eq!(found.rows.len(), usize::from(matches), "{text}: the block's scan");
    if matches {
        let ips: Vec<_> = encoded.meta.ips.unwrap().iter().map(|ip| ip.parse().unwrap()).collect();
        for ips in [None, Some(ips.as_slice())] {
            assert!(
                plan.need.may_be_in(&encoded.meta.token_filter, ips),
                "{text}: {:?}",
                plan.need
            );
        }
        assert!(
            plan.addresses.is_none_or(|set| set.iter().any(|ip| ips.contains(ip))),
            "{text}"
        );
    }
    matches
}

#[test]
fn each_kind_of_term_finds_what_it_says() {
    for (query, expected) in [
        // words and phrases, in any case, from edge to edge
        ("", true),
        ("*", true),
        ("failed", true),
        ("FAILED ädmin", true),
        ("fail", false),
        ("failed nothing", false),
        ("\"invalid user ädmin\"", true),
        ("\"user invalid\"", false),
        ("edr_listen_socket", true),
        ("listen", true),
        ("53422", true),
        ("5342", false),
        ("true", true),
        ("\"x=1 (y)\"", true),
        // fields
        ("source.port:53422", true),
        ("source.port:5342", false),
        ("source.port:53422.0", true),
        ("event.duration:1.50", true),
        ("event.duration:1.5", true),
        ("message:password", true),
        ("message:\"failed password\"", true),
        ("event.category:session", true),
        ("event.category:sess", false),
        ("picket.flag:true", true),
        ("no.field:x", false),
        ("EventID:4625", true),
        ("EventID:4625.0", false),
        ("\"my field\":y", true),
        ("user.name:ÄDMIN", true),
        // as a whole
        ("user.name=ädmin", true),
        ("message=password", false),
        ("host.os.type=LINUX", true),
        ("host.os.type = linux", true),
        ("host.os.type == linux", true),
        ("host.os.type!=linux", false),
        ("host.os.type != windows", true),
        ("no.field!=x", true),
        ("empty=\"\"", true),
        ("message=\"\"", false),
        ("process.executable=C:\\Windows\\System32\\cmd.exe", true),
        // wildcards
        ("fail*", true),
        ("*assword", true),
        ("pass?ord", true),
        ("pass?rd", false),
        ("message:fail*root", false),
        ("message:fail*ssh2", true),
        ("user.name=ä*", true),
        ("user.name=*d", false),
        ("message=failed*", true),
        ("message=*password*", true),
        ("EventID:46*", true),
        ("source.port:534*", true),
        ("process.executable=*\\\\cmd.exe", true),
        ("process.executable:\\\\cmd.exe", true),
        ("process.executable:System32\\cmd.exe", true),
        ("fail\\*", false),
        ("user.*:ädmin", true),
        ("*.ip:10.0.0.5", true),
        ("source.*:ädmin", false),
        ("*:ädmin", true),
        // there or not
        ("user.name:*", true),
        ("no.field:*", false),
        ("nothing:*", false),
        ("empty:*", true),
        ("user.*:*", true),
        ("nope.*:*", false),
        ("@timestamp:*", true),
        // addresses
        ("10.0.0.5", true),
        ("10.0.0.50", false),
        ("0.0.0.5", false),
        ("source.ip:10.0.0.5", true),
        ("message:10.0.0.5", true),
        ("source.ip:10.0.0.6", false),
        ("10.0.0.0/24", true),
        ("10.0.0.9/24", true),
        ("10.0.1.0/24", false),
        ("source.ip:10.0.0.0/8", true),
        ("message:10.0.0.4/31", true),
        ("2001:db8::7", true),
        ("2001:DB8:0::7", true),
        ("host.ip:2001:db8::/32", true),
        ("2001:db9::/32", false),
        ("host.ip:10.0.0.0/8", false),
        ("source.ip:[10.0.0.1 TO 10.0.0.9]", true),
        ("source.ip:{10.0.0.5 TO 10.0.0.9]", false),
        ("source.ip:[10.0.0.5 TO *]", true),
        ("source.ip:[10.0.0.5 TO 10.0.0.5]", true),
        ("source.ip>=10.0.0.6", false),
        // numbers
        ("source.port>1024", true),
        ("source.port>=53422", true),
        ("source.port:>53422", false),
        ("source.port<53423", true),
        ("source.port <= 1e5", true),
        ("source.port:[1 TO 1024]", false),
        ("source.port:[1 TO 53422]", true),
        ("source.port:[1 TO 53422}", false),
        ("source.port:[* TO *]", true),
        ("event.duration>1.4", true),
        ("event.duration:[1.5 TO 2]", true),
        ("EventID:[4000 TO 5000]", true),
        ("message>5", false),
        // times
        ("@timestamp>=now-3h", true),
        ("@timestamp>now-1h", false),
        ("@timestamp:2026-03-04", true),
        ("@timestamp:2026-03-03", false),
        ("@timestamp<2026-03-04", false),
        ("@timestamp<=2026-03-04", true),
        ("@timestamp:[now-1d/d TO now]", true),
        ("@timestamp:[2026-03-04T10:00 TO 2026-03-04T10:00]", true),
        ("@timestamp:\"2026-03-04 10:00:00\"", true),
        ("@timestamp=now", false),
        ("event.created:[now-3h TO now]", true),
        ("event.created>2026-03-04T10:00", false),
        ("event.created:2026-03-04", true),
        ("event.created:2026-03-05", false),
        ("event.created:2026-03-04T09:59", true),
        ("event.created:2026-03-04T10:59:58+01:00", true),
        ("event.created:2026-03-04T09:59:59", false),
        ("event.created:(2026-03-01 OR 2026-03-04)", true),
        ("event.*:2026-03-04", true),
        ("NOT event.created:2026-03-04", false),
        ("event.created:now", false),
        // regular expressions
        ("/Failed \\w+ for/", true),
        ("/failed \\w+ for/", false),
        ("/failed \\w+ for/i", true),
        ("user.name:/^ädmin$/i", true),
        ("source.port:/^534/", true),
        ("message:/a\\/b/", false),
        // together
        ("failed AND 10.0.0.5", true),
        ("failed && nothing", false),
        ("nothing OR failed", true),
        ("nothing || failed", true),
        ("NOT nothing", true),
        ("!nothing", true),
        ("NOT failed", false),
        ("NOT NOT failed", true),
        ("failed NOT accepted", true),
        ("failed accepted OR password", true),
        ("failed (accepted OR password)", true),
        ("(failed OR accepted) (root OR ädmin)", true),
        ("(failed OR accepted) AND NOT (root OR ädmin)", false),
        ("host.os.type:(windows OR linux)", true),
        ("message:(failed user NOT root)", true),
        ("source.port:(>1024 <2000)", false),
        ("host.os.type=(windows OR linux)", true),
        ("host.os.type!=(windows OR linux)", false),
        ("event.category:(authentication AND session)", true),
        // what only looks like a field
        ("http://x.example/", false),
        ("12:30:01", false),
        ("C:\\Windows\\System32\\cmd.exe", true),
        ("aa:bb:cc:dd:ee:ff", false),
        ("/etc/passwd", false),
        ("\"AND\"", false),
        ("and", false),
        ("event.id:9", false),
    ] {
        assert_eq!(matches(query), expected, "{query}");
    }
}

#[test]
fn an_event_is_found_by_its_id() {
    let id = sshd().id;
    assert!(matches(&format!("event.id:\"{id}\"")));
    assert!(matches(&format!("event.id:{id}")));
    assert!(matches("event.id:*"));
    assert!(!matches(&format!("{id}")), "an id is in no field");
}

#[test]
fn a_query_prints_as_what_it_means() {
    for (text, printed) in [
        ("", "*"),
        ("failed   password", "failed AND password"),
        ("a b OR c", "(a AND b) OR c"),
        ("NOT (a b)", "NOT (a AND b)"),
        ("\"plain\"", "plain"),
        ("\"two words\"", "\"two words\""),
        ("\"10.0.0.5\"", "\"10.0.0.5\""),
        ("10.0.0.5", "10.0.0.5"),
        ("source.ip:10.1.2.3/8", "source.ip:10.0.0.0/8"),
        ("a.b:(x OR >5)", "a.b:x OR a.b:{5 TO *]"),
        ("a.b!=x", "NOT a.b=x"),
        ("x:C:\\Windows\\*", "\"x\":\"C:\\\\Windows*\""),
        ("xy:C:\\\\Win*", "xy:C\\:\\\\Win*"),
        ("@timestamp>=now-1d/d", "@timestamp:[now-1d/d TO *]"),
        ("m:/a b/i", "\"m\":/a b/i"),
    ] {
        assert_eq!(Query::parse(text).unwrap().to_string(), printed, "{text}");
    }
}
