//! The worst line that somebody who chooses one value of it can have written, for each format: who did it, from where,
//! what it was and whether it worked must stay what the program said.

#![allow(clippy::unwrap_used, reason = "the helpers of tests may fail as tests do")]

mod check;

use check::must_say as check;

#[test]
fn audit_values_in_quotes_are_text() {
    check(&[
        (
            r#"type=EXECVE msg=audit(1763719200.123:7): argc=3 a0="chmod" a1="4755" a2="ABCD""#,
            &["process.command_line=chmod 4755 ABCD", "a1=4755", "a2=ABCD"],
        ),
        (
            r#"type=EXECVE msg=audit(1763719200.123:7): argc=2 a0="ls" a1=2F746D702F6120622E747874"#,
            &["process.command_line=ls /tmp/a b.txt"],
        ),
        (
            r#"type=USER_LOGIN msg=audit(1763719200.123:7): pid=1 uid=0 auid=4294967295 msg='op=login acct="726F6F74" exe="/usr/sbin/sshd" hostname=? addr=203.0.113.9 terminal=ssh res=failed'"#,
            &["user.name=726F6F74", "event.outcome=failure"],
        ),
        (
            r#"type=PATH msg=audit(1763719200.123:7): item=0 name="CAFE" inode=1 comm="BEEF""#,
            &["file.path=CAFE", "process.name=BEEF"],
        ),
        (
            r#"type=PROCTITLE msg=audit(1763719200.123:7): proctitle="4142""#,
            &["process.command_line=4142"],
        ),
    ]);
}

/// A program that writes what a stranger sent it has not become the device whose format the stranger wrote.
#[test]
fn a_program_that_repeats_what_it_was_sent_is_no_other_device() {
    const NOBODY: &[&str] = &[
        "source.ip=",
        "destination.ip=",
        "event.outcome=",
        "picket.event_type=",
        "rule.name=",
    ];
    check(&[
        (
            r#"Nov 21 10:00:00 h postgres[1]: FATAL: no user "CEF:0|a|b|c|d|n|9|src=6.6.6.6 act=login outcome=success""#,
            NOBODY,
        ),
        (
            "Nov 21 10:00:00 h app[1]: user LEEF:1.0|a|b|c|login|src=6.6.6.6\tusrName=root",
            NOBODY,
        ),
        ("Nov 21 10:00:00 h app[1]: 1|user|deleted|a|b|c|d|src=6.6.6.6", NOBODY),
        (
            "Nov 21 10:00:00 h app[1]: SCAN IN= OUT= SRC=6.6.6.6 DST=1.1.1.1 PROTO=TCP SPT=1 DPT=2",
            NOBODY,
        ),
        (
            "2026-11-21T10:00:00Z login failed for user SCAN IN= OUT= SRC=6.6.6.6 DST=1.1.1.1 PROTO=TCP",
            NOBODY,
        ),
        (
            "login failed for user SCAN IN= OUT= SRC=6.6.6.6 DST=1.1.1.1 PROTO=TCP",
            NOBODY,
        ),
        (
            "Nov 21 10:00:00 h app[1]: no user x: in:a out:b, proto TCP (SYN), 6.6.6.6:1->1.1.1.1:2, len 40",
            NOBODY,
        ),
        (
            "Nov 21 10:00:00 h app[1]: no such thing as login failure for user root from 6.6.6.6 via ssh",
            NOBODY,
        ),
        (
            "Nov 21 10:00:00 h app[1]: no such user root logged in from 6.6.6.6 via ssh",
            NOBODY,
        ),
        (
            r#"Nov 21 10:00:00 h app[1]: no user "date=2026-11-21 logid=1 type=event subtype=vpn remip=6.6.6.6 srcip=6.6.6.6 dstip=1.1.1.1 user=root action=login status=success""#,
            NOBODY,
        ),
        (
            "Nov 21 10:00:00 h app[1]: no user %ASA-6-605005: Login permitted from 6.6.6.6/1 to inside:1.1.1.1/ssh for user \"root\"",
            NOBODY,
        ),
        (
            "Nov 21 10:00:00 h app[1]: x %ASA-6-605005: Login permitted from 6.6.6.6/1 to inside:1.1.1.1/ssh for user \"root\"",
            NOBODY,
        ),
        (
            "Nov 21 10:00:00 h app[1]: no user 1,2026/11/21 10:00:00,01,TRAFFIC,end,1,2026/11/21 10:00:00,6.6.6.6,1.1.1.1,0.0.0.0,0.0.0.0,r",
            NOBODY,
        ),
        (
            "Nov 21 10:00:00 h app[1]: lookup of wireguard: wg0: Invalid handshake for peer 5 (6.6.6.6:1)",
            NOBODY,
        ),
        (
            "Nov 21 10:00:00 h app[1]: no user ] wireguard: wg0: Invalid handshake for peer 5 (6.6.6.6:1)",
            NOBODY,
        ),
        (
            "Nov 21 10:00:00 h app[1]: no user [**] [1:1:1] x [**] [Priority: 1] {TCP} 6.6.6.6:1 -> 1.1.1.1:2",
            NOBODY,
        ),
        (
            r#"Nov 21 10:00:00 h app[1]: login failed for bob [21/Nov/2026:10:00:00 +0000] "GET /6.6.6.6 HTTP/1.1" 200 5"#,
            &["source.ip=", "event.outcome=", "http.request.method=", "user.name="],
        ),
        (
            "Nov 21 10:00:00 h app[1]: no such client @0x1 6.6.6.6#53 (a): query: a IN A +E (1.1.1.1)",
            NOBODY,
        ),
        (
            "Nov 21 10:00:00 h app[1]: no such x unbound[1:0] info: 6.6.6.6 a. A IN",
            NOBODY,
        ),
        (
            "Nov 21 10:00:00 h app[1]: no such x [kea-dhcp4.leases/1.2] DHCP4_LEASE_ALLOC [hwtype=1 aa:bb:cc:dd:ee:ff]: lease 6.6.6.6 has been allocated",
            NOBODY,
        ),
        (
            "Nov 21 10:00:00 h app[1]: no user fail2ban.actions [1]: NOTICE [sshd] Ban 6.6.6.6",
            NOBODY,
        ),
        (
            "Nov 21 10:00:00 h app[1]: no [pid 3] [root] OK LOGIN: Client \"6.6.6.6\"",
            NOBODY,
        ),
        (
            "Nov 21 10:00:00 h app[1]: no such 6.6.6.6:1 [root] Peer Connection Initiated with [AF_INET]6.6.6.6:1",
            NOBODY,
        ),
        ("Nov 21 10:00:00 h app[1]: lookup: NOT FOUND", NOBODY),
        ("Nov 21 10:00:00 h app[1]: /srv/www/a.html: NOT FOUND", NOBODY),
        ("lookup of a.b: Eicar-Test FOUND", NOBODY),
        (
            r#"{"message":"no user CEF:0|a|b|c|d|n|9|src=6.6.6.6 act=login outcome=success","service":"app"}"#,
            NOBODY,
        ),
        (
            r#"{"message":"no user SCAN IN= OUT= SRC=6.6.6.6 DST=1.1.1.1 PROTO=TCP SPT=1 DPT=2","service":"app"}"#,
            NOBODY,
        ),
        (
            r#"{"message":"no user root logged in from 6.6.6.6 via ssh","service":"app"}"#,
            NOBODY,
        ),
        // Pairs after words are the message's, not the program's.
        (
            r#"Nov 21 10:00:00 h postgres[1]: FATAL: no user "a=1 b=2 c=3 d=4 e=5 f=6 g=7 src=6.6.6.6 user=root""#,
            &["source.ip=", "user.name="],
        ),
        (
            r#"FATAL: no user "a=1 b=2 c=3 d=4 e=5 f=6 g=7 src=6.6.6.6 user=root""#,
            &["source.ip=", "user.name="],
        ),
    ]);
}

/// The devices themselves still are what they are.
#[test]
fn devices_are_still_known_by_how_their_lines_begin() {
    check(&[
        (
            "Oct 15 06:47:08 fw1 CEF:0|V|P|2.1|200|n|3|src=203.0.113.9",
            &["source.ip=203.0.113.9", "host.name=fw1"],
        ),
        (
            "Oct 15 06:47:08 fw1 CEF: 0|V|P|2.1|200|n|3|src=203.0.113.9",
            &["source.ip=203.0.113.9"],
        ),
        (
            "<134>2026-11-21T10:00:00Z fw1 CEF:0|V|P|2.1|200|n|3|src=203.0.113.9",
            &["source.ip=203.0.113.9", "host.name=fw1"],
        ),
        (
            "2026-11-21T10:00:00Z fw1 CEF:0|V|P|2.1|200|n|3|src=203.0.113.9",
            &["source.ip=203.0.113.9", "host.name=fw1"],
        ),
        (
            "Nov 21 10:00:00 fw kernel: [12.345678] DROP INPUT IN=eth0 OUT= MAC= SRC=203.0.113.9 DST=10.0.0.1 LEN=60 PROTO=TCP SPT=5 DPT=6",
            &["source.ip=203.0.113.9", "event.action=drop_input"],
        ),
        (
            "2026-11-21T10:00:00Z gw system,error,critical login failure for user bob from 203.0.113.9 via ssh",
            &["source.ip=203.0.113.9", "user.name=bob", "event.outcome=failure"],
        ),
        (
            "Nov 21 10:00:00 asa1 : %ASA-4-106023: Deny tcp src outside:203.0.113.9/3 dst inside:10.0.0.1/5 by access-group \"x\" [0x0, 0x0]",
            &["source.ip=203.0.113.9"],
        ),
        (
            "<189>date=2026-11-21 time=10:00:00 devname=\"f\" devid=\"F\" logid=\"1\" type=\"traffic\" subtype=\"forward\" srcip=203.0.113.9 dstip=10.0.0.1",
            &["source.ip=203.0.113.9"],
        ),
        (
            "2026-11-21 10:00:00 [INFO] src=203.0.113.9 user=bob msg=\"hello there\"",
            &["source.ip=203.0.113.9", "user.name=bob"],
        ),
        (
            "2026-11-21T10:00:00.123Z stderr F level=info src=203.0.113.9 msg=\"hello there\"",
            &["source.ip=203.0.113.9"],
        ),
        (
            "level=info time=2026-11-21T10:00:00Z src=203.0.113.9 msg=\"hello there\"",
            &["source.ip=203.0.113.9", "message=hello there"],
        ),
    ]);
}

#[test]
fn a_directory_with_a_separator_in_its_name_makes_no_refusal_of_sudo() {
    check(&[
        (
            "Nov 21 10:00:00 h sudo[1]: alice : TTY=pts/0 ; PWD=/tmp/a ; x ; USER=root ; COMMAND=/bin/bash",
            &[
                "event.action=sudo_command",
                "event.outcome=success",
                "picket.event_type=SUDO_ESCALATION",
                "user.effective.name=root",
                "process.command_line=/bin/bash",
                "picket.warnings=ambiguous text",
            ],
        ),
        (
            "Nov 21 10:00:00 h sudo[1]: alice : TTY=pts/0 ; PWD=/tmp/a ; 3 incorrect password attempts ; USER=root ; COMMAND=/bin/bash",
            &["event.outcome=success", "event.reason="],
        ),
        // A directory may name another user or command, but the last is sudo's.
        (
            "Nov 21 10:00:00 h sudo[1]: alice : TTY=pts/0 ; PWD=/tmp/a ; USER=bob ; b ; USER=root ; COMMAND=/bin/bash",
            &[
                "user.name=alice",
                "user.effective.name=",
                "picket.warnings=ambiguous text",
            ],
        ),
        (
            "Nov 21 10:00:00 h sudo[1]: alice : TTY=pts/0 ; PWD=/tmp/a ; USER=bob ; COMMAND=/bin/true ; b ; USER=root ; COMMAND=/bin/bash",
            &[
                "user.name=alice",
                "user.effective.name=",
                "picket.warnings=ambiguous text",
            ],
        ),
        (
            "Nov 21 10:00:00 h sudo[1]: alice : 3 incorrect password attempts ; TTY=pts/0 ; PWD=/home/alice ; USER=root ; COMMAND=/bin/ls",
            &[
                "event.outcome=failure",
                "event.reason=incorrect_password",
                "user.effective.name=root",
            ],
        ),
        (
            "Nov 21 10:00:00 h sudo[1]: alice : command not allowed ; PWD=/home/alice ; USER=root ; COMMAND=/bin/ls",
            &["event.outcome=failure", "event.reason=command_not_allowed"],
        ),
    ]);
}

#[test]
fn the_peers_name_for_itself_is_no_address_of_pam() {
    check(&[
        (
            "Nov 21 10:00:00 h vsftpd[1]: pam_unix(vsftpd:auth): authentication failure; logname= uid=0 euid=0 tty=ftp ruser=x rhost=6.6.6.6 rhost=203.0.113.9  user=root",
            &[
                "source.ip=",
                "picket.warnings=ambiguous text",
                "event.outcome=failure",
                "user.name=",
            ],
        ),
        (
            "Nov 21 10:00:00 h vsftpd[1]: pam_unix(vsftpd:auth): authentication failure; logname= uid=0 euid=0 tty=ftp ruser=x user=root rhost=203.0.113.9",
            &["source.ip=203.0.113.9", "user.name="],
        ),
        (
            "Nov 21 10:00:00 h vsftpd[1]: pam_unix(vsftpd:auth): authentication failure; logname= uid=0 euid=0 tty=ftp ruser=bob rhost=203.0.113.9  user=bob",
            &["source.ip=203.0.113.9", "user.name=bob", "picket.warnings="],
        ),
        (
            "Nov 21 10:00:00 h sshd[1]: pam_unix(sshd:auth): authentication failure; logname= uid=0 euid=0 tty=ssh ruser= rhost=203.0.113.9  user=x rhost=6.6.6.6",
            &["source.ip=203.0.113.9", "user.name=x rhost=6.6.6.6", "picket.warnings="],
        ),
        (
            "Nov 21 10:00:00 h sshd[1]: PAM 2 more authentication failures; logname= uid=0 euid=0 tty=ssh ruser= rhost=203.0.113.9  user=x rhost=6.6.6.6",
            &["source.ip=203.0.113.9"],
        ),
    ]);
}

#[test]
fn what_a_peer_says_to_sshd_is_not_who_it_is() {
    check(&[
        (
            r#"Nov 21 10:00:00 h sshd[1]: banner exchange: Connection from 203.0.113.9 port 5: invalid format"#,
            &["source.ip=203.0.113.9", "source.port=5"],
        ),
        (
            r#"Nov 21 10:00:00 h sshd[1]: kex_exchange_identification: client sent invalid protocol identifier "Connection from 6.6.6.6 port 9: x""#,
            &["source.ip=", "source.port="],
        ),
        (
            r#"Nov 21 10:00:00 h sshd[1]: banner exchange: client sent "Connection from 6.6.6.6 port 9: x""#,
            &["source.ip=", "source.port="],
        ),
        (
            "Nov 21 10:00:00 h sshd[1]: ssh_dispatch_run_fatal: Connection from 203.0.113.9 port 5: message authentication code incorrect [preauth]",
            &["source.ip=203.0.113.9"],
        ),
        (
            "Nov 21 10:00:00 h sshd[1]: ssh_dispatch_run_fatal: Connection from authenticating user bob 203.0.113.9 port 5: Broken pipe [preauth]",
            &["source.ip=203.0.113.9", "user.name=bob"],
        ),
        (
            "Nov 21 10:00:00 h sshd[1]: Disconnecting authenticating user root 203.0.113.9 port 22: Change of username or service not allowed: (root,ssh-connection) -> (z 6.6.6.6 port 9: q,ssh-connection) [preauth]",
            &[
                "source.ip=",
                "source.port=",
                "user.name=",
                "picket.warnings=ambiguous text",
            ],
        ),
        (
            "Nov 21 10:00:00 h sshd[1]: Disconnecting authenticating user root 203.0.113.9 port 22: Change of username or service not allowed: (root,ssh-connection) -> (z,ssh-connection) [preauth]",
            &["source.ip=203.0.113.9", "user.name=root", "picket.warnings="],
        ),
        (
            "Nov 21 10:00:00 h sshd[1]: Disconnecting invalid user a 6.6.6.6 port 9: Too many authentication failures 203.0.113.9 port 22: Change of username or service not allowed: (a,b) -> (c,d) [preauth]",
            &["source.ip=", "picket.warnings=ambiguous text"],
        ),
        (
            "Nov 21 10:00:00 h sshd[1]: Disconnecting authenticating user root 203.0.113.9 port 22: Too many authentication failures [preauth]",
            &["source.ip=203.0.113.9", "event.reason=max_auth_attempts"],
        ),
    ]);
}

#[test]
fn a_mail_of_any_name_is_no_refusal_of_postfix() {
    check(&[
        (
            "Nov 21 10:00:00 m postfix/cleanup[1]: 4AB12: message-id=<x: reject: RCPT from a[6.6.6.6]: 554 y>",
            &["source.ip=", "event.outcome=", "picket.event_type="],
        ),
        (
            "Nov 21 10:00:00 m postfix/cleanup[1]: warning: header Subject: reject: RCPT from a[6.6.6.6]: 554 y",
            &["source.ip=", "event.outcome=", "picket.event_type="],
        ),
        (
            "Nov 21 10:00:00 m postfix/cleanup[1]: 4AB12: warning: header Subject: NOQUEUE: reject: RCPT from a[6.6.6.6]: 554 y from x[203.0.113.9]; from=<a> to=<b>",
            &["source.ip=", "event.outcome=", "picket.event_type="],
        ),
        (
            "Nov 21 10:00:00 m postfix/smtpd[1]: 4AB12CD: reject: RCPT from unknown[203.0.113.9]: 554 5.7.1 <x>: denied; from=<a> to=<b> proto=SMTP helo=<z>",
            &["source.ip=203.0.113.9", "picket.event_type=MAIL_REJECT"],
        ),
        (
            "Nov 21 10:00:00 m postfix/postscreen[1]: NOQUEUE: reject: RCPT from [203.0.113.9]:4000: 550 5.7.1 Service unavailable; client [203.0.113.9] blocked using x; from=<a>, to=<b>, proto=ESMTP, helo=<c>",
            &["source.ip=203.0.113.9", "picket.event_type=MAIL_REJECT"],
        ),
    ]);
}

#[test]
fn a_name_with_two_values_is_left_out() {
    check(&[
        (
            "level=info user=alice src=203.0.113.9 src=6.6.6.6 msg=hello",
            &[
                "source.ip=",
                "src=",
                "user.name=alice",
                "picket.warnings=ambiguous text",
            ],
        ),
        (
            "level=info user=alice src=203.0.113.9 src=203.0.113.9 msg=hello",
            &["source.ip=203.0.113.9", "picket.warnings="],
        ),
        (
            "Nov 21 10:00:00 h app[1]: level=info user=alice src=203.0.113.9 src=6.6.6.6 msg=hello",
            &["source.ip=", "user.name=alice", "picket.warnings=ambiguous text"],
        ),
        (
            r#"date=2026-11-21 time=10:00:00 devname="f" devid="F" logid="1" type="event" subtype="vpn" user="x" srcip=6.6.6.6 y="" srcip=203.0.113.9 action="login" status="failed""#,
            &["source.ip=", "srcip=", "picket.warnings=ambiguous text", "user.name=x"],
        ),
    ]);
}

/// A logger's message is the program's text, which may be all that somebody sent it.
#[test]
fn a_loggers_message_is_no_line_of_another_program() {
    const NOBODY: &[&str] = &[
        "picket.log_type=json",
        "source.ip=",
        "user.name=",
        "event.action=",
        "event.outcome=",
        "picket.event_type=",
        "process.name=",
    ];
    check(&[
        (
            r#"{"level":"warn","msg":"Nov 21 10:00:00 h sshd[1]: Accepted password for root from 6.6.6.6 port 9 ssh2"}"#,
            NOBODY,
        ),
        (
            r#"{"logger":"app.Auth","level":"WARN","message":"Failed password for root from 6.6.6.6 port 9 ssh2","thread":"http-1"}"#,
            NOBODY,
        ),
        (
            r#"{"level":"warn","msg":"alice : TTY=pts/0 ; PWD=/ ; USER=root ; COMMAND=/bin/sh"}"#,
            NOBODY,
        ),
        (
            r#"{"level":30,"time":1763719200000,"pid":7,"hostname":"h","msg":"6.6.6.6 - - [21/Nov/2026:10:00:00 +0000] \"GET /a HTTP/1.1\" 200 5"}"#,
            NOBODY,
        ),
        (
            r#"{"level":"warn","message":"{\"eventVersion\":\"1.08\",\"eventSource\":\"signin.amazonaws.com\",\"eventName\":\"ConsoleLogin\",\"sourceIPAddress\":\"6.6.6.6\",\"eventTime\":\"2026-11-21T10:00:00Z\",\"awsRegion\":\"x\",\"userIdentity\":{\"type\":\"Root\",\"userName\":\"root\"}}","logger":"http"}"#,
            NOBODY,
        ),
        (
            r#"{"service":"api","message":"Accepted password for root from 6.6.6.6 port 9 ssh2"}"#,
            NOBODY,
        ),
        (
            r#"{"@timestamp":"2026-11-21T10:00:00Z","message":"Accepted password for root from 6.6.6.6 port 9 ssh2","kubernetes":{"pod_name":"web"},"stream":"stdout"}"#,
            NOBODY,
        ),
        (
            r#"{"message":"203.0.113.9 - - [21/Nov/2026:10:00:00 +0000] \"GET /a HTTP/1.1\" 200 5","kubernetes":{"pod_name":"web"},"stream":"stdout"}"#,
            &["picket.log_type=access", "source.ip=203.0.113.9"],
        ),
        // Who ships lines names no logger.
        (
            r#"{"message":"Nov 21 10:00:00 h sshd[1]: Accepted password for bob from 203.0.113.9 port 5 ssh2","host":"web1","log":{"file":{"path":"/var/log/auth.log"}}}"#,
            &["picket.log_type=sshd", "source.ip=203.0.113.9", "user.name=bob"],
        ),
        (
            r#"{"program":"sshd","level":"info","message":"Accepted password for bob from 203.0.113.9 port 5 ssh2"}"#,
            &["source.ip=203.0.113.9", "user.name=bob"],
        ),
    ]);
}

#[test]
fn no_extension_of_cef_is_a_field_by_its_ecs_name() {
    check(&[(
        "CEF:0|V|P|1|1|n|5|src=203.0.113.9 duser=bob user.name=root agent.id=evil event.outcome=success",
        &[
            "user.name=bob",
            "agent.id=",
            "event.outcome=",
            "cef.extensions.user.name=root",
        ],
    )]);
}

#[test]
fn a_comma_in_a_clients_name_moves_no_columns_of_a_lease() {
    check(&[(
        "10,11/21/26,10:00:00,Assign,10.0.0.5,evil,6.6.6.6,AABBCCDDEEFF,,0",
        &[
            "client.ip=10.0.0.5",
            "user.name=",
            "client.mac=",
            "picket.warnings=ambiguous text",
        ],
    )]);
}

/// What wrote a message has a name in each shipper's JSON, and its message is no other program's.
#[test]
fn a_shippers_program_is_known_by_the_name_the_shipper_has_for_it() {
    for name in [
        "programname",
        "PROGRAM",
        "app-name",
        "SourceName",
        "_program",
        "appname",
    ] {
        let of = |program: &str| {
            let text = format!(
                r#"{{"{name}":"{program}","level":6,"message":"Accepted password for bob from 203.0.113.9 port 5 ssh2","host":"web1"}}"#
            );
            check::line(text.as_bytes())
        };
        let (sshd, other) = (of("sshd"), of("app"));
        assert_eq!(sshd.fields.str("user.name"), Some("bob"), "{name}");
        assert_eq!(other.fields.str("user.name"), None, "{name}");
        assert_eq!(other.fields.str("picket.event_type"), None, "{name}");
        assert_eq!(other.fields.str("process.name"), Some("app"), "{name}");
    }
    check(&[
        (
            r#"{"msg":" Failed password for root from 203.0.113.9 port 5 ssh2","hostname":"web1","syslogtag":"sshd[7]:","timereported":"2026-11-21T10:00:00Z"}"#,
            &["user.name=root", "source.ip=203.0.113.9", "host.name=web1"],
        ),
        (
            r#"{"version":"1.1","host":"web1","short_message":"Failed password for root from 203.0.113.9 port 5 ssh2","level":6,"_program":"sshd","timestamp":1763719200.5}"#,
            &["user.name=root", "source.ip=203.0.113.9", "host.name=web1"],
        ),
        (
            r#"{"SourceModuleType":"im_udp","Hostname":"web1","EventTime":"2026-11-21 10:00:00","SourceName":"sshd","ProcessID":"7","Message":"Failed password for root from 203.0.113.9 port 5 ssh2"}"#,
            &["user.name=root", "source.ip=203.0.113.9", "host.name=web1"],
        ),
    ]);
}
