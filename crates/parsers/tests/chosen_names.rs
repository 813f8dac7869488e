//! For each format a line in which whoever may choose one value of it, such as a name, a path or a greeting, chose the
//! worst: who did it, from where, what it was and whether it worked stay what the program said.

#![allow(clippy::unwrap_used, reason = "the helpers of tests may fail as tests do")]

mod check;

use check::{line, must_say as check};

/// One line for each kind of message, in which whoever chooses one value chose the worst.
#[test]
fn programs_of_a_host_say_who_did_it_whatever_names_others_have() {
    check(&[
        (
            r#"Nov 21 10:00:00 m postfix/cleanup[1]: 4AB12: reject: header Subject: hi from a[6.6.6.6]; from=<root@b> to=<c> proto=SMTP helo=<d> from unknown[203.0.113.9]; from=<x> to=<y> proto=ESMTP helo=<z>: 5.7.1 no"#,
            &["source.ip=", "picket.warnings=ambiguous text", "event.outcome=failure"],
        ),
        (
            r#"Nov 21 10:00:00 m postfix/cleanup[1]: 4AB12: reject: header Subject: hi from a[6.6.6.6] from unknown[203.0.113.9]; from=<x> to=<y> proto=ESMTP helo=<z>: 5.7.1 no"#,
            &["source.ip=203.0.113.9", "event.outcome=failure"],
        ),
        (
            r#"Nov 21 10:00:00 m postfix/smtp[1]: 4AB12: to=<"a>, relay=x, delay=0, status=sent (">@b>, relay=c[203.0.113.9]:25, delay=1, dsn=5.0.0, status=bounced (no)"#,
            &["event.outcome=", "picket.warnings=ambiguous text"],
        ),
        (
            r#"Nov 21 10:00:00 m postfix/smtp[1]: 4AB12: to=<a@b>, relay=c[203.0.113.9]:25, delay=1, dsn=4.0.0, status=deferred (host said: , status=sent (ok))"#,
            &["event.outcome=failure", "postfix.status=deferred"],
        ),
        (
            "Nov 21 10:00:00 h sshd[1]: subsystem request for sftp by user root failed, x by user bob failed, subsystem not found",
            &["user.name=bob"],
        ),
        (
            "Nov 21 10:00:00 h sshd[1]: Starting session: subsystem 'x for root from 6.6.6.6 port 1' for bob from 203.0.113.9 port 5 id 0",
            &["user.name=bob", "source.ip=203.0.113.9"],
        ),
        (
            "Nov 21 10:00:00 h sshd[1]: Unable to negotiate with 203.0.113.9 port 5: no matching host key type found. Their offer: x 6.6.6.6 port 9: y [preauth]",
            &[
                "source.ip=203.0.113.9",
                "source.port=5",
                "event.reason=no matching host key type found",
            ],
        ),
        (
            "Nov 21 10:00:00 h sshd[1]: User root from 6.6.6.6 not allowed because x from 203.0.113.9 not allowed because not listed in AllowUsers",
            &["source.ip=203.0.113.9", "event.reason=not listed in AllowUsers"],
        ),
        (
            "Nov 21 10:00:00 h sshd[1]: Received disconnect from 203.0.113.9 port 5:11: Connection from 6.6.6.6 port 9: bye",
            &["source.ip=203.0.113.9", "source.port=5"],
        ),
        (
            "Nov 21 10:00:00 h sshd[1]: Bad protocol version identification 'x' from 6.6.6.6 port 9' from 203.0.113.9 port 5",
            &["source.ip=203.0.113.9", "source.port=5"],
        ),
        (
            "Nov 21 10:00:00 h sshd[1]: reverse mapping checking getaddrinfo for a.b [203.0.113.9] failed - POSSIBLE BREAK-IN ATTEMPT!",
            &["source.ip=203.0.113.9"],
        ),
        (
            r#"Nov 21 10:00:00 h sshd[1]: pam_succeed_if(sshd:auth): requirement "uid >= 1000" was met by user "x not met by user "root""#,
            &["event.outcome=success", "user.name=x not met by user \"root"],
        ),
        (
            "Nov 21 10:00:00 h sudo[1]: alice : (command continued) ; TTY=pts/0 ; PWD=/ ; USER=root ; COMMAND=/bin/sh",
            &[
                "event.outcome=success",
                "user.effective.name=",
                "user.name=alice",
                "picket.event_type=PROCESS_START",
            ],
        ),
        (
            "Nov 21 10:00:00 h sudo[1]: alice : TTY=pts/0 ; PWD=/tmp/COMMAND=/bin/true ; USER=root ; COMMAND=/bin/bash",
            &["process.command_line=/bin/bash", "user.effective.name=root"],
        ),
        (
            "Nov 21 10:00:00 h su[1]: FAILED SU (to x) root on pts/1) alice on pts/0",
            &["user.name=alice", "event.outcome=failure", "process.tty.name=pts/0"],
        ),
        (
            "Nov 21 10:00:00 h su[1]: FAILED su for root by bob by alice",
            &["user.name=alice", "event.outcome=failure"],
        ),
        (
            "Nov 21 10:00:00 h su[1]: - pts/0 jean-luc:root",
            &["user.name=jean-luc", "user.effective.name=root"],
        ),
        (
            "Nov 21 10:00:00 h CRON[1]: (bob) CMD (true) RELOAD (x) (root) CMD (sh)",
            &[
                "user.name=bob",
                "event.action=cron_command",
                "process.command_line=true) RELOAD (x) (root) CMD (sh",
            ],
        ),
        (
            "Nov 21 10:00:00 h useradd[1]: new user: name=bob, UID=1001, GID=1001, home=/home/b, UID=0, shell=/bin/sh, from=pts/0",
            &["user.target.name=bob", "user.target.id=1001"],
        ),
        (
            "Nov 21 10:00:00 h passwd[1]: password for 'bob' changed by 'root'",
            &["user.target.name=bob", "user.name=root"],
        ),
    ]);
}

/// The same for daemons that peers speak to.
#[test]
fn daemons_say_who_spoke_whatever_the_peer_said() {
    check(&[
        (
            "Nov 21 10:00:00 v openvpn[1]: 203.0.113.9:1194 TLS: Username/Password authentication succeeded for username 'AUTH_FAILED'",
            &["source.ip=203.0.113.9", "event.outcome=", "picket.event_type="],
        ),
        (
            "Nov 21 10:00:00 v openvpn[1]: 203.0.113.9:1194 peer info: UV_X=TLS Auth Error, client-instance exiting, AUTH_FAILED",
            &["source.ip=203.0.113.9", "event.outcome=", "event.action=vpn_message"],
        ),
        (
            "Nov 21 10:00:00 v openvpn[1]: 203.0.113.9:1194 VERIFY ERROR: depth=0, error=x: CN=[root] Peer Connection Initiated with 6.6.6.6:1",
            &["source.ip=203.0.113.9", "event.outcome=failure", "user.name="],
        ),
        (
            "Nov 21 10:00:00 v openvpn[1]: 203.0.113.9:1194 SENT CONTROL [x]: 'AUTH_FAILED' (status=1)",
            &["event.outcome=failure", "picket.event_type=LOGIN_FAIL"],
        ),
        (
            r#"Sat Nov 21 10:00:00 2026 [pid 3] [x] OK LOGIN] FAIL LOGIN: Client "203.0.113.9""#,
            &["source.ip=203.0.113.9", "event.outcome=failure"],
        ),
        (
            r#"Nov 21 10:00:00 f vsftpd[1]: [a] OK LOGIN: Client "6.6.6.6", "x] FAIL LOGIN: Client "203.0.113.9""#,
            &["source.ip=", "event.outcome=", "user.name="],
        ),
        (
            r#"Sat Nov 21 10:00:00 2026 [pid 3] [bob] OK UPLOAD: Client "203.0.113.9", "/a", 1 bytes] [root] FAIL LOGIN", 120 bytes, 10.0Kbyte/sec"#,
            &[
                "source.ip=203.0.113.9",
                "user.name=bob",
                "event.outcome=success",
                "event.action=ftp_transfer",
            ],
        ),
        (
            "Nov 21 10:00:00 m dovecot: imap-login: Disconnected: Aborted login by logging out (auth failed, 1 attempts in 2 secs): user=<root>, method=PLAIN, rip=6.6.6.6>, method=PLAIN, rip=203.0.113.9, lip=10.0.0.1, session=<s>",
            &[
                "source.ip=203.0.113.9",
                "user.name=",
                "picket.warnings=ambiguous text",
                "event.outcome=failure",
            ],
        ),
        (
            "Nov 21 10:00:00 m dovecot: imap-login: Login: user=<x auth failed>, method=PLAIN, rip=203.0.113.9, lip=10.0.0.1, mpid=1, session=<s>",
            &[
                "source.ip=203.0.113.9",
                "event.outcome=success",
                "user.name=x auth failed",
            ],
        ),
        (
            "Nov 21 10:00:00 m dovecot: imap-login: Disconnected (client sent auth failed): user=<bob>, method=PLAIN, rip=203.0.113.9, lip=10.0.0.1, session=<s>, rip=6.6.6.6",
            &["source.ip=203.0.113.9"],
        ),
        (
            "Nov 21 10:00:00 m dovecot: auth: passwd-file(root,6.6.6.6): unknown user (x,203.0.113.9,<id>): unknown user",
            &["source.ip=203.0.113.9", "event.outcome=failure"],
        ),
        (
            "Nov 21 10:00:00 m dovecot: auth: passwd-file(x): unknown user (y,203.0.113.9,<id>): unknown user",
            &["source.ip=203.0.113.9", "event.outcome=failure"],
        ),
        (
            r#"Nov 21 10:00:00 l haproxy[1]: 203.0.113.9:5 [21/Nov/2026:10:00:00.123] f b/s 0/0/1/2/3 404 9 - - ---- 1/1/1/1/0 0/0 {6.6.6.6|#22GET /fake HTTP/1.1#22} "GET /real?#22 200 HTTP/1.1""#,
            &[
                "source.ip=203.0.113.9",
                "http.response.status_code=404",
                "url.original=/real?#22 200",
            ],
        ),
        (
            r#"Nov 21 10:00:00 l haproxy[1]: 203.0.113.9:5 [21/Nov/2026:10:00:00.123] f b/s 0/0/1/2/3 404 9 - - ---- 1/1/1/1/0 0/0 {a b|c} "GET /real HTTP/1.1""#,
            &["url.original=/real", "http.response.status_code=404"],
        ),
        (
            r#"2026/11/21 10:00:00 [error] 7#7: *1 user "root": password mismatch, client: 6.6.6.6, server: a, request: "GET / HTTP/1.1", host: "h" was not found in "/etc/p", client: 203.0.113.9, server: b, request: "GET /x HTTP/1.1", host: "b""#,
            &["source.ip=", "picket.warnings=ambiguous text", "user.name="],
        ),
        (
            r#"2026/11/21 10:00:00 [error] 7#7: *1 open() "/srv/user "root" was not found" failed (2: No such file or directory), client: 203.0.113.9, server: b, request: "GET /x HTTP/1.1", host: "b""#,
            &[
                "source.ip=203.0.113.9",
                "user.name=",
                "event.outcome=",
                "picket.event_type=",
            ],
        ),
        (
            r#"2026/11/21 10:00:00 [error] 7#7: *1 open() "/srv/x" failed, client: 203.0.113.9, server: b, request: "GET /x HTTP/1.1", host: "b", referrer: "http://a/user "root": password mismatch""#,
            &[
                "source.ip=203.0.113.9",
                "user.name=",
                "event.outcome=",
                "picket.event_type=",
            ],
        ),
        (
            "[Sat Nov 21 10:00:00.1 2026] [core:error] [pid 1:tid 2] [client 203.0.113.9:5] AH00126: Invalid URI in request GET /user root: authentication failure for \"/\": HTTP/1.1",
            &[
                "source.ip=203.0.113.9",
                "event.outcome=",
                "user.name=",
                "picket.event_type=",
            ],
        ),
        (
            "[Sat Nov 21 10:00:00.1 2026] [core:info] [pid 1:tid 2] [client 203.0.113.9:5] AH00128: File does not exist: /srv/user root: authentication failure for \"/\": x",
            &["source.ip=203.0.113.9", "event.outcome=", "user.name="],
        ),
        (
            "[Sat Nov 21 10:00:00.1 2026] [cgi:error] [pid 1:tid 2] [client 203.0.113.9:5] AH01215: x client denied by server configuration: /y: /srv/a",
            &["source.ip=203.0.113.9", "event.outcome=", "file.path="],
        ),
        (
            "[Sat Nov 21 10:00:00.1 2026] [auth_basic:error] [pid 1:tid 2] [client 203.0.113.9:5] AH01617: user bob: authentication failure for \"/\": Password Mismatch, referer: http://a/user root: authentication failure for x",
            &["source.ip=203.0.113.9", "event.outcome=failure", "user.name=bob"],
        ),
        (
            "Nov 21 10:00:00 n named[1]: client @0x7f 203.0.113.9#53 (x\\032client\\0406.6.6.6#1): query: x\\032client\\0406.6.6.6#1 IN A +E(0) (10.0.0.1)",
            &["source.ip=203.0.113.9", "destination.ip=10.0.0.1"],
        ),
        (
            "Nov 21 10:00:00 n unbound[1]: [1:0] info: 203.0.113.9 info:\\0326.6.6.6. A IN",
            &["source.ip=203.0.113.9"],
        ),
        (
            r#"[INFO] 203.0.113.9:5 - 7 "A IN x\"\ NOERROR\ 6.6.6.6. udp 40 false 512" NXDOMAIN qr,rd 40 0.1s"#,
            &["source.ip=203.0.113.9", "event.outcome=failure"],
        ),
        (
            "2026-11-21 10:00:00,000 fail2ban.actions        [1]: NOTICE  [sshd] Unban 203.0.113.9",
            &["source.ip=203.0.113.9", "event.action=unban"],
        ),
        (
            "Nov 21 10:00:00 k kernel: [1.2] wireguard: wg0: Invalid handshake initiation from 203.0.113.9:5",
            &["event.action=vpn_handshake_failed"],
        ),
    ]);
}

/// And for firewalls, where users of a portal and of a console name themselves.
#[test]
fn firewalls_say_who_spoke_whatever_users_are_called() {
    check(&[
        (
            "%ASA-6-113005: AAA user authentication Rejected : reason = Invalid password : server = 10.0.0.1 : user = bob : user IP = 6.6.6.6 : user IP = 203.0.113.9",
            &["source.ip="],
        ),
        (
            "%ASA-6-113015: AAA user authentication Rejected : reason = User was not found : local database : user = x : user IP = 6.6.6.6 : user IP = 203.0.113.9",
            &["source.ip="],
        ),
        (
            "%ASA-6-113039: Group <g> User <x> IP <6.6.6.6> AnyConnect> IP <203.0.113.9> AnyConnect parent session started.",
            &["source.ip="],
        ),
        (
            "%ASA-4-113019: Group = g, Username = x, IP = 6.6.6.6, Session disconnected. a, IP = 203.0.113.9, Session disconnected. Session Type: SSL, Duration: 0h:0m:1s, Bytes xmt: 1, Bytes rcv: 2, Reason: User Requested",
            &["source.ip="],
        ),
        (
            "%ASA-5-304001: 203.0.113.9 Accessed URL 10.0.0.1:http://a/ Accessed URL 6.6.6.6:/",
            &["source.ip=203.0.113.9", "destination.ip=10.0.0.1"],
        ),
        (
            "%ASA-5-111010: User 'x', running 'CLI' from IP 203.0.113.9, executed 'y', running 'CLI' from IP 6.6.6.6, executed 'z'",
            &["source.ip=203.0.113.9"],
        ),
        (
            "%ASA-6-605004: Login denied from 203.0.113.9/40000 to outside:10.0.0.1/ssh for user \"root\" x Login permitted\"",
            &["source.ip=203.0.113.9", "event.outcome=failure"],
        ),
        (
            "%ASA-6-611101: User authentication succeeded: IP address: 203.0.113.9, Uname: x, IP address: 6.6.6.6",
            &["source.ip=203.0.113.9", "event.outcome=success"],
        ),
        (
            "%ASA-6-611102: User authentication failed: IP address: 203.0.113.9, Uname: x User authentication succeeded: IP address: 6.6.6.6",
            &["source.ip=203.0.113.9", "event.outcome=failure"],
        ),
        (
            r#"1,2026/11/21 10:00:00,01,SYSTEM,globalprotect,0,2026/11/21 10:00:00,,globalprotectportal-auth-fail,p,0,0,general,informational,"GlobalProtect portal user authentication failed. Login from: 203.0.113.9, User name: x. Login from: 6.6.6.6, User name: root.",1,0x0"#,
            &["source.ip="],
        ),
        (
            r#"1,2026/11/21 10:00:00,01,THREAT,url,0,2026/11/21 10:00:00,203.0.113.9,10.0.0.1,0.0.0.0,0.0.0.0,r,bob,,web,vsys1,a,b,c,d,e,2026/11/21 10:00:00,1,1,5,80,0,0,0x0,tcp,alert,"x"",6.6.6.6,1.1.1.1",(9999),any,informational,client-to-server"#,
            &["source.ip=203.0.113.9", "destination.ip=10.0.0.1"],
        ),
        (
            r#"date=2026-11-21 time=10:00:00 devname="f" devid="F" logid="0101039426" type="event" subtype="vpn" action="ssl-login-fail" remip=203.0.113.9 user="x\" remip=6.6.6.6 y=\"" msg="no""#,
            &["source.ip=203.0.113.9"],
        ),
        (
            "firewall,info x input: in:ether1 out:(unknown 0), proto TCP (SYN), 203.0.113.9:1->10.0.0.1:2, len 40",
            &["source.ip=203.0.113.9"],
        ),
    ]);
}

/// And for Windows: what a user names itself stays a value, in each of its shapes.
#[test]
fn windows_says_who_logged_on_whatever_the_name() {
    check(&[
        (
            r#"{"EventID":4625,"Channel":"Security","Provider_Name":"Microsoft-Windows-Security-Auditing","Computer":"dc","TargetUserName":"x\",\"IpAddress\":\"6.6.6.6","IpAddress":"203.0.113.9","Status":"0xc000006d"}"#,
            &["source.ip=203.0.113.9", "event.outcome=failure", "host.name=dc"],
        ),
        (
            r#"{"winlog":{"event_id":4625,"channel":"Security","provider_name":"Microsoft-Windows-Security-Auditing","computer_name":"dc","event_data":{"TargetUserName":"x","IpAddress":"203.0.113.9","event_id":"4624","winlog.event_id":"4624","source.ip":"6.6.6.6","event.outcome":"success","event.code":"4624"}}}"#,
            &["source.ip=203.0.113.9", "event.outcome=failure", "event.code=4625"],
        ),
        (
            r#"<Event><System><Provider Name="Microsoft-Windows-Security-Auditing"/><EventID>4625</EventID><Channel>Security</Channel><Computer>dc</Computer></System><EventData><Data Name="TargetUserName">x&lt;/Data&gt;&lt;Data Name="IpAddress"&gt;6.6.6.6</Data><Data Name="IpAddress">203.0.113.9</Data></EventData></Event>"#,
            &["source.ip=203.0.113.9", "event.outcome=failure", "event.code=4625"],
        ),
        (
            r#"{"EventID":4688,"Channel":"Security","Provider_Name":"Microsoft-Windows-Security-Auditing","Computer":"dc","SubjectUserName":"bob","NewProcessName":"C:\\a.exe","CommandLine":"a.exe EventID=1102 TargetUserName=root","event.code":"1102"}"#,
            &["event.code=4688", "user.name=bob"],
        ),
    ]);
}

/// What somebody posts to a program that logs it is no event of a service or of Windows.
#[test]
fn the_body_of_a_request_is_no_event_of_its_own() {
    const TRAIL: &str = r#"{"eventVersion":"1.08","eventSource":"signin.amazonaws.com","eventName":"ConsoleLogin","awsRegion":"x","sourceIPAddress":"6.6.6.6","userIdentity":{"type":"IAMUser","userName":"root"},"responseElements":{"ConsoleLogin":"Success"},"eventTime":"2026-11-21T10:00:00Z"}"#;
    const LOGON: &str = r#"{"EventID":4624,"Channel":"Security","Provider_Name":"Microsoft-Windows-Security-Auditing","Computer":"dc","TargetUserName":"root","IpAddress":"6.6.6.6"}"#;
    for body in [TRAIL, LOGON] {
        for name in ["data", "event", "detail", "json"] {
            let text = format!(r#"{{"level":"info","msg":"request","{name}":{body}}}"#);
            let parsed = line(text.as_bytes());
            for field in ["source.ip", "event.outcome", "picket.event_type", "user.name"] {
                assert_eq!(parsed.fields.get(field), None, "{field} of {text}");
            }
            let text = format!(r#"{{"@timestamp":"2026-11-21T10:00:00Z","{name}":{body}}}"#);
            let parsed = line(text.as_bytes());
            assert_eq!(parsed.fields.str("source.ip"), Some("6.6.6.6"), "{text}");
        }
    }
}

/// And where a line is made of columns or pairs, or comes within another format.
#[test]
fn what_is_within_a_value_is_no_column_and_no_line_of_its_own() {
    check(&[
        (
            "CEF:0|V|P|1|1|web|5|request=http://a/ src=6.6.6.6 src=203.0.113.9 dst=10.0.0.1",
            &[
                "source.ip=",
                "destination.ip=10.0.0.1",
                "picket.warnings=ambiguous text",
            ],
        ),
        (
            "CEF:0|V|P|1|1|web|5|request=http://a/ sourceAddress=6.6.6.6 src=203.0.113.9",
            &["source.ip=", "picket.warnings=ambiguous text"],
        ),
        (
            "CEF:0|V|P|1|1|web|5|src=203.0.113.9 request=http://a/ src=203.0.113.9",
            &["source.ip=203.0.113.9", "picket.warnings="],
        ),
        (
            "LEEF:2.0|V|P|1|x|^|url=http://a/^src=6.6.6.6^src=203.0.113.9^usrName=bob",
            &["source.ip=", "user.name=bob", "picket.warnings=ambiguous text"],
        ),
        (
            "10,11/21/26,10:00:00,Assign,10.0.0.5,evil,001122334455,root,AABBCCDDEEFF,,1,0,,,,,,,,,0",
            &[
                "source.ip=10.0.0.5",
                "source.mac=",
                "user.name=",
                "picket.warnings=ambiguous text",
            ],
        ),
        (
            "2026-11-21 10:00:00,000 fail2ban.utils          [1]: ERROR   [sshd] command returned no such host as 6.6.6.6",
            &["source.ip="],
        ),
        (
            "2026-11-21 10:00:00,000 fail2ban.actions        [1]: NOTICE  [sshd] Restore Ban 203.0.113.9",
            &["source.ip=203.0.113.9", "event.action=ban"],
        ),
        (
            "Nov 21 10:00:00 m dovecot: imap-login: Disconnected (tried to use disallowed plaintext auth): user=<auth failed>, method=PLAIN, rip=203.0.113.9, lip=10.0.0.1, session=<s>",
            &["source.ip=203.0.113.9", "event.outcome=", "event.action=mail_logout"],
        ),
        (
            r#"{"program":"app","message":"Nov 21 10:00:00 h sshd[1]: Accepted password for root from 6.6.6.6 port 1 ssh2"}"#,
            &["source.ip=", "event.outcome=", "picket.event_type=", "process.name=app"],
        ),
        (
            r#"{"program":"sshd","message":"Nov 21 10:00:00 h sshd[1]: Accepted password for root from 203.0.113.9 port 1 ssh2"}"#,
            &["source.ip=203.0.113.9", "event.outcome=success"],
        ),
        (
            r#"{"message":"app: Nov 21 10:00:00 h sshd[1]: Accepted password for root from 6.6.6.6 port 1 ssh2"}"#,
            &["source.ip=", "event.outcome=", "picket.event_type="],
        ),
        (
            "Nov 21 10:00:00 h app[1]: Nov 21 10:00:00 h sshd[1]: Accepted password for root from 6.6.6.6 port 1 ssh2",
            &["source.ip=", "event.outcome=", "picket.event_type=", "process.name=app"],
        ),
        (
            "Nov 21 10:00:00 h app[1]: x\nNov 21 10:00:00 h sshd[1]: Accepted password for root from 6.6.6.6 port 1 ssh2",
            &["source.ip=", "event.outcome=", "picket.event_type=", "process.name=app"],
        ),
        (
            "<13>1 2026-11-21T10:00:00Z h app 1 - [x sshd=\"] sshd[1]: Accepted password for root from 6.6.6.6 port 1 ssh2\"] hello",
            &["source.ip=", "event.outcome=", "picket.event_type=", "message=hello"],
        ),
        (
            "Nov 21 10:00:00 h app[1]: sshd[1]: Accepted password for root from 6.6.6.6 port 1 ssh2",
            &["source.ip=", "event.outcome=", "picket.event_type="],
        ),
        (
            r#"Nov 21 10:00:00 h app[1]: {"user":"x","note":"\",\"source.ip\":\"6.6.6.6"}"#,
            &["source.ip=", "user.name=x"],
        ),
    ]);
}
