//! What surrounds messages: syslog of every age, journald, JSON, pairs, nothing.

mod check;

use check::{expect, json, line, record};
use parsers::{Body, LOG_TYPES, RawRecord, Warning, parse};

#[test]
fn syslog_headers() {
    for (text, expected) in [
        (
            "Nov 21 11:22:33 web-01 sshd[4242]: Failed password for root from 203.0.113.9 port 51022 ssh2",
            &[
                "@timestamp=2026-11-21T11:22:33.000000Z",
                "host.name=web-01",
                "process.pid=4242",
                "source.ip=203.0.113.9",
                "picket.log_type=sshd",
            ][..],
        ),
        (
            "Dec  1 00:00:00 web-01 kernel: [ 12.3] eth0: link up",
            &[
                "@timestamp=2025-12-01T00:00:00.000000Z",
                "process.name=kernel",
                "message=[ 12.3] eth0: link up",
                "process.pid=",
                "picket.log_type=kernel",
                "event.dataset=system.kernel",
            ],
        ),
        (
            "<38>Nov 21 11:22:33 web-01 sudo: pam_unix(sudo:session): session closed for user root",
            &[
                "log.syslog.priority=38",
                "log.syslog.facility.code=4",
                "log.syslog.severity.code=6",
                "log.level=informational",
                "event.action=session_closed",
                "host.name=web-01",
            ],
        ),
        (
            "<13>Nov 21 11:22:33 myapp[7]: started",
            &["host.name=", "process.name=myapp", "process.pid=7", "message=started"],
        ),
        (
            "<13>myapp: started",
            &[
                "process.name=myapp",
                "@timestamp=2026-11-21T12:00:00.000000Z",
                "picket.log_type=syslog",
            ],
        ),
        (
            "<13>just text",
            &["process.name=", "message=just text", "picket.log_type=syslog"],
        ),
        (
            "Nov 21 11:22:33 web-01 /usr/sbin/cron[9]: (root) CMD (true)",
            &[
                "process.name=cron",
                "process.executable=/usr/sbin/cron",
                "event.action=cron_command",
            ],
        ),
        (
            "Nov 21 11:22:33 web-01 -- MARK --",
            &["host.name=web-01", "message=-- MARK --", "process.name="],
        ),
        (
            "Nov 21 11:22:33  sshd[1]: last message repeated 2 times",
            &["host.name=", "process.name=sshd"],
        ),
        (
            "Nov 21 11:22:33 mac Google Chrome[85]: oops: again",
            &["process.name=Google Chrome", "process.pid=85", "message=oops: again"],
        ),
        (
            "Nov 21 11:22:33 mac com.apple.xpc.launchd[1] (com.apple.quicklook[2]): Endpoint: x",
            &[
                "process.name=com.apple.xpc.launchd",
                "process.pid=1",
                "message=Endpoint: x",
            ],
        ),
        (
            "2026-11-21T11:22:33+01:00 web-01 systemd[1]: Started x.service - X.",
            &[
                "@timestamp=2026-11-21T10:22:33.000000Z",
                "process.name=systemd",
                "message=Started x.service - X.",
            ],
        ),
        (
            "2026-11-21T11:22:33.5Z ERROR something broke: badly",
            &[
                "@timestamp=2026-11-21T11:22:33.500000Z",
                "picket.log_type=raw",
                "host.name=",
                "message=2026-11-21T11:22:33.5Z ERROR something broke: badly",
            ],
        ),
        (
            "<165>1 2026-11-21T11:22:33.003Z mymachine.example.com evntslog 77 ID47 [ex@32473 iut=\"3\" eventSource=\"App\\\"l]\\\\\"][meta n=\"1\"] \u{feff}An application event",
            &[
                "@timestamp=2026-11-21T11:22:33.003000Z",
                "host.name=mymachine.example.com",
                "process.name=evntslog",
                "process.pid=77",
                "log.syslog.msgid=ID47",
                "log.syslog.facility.code=20",
                "log.syslog.structured_data.ex@32473.iut=3",
                "log.syslog.structured_data.ex@32473.eventSource=App\"l]\\",
                "log.syslog.structured_data.meta.n=1",
                "message=An application event",
            ],
        ),
        (
            "<34>1 - - sshd - - - Failed password for root from 203.0.113.9 port 1 ssh2",
            &[
                "@timestamp=2026-11-21T12:00:00.000000Z",
                "host.name=",
                "event.action=ssh_login",
                "message=Failed password for root from 203.0.113.9 port 1 ssh2",
            ],
        ),
        (
            "<34>1 yesterday host app - - - hello",
            &[
                "picket.warnings=time not understood",
                "message=hello",
                "process.name=app",
            ],
        ),
        (
            "<34>1 2026-11-21T11:22:33Z host app main - [broken hello",
            &["message=[broken hello", "log.syslog.procid=main"],
        ),
        ("<999>text", &["picket.log_type=raw", "message=<999>text"]),
        (
            "Nov 21 11:22:33 web-01 app[3]: {\"user\": {\"name\": \"alice\"}, \"picket\": {\"log_type\": \"sshd\"}, \"src_ip\": \"192.0.2.1\"}",
            &[
                "user.name=alice",
                "picket.log_type=syslog",
                "unverified.picket.log_type=sshd",
                "source.ip=192.0.2.1",
            ],
        ),
        (
            "Nov 21 11:22:33 gw kernel: IN=eth0 OUT= SRC=192.0.2.7 DST=192.0.2.1 PROTO=TCP SPT=4711 DPT=22",
            &[
                "SRC=192.0.2.7",
                "source.ip=192.0.2.7",
                "destination.ip=192.0.2.1",
                "destination.port=22",
                "process.name=kernel",
            ],
        ),
    ] {
        let parsed = line(text.as_bytes());
        expect(text, &parsed, expected);
        expect(
            text,
            &parsed,
            &[
                &format!("event.original={text}"),
                "picket.source=file",
                "log.file.path=/var/log/auth.log",
            ],
        );
    }
}

#[test]
fn lines_without_header() {
    for (text, expected) in [
        (
            "level=info msg=\"user \\\"x\\\" logged in\" user=alice src=192.0.2.4 time=2026-11-21T11:00:00Z",
            &[
                "picket.log_type=keyvalue",
                "message=user \"x\" logged in",
                "user.name=alice",
                "source.ip=192.0.2.4",
                "log.level=info",
                "@timestamp=2026-11-21T11:00:00.000000Z",
                "msg=user \"x\" logged in",
            ][..],
        ),
        (
            "a=1, b=2, c=3",
            &["picket.log_type=keyvalue", "a=1", "b=2", "message=a=1, b=2, c=3"],
        ),
        ("x = y and nothing more", &["picket.log_type=raw", "x="]),
        ("https://example.com/?a=b&c=d visited", &["picket.log_type=raw"]),
        ("", &["picket.log_type=raw"]),
        (
            "{not json",
            &["picket.log_type=raw", "message={not json", "picket.warnings="],
        ),
    ] {
        expect(text, &line(text.as_bytes()), expected);
    }
}

#[test]
fn the_named_log_type_is_tried_first() {
    let text = "Failed password for root from 203.0.113.9 port 1 ssh2";
    let parsed = parse(&RawRecord {
        log_type: Some("sshd"),
        ..record(Body::Line(text.as_bytes()))
    });
    expect(
        text,
        &parsed,
        &["process.name=sshd", "picket.log_type=sshd", "source.ip=203.0.113.9"],
    );
    let parsed = parse(&RawRecord {
        log_type: Some("no such type"),
        ..record(Body::Line(b"a line"))
    });
    expect("a line", &parsed, &["picket.log_type=raw", "message=a line"]);
    let parsed = parse(&RawRecord {
        log_type: Some("json"),
        ..record(Body::Line(b"a line"))
    });
    assert_eq!(parsed.warnings, [Warning::InvalidJson]);
    assert!(LOG_TYPES.is_sorted());
}

#[test]
fn journald() {
    let text = r#"{"__CURSOR":"s=1","__REALTIME_TIMESTAMP":"1763726400123456","_HOSTNAME":"web-01","_PID":"4242","_COMM":"sshd","_EXE":"/usr/sbin/sshd","_CMDLINE":"sshd: root [priv]","SYSLOG_IDENTIFIER":"sshd","SYSLOG_FACILITY":"4","PRIORITY":"6","_SYSTEMD_UNIT":"ssh.service","MESSAGE":"Failed password for root from 203.0.113.9 port 51022 ssh2"}"#;
    expect(
        text,
        &json(text),
        &[
            "@timestamp=2025-11-21T12:00:00.123456Z",
            "host.name=web-01",
            "process.name=sshd",
            "process.pid=4242",
            "process.executable=/usr/sbin/sshd",
            "process.command_line=",
            "event.action=ssh_login",
            "source.ip=203.0.113.9",
            "log.syslog.severity.code=6",
            "_SYSTEMD_UNIT=ssh.service",
            "_CMDLINE=sshd: root [priv]",
            "__CURSOR=",
            "picket.log_type=sshd",
            "message=Failed password for root from 203.0.113.9 port 51022 ssh2",
            "event.original=Failed password for root from 203.0.113.9 port 51022 ssh2",
        ],
    );
    expect(
        text,
        &line(text.as_bytes()),
        &["event.action=ssh_login", "picket.log_type=sshd"],
    );

    let text = r#"{"__REALTIME_TIMESTAMP":"1763726400123456","_COMM":"app","PRIORITY":"3","MESSAGE":[104,105,255,27]}"#;
    expect(
        text,
        &json(text),
        &[
            "message=hi\u{fffd}\u{1b}",
            "picket.warnings=invalid UTF-8",
            "picket.log_type=journald",
            "process.name=app",
            "log.level=error",
        ],
    );

    let text = r#"{"__REALTIME_TIMESTAMP":"1763726400123456","_COMM":"logger","SYSLOG_IDENTIFIER":"sshd","MESSAGE":"Failed password for root from 1.2.3.4 port 1 ssh2"}"#;
    expect(
        text,
        &json(text),
        &[
            "event.action=",
            "source.ip=",
            "process.name=logger",
            "picket.log_type=journald",
        ],
    );
    assert_eq!(json(text).warnings, [Warning::Impostor]);

    let text = r#"{"MESSAGE":null,"_PID":"1","__REALTIME_TIMESTAMP":"soon"}"#;
    expect(
        text,
        &json(text),
        &[
            "@timestamp=2026-11-21T12:00:00.000000Z",
            "process.pid=1",
            "picket.warnings=time not understood",
        ],
    );
}

#[test]
fn shapes_of_other_tools() {
    let text = r#"{"source":"syslog","host":"demo-host","message":"Failed password for invalid user admin from 10.0.0.5 port 53422 ssh2","fields":{"program":"sshd","ticket":7}}"#;
    expect(
        text,
        &json(text),
        &[
            "host.name=demo-host",
            "host=demo-host",
            "source=syslog",
            "program=sshd",
            "ticket=7",
            "process.name=sshd",
            "event.action=ssh_login",
            "event.reason=invalid_user",
            "user.name=admin",
            "source.ip=10.0.0.5",
            "source.port=53422",
            "related.ip=10.0.0.5",
            "picket.log_type=sshd",
            "picket.event_type=LOGIN_FAIL",
            "event.original=Failed password for invalid user admin from 10.0.0.5 port 53422 ssh2",
        ],
    );
    let text = r#"{"source":"file","host":"h","message":"new user: name=bob, UID=0, GID=0, home=/, shell=/bin/sh","fields":{"EventID":4720,"IpAddress":"192.0.2.9"}}"#;
    expect(
        text,
        &json(text),
        &[
            "event.action=user_added",
            "user.name=bob",
            "EventID=4720",
            "source.ip=192.0.2.9",
        ],
    );

    let text = r#"{"event_id":"1f0c","timestamp":"2026-11-21T11:00:00Z","source_host":"db-01","os_type":"LINUX","event_type":"LOGIN_FAIL","severity":3,"source_ip":"203.0.113.9","user":"root","raw_message":"Nov 21 10:59:59 other sshd[12]: Failed password for root from 203.0.113.9 port 4711 ssh2"}"#;
    expect(
        text,
        &json(text),
        &[
            "@timestamp=2026-11-21T11:00:00.000000Z",
            "host.name=db-01",
            "host.os.type=linux",
            "event_id=1f0c",
            "raw_message=Nov 21 10:59:59 other sshd[12]: Failed password for root from 203.0.113.9 port 4711 ssh2",
            "message=Failed password for root from 203.0.113.9 port 4711 ssh2",
            "event.original=Nov 21 10:59:59 other sshd[12]: Failed password for root from 203.0.113.9 port 4711 ssh2",
            "event.action=ssh_login",
            "source.ip=203.0.113.9",
            "source.port=4711",
            "process.pid=12",
            "user.name=root",
            "picket.event_type=LOGIN_FAIL",
            "event.severity=3",
        ],
    );
    let text = r#"{"event_id":"2","timestamp":"2026-11-21T11:00:00","source_host":"win","os_type":"WINDOWS","event_type":"LOG_TAMPERING","severity":"5","source_ip":"N/A","user":"N/A","raw_message":"The audit log was cleared"}"#;
    expect(
        text,
        &json(text),
        &[
            "host.os.type=windows",
            "event.action=log_cleared",
            "event.severity=5",
            "picket.event_type=LOG_TAMPERING",
            "source.ip=",
            "user.name=",
            "source_ip=N/A",
        ],
    );
}

#[test]
fn any_json() {
    let text = r#"{"@timestamp":1763726400,"process":{"name":"app","pid":3},"event":{"action":"custom","id":"e1"},"tags":["a","b"],"n":1.5,"deep":{"list":[{"x":1},{"x":2}]}}"#;
    expect(
        text,
        &json(text),
        &[
            "@timestamp=2025-11-21T12:00:00.000000Z",
            "process.name=app",
            "process.pid=3",
            "event.action=custom",
            "unverified.event.id=e1",
            "event.id=",
            "tags=a,b",
            "n=1.5",
            "deep.list.x=1,2",
            "picket.log_type=json",
            &format!("message={text}"),
            &format!("event.original={text}"),
        ],
    );
    let text = r#"{"EventID":1,"Image":"C:\\x.exe","CommandLine":"x -a","Computer":"pc"}"#;
    expect(
        text,
        &json(text),
        &[
            "EventID=1",
            "Image=C:\\x.exe",
            "CommandLine=x -a",
            "process.command_line=x -a",
            "host.name=pc",
        ],
    );
    expect("", &json(r#"{"event":{"kind":"alert"}}"#), &["event.kind=alert"]);
    let text = r#"{"event":{"action":"mine"},"message":"Failed password for root from 1.2.3.4 port 1 ssh2"}"#;
    expect(text, &json(text), &["event.action=mine", "source.ip="]);
    let text = r#"{"timestamp":"whenever","message":"m"}"#;
    assert_eq!(json(text).warnings, [Warning::InvalidTime]);
    assert_eq!(json("[1]").warnings, [Warning::InvalidJson]);
}
