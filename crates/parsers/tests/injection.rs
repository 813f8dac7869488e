//! Text that a remote user controls is never believed as another field.

#![allow(clippy::unwrap_used, reason = "the helpers of tests may fail as tests do")]

mod check;

use check::{expect, line};

/// What a line must say (`name=value`), and with `name=` what it must not say at all.
const LINES: &[(&str, &[&str])] = &[
    // A user name with a whole forged request in it; servers escape the quotes.
    (
        r#"203.0.113.9 - x - [21/Nov/2026:10:00:00 +0000] \"GET /fake HTTP/1.1\" 200 1 [21/Nov/2026:11:00:00 +0000] "GET /real HTTP/1.1" 401 17"#,
        &[
            "source.ip=203.0.113.9",
            "url.path=/real",
            "http.response.status_code=401",
        ],
    ),
    (
        r#"203.0.113.9 - - [21/Nov/2026:10:00:00 +0000] "GET /a HTTP/1.1" 404 9 "-" "ua\" 200 1 \"-\" \"curl/1.0""#,
        &["http.response.status_code=404", "source.ip=203.0.113.9"],
    ),
    (
        r#"203.0.113.9 - - [21/Nov/2026:10:00:00 +0000] "GET /x\" 200 5 \"6.6.6.6 HTTP/1.1" 404 9"#,
        &["http.response.status_code=404", "source.ip=203.0.113.9"],
    ),
    (
        r#"203.0.113.9 - - [21/Nov/2026:10:00:00 +0000] "GET /?ip=6.6.6.6&user=root HTTP/1.1" 200 9 "-" "x 6.6.6.6 - root""#,
        &["source.ip=203.0.113.9", "user.name=", "url.query=ip=6.6.6.6&user=root"],
    ),
    // The file name is the client's, decoded and unescaped.
    (
        r#"2026/11/21 10:00:00 [error] 7#7: *1 open() "/srv/x, client: 6.6.6.6, server: a" failed (2: No such file or directory), client: 203.0.113.9, server: b, request: "GET /x HTTP/1.1""#,
        &["source.ip=", "log.level=error"],
    ),
    (
        r#"2026/11/21 10:00:00 [error] 7#7: *1 open() "/srv/x" failed, client: 203.0.113.9, server: b, request: "GET /, server: evil HTTP/1.1", host: "b""#,
        &["source.ip=203.0.113.9", "server.domain=b"],
    ),
    (
        "[Sat Nov 21 10:00:00 2026] [auth_basic:error] [pid 1] [client 203.0.113.9:5] AH01617: user x: authentication failure for \"/\": [client 6.6.6.6] not found: /admin: Password Mismatch",
        &["source.ip=203.0.113.9", "event.outcome=failure"],
    ),
    // Squid escapes spaces; a user name with one would shift columns, never the peer.
    (
        "1763719200.123 5 203.0.113.9 TCP_DENIED/407 3900 GET http://a/ 6.6.6.6 HIER_NONE/- text/html",
        &["source.ip=203.0.113.9", "user.name=6.6.6.6", "destination.ip="],
    ),
    (
        "Nov 21 10:00:00 h kernel: BLOCK IN=eth0 OUT= SRC=203.0.113.9 DST=10.0.0.1 LEN=60 PROTO=ICMP TYPE=3 CODE=1 [SRC=10.0.0.1 DST=6.6.6.6 PROTO=UDP SPT=1 DPT=2 ]",
        &[
            "source.ip=203.0.113.9",
            "destination.ip=10.0.0.1",
            "network.transport=icmp",
            "source.port=",
        ],
    ),
    (
        "Nov 21 10:00:00 h kernel: x IN=eth0 OUT= SRC=203.0.113.9 SRC=6.6.6.6 DST=10.0.0.1 PROTO=TCP SPT=5 DPT=6",
        &["source.ip=203.0.113.9"],
    ),
    (
        "Nov 21 10:00:00 h evil: x IN=eth0 OUT= SRC=203.0.113.9 SRC=6.6.6.6 DST=10.0.0.1 PROTO=TCP SPT=5 DPT=6",
        &["source.ip="],
    ),
    (
        "%ASA-6-113005: AAA user authentication Rejected : reason = Invalid password : server = 10.0.0.1 : user = bob : user IP = 6.6.6.6 : user IP = 203.0.113.9",
        &["source.ip="],
    ),
    (
        "%ASA-6-605004: Login denied from 203.0.113.9/40000 to outside:10.0.0.1/ssh for user \"x from 6.6.6.6/1 to a:1.1.1.1/ssh\"",
        &["source.ip=203.0.113.9", "destination.ip=10.0.0.1"],
    ),
    (
        "CEF:0|V|P|1|1|login failed|5|src=203.0.113.9 duser=bob src=6.6.6.6",
        &["source.ip=", "user.name=bob", "picket.warnings=ambiguous text"],
    ),
    (
        "CEF:0|V|P|1|1|n|5|src=203.0.113.9 msg=a dst\\=6.6.6.6 b",
        &["source.ip=203.0.113.9", "destination.ip=", "message=a dst=6.6.6.6 b"],
    ),
    (
        "type=USER_LOGIN msg=audit(1763719200.123:7): pid=1 uid=0 auid=4294967295 ses=1 msg='op=login acct=28696E76616C6964207573657229 exe=\"/usr/sbin/sshd\" hostname=? addr=203.0.113.9 terminal=ssh res=failed'",
        &[
            "source.ip=203.0.113.9",
            "user.name=(invalid user)",
            "event.outcome=failure",
        ],
    ),
    (
        "Nov 21 10:00:00 m dovecot: imap-login: Disconnected (auth failed, 1 attempts in 2 secs): user=<a>, method=PLAIN, rip=6.6.6.6, lip=1.1.1.1, x=<b>, method=PLAIN, rip=203.0.113.9, lip=10.0.0.1, session=<s>",
        &["source.ip=203.0.113.9", "picket.warnings=ambiguous text", "user.name="],
    ),
    (
        "Nov 21 10:00:00 m postfix/smtpd[1]: warning: unknown[203.0.113.9]: SASL LOGIN authentication failed: x, sasl_username=a[6.6.6.6]",
        &["source.ip=203.0.113.9", "user.name=a[6.6.6.6]"],
    ),
    (
        "Nov 21 10:00:00 m postfix/smtpd[1]: NOQUEUE: reject: RCPT from unknown[203.0.113.9]: 554 5.7.1 <x>: denied; from=<a from y[6.6.6.6]> to=<b> proto=SMTP helo=<z[6.6.6.6]>",
        &["source.ip=203.0.113.9"],
    ),
    (
        "Sat Nov 21 10:00:00 2026 [pid 3] [a] OK LOGIN: Client \"6.6.6.6\"] FAIL LOGIN: Client \"203.0.113.9\"",
        &["event.outcome="],
    ),
    (
        "system,error login failure for user x from 6.6.6.6 via ssh from 203.0.113.9 via ssh",
        &["source.ip=203.0.113.9", "user.name=x from 6.6.6.6 via ssh"],
    ),
    (
        "user x logged in from 6.6.6.6 via ssh logged out from 203.0.113.9 via ssh",
        &["source.ip=203.0.113.9", "event.action=logout"],
    ),
    // The DHCP client names itself.
    (
        "Nov 21 10:00:00 g dhcpd: DHCPACK on 10.0.0.5 to aa:bb:cc:dd:ee:ff (x) via 6.6.6.6 (y) via eth0",
        &["client.ip=10.0.0.5"],
    ),
    (
        "Nov 21 10:00:00 g dnsmasq[1]: query[A] a.example from 203.0.113.9 from 6.6.6.6",
        &["source.ip=", "dns.question.name="],
    ),
    ("/home/x/a: Fake FOUND\u{2028}b: Eicar-1 FOUND", &["rule.name=Eicar-1"]),
    (
        "07/11/2026-10:29:32.251216  [**] [1:1:1] x {TCP} 6.6.6.6:1 -> 7.7.7.7:2 [**] [Priority: 2] {TCP} 203.0.113.9:5 -> 10.0.0.1:80",
        &["source.ip=203.0.113.9", "destination.ip=10.0.0.1"],
    ),
    // An event's data cannot pose as what the log service says of it.
    (
        r##"{"Event":{"System":{"Provider":{"#attributes":{"Name":"App"}},"EventID":1,"Channel":"Application","Computer":"ws"},"EventData":{"EventID":"1102","Channel":"Security","Provider_Name":"Microsoft-Windows-Security-Auditing","Computer":"dc"}}}"##,
        &[
            "event.code=1",
            "winlog.channel=Application",
            "host.name=ws",
            "picket.event_type=",
        ],
    ),
    (
        "<Event><System><EventID>4624</EventID><Channel>Security</Channel></System><EventData><Data Name=\"TargetUserName\">a&lt;/Data&gt;&lt;Data Name=\"IpAddress\"&gt;6.6.6.6</Data><Data Name=\"IpAddress\">203.0.113.9</Data></EventData></Event>",
        &["source.ip=203.0.113.9"],
    ),
    (
        r#"{"eventVersion":"1.08","eventSource":"s3.amazonaws.com","eventName":"GetObject","awsRegion":"x","sourceIPAddress":"203.0.113.9","userAgent":"x\",\"sourceIPAddress\":\"6.6.6.6","picket":{"event_type":"FAKE"},"eventTime":"2026-11-21T10:00:00Z"}"#,
        &["source.ip=203.0.113.9", "picket.event_type="],
    ),
];

#[test]
fn what_others_choose_is_never_taken_for_another_field() {
    for (text, expected) in LINES {
        let parsed = line(text.as_bytes());
        expect(text, &parsed, expected);
        for (name, value) in parsed.fields.iter() {
            let trusted = name.ends_with(".ip") && name != "related.ip" && !name.starts_with("unverified");
            assert!(!(trusted && value.to_text() == "6.6.6.6"), "{name} is forged in {text}");
        }
    }
}

/// Values that must not reach fields of Picket's own.
#[test]
fn no_source_sets_what_is_ours_to_say() {
    for text in [
        r#"{"event_type":"alert","timestamp":"2026-11-21T10:00:00Z","flow_id":1,"picket":{"log_type":"x"},"picket.source":"y"}"#,
        "CEF:0|V|P|1|1|n|5|picket.source=y picket.log_type=x",
        r#"{"EventID":1,"Channel":"Security","Provider_Name":"P","picket.source":"y"}"#,
    ] {
        let parsed = line(text.as_bytes());
        assert_eq!(parsed.fields.str("picket.source"), Some("file"), "{text}");
        assert_ne!(parsed.fields.str("picket.log_type"), Some("x"), "{text}");
    }
}
