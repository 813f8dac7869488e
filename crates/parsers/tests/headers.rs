//! Lines whose file names their columns read by these names, whatever the columns; lines that do not fit read as before.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "the helpers of tests may fail as tests do"
)]

mod check;

use check::{expect, record};
use parsers::{Body, HEADER_MEMBER, Parsed, RawRecord, Warning, parse};
use proptest::prelude::*;

fn read(header: &str, line: &str, log_type: Option<&str>) -> Parsed {
    parse(&RawRecord {
        header: Some(header),
        log_type,
        origin_name: "/var/log/some.log",
        ..record(Body::Line(line.as_bytes()))
    })
}

/// The same line by its content, by its log type, and as `picket send` ships it.
fn every_way(header: &str, log_type: &str, line: &str, expected: &[&str]) {
    expect(line, &read(header, line, None), expected);
    expect(line, &read(header, line, Some(log_type)), expected);
    let shipped = format!(
        "{{\"source\":\"file\",\"message\":{},\"fields\":{{\"{HEADER_MEMBER}\":{},\"log.file.path\":\"/a.log\"}}}}",
        serde_json::Value::from(line),
        serde_json::Value::from(header)
    );
    let parsed = check::json(&shipped);
    expect(line, &parsed, expected);
    expect(
        line,
        &parsed,
        &["log.file.path=/a.log", "unverified.picket.header=", "picket.header="],
    );
}

const IIS: &str = "#Software: Microsoft Internet Information Services 10.0\n#Fields: date time cs-method cs-uri-stem cs-uri-query \
                   c-ip cs(User-Agent) sc-status time-taken X-Forwarded-For cs-username";

#[test]
fn iis_columns_of_ones_own_come_out_right() {
    every_way(
        IIS,
        "iis",
        "2026-11-21 10:00:01 POST /login a=1 203.0.113.9 Mozilla/5.0+(X11) 403 17 198.51.100.4,+10.0.0.1 CORP\\eve",
        &[
            "@timestamp=2026-11-21T10:00:01.000000Z",
            "picket.log_type=iis",
            "event.dataset=iis.access",
            "source.ip=203.0.113.9",
            "http.request.method=POST",
            "url.original=/login?a=1",
            "http.response.status_code=403",
            "event.outcome=failure",
            "event.duration=17000000",
            "network.forwarded_ip=198.51.100.4",
            "user.name=eve",
            "user.domain=CORP",
            "user_agent.original=Mozilla/5.0 (X11)",
            "cs-method=POST",
        ],
    );
}

#[test]
fn the_windows_firewall_and_cloudfront_read_by_their_headers() {
    every_way(
        "#Software: Microsoft Windows Firewall\n#Fields: date time action protocol src-ip dst-ip src-port dst-port size \
         tcpflags tcpsyn tcpack tcpwin icmptype icmpcode info path pid",
        "iis",
        "2026-11-21 10:00:01 DROP TCP 203.0.113.9 10.0.0.5 51022 3389 48 S 1 0 8192 - - - RECEIVE 4",
        &[
            "event.dataset=windows.firewall",
            "event.action=drop",
            "source.ip=203.0.113.9",
            "source.port=51022",
            "destination.ip=10.0.0.5",
            "destination.port=3389",
            "network.transport=tcp",
            "network.direction=inbound",
            "picket.event_type=FIREWALL_BLOCK",
            "event.severity=2",
        ],
    );
    every_way(
        "#Fields: date time x-edge-location sc-bytes c-ip cs-method cs(Host) cs-uri-stem sc-status",
        "iis",
        "2026-11-21\t10:00:01\tFRA2\t2390\t203.0.113.9\tGET\td1.cloudfront.net\t/a.js\t200",
        &[
            "source.ip=203.0.113.9",
            "url.domain=d1.cloudfront.net",
            "http.response.status_code=200",
            "x-edge-location=FRA2",
        ],
    );
}

#[test]
fn zeek_logs_read_by_their_headers() {
    let header = "#separator \\x09\n#set_separator\t,\n#empty_field\t(empty)\n#unset_field\t-\n#path\tconn\n#fields\tts\tuid\t\
                  id.orig_h\tid.orig_p\tid.resp_h\tid.resp_p\tproto\tconn_state\torig_bytes\tvlan\ttunnel_parents\n#types\t\
                  time\tstring\taddr\tport\taddr\tport\tenum\tstring\tcount\tint\tset[string]";
    every_way(
        header,
        "zeek",
        "1795168800.500000\tC1a\t203.0.113.9\t51022\t10.0.0.5\t22\ttcp\tREJ\t120\t7\tCa,Cb",
        &[
            "@timestamp=2026-11-20T10:00:00.500000Z",
            "event.dataset=zeek.connection",
            "zeek.path=conn",
            "source.ip=203.0.113.9",
            "source.port=51022",
            "destination.port=22",
            "network.transport=tcp",
            "source.bytes=120",
            "vlan=7",
            "tunnel_parents=Ca,Cb",
        ],
    );
    let other = "#separator \\x7c\n#unset_field|NONE\n#path|weird\n#fields|ts|uid|id.orig_h|name|peer\n#types|time|string|addr|string|string";
    let parsed = read(other, "1795168800.5|C1|192.0.2.1|bad_TCP_checksum|NONE", None);
    expect(
        "weird",
        &parsed,
        &[
            "source.ip=192.0.2.1",
            "name=bad_TCP_checksum",
            "peer=",
            "zeek.path=weird",
        ],
    );
}

#[test]
fn vpc_flow_columns_of_ones_own_come_out_right() {
    every_way(
        "action srcaddr dstaddr srcport dstport protocol bytes start end vpc_id instance-id tcp-flags flow-direction region",
        "vpcflow",
        "REJECT 203.0.113.9 10.0.0.5 51022 22 6 120 1795168800 1795168860 vpc-1 i-77 2 ingress eu-central-1",
        &[
            "@timestamp=2026-11-20T10:01:00.000000Z",
            "picket.log_type=vpcflow",
            "source.ip=203.0.113.9",
            "destination.port=22",
            "network.transport=tcp",
            "event.type=connection,denied",
            "aws.vpcflow.vpc_id=vpc-1",
            "cloud.instance.id=i-77",
            "aws.vpcflow.tcp_flags=2",
            "network.direction=ingress",
            "cloud.region=eu-central-1",
        ],
    );
}

#[test]
fn a_line_that_does_not_fit_its_header_reads_as_if_there_were_none() {
    let default = "2026-11-21 10:00:01 10.0.0.5 GET / - 80 - 203.0.113.9 - 200 0 0";
    expect(
        default,
        &read(IIS, default, None),
        &["source.ip=203.0.113.9", "picket.log_type=iis"],
    );
    for line in [
        "Nov 21 10:15:01 web sshd[8]: Failed password for root from 203.0.113.7 port 4711 ssh2",
        "#Fields: date time c-ip",
        "2026-11-21 10:00:01 POST /login a=1 not-an-address - 403 17 - -",
        "action srcaddr dstaddr srcport",
        "REJECT 203.0.113.9 nobody 51022",
    ] {
        for header in [
            IIS,
            "action srcaddr dstaddr srcport",
            "#separator \\x09\n#fields\tts\tuid\n#types\ttime\tstring",
        ] {
            let (with, without) = (read(header, line, None), check::line(line.as_bytes()));
            assert_eq!(
                with.fields.str("picket.log_type"),
                without.fields.str("picket.log_type"),
                "{line}"
            );
            assert_eq!(with.fields.str("source.ip"), without.fields.str("source.ip"), "{line}");
        }
    }
    let parsed = read(IIS, "no such line", Some("iis"));
    assert_eq!(parsed.warnings, [Warning::OtherType]);
    // A log type that is another's.
    let parsed = read(
        IIS,
        "2026-11-21 10:00:01 POST /x - 203.0.113.9 - 403 17 - -",
        Some("squid"),
    );
    assert_ne!(parsed.fields.str("picket.log_type"), Some("iis"));
}

#[test]
fn what_a_header_calls_a_column_cannot_say_who_sent_it() {
    let parsed = read(
        "#Fields: date time c-ip event.id picket.log_type agent.id",
        "2026-11-21 10:00:01 203.0.113.9 forged forged forged",
        None,
    );
    expect("", &parsed, &["picket.log_type=iis", "event.id=", "agent.id="]);
}

proptest! {
    #[test]
    fn any_header_over_any_line_is_read(header in "(#(separator|Fields:|fields|types|path) ?)?[ -~\\t\\n]{0,80}", line in "[ -~\\t]{0,80}") {
        let _ = read(&header, &line, None);
        let _ = read(&header, &line, Some("zeek"));
    }
}
