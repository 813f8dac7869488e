//! Lines as the daemons themselves write them, where they were once read wrong: made by running each with lively and hostile
//! clients, with addresses and names exchanged.

mod check;

use check::{Line, must_say};

const AUTH: &[Line] = &[
    (
        "2026-11-21T23:44:08.917936+00:00 web-01 sshd[555]: Received disconnect from 2001:db8::9 port 40112:11: disconnected by user",
        &[
            "source.ip=2001:db8::9",
            "source.port=40112",
            "event.action=ssh_received_disconnect",
        ],
    ),
    (
        "2026-11-21T23:44:08.917936+00:00 web-01 sshd[555]: Connection from 2001:db8::9 port 40112 on 2001:db8::1 port 2222 rdomain \"\"",
        &[
            "source.ip=2001:db8::9",
            "destination.ip=2001:db8::1",
            "destination.port=2222",
        ],
    ),
    // The id of a certificate is what its owner asked for. The account is the host's.
    (
        "2026-11-21T23:44:16.377233+00:00 web-01 sshd[579]: Accepted publickey for alice from 198.51.100.7 port 46022 ssh2: RSA-CERT SHA256:BuV80Ad6zpSA5iCYwW47G3L/02oG1Xej73Wv1+kOH6c ID id from 6.6.6.6 port 1 ssh2: RSA x (serial 0) CA ED25519 SHA256:LoJ9iuu6pd6Yu4EC3Na6HVMU4xDpogTTL6C5hhVDJcw",
        &[
            "user.name=alice",
            "source.ip=198.51.100.7",
            "source.port=46022",
            "event.outcome=success",
            "picket.warnings=",
        ],
    ),
    (
        "2026-11-21T23:44:16.377233+00:00 web-01 sshd[579]: Failed publickey for invalid user x from 6.6.6.6 port 1 ssh2: RSA y from 198.51.100.7 port 46022 ssh2: RSA SHA256:BuV80Ad6zpSA5iCYwW47G3L",
        &["user.name=", "source.ip=", "picket.warnings=ambiguous text"],
    ),
    (
        "2026-11-21T23:44:17.051731+00:00 web-01 sshd[591]: error: Certificate invalid: name is not a listed principal",
        &[
            "event.action=ssh_certificate_refused",
            "event.outcome=failure",
            "event.reason=name is not a listed principal",
        ],
    ),
    (
        "2026-11-21T23:45:29.998402+00:00 web-01 sshd[831]: Accepted key ED25519 SHA256:isfew3qxCw8AwfJihWRFX3f9mK found at /home/alice/.ssh/authorized_keys:1",
        &[
            "event.action=ssh_key_accepted",
            "system.auth.ssh.signature=ED25519 SHA256:isfew3qxCw8AwfJihWRFX3f9mK",
            "event.outcome=",
            "picket.event_type=",
        ],
    ),
    (
        "2026-11-21T23:45:30.543973+00:00 web-01 sshd[839]: Accepted certificate ID \"x for root from 6.6.6.6 port 22 ssh2\" (serial 0) signed by ED25519 CA SHA256:LoJ9iuu6pd6Y via /etc/ssh/ca.pub",
        &[
            "event.action=ssh_key_accepted",
            "user.name=",
            "source.ip=",
            "picket.event_type=",
        ],
    ),
    (
        "2026-11-21T23:45:19.832588+00:00 web-01 sshd[521]: error: beginning MaxStartups throttling",
        &["event.action=ssh_throttling", "event.severity=2"],
    ),
    (
        "2026-11-21T23:45:13.043839+00:00 web-01 sshd[771]: error: Protocol major versions differ: 2 vs. 1",
        &["event.action=ssh_protocol_error"],
    ),
    (
        "Nov 21 23:45:10 web-01 internal-sftp[700]: session opened for local user alice from [2001:db8::9]",
        &[
            "event.action=sftp_session_opened",
            "event.category=session",
            "user.name=alice",
            "source.ip=2001:db8::9",
            "picket.log_type=sshd",
            "process.name=internal-sftp",
        ],
    ),
    (
        "Nov 21 23:45:10 web-01 internal-sftp[700]: open \"/tmp/h \"q\" x\" flags WRITE,CREATE mode 0644",
        &[
            "event.action=sftp_open",
            "event.type=change",
            "file.path=/tmp/h \"q\" x",
            "file.mode=0644",
        ],
    ),
    (
        "Nov 21 23:45:10 web-01 sftp-server[948]: close \"/tmp/h\" bytes read 9\" bytes read 0 written 109",
        &[
            "event.action=sftp_upload",
            "file.path=/tmp/h\" bytes read 9",
            "source.bytes=109",
            "destination.bytes=0",
        ],
    ),
    (
        "Nov 21 23:45:10 web-01 sftp-server[948]: posix-rename old \"/tmp/x\" new \"/tmp/z\"",
        &[
            "event.action=sftp_rename",
            "file.path=/tmp/x",
            "file.target_path=/tmp/z",
        ],
    ),
    (
        "Nov 21 23:45:10 web-01 sftp-server[948]: rename old \"/tmp/x\" new \"/a\" new \"/tmp/z\"",
        &["file.path=", "picket.warnings=ambiguous text"],
    ),
    (
        "Nov 21 23:45:10 web-01 sftp-server[948]: remove name \"/tmp/z\"",
        &["event.action=sftp_remove", "event.type=deletion", "file.path=/tmp/z"],
    ),
    // sudo says this of its host each time somebody runs it.
    (
        "Nov 21 23:43:37 web-01 sudo:      bob : unable to resolve host web-01: Temporary failure in name resolution",
        &[
            "event.action=sudo_message",
            "event.outcome=",
            "picket.event_type=",
            "user.name=bob",
        ],
    ),
    (
        "Nov 21 23:43:45 web-01 sudo:    alice : unknown user nosuch ; TTY=pts/0 ; PWD=/ ; USER=nosuch ; ",
        &["event.action=sudo_failure", "event.outcome=failure"],
    ),
    (
        "Nov 21 23:43:29 web-01 gpasswd[165]: administrators of group ops set by root to alice",
        &[
            "event.action=group_modified",
            "group.name=ops",
            "user.name=root",
            "user.target.name=alice",
        ],
    ),
    (
        "Nov 21 23:43:29 web-01 gpasswd[173]: password of group ops removed by root",
        &[
            "event.action=group_modified",
            "group.name=ops",
            "user.name=root",
            "user.target.name=",
        ],
    ),
    (
        "Nov 21 23:43:29 web-01 usermod[122]: change user name 'bob' to 'bobby'",
        &[
            "user.target.name=bob",
            "user.changes.name=bobby",
            "related.user=bob,bobby",
        ],
    ),
    (
        "Nov 21 23:44:01 web-01 cron[503]: (*system*t) ERROR (Syntax error, this crontab file will be ignored)",
        &[
            "user.name=",
            "event.type=error",
            "event.reason=Syntax error, this crontab file will be ignored",
        ],
    ),
    (
        "Nov 21 23:43:37 web-01 nologin: Attempted login by svc-web (UID: 999) on /dev/pts/1",
        &[
            "event.action=login_refused",
            "event.outcome=failure",
            "user.name=svc-web",
            "user.id=999",
            "process.tty.name=/dev/pts/1",
        ],
    ),
];

/// rsyslog's `RSYSLOG_SyslogProtocol23Format` keeps the space behind the tag, so that two stand before the message.
const FORWARDED: &[Line] = &[
    (
        "2026-11-21T23:52:28.100000+00:00 web-01 web-01 nginx: 203.0.113.9 - - [21/Nov/2026:23:52:28 +0000] \"GET /a HTTP/1.1\" 200 3 \"-\" \"curl/7.88.1\"",
        &[
            "picket.log_type=access",
            "host.name=web-01",
            "source.ip=203.0.113.9",
            "url.path=/a",
        ],
    ),
    (
        "Nov 21 23:52:28 web-01 web-01 is down",
        &["message=web-01 is down", "process.name="],
    ),
    (
        "<86>1 2026-11-21T23:44:02.108462+00:00 web-01 sshd 528 - -  Accepted password for alice from 203.0.113.9 port 4 ssh2",
        &[
            "event.action=ssh_login",
            "user.name=alice",
            "source.ip=203.0.113.9",
            "process.pid=528",
            "message=Accepted password for alice from 203.0.113.9 port 4 ssh2",
        ],
    ),
    (
        "<86>1 2026-11-21T23:44:02.108462+00:00 web-01 CRON 43 - -  (alice) CMD (false)",
        &["event.action=cron_command", "user.name=alice"],
    ),
    (
        "<86>1 2026-11-21T23:44:02.108462+00:00 web-01 sshd 43 - -  pam_unix(sshd:session): session opened for user alice(uid=1000) by (uid=0)",
        &["event.action=session_opened", "user.name=alice"],
    ),
    (
        "<134>1 2026-11-21T23:44:02.108462+00:00 web-01 haproxy 43 - [x@1 a=\"b\"]  203.0.113.9:41132 [21/Nov/2026:23:52:51.829] web b/n1 0/0/0/2/2 200 200 - - ---- 1/1/0/0/0 0/0 \"GET / HTTP/1.1\"",
        &["picket.log_type=haproxy", "source.ip=203.0.113.9"],
    ),
    (
        "<30>1 2026-11-21T23:44:02.108462+00:00 web-01 postfix/smtpd 43 - -  connect from unknown[203.0.113.9]",
        &["picket.log_type=postfix", "source.ip=203.0.113.9"],
    ),
    (
        "<30>1 2026-11-21T23:44:02.108462+00:00 web-01 named 43 - -  client @0x7fee1fd80098 203.0.113.9#46764 (www.example.com): query: www.example.com IN A +E(0)K (203.0.113.9)",
        &["picket.log_type=bind", "dns.question.name=www.example.com"],
    ),
];

#[test]
fn forwarded_by_rsyslog() {
    must_say(FORWARDED);
}

const WEB: &[Line] = &[
    (
        "Nov 21 23:52:53 web-01 haproxy[139]: 203.0.113.9:58452 [21/Nov/2026:23:52:53.905] web2~ b/n1 0/0/2/0/2 200 200 - - ---- 1/1/0/0/0 0/0 \"GET /a HTTP/1.1\" 0/0000000000000000/0/0/0 shop.example/TLSv1.3/TLS_AES_256_GCM_SHA384",
        &[
            "http.version=1.1",
            "url.path=/a",
            "tls.version=1.3",
            "tls.cipher=TLS_AES_256_GCM_SHA384",
            "tls.client.server_name=shop.example",
        ],
    ),
    (
        "Nov 21 23:52:54 web-01 haproxy[139]: 203.0.113.9:58616 [21/Nov/2026:23:52:54.382] web2~ web2/<NOSRV> -1/-1/-1/-1/0 400 0 - - PR-- 1/1/0/0/0 0/0 \"<BADREQ>\" 0/0000000000000000/0/0/0 -/TLSv1.3/TLS_AES_256_GCM_SHA384",
        &[
            "http.response.status_code=400",
            "http.request.method=",
            "tls.version=1.3",
            "tls.client.server_name=",
        ],
    ),
    (
        "Nov 21 23:52:57 web-01 haproxy[139]: 203.0.113.9 - - [21/Nov/2026:23:52:57 +0000] \"GET / HTTP/1.1\" 200 200 \"\" \"\" 45466 178 \"clf\" \"b\" \"n1\" 0 0 0 1 1 ---- 1 1 0 0 0 0 0 \"\" \"\" ",
        &[
            "picket.log_type=haproxy",
            "source.ip=203.0.113.9",
            "source.port=45466",
            "url.path=/",
            "http.response.status_code=200",
            "haproxy.frontend_name=clf",
            "haproxy.backend_name=b",
            "haproxy.server_name=n1",
            "event.duration=1000000",
            "haproxy.termination_state=----",
        ],
    ),
    (
        "Nov 21 23:54:06 web-01 haproxy[139]: 203.0.113.9:34792 [21/Nov/2026:23:54:06.460] web/2: Connection error during SSL handshake (Connection reset by peer 1/2)",
        &[
            "haproxy.frontend_name=web",
            "haproxy.backend_name=",
            "event.type=connection,error",
        ],
    ),
    (
        "Nov 21 23:52:25 web-01 haproxy[139]: Server down/n1 is DOWN, reason: Layer4 connection problem, info: \"Connection refused\", check duration: 0ms. 0 active and 0 backup servers left.",
        &[
            "picket.log_type=haproxy",
            "event.action=server_down",
            "haproxy.server_name=n1",
            "event.reason=Layer4 connection problem",
        ],
    ),
    (
        "[Sat Nov 21 23:52:33.016431 2026] [proxy:error] [pid 55:tid 98] (111)Connection refused: AH00957: http: attempt to connect to 127.0.0.1:1 (127.0.0.1:1) failed",
        &[
            "event.code=AH00957",
            "event.reason=(111)Connection refused",
            "source.ip=",
        ],
    ),
    (
        "[Sat Nov 21 23:52:32.825238 2026] [auth_basic:error] [pid 54:tid 68] [client 203.0.113.9:55720] AH01618: user a b\" [x] not found: /auth/",
        &["user.name=a b\" [x]", "event.outcome=failure", "source.ip=203.0.113.9"],
    ),
    (
        "[Sat Nov 21 23:52:32.825238 2026] [auth_basic:error] [pid 54:tid 68] [client 203.0.113.9:55720] AH01618: user root not found: /x not found: /auth/",
        &["user.name=", "event.outcome=failure", "source.ip=203.0.113.9"],
    ),
    (
        "2026/11/21 23:53:02 [info] 50#50: *267 client closed connection while waiting for request, client: 203.0.113.9, server: 0.0.0.0:8080",
        &["source.ip=203.0.113.9", "server.domain=", "server.port=8080"],
    ),
    (
        "2026/11/21 23:52:28 [info] 50#50: *1 client 203.0.113.9 closed keepalive connection",
        &["source.ip=203.0.113.9"],
    ),
    (
        "evil.example\\x22x:8080 203.0.113.9 - - [21/Nov/2026:23:52:29 +0000] \"GET / HTTP/1.1\" 200 3 \"-\" \"curl/7.88.1\"",
        &[
            "picket.log_type=access",
            "source.ip=203.0.113.9",
            "http.response.status_code=200",
        ],
    ),
];

const NAMES: &[Line] = &[
    (
        "Nov 22 00:27:40 web-01 dhcpd[40]: DHCPACK on 192.168.77.11 to ea:97:d9:0d:6a:62 (x) via eth0 (y) via v0",
        &[
            "client.ip=192.168.77.11",
            "client.domain=",
            "observer.ingress.interface.name=v0",
        ],
    ),
    (
        "[1795305511] unbound[56:0] query: 203.0.113.9 www.example.com. AAAA IN",
        &[
            "picket.log_type=unbound",
            "event.action=dns_query",
            "dns.question.name=www.example.com",
            "dns.question.type=AAAA",
            "source.ip=203.0.113.9",
        ],
    ),
    (
        "Nov 21 23:58:12 unbound[54:0] reply: 2001:db8::9 bad.example. A IN NXDOMAIN 0.000587 1 40",
        &[
            "picket.log_type=unbound",
            "event.action=dns_reply",
            "dns.response_code=NXDOMAIN",
            "event.duration=587000",
            "source.ip=2001:db8::9",
            "host.name=",
        ],
    ),
    (
        "[1795305511] unbound[56:0] info: bad.example. always_nxdomain 203.0.113.9@47363 x.bad.example. A IN",
        &[
            "event.action=dns_block",
            "picket.event_type=DNS_BLOCK",
            "rule.name=bad.example",
            "dns.question.name=x.bad.example",
            "source.port=47363",
            "source.ip=203.0.113.9",
        ],
    ),
    (
        "Nov 21 23:58:12 ns1 unbound: [54:0] error: SERVFAIL <drop.example. A IN>: failed to get a delegation (eg. prime failure)",
        &[
            "picket.log_type=unbound",
            "dns.response_code=SERVFAIL",
            "dns.question.name=drop.example",
            "event.outcome=failure",
        ],
    ),
    (
        "[1795305478] unbound[56:0] notice: init module 1: validator",
        &["picket.log_type=unbound", "log.level=notice", "dns.question.name="],
    ),
    (
        "Nov 21 23:59:07 dnsmasq[61]: 6 203.0.113.9/43584 query[A] root from 1.2.3.4.example.com from 203.0.113.9",
        &[
            "picket.log_type=dnsmasq",
            "dns.question.name=root from 1.2.3.4.example.com",
            "source.ip=203.0.113.9",
            "source.port=43584",
        ],
    ),
    (
        "Nov 21 23:59:08 dnsmasq[61]: query[A] <name unprintable> from 2001:db8::9",
        &["event.action=dns_query", "dns.question.name=", "source.ip=2001:db8::9"],
    ),
    (
        "Nov 21 23:59:13 dnsmasq[61]: 13 203.0.113.9/42860 /root/hosts2 ads.example is 0.0.0.0",
        &["event.action=dns_block", "dns.question.name=ads.example"],
    ),
    (
        "Nov 21 23:59:13 dnsmasq[61]: DHCP laptop.lan is 192.168.77.22",
        &[
            "event.action=dns_reply",
            "dns.question.name=laptop.lan",
            "dns.resolved_ip=192.168.77.22",
        ],
    ),
    (
        "Nov 22 00:01:31 dnsmasq-dhcp[1649]: 4069526026 DHCPACK(v0) 192.168.77.22 96:6e:b1:e7:bc:b0 laptop",
        &[
            "client.ip=192.168.77.22",
            "client.mac=96-6E-B1-E7-BC-B0",
            "picket.log_type=dnsmasq",
        ],
    ),
];

const MAIL: &[Line] = &[
    (
        "Nov 22 00:05:26 mx postfix/smtpd[315]: warning: non-SMTP command from unknown[203.0.113.9]: GET / from evil[6.6.6.6] HTTP/1.0",
        &[
            "picket.log_type=postfix",
            "event.action=smtp_protocol_error",
            "source.ip=203.0.113.9",
            "postfix.queue_id=",
        ],
    ),
    (
        "Nov 22 00:05:26 mx postfix/smtpd[315]: improper command pipelining after HELO from mail.example[203.0.113.9]: MAIL FROM:<a@b> SIZE=9\\r\\n",
        &[
            "event.action=smtp_protocol_error",
            "source.ip=203.0.113.9",
            "source.domain=mail.example",
        ],
    ),
    (
        "Nov 22 00:05:32 mx postfix/smtpd[315]: SSL_accept error from unknown[2001:db8::9]: -1",
        &["event.action=smtp_tls_error", "source.ip=2001:db8::9"],
    ),
    (
        "Nov 22 00:05:32 mx postfix/smtpd[315]: warning: TLS library problem: error:0A00010B:SSL routines::wrong version number:../ssl/record/ssl3_record.c:350:",
        &["postfix.queue_id=", "source.ip="],
    ),
    (
        "Nov 22 00:04:54 mx postfix/submission/smtpd[313]: Anonymous TLS connection established from unknown[203.0.113.9]: TLSv1.3 with cipher TLS_AES_256_GCM_SHA384 (256/256 bits) key-exchange X25519",
        &[
            "picket.log_type=postfix",
            "event.action=smtp_tls",
            "source.ip=203.0.113.9",
            "tls.version=1.3",
            "tls.cipher=TLS_AES_256_GCM_SHA384",
        ],
    ),
    (
        "Nov 22 00:05:32 mx postfix/smtpd[314]: warning: unknown[203.0.113.9]: SASL PLAIN authentication failed: Invalid base64 data in initial response, sasl_username=(unavailable)",
        &[
            "event.action=smtp_login",
            "event.outcome=failure",
            "user.name=",
            "source.ip=203.0.113.9",
        ],
    ),
    (
        "Nov 22 00:05:26 mx postfix/smtpd[317]: NOQUEUE: reject: VRFY from unknown[203.0.113.9]: 554 5.7.1 <root>: Relay access denied; to=<root> proto=ESMTP helo=<x>",
        &[
            "event.reason=554 5.7.1 <root>: Relay access denied",
            "email.to.address=root",
        ],
    ),
    (
        "Nov 22 00:05:26 mx postfix/local[316]: 759719EE1EE: to=<root@shop.example>, relay=local, delay=0.04, delays=0/0.03/0/0.01, dsn=2.0.0, status=sent (delivered to mailbox)",
        &[
            "picket.log_type=postfix",
            "event.action=smtp_delivery",
            "event.outcome=success",
            "postfix.queue_id=759719EE1EE",
        ],
    ),
    (
        "Nov 22 00:05:26 mx postfix/smtpd[317]: warning: hostname evil.example does not resolve to address 2001:db8::9: Name or service not known",
        &["event.action=smtp_dns_mismatch", "source.ip=2001:db8::9"],
    ),
    (
        "Nov 22 00:04:41 mx postfix/pickup[290]: 926209EE1CB: uid=999 from=<svc-web>",
        &["event.action=smtp_queue", "email.from.address=svc-web"],
    ),
    (
        "Nov 22 00:05:32 imap-login: Info: Login: user=<ann>, method=PLAIN, rip=203.0.113.9, lip=203.0.113.1, mpid=321, secured, session=<X9hiPNJgyuHLAHEJ>",
        &[
            "picket.log_type=dovecot",
            "event.action=mail_login",
            "event.outcome=success",
            "user.name=ann",
            "source.ip=203.0.113.9",
            "network.protocol=imap",
            "log.level=info",
        ],
    ),
    (
        "Nov 22 00:05:50 imap-login: Info: Disconnected: Connection closed (auth failed, 1 attempts in 10 secs): user=<x>, rip=1.2.3.4, y<>, method=PLAIN, rip=203.0.113.9, lip=203.0.113.1, secured, session=<R5fYPNJgTMjLAHEJ>",
        &[
            "event.outcome=failure",
            "source.ip=203.0.113.9",
            "user.name=",
            "picket.warnings=ambiguous text",
        ],
    ),
    (
        "Nov 22 00:04:57 auth: Info: plain(?,203.0.113.9): Username character disallowed by auth_username_chars: 0x20 (username: x from [1.2.3.4])",
        &["event.outcome=failure", "user.name=", "source.ip=203.0.113.9"],
    ),
    (
        "Nov 22 00:06:05 web-01 dovecot: imap(ann)<333><4qRWPtJgNtzLAHEJ>: Disconnected: Logged out in=32 out=788 deleted=0",
        &["picket.log_type=dovecot", "event.action=mail_logout", "user.name=ann"],
    ),
];

const FILES: &[Line] = &[
    (
        "Sun Nov 22 00:06:50 2026 [pid 391] [ann] FTP command: Client \"203.0.113.9\", \"STOR q\"x\", 5 bytes\"",
        &[
            "picket.log_type=vsftpd",
            "event.action=ftp_command",
            "event.outcome=",
            "file.path=",
            "vsftpd.command=STOR q\"x\", 5 bytes",
            "user.name=ann",
        ],
    ),
    (
        "Sun Nov 22 00:06:54 2026 [pid 393] [ann] FTP response: Client \"203.0.113.9\", \"530 Login incorrect.\"",
        &[
            "event.action=ftp_response",
            "vsftpd.response=530 Login incorrect.",
            "event.outcome=",
            "file.path=",
        ],
    ),
    (
        "Sun Nov 22 00:06:50 2026 1 203.0.113.9 100 /home/ann/q\"x\",_5_bytes b _ i r ann ftp 0 * c",
        &[
            "picket.log_type=vsftpd",
            "event.action=ftp_transfer",
            "event.type=creation",
            "file.path=/home/ann/q\"x\",_5_bytes",
            "file.size=100",
            "user.name=ann",
            "source.ip=203.0.113.9",
            "event.outcome=success",
        ],
    ),
    (
        "Sun Nov 22 00:07:29 2026 -> Reading databases from /tmp/cdb",
        &[
            "picket.log_type=clamav",
            "message=Reading databases from /tmp/cdb",
            "event.action=",
            "log.level=info",
        ],
    ),
    (
        "Sun Nov 22 00:07:30 2026 -> /tmp/c/e: OK FOUND.com: Eicar-Test.UNOFFICIAL(44d88612fea8a8f36de82e1278abb02f:68) FOUND",
        &[
            "event.action=malware_found",
            "file.path=/tmp/c/e: OK FOUND.com",
            "rule.name=Eicar-Test.UNOFFICIAL",
        ],
    ),
];

#[test]
fn transfers_and_scans() {
    must_say(FILES);
}

#[test]
fn a_time_in_a_zone_that_is_not_known_is_left() {
    let parsed = check::line(b"2026-11-22 00:14:34.000 CET [208] LOG:  database system is shut down");
    assert_eq!(parsed.timestamp, check::observed());
}

#[test]
fn mail() {
    must_say(MAIL);
}

const SERVERS: &[Line] = &[
    (
        "11/22/2026-00:14:40.938949  [**] [1:3:0] PING [**] [Classification: (null)] [Priority: 3] {ICMP} 203.0.113.9:8 -> 198.51.100.80:0",
        &[
            "picket.log_type=snort",
            "source.ip=203.0.113.9",
            "source.port=",
            "destination.ip=198.51.100.80",
            "destination.port=",
            "rule.category=",
        ],
    ),
    (
        r#"{"timestamp":"2026-11-22T00:14:40.931414+0000","flow_id":56786191299132,"event_type":"anomaly","src_ip":"2001:0db8:0000:0000:0000:0000:0000:0009","src_port":40003,"dest_ip":"198.51.100.80","dest_port":25,"proto":"TCP","anomaly":{"app_proto":"smtp","type":"applayer","event":"NO_SERVER_WELCOME_MESSAGE","layer":"proto_parser"}}"#,
        &["picket.log_type=suricata", "network.protocol=smtp"],
    ),
    (
        "22-Nov-2026 00:14:17.737 client @0x7fee1fd83898 198.51.100.7#54434 (www.example.com): query failed (REFUSED) for www.example.com/IN/A at query.c:5708",
        &[
            "picket.log_type=bind",
            "event.outcome=failure",
            "dns.response_code=REFUSED",
            "dns.question.name=www.example.com",
            "dns.question.type=A",
            "source.ip=198.51.100.7",
        ],
    ),
    (
        "22-Nov-2026 00:14:12.329 client @0x7fee20c43098 203.0.113.9#46838 (www.example.com): rate limit drop response to 203.0.113.0/24 for www.example.com IN A  (6e634e8c)",
        &[
            "event.action=dns_rate_limit",
            "event.type=protocol,denied",
            "dns.question.name=www.example.com",
            "source.ip=203.0.113.9",
        ],
    ),
    (
        "22-Nov-2026 00:14:18.949 client @0x7fee1fd80098 203.0.113.9#44941: request has invalid signature: TSIG k: tsig verify failure (BADSIG)",
        &[
            "event.action=dns_signature_refused",
            "event.outcome=failure",
            "source.ip=203.0.113.9",
        ],
    ),
    (
        "22-Nov-2026 00:14:18.909 client @0x7fee20c43098 203.0.113.9#40003/key k: updating zone 'example.com/IN': adding an RR at 'h.example.com' A 1.1.1.1",
        &["event.action=dns_update", "dns.question.name=example.com"],
    ),
    (
        "2026-11-22 00:14:19,131 fail2ban.jail           [195]: INFO    Jail 'sshd' started",
        &["picket.log_type=fail2ban", "log.level=info", "event.action="],
    ),
];

#[test]
fn servers() {
    must_say(SERVERS);
}

/// The daemons' own time is the event's, whether or not the rest of the line is known.
#[test]
fn a_time_in_front_is_the_events() {
    for (log_type, text) in [
        (None, "2026-11-22 00:14:34 Initialization Sequence Completed"),
        (None, "22-Nov-2026 00:14:34.000 zone example.com/IN: loaded serial 1"),
        (
            None,
            "2026-11-22 00:14:34.000 UTC [208] LOG:  database system is shut down",
        ),
        (Some("openvpn"), "2026-11-22 00:14:34 Initialization Sequence Completed"),
        (
            Some("bind"),
            "22-Nov-2026 00:14:34.000 zone example.com/IN: loaded serial 1",
        ),
        (
            Some("clamav"),
            "Sun Nov 22 00:14:34 2026 -> Self checking every 600 seconds.",
        ),
    ] {
        let parsed = parsers::parse(&parsers::RawRecord {
            log_type,
            ..check::record(parsers::Body::Line(text.as_bytes()))
        });
        assert_eq!(parsed.warnings, [], "{text}");
        assert_eq!(parsed.timestamp.to_string(), "2026-11-22T00:14:34.000000Z", "{text}");
    }
}

#[test]
fn logins_and_accounts() {
    must_say(AUTH);
}

#[test]
fn web_servers_and_proxies() {
    must_say(WEB);
}

#[test]
fn names_and_leases() {
    must_say(NAMES);
}

#[test]
fn what_else_a_program_says_is_of_its_log_type() {
    for (log_type, text) in [
        (
            "dnsmasq",
            "Nov 21 23:57:58 dnsmasq[61]: started, version 2.90 cachesize 150",
        ),
        (
            "unbound",
            "[1795305478] unbound[56:0] info: start of service (unbound 1.17.1).",
        ),
        ("haproxy", "Nov 21 23:52:25 web-01 haproxy[139]: Proxy web started."),
    ] {
        let parsed = parsers::parse(&parsers::RawRecord {
            log_type: Some(log_type),
            ..check::record(parsers::Body::Line(text.as_bytes()))
        });
        assert_eq!(parsed.warnings, [], "{text}");
    }
}
