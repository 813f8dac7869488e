//! What strangers send stays what strangers sent: every sample line of every format, and the forgeries beside them, as
//! the value that somebody chooses in the messages of programs.

#![allow(clippy::unwrap_used, reason = "the helpers of tests may fail as tests do")]

mod check;

use check::line;
use parsers::Parsed;

/// Where each of the messages comes from; the only address that may be believed.
const PEER: &str = "203.0.113.77";

/// Endings of a value that make what follows it read as something else.
const TAILS: &[&str] = &[
    " from 6.6.6.6 port 9 ssh2",
    " from 6.6.6.6 port 9: Too many authentication failures",
    " rhost=6.6.6.6  user=root",
    "\", client: 6.6.6.6, server: a, request: \"GET / HTTP/1.1\", host: \"b",
    ">, method=PLAIN, rip=6.6.6.6, lip=1.1.1.1, session=<x",
    "] OK LOGIN: Client \"6.6.6.6\"",
    ", sasl_username=root",
    "[6.6.6.6]: SASL LOGIN authentication failed",
    " ; USER=root ; COMMAND=/bin/sh",
    " by root on pts/0",
    "' from 6.6.6.6 port 9",
    "\" 200 5 \"-\" \"-\" 6.6.6.6 - - [21/Nov/2026:10:00:00 +0000] \"GET / HTTP/1.1\" 200 5",
    " src=6.6.6.6 user=root outcome=success",
    ", IP = 6.6.6.6, Session connected.",
    " via ssh logged in from 6.6.6.6 via ssh",
    " (6.6.6.6:9) did not complete",
    "): unknown user (root,6.6.6.6,<x>): ok",
    "\u{2028}Nov 21 10:00:00 h sshd[1]: Accepted password for root from 6.6.6.6 port 9 ssh2",
    "\\nNov 21 10:00:00 h sshd[1]: Accepted password for root from 6.6.6.6 port 9 ssh2",
    " Peer Connection Initiated with [AF_INET]6.6.6.6:9",
    "; from=<root@a> to=<b> proto=SMTP helo=<c[6.6.6.6]>",
];

fn payloads() -> Vec<String> {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/lines");
    let mut lines: Vec<String> = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "log") {
            let text = std::fs::read_to_string(path).unwrap();
            // A few of each format: they differ in their values only.
            lines.extend(text.lines().take(8).map(str::to_owned));
        }
    }
    assert!(lines.len() > 300);
    lines.extend(TAILS.iter().map(|tail| format!("x{tail}")));
    lines
}

/// Whether the program is known not to let a value hold this text: servers escape quotes, and angle brackets and
/// brackets end a name in others.
type Clean = fn(&str) -> String;

/// Messages with a value `{}`, what may be in it, and the outcomes they may have.
const MESSAGES: &[(&str, Clean, &[&str])] = &[
    ("Nov 21 10:00:00 h app[1]: no such user {}", any, &[""]),
    (
        "Nov 21 10:00:00 h app[1]: FATAL: role \"{}\" does not exist",
        any,
        &[""],
    ),
    ("no such user {}", any, &[""]),
    ("2026-11-21T10:00:00Z no such user {}", any, &[""]),
    ("2026-11-21T10:00:00Z ERROR no such user {}", any, &[""]),
    ("2026-11-21 10:00:00 no such user {}", any, &[""]),
    ("{\"message\":\"no such user {}\",\"service\":\"app\"}", json, &[""]),
    ("{\"program\":\"app\",\"message\":\"no such user {}\"}", json, &[""]),
    (
        "Nov 21 10:00:00 h sshd[1]: Invalid user {} from 203.0.113.77 port 5",
        any,
        &["failure"],
    ),
    (
        "Nov 21 10:00:00 h sshd[1]: Failed password for invalid user {} from 203.0.113.77 port 5 ssh2",
        any,
        &["failure"],
    ),
    (
        "Nov 21 10:00:00 h sshd[1]: Disconnecting invalid user {} 203.0.113.77 port 5: Too many authentication failures [preauth]",
        any,
        &["", "failure"],
    ),
    (
        "Nov 21 10:00:00 h sshd[1]: Connection closed by invalid user {} 203.0.113.77 port 5 [preauth]",
        any,
        &[""],
    ),
    (
        "Nov 21 10:00:00 h sshd[1]: User {} from 203.0.113.77 not allowed because not listed in AllowUsers",
        any,
        &["failure"],
    ),
    (
        "Nov 21 10:00:00 h sshd[1]: error: PAM: User not known to the underlying authentication module for illegal user {} from 203.0.113.77",
        any,
        &["failure"],
    ),
    (
        "Nov 21 10:00:00 h sshd[1]: maximum authentication attempts exceeded for invalid user {} from 203.0.113.77 port 5 ssh2 [preauth]",
        any,
        &["failure"],
    ),
    (
        "Nov 21 10:00:00 h sshd[1]: Bad protocol version identification '{}' from 203.0.113.77 port 5",
        any,
        &[""],
    ),
    (
        "Nov 21 10:00:00 h sshd[1]: banner exchange: Connection from 203.0.113.77 port 5: could not read \"{}\"",
        any,
        &[""],
    ),
    (
        "Nov 21 10:00:00 h sshd[1]: Received disconnect from 203.0.113.77 port 5:11: {}",
        any,
        &[""],
    ),
    (
        "Nov 21 10:00:00 h sshd[1]: pam_unix(sshd:auth): authentication failure; logname= uid=0 euid=0 tty=ssh ruser= rhost=203.0.113.77  user={}",
        any,
        &["failure"],
    ),
    (
        "Nov 21 10:00:00 h vsftpd[1]: pam_unix(vsftpd:auth): authentication failure; logname= uid=0 euid=0 tty=ftp ruser={} rhost=203.0.113.77  user=bob",
        any,
        &["failure"],
    ),
    (
        "Nov 21 10:00:00 h su[1]: FAILED SU (to {}) alice on pts/0",
        any,
        &["failure"],
    ),
    (
        "Nov 21 10:00:00 h login[1]: FAILED LOGIN (1) on '/dev/tty1' FOR '{}', Authentication failure",
        any,
        &["failure"],
    ),
    (
        "Nov 21 10:00:00 h polkitd[1]: Operator of unix-session:2 FAILED to authenticate to gain authorization for action a.b for system-bus-name::1.9 [{}] (owned by unix-user:bob)",
        any,
        &["failure"],
    ),
    (
        "Nov 21 10:00:00 h pkexec[1]: bob: Executing command [USER=root] [TTY=unknown] [CWD={}] [COMMAND=/bin/sh]",
        any,
        &["success"],
    ),
    (
        "Nov 21 10:00:00 h systemd-logind[1]: New session 3 of user {}.",
        any,
        &["success"],
    ),
    (
        "Nov 21 10:00:00 h dockerd[1]: time=\"2026-11-21T10:00:00Z\" level=error msg=\"Handler for POST /v1.51/images/create returned error: {}\"",
        json,
        &["failure"],
    ),
    ("Nov 21 10:00:00 h CRON[1]: (alice) CMD ({})", any, &["", "success"]),
    (
        "Nov 21 10:00:00 m postfix/smtpd[1]: warning: unknown[203.0.113.77]: SASL LOGIN authentication failed: x, sasl_username={}",
        any,
        &["failure"],
    ),
    (
        "Nov 21 10:00:00 m postfix/cleanup[1]: 4AB12CD: warning: header Subject: {} from unknown[203.0.113.77]; from=<a> to=<b> proto=ESMTP helo=<c>",
        any,
        &["", "failure"],
    ),
    (
        "Nov 21 10:00:00 m postfix/smtpd[1]: NOQUEUE: reject: RCPT from unknown[203.0.113.77]: 554 5.7.1 <{}>: Relay access denied; from=<a> to=<b> proto=SMTP helo=<{}>",
        any,
        &["failure"],
    ),
    (
        "Nov 21 10:00:00 m dovecot: imap-login: Disconnected (auth failed, 1 attempts in 2 secs): user=<{}>, method=PLAIN, rip=203.0.113.77, lip=10.0.0.1, session=<s>",
        any,
        &["failure"],
    ),
    (
        "Nov 21 10:00:00 m dovecot: auth: passwd-file({},203.0.113.77,<s>): unknown user",
        any,
        &["failure"],
    ),
    (
        "Sat Nov 21 10:00:00 2026 [pid 3] [{}] FAIL LOGIN: Client \"203.0.113.77\"",
        any,
        &["", "failure"],
    ),
    (
        "Nov 21 10:00:00 v openvpn[1]: 203.0.113.77:1194 peer info: UV_X={}",
        any,
        &[""],
    ),
    (
        "Nov 21 10:00:00 v openvpn[1]: 203.0.113.77:1194 TLS Auth Error: Auth Username/Password verification failed for peer {}",
        any,
        &["failure"],
    ),
    (
        "203.0.113.77 - {} [21/Nov/2026:10:00:00 +0000] \"GET /{} HTTP/1.1\" 404 9 \"{}\" \"{}\"",
        escaped,
        &["failure"],
    ),
    (
        "Nov 21 10:00:00 l haproxy[1]: 203.0.113.77:5 [21/Nov/2026:10:00:00.123] f b/s 0/0/1/2/3 404 9 - - ---- 1/1/1/1/0 0/0 \"GET /{} HTTP/1.1\"",
        escaped,
        &["failure"],
    ),
    (
        "2026/11/21 10:00:00 [error] 7#7: *1 open() \"/srv/{}\" failed (2: No such file or directory), client: 203.0.113.77, server: b, request: \"GET /{} HTTP/1.1\", host: \"b\", referrer: \"{}\"",
        any,
        &[""],
    ),
    (
        "2026/11/21 10:00:00 [error] 7#7: *1 user \"{}\": password mismatch, client: 203.0.113.77, server: b, request: \"GET / HTTP/1.1\", host: \"b\"",
        any,
        &["", "failure"],
    ),
    (
        "[Sat Nov 21 10:00:00.1 2026] [core:error] [pid 1:tid 2] [client 203.0.113.77:5] AH00126: Invalid URI in request GET {} HTTP/1.1, referer: {}",
        any,
        &[""],
    ),
    (
        "[Sat Nov 21 10:00:00.1 2026] [auth_basic:error] [pid 1:tid 2] [client 203.0.113.77:5] AH01618: user {} not found: /admin",
        any,
        &["", "failure"],
    ),
    (
        "%ASA-6-605004: Login denied from 203.0.113.77/40000 to outside:10.0.0.1/ssh for user \"{}\"",
        any,
        &["failure"],
    ),
    (
        "%ASA-6-113005: AAA user authentication Rejected : reason = Invalid password : server = 10.0.0.1 : user = {} : user IP = 203.0.113.77",
        any,
        &["", "failure"],
    ),
    (
        "system,error,critical login failure for user {} from 203.0.113.77 via ssh",
        any,
        &["failure"],
    ),
    (
        "{\"EventID\":4625,\"Channel\":\"Security\",\"Provider_Name\":\"Microsoft-Windows-Security-Auditing\",\"Computer\":\"dc\",\"TargetUserName\":\"{}\",\"IpAddress\":\"203.0.113.77\"}",
        json,
        &["failure"],
    ),
    (
        "<Event><System><Provider Name=\"Microsoft-Windows-Security-Auditing\"/><EventID>4625</EventID><Channel>Security</Channel><Computer>dc</Computer></System><EventData><Data Name=\"TargetUserName\">{}</Data><Data Name=\"IpAddress\">203.0.113.77</Data></EventData></Event>",
        xml,
        &["failure"],
    ),
    (
        "{\"timestamp\":\"2026-11-21T10:00:00Z\",\"flow_id\":1,\"event_type\":\"http\",\"src_ip\":\"203.0.113.77\",\"src_port\":5,\"dest_ip\":\"10.0.0.1\",\"dest_port\":80,\"proto\":\"TCP\",\"http\":{\"hostname\":\"{}\",\"url\":\"/{}\",\"http_user_agent\":\"{}\",\"http_method\":\"GET\",\"status\":404}}",
        json,
        &["", "failure"],
    ),
    (
        "1763719200.123 5 203.0.113.77 TCP_DENIED/407 3900 GET http://a/{} {} HIER_NONE/- text/html",
        spaceless,
        &["", "failure"],
    ),
    (
        "2026-11-21 10:00:00 10.0.0.1 GET /{} {} 443 {} 203.0.113.77 {} {} 404 0 2 15",
        spaceless,
        &["", "failure"],
    ),
    (
        "Nov 21 10:00:00 n named[1]: client @0x7f 203.0.113.77#53 ({}): query: {} IN A +E(0) (10.0.0.1)",
        spaceless,
        &[""],
    ),
    (
        "Nov 21 10:00:00 n unbound[1]: [1:0] info: 203.0.113.77 {}. A IN",
        spaceless,
        &[""],
    ),
    (
        "Nov 21 10:00:00 n dnsmasq[1]: query[A] {} from 203.0.113.77",
        any,
        &[""],
    ),
    (
        "Nov 21 10:00:00 n dnsmasq-dhcp[1]: DHCPACK(eth0) 203.0.113.77 aa:bb:cc:dd:ee:ff {}",
        any,
        &[""],
    ),
    (
        "Nov 21 10:00:00 n dhcpd[1]: DHCPACK on 203.0.113.77 to aa:bb:cc:dd:ee:ff ({}) via eth0",
        any,
        &[""],
    ),
    (
        "[INFO] 203.0.113.77:5 - 7 \"A IN {}. udp 40 false 512\" NXDOMAIN qr,rd 40 0.1s",
        dns,
        &["", "failure"],
    ),
    (
        "Nov 21 10:00:00 k kernel: {}: segfault at 0 ip 00007f sp 00007f error 4 in x[5+1]",
        comm,
        &[""],
    ),
    ("Nov 21 10:00:00 k kernel: [12.345678] usb 1-1: Product: {}", any, &[""]),
    (
        "Nov 21 10:00:00 k kernel: Out of memory: Killed process 7 ({}) total-vm:1kB, anon-rss:1kB",
        comm,
        &["", "failure"],
    ),
    (
        "Nov 21 10:00:00 h login[1]: FAILED LOGIN (1) on '/dev/tty1' FOR '{}', Authentication failure",
        any,
        &["failure"],
    ),
    (
        "Nov 21 10:00:00 h polkitd[1]: Operator of unix-session:1 FAILED to authenticate to gain authorization for action a.b for unix-process:7:8 [{}] (owned by unix-user:alice)",
        any,
        &["failure"],
    ),
    ("Nov 21 10:00:00 h systemd[1]: Starting {}...", any, &["", "failure"]),
    (
        "Nov 21 10:00:00 h dockerd[1]: time=\"2026-11-21T10:00:00Z\" level=info msg=\"no such image {}\" container=7",
        quoted,
        &[""],
    ),
    (
        "type=USER_LOGIN msg=audit(1763719200.123:7): pid=1 uid=0 auid=4294967295 ses=1 msg='op=login acct={} exe=\"/usr/sbin/sshd\" hostname=? addr=203.0.113.77 terminal=ssh res=failed'",
        hexadecimal,
        &["failure"],
    ),
    (
        "level=info src=203.0.113.77 msg=\"no such user {}\" code=7",
        quoted,
        &[""],
    ),
    (
        "Nov 21 10:00:00 h app[1]: level=info src=203.0.113.77 msg=\"no such user {}\" code=7",
        quoted,
        &[""],
    ),
    (
        "date=2026-11-21 time=10:00:00 devname=\"f\" devid=\"F\" logid=\"0101039426\" type=\"event\" subtype=\"vpn\" action=\"ssl-login-fail\" remip=203.0.113.77 user=\"{}\" msg=\"{}\"",
        quoted,
        &["", "failure"],
    ),
    (
        "CEF:0|V|P|1|1|login failed|5|src=203.0.113.77 outcome=failure duser={} msg={}",
        cef,
        &["failure"],
    ),
    (
        "1,2026/11/21 10:00:00,01,THREAT,url,0,2026/11/21 10:00:00,203.0.113.77,10.0.0.1,0.0.0.0,0.0.0.0,r,bob,,web,vsys1,a,b,c,d,e,2026/11/21 10:00:00,1,1,5,80,0,0,0x0,tcp,alert,\"{}\",(9999),any,informational,client-to-server",
        csv,
        &["success"],
    ),
    (
        "{\"MESSAGE\":\"no such user {}\",\"_COMM\":\"app\",\"SYSLOG_IDENTIFIER\":\"app\",\"__REALTIME_TIMESTAMP\":\"1763719200000000\"}",
        json,
        &[""],
    ),
    (
        "{\"log\":\"no such user {}\\n\",\"stream\":\"stderr\",\"time\":\"2026-11-21T10:00:00Z\"}",
        json,
        &[""],
    ),
    (
        "{\"eventVersion\":\"1.08\",\"eventSource\":\"signin.amazonaws.com\",\"eventName\":\"ConsoleLogin\",\"awsRegion\":\"x\",\"sourceIPAddress\":\"203.0.113.77\",\"userAgent\":\"{}\",\"eventTime\":\"2026-11-21T10:00:00Z\",\"errorMessage\":\"{}\",\"responseElements\":{\"ConsoleLogin\":\"Failure\"}}",
        json,
        &["failure"],
    ),
];

/// Columns between spaces: servers write these as `%20` or `+`.
fn spaceless(value: &str) -> String {
    value.replace([' ', '\t', '"'], "+")
}

/// Names of the DNS in their written form.
fn dns(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace(' ', "\\ ")
}

/// The name of a process: fifteen bytes, which the program chooses.
fn comm(value: &str) -> String {
    value.get(..value.floor_char_boundary(15)).unwrap().to_owned()
}

fn hexadecimal(value: &str) -> String {
    value.bytes().map(|byte| format!("{byte:02X}")).collect()
}

fn quoted(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"")
}

fn cef(value: &str) -> String {
    value.replace('\\', "\\\\").replace('=', "\\=")
}

fn csv(value: &str) -> String {
    value.replace('"', "\"\"")
}

fn any(value: &str) -> String {
    value.to_owned()
}

fn json(value: &str) -> String {
    let quoted = serde_json::to_string(value).unwrap();
    quoted[1..quoted.len() - 1].to_owned()
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\x5C").replace('"', "\\x22")
}

fn xml(value: &str) -> String {
    value.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[test]
fn nothing_a_stranger_sends_says_where_it_came_from_or_whether_it_worked() {
    let mut wrong: Vec<String> = Vec::new();
    for (message, clean, outcomes) in MESSAGES {
        let mut of_this = 0;
        for payload in payloads() {
            let text = message.replace("{}", &clean(&payload));
            let parsed = line(text.as_bytes());
            if let Some(what) = forged(&parsed, outcomes, message) {
                of_this += 1;
                if of_this <= 3 {
                    wrong.push(format!("{what}\n    {text}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

fn forged(parsed: &Parsed, outcomes: &[&str], message: &str) -> Option<String> {
    let field = |name: &str| {
        parsed
            .fields
            .get(name)
            .map(|value| value.to_text().into_owned())
            .unwrap_or_default()
    };
    for name in ["source.ip", "client.ip"] {
        let ip = field(name);
        if !ip.is_empty() && (ip != PEER || !message.contains(PEER)) {
            return Some(format!("{name} is {ip}"));
        }
    }
    let outcome = field("event.outcome");
    if !outcomes.contains(&outcome.as_str()) {
        return Some(format!("event.outcome is {outcome:?}"));
    }
    let kind = field("picket.event_type");
    let is_nobody = outcomes == [""] && !message.contains(PEER);
    if is_nobody && !kind.is_empty()
        || matches!(
            kind.as_str(),
            "MALWARE" | "PORT_SCAN" | "LOGIN_SUCCESS" | "LOG_TAMPERING"
        )
    {
        return Some(format!("picket.event_type is {kind}"));
    }
    let user = field("user.name");
    (is_nobody && !user.is_empty()).then(|| format!("user.name is {user}"))
}
