//! Lines of known programs as other versions, templates, collectors and containers write them.

mod check;

use check::must_say;

#[test]
fn audit_records_that_come_by_others_name_the_process_they_are_about() {
    must_say(&[
        (
            "Nov 21 10:00:00 web1 audispd: node=web1 type=USER_LOGIN msg=audit(1763719200.123:8): pid=2588 uid=0 auid=1000 ses=3 msg='op=login id=1000 exe=\"/usr/sbin/sshd\" hostname=203.0.113.9 addr=203.0.113.9 terminal=/dev/pts/1 res=success'",
            &[
                "process.name=sshd",
                "process.pid=2588",
                "source.ip=203.0.113.9",
                "picket.log_type=auditd",
            ],
        ),
        (
            "Nov 21 10:00:00 web1 kernel: audit: type=1400 audit(1763719200.123:12): apparmor=\"DENIED\" operation=\"open\" profile=\"snap.foo\" name=\"/etc/shadow\" pid=1 comm=\"foo\" requested_mask=\"r\" denied_mask=\"r\" fsuid=1000 ouid=0",
            &[
                "event.action=violated-apparmor-policy",
                "auditd.log.record_type=AVC",
                "process.name=foo",
                "file.path=/etc/shadow",
                "event.outcome=failure",
            ],
        ),
        (
            "Nov 21 10:00:00 web1 audit[700]: AVC avc:  denied  { read } for  pid=700 comm=\"httpd\" name=\"shadow\" scontext=a tcontext=b tclass=file permissive=0",
            &[
                "event.action=violated-selinux-policy",
                "event.outcome=failure",
                "process.name=httpd",
                "seresult=denied",
            ],
        ),
        (
            r#"{"MESSAGE":"USER_LOGIN pid=2588 uid=0 auid=1000 ses=3 msg='op=login id=1000 exe=\"/usr/sbin/sshd\" hostname=? addr=203.0.113.9 terminal=ssh res=failed'","_TRANSPORT":"audit","_AUDIT_TYPE_NAME":"USER_LOGIN","__REALTIME_TIMESTAMP":"1763719200000000","_HOSTNAME":"web1","SYSLOG_IDENTIFIER":"audit"}"#,
            &[
                "event.action=logged-in",
                "event.outcome=failure",
                "source.ip=203.0.113.9",
                "picket.event_type=LOGIN_FAIL",
            ],
        ),
        // Other programs' messages do not become records by beginning so.
        (
            "Nov 21 10:00:00 web1 app[7]: USER_LOGIN pid=2588 uid=0 auid=1000 msg='op=login acct=\"root\" addr=6.6.6.6 res=success'",
            &["event.action=", "source.ip=", "event.outcome="],
        ),
        // Who changed an account is not the account, where an enriching daemon says who it was.
        (
            "type=ADD_USER msg=audit(1763719200.123:10): pid=100 uid=0 auid=1000 ses=3 msg='op=add-user acct=\"bob\" exe=\"/usr/sbin/useradd\" hostname=web1 addr=? terminal=pts/0 res=success'\u{1d}UID=\"root\" AUID=\"alice\"",
            &["user.name=alice", "user.id=1000", "user.target.name=bob"],
        ),
    ]);
}

#[test]
fn what_a_container_writes_reads_like_a_file() {
    let access = &[
        "source.ip=203.0.113.9",
        "url.domain=",
        "destination.domain=",
        "picket.log_type=access",
        "stream=stdout",
    ];
    must_say(&[
        (
            "2026-11-21T10:00:00.123456789Z stdout F 203.0.113.9 - - [21/Nov/2026:10:00:00 +0000] \"GET /a HTTP/1.1\" 200 512 \"-\" \"curl/8\"",
            access,
        ),
        (
            r#"{"log":"203.0.113.9 - - [21/Nov/2026:10:00:00 +0000] \"GET /a HTTP/1.1\" 200 512 \"-\" \"curl/8\"\n","stream":"stdout","time":"2026-11-21T10:00:00.123Z"}"#,
            access,
        ),
        (
            r#"{"log":"{\"level\":\"error\",\"msg\":\"login failed\",\"user\":\"bob\",\"src_ip\":\"203.0.113.9\"}\n","stream":"stderr","time":"2026-11-21T10:00:00.123Z"}"#,
            &[
                "user.name=bob",
                "source.ip=203.0.113.9",
                "log.level=error",
                "message=login failed",
            ],
        ),
        (
            r#"2026-11-21T10:00:00.5Z stderr F {"level":"error","msg":"login failed","user":"bob","src_ip":"203.0.113.9"}"#,
            &["user.name=bob", "source.ip=203.0.113.9", "message=login failed"],
        ),
        (
            "2026-11-21T10:00:00.5Z stderr F no such user root from 6.6.6.6 port 9 ssh2",
            &[
                "source.ip=",
                "user.name=",
                "message=no such user root from 6.6.6.6 port 9 ssh2",
            ],
        ),
    ]);
}

#[test]
fn access_logs_in_json_have_many_names() {
    must_say(&[
        (
            r#"{"time_iso8601":"2026-11-21T10:00:00+00:00","remote_addr":"203.0.113.9","method":"GET","uri":"/index.html","args":"a=b","status":200,"bytes":5,"agent":"curl/8","referer":"-","host":"shop.example","request_id":"abc","request_time":0.25,"ssl_protocol":"TLSv1.3"}"#,
            &[
                "picket.log_type=web_json",
                "url.path=/index.html",
                "url.query=a=b",
                "http.request.referrer=",
                "event.duration=250000000",
                "tls.version=1.3",
            ],
        ),
        (
            r#"{"time":"[21/Nov/2026:10:00:00 +0000]","process":"123","filename":"/var/www/html/index.html","remoteIP":"203.0.113.9","host":"shop.example","request":"/index.html","query":"?a=b","method":"GET","status":"200","userAgent":"curl/8","referer":"-"}"#,
            &[
                "url.path=/index.html",
                "url.query=a=b",
                "process.name=",
                "picket.warnings=",
            ],
        ),
    ]);
}

/// The host a client asks for, or calls itself, is not the host the log is of.
#[test]
fn no_client_says_what_host_a_log_is_of() {
    must_say(&[
        (
            r#"{"remote_addr":"203.0.113.9","request":"GET / HTTP/1.1","status":200,"host":"dc01.corp.local"}"#,
            &["host.name=", "url.domain=dc01.corp.local"],
        ),
        (
            r#"{"host":"web1","message":"{\"remote_addr\":\"203.0.113.9\",\"request\":\"GET / HTTP/1.1\",\"status\":200,\"host\":\"dc01.corp.local\"}"}"#,
            &["host.name=web1", "url.domain=dc01.corp.local"],
        ),
        (
            r#"{"source":"nginx","host":"web1","message":"{\"remote_addr\":\"203.0.113.9\",\"request\":\"GET / HTTP/1.1\",\"status\":200,\"host\":\"dc01.corp.local\"}","fields":{}}"#,
            &["host.name=web1", "url.domain=dc01.corp.local"],
        ),
        (
            r#"{"_path":"http","ts":1763719200.1,"uid":"C1","id.orig_h":"203.0.113.9","id.orig_p":4,"id.resp_h":"10.0.0.1","id.resp_p":80,"trans_depth":1,"method":"GET","host":"dc01.corp.local","uri":"/"}"#,
            &["host.name=", "url.domain=dc01.corp.local"],
        ),
        (
            r#"{"_path":"dhcp","ts":1763719200.1,"uids":["C1"],"client_addr":"10.0.0.50","server_addr":"10.0.0.1","mac":"aa:bb:cc:dd:ee:ff","host_name":"dc01","msg_types":["ACK"]}"#,
            &["host.name=", "source.domain=dc01"],
        ),
    ]);
}

/// All addresses but the last are what a client wrote into `X-Forwarded-For`.
#[test]
fn a_client_of_kubernetes_is_the_address_its_server_saw() {
    must_say(&[(
        r#"{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Metadata","auditID":"a","stage":"ResponseComplete","requestURI":"/api","verb":"get","user":{"username":"bob"},"sourceIPs":["6.6.6.6","203.0.113.9"],"responseStatus":{"code":200},"stageTimestamp":"2026-11-21T10:00:00Z"}"#,
        &["source.ip=203.0.113.9"],
    )]);
}

#[test]
fn devices_need_no_time_in_front_and_name_no_programs() {
    must_say(&[
        (
            "<166>%ASA-6-302014: Teardown TCP connection 123 for outside:203.0.113.9/40000 to inside:10.0.0.1/443 duration 0:00:30 bytes 1234 TCP FINs",
            &[
                "host.name=",
                "observer.hostname=",
                "log.syslog.appname=",
                "source.ip=203.0.113.9",
            ],
        ),
        (
            "<164>:Nov 21 10:00:00 UTC: %ASA-4-106023: Deny tcp src outside:203.0.113.9/40000 dst inside:10.0.0.1/22 by access-group \"outside_in\" [0x0, 0x0]",
            &[
                "source.ip=203.0.113.9",
                "picket.event_type=FIREWALL_BLOCK",
                "host.name=",
            ],
        ),
        (
            "Nov 21 10:00:00 10.0.0.254 %ASA-4-733100: [ Scanning] drop rate-1 exceeded. Current burst rate is 10 per second, max configured rate is 10; Current average rate is 5 per second, max configured rate is 5; Cumulative total count is 3000",
            &["process.name=", "host.name=10.0.0.254", "picket.event_type=PORT_SCAN"],
        ),
        (
            r#"1,2026/11/21 10:00:00,0123456789,SYSTEM,auth,2560,2026/11/21 10:00:00,,auth-fail,,0,0,general,medium,"failed authentication for user 'x'. From: 6.6.6.6. y'. Reason: Invalid username/password. From: 203.0.113.9.",1,0x0"#,
            &[
                "source.ip=203.0.113.9",
                "user.name=x'. From: 6.6.6.6. y",
                "event.reason=Invalid username/password",
            ],
        ),
        (
            "<30>Nov 21 10:00:00 MikroTik dhcp,info dhcp1 assigned 10.0.0.50 for AA:BB:CC:DD:EE:FF laptop",
            &[
                "client.ip=10.0.0.50",
                "client.mac=AA-BB-CC-DD-EE-FF",
                "client.domain=laptop",
            ],
        ),
        (
            r#"date=2026-11-21 time=10:00:00 logid="0101039424" type="event" subtype="vpn" level="information" action="tunnel-up" tunneltype="ssl-web" remip=203.0.113.9 user="bob" msg="SSL tunnel established""#,
            &[
                "event.outcome=success",
                "picket.event_type=LOGIN_SUCCESS",
                "source.ip=203.0.113.9",
            ],
        ),
        (
            "CEF:0|V|P|1|1|n|5|src=203.0.113.9 proto=6 externalId=99 fileHash=44d88612fea8a8f36de82e1278abb02f",
            &[
                "network.transport=tcp",
                "network.iana_number=6",
                "event.code=1",
                "file.hash.md5=44d88612fea8a8f36de82e1278abb02f",
                "file.hash.sha256=",
            ],
        ),
    ]);
}

#[test]
fn daemons_have_instances_and_workers() {
    must_say(&[
        (
            "Nov 21 10:00:00 m dovecot-2: pop3-login: Disconnected: Connection closed (auth failed, 3 attempts in 20 secs): user=<bob>, method=PLAIN, rip=203.0.113.9, lip=10.0.0.1, TLS, session=<abc>",
            &["source.ip=203.0.113.9", "user.name=bob", "event.outcome=failure"],
        ),
        (
            "Nov 21 10:00:00 m dovecot: auth-worker(55): conn unix:auth-worker (pid=54,uid=110): auth-worker<1>: pam(bob,203.0.113.9,<abc>): pam_authenticate() failed: Authentication failure (Password mismatch?)",
            &["source.ip=203.0.113.9", "user.name=bob", "event.outcome=failure"],
        ),
        (
            "2026-11-21 10:00:00 us=123456 203.0.113.9:1194 TLS Error: TLS handshake failed",
            &[
                "picket.log_type=openvpn",
                "source.ip=203.0.113.9",
                "event.outcome=failure",
            ],
        ),
        (
            "Nov 21 10:00:00 lb haproxy[14389]: Health check for server bck/srv1 failed, reason: Layer7 wrong status, code: 503, info: \"Service Unavailable\", check duration: 2ms, status: 0/2 DOWN.",
            &[
                "event.action=server_down",
                "haproxy.backend_name=bck",
                "haproxy.server_name=srv1",
                "event.reason=Layer7 wrong status",
            ],
        ),
    ]);
}

#[test]
fn answers_that_a_policy_of_bind_rewrote_are_blocked() {
    must_say(&[
        (
            "21-Nov-2026 10:00:00.123 rpz: info: client @0x7f 203.0.113.9#5353 (bad.example): rpz QNAME NXDOMAIN rewrite bad.example/A/IN via bad.example.rpz",
            &[
                "dns.question.name=bad.example",
                "dns.question.type=A",
                "rule.name=bad.example.rpz",
                "picket.event_type=DNS_BLOCK",
                "source.ip=203.0.113.9",
                "event.reason=NXDOMAIN",
            ],
        ),
        (
            "Nov 21 10:00:00 n named[1]: client @0x7f 203.0.113.9#5353 (ok.example): rpz QNAME PASSTHRU rewrite ok.example/A/IN via ok.example.rpz",
            &[
                "picket.event_type=DNS_QUERY",
                "event.type=protocol,allowed",
                "dns.question.name=ok.example",
            ],
        ),
    ]);
}

#[test]
fn su_of_bsd_tells_who_failed() {
    must_say(&[
        (
            "Nov 21 10:00:00 h su: BAD SU alice to root on /dev/pts/0",
            &["user.name=alice", "user.effective.name=root", "event.outcome=failure"],
        ),
        (
            "Nov 21 10:00:00 h su[7]: alice to root on /dev/pts/0",
            &["user.name=alice", "user.effective.name=root", "event.outcome=success"],
        ),
    ]);
}

#[test]
fn a_failed_login_is_from_the_host_it_names_or_from_a_terminal() {
    must_say(&[
        (
            "Nov 21 10:00:00 h login[1]: FAILED LOGIN 1 FROM 203.0.113.9 FOR bob, Authentication failure",
            &["source.ip=203.0.113.9", "process.tty.name=", "user.name=bob"],
        ),
        (
            "Nov 21 10:00:00 h login[1]: FAILED LOGIN 1 FROM tty1 FOR bob, Authentication failure",
            &["source.ip=", "process.tty.name=tty1", "user.name=bob"],
        ),
    ]);
}

#[test]
fn a_name_with_an_address_in_it_is_no_peer_of_postfix() {
    must_say(&[(
        "Nov 21 10:00:00 m postfix/smtpd[1]: connect from x[6.6.6.6].evil.example[203.0.113.9]",
        &["source.ip="],
    )]);
}

#[test]
fn cloudflares_firewall_tells_paths_and_queries_apart() {
    must_say(&[(
        r#"{"Action":"block","ClientIP":"203.0.113.9","ClientRequestHost":"a.example","ClientRequestPath":"/x","ClientRequestQuery":"?a=b","ClientRequestMethod":"GET","Datetime":"2026-11-21T10:00:00Z","RuleID":"r","ClientASN":64500,"RayID":"x"}"#,
        &["url.path=/x", "url.query=a=b", "picket.event_type=WEB_BLOCK"],
    )]);
}

/// The elements of a list have neither kind nor version.
#[test]
fn an_element_of_a_list_of_kubernetes_is_an_audit_event() {
    must_say(&[(
        r#"{"level":"Metadata","auditID":"a","stage":"ResponseComplete","requestURI":"/api/v1/secrets","verb":"list","user":{"username":"bob"},"sourceIPs":["203.0.113.9"],"responseStatus":{"code":403},"stageTimestamp":"2026-11-21T10:00:00Z"}"#,
        &[
            "picket.log_type=kubernetes",
            "user.name=bob",
            "source.ip=203.0.113.9",
            "event.outcome=failure",
        ],
    )]);
}
